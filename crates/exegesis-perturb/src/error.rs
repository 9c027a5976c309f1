//! Why a black-box explanation can't be made.

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a black-box explanation can't be made.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The method, its options or the players do not fit the input.
    #[error("{0}")]
    Request(String),
    /// What predicts gave something that is no score per row.
    #[error("{0}")]
    Predictor(String),
    /// The predictor failed for a reason of its own, which it keeps.
    #[error("the predictor failed: {0}")]
    Failed(String),
    /// Stopped by the user too early for a method that needs a number of rows.
    #[error("stopped after {done} model rows, of which the method needs {needed} for a result")]
    StoppedShort {
        /// Rows that were asked for.
        done: usize,
        /// Rows that a result takes.
        needed: usize,
    },
    /// Stopped by the user before there was a result.
    #[error("stopped before there was a result")]
    Stopped,
}
