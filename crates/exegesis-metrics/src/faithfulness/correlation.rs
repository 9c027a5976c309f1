//! Agreement of two lists of numbers.

use exegesis_perturb::fidelity::ranks::average_ranks;

/// Pearson correlation; `None` if either side does not vary (beyond rounding) or there are fewer than two pairs.
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    let n = x.len().min(y.len());
    if n < 2 {
        return None;
    }
    let centred = |v: &[f64]| {
        let mean = v.iter().take(n).sum::<f64>() / n as f64;
        let all: Vec<f64> = v.iter().take(n).map(|v| v - mean).collect();
        let square = all.iter().map(|d| d * d).sum::<f64>();
        let largest = v.iter().take(n).fold(0.0f64, |m, v| m.max(v.abs()));
        // Equal sums of different terms differ by rounding.
        (square > n as f64 * (1e-12 * largest).powi(2)).then_some((all, square))
    };
    let ((dx, xx), (dy, yy)) = (centred(x)?, centred(y)?);
    let product: f64 = dx.iter().zip(&dy).map(|(x, y)| x * y).sum();
    Some((product / xx.sqrt() / yy.sqrt()).clamp(-1.0, 1.0))
}

/// Pearson correlation of mid-ranks.
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    pearson(&average_ranks(x), &average_ranks(y))
}

/// Kendall's tau-b, ties allowed for on both sides.
pub fn kendall(x: &[f64], y: &[f64]) -> Option<f64> {
    let n = x.len().min(y.len());
    let (mut agree, mut of_x, mut of_y) = (0i64, 0i64, 0i64);
    let sign = |a: f64, b: f64| a.partial_cmp(&b).map_or(0, |o| o as i64);
    for i in 0..n {
        for j in 0..i {
            let (dx, dy) = (sign(x[i], x[j]), sign(y[i], y[j]));
            agree += dx * dy;
            of_x += dx.abs();
            of_y += dy.abs();
        }
    }
    (of_x > 0 && of_y > 0).then(|| agree as f64 / (of_x as f64 * of_y as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert!((pearson(&[4.0, 2.0, 3.0, 1.0], &[4.0, 3.0, 2.0, 1.0]).unwrap() - 0.8).abs() < 1e-12);
        assert_eq!(pearson(&[0.1 + 0.2, 0.3], &[1.0, 2.0]), None);
        assert!((spearman(&[1.0, 2.0, 3.0], &[1.0, 4.0, 9.0]).unwrap() - 1.0).abs() < 1e-12);
        // By hand: pairs (1,2) and (1,3) agree, (2,3) ties in x.
        assert!((kendall(&[1.0, 2.0, 2.0], &[1.0, 2.0, 3.0]).unwrap() - 2.0 / 6f64.sqrt()).abs() < 1e-12);
        assert_eq!(kendall(&[1.0, 1.0], &[1.0, 2.0]), None);
    }
}
