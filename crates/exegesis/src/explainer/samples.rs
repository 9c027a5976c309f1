//! Which points a method runs each row at, and what each weighs.

use exegesis_attribute::Method;
use exegesis_attribute::quadrature;
use exegesis_perturb::random::{RowKey, Stream};

use crate::Inputs;

/// A point at which a row is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// How far from the baseline, from 0 to 1.
    pub place: f64,
    /// Row of the given baselines.
    pub reference: usize,
    /// What the attribution weighs in the average.
    pub weight: f64,
    /// What the score weighs in the mean score at the baselines.
    pub probe: f64,
}

/// The points of every row.
pub(super) enum Samples {
    /// Points of a quadrature on the way from each reference, each preceded by the reference itself.
    Path { points: Vec<(f64, f64)>, references: usize },
    /// Noisy copies.
    Noise { samples: usize },
    /// Every reference, then random places on the way from random references.
    Random { samples: usize, references: usize, seed: u64, keys: Vec<u64> },
    /// Every reference.
    References(usize),
}

impl Samples {
    /// Of `method`, with a number of baselines.
    pub fn of(method: &Method, references: usize, seed: u64) -> Self {
        match method {
            Method::IntegratedGradients(options) => {
                Self::Path { points: quadrature::points(options.rule, options.steps), references }
            }
            Method::SmoothGrad(options) => Self::Noise { samples: options.samples },
            Method::GradientShap(options) => {
                Self::Random { samples: options.samples, references, seed, keys: vec![] }
            }
            _ => Self::References(references),
        }
    }

    /// With what stands for each row in random numbers.
    pub fn of_rows(mut self, inputs: &Inputs) -> Self {
        if let Self::Random { keys, .. } = &mut self {
            *keys = (0..inputs.rows()).map(|row| inputs.row_key(row)).collect();
        }
        self
    }

    /// Points per row.
    pub fn per_row(&self) -> usize {
        match self {
            Self::Path { points, references } => (points.len() + 1) * references,
            Self::Noise { samples } => *samples,
            Self::Random { samples, references, .. } => samples + references,
            Self::References(references) => *references,
        }
    }

    /// True if some points are baselines, where only the score counts.
    pub fn has_probes(&self) -> bool {
        matches!(self, Self::Path { .. } | Self::Random { .. })
    }

    /// Point `k` of row `row`.
    pub fn point(&self, row: usize, k: usize) -> Point {
        let probe = |reference: usize, references: usize| Point {
            place: 0.0,
            reference,
            weight: 0.0,
            probe: 1.0 / references as f64,
        };
        match self {
            Self::Path { points, references } => {
                let (reference, step) = (k / (points.len() + 1), k % (points.len() + 1));
                match step.checked_sub(1).and_then(|step| points.get(step)) {
                    None => probe(reference, *references),
                    Some((place, weight)) => {
                        Point { place: *place, reference, weight: weight / *references as f64, probe: 0.0 }
                    }
                }
            }
            Self::Noise { samples } => {
                Point { place: 1.0, reference: 0, weight: 1.0 / *samples as f64, probe: 0.0 }
            }
            Self::Random { references, .. } if k < *references => probe(k, *references),
            Self::Random { samples, references, seed, keys } => {
                let key = keys.get(row).copied().unwrap_or(row as u64);
                // References in turn from a random one on, and for each a place in every one of equal intervals: as random
                // as independent draws, with far less sampling error.
                let first = numbers(*seed, (key, 0), "reference").uniform() * *references as f64;
                let sample = k - references;
                let reference = (first as usize + sample) % references;
                let interval = (sample / references) as f64;
                let intervals = samples.div_ceil(*references) as f64;
                let place = (interval + numbers(*seed, (key, k), "place").uniform()) / intervals;
                Point { place, reference, weight: 1.0 / *samples as f64, probe: 0.0 }
            }
            Self::References(references) => {
                Point { place: 1.0, reference: k, weight: 1.0 / *references as f64, probe: 0.0 }
            }
        }
    }
}

/// Random numbers of one point of one row, for one purpose.
fn numbers(seed: u64, (row, k): (u64, usize), purpose: &str) -> Stream {
    Stream::new(RowKey { seed, row }, purpose, k as u64)
}

/// Standard normal numbers of a point of a row, for the input called `input`.
pub(super) fn normals(seed: u64, at: (u64, usize), input: &str, count: usize) -> Vec<f64> {
    let mut random = numbers(seed, at, input);
    (0..count).map(|_| random.normal()).collect()
}

/// Numbers uniform in [-1, 1) of a row, for the input called `input`.
pub(super) fn uniforms(seed: u64, row: u64, input: &str, count: usize) -> Vec<f64> {
    let mut random = numbers(seed, (row, 0), input);
    (0..count).map(|_| 2.0 * random.uniform() - 1.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches weights that do not average, and baselines that are not all probed.
    #[test]
    fn weights_and_probes_sum_to_one() {
        for text in
            ["integrated-gradients:steps=7", "smoothgrad:samples=9", "gradient-shap:samples=5", "deep-shap"]
        {
            let samples = Samples::of(&Method::parse(text).unwrap(), 3, 1);
            let points: Vec<Point> = (0..samples.per_row()).map(|k| samples.point(2, k)).collect();
            assert!((points.iter().map(|p| p.weight).sum::<f64>() - 1.0).abs() < 1e-12, "{text}");
            let probes: f64 = points.iter().map(|p| p.probe).sum();
            assert_eq!(samples.has_probes(), (probes - 1.0).abs() < 1e-12, "{text}");
            assert!(points.iter().all(|p| (0.0..=1.0).contains(&p.place) && p.reference < 3));
        }
    }

    #[test]
    fn random_numbers_depend_on_seed_row_point_and_purpose_only() {
        let first = normals(1, (2, 3), "x", 1000);
        assert_eq!(first[..10], normals(1, (2, 3), "x", 10));
        for other in [
            normals(2, (2, 3), "x", 4),
            normals(1, (0, 3), "x", 4),
            normals(1, (2, 0), "x", 4),
            normals(1, (2, 3), "y", 4),
        ] {
            assert_ne!(first[..4], other);
        }
        let mean: f64 = first.iter().sum::<f64>() / 1000.0;
        let variance: f64 = first.iter().map(|x| x * x).sum::<f64>() / 1000.0;
        assert!(mean.abs() < 0.15 && (variance - 1.0).abs() < 0.2);
    }
}
