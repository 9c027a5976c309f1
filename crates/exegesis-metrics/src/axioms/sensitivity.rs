//! X2, non-sensitivity.

use exegesis_catalogue::{Options, ParameterInfo, Result as Read, count, on_off, on_off_text, unknown_value};

use crate::{Bench, Direction, Error, Family, Metric, MetricInfo, Outcome, Result, View};

/// Share of the largest value below which a value is nothing.
const NOTHING: f64 = 1e-5;

/// Share of the variance over all features below which a feature does nothing.
const STILL: f64 = 1e-8;

/// Most features that are drawn one by one.
const MOST: usize = 4096;

/// Catalogue entry.
pub(super) const INFO: MetricInfo = MetricInfo {
    name: "non-sensitivity",
    id: "X2",
    version: 1,
    family: Family::Axioms,
    direction: Direction::Down,
    summary: "Features without value should be those that the model does not look at, and the other way round: the number that are \
              one but not the other. What the model looks at, draws of each feature from its distribution tell.",
    formula: "|Z symmetric difference Y|, Z = {|phi_i| < 1e-5 max |phi|}, Y = {variance of f over draws of x_i < 1e-8 of the \
              variance over all draws}",
    cost: "10 n",
    modalities: MetricInfo::ALL,
    misleads: "features that only count together with others look as if nothing depended on them; smooth methods have no zeros.",
    check: "f = x_1 of two: map (1, 1) 1, map (1, 0) 0",
    citation: "Nguyen and Martinez, 2020 (non-sensitivity)",
    parameters: &[
        ParameterInfo { name: "draws", default: "10", values: "2 to 1000", doc: "draws of each feature" },
        ParameterInfo {
            name: "share",
            default: "off",
            values: "on, off",
            doc: "divide by the number of features",
        },
    ],
};

/// Number of features whose value and whose effect disagree on whether there is one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NonSensitivity {
    /// Draws of each feature.
    pub draws: usize,
    /// Divide by the number of features.
    pub share: bool,
}

impl Default for NonSensitivity {
    fn default() -> Self {
        Self { draws: 10, share: false }
    }
}

impl Options for NonSensitivity {
    const PARAMETERS: &'static [ParameterInfo] = INFO.parameters;

    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        match key {
            "draws" => self.draws = count(key, value, 1000)?.max(2),
            "share" => self.share = on_off(key, value)?,
            _ => return Err(unknown_value(key, value, &[])),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![("draws", self.draws.to_string()), ("share", on_off_text(self.share))]
    }
}

impl Metric for NonSensitivity {
    fn info(&self) -> &'static MetricInfo {
        &INFO
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn other_rows(&self, view: &View<'_>) -> usize {
        if view.features.count() <= MOST { self.draws * view.features.count() } else { 0 }
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let n = view.features.count();
        if n > MOST {
            return Err(Error::NotApplicable(format!(
                "{n} features are too many to be drawn one by one ({MOST})"
            )));
        }
        let draws: Vec<(usize, u64)> =
            (0..n).flat_map(|feature| (0..self.draws as u64).map(move |draw| (feature, draw))).collect();
        let scores: Vec<f64> = bench.drawn(&draws)?.iter().map(|answer| answer.logit).collect();
        let overall = variance(&scores);
        let largest = view.map.values.iter().fold(0.0f64, |most, v| most.max(v.abs()));
        let differs = |(own, value): (&[f64], &f64)| {
            let is_nothing = value.abs() < NOTHING * largest || largest == 0.0;
            let is_still = variance(own) < STILL * overall || overall == 0.0;
            is_nothing != is_still
        };
        let wrong =
            scores.chunks(self.draws).zip(&view.map.values).filter(|pair| differs(*pair)).count() as f64;
        let share = wrong / n as f64;
        Ok(Outcome::of(if self.share { share } else { wrong }).with("features", wrong).with("share", share))
    }
}

fn variance(values: &[f64]) -> f64 {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n
}
