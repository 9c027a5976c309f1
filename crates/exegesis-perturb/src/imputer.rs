//! What stands in for cells that are taken out.

pub mod fill;
mod neighbours;

use exegesis_graph::{Data, Tensor};

use crate::players::Places;
use crate::{Coalition, Error, FROZEN, Players, Result};

/// What stands in for absent players of a row.
#[derive(Clone, Debug)]
pub enum Imputer {
    /// One row of references per explained input, `[1, ...]`: zeros, a mean, a blurred picture, the id of `[MASK]`.
    Reference(Vec<Tensor>),
    /// Several rows per explained input, `[rows, ...]`: the score is the mean over them (the interventional expectation).
    Rows(Vec<Tensor>),
    /// The nearest cells that are left: a cell is the mean of the next ones to the left and right (above and below, in
    /// pictures) of its channel, each weighted by 1 / distance; without one of them, the mean of all that are left.
    Neighbours {
        /// Where the cells of each explained input are.
        places: Vec<Places>,
        /// What stands in where nothing is left.
        references: Vec<Tensor>,
    },
}

impl Imputer {
    /// Model rows that one coalition takes.
    pub fn rows_per_coalition(&self) -> usize {
        match self {
            Self::Reference(_) | Self::Neighbours { .. } => 1,
            Self::Rows(rows) => rows.first().and_then(|t| t.shape().first()).copied().unwrap_or(1).max(1),
        }
    }

    /// True if what stands in for a cell does not depend on who is present, so that players can be there in part.
    pub fn is_fixed(&self) -> bool {
        !matches!(self, Self::Neighbours { .. })
    }

    /// Of several references, per one the mean of each player's cells.
    pub(crate) fn means(&self, players: &Players) -> Option<Vec<Vec<f64>>> {
        let Self::Rows(tensors) = self else { return None };
        let mut sums = vec![vec![0.0; players.count()]; self.rows_per_coalition()];
        for (index, tensor) in tensors.iter().enumerate() {
            let of_cell = players.of_cells(index);
            let numbers = tensor.to_f64()?;
            for (sums, row) in sums.iter_mut().zip(numbers.chunks(of_cell.len().max(1))) {
                for (player, number) in of_cell.iter().zip(row).filter(|(p, _)| **p != FROZEN) {
                    sums[*player as usize] += number;
                }
            }
        }
        let sizes = players.sizes();
        sums.iter_mut()
            .for_each(|row| row.iter_mut().zip(&sizes).for_each(|(sum, size)| *sum /= *size as f64));
        Some(sums)
    }

    fn references(&self) -> &[Tensor] {
        match self {
            Self::Reference(tensors) | Self::Rows(tensors) | Self::Neighbours { references: tensors, .. } => {
                tensors
            }
        }
    }

    /// # Errors
    /// References of other shapes than the explained inputs.
    pub(crate) fn check(&self, row: &[(String, Tensor)]) -> Result<()> {
        for (index, (name, tensor)) in row.iter().enumerate() {
            let reference = self.references().get(index);
            let fits = reference.is_some_and(|r| {
                r.shape().get(1..) == tensor.shape().get(1..)
                    && r.dtype() == tensor.dtype()
                    && r.shape().first() == Some(&self.rows_per_coalition())
            });
            let is_placed = match self {
                Self::Neighbours { places, .. } => {
                    places.get(index).is_some_and(|p| p.cells() == tensor.len()) && tensor.dtype().is_float()
                }
                _ => true,
            };
            if !fits || !is_placed {
                return Err(Error::Request(format!(
                    "the baseline of \"{name}\" does not fit rows of shape {:?}",
                    tensor.shape().get(1..).unwrap_or_default()
                )));
            }
        }
        Ok(())
    }

    /// The rows of `coalitions`, one after the other; where there are several references, all of them per coalition.
    pub fn impute(
        &self,
        row: &[(String, Tensor)],
        players: &Players,
        coalitions: &[Coalition],
    ) -> Result<Vec<(String, Tensor)>> {
        let per = self.rows_per_coalition();
        let mut batch = Vec::with_capacity(row.len());
        for (index, (name, own)) in row.iter().enumerate() {
            let of_cell = players.of_cells(index);
            let Some(reference) = self.references().get(index) else { continue };
            let mut shape = own.shape().to_vec();
            if let Some(first) = shape.first_mut() {
                *first = coalitions.len() * per;
            }
            if let Self::Neighbours { places, .. } = self {
                let Some(places) = places.get(index) else { continue };
                let (own_values, reference) =
                    (own.to_f64().unwrap_or_default(), reference.to_f64().unwrap_or_default());
                let cells = coalitions.iter().flat_map(|coalition| {
                    let is_left = |cell: usize| {
                        let player = of_cell[cell];
                        player == FROZEN || coalition.contains(player as usize)
                    };
                    neighbours::fill(&own_values, &reference, places, is_left)
                });
                let tensor = Tensor::from_f64(own.dtype(), shape, cells.collect())
                    .map_err(|e| Error::Failed(e.to_string()))?;
                batch.push((name.clone(), tensor));
                continue;
            }
            macro_rules! filled {
                ($($v:ident),*) => { match (own.data(), reference.data()) {
                    $( (Data::$v(own), Data::$v(reference)) => {
                        let mut all = Vec::with_capacity(own.len() * coalitions.len() * per);
                        for coalition in coalitions {
                            for one in reference.chunks(own.len().max(1)) {
                                all.extend(own.iter().zip(one).zip(of_cell).map(|((own, other), player)| {
                                    if *player == FROZEN || coalition.contains(*player as usize) { *own } else { *other }
                                }));
                            }
                        }
                        Data::$v(all)
                    } )*
                    _ => return Err(Error::Request(format!("input \"{name}\" holds no numbers that can be replaced"))),
                } };
            }
            let data = filled!(F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64, Bool);
            let tensor = Tensor::new(shape, data).map_err(|e| Error::Failed(e.to_string()))?;
            batch.push((name.clone(), tensor));
        }
        Ok(batch)
    }

    /// The rows of soft `masks`: `m * own + (1 - m) * reference`; where there are several references, all of them per mask.
    pub(crate) fn blend(
        &self,
        row: &[(String, Tensor)],
        players: &Players,
        masks: &[Vec<f32>],
    ) -> Result<Vec<(String, Tensor)>> {
        let mut batch = Vec::with_capacity(row.len());
        for (index, (name, own)) in row.iter().enumerate() {
            let of_cell = players.of_cells(index);
            let reference =
                self.references().get(index).filter(|_| self.is_fixed() && own.dtype().is_float());
            let Some(reference) = reference else {
                return Err(Error::Request(format!(
                    "input \"{name}\" can't be there in part; choose another imputer or method"
                )));
            };
            let mut shape = own.shape().to_vec();
            if let Some(first) = shape.first_mut() {
                *first = masks.len() * self.rows_per_coalition();
            }
            let part = |mask: &[f32], player: u32| match player {
                FROZEN => 1.0,
                player => mask.get(player as usize).copied().unwrap_or(0.0),
            };
            let tensor = if let (Data::F32(values), Data::F32(other)) = (own.data(), reference.data()) {
                let mut all = Vec::with_capacity(other.len() * masks.len());
                for mask in masks {
                    for one in other.chunks(values.len().max(1)) {
                        all.extend(values.iter().zip(one).zip(of_cell).map(|((own, other), player)| {
                            let m = part(mask, *player);
                            m * own + (1.0 - m) * other
                        }));
                    }
                }
                Tensor::new(shape, all)
            } else {
                let values = own.to_f64().unwrap_or_default();
                let other = reference.to_f64().unwrap_or_default();
                let mut all = Vec::with_capacity(other.len() * masks.len());
                for mask in masks {
                    for one in other.chunks(values.len().max(1)) {
                        all.extend(values.iter().zip(one).zip(of_cell).map(|((own, other), player)| {
                            let m = f64::from(part(mask, *player));
                            m * own + (1.0 - m) * other
                        }));
                    }
                }
                Tensor::from_f64(own.dtype(), shape, all)
            };
            batch.push((name.clone(), tensor.map_err(|e| Error::Failed(e.to_string()))?));
        }
        Ok(batch)
    }

    /// The row with each player's cells moved by so many standard deviations of the reference rows.
    ///
    /// # Errors
    /// No rows to take deviations from, or an input that is not of floats.
    pub(crate) fn moved(
        &self,
        row: &[(String, Tensor)],
        players: &Players,
        steps: &[Vec<f64>],
    ) -> Result<Vec<(String, Tensor)>> {
        let Self::Rows(references) = self else {
            return Err(Error::Request(
                "sampling=gaussian moves cells by their standard deviations, which need rows to be taken from; give \
                 several with --baseline FILE"
                    .to_string(),
            ));
        };
        let mut batch = Vec::with_capacity(row.len());
        for (index, (name, own)) in row.iter().enumerate() {
            let of_cell = players.of_cells(index);
            let Some(reference) = references.get(index).filter(|_| own.dtype().is_float()) else {
                return Err(Error::Request(format!(
                    "input \"{name}\" holds {}, which can't be moved; choose sampling=binary",
                    own.dtype()
                )));
            };
            let values = own.to_f64().unwrap_or_default();
            let deviations = fill::deviations(&reference.to_f64().unwrap_or_default(), values.len());
            let mut shape = own.shape().to_vec();
            if let Some(first) = shape.first_mut() {
                *first = steps.len();
            }
            let mut all = Vec::with_capacity(values.len() * steps.len());
            for step in steps {
                all.extend(values.iter().zip(&deviations).zip(of_cell).map(|((own, sd), player)| {
                    own + sd * step.get(*player as usize).copied().unwrap_or(0.0)
                }));
            }
            let tensor =
                Tensor::from_f64(own.dtype(), shape, all).map_err(|e| Error::Failed(e.to_string()))?;
            batch.push((name.clone(), tensor));
        }
        Ok(batch)
    }
}
