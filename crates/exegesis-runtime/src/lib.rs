//! Graphs as runnable programs.
//!
//! What lives here: the [`Runtime`] trait and its implementations, the checked [`table`] of what a runtime can do, the
//! lowering of what it can't, checks of inputs, and the conversion of types that the runtime lacks. What does not: graph
//! passes that are not about one runtime (`exegesis-graph`), and batching of many inputs (callers do that).
//!
//! ```no_run
//! use exegesis_runtime::{LoadOptions, Runtime, RtenRuntime};
//! # fn graph() -> exegesis_graph::Graph { exegesis_graph::Graph::new("g") }
//! # fn main() -> exegesis_runtime::Result<()> {
//! let program = RtenRuntime.load(graph(), &LoadOptions::default())?;
//! let image = exegesis_graph::Tensor::new([1, 3, 224, 224], vec![0.0f32; 3 * 224 * 224])?;
//! let logits = program.run(&[("image", &image)], &["logits"])?;
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "onnxruntime")]
mod auto;
mod choice;
mod convert;
mod device;
mod error;
mod free_memory;
mod function;
mod guard;
mod input;
mod lower;
#[cfg(feature = "onnxruntime")]
mod onnxruntime;
mod options;
mod plan;
mod program;
mod return_memory;
mod rten;
mod runtime;
mod sizes;
pub mod table;
mod work;

pub use choice::{RUNTIME_VARIABLE, RuntimeChoice, RuntimeInfo, runtimes};
pub use device::Device;
pub use error::{Error, ErrorKind, Result};
pub use free_memory::free_memory;
pub use function::{FunctionRuntime, Predictor, function_node};
#[cfg(feature = "onnxruntime")]
pub use onnxruntime::OnnxRuntime;
pub use options::{Limits, LoadOptions, Prepack, WorkLimit, default_threads};
pub use plan::Memory;
pub use program::{Port, Program};
pub use return_memory::return_freed_memory;
pub use rten::RtenRuntime;
pub use runtime::{Runtime, by_name};
pub use work::{Work, work};
