//! What methods that ask the model found out about a row beside its attributions.

use exegesis_perturb::slalom::Fitted;
use serde::Serialize;

/// How a row was explained by asking the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RowEvidence {
    /// Players that were taken out.
    pub players: usize,
    /// Rows that the model was run on.
    pub model_rows: usize,
    /// Score with nobody present, of methods whose values add up to the rest.
    pub base_value: Option<f64>,
    /// Share of the variance of the scores that a surrogate explains.
    pub r_squared: Option<f64>,
    /// Largest standard error of a player's value.
    pub largest_standard_error: Option<f64>,
    /// True if the user stopped it: the values are those of what was known by then.
    pub is_partial: bool,
    /// The fit of SLALOM.
    #[serde(skip)]
    pub slalom: Option<SlalomRow>,
}

/// A text and the SLALOM that was fitted to it.
#[derive(Clone, Debug, PartialEq)]
pub struct SlalomRow {
    /// The fit.
    pub fitted: Fitted,
    /// Positions of each player in the row.
    pub positions: Vec<Vec<usize>>,
}
