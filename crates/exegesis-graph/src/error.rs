//! The error of this crate: one sentence on what is wrong with the user's graph, and where.

use std::fmt;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Broad class of an [`Error`]; decides the exit status of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file can't be read (missing, not permitted).
    Io,
    /// The bytes are not a well-formed model: truncated, wrong protobuf, cyclic, duplicate or missing names,
    /// ill-typed or ill-shaped.
    Malformed,
    /// The model uses an operator, attribute or type that this version does not know how to treat.
    Unsupported,
    /// A size or count in the file is beyond what is accepted.
    TooLarge,
    /// An evaluator failed while folding constants.
    Evaluation,
}

/// What went wrong, at which node of the user's model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    node: Option<String>,
}

impl Error {
    /// An error of `kind` described by `message` (a sentence without the node's name).
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), node: None }
    }

    /// Shorthand for [`ErrorKind::Malformed`].
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Malformed, message)
    }

    /// Shorthand for [`ErrorKind::Unsupported`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// Shorthand for [`ErrorKind::TooLarge`].
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::TooLarge, message)
    }

    /// The same error, said of `node` unless a more precise node is already named.
    #[must_use]
    pub fn at(mut self, node: impl Into<String>) -> Self {
        self.node.get_or_insert_with(|| node.into());
        self
    }

    /// Class of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Name of the node it concerns, if one.
    pub fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    /// The sentence without the node's name.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Some(node) => write!(f, "node \"{node}\": {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Error {}
