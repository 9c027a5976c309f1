//! What stands in for cells that are taken out.

use exegesis_graph::{Data, Tensor};

use crate::{Coalition, Error, FROZEN, Players, Result};

/// What stands in for absent players of a row.
#[derive(Clone, Debug)]
pub enum Imputer {
    /// One row of references per explained input, `[1, ...]`: zeros, a mean, a blurred picture, the id of `[MASK]`.
    Reference(Vec<Tensor>),
    /// Several rows per explained input, `[rows, ...]`: the score is the mean over them (the interventional expectation).
    Rows(Vec<Tensor>),
}

impl Imputer {
    /// Model rows that one coalition takes.
    pub fn rows_per_coalition(&self) -> usize {
        match self {
            Self::Reference(_) => 1,
            Self::Rows(rows) => rows.first().and_then(|t| t.shape().first()).copied().unwrap_or(1).max(1),
        }
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
            Self::Reference(tensors) | Self::Rows(tensors) => tensors,
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
            if !fits {
                return Err(Error::Request(format!(
                    "the baseline of \"{name}\" does not fit rows of shape {:?}",
                    tensor.shape().get(1..).unwrap_or_default()
                )));
            }
        }
        Ok(())
    }

    /// The rows of `coalitions`, one after the other; where there are several references, all of them per coalition.
    pub(crate) fn impute(
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

    /// The rows of soft `masks`: `m * own + (1 - m) * reference`.
    pub(crate) fn blend(
        &self,
        row: &[(String, Tensor)],
        players: &Players,
        masks: &[Vec<f32>],
    ) -> Result<Vec<(String, Tensor)>> {
        let Self::Reference(references) = self else {
            return Err(Error::Request("soft masks need one baseline, not several rows".to_string()));
        };
        let mut batch = Vec::with_capacity(row.len());
        for (index, (name, own)) in row.iter().enumerate() {
            let of_cell = players.of_cells(index);
            let (Data::F32(values), Some(Data::F32(other))) =
                (own.data(), references.get(index).map(Tensor::data))
            else {
                return Err(Error::Request(format!(
                    "input \"{name}\" holds {}, which can't be there in part; choose another method",
                    own.dtype()
                )));
            };
            let mut all = Vec::with_capacity(values.len() * masks.len());
            for mask in masks {
                all.extend(values.iter().zip(other).zip(of_cell).map(|((own, other), player)| {
                    let m = if *player == FROZEN {
                        1.0
                    } else {
                        mask.get(*player as usize).copied().unwrap_or(0.0)
                    };
                    m * own + (1.0 - m) * other
                }));
            }
            let mut shape = own.shape().to_vec();
            if let Some(first) = shape.first_mut() {
                *first = masks.len();
            }
            let tensor = Tensor::new(shape, all).map_err(|e| Error::Failed(e.to_string()))?;
            batch.push((name.clone(), tensor));
        }
        Ok(batch)
    }
}
