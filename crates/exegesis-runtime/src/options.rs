//! How a program is loaded.

use std::num::NonZeroUsize;

use crate::free_memory;

/// When weights are stored a second time in the layout of the matrix kernels.
///
/// Measured on two AVX2 cores (`examples/time.rs`, processor milliseconds per run): BERT-base with 128 tokens takes 320
/// packed and 355 not at batch 1, 2450 and 2500 at batch 8; ResNet-50 130 and 1150 either way, because convolutions do
/// not use it. Packing BERT-base takes 324 MB beside weights of 427 MB, and 0.1 s more at load. So it is worth its memory
/// for many small batches of a model of matrix products, and off otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Prepack {
    /// Never: weights are packed again in every run.
    #[default]
    Never,
    /// At load: more memory (a second copy of the weights of matrix products) and a slower load for faster runs.
    Always,
}

/// Threads of the pool that all programs share: one per physical core, or what `RTEN_NUM_THREADS` says.
pub fn default_threads() -> NonZeroUsize {
    let told = std::env::var("RTEN_NUM_THREADS").ok().and_then(|n| n.parse().ok());
    told.or_else(|| NonZeroUsize::new(num_cpus::get_physical())).unwrap_or(NonZeroUsize::MIN)
}

/// Options of [`crate::Runtime::load`].
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LoadOptions {
    /// Threads of the program's own pool; `None` is the pool that all programs share, with a thread per physical core.
    pub threads: Option<NonZeroUsize>,
    /// Whether weights are packed at load.
    pub prepack: Prepack,
}

/// What a program may take, see [`crate::Runtime::load_within`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Limits {
    /// Bytes that no single value may exceed; `None` is three quarters of what is free when the program is loaded.
    pub memory: Option<u64>,
    /// Whether absurd amounts of work are refused.
    pub work: WorkLimit,
}

impl Limits {
    /// These limits, with the memory that `None` stands for (still `None` where the system does not tell).
    pub(crate) fn settled(self) -> Self {
        Self { memory: self.memory.or_else(|| free_memory().map(|free| free / 4 * 3)), ..self }
    }
}

/// What to do about a graph that asks for much more work than its weights and inputs justify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum WorkLimit {
    /// Refuse it, and end loops that the data do not end.
    #[default]
    Fitting,
    /// Run it: the caller watches the clock.
    Any,
}
