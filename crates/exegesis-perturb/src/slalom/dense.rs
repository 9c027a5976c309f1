//! The little linear algebra that fits need: symmetric systems by Cholesky, non-negative least squares. Matrices are row-major.

/// The upper factor `U` of a positive definite matrix, `A = U' U`.
#[derive(Clone, Debug)]
pub(crate) struct Cholesky {
    upper: Vec<f64>,
    size: usize,
}

impl Cholesky {
    /// Of a symmetric matrix, of which the upper triangle is read; `None` if it is not positive definite.
    pub fn new(mut a: Vec<f64>, size: usize) -> Option<Self> {
        for k in 0..size {
            let pivot = a[k * size + k];
            if pivot.is_nan() || pivot <= 0.0 || pivot.is_infinite() {
                return None;
            }
            let root = pivot.sqrt();
            a[k * size + k..(k + 1) * size].iter_mut().for_each(|x| *x /= root);
            let (above, below) = a.split_at_mut((k + 1) * size);
            let row = &above[k * size..];
            for i in k + 1..size {
                let factor = row[i];
                if factor != 0.0 {
                    subtract(&mut below[(i - k - 1) * size + i..(i - k) * size], &row[i..], factor);
                }
            }
        }
        Some(Self { upper: a, size })
    }

    /// `U'^{-1} X` in place, `X [size, columns]`.
    pub fn forward(&self, x: &mut [f64], columns: usize) {
        for k in 0..self.size {
            let row = &self.upper[k * self.size..(k + 1) * self.size];
            let (above, below) = x.split_at_mut((k + 1) * columns);
            let own = &mut above[k * columns..];
            own.iter_mut().for_each(|v| *v /= row[k]);
            for i in k + 1..self.size {
                if row[i] != 0.0 {
                    subtract(&mut below[(i - k - 1) * columns..(i - k) * columns], own, row[i]);
                }
            }
        }
    }

    /// `A^{-1} b`.
    pub fn solve(&self, b: &[f64]) -> Vec<f64> {
        let mut x = b.to_vec();
        self.forward(&mut x, 1);
        for k in (0..self.size).rev() {
            let row = &self.upper[k * self.size..(k + 1) * self.size];
            let rest: f64 = row[k + 1..].iter().zip(&x[k + 1..]).map(|(u, v)| u * v).sum();
            x[k] = (x[k] - rest) / row[k];
        }
        x
    }

    /// `A^{-1}`.
    pub fn inverse(&self) -> Vec<f64> {
        let n = self.size;
        let mut roots = vec![0.0; n * n];
        (0..n).for_each(|i| roots[i * n + i] = 1.0);
        self.forward(&mut roots, n);
        let mut inverse = vec![0.0; n * n];
        add_gram(&mut inverse, &roots, n, 1.0);
        mirror(&mut inverse, n);
        inverse
    }
}

/// `a -= factor b`.
fn subtract(a: &mut [f64], b: &[f64], factor: f64) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a -= factor * b);
}

/// The upper triangle of `A += factor X' X`, `X [rows, size]`.
pub(crate) fn add_gram(a: &mut [f64], x: &[f64], size: usize, factor: f64) {
    for row in x.chunks_exact(size.max(1)) {
        for i in 0..size {
            if row[i] != 0.0 {
                subtract(&mut a[i * size + i..(i + 1) * size], &row[i..], -factor * row[i]);
            }
        }
    }
}

/// Copies the upper triangle to the lower.
pub(crate) fn mirror(a: &mut [f64], size: usize) {
    for i in 0..size {
        for j in 0..i {
            a[i * size + j] = a[j * size + i];
        }
    }
}

/// The `x >= 0` that minimises `x' A x - 2 b' x` for a symmetric positive semi-definite `A`: non-negative least squares by the
/// normal equations (Lawson and Hanson 1974, chapter 23).
pub(crate) fn non_negative(a: &[f64], b: &[f64]) -> Vec<f64> {
    let n = b.len();
    let mut x = vec![0.0; n];
    let mut is_free = vec![false; n];
    let tiny = 1e-9 * b.iter().map(|v| v.abs()).fold(0.0, f64::max);
    for _ in 0..3 * n + 10 {
        let pull = |i: usize| b[i] - (0..n).map(|j| a[i * n + j] * x[j]).sum::<f64>();
        let next = (0..n).filter(|i| !is_free[*i]).map(|i| (i, pull(i))).max_by(|p, q| p.1.total_cmp(&q.1));
        let Some((entering, _)) = next.filter(|(_, pull)| *pull > tiny) else { break };
        is_free[entering] = true;
        loop {
            let free: Vec<usize> = (0..n).filter(|i| is_free[*i]).collect();
            let Some(solution) = least(a, b, &free) else {
                is_free[entering] = false;
                return x;
            };
            if solution.iter().all(|v| *v > 0.0) {
                x.fill(0.0);
                free.iter().zip(&solution).for_each(|(i, v)| x[*i] = *v);
                break;
            }
            // As far towards the solution as stays non-negative.
            let mut step = 1.0f64;
            for (i, v) in free.iter().zip(&solution).filter(|(_, v)| **v <= 0.0) {
                step = step.min(x[*i] / (x[*i] - v));
            }
            for (i, v) in free.iter().zip(&solution) {
                x[*i] += step * (v - x[*i]);
            }
            free.iter().filter(|i| x[**i] <= 1e-14).for_each(|i| is_free[*i] = false);
            (0..n).filter(|i| !is_free[*i]).for_each(|i| x[i] = 0.0);
            if !is_free.contains(&true) {
                return x;
            }
        }
    }
    x
}

fn least(a: &[f64], b: &[f64], free: &[usize]) -> Option<Vec<f64>> {
    let (n, k) = (b.len(), free.len());
    let trace: f64 = free.iter().map(|i| a[i * n + i]).sum();
    let mut part = vec![0.0; k * k];
    for (row, i) in free.iter().enumerate() {
        free.iter().enumerate().for_each(|(column, j)| part[row * k + column] = a[i * n + j]);
        part[row * k + row] += 1e-14 * trace / k as f64;
    }
    let right: Vec<f64> = free.iter().map(|i| b[*i]).collect();
    Cholesky::new(part, k).map(|c| c.solve(&right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gram(x: &[f64], n: usize, ridge: f64) -> Vec<f64> {
        let mut a = vec![0.0; n * n];
        add_gram(&mut a, x, n, 1.0);
        (0..n).for_each(|i| a[i * n + i] += ridge);
        mirror(&mut a, n);
        a
    }

    proptest! {
        /// Catches a triangle that is read from the wrong side.
        #[test]
        fn systems_are_solved(x in prop::collection::vec(-1.0f64..1.0, 30), b in prop::collection::vec(-1.0f64..1.0, 5)) {
            let a = gram(&x, 5, 0.1);
            let factor = Cholesky::new(a.clone(), 5).unwrap();
            let (solution, inverse) = (factor.solve(&b), factor.inverse());
            for i in 0..5 {
                let product: f64 = (0..5).map(|j| a[i * 5 + j] * solution[j]).sum();
                prop_assert!((product - b[i]).abs() < 1e-10);
                let by_inverse: f64 = (0..5).map(|j| inverse[i * 5 + j] * b[j]).sum();
                prop_assert!((by_inverse - solution[i]).abs() < 1e-9);
            }
        }

        /// Catches a solution that is not the optimum: the gradient must vanish where x > 0 and point inwards where x = 0.
        #[test]
        fn non_negative_solutions_are_optimal(
            x in prop::collection::vec(-1.0f64..1.0, 40), b in prop::collection::vec(-1.0f64..1.0, 5)
        ) {
            let a = gram(&x, 5, 0.05);
            let solution = non_negative(&a, &b);
            for i in 0..5 {
                let pull = b[i] - (0..5).map(|j| a[i * 5 + j] * solution[j]).sum::<f64>();
                prop_assert!(solution[i] >= 0.0);
                prop_assert!(if solution[i] > 0.0 { pull.abs() < 1e-8 } else { pull < 1e-8 });
            }
        }
    }

    #[test]
    fn an_indefinite_matrix_has_no_factor() {
        assert!(Cholesky::new(vec![1.0, 2.0, 2.0, 1.0], 2).is_none());
        assert!(Cholesky::new(vec![f64::NAN], 1).is_none());
    }
}
