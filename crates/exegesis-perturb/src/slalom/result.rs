//! What is found out about a text: the surrogate, what it says of the text, and how far it can be trusted.

use serde::Serialize;

/// A type of token: all players of the text that are equal.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SlalomType {
    /// `v`: the log-odds if the token stood alone.
    pub value: f64,
    /// `s`, centred over the types: how strongly the token takes the attention, in log units. With a background token it is
    /// relative to that token and not centred.
    pub importance: f64,
    /// Standard error of the value.
    pub se_value: Option<f64>,
    /// Standard error of the importance.
    pub se_importance: Option<f64>,
    /// Times that it occurs in the text.
    pub count: usize,
    /// False if the queries hardly say what its value is.
    pub is_value_identified: bool,
    /// False if the queries hardly say what its importance is.
    pub is_importance_identified: bool,
    /// Share of the attention that all its occurrences take in the text: over all types (and the background) they sum to 1.
    pub alpha: f64,
}

/// What takes attention in every query although it is no player.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Background {
    /// Its value `v_0`: the surrogate's score of a text without tokens.
    pub value: f64,
    /// Share of the attention that it takes in the text.
    pub alpha: f64,
}

/// Shares of the variance of scores that were not fitted, `1 - sum w (F - f)^2 / sum w (F - mean)^2` with the mean of the scores
/// that were fitted; `None` where these scores do not vary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quality {
    /// Of this surrogate.
    pub slalom: Option<f64>,
    /// Of a linear surrogate, a weight per token and an intercept.
    pub linear: Option<f64>,
    /// Of the mean of the fitted scores; near 0 by definition.
    pub constant: Option<f64>,
    /// Distinct queries that were fitted.
    pub fitted: usize,
    /// Distinct queries that were held out.
    pub held_out: usize,
}

/// Why the search for the best surrogate ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// The objective fell by no more than 1e-13 of itself.
    #[default]
    Decrease,
    /// No importance moved by more than 1e-8.
    Step,
    /// No step leads down.
    Damping,
    /// 200 iterations.
    Iterations,
    /// There was nothing to search: a closed form, a fixed number of steps, or scores that do not vary.
    Direct,
}

/// One minimisation under one ridge.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Pass {
    /// Noise variance that the ridge comes from.
    pub sigma2_used: Option<f64>,
    /// Ridge of the values.
    pub rho_v: f64,
    /// Ridge of the importances.
    pub rho_s: f64,
    /// Weighted residual sum of squares.
    pub rss: f64,
    /// The minimum, ridges included.
    pub objective: f64,
    /// Noise variance that the residuals suggest.
    pub sigma2_next: f64,
    /// Accepted and refused steps.
    pub iterations: usize,
    /// Why it ended.
    pub stop: Stop,
}

/// How the surrogate was fitted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FitLog {
    /// Name of the fit.
    pub fit: &'static str,
    /// Name of the design.
    pub design: &'static str,
    /// Minimisations, in order.
    pub passes: Vec<Pass>,
    /// Prior variance of the values.
    pub tau_v2: Option<f64>,
    /// Noise variance; of a deterministic model the lack of fit.
    pub sigma2: Option<f64>,
    /// Relative difference of the minima found from two starts.
    pub starts_differ: Option<f64>,
    /// Pairs, ratios or types of a closed form that no surrogate of this form explains and that were cut.
    pub clamped: usize,
    /// Mean squared error over all fitted queries, weighted.
    pub mse: f64,
    /// Weighted variance of the fitted scores.
    pub variance: f64,
}

/// A surrogate that was fitted to a text.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Fitted {
    /// Types of tokens.
    pub types: Vec<SlalomType>,
    /// Per player its type.
    pub type_of: Vec<usize>,
    /// Contribution per player, `alpha_i v_i`: with the background's they sum to the surrogate's score.
    pub contributions: Vec<f64>,
    /// Standard error of each contribution.
    pub se_contributions: Option<Vec<f64>>,
    /// Share of the attention per player.
    pub alpha: Vec<f64>,
    /// `f(x) - f(x without i)` per player; `None` for one that takes all the attention.
    pub removals: Vec<Option<f64>>,
    /// `alpha_i (v_i - F of the text without tokens)` per player, where that text can be scored.
    pub centred_contributions: Option<Vec<f64>>,
    /// `f(x)`: the surrogate's score of the text.
    pub score: f64,
    /// `F(x)`: the model's score of the text.
    pub model_score: Option<f64>,
    /// The model's score of the text without tokens, where it can be had.
    pub empty_score: Option<f64>,
    /// The background token, of the variant with one.
    pub background: Option<Background>,
    /// What the surrogate says of scores that it was not fitted to.
    pub quality: Option<Quality>,
    /// False if the surrogate explains held-out scores no better than their mean: then tokens must not be ranked by it.
    pub may_rank: bool,
    /// How it was fitted.
    pub log: FitLog,
    /// Largest difference between the scores of queries that have the same tokens in another order, and its root mean square.
    pub order_spread: Option<[f64; 2]>,
    /// Queries, repetitions included.
    pub samples: usize,
    /// Distinct queries that were fitted.
    pub distinct_queries: usize,
    /// Queries that the model was run on, the text itself included.
    pub model_rows: usize,
    /// What the user must know before trusting the values.
    pub warnings: Vec<String>,
    /// What was chosen.
    pub notes: Vec<String>,
    /// True if it was stopped early.
    pub is_partial: bool,
}
