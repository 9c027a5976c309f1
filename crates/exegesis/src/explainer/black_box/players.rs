//! Which cells of an input are players.

use exegesis_perturb as perturb;
use exegesis_perturb::{Layout, Players};

use super::scorer::Scorer;
use crate::explainer::Explainer;
use crate::{Error, Result};

/// The players of the row at hand: what the user chose, else what suits input and method.
///
/// # Errors
/// Players that do not fit the input.
pub(super) fn players(
    _explainer: &Explainer,
    _method: &perturb::Method,
    scorer: &Scorer<'_>,
) -> Result<Players> {
    let mut next = 0u32;
    let mut of_cell = vec![];
    for (_, tensor) in scorer.own() {
        of_cell.push((0..tensor.len()).map(|cell| next + cell as u32).collect());
        next += tensor.len() as u32;
    }
    Players::new(of_cell, Layout::Unordered).map_err(|e| Error::usage(format!("{e}.")))
}
