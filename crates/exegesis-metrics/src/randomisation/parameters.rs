//! N1 and N2, model parameter randomisation tests.

use exegesis_catalogue::{Options, ParameterInfo, Result as Read, count, number};
use exegesis_perturb::random::Stream;

use super::Similarity;
use super::cascade::{Cascade, LAYERS, ORDER, PARAMETERS, SIGNED};
use crate::robustness::method;
use crate::{Bench, Direction, Error, Family, Metric, MetricInfo, Modality, Outcome, Result, View};

/// Catalogue entry.
pub(super) const MPRT: MetricInfo = MetricInfo {
    name: "mprt",
    id: "N1",
    version: 1,
    family: Family::Randomisation,
    direction: Direction::Down,
    summary: "Layer by layer the parameters of the model become random; a map that depends on what the model has learned should \
              lose all similarity. The mean similarity over stages, which are at most 6 evenly spaced over the layers and one \
              where all are random.",
    formula: "mean over stages of Spearman(|E(f)|, |E(f with random layers)|)",
    cost: "an explanation per stage, of all samples at once",
    modalities: MetricInfo::ALL,
    misleads: "the order of layers and the similarity change conclusions: top-down keeps early features for long, and noisy maps \
               are unlike anything for free; biases count as parameters, normalisation and its statistics as one layer.",
    check: "map that ignores the model 1; shuffled weights of a linear model: signed mean 0 over seeds",
    citation: "Adebayo et al., NeurIPS 2018",
    parameters: &[ORDER, PARAMETERS, LAYERS, Similarity::PARAMETER, SIGNED],
};

/// Catalogue entry with noise.
pub(super) const SMOOTH: MetricInfo = MetricInfo {
    name: "smooth-mprt",
    id: "N2",
    summary: "As `mprt`, with maps averaged over noisy inputs on both sides, so that noisy maps have no advantage.",
    formula: "mean over stages of Spearman(|mean_d E(f, x + d)|, |mean_d E(f random, x + d)|)",
    cost: "20 explanations, and 20 per stage",
    modalities: &[Modality::Image, Modality::Table, Modality::Series],
    misleads: "as `mprt`; the mean over noisy inputs is another explanation than the one that is judged elsewhere.",
    check: "as mprt; noise 0 equals it",
    citation: "Hedström et al., 2024",
    parameters: &[
        ORDER,
        PARAMETERS,
        LAYERS,
        Similarity::PARAMETER,
        SIGNED,
        ParameterInfo { name: "draws", default: "20", values: "1 to 1000", doc: "noisy inputs" },
        ParameterInfo {
            name: "noise",
            default: "0.1",
            values: "0 or more",
            doc: "standard deviation of the noise, as a share of the range of the data",
        },
    ],
    ..MPRT
};

/// Similarity to maps of random models.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mprt(pub Cascade);

impl Options for Mprt {
    const PARAMETERS: &'static [ParameterInfo] = MPRT.parameters;

    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        self.0.set(key, value)
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        self.0.values()
    }
}

impl Metric for Mprt {
    fn info(&self) -> &'static MetricInfo {
        &MPRT
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn explanations(&self, view: &View<'_>) -> usize {
        if view.method.is_some() { self.0.most_stages() } else { 0 }
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let method = method(view)?;
        self.0.compared(&view.map.values, (view, bench), |bench, how| {
            one(bench.explained_randomised(method, how, &[])?)
        })
    }
}

/// The only map.
pub(super) fn one(maps: Vec<Vec<f64>>) -> Result<Vec<f64>> {
    let none = || Error::Failed("the random model gave no map".to_string());
    maps.into_iter().next().ok_or_else(none)
}

/// Similarity to maps of random models, averaged over noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmoothMprt {
    /// Which layers are made random, and how maps are compared.
    pub cascade: Cascade,
    /// Noisy inputs.
    pub draws: usize,
    /// Standard deviation of the noise, as a share of the range of the data.
    pub noise: f64,
}

impl Default for SmoothMprt {
    fn default() -> Self {
        Self { cascade: Cascade::default(), draws: 20, noise: 0.1 }
    }
}

impl Options for SmoothMprt {
    const PARAMETERS: &'static [ParameterInfo] = SMOOTH.parameters;

    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        match key {
            "draws" => self.draws = count(key, value, 1000)?,
            "noise" => self.noise = number(key, value, |s| s >= 0.0, "0 or more")?,
            _ => self.cascade.set(key, value)?,
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        let mut all = self.cascade.values();
        all.extend([("draws", self.draws.to_string()), ("noise", self.noise.to_string())]);
        all
    }
}

impl Metric for SmoothMprt {
    fn info(&self) -> &'static MetricInfo {
        &SMOOTH
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn explanations(&self, view: &View<'_>) -> usize {
        if view.method.is_some() { self.draws * (1 + self.cascade.most_stages()) } else { 0 }
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let method = method(view)?;
        let ranges = bench.subject().ranges()?;
        let delta = |draw: u64| -> Vec<f64> {
            let mut random = Stream::new(view.key, "smooth-mprt", draw);
            ranges.iter().map(|range| self.noise * range * random.normal()).collect()
        };
        let deltas: Vec<Vec<f64>> = (0..self.draws as u64).map(delta).collect();
        let clean = bench.explained_at(method, &deltas)?.into_iter().map(|moved| moved.map).collect();
        self.cascade.compared(&mean(clean), (view, bench), |bench, how| {
            Ok(mean(bench.explained_randomised(method, how, &deltas)?))
        })
    }
}

/// The mean of maps.
fn mean(maps: Vec<Vec<f64>>) -> Vec<f64> {
    let count = maps.len().max(1) as f64;
    let mut sums = vec![0.0; maps.first().map_or(0, Vec::len)];
    for map in maps {
        sums.iter_mut().zip(map).for_each(|(sum, value)| *sum += value / count);
    }
    sums
}
