//! Points and weights on [0, 1].

use std::f64::consts::PI;

use super::options::Quadrature;

/// `steps` points in (or at the ends of) [0, 1] and their weights, which sum to 1.
pub fn points(rule: Quadrature, steps: usize) -> Vec<(f64, f64)> {
    let n = steps as f64;
    let even = |offset: f64| (0..steps).map(|k| ((k as f64 + offset) / n, 1.0 / n)).collect();
    match rule {
        Quadrature::GaussLegendre => gauss_legendre(steps),
        Quadrature::Middle => even(0.5),
        Quadrature::Left => even(0.0),
        Quadrature::Right => even(1.0),
        // One interval less than points.
        Quadrature::Trapezoid if steps > 1 => {
            let last = steps - 1;
            let weight = |k: usize| if k == 0 || k == last { 0.5 } else { 1.0 } / last as f64;
            (0..steps).map(|k| (k as f64 / last as f64, weight(k))).collect()
        }
        Quadrature::Trapezoid => vec![(0.5, 1.0)],
    }
}

/// Roots of the Legendre polynomial of degree `n` by Newton's method, from Chebyshev-like starting points.
fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    (0..n)
        .map(|k| {
            let mut x = -((k as f64 + 0.75) / (n as f64 + 0.5) * PI).cos();
            let mut slope = 1.0;
            for _ in 0..100 {
                let (value, before) = legendre(n, x);
                slope = n as f64 * (x * value - before) / (x * x - 1.0);
                let step = value / slope;
                x -= step;
                if step.abs() < 1e-15 {
                    break;
                }
            }
            let weight = 2.0 / ((1.0 - x * x) * slope * slope);
            (f64::midpoint(x, 1.0), weight / 2.0)
        })
        .collect()
}

/// The Legendre polynomials of degree `n` and `n - 1` at `x`.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut before, mut value) = (1.0, x);
    if n == 0 {
        return (1.0, 0.0);
    }
    for degree in 2..=n {
        let d = degree as f64;
        (before, value) = (value, ((2.0 * d - 1.0) * x * value - (d - 1.0) * before) / d);
    }
    (value, before)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches roots that Newton's method found twice, and wrong weights.
    #[test]
    fn polynomials_are_integrated_exactly_up_to_the_degree_of_the_rule() {
        for steps in [1, 2, 3, 7, 20, 50, 200] {
            let points = points(Quadrature::GaussLegendre, steps);
            assert!(points.windows(2).all(|w| w[0].0 < w[1].0));
            for degree in 0..(2 * steps).min(40) {
                let sum: f64 = points.iter().map(|(a, w)| w * a.powi(degree as i32)).sum();
                assert!((sum - 1.0 / (degree as f64 + 1.0)).abs() < 1e-13, "{steps} steps, degree {degree}");
            }
        }
    }

    #[test]
    fn every_rule_integrates_constants_and_converges() {
        for rule in Quadrature::ALL {
            let integral = |steps| points(*rule, steps).iter().map(|(a, w)| w * (3.0 * a).exp()).sum::<f64>();
            let exact = (3f64.exp() - 1.0) / 3.0;
            assert!((points(*rule, 9).iter().map(|p| p.1).sum::<f64>() - 1.0).abs() < 1e-14);
            assert!(
                (integral(2000) - exact).abs() < 2e-2
                    && (integral(2000) - exact).abs() < (integral(20) - exact).abs() + 1e-12
            );
        }
    }
}
