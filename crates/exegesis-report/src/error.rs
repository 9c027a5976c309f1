//! The one error type of this crate.

use thiserror::Error;

/// What kind of thing went wrong; lets callers choose an exit status without reading the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A picture, axis or list has no elements, so there is nothing to draw.
    Empty,
    /// Two lengths that must agree do not (for example tokens and their scores).
    Mismatch,
    /// A size is larger than what can be drawn in memory.
    TooLarge,
    /// Writing the picture file failed.
    Encode,
}

/// A report, or a part of it, that cannot be drawn.
///
/// The message is one sentence on what is wrong and one on what to do.
#[derive(Debug, Clone, Error)]
#[error("{message}")]
pub struct ReportError {
    kind: ErrorKind,
    message: String,
}

impl ReportError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// Result with [`ReportError`].
pub type Result<T> = std::result::Result<T, ReportError>;
