//! The slow oracle: plain loops in f64 over the whole vocabulary of [`exegesis_graph::Op`].
//!
//! What lives here: [`run`] and [`run_all`] evaluate any graph, [`central_difference`] differentiates it numerically,
//! [`Reference`] plugs it into constant folding. Formulas follow the ONNX operator reference literally, one file per
//! family; speed is no goal. What does not: anything that ships.

mod array;
mod control_flow;
mod convolution;
mod detection;
mod difference;
mod dispatch;
mod einsum;
mod elementwise;
mod grid_sample;
mod indexing;
mod linear;
mod movement;
mod normalization;
mod operands;
mod order;
mod pooling;
mod quantization;
mod recurrent;
mod reduction;
mod resize;
mod run;
mod scatter;
mod window;

pub use array::Array;
pub use difference::central_difference;
pub use run::{Options, Reference, run, run_all, run_with};
