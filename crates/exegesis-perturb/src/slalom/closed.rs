//! Closed forms: surrogates of the fewest scores that determine them.

use super::adaptive::centred;
use super::dense::{Cholesky, non_negative};
use super::queries::Queries;
use super::search::Parameters;

/// A closed form's result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Direct {
    /// Values and importances.
    pub parameters: Parameters,
    /// Pairs, types or ratios that no surrogate of this form explains and that were cut to the nearest that one does, or left
    /// out.
    pub clamped: usize,
}

/// A pair of types and its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// A type.
    pub of: usize,
    /// The other.
    pub with: usize,
    /// Score of the two together, over both orders where both were asked.
    pub score: f64,
    /// True if both orders were asked.
    pub is_both_orders: bool,
}

/// The types with the largest and the smallest value.
pub fn pivots(values: &[f64]) -> Option<(usize, usize)> {
    let high = (0..values.len()).max_by(|a, b| values[*a].total_cmp(&values[*b]).then(b.cmp(a)))?;
    let low = (0..values.len()).min_by(|a, b| values[*a].total_cmp(&values[*b]).then(a.cmp(b)))?;
    Some((high, low))
}

/// The pairs that are asked for: each type with the pivot whose value is farther from its own, or with both pivots, and the
/// pivots with each other.
pub fn pairs(values: &[f64], both: bool) -> Vec<(usize, usize)> {
    let Some((high, low)) = pivots(values).filter(|(high, low)| high != low) else {
        // No pivots where all values are equal: importances can't be seen.
        return vec![];
    };
    let mut pairs = vec![(low, high)];
    for t in (0..values.len()).filter(|t| *t != high && *t != low) {
        let far = if values[high] - values[t] >= values[t] - values[low] { high } else { low };
        match both {
            true => pairs.extend([(t, high), (t, low)]),
            false => pairs.push((t, far)),
        }
    }
    pairs
}

/// `logit p` with `p = (F([t, u]) - v_u) / (v_t - v_u)`, which is `s_t - s_u`, and its variance; `noise` is the variance of a
/// score. The last is true if `p` had to be cut.
fn difference(values: &[f64], pair: &Pair, noise: f64) -> Option<(f64, f64, bool)> {
    let (vt, vu) = (*values.get(pair.of)?, *values.get(pair.with)?);
    let delta = vt - vu;
    let given = (pair.score - vu) / delta;
    if !given.is_finite() {
        return None;
    }
    let own = if pair.is_both_orders { 0.5 } else { 1.0 };
    let spread = |p: f64| noise * (own + p * p + (1.0 - p) * (1.0 - p)) / (delta * delta);
    // Outside of (0, 1) the pair contradicts the form, however small the noise is thought to be.
    let is_outside = given <= 0.0 || given >= 1.0;
    let margin = match is_outside {
        true => 0.02,
        false => (2.0 * spread(given).sqrt()).clamp(1e-12, 0.02),
    };
    let p = given.clamp(margin, 1.0 - margin);
    let variance = spread(p) / (p * (1.0 - p)).powi(2);
    Some((p.ln() - (-p).ln_1p(), variance, p != given))
}

/// Variance of `s_t - s_u` as a pair tells it, `sigma^2 (1 + p^2 + (1 - p)^2) / (v_t - v_u)^2 / (p (1 - p))^2`.
pub fn pair_variance(value_t: f64, value_u: f64, difference: f64, noise: f64) -> f64 {
    let p = 1.0 / (1.0 + (-difference).exp());
    noise * (1.0 + p * p + (1.0 - p) * (1.0 - p)) / ((value_t - value_u) * p * (1.0 - p)).powi(2)
}

/// Importances from the scores of types alone and of pairs: each pair tells a difference, `s_t - s_u = logit p`; more pairs than
/// are needed are weighted by the inverse of their variance. `noise` is the variance of a score, 0 for a model that is a
/// surrogate of this form.
pub fn from_pairs(values: &[f64], pairs: &[Pair], noise: f64) -> Direct {
    let n = values.len();
    let mut clamped = 0;
    let mut told = vec![];
    for pair in pairs {
        let Some((difference, variance, is_cut)) = difference(values, pair, noise) else { continue };
        clamped += usize::from(is_cut);
        let weight = if noise > 0.0 { 1.0 / variance.max(f64::MIN_POSITIVE) } else { 1.0 };
        told.push((pair.of, pair.with, difference, weight));
    }
    // Weights that span many orders would drown the weak ones in rounding.
    let most = told.iter().map(|t| t.3).fold(0.0, f64::max);
    let mut normal = vec![0.0; n * n];
    let mut right = vec![0.0; n];
    for (t, u, difference, weight) in &told {
        let weight = (weight / most).max(1e-9);
        normal[t * n + t] += weight;
        normal[u * n + u] += weight;
        normal[t * n + u] -= weight;
        normal[u * n + t] -= weight;
        right[*t] += weight * difference;
        right[*u] -= weight * difference;
    }
    // The shift is free, and types without a pair stay at 0.
    (0..n).for_each(|i| {
        (0..n).for_each(|j| normal[i * n + j] += 1.0 / n as f64);
        if told.iter().all(|(t, u, ..)| *t != i && *u != i) {
            normal[i * n + i] += 1.0;
        }
    });
    let importances = Cholesky::new(normal, n).map_or_else(|| vec![0.0; n], |c| c.solve(&right));
    let parameters = Parameters { values: values.to_vec(), importances };
    Direct { parameters: centred(parameters, false), clamped }
}

/// Half the mean squared difference of the scores of pairs in both orders: the variance of a score, as far as order is noise.
pub fn order_noise(both: &[[f64; 2]]) -> Option<f64> {
    let sum: f64 = both.iter().map(|[a, b]| (a - b) * (a - b)).sum();
    (!both.is_empty()).then(|| 0.5 * sum / both.len() as f64)
}

/// Importances from the score of the text, of each type alone, and of the text without each type: with
/// `r = (F_{-t} - F) / (F - v_t)`, `A_t = r / (1 + r)` is the attention that the type takes in the text, `s_t = ln(A_t / n_t)` up
/// to a shift. The second is the sum of all `A_t`, 1 where the model is a surrogate of this form.
///
/// Types with `|F - v_t|` below `3 sqrt(noise)`, or with `r` outside of what attention can be, are cut and counted.
pub fn leave_type_out(
    values: &[f64],
    counts: &[usize],
    full: f64,
    without: &[f64],
    noise: f64,
) -> (Direct, f64) {
    let n = values.len();
    let mut clamped = 0;
    let mut sum = 0.0;
    let mut attention = vec![None; n];
    for t in 0..n {
        let below = full - values[t];
        let r = (without[t] - full) / below;
        if !r.is_finite() || below.abs() < 3.0 * noise.max(0.0).sqrt() {
            clamped += 1;
            continue;
        }
        sum += r / (1.0 + r);
        let share = (r / (1.0 + r)).clamp(1e-9, 1.0 - 1e-9);
        clamped += usize::from(r <= 0.0);
        attention[t] = Some((share / counts[t].max(1) as f64).ln());
    }
    // What can't be seen is as important as the average.
    let known: Vec<f64> = attention.iter().flatten().copied().collect();
    let middle = known.iter().sum::<f64>() / known.len().max(1) as f64;
    let importances = attention.iter().map(|a| a.unwrap_or(middle)).collect();
    let parameters = Parameters { values: values.to_vec(), importances };
    (Direct { parameters: centred(parameters, false), clamped }, sum)
}

/// The variant with a background token, from the score of the text without tokens, of each type alone and of each type twice:
/// with `a = F([t]) - v_0`, `b = F([t, t]) - v_0` and `q = b / a` in (1, 2), `e^s = (2 - q) / (2 (q - 1))` and
/// `v = v_0 + a (1 + e^s) / e^s`. `q` is cut to [1.01, 1.99].
pub fn with_background(empty: f64, alone: &[f64], twice: &[f64]) -> Direct {
    let mut clamped = 0;
    let (mut values, mut importances) = (vec![], vec![]);
    for (one, two) in alone.iter().zip(twice) {
        let (a, b) = (one - empty, two - empty);
        let given = b / a;
        let q = if given.is_finite() { given.clamp(1.01, 1.99) } else { 1.5 };
        clamped += usize::from(q != given);
        let odds = (2.0 - q) / (2.0 * (q - 1.0));
        importances.push(odds.ln());
        values.push(empty + a * (1.0 + odds) / odds);
    }
    values.push(empty);
    importances.push(0.0);
    Direct { parameters: Parameters { values, importances }, clamped }
}

/// Importances for given values from any scores: `e = e^s` solves `sum_t n_t (F - v_t) e_t = 0` with `e >= 0` and `sum e = n` in
/// the sense of least squares. It minimises the error of the equation, not of the score: a start on clean data, biased on noise.
pub fn from_linear_form(queries: &Queries, values: &[f64]) -> Vec<f64> {
    let n = queries.types();
    let mut gram = vec![0.0; n * n];
    for row in 0..queries.len() {
        let (of, counts) = queries.row(row);
        let score = queries.scores()[row];
        let weight = queries.weights()[row];
        let line: Vec<(usize, f64)> = of
            .iter()
            .zip(counts)
            .filter(|(t, _)| (**t as usize) < n)
            .map(|(t, count)| (*t as usize, count * (values[*t as usize] - score)))
            .collect();
        for (t, x) in &line {
            line.iter().for_each(|(u, y)| gram[t * n + u] += weight * x * y);
        }
    }
    // Any weight of the equation `sum e = n` gives the same direction.
    let trace = (0..n).map(|t| gram[t * n + t]).sum::<f64>() / n.max(1) as f64;
    let weight = if trace > 0.0 { trace } else { 1.0 };
    gram.iter_mut().for_each(|g| *g += weight);
    let e = non_negative(&gram, &vec![weight * n as f64; n]);
    let mean = e.iter().sum::<f64>() / n.max(1) as f64;
    if mean <= 0.0 {
        return vec![0.0; n];
    }
    e.iter().map(|e| (e / mean).max(1e-8).ln()).collect()
}
