//! A map against exact values.

use exegesis_metrics::Direction;

/// Share of the largest value up to which a cell that the model does not use may differ from 0.
pub(super) const NOTHING: f64 = 1e-6;
/// Error up to which a map is called exact: what float32 leaves of sums.
pub(super) const EXACT: f64 = 1e-4;

/// What is measured, with the better direction.
pub(super) const MEASURES: [(&str, Direction); 3] =
    [("error", Direction::Down), ("correlation", Direction::Up), ("unused", Direction::Down)];

/// Of the map `phi` of a row, in the order of [`MEASURES`]:
///
/// ```text
/// error        sum |phi - truth| / sum |truth|        no value where nothing is worth anything
/// correlation  Pearson's, of phi and truth            no value of fewer than 3 cells, or of constants
/// unused       max |phi| over unused cells / max |phi|  no value where all is used, or phi is 0
/// ```
pub(super) fn measured(phi: &[f64], truth: &[f64], is_unused: &[bool]) -> [Option<f64>; 3] {
    let total: f64 = truth.iter().map(|t| t.abs()).sum();
    let off: f64 = phi.iter().zip(truth).map(|(p, t)| (p - t).abs()).sum();
    let largest = phi.iter().fold(0.0f64, |m, p| m.max(p.abs()));
    let unused = phi.iter().zip(is_unused).filter(|(_, is)| **is).map(|(p, _)| p.abs());
    let unused = unused.fold(None, |m: Option<f64>, p| Some(m.unwrap_or(0.0).max(p)));
    [
        (total > 0.0).then(|| off / total),
        pearson(phi, truth),
        unused.filter(|_| largest > 0.0).map(|unused| unused / largest),
    ]
}

fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len();
    if n < 3 || n != b.len() {
        return None;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / n as f64;
    let (at_a, at_b) = (mean(a), mean(b));
    let sum =
        |f: &dyn Fn(f64, f64) -> f64| -> f64 { a.iter().zip(b).map(|(a, b)| f(a - at_a, b - at_b)).sum() };
    let spread = (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt();
    (spread > 1e-12).then(|| sum(&|a, b| a * b) / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a measure that forgives values on unused cells, or depends on where nothing is known.
    #[test]
    fn maps_are_measured_as_defined() {
        let truth = [2.0, 1.0, 0.0];
        let unused = [false, false, true];
        assert_eq!(measured(&truth, &truth, &unused), [Some(0.0), Some(1.0), Some(0.0)]);
        let [error, correlation, leak] = measured(&[1.0, 2.0, -2.0], &truth, &unused);
        assert_eq!(error, Some(4.0 / 3.0));
        assert!((correlation.unwrap() - 0.720_576_692_122_89).abs() < 1e-12);
        assert_eq!(leak, Some(1.0));
        assert_eq!(measured(&[0.0; 3], &[0.0; 3], &unused), [None, None, None]);
    }
}
