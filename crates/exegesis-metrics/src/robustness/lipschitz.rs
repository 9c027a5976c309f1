//! R2, local Lipschitz estimate.

use exegesis_catalogue::{Options, ParameterInfo, Result as Read, on_off, on_off_text};

use super::neighbours::{DRAWS, MOVABLE, NOISE, NONE_KEPT, Neighbours, RADIUS, distance, norm};
use crate::{Bench, Direction, Family, Metric, MetricInfo, Outcome, Result, View};

/// Catalogue entry.
pub(super) const INFO: MetricInfo = MetricInfo {
    name: "local-lipschitz",
    id: "R2",
    version: 1,
    family: Family::Robustness,
    direction: Direction::Down,
    summary: "The steepest change of the map around the sample, per distance that the sample moves. Maps are put to length 1 \
              first, so that methods of different scales can be compared.",
    formula: "max_d ||E(x + d) - E(x)|| / ||d||",
    cost: "11 explanations, shared with the other metrics of the family",
    modalities: MOVABLE,
    misleads: "a constant map is perfectly stable, and the value depends on the scale and the number of inputs.",
    check: "map w x of LIN, not normalised: at most 4; one feature 4 x: 4",
    citation: "Alvarez-Melis and Jaakkola, 2018",
    parameters: &[
        RADIUS,
        DRAWS,
        NOISE,
        ParameterInfo {
            name: "normalise",
            default: "on",
            values: "on, off",
            doc: "put maps to length 1 first; off: values of methods of different scales can't be compared",
        },
    ],
};

/// The largest slope of the map around the sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalLipschitz {
    /// Where it is looked at.
    pub neighbours: Neighbours,
    /// Maps are put to length 1.
    pub normalise: bool,
}

impl Default for LocalLipschitz {
    fn default() -> Self {
        Self { neighbours: Neighbours::default(), normalise: true }
    }
}

impl Options for LocalLipschitz {
    const PARAMETERS: &'static [ParameterInfo] = INFO.parameters;

    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        match key {
            "normalise" => self.normalise = on_off(key, value)?,
            _ => self.neighbours.set(key, value)?,
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        let mut all = self.neighbours.values();
        all.push(("normalise", on_off_text(self.normalise)));
        all
    }
}

impl Metric for LocalLipschitz {
    fn info(&self) -> &'static MetricInfo {
        &INFO
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn explanations(&self, view: &View<'_>) -> usize {
        self.neighbours.explanations(view)
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let around = self.neighbours.explained(view, bench)?;
        let scaled = |map: &[f64]| -> Option<Vec<f64>> {
            let length = if self.normalise { norm(map.iter().copied()) } else { 1.0 };
            (length > 0.0).then(|| map.iter().map(|v| v / length).collect())
        };
        let Some(clean) = scaled(&around.clean.map) else {
            return Ok(Outcome::undefined("the map is all zeros"));
        };
        let mut slopes = vec![];
        for (delta, moved) in &around.kept {
            let length = norm(delta.iter().copied());
            // A map of zeros has no direction: it stays one.
            let there = scaled(&moved.map).unwrap_or_else(|| vec![0.0; clean.len()]);
            if length > 0.0 {
                slopes.push(distance(&there, &clean) / length);
            }
        }
        match slopes.iter().copied().reduce(f64::max) {
            Some(largest) => Ok(Outcome::of(largest).with("kept", slopes.len() as f64)),
            None => Ok(Outcome::undefined(NONE_KEPT)),
        }
    }
}
