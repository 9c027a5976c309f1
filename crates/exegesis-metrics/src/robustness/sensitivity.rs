//! R1, largest and average sensitivity.

use exegesis_catalogue::{Options, ParameterInfo, Result as Read};
use exegesis_perturb::random::{RowKey, Stream};

use super::neighbours::{DRAWS, MOVABLE, NOISE, NONE_KEPT, Neighbours, RADIUS, distance, method, norm};
use crate::{Bench, Direction, Error, Family, Metric, MetricInfo, Outcome, Result, View};

/// Catalogue entry of the largest.
pub(super) const MAX: MetricInfo = MetricInfo {
    name: "max-sensitivity",
    id: "R1",
    version: 1,
    family: Family::Robustness,
    direction: Direction::Down,
    summary: "How far the map moves, at most, when the sample moves a little: the largest relative change over neighbours that \
              keep the class. Methods with random numbers use the same ones everywhere; how far another seed moves the map \
              is told beside it.",
    formula: "max_d ||E(x + d) - E(x)|| / ||E(x)||",
    cost: "11 explanations, shared with the other metrics of the family, and 1 with another seed",
    modalities: MOVABLE,
    misleads: "a constant map is perfectly stable; a model that changes quickly itself is held against the method.",
    check: "gradient of a linear model 0; map x at ones with radius .2: at most .2",
    citation: "Yeh et al., NeurIPS 2019",
    parameters: &[RADIUS, DRAWS, NOISE],
};

/// Catalogue entry of the average.
pub(super) const AVERAGE: MetricInfo = MetricInfo {
    name: "average-sensitivity",
    summary: "How far the map moves on average when the sample moves a little: the mean relative change over neighbours that \
              keep the class.",
    formula: "mean_d ||E(x + d) - E(x)|| / ||E(x)||",
    ..MAX
};

/// Relative changes of the map over neighbours, and under another seed.
fn evaluate(
    neighbours: &Neighbours,
    (view, bench): (&View<'_>, &mut Bench<'_>),
    put_together: fn(&[f64]) -> f64,
) -> Result<Outcome> {
    let around = neighbours.explained(view, bench)?;
    let length = norm(around.clean.map.iter().copied());
    if length == 0.0 {
        return Ok(Outcome::undefined("the map is all zeros"));
    }
    let changes: Vec<f64> =
        around.kept.iter().map(|(_, moved)| distance(&moved.map, &around.clean.map) / length).collect();
    if changes.is_empty() {
        return Ok(Outcome::undefined(NONE_KEPT));
    }
    let outcome = Outcome::of(put_together(&changes)).with("kept", changes.len() as f64);
    // Another seed than that of the run, the same for all samples and methods.
    let seed =
        Stream::new(RowKey { seed: view.key.seed, row: 0 }, "another seed", 0).below(usize::MAX) as u64;
    bench.count_explanations(1);
    match bench.subject().explained_again(method(view)?, seed) {
        Ok(other) => Ok(outcome.with("own noise", distance(&other, &around.clean.map) / length)),
        Err(Error::NotApplicable(_)) => Ok(outcome),
        Err(error) => Err(error),
    }
}

fn largest(changes: &[f64]) -> f64 {
    changes.iter().copied().fold(0.0, f64::max)
}

fn mean(changes: &[f64]) -> f64 {
    changes.iter().sum::<f64>() / changes.len() as f64
}

/// The largest relative change of the map.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MaxSensitivity(pub Neighbours);

/// The mean relative change of the map.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AverageSensitivity(pub Neighbours);

impl Options for MaxSensitivity {
    const PARAMETERS: &'static [ParameterInfo] = MAX.parameters;

    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        self.0.set(key, value)
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        self.0.values()
    }
}

impl Options for AverageSensitivity {
    const PARAMETERS: &'static [ParameterInfo] = AVERAGE.parameters;

    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        self.0.set(key, value)
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        self.0.values()
    }
}

impl Metric for MaxSensitivity {
    fn info(&self) -> &'static MetricInfo {
        &MAX
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn explanations(&self, view: &View<'_>) -> usize {
        self.0.explanations(view) + usize::from(view.method.is_some())
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        evaluate(&self.0, (view, bench), largest)
    }
}

impl Metric for AverageSensitivity {
    fn info(&self) -> &'static MetricInfo {
        &AVERAGE
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn explanations(&self, view: &View<'_>) -> usize {
        self.0.explanations(view) + usize::from(view.method.is_some())
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        evaluate(&self.0, (view, bench), mean)
    }
}
