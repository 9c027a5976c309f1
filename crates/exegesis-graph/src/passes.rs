//! Named rewriting passes.
//!
//! Each submodule is one pass: a function from a graph to a changed graph that computes the same outputs.

pub mod infer;
