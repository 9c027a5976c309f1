//! The best surrogate under a ridge: variable projection with Levenberg-Marquardt steps.
//!
//! Minimised is `Phi = sum_q w_q (F_q - f_q)^2 + rho_v |v - c|^2 + rho_s |s|^2` with `c` the weighted mean of `F`. For fixed `s`
//! the values are a ridge regression, `v(s) = (W' w W + rho_v I)^{-1} (W' w F + rho_v c 1)` with the attention shares `W`. What
//! is left is a search over `s`, whose gradient needs only the direct dependence on `s` (the values are optimal) and whose
//! Gauss-Newton matrix is that of the joint problem after eliminating the values (Kaufman 1975).

use super::dense::{Cholesky, add_gram};
use super::queries::Queries;
use super::result::Stop;

/// Weights of the penalties.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ridge {
    /// Of values that differ from the mean score.
    pub values: f64,
    /// Of importances that differ from 0.
    pub importances: f64,
}

/// Values and importances, a number per column: a background comes last, with importance 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters {
    /// `v`.
    pub values: Vec<f64>,
    /// `s`, not centred.
    pub importances: Vec<f64>,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The optimum.
    pub parameters: Parameters,
    /// `Phi` there.
    pub objective: f64,
    /// Weighted residual sum of squares.
    pub rss: f64,
    /// Accepted and refused steps.
    pub iterations: usize,
    /// Why it ended.
    pub stop: Stop,
}

const MOST_ITERATIONS: usize = 200;
/// Decrease of the objective, relative to it, that ends the search. Where residuals are large the search converges linearly, and a
/// larger one would leave badly determined values in their second digit after the point.
const SMALLEST_DECREASE: f64 = 1e-13;
/// Longest step of an importance, in log units.
const LONGEST: f64 = 3.0;

/// Where the search is.
struct Point {
    importances: Vec<f64>,
    shares: Vec<f64>,
    values: Vec<f64>,
    predicted: Vec<f64>,
    factor: Cholesky,
    rss: f64,
    objective: f64,
}

impl Point {
    fn at(queries: &Queries, ridge: Ridge, mean: f64, importances: Vec<f64>) -> Option<Self> {
        let n = queries.columns();
        let shares = queries.shares(&importances);
        let mut gram = vec![0.0; n * n];
        let mut right = vec![ridge.values * mean; n];
        for row in 0..queries.len() {
            let (of, _) = queries.row(row);
            let own = &shares[queries.range(row)];
            let (weight, score) = (queries.weights()[row], queries.scores()[row]);
            for (at, (t, a)) in of.iter().zip(own).enumerate() {
                let scaled = weight * a;
                right[*t as usize] += scaled * score;
                let line = &mut gram[*t as usize * n..(*t as usize + 1) * n];
                of[at..].iter().zip(&own[at..]).for_each(|(u, b)| line[*u as usize] += scaled * b);
            }
        }
        (0..n).for_each(|t| gram[t * n + t] += ridge.values);
        let factor = Cholesky::new(gram, n)?;
        let values = factor.solve(&right);
        let predicted = queries.predict(&shares, &values);
        let rss: f64 = predicted
            .iter()
            .zip(queries.scores())
            .zip(queries.weights())
            .map(|((f, score), weight)| weight * (f - score) * (f - score))
            .sum();
        let spread: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
        let size: f64 = importances.iter().map(|s| s * s).sum();
        let objective = rss + ridge.values * spread + ridge.importances * size;
        objective.is_finite().then_some(Self {
            importances,
            shares,
            values,
            predicted,
            factor,
            rss,
            objective,
        })
    }

    /// Half the gradient and the Gauss-Newton matrix over the importances.
    fn slope(&self, queries: &Queries, ridge: Ridge) -> (Vec<f64>, Vec<f64>) {
        let (n, k) = (queries.types(), queries.columns());
        let mut gradient = vec![0.0; n];
        let mut matrix = vec![0.0; n * n];
        // W' w J, a row per value.
        let mut cross = vec![0.0; k * n];
        let mut slopes = vec![];
        for row in 0..queries.len() {
            let (of, _) = queries.row(row);
            let own = &self.shares[queries.range(row)];
            let (weight, f) = (queries.weights()[row], self.predicted[row]);
            let residual = f - queries.scores()[row];
            // The background's importance is fixed.
            let free = of.len() - usize::from(queries.has_background());
            slopes.clear();
            slopes.extend(of[..free].iter().zip(own).map(|(t, a)| a * (self.values[*t as usize] - f)));
            for (at, (t, a)) in of.iter().zip(own).enumerate() {
                let (t, scaled) = (*t as usize, weight * a);
                let line = &mut cross[t * n..(t + 1) * n];
                of.iter().zip(&slopes).for_each(|(u, j)| line[*u as usize] += scaled * j);
                let Some(slope) = slopes.get(at) else { continue };
                gradient[t] += weight * slope * residual;
                let line = &mut matrix[t * n..(t + 1) * n];
                of[at..].iter().zip(&slopes[at..]).for_each(|(u, j)| line[*u as usize] += weight * slope * j);
            }
        }
        self.factor.forward(&mut cross, n);
        add_gram(&mut matrix, &cross, n, -1.0);
        for t in 0..n {
            gradient[t] += ridge.importances * self.importances[t];
            matrix[t * n + t] += ridge.importances;
        }
        (gradient, matrix)
    }
}

/// Searches from the importances `start`, one per column. `None` if the ridge is too small to determine the values.
pub fn search(queries: &Queries, ridge: Ridge, start: &[f64]) -> Option<Found> {
    let n = queries.types();
    let (mean, _) = queries.moments();
    let mut here = Point::at(queries, ridge, mean, start.to_vec())?;
    let mut damping = 1e-2;
    let (mut iterations, mut stop) = (0, Stop::Iterations);
    'search: while iterations < MOST_ITERATIONS {
        let (gradient, matrix) = here.slope(queries, ridge);
        if gradient.iter().all(|g| *g == 0.0) {
            stop = Stop::Step;
            break;
        }
        let trace: f64 = (0..n).map(|t| matrix[t * n + t]).sum();
        loop {
            iterations += 1;
            let mut damped = matrix.clone();
            for t in 0..n {
                damped[t * n + t] += damping * matrix[t * n + t] + 1e-14 * trace / n as f64;
            }
            let mut longest = 0.0;
            let next = Cholesky::new(damped, n).and_then(|factor| {
                let step = factor.solve(&gradient);
                longest = step.iter().map(|d| d.abs()).fold(0.0, f64::max);
                let scale = if longest > LONGEST { LONGEST / longest } else { 1.0 };
                let mut importances = here.importances.clone();
                importances.iter_mut().zip(&step).for_each(|(s, d)| *s -= scale * d);
                Point::at(queries, ridge, mean, importances)
            });
            match next.filter(|p| p.objective < here.objective) {
                Some(next) => {
                    let decrease = (here.objective - next.objective) / here.objective;
                    here = next;
                    damping = (damping / 5.0).max(1e-12);
                    if decrease <= SMALLEST_DECREASE {
                        stop = Stop::Decrease;
                        break 'search;
                    }
                    if longest <= 1e-8 {
                        stop = Stop::Step;
                        break 'search;
                    }
                    break;
                }
                None => {
                    damping *= 4.0;
                    if longest > 0.0 && longest <= 1e-8 {
                        stop = Stop::Step;
                        break 'search;
                    }
                    if damping > 1e12 || iterations >= MOST_ITERATIONS {
                        stop = if damping > 1e12 { Stop::Damping } else { Stop::Iterations };
                        break 'search;
                    }
                }
            }
        }
    }
    Some(Found {
        parameters: Parameters { values: here.values, importances: here.importances },
        objective: here.objective,
        rss: here.rss,
        iterations,
        stop,
    })
}

/// The values that fit best for given importances, `v(s)`.
pub fn values_at(queries: &Queries, ridge: f64, prior: f64, importances: &[f64]) -> Option<Vec<f64>> {
    let ridge = Ridge { values: ridge, importances: 0.0 };
    Point::at(queries, ridge, prior, importances.to_vec()).map(|p| p.values)
}
