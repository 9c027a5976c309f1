//! Values and importances of the types of tokens of a text.

use serde::{Deserialize, Serialize};

/// What SLALOM found out about a text: a value and an importance per type of token.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plane {
    /// Types of tokens.
    pub types: Vec<PlaneType>,
    /// How well the surrogate predicts scores that it was not fitted to.
    pub quality: Option<PlaneQuality>,
}

/// A type of token: all its occurrences have the same value and importance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlaneType {
    /// What the reader calls it.
    pub label: String,
    /// Positions in the row.
    pub positions: Vec<usize>,
    /// Times that it occurs.
    pub count: usize,
    /// The log-odds if the token stood alone.
    pub value: f64,
    /// How strongly it takes the attention, in log units, centred.
    pub importance: f64,
    /// Standard error of the value.
    pub se_value: Option<f64>,
    /// Standard error of the importance.
    pub se_importance: Option<f64>,
    /// Share of the attention that all its occurrences take.
    pub weight: f64,
    /// Sum of the contributions of its occurrences.
    pub contribution: f64,
    /// False if the queries hardly say what its value or its importance is.
    pub is_identified: bool,
}

/// Shares of the variance of held-out scores that surrogates explain; `None` where it can't be said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlaneQuality {
    /// Of SLALOM.
    pub slalom: Option<f64>,
    /// Of a linear surrogate.
    pub linear: Option<f64>,
    /// Of a constant.
    pub constant: Option<f64>,
    /// Scores that were held out.
    pub held_out: usize,
}

impl PlaneQuality {
    /// The comparison in a sentence.
    pub fn sentence(&self) -> String {
        let (Some(slalom), Some(linear)) = (self.slalom, self.linear) else {
            return "How well the surrogate fits can't be said: the held-out scores do not vary.".to_string();
        };
        if slalom <= 0.0 {
            "SLALOM predicts held-out scores no better than their mean does: do not rank tokens by it."
                .to_string()
        } else if slalom < linear {
            "A linear surrogate predicts held-out scores better than SLALOM does: values and importances are no better \
             account of this text than plain weights."
                .to_string()
        } else {
            "SLALOM predicts held-out scores at least as well as a linear surrogate.".to_string()
        }
    }

    /// `0.93`, or a dash.
    pub(crate) fn text(share: Option<f64>) -> String {
        share.map_or_else(|| "-".to_string(), |v| format!("{v:.3}"))
    }
}

impl Plane {
    /// The types with the largest contributions first.
    pub(crate) fn ranked(&self) -> Vec<usize> {
        let size = |at: usize| self.types[at].contribution.abs();
        let mut order: Vec<usize> = (0..self.types.len()).collect();
        order.sort_by(|a, b| size(*b).total_cmp(&size(*a)).then(a.cmp(b)));
        order
    }

    /// The type of each of `length` positions.
    pub(crate) fn of_positions(&self, length: usize) -> Vec<Option<usize>> {
        let mut all = vec![None; length];
        for (number, kind) in self.types.iter().enumerate() {
            for at in &kind.positions {
                if let Some(slot) = all.get_mut(*at) {
                    *slot = Some(number);
                }
            }
        }
        all
    }
}
