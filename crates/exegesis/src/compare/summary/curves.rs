//! Mean curves over samples, with bootstrap bands.

use exegesis_metrics::Curve;
use exegesis_metrics::statistics::{DRAWS, bootstrap_with, resamples};
use serde::{Deserialize, Serialize};

use super::super::record::Comparison;
use super::order::operator_of;

/// Points of a mean curve: more than a reader can see apart.
const POINTS: usize = 65;

/// A curve of one method, averaged over samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeanCurve {
    /// Number of the metric.
    pub metric: usize,
    /// Number of the method.
    pub method: usize,
    /// What it shows.
    pub name: String,
    /// Number of samples.
    pub n: usize,
    /// Places.
    pub at: Vec<f64>,
    /// Mean at each place.
    pub mean: Vec<f64>,
    /// Ends of the 95 % bootstrap intervals of these means; empty for a single sample.
    pub low: Vec<f64>,
    /// See `low`.
    pub high: Vec<f64>,
}

/// The curves of all metrics. A curve that a metric shares with an earlier one is given once.
pub(super) fn mean_curves(record: &Comparison) -> Vec<MeanCurve> {
    let mut all: Vec<MeanCurve> = vec![];
    let mut seen: Vec<(String, String)> = vec![];
    for (metric, entry) in record.metrics.iter().enumerate() {
        let mut names: Vec<&str> = vec![];
        for curve in record.values.iter().filter_map(|of| of.get(metric)).flatten().flat_map(|o| &o.curves) {
            if !names.contains(&curve.name.as_str()) {
                names.push(&curve.name);
            }
        }
        for name in names {
            // Score and steps may differ as well as the operator.
            let settings: Vec<&str> = entry
                .parameters
                .iter()
                .filter(|(key, _)| key == "score" || key == "steps")
                .map(|(_, value)| value.as_str())
                .collect();
            let how = format!("{} {}", operator_of(entry, record).unwrap_or_default(), settings.join(" "));
            let identity = (name.to_string(), how);
            if seen.contains(&identity) {
                continue;
            }
            seen.push(identity);
            let mut found: Vec<MeanCurve> = vec![];
            for (method, of) in record.values.iter().enumerate() {
                let own: Vec<&Curve> = of
                    .get(metric)
                    .into_iter()
                    .flatten()
                    .flat_map(|outcome| outcome.curves.iter().filter(|c| c.name == name))
                    .collect();
                found.extend(mean_curve(&own, record.seed).map(|(at, mean, low, high)| MeanCurve {
                    metric,
                    method,
                    name: name.to_string(),
                    n: own.len(),
                    at,
                    mean,
                    low,
                    high,
                }));
            }
            // Deletion and most relevant first are one curve under one operator.
            let is_known = |curve: &MeanCurve| {
                all.iter().any(|o| o.method == curve.method && o.at == curve.at && o.mean == curve.mean)
            };
            if !found.iter().all(is_known) {
                all.extend(found);
            }
        }
    }
    all
}

type Band = (Vec<f64>, Vec<f64>, Vec<f64>, Vec<f64>);

/// Places, means, and ends of intervals of curves that may have different places.
fn mean_curve(curves: &[&Curve], seed: u64) -> Option<Band> {
    let usable: Vec<&&Curve> =
        curves.iter().filter(|c| !c.at.is_empty() && c.at.len() == c.values.len()).collect();
    let first = usable.first()?;
    let is_same = usable.iter().all(|c| c.at == first.at);
    let at = if is_same && first.at.len() <= POINTS {
        first.at.clone()
    } else {
        let low = usable.iter().filter_map(|c| c.at.first()).copied().fold(f64::INFINITY, f64::min);
        let high = usable.iter().filter_map(|c| c.at.last()).copied().fold(f64::NEG_INFINITY, f64::max);
        let place = |i: usize| low + (high - low) * i as f64 / (POINTS - 1) as f64;
        (0..POINTS).map(place).collect()
    };
    let draws = if usable.len() > 1 { resamples(usable.len(), DRAWS, seed) } else { vec![] };
    let (mut mean, mut low, mut high) = (vec![], vec![], vec![]);
    for place in &at {
        let values: Vec<f64> = usable.iter().map(|c| interpolated(c, *place)).collect();
        mean.push(values.iter().sum::<f64>() / values.len() as f64);
        if let Some(interval) = bootstrap_with(&values, &draws) {
            low.push(interval.low);
            high.push(interval.high);
        }
    }
    Some((at, mean, low, high))
}

/// The value at `place`, linear between points and constant beyond them.
fn interpolated(curve: &Curve, place: f64) -> f64 {
    let after = curve.at.partition_point(|at| *at < place);
    match (after.checked_sub(1), curve.at.get(after)) {
        (None, _) => curve.values[0],
        (Some(before), None) => curve.values[before],
        (Some(before), Some(next)) => {
            let width = next - curve.at[before];
            let share = if width > 0.0 { (place - curve.at[before]) / width } else { 1.0 };
            curve.values[before] + share * (curve.values[after] - curve.values[before])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches curves of texts of different lengths that are averaged point by point rather than place by place.
    #[test]
    fn curves_of_different_places_are_averaged_by_place() {
        let line = |points: usize| Curve {
            name: "x".to_string(),
            at: (0..points).map(|i| i as f64 / (points - 1) as f64).collect(),
            values: (0..points).map(|i| 1.0 - i as f64 / (points - 1) as f64).collect(),
        };
        let (short, long) = (line(3), line(129));
        let (at, mean, low, high) = mean_curve(&[&short, &long], 0).unwrap();
        assert_eq!(at.len(), POINTS);
        for ((place, mean), (low, high)) in at.iter().zip(&mean).zip(low.iter().zip(&high)) {
            assert!((mean - (1.0 - place)).abs() < 1e-12 && low <= mean && mean <= high);
        }
        let (at, _, low, _) = mean_curve(&[&short], 0).unwrap();
        assert_eq!((at, low.len()), (short.at.clone(), 0));
    }
}
