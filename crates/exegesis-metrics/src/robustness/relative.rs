//! R3, relative stability: the change of the map against the change of the input, of the scores, or of the representation.

use exegesis_catalogue::{Options, ParameterInfo, Result as Read};

use super::neighbours::{Around, DRAWS, MOVABLE, NOISE, NONE_KEPT, Neighbours, RADIUS, distance, norm};
use crate::{Bench, Direction, Error, Family, Metric, MetricInfo, Outcome, Result, View};

/// Least size of a divisor, with its sign kept.
const FLOOR: f64 = 1e-6;

/// Catalogue entry for inputs.
pub(super) const INPUT: MetricInfo = MetricInfo {
    name: "relative-input-stability",
    id: "R3",
    version: 1,
    family: Family::Robustness,
    direction: Direction::Down,
    summary: "The largest relative change of the map for a relative change of the input, as a logarithm to base 10: 0 if the map \
              changes as much as the input does. Changes are taken feature by feature.",
    formula: "log10 max_d ||(E(x) - E(x + d)) / E(x)|| / max(||d / x||, 1e-6); divisors keep their sign and at least 1e-6",
    cost: "11 explanations, shared with the other metrics of the family",
    modalities: MOVABLE,
    misleads: "features of nearly no attribution dominate (their share is told as `floored`); a constant map is perfect.",
    check: "map w x: 0",
    citation: "Agarwal et al., 2022",
    parameters: &[RADIUS, DRAWS, NOISE],
};

/// Catalogue entry for scores.
pub(super) const OUTPUT: MetricInfo = MetricInfo {
    name: "relative-output-stability",
    summary: "The largest relative change of the map for a change of the scores of all classes, as a logarithm to base 10.",
    formula: "log10 max_d ||(E(x) - E(x + d)) / E(x)|| / max(||h(x) - h(x + d)||, 1e-6), h the logits",
    check: "f = x with map x at 2: log10 .5",
    ..INPUT
};

/// Catalogue entry for representations.
pub(super) const REPRESENTATION: MetricInfo = MetricInfo {
    name: "relative-representation-stability",
    summary: "The largest relative change of the map for a relative change of the input of the model's last linear layer, as a \
              logarithm to base 10.",
    formula: "log10 max_d ||(E(x) - E(x + d)) / E(x)|| / max(||(L(x) - L(x + d)) / L(x)||, 1e-6), L the input of the last \
              linear layer",
    cost: "11 explanations, shared with the other metrics of the family, and 11 rows",
    check: "map w x and L = 2 x: 0",
    ..INPUT
};

/// `||(a - b) / a||` with divisors of at least [`FLOOR`].
fn relative(a: &[f64], b: &[f64]) -> f64 {
    norm(a.iter().zip(b).map(|(a, b)| (a - b) / floored(*a)))
}

fn floored(divisor: f64) -> f64 {
    if divisor.abs() >= FLOOR { divisor } else { FLOOR.copysign(divisor) }
}

/// The value, given how far each kept neighbour is away.
fn value(around: &Around, away: &[f64]) -> Outcome {
    let clean = &around.clean.map;
    if clean.iter().all(|v| *v == 0.0) {
        return Outcome::undefined("the map is all zeros");
    }
    let ratio =
        |((_, moved), away): (&(Vec<f64>, crate::Moved), &f64)| relative(clean, &moved.map) / away.max(FLOOR);
    let Some(ratio) = around.kept.iter().zip(away).map(ratio).reduce(f64::max) else {
        return Outcome::undefined(NONE_KEPT);
    };
    let small = clean.iter().filter(|v| v.abs() < FLOOR).count() as f64 / clean.len().max(1) as f64;
    // A map that does not move has no logarithm: it counts as the smallest ratio that is told apart.
    Outcome::of(ratio.max(FLOOR).log10())
        .with("ratio", ratio)
        .with("floored", small)
        .with("kept", away.len() as f64)
}

/// What both results of a metric of this file have in common: options and plan.
macro_rules! relative_metric {
    ($(#[$doc:meta])* $metric:ident, $info:ident, |$options:ident, $view:ident, $bench:ident, $around:ident| $away:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct $metric(pub Neighbours);

        impl Options for $metric {
            const PARAMETERS: &'static [ParameterInfo] = $info.parameters;

            fn set(&mut self, key: &str, value: &str) -> Read<()> {
                self.0.set(key, value)
            }

            fn values(&self) -> Vec<(&'static str, String)> {
                self.0.values()
            }
        }

        impl Metric for $metric {
            fn info(&self) -> &'static MetricInfo {
                &$info
            }

            fn parameters(&self) -> Vec<(&'static str, String)> {
                self.values()
            }

            fn explanations(&self, view: &View<'_>) -> usize {
                self.0.explanations(view)
            }

            fn evaluate(&self, $view: &View<'_>, $bench: &mut Bench<'_>) -> Result<Outcome> {
                let $options = self.0;
                let $around = &$options.explained($view, $bench)?;
                let away: Vec<f64> = $away;
                Ok(value($around, &away))
            }
        }
    };
}

relative_metric! {
    /// Against the relative change of the input.
    RelativeInput, INPUT, |_options, _view, bench, around| {
        let x = bench.subject().cells()?;
        around.kept.iter().map(|(d, _)| norm(d.iter().zip(&x).map(|(d, x)| d / floored(*x)))).collect()
    }
}

relative_metric! {
    /// Against the change of the scores.
    RelativeOutput, OUTPUT, |_options, _view, _bench, around| {
        around.kept.iter().map(|(_, moved)| distance(&moved.logits, &around.clean.logits)).collect()
    }
}

relative_metric! {
    /// Against the relative change of the input of the last linear layer.
    RelativeRepresentation, REPRESENTATION, |_options, _view, bench, around| {
        let moves: Vec<Vec<f64>> = std::iter::once(vec![0.0; around.kept.first().map_or(0, |(d, _)| d.len())])
            .chain(around.kept.iter().map(|(delta, _)| delta.clone()))
            .collect();
        if around.kept.is_empty() {
            return Ok(Outcome::undefined(NONE_KEPT));
        }
        let values = bench.subject().representation(&moves)?;
        let [clean, others @ ..] = values.as_slice() else {
            return Err(Error::Failed("the model gave no representation".to_string()));
        };
        others.iter().map(|there| relative(clean, there)).collect()
    }
}
