//! The embedded runtime: rten, an ONNX runtime in pure Rust.
//!
//! What lives here: loading a lowered graph into rten, running it, folding constants with it. What rten can't run is
//! told by [`crate::table`], and turned into what it can by `lower`.

mod evaluate;
mod load;
mod pool;
mod session;
mod shared;

use exegesis_graph::Graph;

use crate::{Limits, LoadOptions, Program, Result, Runtime};

/// The runtime called `rten`.
///
/// Arithmetic is f32 and i32: wider types of a graph are narrowed as `lower` describes, and each narrowing is
/// noted in [`Program::notes`].
#[derive(Clone, Copy, Debug, Default)]
pub struct RtenRuntime;

impl Runtime for RtenRuntime {
    fn name(&self) -> &str {
        "rten"
    }

    fn load_within(&self, graph: Graph, options: &LoadOptions, limits: Limits) -> Result<Program> {
        load::load(self.name(), graph, options, limits)
    }
}
