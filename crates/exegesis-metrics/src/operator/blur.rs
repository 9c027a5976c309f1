//! A blurred sample.

use exegesis_perturb::Places;

/// The sample under a separable Gaussian along its axes of places: deviation a tenth of the shorter side, cut off at
/// `ceil(3 sigma)`, mirrored at the border with the edge repeated.
pub fn blur(values: &[f64], places: &Places) -> Vec<f64> {
    let shortest = places.axes().map(|(_, length)| length).min().unwrap_or(1);
    let kernel = kernel(0.1 * shortest as f64);
    let reach = kernel.len() / 2;
    let mut values = values.to_vec();
    for (stride, length) in places.axes() {
        let mut next = vec![0.0; values.len()];
        let mut line = vec![0.0; length + 2 * reach];
        for start in (0..values.len()).filter(|cell| cell / stride % length == 0) {
            for (at, padded) in line.iter_mut().enumerate() {
                *padded = values[start + mirrored(at as isize - reach as isize, length) * stride];
            }
            for (to, window) in line.windows(kernel.len()).enumerate() {
                next[start + to * stride] = window.iter().zip(&kernel).map(|(v, w)| v * w).sum();
            }
        }
        values = next;
    }
    values
}

/// Weights of a Gaussian, which add up to 1.
fn kernel(sigma: f64) -> Vec<f64> {
    let reach = (3.0 * sigma).ceil() as i64;
    let weight = |d: i64| (-((d * d) as f64) / (2.0 * sigma * sigma)).exp();
    let weights: Vec<f64> = (-reach..=reach).map(weight).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|w| w / total).collect()
}

/// The cell that a mirror at the borders shows, with the edge repeated.
fn mirrored(at: isize, length: usize) -> usize {
    let length = length as isize;
    let folded = at.rem_euclid(2 * length);
    (if folded < length { folded } else { 2 * length - 1 - folded }) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_repeat_the_edge() {
        let seen: Vec<usize> = (-4..7).map(|at| mirrored(at, 3)).collect();
        assert_eq!(seen, [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]);
    }

    #[test]
    fn constants_stay_and_channels_do_not_mix() {
        let places = Places::new(vec![2, 20, 20], &[1, 2]).unwrap();
        let values: Vec<f64> = (0..800).map(|cell| if cell < 400 { 3.0 } else { -1.0 }).collect();
        assert!(blur(&values, &places).iter().zip(&values).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
