//! How well a surrogate foretells scores that it was not fitted to, beside a linear one and a constant.

use super::dense::Cholesky;
use super::queries::Queries;
use super::result::Quality;
use super::search::Parameters;
use crate::random::{RowKey, Stream};

/// Fewest held-out queries that say anything.
const FEWEST: usize = 5;

/// Numbers of queries for fitting, and of those held out: about `share` of them. Queries of a single type are always fitted,
/// and each type occurs in what is fitted. `None` if too few can be held out.
pub fn split(queries: &Queries, share: f64, key: RowKey) -> Option<(Vec<usize>, Vec<usize>)> {
    let wanted = (share * queries.len() as f64).floor() as usize;
    let of_players = |row: usize| {
        let (of, _) = queries.row(row);
        of.iter().map(|t| *t as usize).filter(|t| *t < queries.types()).collect::<Vec<usize>>()
    };
    let mut covered = vec![0usize; queries.types()];
    (0..queries.len()).for_each(|row| of_players(row).iter().for_each(|t| covered[*t] += 1));
    let mut order: Vec<usize> = (0..queries.len()).filter(|row| of_players(*row).len() > 1).collect();
    Stream::new(key, "slalom hold-out", 0).shuffle(&mut order);
    let mut is_held = vec![false; queries.len()];
    let mut held = 0;
    for row in order {
        if held >= wanted {
            break;
        }
        let players = of_players(row);
        if players.iter().all(|t| covered[*t] > 1) {
            players.iter().for_each(|t| covered[*t] -= 1);
            is_held[row] = true;
            held += 1;
        }
    }
    let (out, fitted) = (0..queries.len()).partition(|row| is_held[*row]);
    (held >= FEWEST).then_some((fitted, out))
}

/// A linear surrogate `b + sum n_t w_t`: the weights, then the intercept. Least squares with a ridge of 1e-8 on the weights.
pub fn linear(queries: &Queries) -> Option<Vec<f64>> {
    let n = queries.columns();
    let total: f64 = queries.weights().iter().sum();
    let (score, _) = queries.moments();
    let mut mean = vec![0.0; n];
    let mut gram = vec![0.0; n * n];
    let mut right = vec![0.0; n];
    for row in 0..queries.len() {
        let (of, counts) = queries.row(row);
        let weight = queries.weights()[row];
        for (at, (t, count)) in of.iter().zip(counts).enumerate() {
            let (t, scaled) = (*t as usize, weight * count);
            mean[t] += scaled / total;
            right[t] += scaled * (queries.scores()[row] - score);
            let line = &mut gram[t * n..(t + 1) * n];
            of[at..].iter().zip(&counts[at..]).for_each(|(u, c)| line[*u as usize] += scaled * c);
        }
    }
    // Counts less their means: the intercept is free.
    let trace: f64 = (0..n).map(|t| gram[t * n + t]).sum();
    for t in 0..n {
        for u in t..n {
            gram[t * n + u] -= total * mean[t] * mean[u];
        }
        gram[t * n + t] += 1e-8 + 1e-13 * trace;
    }
    let mut weights = Cholesky::new(gram, n)?.solve(&right);
    let at_mean: f64 = weights.iter().zip(&mean).map(|(w, m)| w * m).sum();
    weights.push(score - at_mean);
    Some(weights)
}

/// What a linear surrogate says of each query.
pub fn predict_linear(queries: &Queries, weights: &[f64]) -> Vec<f64> {
    let intercept = weights.last().copied().unwrap_or(0.0);
    (0..queries.len())
        .map(|row| {
            let (of, counts) = queries.row(row);
            intercept + of.iter().zip(counts).map(|(t, n)| n * weights[*t as usize]).sum::<f64>()
        })
        .collect()
}

/// Weighted mean of the squared errors.
pub fn mean_squared_error(queries: &Queries, predicted: &[f64]) -> f64 {
    let total: f64 = queries.weights().iter().sum();
    squares(queries, predicted) / total.max(f64::MIN_POSITIVE)
}

fn squares(queries: &Queries, predicted: &[f64]) -> f64 {
    let pairs = queries.scores().iter().zip(predicted).zip(queries.weights());
    pairs.map(|((score, f), weight)| weight * (score - f) * (score - f)).sum()
}

/// Shares of variance explained on `out`, of the surrogate with `parameters` and of others fitted to `fitted`.
pub fn judge(fitted: &Queries, out: &Queries, parameters: &Parameters) -> Quality {
    let (mean, _) = fitted.moments();
    let around = squares(out, &vec![mean; out.len()]);
    let (own_mean, own_variance) = out.moments();
    let varies = own_variance > 1e-20 * (1.0 + own_mean * own_mean) && around > 0.0;
    let explained = |predicted: &[f64]| varies.then(|| 1.0 - squares(out, predicted) / around);
    let shares = out.shares(&parameters.importances);
    let of_linear = linear(fitted).map(|weights| predict_linear(out, &weights));
    Quality {
        slalom: explained(&out.predict(&shares, &parameters.values)),
        linear: of_linear.and_then(|predicted| explained(&predicted)),
        constant: explained(&vec![mean; out.len()]),
        fitted: fitted.len(),
        held_out: out.len(),
    }
}
