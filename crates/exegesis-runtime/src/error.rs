//! The error of this crate: what is wrong with the user's model or input, and where.

use std::fmt;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Broad class of an [`Error`]; decides the exit status of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The graph is not well-formed. Exit status 3.
    Malformed,
    /// The runtime can't run a node of the graph, or a type. Exit status 3.
    Unsupported,
    /// An input is missing, unknown, empty, non-finite, out of range or of the wrong type or shape. Exit status 3.
    Input,
    /// The caller asked for an output that the program does not have. Exit status 2.
    Output,
    /// The named runtime is not part of this build. Exit status 2.
    NotBuilt,
    /// The program would take more memory or time than there is. Exit status 5.
    TooLarge,
    /// The runtime failed while it loaded or ran the program. Exit status 3: every known cause is a model or an
    /// input that does not fit.
    Execution,
    /// A function that stands for a model failed, or gave something else than was agreed. Exit status 3.
    Function,
}

/// What went wrong, and at which node of the user's model if one is to blame.
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

    /// Shorthand for [`ErrorKind::Input`].
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    /// Shorthand for [`ErrorKind::Unsupported`].
    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// Shorthand for [`ErrorKind::Execution`].
    pub(crate) fn execution(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Execution, message)
    }

    /// The same error, said of `node` unless a node is already named.
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

impl From<exegesis_graph::Error> for Error {
    fn from(error: exegesis_graph::Error) -> Self {
        use exegesis_graph::ErrorKind as Graph;
        let kind = match error.kind() {
            Graph::Unsupported => ErrorKind::Unsupported,
            Graph::Evaluation => ErrorKind::Execution,
            _ => ErrorKind::Malformed,
        };
        Self { kind, message: error.message().to_string(), node: error.node().map(str::to_string) }
    }
}

impl From<Error> for exegesis_graph::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind {
            ErrorKind::Unsupported => exegesis_graph::ErrorKind::Unsupported,
            ErrorKind::Malformed => exegesis_graph::ErrorKind::Malformed,
            _ => exegesis_graph::ErrorKind::Evaluation,
        };
        let converted = Self::new(kind, error.message);
        match error.node {
            Some(node) => converted.at(node),
            None => converted,
        }
    }
}
