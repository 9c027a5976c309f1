//! Changed rows that are no masks: features there in part, moved cells, draws from the data, segments.

use exegesis_graph::Tensor;
use exegesis_metrics::{Answer, Modality, Operator};
use exegesis_perturb::random::Stream;
use exegesis_perturb::{FROZEN, Imputer, Slic, slic};

use super::super::scorer::numbers;
use super::{Probe, operators};
use crate::{Error, Result};

/// Rows of the data that the spread of the output is taken from.
const SPREAD_ROWS: usize = 256;

impl Probe<'_> {
    /// Answers where features are there in part, `mask * x + (1 - mask) * replacement`.
    ///
    /// # Errors
    /// Tokens, and operators whose replacement depends on what is left or is drawn.
    pub fn blended(&mut self, operator: Operator, masks: &[Vec<f64>]) -> Result<Vec<Answer>> {
        let references = self.reference(operator)?;
        let features = self.features()?;
        let mut batch = vec![];
        for (index, (name, own)) in self.own().iter().enumerate() {
            let (values, other) = (numbers(own), &references[index]);
            let of_cell = features.players.of_cells(index);
            let mut all = Vec::with_capacity(values.len() * masks.len());
            for mask in masks {
                all.extend(values.iter().zip(other).zip(of_cell).map(|((own, other), player)| {
                    let m = if *player == FROZEN { 1.0 } else { mask[*player as usize] };
                    m * own + (1.0 - m) * other
                }));
            }
            batch.push((name.clone(), stacked(own, masks.len(), all)?));
        }
        self.predicted(&batch)
    }

    /// One row of what stands in, per explained input.
    fn reference(&self, operator: Operator) -> Result<Vec<Vec<f64>>> {
        self.refuse_tokens()?;
        let row = self.at_hand()?;
        let made = operators::made(operator, row, &self.scorer, self.surroundings, self.key)?;
        match made.imputer {
            Imputer::Reference(tensors) => Ok(tensors.iter().map(numbers).collect()),
            _ => Err(Error::usage(format!(
                "features can't be there in part under the operator {}. Choose zero, mean, blur or median.",
                operator.name()
            ))),
        }
    }

    fn refuse_tokens(&self) -> Result<()> {
        match self.features()?.modality {
            Modality::Text => Err(Error::usage("tokens can't be there in part or moved.")),
            _ => Ok(()),
        }
    }

    /// The cells of the explained inputs of the row at hand, one input after the other.
    ///
    /// # Errors
    /// Tokens.
    pub fn cells(&self) -> Result<Vec<f64>> {
        self.refuse_tokens()?;
        Ok(self.own().iter().flat_map(|(_, tensor)| numbers(tensor)).collect())
    }

    /// The cells of what stands for nothing.
    ///
    /// # Errors
    /// As [`Probe::blended`].
    pub fn baseline_cells(&self, operator: Operator) -> Result<Vec<f64>> {
        Ok(self.reference(operator)?.concat())
    }

    /// Answers at `x + delta`.
    ///
    /// # Errors
    /// Tokens, and deltas of another length than [`Probe::cells`].
    pub fn moved(&mut self, deltas: &[Vec<f64>]) -> Result<Vec<Answer>> {
        let cells = self.cells()?;
        if let Some(wrong) = deltas.iter().find(|delta| delta.len() != cells.len()) {
            return Err(Error::input(format!(
                "{} changes are given for {} cells.",
                wrong.len(),
                cells.len()
            )));
        }
        let mut start = 0;
        let mut batch = vec![];
        for (name, own) in self.own() {
            let range = start..start + own.len();
            let row = |delta: &Vec<f64>| -> Vec<f64> {
                cells[range.clone()].iter().zip(&delta[range.clone()]).map(|(x, d)| x + d).collect()
            };
            let all: Vec<f64> = deltas.iter().flat_map(row).collect();
            start += own.len();
            batch.push((name.clone(), stacked(own, deltas.len(), all)?));
        }
        self.predicted(&batch)
    }

    /// Answers where sets of features come from one draw: their cells of a row of the data, noise of their channel in pictures,
    /// tokens of the data in texts.
    ///
    /// # Errors
    /// No data to draw from.
    pub fn drawn(&mut self, draws: &[(Vec<usize>, u64)]) -> Result<Vec<Answer>> {
        let features = self.features()?.clone();
        if features.modality == Modality::Image {
            self.make(Operator::Noise)?;
        }
        let mut batch = vec![];
        for (index, (name, own)) in self.own().iter().enumerate() {
            let (values, of_cell) = (numbers(own), features.players.of_cells(index));
            let data = self.surroundings.rows.as_ref().and_then(|rows| rows.get(name));
            let pool = match (features.modality, data) {
                (Modality::Image, _) => vec![],
                (Modality::Text, _) => self.words(index, data.map(|input| &input.tensor)),
                (_, Some(input)) => numbers(&input.tensor),
                _ => return Err(Error::usage("there is no data to draw features from.")),
            };
            let rows = pool.len() / values.len().max(1);
            let noise = match self.at_hand()?.made.get(&Operator::Noise).map(|made| &made.imputer) {
                Some(Imputer::Rows(tensors)) if features.modality == Modality::Image => {
                    numbers(&tensors[index])
                }
                _ => vec![],
            };
            let mut all = Vec::with_capacity(values.len() * draws.len());
            for (set, draw) in draws {
                let first = set.first().copied().unwrap_or(0);
                let mut random = Stream::new(self.key, &format!("draws of feature {first}"), *draw);
                let row = random.below(rows);
                let versions = noise.len() / values.len().max(1);
                let mut changed = values.clone();
                for (cell, value) in changed.iter_mut().enumerate() {
                    if of_cell[cell] == FROZEN || !set.contains(&(of_cell[cell] as usize)) {
                        continue;
                    }
                    let found = match features.modality {
                        // Draws beyond those of the operator are made of cells at random places.
                        Modality::Image => {
                            let version = random.below(versions);
                            noise.get(version * values.len() + cell)
                        }
                        Modality::Text => pool.get(random.below(pool.len())),
                        _ => pool.get(row * values.len() + cell),
                    };
                    *value = found.copied().unwrap_or(*value);
                }
                all.extend(changed);
            }
            batch.push((name.clone(), stacked(own, draws.len(), all)?));
        }
        self.predicted(&batch)
    }

    /// Tokens of the data that words are drawn from: those that are special here are none.
    fn words(&self, index: usize, data: Option<&Tensor>) -> Vec<f64> {
        let Some((_, own)) = self.own().get(index) else { return vec![] };
        let values = numbers(own);
        let Ok(features) = self.features() else { return vec![] };
        let of_cell = features.players.of_cells(index);
        let mut special: Vec<f64> =
            values.iter().zip(of_cell).filter(|(_, p)| **p == FROZEN).map(|(v, _)| *v).collect();
        if let Some(ids) = self.scorer.inputs().special_ids() {
            special.extend([ids.mask, ids.padding].into_iter().flatten().map(|id| id as f64));
        }
        data.map_or(values, numbers).into_iter().filter(|v| !special.contains(v)).collect()
    }

    /// The segment of each feature: super-pixels of a picture, equal windows of a series.
    ///
    /// # Errors
    /// Other data.
    pub fn segments(&self, count: usize) -> Result<Vec<usize>> {
        let row = self.at_hand()?;
        match (row.features.modality, row.features.grid(), &row.colours) {
            (Modality::Image, Some(grid), Some(colours)) if colours.len() == grid[0] * grid[1] => {
                let settings = Slic { segments: count, ..Slic::default() };
                Ok(slic(colours, grid, settings).into_iter().map(|s| s as usize).collect())
            }
            (Modality::Series, _, _) => {
                let n = row.features.count();
                let side = n.div_ceil(count.max(1)).max(1);
                Ok((0..n).map(|f| f / side).collect())
            }
            _ => Err(Error::usage("segments are for pictures of one input and for series.")),
        }
    }

    /// Of regression the standard deviation of the output over the data.
    pub fn output_deviation(&mut self) -> Option<f64> {
        use exegesis_attribute::Task;
        if matches!(self.task, Task::Classification | Task::NextToken | Task::Binary | Task::MultiLabel) {
            return None;
        }
        if self.deviation.is_none() {
            self.deviation = Some(self.spread().unwrap_or(0.0));
        }
        self.deviation
    }

    fn spread(&mut self) -> Option<f64> {
        let rows = self.surroundings.rows.as_ref()?;
        let count = rows.rows().min(SPREAD_ROWS);
        let mut batch = vec![];
        for (name, _) in self.own() {
            let tensor = &rows.get(name)?.tensor;
            batch.push((name.clone(), crate::inputs::slice_rows(tensor, 0..count).ok()?));
        }
        let outputs: Vec<f64> = self.predicted(&batch).ok()?.iter().map(|a| a.logit).collect();
        let mean = outputs.iter().sum::<f64>() / count.max(1) as f64;
        Some((outputs.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count.max(1) as f64).sqrt())
    }
}

/// Rows one after the other, of the type and size of `own`.
fn stacked(own: &Tensor, rows: usize, values: Vec<f64>) -> Result<Tensor> {
    let mut shape = own.shape().to_vec();
    if let Some(first) = shape.first_mut() {
        *first = rows;
    }
    Ok(Tensor::from_f64(own.dtype(), shape, values)?)
}
