//! White-box attribution: a method appends to the graph of a model the nodes that compute its explanation.
//!
//! What lives here: the reverse walk ([`propagate`]), the rule sets, targets and seeds, and [`explain`](fn@explain), which puts them
//! together. What does not: running the result (the runtime crate) and drawing it (the report crate).
#![cfg_attr(
    not(all(feature = "dlbacktrace", feature = "lrp")),
    allow(dead_code, unused_imports, unused_variables)
)]

mod attention;
mod attn_lrp;
mod attributed;
mod baseline;
mod batch;
mod cam;
mod controls;
mod deeplift;
mod dlbacktrace;
mod error;
mod explain;
mod explained_input;
mod families;
mod gradient;
mod ledger;
mod linear;
mod look_up;
mod lrp;
mod method;
mod movement;
mod operators;
mod path;
mod places;
mod quantization;
mod recurrence;
mod request;
mod reverse_loop;
mod rule;
mod seed;
mod walk;

pub use attention::options::Attention;
pub use attn_lrp::TransformerRules;
pub use attn_lrp::options::{Activation, AttnLrp, CpLrp, Freeze};
pub use baseline::{Baseline, blur_matrix};
pub use batch::BatchAxis;
pub use cam::CamKind;
pub use cam::options::Cam;
pub use deeplift::DeepLift;
pub use dlbacktrace::DlBacktraceRules;
pub use dlbacktrace::options::{
    Bilinear, Compat, ConstAdd, DivRule, DlBacktrace, GateRule, Mode, MulRule, Norm, ScoreBias, SeedValue,
};
pub use error::{Error, MissingRule, Result};
pub use exegesis_catalogue::{MethodInfo, Options, ParameterInfo};
pub use explain::{AttributionOutput, Explained, LedgerLayout, RelevanceOutput, explain};
pub use explained_input::{ExplainedInput, explained_inputs};
pub use gradient::Gradient;
pub use ledger::{CHANNELS, COLUMNS as LEDGER_COLUMNS, Class, Ledger, LedgerNode, column_names};
pub use lrp::options::{Composite, Lrp};
pub use lrp::{LayerRule, LrpRules, Override};
pub use method::Method;
pub use path::options::{GradientShap, IntegratedGradients, Quadrature, SmoothGrad, Statistic};
pub use path::{PLACE, quadrature};
pub use request::{NodeSelection, Part, Request, Score, Target, Task};
pub use rule::{Context, OneHot, Outcome, Quantity, RuleSet};
pub use walk::{AppliedRule, OnMissingRule, SeedOn, Start, Substitution, Walked, carriers, propagate};
