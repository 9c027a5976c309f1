//! SLALOM, the softmax-linked additive log-odds model: a surrogate of transformers with a value and an importance per token.

mod options;
mod result;

use crate::random::RowKey;
use crate::{Control, Error, Result, Sequences};
pub use options::{Design, Fit, INFO, Slalom, Types};
pub use result::{Background, FitLog, Fitted, Pass, Quality, SlalomType, Stop};

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
