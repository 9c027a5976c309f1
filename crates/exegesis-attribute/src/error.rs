//! Why an explanation can't be built.

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A node for which the method has no rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingRule {
    /// Name of the node in the user's model.
    pub node: String,
    /// Its operator.
    pub op: String,
    /// Why there is no rule.
    pub reason: String,
}

/// Why an explanation can't be built.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The graph can't be treated.
    #[error(transparent)]
    Graph(#[from] exegesis_graph::Error),
    /// Operators on the way from the explained input to the target have no rule; all of them are listed.
    #[error("{}", describe_missing(method, missing))]
    NoRule {
        /// Method name.
        method: String,
        /// Every offending node.
        missing: Vec<MissingRule>,
    },
    /// The target, task, input selection or seed does not fit the model.
    #[error("{0}")]
    Request(String),
}

fn describe_missing(method: &str, missing: &[MissingRule]) -> String {
    let nodes: Vec<String> =
        missing.iter().map(|m| format!("\"{}\" ({}: {})", m.node, m.op, m.reason)).collect();
    format!(
        "method `{method}` has no rule for {}; choose another method, or substitute with --on-missing-rule pass|gradient",
        nodes.join(", ")
    )
}

impl From<exegesis_catalogue::Error> for Error {
    fn from(error: exegesis_catalogue::Error) -> Self {
        Self::Request(error.0)
    }
}
