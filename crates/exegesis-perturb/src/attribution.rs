//! What a method found out about one row.

/// Attributions to the players of one row, and how far they can be trusted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attribution {
    /// Per player.
    pub values: Vec<f64>,
    /// Standard error per player, of methods that sample.
    pub standard_errors: Option<Vec<f64>>,
    /// Score with nobody present (for surrogates their intercept), of methods whose values add up to the rest.
    pub base_value: Option<f64>,
    /// What the values add up to, of methods that promise it: the score minus the base value.
    pub total: Option<f64>,
    /// Share of the variance of the scores that a surrogate explains.
    pub r_squared: Option<f64>,
    /// Rows that the model was run on.
    pub model_rows: usize,
    /// True if a value belongs to each cell of a player; false if a player's cells share it.
    pub is_per_cell: bool,
    /// What the user must know before trusting the values.
    pub warnings: Vec<String>,
    /// What was chosen.
    pub notes: Vec<String>,
    /// True if it was stopped early.
    pub is_partial: bool,
}

/// Warning of a score that no change of the input moves.
pub(crate) const CONSTANT: &str = "the score is the same whatever is taken out, so that every value is 0: the model may not look at this input, \
     or what stands in for what is taken out may equal it (choose another baseline or imputer)";
