//! The recommended fit: a ridge that the data choose, two starts, standard errors.
//!
//! The ridge is noise variance over prior variance. The prior variance of the values comes from the spread of the scores (method
//! of moments), that of the importances is 1; the noise variance starts at a hundredth of the variance of the scores and is
//! updated from the residuals, in three passes.

use super::dense::{Cholesky, add_gram, mirror};
use super::queries::Queries;
use super::result::{Pass, Stop};
use super::search::{Found, Parameters, Ridge, search};

/// Passes of the adaptive ridge.
const PASSES: usize = 3;

/// A fitted surrogate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Values and importances, a number per column of the queries; centred unless there is a background.
    pub parameters: Parameters,
    /// Minimisations, in order.
    pub passes: Vec<Pass>,
    /// The ridge of the last one.
    pub ridge: Option<Ridge>,
    /// Prior variance of the values.
    pub tau_v2: Option<f64>,
    /// Noise variance after the last pass.
    pub sigma2: Option<f64>,
    /// Relative difference of the minima from two starts.
    pub starts_differ: Option<f64>,
    /// What a closed form had to cut.
    pub clamped: usize,
}

/// Fits with the ridge that the data choose. `starts` are importances, one per column; the best end is kept. `None` without
/// queries.
pub fn adaptive(queries: &Queries, starts: &[Vec<f64>]) -> Option<Estimate> {
    let (mean, variance) = queries.moments();
    if let Some(flat) = constant(queries, mean, variance) {
        return Some(flat);
    }
    let tau_v2 = value_variance(queries, variance);
    let first = sigma2_start(variance);
    let ridge = |sigma2: f64| Ridge { values: sigma2 / tau_v2, importances: sigma2 };
    let (mut best, differ) = from_starts(queries, ridge(first), starts)?;
    let mut passes = vec![];
    let mut sigma2 = first;
    for pass in 0..PASSES {
        if pass > 0 {
            best = search(queries, ridge(sigma2), &best.parameters.importances)?;
        }
        let used = sigma2;
        sigma2 = noise(queries, best.rss, variance);
        passes.push(record(&best, ridge(used), Some(used), sigma2));
    }
    let last = ridge(passes.last().and_then(|p| p.sigma2_used).unwrap_or(first));
    Some(Estimate {
        parameters: centred(best.parameters, queries.has_background()),
        passes,
        ridge: Some(last),
        tau_v2: Some(tau_v2),
        sigma2: Some(sigma2),
        starts_differ: differ,
        clamped: 0,
    })
}

/// Fits with a given ridge.
pub fn fixed(queries: &Queries, ridge: Ridge, starts: &[Vec<f64>]) -> Option<Estimate> {
    let (mean, variance) = queries.moments();
    if let Some(flat) = constant(queries, mean, variance) {
        return Some(flat);
    }
    let (best, differ) = from_starts(queries, ridge, starts)?;
    let sigma2 = noise(queries, best.rss, variance);
    Some(Estimate {
        passes: vec![record(&best, ridge, None, sigma2)],
        parameters: centred(best.parameters, queries.has_background()),
        ridge: Some(ridge),
        tau_v2: Some(value_variance(queries, variance)),
        sigma2: Some(sigma2),
        starts_differ: differ,
        clamped: 0,
    })
}

/// Scores that do not vary: every value is their mean, no importance is seen.
fn constant(queries: &Queries, mean: f64, variance: f64) -> Option<Estimate> {
    let n = queries.columns();
    (variance <= 1e-20 * (1.0 + mean * mean)).then(|| Estimate {
        parameters: Parameters { values: vec![mean; n], importances: vec![0.0; n] },
        ..Estimate::default()
    })
}

/// The noise variance that the first pass assumes.
fn sigma2_start(variance: f64) -> f64 {
    0.01 * variance
}

/// `max(RSS / max(m - 2n + 1, m / 10), 1e-8 Var F)`: `2n - 1` parameters are free, the shift of importances is not one.
fn noise(queries: &Queries, rss: f64, variance: f64) -> f64 {
    let (m, n) = (queries.len() as f64, queries.types() as f64);
    let free = (m - 2.0 * n + 1.0 - f64::from(queries.has_background())).max(m / 10.0);
    (rss / free).max(1e-8 * variance)
}

/// `tau_v^2 = Var F / sum_q p_q |w_q - mean w|^2`, weights at equal importances: values of this variance spread the scores as
/// much as they are spread.
fn value_variance(queries: &Queries, variance: f64) -> f64 {
    let n = queries.columns();
    let shares = queries.shares(&vec![0.0; n]);
    let total: f64 = queries.weights().iter().sum();
    let (mut mean, mut square) = (vec![0.0; n], 0.0);
    for row in 0..queries.len() {
        let part = queries.weights()[row] / total;
        for (t, a) in queries.row(row).0.iter().zip(&shares[queries.range(row)]) {
            mean[*t as usize] += part * a;
            square += part * a * a;
        }
    }
    let spread = square - mean.iter().map(|m| m * m).sum::<f64>();
    // Where every query looks the same, the values are as uncertain as the scores.
    if spread > 1e-12 { variance / spread } else { variance }
}

fn from_starts(queries: &Queries, ridge: Ridge, starts: &[Vec<f64>]) -> Option<(Found, Option<f64>)> {
    let found: Vec<Found> = starts.iter().filter_map(|start| search(queries, ridge, start)).collect();
    let least = found.iter().map(|f| f.objective).fold(f64::INFINITY, f64::min);
    let most = found.iter().map(|f| f.objective).fold(f64::NEG_INFINITY, f64::max);
    let differ = (found.len() > 1).then(|| (most - least) / least.max(f64::MIN_POSITIVE));
    found.into_iter().min_by(|a, b| a.objective.total_cmp(&b.objective)).map(|best| (best, differ))
}

fn record(found: &Found, ridge: Ridge, used: Option<f64>, next: f64) -> Pass {
    Pass {
        sigma2_used: used,
        rho_v: ridge.values,
        rho_s: ridge.importances,
        rss: found.rss,
        objective: found.objective,
        sigma2_next: next,
        iterations: found.iterations,
        stop: found.stop,
    }
}

/// A pass that searched nothing.
pub(crate) fn direct(rss: f64, sigma2: f64) -> Pass {
    Pass { rss, objective: rss, sigma2_next: sigma2, stop: Stop::Direct, ..Pass::default() }
}

/// Importances with mean 0; relative to a background they are not shifted.
pub(crate) fn centred(mut parameters: Parameters, has_background: bool) -> Parameters {
    if !has_background {
        let mean = parameters.importances.iter().sum::<f64>() / parameters.importances.len().max(1) as f64;
        parameters.importances.iter_mut().for_each(|s| *s -= mean);
    }
    parameters
}

/// Covariance of values and importances, `[columns + types]` square: `sigma^2 P M^-1 P'` with `M = J' w J + diag(rho)` over the
/// joint Jacobian `J = [W, W (v - f)]` and `P` centring the importances. `None` where the fit has no noise variance or `M` is
/// singular.
pub fn covariance(queries: &Queries, estimate: &Estimate) -> Option<Vec<f64>> {
    let (sigma2, ridge) = (estimate.sigma2?, estimate.ridge?);
    let (k, n) = (queries.columns(), queries.types());
    let size = k + n;
    let parameters = &estimate.parameters;
    let shares = queries.shares(&parameters.importances);
    let predicted = queries.predict(&shares, &parameters.values);
    let mut matrix = vec![0.0; size * size];
    let mut line: Vec<(usize, f64)> = vec![];
    for row in 0..queries.len() {
        let (of, _) = queries.row(row);
        let own = &shares[queries.range(row)];
        line.clear();
        line.extend(of.iter().zip(own).map(|(t, a)| (*t as usize, *a)));
        let slopes = of.iter().zip(own).filter(|(t, _)| (**t as usize) < n);
        line.extend(
            slopes.map(|(t, a)| (k + *t as usize, a * (parameters.values[*t as usize] - predicted[row]))),
        );
        let weight = queries.weights()[row];
        for (at, (i, x)) in line.iter().enumerate() {
            let out = &mut matrix[i * size..(i + 1) * size];
            line[at..].iter().for_each(|(j, y)| out[*j] += weight * x * y);
        }
    }
    for i in 0..size {
        matrix[i * size + i] += if i < k { ridge.values } else { ridge.importances };
    }
    let mut covariance = Cholesky::new(matrix, size)?.inverse();
    covariance.iter_mut().for_each(|c| *c *= sigma2);
    if !queries.has_background() {
        centre(&mut covariance, size, k);
    }
    Some(covariance)
}

/// `P C P'`, where `P` takes the mean off the numbers from `from` on.
fn centre(covariance: &mut [f64], size: usize, from: usize) {
    let n = (size - from).max(1) as f64;
    for column in 0..size {
        let mean = (from..size).map(|i| covariance[i * size + column]).sum::<f64>() / n;
        (from..size).for_each(|i| covariance[i * size + column] -= mean);
    }
    for row in 0..size {
        let mean = covariance[row * size + from..(row + 1) * size].iter().sum::<f64>() / n;
        covariance[row * size + from..(row + 1) * size].iter_mut().for_each(|c| *c -= mean);
    }
}

/// Covariance over fits to resampled queries, as [`covariance`] lays it out.
pub(crate) fn spread_of(fits: &[Parameters], columns: usize, types: usize) -> Option<Vec<f64>> {
    let size = columns + types;
    let joint: Vec<Vec<f64>> =
        fits.iter().map(|p| p.values.iter().chain(&p.importances[..types]).copied().collect()).collect();
    if joint.len() < 2 {
        return None;
    }
    let mean: Vec<f64> =
        (0..size).map(|i| joint.iter().map(|j| j[i]).sum::<f64>() / joint.len() as f64).collect();
    let mut covariance = vec![0.0; size * size];
    for fit in &joint {
        let off: Vec<f64> = fit.iter().zip(&mean).map(|(x, m)| x - m).collect();
        add_gram(&mut covariance, &off, size, 1.0 / (joint.len() - 1) as f64);
    }
    mirror(&mut covariance, size);
    Some(covariance)
}
