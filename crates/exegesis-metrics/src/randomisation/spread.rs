//! N3, efficient model parameter randomisation test.

use exegesis_catalogue::{Options, ParameterInfo, Result as Read, count, unknown_value};

use super::cascade::{Cascade, PARAMETERS, Parameters};
use super::parameters::one;
use crate::robustness::method;
use crate::{Bench, Direction, Family, Metric, MetricInfo, Outcome, Result, View};

/// Catalogue entry.
pub(super) const INFO: MetricInfo = MetricInfo {
    name: "efficient-mprt",
    id: "N3",
    version: 1,
    family: Family::Randomisation,
    direction: Direction::Up,
    summary: "A random model should be explained by a more complex map: the relative rise of the entropy of the map's values once \
              all parameters are random.",
    formula: "(H' - H) / H, H the entropy of a histogram of 100 equal bins between the smallest and the largest value",
    cost: "1 explanation of a random model, of all samples at once",
    modalities: MetricInfo::ALL,
    misleads: "bins and range matter, and it means nothing for maps with few distinct values.",
    check: "values (0, 0, 1, 1) become (0, 1/3, 2/3, 1): 1",
    citation: "Hedström et al., 2024",
    parameters: &[
        PARAMETERS,
        ParameterInfo { name: "bins", default: "100", values: "2 to 100000", doc: "bins of the histogram" },
    ],
};

/// Relative rise of the entropy of the map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EfficientMprt {
    /// What stands in for parameters.
    pub parameters: Parameters,
    /// Bins of the histogram.
    pub bins: usize,
}

impl Default for EfficientMprt {
    fn default() -> Self {
        Self { parameters: Parameters::Shuffle, bins: 100 }
    }
}

impl Options for EfficientMprt {
    const PARAMETERS: &'static [ParameterInfo] = INFO.parameters;

    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        match key {
            "parameters" => self.parameters = Parameters::parse(key, value)?,
            "bins" => self.bins = count(key, value, 100_000)?.max(2),
            _ => return Err(unknown_value(key, value, &[])),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![("parameters", self.parameters.name().to_string()), ("bins", self.bins.to_string())]
    }
}

impl Metric for EfficientMprt {
    fn info(&self) -> &'static MetricInfo {
        &INFO
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn explanations(&self, view: &View<'_>) -> usize {
        usize::from(view.method.is_some())
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let method = method(view)?;
        let before = entropy(&view.map.values, self.bins);
        if before == 0.0 {
            return Ok(Outcome::undefined("the map is the same everywhere"));
        }
        let cascade = Cascade { parameters: self.parameters, ..Cascade::default() };
        let how = cascade.all_random(view, bench)?;
        let after = entropy(&one(bench.explained_randomised(method, how, &[])?)?, self.bins);
        Ok(Outcome::of((after - before) / before).with("before", before).with("after", after))
    }
}

/// Entropy of a histogram of `bins` equal bins between the smallest and the largest value, in nats.
fn entropy(values: &[f64], bins: usize) -> f64 {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if high <= low {
        return 0.0;
    }
    let mut counts = vec![0usize; bins];
    for value in values {
        let bin = ((value - low) / (high - low) * bins as f64) as usize;
        counts[bin.min(bins - 1)] += 1;
    }
    let share = |count: &usize| *count as f64 / values.len() as f64;
    counts.iter().map(share).filter(|p| *p > 0.0).map(|p| -p * p.ln()).sum()
}
