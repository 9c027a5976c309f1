//! What metrics may ask about one sample.
//!
//! * `again`: methods that are asked again.
//! * `graphs`: graphs beside that of the model.
//! * `parameters`: random numbers in place of what a model has learned.

mod again;
mod graphs;
mod parameters;

use exegesis_attribute::Task;
use exegesis_graph::Tensor;
use exegesis_metrics::{Answer, Features, Modality, Moved, Operator, Randomisation, Result, Subject};
use exegesis_perturb::Coalition;

use super::data::Sample;
pub(super) use again::Again;
use again::{Altered, map_row};

use crate::explainer::again::beside;
use crate::explainer::{Probe, Surroundings};
use crate::prediction::RowPrediction;
use crate::{Error, ErrorKind, Inputs};

/// One sample of the data, its model, and the methods.
pub(super) struct Examined<'a, 'p, 'c> {
    pub probe: &'a mut Probe<'p>,
    pub features: Features,
    /// What stands in unless a metric says otherwise.
    pub operator: Operator,
    /// The methods.
    pub again: &'a mut Again<'c>,
    /// Which sample it is, and the rows of its chunk.
    pub sample: Sample,
    pub inputs: &'a Inputs,
    /// The data around it.
    pub surroundings: &'a Surroundings,
    /// What was explained last around the sample: several metrics ask for the same.
    pub around: Option<(usize, Vec<Vec<f64>>, Vec<Moved>)>,
}

/// As metrics hear of errors of the engine.
fn told(error: Error) -> exegesis_metrics::Error {
    match error.kind() {
        ErrorKind::Usage | ErrorKind::NoRule => exegesis_metrics::Error::NotApplicable(error.to_string()),
        _ => exegesis_metrics::Error::Failed(error.to_string()),
    }
}

impl Examined<'_, '_, '_> {
    /// Rows of the model's inputs at `x + delta`.
    fn rows_at(&self, deltas: &[Vec<f64>]) -> Result<Inputs> {
        let cells = self.cells()?;
        let mut changed = vec![];
        let mut start = 0;
        for (name, own) in self.probe.own() {
            let end = start + own.len();
            let mut values = Vec::with_capacity(own.len() * deltas.len());
            for delta in deltas {
                let moved = cells
                    .get(start..end)
                    .into_iter()
                    .flatten()
                    .zip(delta.get(start..end).into_iter().flatten());
                values.extend(moved.map(|(x, d)| x + d));
            }
            let mut shape = own.shape().to_vec();
            match (self.probe.splits(), shape.first_mut()) {
                (true, Some(first)) => *first = deltas.len(),
                // The input as a whole is one row, with an axis in front of its own.
                _ => drop(shape.remove(0)),
            }
            let tensor = Tensor::from_f64(own.dtype(), shape, values).map_err(|e| told(e.into()))?;
            changed.push((name.clone(), tensor));
            start = end;
        }
        beside(self.inputs, self.sample.row, &changed).map_err(told)
    }

    /// How many rows go into one explanation.
    fn at_once(&self) -> usize {
        if self.probe.splits() { usize::MAX } else { 1 }
    }

    /// Explanations of a method at `x + delta`.
    fn at(&mut self, method: usize, altered: Altered, deltas: &[Vec<f64>]) -> Result<Vec<Moved>> {
        let class = self.again.class_of(method, &self.sample).map_err(told)?;
        let clean = self.again.clean(method).map_err(told)?;
        let (task, before) =
            (clean.task, clean.predictions.get(self.sample.row).cloned().unwrap_or_default());
        let mut all = vec![];
        for part in deltas.chunks(self.at_once().min(deltas.len().max(1))) {
            let rows = self.rows_at(part)?;
            let classes = class.map(|class| vec![class; part.len()]);
            let found = self.again.explained(method, altered, rows, classes.as_deref()).map_err(told)?;
            let explainer = self.again.method(method).map_err(told)?;
            for row in 0..part.len() {
                let prediction = found.predictions.get(row).cloned().unwrap_or_default();
                all.push(Moved {
                    map: map_row(&found, row, &self.features, explainer).map_err(told)?,
                    is_same_class: is_same(task, &before, &prediction),
                    logits: prediction.scores,
                });
            }
        }
        Ok(all)
    }
}

/// True if the class with the largest score is the same.
fn is_same(task: Task, a: &RowPrediction, b: &RowPrediction) -> bool {
    match task {
        Task::Classification | Task::NextToken | Task::Binary => a.index == b.index,
        _ => true,
    }
}

impl Subject for Examined<'_, '_, '_> {
    fn features(&self) -> &Features {
        &self.features
    }

    fn masked(&mut self, operator: Operator, keep: &[Coalition]) -> Result<Vec<Answer>> {
        self.probe.masked(operator, keep).map_err(told)
    }

    fn rows_per_question(&self, operator: Operator) -> usize {
        self.probe.rows_per_question(operator)
    }

    fn cells(&self) -> Result<Vec<f64>> {
        let own = self.probe.own();
        match own.iter().find(|(_, tensor)| !tensor.dtype().is_float()) {
            Some((name, _)) => Err(exegesis_metrics::Error::NotApplicable(format!(
                "the input \"{name}\" holds tokens or whole numbers, which can't be moved a little"
            ))),
            None => Ok(own.iter().flat_map(|(_, tensor)| tensor.to_f64().unwrap_or_default()).collect()),
        }
    }

    fn range(&self) -> f64 {
        self.ranges().map_or(1.0, |ranges| ranges.into_iter().fold(0.0, f64::max))
    }

    fn ranges(&self) -> Result<Vec<f64>> {
        let own = self.cells()?;
        let by_column = self.features.modality == Modality::Table;
        let known = self.again.widths(self.surroundings, by_column);
        let mut ranges = vec![];
        for (name, tensor) in self.probe.own() {
            let cells = tensor.len();
            match known.iter().find(|(input, _)| input == name) {
                Some((_, widths)) if by_column && widths.len() == cells => ranges.extend(widths),
                Some((_, widths)) if !by_column => {
                    ranges.extend(std::iter::repeat_n(widths.first().copied().unwrap_or(0.0), cells));
                }
                // Data of other sizes, and none around: the sample itself.
                _ => {
                    let at = ranges.len();
                    let part = own.get(at..at + cells).unwrap_or_default();
                    let (low, high) = part
                        .iter()
                        .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
                    ranges.extend(std::iter::repeat_n((high - low).max(0.0), cells));
                }
            }
        }
        if ranges.iter().all(|range| *range == 0.0) {
            return Err(exegesis_metrics::Error::NotApplicable(
                "the data has no range that noise could be measured by: give more than one row".to_string(),
            ));
        }
        Ok(ranges)
    }

    fn blended(&mut self, operator: Operator, masks: &[Vec<f64>]) -> Result<Vec<Answer>> {
        self.probe.blended(operator, masks).map_err(told)
    }

    fn baseline_cells(&self) -> Result<Vec<f64>> {
        self.probe.baseline_cells(self.operator).map_err(told)
    }

    fn moved(&mut self, deltas: &[Vec<f64>]) -> Result<Vec<Answer>> {
        self.probe.moved(deltas).map_err(told)
    }

    fn drawn(&mut self, draws: &[(usize, u64)]) -> Result<Vec<Answer>> {
        let sets: Vec<(Vec<usize>, u64)> = draws.iter().map(|(f, draw)| (vec![*f], *draw)).collect();
        self.probe.drawn(&sets).map_err(told)
    }

    fn drawn_together(&mut self, draws: &[(Vec<usize>, u64)]) -> Result<Vec<Answer>> {
        self.probe.drawn(draws).map_err(told)
    }

    fn segments(&mut self, count: usize) -> Result<Vec<usize>> {
        self.probe.segments(count).map_err(told)
    }

    fn values_and_importances(&self, method: usize) -> Result<Option<(Vec<f64>, Vec<f64>)>> {
        self.again.slalom(method, self.sample.row, &self.features).map_err(told)
    }

    fn output_deviation(&mut self) -> Option<f64> {
        self.probe.output_deviation()
    }

    fn explained_at(&mut self, method: usize, deltas: &[Vec<f64>]) -> Result<Vec<Moved>> {
        if let Some((of, at, moved)) = &self.around
            && *of == method
            && at == deltas
        {
            return Ok(moved.clone());
        }
        let moved = self.at(method, Altered::Nothing, deltas)?;
        self.around = Some((method, deltas.to_vec(), moved.clone()));
        Ok(moved)
    }

    fn explained_again(&mut self, method: usize, seed: u64) -> Result<Vec<f64>> {
        self.again.of_run(method, Altered::Seed(seed), &self.sample, &self.features).map_err(told)
    }

    fn classes(&self) -> Option<(usize, usize)> {
        self.again.class_range(&self.sample)
    }

    fn explained_for(&mut self, method: usize, class: usize) -> Result<Vec<f64>> {
        if self.classes().is_none() {
            return Err(exegesis_metrics::Error::NotApplicable("the task has no other class".to_string()));
        }
        let explainer = self.again.method(method).map_err(told)?;
        let rows = beside(self.inputs, self.sample.row, &[]).map_err(told)?;
        let class = [i64::try_from(class).unwrap_or_default()];
        let found = self.again.explained(method, Altered::Nothing, rows, Some(&class)).map_err(told)?;
        map_row(&found, 0, &self.features, explainer).map_err(told)
    }

    fn layers(&self) -> Result<Vec<String>> {
        self.again.layer_names().map_err(told)
    }

    fn explained_randomised(
        &mut self,
        method: usize,
        how: Randomisation,
        deltas: &[Vec<f64>],
    ) -> Result<Vec<Vec<f64>>> {
        let altered = Altered::Parameters(how);
        match deltas {
            [] => Ok(vec![self.again.of_run(method, altered, &self.sample, &self.features).map_err(told)?]),
            _ => Ok(self.at(method, altered, deltas)?.into_iter().map(|moved| moved.map).collect()),
        }
    }

    fn explained_shifted(&mut self, method: usize, shift: f64, moves_baseline: bool) -> Result<Vec<f64>> {
        self.cells()?;
        let altered = Altered::Shift(shift.to_bits(), moves_baseline);
        self.again.of_run(method, altered, &self.sample, &self.features).map_err(told)
    }

    fn representation(&mut self, deltas: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
        let explainer = self.again.method(0).map_err(told)?;
        let name = graphs::last_linear_input(explainer.model().graph()).map_err(told)?;
        let mut all = vec![];
        for part in deltas.chunks(self.at_once().min(deltas.len().max(1))) {
            let values = explainer.hidden(&name, &self.rows_at(part)?).map_err(told)?;
            if values.shape().first() != Some(&part.len()) {
                return Err(exegesis_metrics::Error::NotApplicable(
                    "the rows of the input of the last linear layer can't be told apart".to_string(),
                ));
            }
            let numbers = values.to_f64().unwrap_or_default();
            let stride = numbers.len() / part.len().max(1);
            all.extend(numbers.chunks(stride.max(1)).map(<[f64]>::to_vec));
        }
        Ok(all)
    }

    fn explained_variants(&mut self, method: usize) -> Result<Vec<(String, Vec<f64>)>> {
        let names = self.again.variants().map_err(told)?;
        let mut all = vec![];
        for (index, name) in names.into_iter().enumerate() {
            let map = self.again.of_run(method, Altered::Graph(index), &self.sample, &self.features);
            all.push((name, map.map_err(told)?));
        }
        Ok(all)
    }
}
