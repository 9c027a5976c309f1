//! C1, sparseness.

use exegesis_catalogue::{Options, ParameterInfo, Result as Read, unknown_value};

use crate::{Bench, Direction, Family, Metric, MetricInfo, Outcome, Result, View};

/// Catalogue entry.
pub(super) const INFO: MetricInfo = MetricInfo {
    name: "gini",
    id: "C1",
    version: 1,
    family: Family::Complexity,
    direction: Direction::Up,
    summary: "The Gini index of the absolute values: 0 if all features count alike, near 1 if one has everything.",
    formula: "G = sum_i (2i - n - 1) a_i / (n sum a), a = |phi| ascending",
    cost: "none",
    modalities: MetricInfo::ALL,
    misleads: "a map of one pixel is perfect whether right or wrong, and the value depends on the number of features: compare \
               at one resolution.",
    check: "uniform 0; one feature (n - 1)/n; (1, 2, 3, 4) .25",
    citation: "Chalasani et al., ICML 2020 (sparseness)",
    parameters: &[],
};

/// Gini index of `|phi|`, in `[0, 1)`; undefined for a map of zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gini;

impl Options for Gini {
    const PARAMETERS: &'static [ParameterInfo] = INFO.parameters;

    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        Err(unknown_value(key, value, &[]))
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![]
    }
}

impl Metric for Gini {
    fn info(&self) -> &'static MetricInfo {
        &INFO
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn evaluate(&self, view: &View<'_>, _bench: &mut Bench<'_>) -> Result<Outcome> {
        Ok(gini(&view.map.values).map_or_else(|| Outcome::undefined("the map is all zeros"), Outcome::of))
    }
}

/// The index; `None` for zeros.
fn gini(values: &[f64]) -> Option<f64> {
    let mut a: Vec<f64> = values.iter().map(|v| v.abs()).collect();
    a.sort_by(f64::total_cmp);
    let (n, sum) = (a.len() as f64, a.iter().sum::<f64>());
    let weighted: f64 = a.iter().enumerate().map(|(i, a)| (2.0 * (i + 1) as f64 - n - 1.0) * a).sum();
    (sum > 0.0).then(|| weighted / (n * sum))
}

#[cfg(test)]
mod tests {
    use super::gini;

    /// Catches ranks counted from 0 and signs that are not dropped.
    #[test]
    fn known_values() {
        assert!(gini(&[3.0; 7]).unwrap().abs() < 1e-12);
        assert!((gini(&[0.0, 0.0, -2.0, 0.0]).unwrap() - 0.75).abs() < 1e-12);
        assert!((gini(&[4.0, -1.0, 2.0, -3.0]).unwrap() - 0.25).abs() < 1e-12);
        assert_eq!(gini(&[0.0, 0.0]), None);
    }
}
