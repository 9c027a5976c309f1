//! Tokens as players: which are taken out, which always stay, and what a shorter text looks like to the model.

use exegesis_perturb as perturb;
use exegesis_perturb::random::RowKey;
use exegesis_perturb::{Control, FROZEN, ImputerChoice};

use super::Found;
use super::scorer::{Scorer, ids, numbers};
use crate::explainer::Explainer;
use crate::explanation::RowEvidence;
use crate::{Error, Inputs, Result};

/// The text of the row at hand.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    /// The input that holds the ids.
    pub input: String,
    /// Positions of the row, padding included.
    pub length: usize,
    /// Positions of each player, in the order of the text.
    pub positions: Vec<Vec<usize>>,
    /// Per player its type: equal ids are one type.
    pub types: Vec<usize>,
    /// Positions that always stay: special tokens.
    pub frozen: Vec<usize>,
    /// True if a text of what always stays can be scored.
    pub may_be_empty: bool,
}

impl Tokens {
    /// Of the row at hand.
    ///
    /// # Errors
    /// No token ids among the explained inputs, or no player.
    pub fn of(_explainer: &Explainer, scorer: &Scorer<'_>) -> Result<Self> {
        let Some((input, _)) = scorer.names().iter().find(|(_, is_tokens)| *is_tokens) else {
            return Err(Error::usage(
                "this method explains tokens, and the model has no input of token ids. Choose another method.",
            ));
        };
        let own = scorer.own_input(input).ok_or_else(|| Error::input("there are no tokens."))?;
        let values = numbers(&own);
        let mask = scorer.own_input("attention_mask").map(|m| numbers(&m));
        let is_there = |at: &usize| mask.as_ref().is_none_or(|m| m.get(*at).is_none_or(|v| *v != 0.0));
        let positions: Vec<Vec<usize>> = (0..values.len()).filter(is_there).map(|at| vec![at]).collect();
        let mut seen: Vec<f64> = vec![];
        let types = positions
            .iter()
            .map(|p| match seen.iter().position(|id| *id == values[p[0]]) {
                Some(known) => known,
                None => {
                    seen.push(values[p[0]]);
                    seen.len() - 1
                }
            })
            .collect();
        Ok(Self {
            input: input.clone(),
            length: values.len(),
            positions,
            types,
            frozen: vec![],
            may_be_empty: false,
        })
    }

    /// Positions of a sequence with what always stays around it: what stands before the first player in front, what stands
    /// behind the last one behind; in between only where the sequence keeps the order of the text.
    pub fn around(&self, sequence: &[usize]) -> Vec<usize> {
        let players = || self.positions.iter().flatten();
        let (first, last) = (players().min().copied().unwrap_or(0), players().max().copied().unwrap_or(0));
        let mut all: Vec<usize> = self.frozen.iter().copied().filter(|p| *p < first).collect();
        all.extend(sequence);
        all.extend(self.frozen.iter().copied().filter(|p| *p > last));
        all
    }

    /// The inputs of the model for sequences of equal length.
    ///
    /// # Errors
    /// An input along the tokens that can't be cut.
    pub fn inputs(&self, scorer: &Scorer<'_>, sequences: &[&[usize]]) -> Result<Inputs> {
        let length = sequences.first().map_or(0, |s| s.len());
        let mut inputs = Inputs::new();
        for input in scorer.inputs().entries() {
            let Some(own) = scorer.own_input(&input.name) else { continue };
            let is_along = own.shape().len() == 2 && own.shape()[1] == self.length;
            let tensor = if is_along {
                let values = numbers(&own);
                let restarts = input.name.contains("position");
                let cells = sequences.iter().flat_map(|sequence| {
                    sequence.iter().enumerate().map(|(at, from)| values[if restarts { at } else { *from }])
                });
                let cells = cells.collect();
                ids(own.dtype(), vec![sequences.len(), length], cells)?
            } else {
                scorer.repeated(&input.tensor, sequences.len())?
            };
            inputs = inputs.with(&input.name, tensor);
        }
        Ok(inputs)
    }
}

/// The text, where the method takes tokens out by deleting them.
///
/// # Errors
/// As [`Tokens::of`].
pub(super) fn deleted(
    explainer: &Explainer,
    method: &perturb::Method,
    scorer: &Scorer<'_>,
) -> Result<Option<Tokens>> {
    let is_text = scorer.names().iter().any(|(_, is_tokens)| *is_tokens);
    let wanted = matches!(method.imputer(), ImputerChoice::Auto | ImputerChoice::Delete);
    if is_text && wanted { Tokens::of(explainer, scorer).map(Some) } else { Ok(None) }
}

/// The player of each of `cells` positions.
pub(super) fn of_cell(positions: &[Vec<usize>], cells: usize) -> Vec<u32> {
    let mut of_cell = vec![FROZEN; cells];
    for (player, positions) in positions.iter().enumerate() {
        positions.iter().for_each(|p| of_cell[*p] = player as u32);
    }
    of_cell
}

/// Fits SLALOM to the text.
///
/// # Errors
/// As [`perturb::slalom::Slalom::explain`].
pub(super) fn slalom(
    options: &perturb::slalom::Slalom,
    tokens: &Tokens,
    scorer: &mut Scorer<'_>,
    control: &mut Control<'_>,
    key: RowKey,
) -> Result<Found> {
    let text = perturb::slalom::Text {
        positions: tokens.positions.clone(),
        types: tokens.types.clone(),
        may_be_empty: tokens.may_be_empty,
    };
    let fitted = {
        let mut sequences = |list: &[Vec<usize>]| scorer.sequences(tokens, list);
        options.explain(&text, &mut sequences, control, key)
    };
    let fitted = fitted.map_err(|e| scorer.error(e))?;
    let players =
        perturb::Players::new(vec![of_cell(&tokens.positions, tokens.length)], perturb::Layout::Sequence)
            .map_err(|e| Error::usage(format!("{e}.")))?;
    let per_cell = |values: &[f64], shared: bool| players.spread(0, values, shared);
    Ok(Found {
        values: vec![per_cell(&fitted.contributions, true)],
        arrays: vec![
            (format!("value/{}", tokens.input), per_cell(&fitted.values, false)),
            (format!("importance/{}", tokens.input), per_cell(&fitted.importances, false)),
        ],
        total: None,
        evidence: RowEvidence {
            players: tokens.positions.len(),
            model_rows: fitted.model_rows,
            base_value: None,
            r_squared: None,
            largest_standard_error: None,
            is_partial: fitted.is_partial,
            slalom: None,
        },
        warnings: fitted.warnings.clone(),
        notes: fitted.notes.clone(),
        is_partial: fitted.is_partial,
    })
}
