//! The graph of a model and of its explanation.
//!
//! What lives here: the IR ([`Graph`], [`Op`], [`Tensor`]), reading and writing ONNX ([`onnx`]), shape and type
//! inference and the named rewriting passes ([`passes`]). What does not: kernels (constant folding calls an
//! [`Evaluator`] that the runtime crate implements) and any attribution rule.

mod builder;
mod dtype;
mod error;
mod evaluator;
mod graph;
mod instance;
pub mod onnx;
pub mod op;
pub mod passes;
mod shape;
mod tensor;

pub use builder::Builder;
pub use dtype::DType;
pub use error::{Error, ErrorKind, Result};
pub use evaluator::Evaluator;
pub use graph::{Graph, Node, NodeId, Origin, Role, Subgraph, Value, ValueId};
pub use instance::instance;
pub use op::Op;
pub use shape::{Dim, Shape};
pub use tensor::{Data, Tensor};
