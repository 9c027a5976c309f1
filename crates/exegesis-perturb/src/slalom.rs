//! SLALOM, the softmax-linked additive log-odds model: a surrogate of transformers with a value and an importance per token.

use exegesis_catalogue::{Error as OptionError, MethodInfo, Options, ParameterInfo, Result as OptionResult};

use crate::random::RowKey;
use crate::{Control, Error, Result, Sequences};

/// Options of `slalom`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Slalom {
    /// Queries; `None` is clamp(20 n, 500, 5000) for n types.
    pub samples: Option<usize>,
}

/// `slalom`.
pub const INFO: MethodInfo = MethodInfo {
    name: "slalom",
    summary: "A value and an importance per token, fitted to the model's log-odds of short or thinned texts.",
    formula: "f(x) = sum_i a_i v_i, a_i = exp(s_i) / sum_j exp(s_j)",
    cost: "samples short forwards",
    misleads: "...",
    citation: "Leemann, Fastowski, Pfeiffer, Kasneci 2025, arXiv 2405.13536",
    parameters: Slalom::PARAMETERS,
};

impl Options for Slalom {
    const PARAMETERS: &'static [ParameterInfo] = &[];

    fn set(&mut self, key: &str, _value: &str) -> OptionResult<()> {
        Err(OptionError(format!("`slalom` has no option {key}")))
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![]
    }
}

/// The players of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// Per player, in the order of the text, its positions (one, or several pieces of a word), ascending.
    pub positions: Vec<Vec<usize>>,
    /// Per player its type, from 0 without gaps: players of a type are equal.
    pub types: Vec<usize>,
    /// True if a text of special tokens only can be scored.
    pub may_be_empty: bool,
}

/// What was fitted to a text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fitted {
    /// Contribution per player, `alpha_i v_i`: they sum to the surrogate's score.
    pub contributions: Vec<f64>,
    /// Value per player.
    pub values: Vec<f64>,
    /// Importance per player, centred over the types.
    pub importances: Vec<f64>,
    /// Queries that the model was run on.
    pub model_rows: usize,
    /// What the user must know before trusting the values.
    pub warnings: Vec<String>,
    /// What was chosen.
    pub notes: Vec<String>,
    /// True if it was stopped early.
    pub is_partial: bool,
}

impl Slalom {
    /// Fits the surrogate to a text.
    ///
    /// # Errors
    /// A predictor that fails, or a text without players.
    pub fn explain(
        &self,
        _text: &Text,
        _sequences: &mut dyn Sequences,
        _control: &mut Control<'_>,
        _key: RowKey,
    ) -> Result<Fitted> {
        Err(Error::Request("`slalom` comes with another branch".to_string()))
    }
}
