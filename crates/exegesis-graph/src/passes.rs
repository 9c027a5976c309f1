//! Named rewriting passes.
