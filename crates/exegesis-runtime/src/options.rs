//! How a program is loaded.

use std::num::NonZeroUsize;

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
