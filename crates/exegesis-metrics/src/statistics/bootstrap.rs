//! Means over samples, and how sure they are: the percentile bootstrap (Efron & Tibshirani 1993, chapter 13).

use exegesis_perturb::random::{RowKey, Stream};
use serde::{Deserialize, Serialize};

/// Resamples of every interval, `B`.
pub const DRAWS: usize = 1000;

/// The middle 95 % of the means of resamples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// 2.5th percentile.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
}

/// A mean over samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Number of samples that have a value.
    pub n: usize,
    /// Mean of their values.
    pub mean: f64,
    /// Median of their values.
    pub median: f64,
    /// 95 % bootstrap interval of the mean; none for a single sample, which says nothing of others.
    pub interval: Option<Interval>,
}

/// A mean difference of two methods over the samples that both have a value for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Number of these samples.
    pub n: usize,
    /// Mean of the first minus the second.
    pub mean: f64,
    /// 95 % bootstrap interval of that mean.
    pub interval: Interval,
    /// Two-sided: twice the share of resamples on the rarer side of 0 (0 counts on both, one is added to each count). Where
    /// none is there, the two tails beyond 0 of a normal distribution with mean and standard deviation of the resamples, if
    /// that is less: a thousand resamples can't tell of smaller shares than a thousandth, which a correction for many pairs
    /// needs. Never below `2^(1-n)`, the least that any test by signs could give for `n` samples.
    pub p: f64,
}

/// `count` lists of `n` indices below `n`, drawn with replacement; the same for all methods and metrics of a run.
pub fn resamples(n: usize, count: usize, seed: u64) -> Vec<Vec<usize>> {
    let draw = |number: usize| {
        let mut random = Stream::new(RowKey { seed, row: n as u64 }, "bootstrap", number as u64);
        (0..n).map(|_| random.below(n)).collect()
    };
    (0..count).map(draw).collect()
}

/// The `share` (0 to 1) quantile of ascending values, linear between neighbours; `None` of nothing.
pub fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted.get(place.floor() as usize)?, sorted.get(place.ceil() as usize)?);
    Some(below + (above - below) * place.fract())
}

/// The median; `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    percentile(&sorted, 0.5)
}

/// The interval of the mean of `values` over given resamples of their indices; indices that are none are passed over. `None`
/// without values or resamples.
pub fn bootstrap_with(values: &[f64], indices: &[Vec<usize>]) -> Option<Interval> {
    let means = means(values, indices);
    Some(Interval { low: percentile(&means, 0.025)?, high: percentile(&means, 0.975)? })
}

/// Means of resamples, ascending.
fn means(values: &[f64], indices: &[Vec<usize>]) -> Vec<f64> {
    let mean_of = |list: &Vec<usize>| {
        let (mut sum, mut count) = (0.0, 0usize);
        for value in list.iter().filter_map(|i| values.get(*i)) {
            sum += value;
            count += 1;
        }
        (count > 0).then(|| sum / count as f64)
    };
    let mut all: Vec<f64> = indices.iter().filter_map(mean_of).collect();
    all.sort_by(f64::total_cmp);
    all
}

/// Mean, median and interval of the values that are there; `None` if none is.
pub fn estimate(values: &[Option<f64>], seed: u64) -> Option<Estimate> {
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    let n = known.len();
    let interval = if n > 1 { bootstrap_with(&known, &resamples(n, DRAWS, seed)) } else { None };
    Some(Estimate { n, mean: mean(&known)?, median: median(&known)?, interval })
}

/// The mean; `None` of nothing.
pub(super) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The difference of two methods on the same samples; `None` with fewer than two samples that both have a value for.
pub fn paired(first: &[Option<f64>], second: &[Option<f64>], seed: u64) -> Option<Difference> {
    let differences: Vec<f64> = first.iter().zip(second).filter_map(|(a, b)| Some((*a)? - (*b)?)).collect();
    let n = differences.len();
    if n < 2 {
        return None;
    }
    let means = means(&differences, &resamples(n, DRAWS, seed));
    let below = means.iter().filter(|m| **m <= 0.0).count();
    let above = means.iter().filter(|m| **m >= 0.0).count();
    let counted = 2.0 * (1 + below.min(above)) as f64 / (means.len() + 1) as f64;
    let p = if below.min(above) == 0 { counted.min(tails(&means)) } else { counted };
    let least = 0.5f64.powi(i32::try_from(n).unwrap_or(i32::MAX) - 1);
    Some(Difference {
        n,
        mean: mean(&differences)?,
        interval: Interval { low: percentile(&means, 0.025)?, high: percentile(&means, 0.975)? },
        p: p.clamp(least.min(1.0), 1.0),
    })
}

/// Both tails beyond 0 of a normal distribution with the mean and standard deviation of `means`.
fn tails(means: &[f64]) -> f64 {
    let middle = mean(means).unwrap_or(0.0);
    let squares: Vec<f64> = means.iter().map(|m| (m - middle).powi(2)).collect();
    let deviation = mean(&squares).unwrap_or(0.0).sqrt();
    // All resamples alike: nothing but the number of samples limits what they say.
    if deviation > 0.0 { libm::erfc(middle.abs() / (deviation * std::f64::consts::SQRT_2)) } else { 0.0 }
}

/// Corrects p-values of several comparisons (Holm 1979): the k-th smallest of m becomes the largest of `(m - j + 1) p_j` over
/// `j <= k`, at most 1.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut corrected = vec![0.0; p.len()];
    let mut largest = 0.0f64;
    for (before, index) in order.into_iter().enumerate() {
        largest = largest.max((p.len() - before) as f64 * p[index]).min(1.0);
        corrected[index] = largest;
    }
    corrected
}
