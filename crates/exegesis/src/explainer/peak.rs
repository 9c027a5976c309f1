//! How much memory the process takes while a program runs.

use std::sync::Arc;

use exegesis_graph::{Dim, Graph, Tensor};
use exegesis_runtime::{LoadOptions, Memory, Runtime, return_freed_memory};
use rustc_hash::FxHashSet;

use super::EVALUATOR;
use crate::{Inputs, Model};

/// Bytes of the program itself: code, thread stacks, and the packing buffers of the matrix kernels. An allowance, not a
/// measurement: `docs/memory.md` shows how far estimates are off.
const PROGRAM: u64 = 16 << 20;

/// Estimated memory of one batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peak {
    /// Constants.
    pub weights: u64,
    /// Intermediate values and results.
    pub activations: u64,
    /// Scratch and kept buffers.
    pub temporaries: u64,
    /// Inputs and the program itself.
    pub base: u64,
    /// False where the runtime can't tell what values take.
    pub is_complete: bool,
}

impl Peak {
    /// The estimate of the runtime, and what is resident beside: `idle` bytes of constants that do not run, and inputs.
    /// Without an estimate of the runtime only those.
    pub fn new(memory: Option<Memory>, idle: u64, inputs: &Inputs, rows: usize, all: usize) -> Self {
        let is_complete = memory.is_some_and(|memory| memory.is_complete);
        let memory = memory.unwrap_or_default();
        let given = given_bytes(inputs);
        // A batch is cut out of the inputs, so that its rows are there twice.
        let cut = if rows < all { given / all.max(1) as u64 * rows as u64 } else { 0 };
        Self {
            weights: memory.weights + idle,
            activations: memory.activations,
            temporaries: memory.temporaries,
            base: PROGRAM + given + cut,
            is_complete,
        }
    }

    /// All of it.
    pub fn bytes(self) -> u64 {
        self.weights + self.activations + self.temporaries + self.base
    }
}

/// Bytes of all inputs.
pub(crate) fn given_bytes(inputs: &Inputs) -> u64 {
    inputs.entries().iter().map(|i| bytes(&i.tensor)).sum()
}

fn bytes(tensor: &Tensor) -> u64 {
    tensor.len() as u64 * tensor.dtype().size() as u64
}

/// Bytes of the constants that `model` keeps and `program` does not share.
pub(crate) fn idle_weights(model: &Model, program: &Graph) -> u64 {
    let mut seen: FxHashSet<*const Tensor> =
        program.values().filter_map(|(_, v)| v.constant.as_ref()).map(Arc::as_ptr).collect();
    let kept = [model.imported(), model.graph()].into_iter().flat_map(|g| g.values());
    kept.filter_map(|(_, v)| v.constant.as_ref())
        .filter(|t| seen.insert(Arc::as_ptr(t)))
        .map(|t| bytes(t))
        .sum()
}

/// Bytes that the model alone takes for `rows` of the `all` rows of `inputs`, where that can be told.
pub(crate) fn forward(model: &Model, inputs: &Inputs, rows: usize, all: usize) -> Option<u64> {
    let mut graph = model.graph().clone();
    for id in graph.inputs.clone() {
        let value = graph.value_mut(id);
        let Some(input) = inputs.get(&value.name) else { continue };
        let mut shape: Vec<Dim> = input.tensor.shape().iter().map(|d| Dim::Fixed(*d)).collect();
        let open = value.shape.as_ref().and_then(|s| s.first()).is_some_and(|d| d.fixed().is_none());
        if let (true, Some(first)) = (open && rows < all, shape.first_mut()) {
            *first = Dim::Fixed(rows);
        }
        value.shape = Some(shape.into_iter().collect());
    }
    let idle = idle_weights(model, &graph);
    let program = EVALUATOR.load(graph, &LoadOptions::default());
    let memory = program.and_then(|program| program.memory(&[]));
    return_freed_memory();
    memory.ok().map(|memory| Peak::new(Some(memory), idle, inputs, rows, all).bytes())
}
