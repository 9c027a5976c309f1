//! Weighted linear regression in f64: normal equations, solved by Cholesky's decomposition.

use crate::{Error, Result};

/// A pivot below this part of the largest diagonal cell means that the system has no single solution.
const SINGULAR: f64 = 1e-12;

/// A symmetric positive definite matrix A as L L^T.
#[derive(Clone, Debug)]
pub(crate) struct Cholesky {
    size: usize,
    /// L row by row, zeros above the diagonal.
    lower: Vec<f64>,
}

impl Cholesky {
    /// Of the `size` times `size` matrix, of which the part up to the diagonal is read; `None` if it is not safely positive
    /// definite.
    pub fn of(matrix: &[f64], size: usize) -> Option<Self> {
        let mut lower = matrix.to_vec();
        let largest = (0..size).map(|i| matrix[i * size + i]).fold(0.0, f64::max);
        for row in 0..size {
            let (before, rest) = lower.split_at_mut(row * size);
            let own = &mut rest[..size];
            for column in 0..row {
                let other = &before[column * size..(column + 1) * size];
                let sum = dot(&own[..column], &other[..column]);
                own[column] = (own[column] - sum) / other[column];
            }
            let pivot = own[row] - dot(&own[..row], &own[..row]);
            if !pivot.is_finite() || pivot <= SINGULAR * largest {
                return None;
            }
            own[row] = pivot.sqrt();
            own[row + 1..].fill(0.0);
        }
        Some(Self { size, lower })
    }

    /// x of A x = `right`.
    pub fn solve(&self, right: &[f64]) -> Vec<f64> {
        let n = self.size;
        let mut x = right.to_vec();
        for row in 0..n {
            let own = &self.lower[row * n..row * n + row];
            x[row] = (x[row] - dot(own, &x[..row])) / self.lower[row * n + row];
        }
        for row in (0..n).rev() {
            x[row] /= self.lower[row * n + row];
            let (done, own) = (x[row], &self.lower[row * n..row * n + row]);
            x[..row].iter_mut().zip(own).for_each(|(x, l)| *x -= l * done);
        }
        x
    }

    /// The inverse of A, row by row: `L^-T L^-1`.
    pub fn inverse(&self) -> Vec<f64> {
        let n = self.size;
        // Row k of L^-1 holds up to column k.
        let mut rows = vec![0.0; n * n];
        for row in 0..n {
            let (before, rest) = rows.split_at_mut(row * n);
            let own = &mut rest[..=row];
            let lower = &self.lower[row * n..=row * n + row];
            for (column, factor) in lower[..row].iter().enumerate() {
                let other = &before[column * n..=column * n + column];
                own.iter_mut().zip(other).for_each(|(x, y)| *x -= factor * y);
            }
            own[row] = 1.0;
            own.iter_mut().for_each(|x| *x /= lower[row]);
        }
        let mut inverse = vec![0.0; n * n];
        for row in 0..n {
            add_outer(&mut inverse, n, &rows[row * n..=row * n + row], 1.0);
        }
        for row in 0..n {
            for column in 0..row {
                inverse[column * n + row] = inverse[row * n + column];
            }
        }
        inverse
    }
}

/// Sum of products, in lanes that the compiler makes vectors of; the order of summation is fixed.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0f64; 8];
    let (a_lanes, b_lanes) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a_lanes.remainder().iter().zip(b_lanes.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a_lanes.zip(b_lanes) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lanes.iter().sum::<f64>() + rest
}

/// A weighted linear fit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fit {
    /// Per column.
    pub coefficients: Vec<f64>,
    /// 0 without one.
    pub intercept: f64,
    /// Weighted share of the variance of the targets that is explained: 1 - sum w r^2 / sum w (y - mean)^2. 1 for constant
    /// targets.
    pub r_squared: f64,
    /// Variance of each coefficient, whatever the scatter of the residuals r (White's estimate for m rows and p unknowns):
    /// the diagonal of A^-1 (sum w^2 r^2 x x^T) A^-1 m / (m - p), with A = sum w x x^T + ridge. Infinite for m <= p.
    pub variances: Vec<f64>,
}

/// Coefficients b and intercept a with the least sum of `weights` (y - a - b x)^2 + `ridge` |b|^2, over `rows` of x and
/// `targets` y. The intercept is not penalised; without one it is 0.
///
/// # Errors
/// Lengths that differ, weights that are negative or all zero, or rows that leave coefficients open, which a positive `ridge`
/// rules out.
pub(crate) fn weighted_ridge(
    rows: &[Vec<f64>],
    targets: &[f64],
    weights: &[f64],
    ridge: f64,
    intercept: bool,
) -> Result<Fit> {
    let wrong = |what: &str| Err(Error::Request(format!("the surrogate can't be fitted: {what}")));
    let n = rows.first().map_or(0, Vec::len);
    if targets.len() != rows.len() || weights.len() != rows.len() || rows.iter().any(|r| r.len() != n) {
        return wrong("rows, scores and weights are of different number");
    }
    let mass: f64 = weights.iter().sum();
    if !(mass.is_finite() && mass > 0.0) || weights.iter().any(|w| *w < 0.0) {
        return wrong("no row has weight; choose a wider kernel");
    }
    let mean = |of: &dyn Fn(usize) -> f64| (0..rows.len()).map(|i| weights[i] * of(i)).sum::<f64>() / mass;
    let target_mean = mean(&|i| targets[i]);
    let (centre, middle) = match intercept {
        true => ((0..n).map(|j| mean(&|i| rows[i][j])).collect(), target_mean),
        false => (vec![0.0; n], 0.0),
    };
    let centred: Vec<Vec<f64>> =
        rows.iter().map(|row| row.iter().zip(&centre).map(|(x, c)| x - c).collect()).collect();
    let (mut gram, mut right) = (vec![0.0; n * n], vec![0.0; n]);
    for ((x, y), w) in centred.iter().zip(targets).zip(weights) {
        add_outer(&mut gram, n, x, *w);
        right.iter_mut().zip(x).for_each(|(r, x)| *r += w * (y - middle) * x);
    }
    (0..n).for_each(|j| gram[j * n + j] += ridge);
    let Some(factor) = Cholesky::of(&gram, n) else {
        return wrong("the samples do not tell all players apart; ask for more samples");
    };
    let coefficients = factor.solve(&right);
    let residual = |i: usize| targets[i] - middle - dot(&coefficients, &centred[i]);
    let left: f64 = (0..rows.len()).map(|i| weights[i] * residual(i).powi(2)).sum();
    let spread: f64 = (0..rows.len()).map(|i| weights[i] * (targets[i] - target_mean).powi(2)).sum();
    let unknowns = n + usize::from(intercept);
    let mut variances = vec![f64::INFINITY; n];
    if rows.len() > unknowns {
        let scale = rows.len() as f64 / (rows.len() - unknowns) as f64;
        variances.fill(0.0);
        for (i, x) in centred.iter().enumerate() {
            let part = (weights[i] * residual(i)).powi(2) * scale;
            if part > 0.0 {
                let influence = factor.solve(x);
                variances.iter_mut().zip(influence).for_each(|(v, a)| *v += part * a * a);
            }
        }
    }
    Ok(Fit {
        intercept: middle - dot(&coefficients, &centre),
        r_squared: if spread > 0.0 { 1.0 - left / spread } else { 1.0 },
        coefficients,
        variances,
    })
}

/// Adds `weight` x x^T, of which the part up to the diagonal, to the corner of `gram`, whose rows are `n` long.
fn add_outer(gram: &mut [f64], n: usize, x: &[f64], weight: f64) {
    for (row, value) in x.iter().enumerate() {
        let scaled = weight * value;
        if scaled != 0.0 {
            gram[row * n..=row * n + row].iter_mut().zip(x).for_each(|(g, x)| *g += scaled * x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{RowKey, Stream};
    use proptest::prelude::*;

    /// Rows, targets and weights.
    fn data(seed: u64, m: usize, n: usize) -> (Vec<Vec<f64>>, Vec<f64>, Vec<f64>) {
        let mut random = Stream::new(RowKey { seed, row: 0 }, "least squares", 0);
        let rows = (0..m).map(|_| (0..n).map(|_| random.normal()).collect()).collect();
        let targets = (0..m).map(|_| random.normal()).collect();
        (rows, targets, (0..m).map(|_| random.uniform() + 0.1).collect())
    }

    proptest! {
        /// The gradient of what is minimised vanishes: wrong normal equations, factors or intercepts would show.
        #[test]
        fn a_fit_is_where_the_loss_is_flat(
            seed in any::<u64>(), m in 12usize..40, n in 1usize..10, ridge in 0.0f64..2.0, intercept in any::<bool>(),
        ) {
            let (rows, targets, weights) = data(seed, m, n);
            let fit = weighted_ridge(&rows, &targets, &weights, ridge, intercept).unwrap();
            let residuals: Vec<f64> =
                (0..m).map(|i| targets[i] - fit.intercept - dot(&fit.coefficients, &rows[i])).collect();
            for (j, coefficient) in fit.coefficients.iter().enumerate() {
                let slope: f64 = (0..m).map(|i| weights[i] * residuals[i] * rows[i][j]).sum();
                prop_assert!((slope - ridge * coefficient).abs() < 1e-9);
            }
            let offset: f64 = (0..m).map(|i| weights[i] * residuals[i]).sum();
            let is_right = if intercept { offset.abs() < 1e-9 } else { fit.intercept == 0.0 };
            prop_assert!(is_right);
        }
    }

    proptest! {
        #[test]
        fn an_inverse_undoes_its_matrix(seed in any::<u64>(), n in 1usize..20) {
            let (rows, ..) = data(seed, n + 3, n);
            let mut matrix = vec![0.0; n * n];
            for x in &rows {
                for i in 0..n {
                    for j in 0..n {
                        matrix[i * n + j] += x[i] * x[j];
                    }
                }
            }
            (0..n).for_each(|i| matrix[i * n + i] += 0.1);
            let factor = Cholesky::of(&matrix, n).unwrap();
            let inverse = factor.inverse();
            for i in 0..n {
                let back = factor.solve(&matrix[i * n..(i + 1) * n]);
                for j in 0..n {
                    let unit = f64::from(u8::from(i == j));
                    let product: f64 = (0..n).map(|k| matrix[i * n + k] * inverse[k * n + j]).sum();
                    prop_assert!((product - unit).abs() < 1e-9 && (back[j] - unit).abs() < 1e-9);
                }
            }
        }
    }

    /// Over many draws of noise the stated variances are those that are seen.
    #[test]
    fn variances_are_those_of_repeated_fits() {
        let (rows, _, weights) = data(1, 60, 4);
        let (mut seen, mut stated, mut sums) = ([0.0; 4], [0.0; 4], [0.0; 4]);
        let rounds = 2000;
        for round in 0..rounds {
            let mut random = Stream::new(RowKey { seed: 9, row: round }, "noise", 0);
            let targets: Vec<f64> =
                rows.iter().map(|x| 1.0 + x[0] - 2.0 * x[1] + random.normal() * (0.5 + x[2].abs())).collect();
            let fit = weighted_ridge(&rows, &targets, &weights, 0.0, true).unwrap();
            for j in 0..4 {
                sums[j] += fit.coefficients[j] / rounds as f64;
                seen[j] += fit.coefficients[j].powi(2) / rounds as f64;
                stated[j] += fit.variances[j] / rounds as f64;
            }
        }
        for j in 0..4 {
            let ratio = stated[j] / (seen[j] - sums[j].powi(2));
            assert!((0.8..1.2).contains(&ratio), "column {j}: stated over seen is {ratio}");
        }
    }

    #[test]
    fn what_is_not_determined_is_an_error_without_ridge() {
        let rows = vec![vec![1.0, 1.0], vec![0.0, 0.0], vec![1.0, 1.0]];
        let fit = |ridge| weighted_ridge(&rows, &[1.0, 0.0, 1.0], &[1.0; 3], ridge, true);
        assert!(fit(0.0).unwrap_err().to_string().contains("more samples"));
        let shared = fit(1e-6).unwrap().coefficients;
        assert!((shared[0] - shared[1]).abs() < 1e-9 && (shared[0] - 0.5).abs() < 1e-3);
        let none = weighted_ridge(&rows, &[1.0, 0.0, 1.0], &[0.0; 3], 1.0, true);
        assert!(none.unwrap_err().to_string().contains("weight"));
    }
}
