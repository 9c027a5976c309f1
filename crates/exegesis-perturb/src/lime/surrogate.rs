//! The weighted linear fit, and how far it depends on the draw.

use crate::Result;
use crate::least_squares::{Cholesky, dot, weighted_ridge};

/// Samples as the fit takes them.
pub(super) struct Data {
    /// Which players are there, or how far each was moved.
    pub rows: Vec<Vec<f64>>,
    /// Scores.
    pub targets: Vec<f64>,
    /// Kernel times how often each was drawn.
    pub weights: Vec<f64>,
    /// Samples of one number were drawn together.
    pub pairs: Vec<usize>,
}

/// A surrogate.
pub(super) struct Surrogate {
    /// Coefficient per player.
    pub values: Vec<f64>,
    /// Standard error per player over draws of the samples.
    pub errors: Vec<f64>,
    pub intercept: f64,
    pub r_squared: f64,
}

/// Penalty of the fit, and of the one that players are selected by.
const RIDGE: f64 = 1.0;
const RIDGE_OF_SELECTION: f64 = 0.01;

/// Fits all players, or the `features` with the largest coefficients of a first fit.
///
/// # Errors
/// As [`weighted_ridge`].
pub(super) fn fit(data: &Data, features: Option<usize>) -> Result<Surrogate> {
    let n = data.rows.first().map_or(0, Vec::len);
    let mut chosen: Vec<usize> = (0..n).collect();
    if let Some(features) = features.filter(|k| *k < n) {
        let first = weighted_ridge(&data.rows, &data.targets, &data.weights, RIDGE_OF_SELECTION, true)?;
        chosen.sort_by(|a, b| first.coefficients[*b].abs().total_cmp(&first.coefficients[*a].abs()));
        chosen.truncate(features);
        chosen.sort_unstable();
    }
    let kept: Vec<Vec<f64>> =
        data.rows.iter().map(|row| chosen.iter().map(|player| row[*player]).collect()).collect();
    let fit = weighted_ridge(&kept, &data.targets, &data.weights, RIDGE, true)?;
    let residuals: Vec<f64> = kept
        .iter()
        .zip(&data.targets)
        .map(|(row, target)| target - fit.intercept - dot(&fit.coefficients, row))
        .collect();
    let own = errors(&kept, &residuals, data);
    let (mut values, mut errors) = (vec![0.0; n], vec![0.0; n]);
    for (at, player) in chosen.iter().enumerate() {
        values[*player] = fit.coefficients[at];
        errors[*player] = own[at];
    }
    Ok(Surrogate { values, errors, intercept: fit.intercept, r_squared: fit.r_squared })
}

/// Standard errors of the coefficients over draws of pairs: the roots of the diagonal of `A^-1 (sum over pairs u u^T) A^-1 P / (P - p)`
/// with `u` the pair's sum of `w r x`, A = sum w x x^T + ridge, of centred x, for P pairs and p unknowns. Infinite for P <= p.
fn errors(rows: &[Vec<f64>], residuals: &[f64], data: &Data) -> Vec<f64> {
    let n = rows.first().map_or(0, Vec::len);
    let mass: f64 = data.weights.iter().sum();
    let mut centre = vec![0.0; n];
    for (row, w) in rows.iter().zip(&data.weights) {
        centre.iter_mut().zip(row).for_each(|(c, x)| *c += w * x / mass);
    }
    let centred: Vec<Vec<f64>> =
        rows.iter().map(|row| row.iter().zip(&centre).map(|(x, c)| x - c).collect()).collect();
    let mut gram = vec![0.0; n * n];
    for (x, w) in centred.iter().zip(&data.weights) {
        for (row, value) in x.iter().enumerate() {
            let scaled = w * value;
            gram[row * n..=row * n + row].iter_mut().zip(x).for_each(|(g, x)| *g += scaled * x);
        }
    }
    (0..n).for_each(|j| gram[j * n + j] += RIDGE);
    let count = data.pairs.iter().take(rows.len()).collect::<rustc_hash::FxHashSet<_>>().len();
    let factor = Cholesky::of(&gram, n).filter(|_| count > n + 1);
    let Some(factor) = factor else { return vec![f64::INFINITY; n] };
    let mut variances = vec![0.0; n];
    let mut start = 0;
    while start < rows.len() {
        let same = |i: &usize| data.pairs[*i] == data.pairs[start];
        let end = start + (start..rows.len()).take_while(same).count();
        let mut together = vec![0.0; n];
        for i in start..end {
            let part = data.weights[i] * residuals[i];
            together.iter_mut().zip(&centred[i]).for_each(|(u, x)| *u += part * x);
        }
        let influence = factor.solve(&together);
        variances.iter_mut().zip(influence).for_each(|(v, a)| *v += a * a);
        start = end;
    }
    let scale = count as f64 / (count - n - 1) as f64;
    variances.iter().map(|v| (v * scale).sqrt()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples::Kernel;
    use super::*;

    fn numbers(value: &serde_json::Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    }

    /// Catches another kernel, penalty, selection or R^2 than those of lime.
    #[test]
    fn fits_are_those_of_lime() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/peers/black_box/lime.json");
        let all: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut fits = 0;
        for case in all["cases"].as_array().unwrap() {
            let rows: Vec<Vec<f64>> = case["z"].as_array().unwrap().iter().map(numbers).collect();
            let n = rows[0].len();
            // The recorded width of texts is for a distance 100 times as large.
            let kernel = match case["name"].as_str().unwrap() {
                "tabular" => Kernel::euclidean(n, None),
                _ => Kernel::cosine(None),
            };
            let sizes: Vec<usize> = rows.iter().map(|z| z.iter().filter(|v| **v > 0.0).count()).collect();
            let weights: Vec<f64> = sizes.iter().map(|size| kernel.of_missing(n, *size)).collect();
            for (own, theirs) in weights.iter().zip(numbers(&case["weights"])) {
                assert!((own - theirs).abs() < 1e-8, "{}", case["name"]);
            }
            let pairs = (0..rows.len()).collect();
            let data = Data { rows, targets: numbers(&case["y"]), weights, pairs };
            for expected in case["fits"].as_array().unwrap() {
                let features = numbers(&expected["features"]);
                let count = match expected["selection"].as_str().unwrap() {
                    "none" => None,
                    "highest_weights" => Some(features.len()),
                    _ => continue,
                };
                let own = fit(&data, count).unwrap();
                fits += 1;
                assert!((own.intercept - expected["intercept"].as_f64().unwrap()).abs() < 1e-8);
                assert!((own.r_squared - expected["r2"].as_f64().unwrap()).abs() < 1e-8);
                let mut theirs = vec![0.0; n];
                for (player, value) in features.iter().zip(numbers(&expected["coefficients"])) {
                    theirs[*player as usize] = value;
                }
                assert!(own.values.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 1e-8), "{expected}");
            }
        }
        assert_eq!(fits, 6);
    }
}
