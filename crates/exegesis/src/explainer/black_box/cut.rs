//! What a text of fewer tokens looks like to the model: every input along the tokens is cut alike.

use exegesis_graph::Tensor;
use exegesis_runtime::Port;

use super::scorer::{Scorer, ids, numbers};
use super::tokens::is_same;
use crate::text::Companion;
use crate::{Error, Inputs, Result};

/// How the inputs of one model follow its token ids.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    /// Positions of the row that hold tokens.
    present: Vec<usize>,
    /// Positions of the row, padding included.
    length: usize,
    /// Inputs along the tokens.
    along: Vec<Along>,
    /// True if the model takes texts of one length only: shorter ones are filled up.
    is_fixed: bool,
    /// True if the model is told which positions hold tokens.
    has_mask: bool,
    /// Fills short texts up.
    padding: f64,
}

/// An input along the tokens.
#[derive(Clone, Debug)]
struct Along {
    name: String,
    /// The axes of its row that go along the tokens.
    axes: Vec<usize>,
    what: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Ids,
    With(Companion),
}

impl Cut {
    /// For the row at hand, with the ids in `ids`.
    ///
    /// # Errors
    /// An input of which it is not known how it follows the tokens.
    pub fn of(
        ports: &[Port],
        scorer: &Scorer<'_>,
        ids: &str,
        present: Vec<usize>,
        padding: f64,
    ) -> Result<Self> {
        let shape = |name: &str| ports.iter().find(|p| p.name == name).and_then(|p| p.shape.clone());
        let declared = shape(ids).unwrap_or_default();
        let own = scorer.own_input(ids).map(|t| t.shape().to_vec()).unwrap_or_default();
        // A text is a row of ids; a graph may take it without a batch axis.
        let axis = own.len().saturating_sub(1);
        let length = own.get(axis).copied().unwrap_or(0);
        let is_fixed = declared.get(axis).is_some_and(|d| d.fixed().is_some());
        let mut along = vec![Along { name: ids.to_string(), axes: vec![axis], what: Role::Ids }];
        for input in scorer.inputs().entries() {
            let Some(tensor) = scorer.own_input(&input.name).filter(|_| input.name != ids) else { continue };
            let companion = Companion::of(&input.name, ids);
            let dims = shape(&input.name).unwrap_or_default();
            let axes: Vec<usize> = (0..tensor.rank())
                .filter(|at| tensor.shape()[*at] == length && (*at > 0 || tensor.rank() == 1))
                .filter(|at| is_same(dims.get(*at), declared.get(axis)) || companion.is_some())
                .collect();
            if axes.is_empty() {
                continue;
            }
            let Some(companion) = companion else {
                return Err(Error::input(format!(
                    "input \"{}\" has an entry per token, but it is not known how it changes when tokens are taken out. Choose \
                     imputer=mask, or a white-box method.",
                    input.name
                )));
            };
            if tensor.rank() > 2 && is_additive(&tensor) {
                return Err(Error::input(format!(
                    "input \"{}\" is a mask that is added to attention scores, which can't be cut with the tokens. Choose \
                     imputer=mask, or a white-box method.",
                    input.name
                )));
            }
            along.push(Along { name: input.name.clone(), axes, what: Role::With(companion) });
        }
        let has_mask = along.iter().any(|a| a.what == Role::With(Companion::Mask));
        Ok(Self { present, length, along, is_fixed, has_mask, padding })
    }

    /// True if the model can be run on fewer tokens.
    pub fn is_possible(&self) -> bool {
        !self.is_fixed || self.has_mask
    }

    /// Why it can't.
    pub fn refusal(&self) -> Error {
        Error::usage(format!(
            "the model takes texts of exactly {} tokens and has no mask for shorter ones, so that no token can be deleted. \
             Export it with a sequence axis of open length, or choose a method with imputer=mask.",
            self.length
        ))
    }

    /// The inputs of the model for sequences of equal length, given as positions of the row.
    ///
    /// # Errors
    /// A model that takes no shorter texts.
    pub fn inputs(&self, scorer: &Scorer<'_>, sequences: &[&[usize]]) -> Result<Inputs> {
        if !self.is_possible() {
            return Err(self.refusal());
        }
        let length = sequences.first().map_or(0, |s| s.len());
        if self.is_fixed && length > self.length {
            return Err(Error::input(format!(
                "the model takes {} tokens; a text of {length} does not fit. Choose a design with shorter sequences.",
                self.length
            )));
        }
        let filled = if self.is_fixed { self.length } else { length };
        let mut inputs = Inputs::new();
        for input in scorer.inputs().entries() {
            let Some(own) = scorer.own_input(&input.name) else { continue };
            let tensor = match self.along.iter().find(|a| a.name == input.name) {
                None => scorer.repeated(&input.tensor, sequences.len())?,
                Some(along) => {
                    let values = numbers(&own);
                    let mut cells = vec![];
                    let mut shape = own.shape().to_vec();
                    along.axes.iter().for_each(|axis| shape[*axis] = filled);
                    for sequence in sequences {
                        let from: Vec<Option<usize>> =
                            (0..filled).map(|at| self.source(along, sequence, at)).collect();
                        let empty = if along.what == Role::Ids { self.padding } else { 0.0 };
                        take(&values, own.shape(), &along.axes, &from, empty, &mut cells);
                    }
                    match shape.first_mut() {
                        Some(first) if own.rank() > 1 => *first *= sequences.len(),
                        _ => {}
                    }
                    ids(own.dtype(), shape, cells)?
                }
            };
            inputs = inputs.with(&input.name, tensor);
        }
        Ok(inputs)
    }

    /// Position of the row that the entry `at` of a sequence comes from; `None` behind its end.
    fn source(&self, along: &Along, sequence: &[usize], at: usize) -> Option<usize> {
        let positions = || self.present.get(at).or(self.present.last()).copied();
        // Positions count on to the end; who attends to whom goes by places, not by words.
        if along.what == Role::With(Companion::Positions) {
            return if self.is_fixed { Some(at) } else { positions() };
        }
        let from = *sequence.get(at)?;
        let keeps_order = sequence.windows(2).all(|pair| pair[0] < pair[1]);
        if along.axes.len() > 1 && !keeps_order { positions() } else { Some(from) }
    }
}

/// True for masks of numbers that are added, such as 0 and -10000.
fn is_additive(mask: &Tensor) -> bool {
    mask.dtype().is_float() && {
        let values = numbers(mask);
        values.iter().any(|v| *v < 0.0) || values.iter().all(|v| *v == 0.0)
    }
}

/// Appends a row with the entries of `axes` taken from `from`; `None` is `empty`.
fn take(
    values: &[f64],
    shape: &[usize],
    axes: &[usize],
    from: &[Option<usize>],
    empty: f64,
    out: &mut Vec<f64>,
) {
    let extent = |axis: usize| if axes.contains(&axis) { from.len() } else { shape[axis] };
    let total: usize = (0..shape.len()).map(extent).product();
    for cell in 0..total {
        let (mut rest, mut offset, mut stride, mut is_empty) = (cell, 0, 1, false);
        for axis in (0..shape.len()).rev() {
            let place = rest % extent(axis);
            rest /= extent(axis);
            let place = match axes.contains(&axis) {
                false => place,
                true => from[place].unwrap_or_else(|| {
                    is_empty = true;
                    0
                }),
            };
            offset += place * stride;
            stride *= shape[axis];
        }
        out.push(if is_empty { empty } else { values.get(offset).copied().unwrap_or(empty) });
    }
}

#[cfg(test)]
mod tests {
    use super::take;

    /// Catches masks that are cut on one axis only, and entries behind the end of a text.
    #[test]
    fn both_axes_of_a_mask_are_cut_alike() {
        let mask: Vec<f64> = (0..9).map(f64::from).collect();
        let mut out = vec![];
        take(&mask, &[1, 3, 3], &[1, 2], &[Some(0), Some(2)], -1.0, &mut out);
        assert_eq!(out, [0.0, 2.0, 6.0, 8.0]);
        out.clear();
        take(&mask[..3], &[1, 3], &[1], &[Some(2), None], -1.0, &mut out);
        assert_eq!(out, [2.0, -1.0]);
    }
}
