//! The one error of the facade: what is wrong with the user's thing, what to do, and the exit status it means.

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Broad class of an [`Error`]; decides the exit status of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Wrong usage, or a named feature that is not built. Exit status 2.
    Usage,
    /// The model or an input can't be read, or does not fit. Exit status 3.
    Input,
    /// The model runs, but the method has no rule for a node. Exit status 4.
    NoRule,
    /// Not enough memory or time. Exit status 5.
    Resources,
    /// Anything else, such as a file that can't be written. Exit status 1.
    Other,
}

/// What went wrong: one sentence on what is wrong, one on what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    /// An error of `kind`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Shorthand for [`ErrorKind::Usage`].
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// Shorthand for [`ErrorKind::Input`].
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    /// Shorthand for a [`ErrorKind::Usage`] error that says a feature of the interface is not built.
    pub fn not_built(feature: &str, instead: &str) -> Self {
        Self::usage(format!("{feature} is not built in this version. {instead}"))
    }

    /// The end of work that the user stopped.
    pub(crate) fn stopped() -> Self {
        Self::new(ErrorKind::Other, "stopped by the user. Nothing is saved.")
    }

    /// Class of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Exit status of the command: 2 usage, 3 model or input, 4 no rule, 5 resources, 1 anything else.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            ErrorKind::Usage => 2,
            ErrorKind::Input => 3,
            ErrorKind::NoRule => 4,
            ErrorKind::Resources => 5,
            ErrorKind::Other => 1,
        }
    }

    /// The first sentence: what is wrong.
    pub(crate) fn what(&self) -> &str {
        self.message.find(". ").map_or(self.message.as_str(), |end| &self.message[..=end])
    }

    /// The same error with `subject: ` in front, as when a file is named.
    #[must_use]
    pub fn of(mut self, subject: impl std::fmt::Display) -> Self {
        self.message = format!("{subject}: {}", self.message);
        self
    }
}

/// Ends a sentence that others wrote and adds what to do.
fn sentences(what: &str, advice: &str) -> String {
    let what = what.trim_end().trim_end_matches('.');
    format!("{what}. {advice}")
}

impl From<exegesis_graph::Error> for Error {
    fn from(error: exegesis_graph::Error) -> Self {
        use exegesis_graph::ErrorKind as Graph;
        let advice = match error.kind() {
            Graph::Io => "Check the path and that the file may be read.",
            Graph::Malformed => "Export the model again, or check the file with `onnx.checker`.",
            Graph::Unsupported => {
                "Export the model with standard ONNX operators, or report the operator to us."
            }
            Graph::TooLarge => "Check where the file comes from; if it is right, report it to us.",
            _ => "Check that the model runs in another ONNX runtime; if it does, report it to us.",
        };
        Self::input(sentences(&error.to_string(), advice))
    }
}

impl From<exegesis_runtime::Error> for Error {
    fn from(error: exegesis_runtime::Error) -> Self {
        use exegesis_runtime::ErrorKind as Runtime;
        let (kind, advice) = match error.kind() {
            Runtime::Output => (ErrorKind::Usage, "Choose one that exists."),
            Runtime::NotBuilt => (ErrorKind::Usage, "Choose a runtime and a device that are there."),
            Runtime::TooLarge => (
                ErrorKind::Resources,
                "Give fewer rows or a smaller input, or more with --memory or --time-limit.",
            ),
            Runtime::Function => (ErrorKind::Input, "Check what the function gives for these rows."),
            Runtime::Input => (ErrorKind::Input, "Give the inputs as the model declares them."),
            Runtime::Malformed => {
                (ErrorKind::Input, "Export the model again, or check it with `onnx.checker`.")
            }
            Runtime::Unsupported => {
                (ErrorKind::Input, "Export the model without this operator, or report it to us.")
            }
            _ => (
                ErrorKind::Input,
                "Check that sizes of inputs and model agree (`exegesis inspect` shows them).",
            ),
        };
        Self::new(kind, sentences(&error.to_string(), advice))
    }
}

impl From<exegesis_attribute::Error> for Error {
    fn from(error: exegesis_attribute::Error) -> Self {
        match error {
            exegesis_attribute::Error::Graph(error) => error.into(),
            exegesis_attribute::Error::NoRule { .. } => Self::new(ErrorKind::NoRule, error.to_string()),
            other => Self::usage(other.to_string()),
        }
    }
}

impl From<exegesis_report::ReportError> for Error {
    fn from(error: exegesis_report::ReportError) -> Self {
        Self::new(ErrorKind::Other, error.to_string())
    }
}
