//! Who is first: for one metric, inside a family, over families.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bootstrap::{mean, percentile, resamples};
use crate::Family;

/// Ranks of oriented scores, 1 for the largest; equal scores share the mean of their ranks. What has no score has no rank.
pub fn mid_ranks(oriented: &[Option<f64>]) -> Vec<Option<f64>> {
    let known = || oriented.iter().flatten();
    let rank = |score: &f64| {
        let better = known().filter(|other| *other > score).count();
        let equal = known().filter(|other| *other == score).count();
        better as f64 + (equal as f64 + 1.0) / 2.0
    };
    oriented.iter().map(|score| score.as_ref().map(rank)).collect()
}

/// Where ranks lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Median rank.
    pub median: f64,
    /// 25th percentile.
    pub low: f64,
    /// 75th percentile.
    pub high: f64,
}

/// Median and quartiles; `None` of nothing.
pub fn spread(ranks: &[f64]) -> Option<Spread> {
    let mut sorted = ranks.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some(Spread {
        median: percentile(&sorted, 0.5)?,
        low: percentile(&sorted, 0.25)?,
        high: percentile(&sorted, 0.75)?,
    })
}

/// How one method stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Its ranks over the metrics of each family.
    pub families: Vec<(Family, Spread)>,
    /// The median ranks of its families, each counted once whatever the number of its metrics.
    pub overall: Option<Spread>,
}

/// Standings of all methods; `scores[metric][method]` are oriented, `families[metric]` says where a metric belongs.
pub fn standings(scores: &[Vec<Option<f64>>], families: &[Family]) -> Vec<Standing> {
    let methods = scores.iter().map(Vec::len).max().unwrap_or(0);
    let ranks: Vec<Vec<Option<f64>>> = scores.iter().map(|of| mid_ranks(of)).collect();
    let standing = |method: usize| {
        let mut of_family: BTreeMap<Family, Vec<f64>> = BTreeMap::new();
        for (ranks, family) in ranks.iter().zip(families) {
            if let Some(rank) = ranks.get(method).copied().flatten() {
                of_family.entry(*family).or_default().push(rank);
            }
        }
        let families: Vec<(Family, Spread)> =
            of_family.into_iter().filter_map(|(family, ranks)| Some((family, spread(&ranks)?))).collect();
        let medians: Vec<f64> = families.iter().map(|(_, spread)| spread.median).collect();
        Standing { families, overall: spread(&medians) }
    };
    (0..methods).map(standing).collect()
}

/// The share of resampled data sets in which each method has the best (lowest) median rank over families; those that share
/// the first place share the point. `values[metric][method][sample]` are oriented; a metric counts in a resample by the means
/// of what is there.
pub fn probability_first(
    values: &[Vec<Vec<Option<f64>>>],
    families: &[Family],
    draws: usize,
    seed: u64,
) -> Vec<f64> {
    let methods = values.iter().map(Vec::len).max().unwrap_or(0);
    let samples = values.iter().flatten().map(Vec::len).max().unwrap_or(0);
    let mut points = vec![0.0; methods];
    let mut counted = 0usize;
    for indices in resamples(samples, draws, seed) {
        let mean_of = |own: &Vec<Option<f64>>| {
            let drawn: Vec<f64> = indices.iter().filter_map(|i| own.get(*i).copied().flatten()).collect();
            mean(&drawn)
        };
        let scores: Vec<Vec<Option<f64>>> =
            values.iter().map(|of| of.iter().map(mean_of).collect()).collect();
        let overall: Vec<Option<f64>> =
            standings(&scores, families).iter().map(|s| s.overall.map(|o| o.median)).collect();
        let best = overall.iter().flatten().copied().fold(f64::INFINITY, f64::min);
        let first: Vec<usize> =
            overall.iter().enumerate().filter(|(_, o)| **o == Some(best)).map(|(m, _)| m).collect();
        if first.is_empty() {
            continue;
        }
        counted += 1;
        let share = 1.0 / first.len() as f64;
        first.into_iter().for_each(|method| points[method] += share);
    }
    points.iter_mut().for_each(|p| *p /= counted.max(1) as f64);
    points
}
