//! How a program is loaded.

use std::num::NonZeroUsize;

/// When weights are stored a second time in the layout of the matrix kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Prepack {
    /// Never: weights are packed again in every run.
    #[default]
    Never,
    /// At load: more memory (a second copy of the weights of matrix products) and a slower load for faster runs.
    Always,
}

/// Options of [`crate::Runtime::load`].
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LoadOptions {
    /// Threads of the program's own pool; `None` is the pool that all programs share, with a thread per physical core.
    pub threads: Option<NonZeroUsize>,
    /// Whether weights are packed at load.
    pub prepack: Prepack,
}
