//! White-box attribution: a method appends to the graph of a model the nodes that compute its explanation.
//!
//! What lives here: the reverse walk ([`propagate`]), the rule sets, targets and seeds, and [`explain`](fn@explain), which puts them
//! together. What does not: running the result (the runtime crate) and drawing it (the report crate).

mod batch;
mod dlbacktrace;
mod error;
mod explain;
mod explained_input;
mod gradient;
mod ledger;
mod linear;
mod look_up;
mod method;
mod movement;
mod quantization;
mod recurrence;
mod request;
mod reverse_loop;
mod rule;
mod seed;
mod walk;

pub use batch::BatchAxis;
pub use dlbacktrace::DlBacktraceRules;
pub use dlbacktrace::options::{
    Bilinear, Compat, ConstAdd, DivRule, DlBacktrace, GateRule, Mode, MulRule, Norm, ScoreBias, SeedValue,
};
pub use error::{Error, MissingRule, Result};
pub use explain::{AttributionOutput, Explained, LedgerLayout, RelevanceOutput, explain};
pub use explained_input::{ExplainedInput, explained_inputs};
pub use gradient::Gradient;
pub use ledger::{CHANNELS, COLUMNS as LEDGER_COLUMNS, Class, Ledger, LedgerNode, column_names};
pub use method::{Method, MethodInfo, ParameterInfo};
pub use request::{NodeSelection, Request, Score, Target, Task};
pub use rule::{Context, OneHot, Outcome, RuleSet};
pub use walk::{AppliedRule, OnMissingRule, SeedOn, Start, Substitution, Walked, carriers, propagate};
