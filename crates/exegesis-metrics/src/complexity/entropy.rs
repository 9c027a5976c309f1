//! C2, complexity as entropy.

use exegesis_catalogue::{Options, ParameterInfo, Result as Read, on_off, on_off_text, unknown_value};

use crate::{Bench, Direction, Family, Metric, MetricInfo, Outcome, Result, View};

/// Catalogue entry.
pub(super) const INFO: MetricInfo = MetricInfo {
    name: "complexity",
    id: "C2",
    version: 1,
    family: Family::Complexity,
    direction: Direction::Down,
    summary: "The entropy of the shares that features have of the absolute values: 0 if one has everything, ln n if all count \
              alike.",
    formula: "-sum_i p_i ln p_i, p = |phi| / sum |phi|",
    cost: "none",
    modalities: MetricInfo::ALL,
    misleads: "a map of one pixel is perfect whether right or wrong, and the value grows with the number of features.",
    check: "uniform ln n; one feature 0; (4, 3, 2, 1) 1.27985",
    citation: "Bhatt et al., IJCAI 2020 (complexity)",
    parameters: &[ParameterInfo {
        name: "normalised",
        default: "off",
        values: "on, off",
        doc: "divide by ln n, so that the value lies between 0 and 1",
    }],
};

/// Entropy of the shares of `|phi|`, in nats; undefined for a map of zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Entropy {
    /// Divide by `ln n`.
    pub normalised: bool,
}

impl Options for Entropy {
    const PARAMETERS: &'static [ParameterInfo] = INFO.parameters;

    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        match key {
            "normalised" => self.normalised = on_off(key, value)?,
            _ => return Err(unknown_value(key, value, &[])),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![("normalised", on_off_text(self.normalised))]
    }
}

impl Metric for Entropy {
    fn info(&self) -> &'static MetricInfo {
        &INFO
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn evaluate(&self, view: &View<'_>, _bench: &mut Bench<'_>) -> Result<Outcome> {
        let Some(nats) = entropy(&view.map.values) else {
            return Ok(Outcome::undefined("the map is all zeros"));
        };
        let most = (view.features.count() as f64).ln();
        Ok(match self.normalised {
            true if most > 0.0 => Outcome::of(nats / most).with("nats", nats),
            true => Outcome::undefined("a single feature has no normalised entropy"),
            false => Outcome::of(nats),
        })
    }
}

/// In nats; `None` for zeros.
fn entropy(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().map(|v| v.abs()).sum();
    let of = |v: &f64| {
        let p = v.abs() / sum;
        if p > 0.0 { -p * p.ln() } else { 0.0 }
    };
    (sum > 0.0).then(|| values.iter().map(of).sum())
}

#[cfg(test)]
mod tests {
    use super::entropy;

    /// Catches logarithms of another base and shares of signed sums.
    #[test]
    fn known_values() {
        assert!((entropy(&[-2.0; 5]).unwrap() - 5f64.ln()).abs() < 1e-12);
        assert!(entropy(&[0.0, 7.0, 0.0]).unwrap().abs() < 1e-12);
        assert!((entropy(&[4.0, -3.0, 2.0, -1.0]).unwrap() - 1.27985).abs() < 1e-5);
        assert_eq!(entropy(&[0.0]), None);
    }
}
