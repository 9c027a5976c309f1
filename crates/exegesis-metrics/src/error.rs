//! What can go wrong.

/// Why a metric has no value for any sample, or why nothing could be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A metric, operator or option that does not fit the data; others go on.
    #[error("{0}")]
    NotApplicable(String),
    /// A map that is none: of the wrong size, or with values that are not finite.
    #[error("{0}")]
    Map(String),
    /// The model could not be asked.
    #[error("{0}")]
    Failed(String),
    /// The user wants no more.
    #[error("stopped by the user")]
    Stopped,
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
