//! F16: features are kept with probabilities that follow the map.

use exegesis_catalogue::{Options, ParameterInfo, Result as Read, number};
use exegesis_perturb::Coalition;
use exegesis_perturb::random::Stream;

use super::grid::questions;
use crate::reading::{operator_text, options, score_text, some, text};
use crate::{
    Bench, Direction, Family, Map, Metric, MetricInfo, OperatorChoice, Outcome, Question, Result, ScoreForm,
    View,
};

const PARAMETERS: &[ParameterInfo] = &[
    ParameterInfo {
        name: "mass",
        default: "0.5",
        values: "off, above 0 and below 1",
        doc: "mean probability that every map is brought to, so that maps with large values win nothing by that; off: as they \
              are",
    },
    ParameterInfo {
        name: "draws",
        default: "20",
        values: "1 to 65536",
        doc: "random sets that are averaged",
    },
    ParameterInfo {
        name: "least",
        default: "0.05",
        values: "above 0",
        doc: "samples whose score is not this far above that of nothing are left out",
    },
    OperatorChoice::PARAMETER,
    ScoreForm::PROBABILITY,
];

/// Catalogue entry of soft sufficiency.
pub(super) const SUFFICIENCY: MetricInfo = MetricInfo {
    name: "soft-sufficiency",
    id: "F16",
    version: 1,
    family: Family::Faithfulness,
    direction: Direction::Up,
    summary: "Each feature is kept with a probability that follows its value. The share of the score that is left says whether what \
              is marked is enough.",
    formula: "mean over draws of (D_0 - D(x')) / D_0, D(x') = max(0, q(x) - q(x')), i kept with probability a_i; a = phi^+ / \
              max, brought to mean `mass` by a^g",
    cost: "21",
    modalities: MetricInfo::ALL,
    misleads: "without `mass`, maps with large values keep more and win; whole features are drawn, not coordinates of embeddings as \
               in the original.",
    check: "linear model 4, 3, 2, 1 divided by 10, a = (.8, .6, .4, .2): .6; a = .9 everywhere: .9 without mass, .5 with it",
    citation: "Zhao, Aletras, ACL 2023 (soft sufficiency and comprehensiveness); equal mass: this project, after arXiv 2601.03089",
    parameters: PARAMETERS,
};

/// Catalogue entry of soft necessity.
pub(super) const NECESSITY: MetricInfo = MetricInfo {
    name: "soft-necessity",
    summary: "Each feature is taken out with a probability that follows its value. The share of the score that is lost says whether \
              what is marked is needed.",
    formula: "mean over draws of D(x') / D_0, D(x') = max(0, q(x) - q(x')), i taken out with probability a_i; a = phi^+ / max, \
              brought to mean `mass` by a^g",
    check: "linear model 4, 3, 2, 1 divided by 10, a = (.8, .6, .4, .2): .6",
    ..SUFFICIENCY
};

/// Options of both.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Soft {
    mass: Option<f64>,
    draws: usize,
    least: f64,
    operator: OperatorChoice,
    score: ScoreForm,
}

impl Default for Soft {
    fn default() -> Self {
        Self {
            mass: Some(0.5),
            draws: 20,
            least: 0.05,
            operator: OperatorChoice::Run,
            score: ScoreForm::Probability,
        }
    }
}

fn mass(key: &str, value: &str) -> Read<Option<f64>> {
    match value {
        "off" => Ok(None),
        _ => number(key, value, |v| v > 0.0 && v < 1.0, "above 0 and below 1, or off").map(Some),
    }
}

fn mass_text(mass: &Option<f64>) -> String {
    mass.map_or_else(|| "off".to_string(), |m| m.to_string())
}

fn least(key: &str, value: &str) -> Read<f64> {
    number(key, value, |v| v > 0.0, "above 0")
}

/// Probabilities stay this far from 0 and 1.
const EDGE: f64 = 1e-3;

/// `phi^+ / max`; maps that are declared to lie in `[0, 1]` stay.
fn scaled(map: &Map) -> Vec<f64> {
    if map.is_unit {
        return map.values.iter().map(|v| v.clamp(0.0, 1.0)).collect();
    }
    let most = map.values.iter().copied().fold(0.0, f64::max);
    map.values.iter().map(|v| if most > 0.0 { v.max(0.0) / most } else { 0.0 }).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// `clip(a^g, 1/1000, 1 - 1/1000)` with the power that gives the mean `mass`; where none does, mixed with 1 or 0.
fn calibrated(a: &[f64], mass: f64) -> Vec<f64> {
    let power = |g: f64| -> Vec<f64> { a.iter().map(|a| a.powf(g).clamp(EDGE, 1.0 - EDGE)).collect() };
    // The mean falls with the power. Powers are searched on a logarithmic scale.
    let (mut low, mut high) = (-20.0f64, 20.0f64);
    let (largest, smallest) = (power(low.exp()), power(high.exp()));
    if mean(&largest) < mass || mean(&smallest) > mass {
        let (from, to) = if mean(&largest) < mass { (largest, 1.0) } else { (smallest, 0.0) };
        let t = (mass - mean(&from)) / (to - mean(&from));
        return from.iter().map(|a| t * to + (1.0 - t) * a).collect();
    }
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if mean(&power(middle.exp())) > mass {
            low = middle;
        } else {
            high = middle;
        }
    }
    power(((low + high) / 2.0).exp())
}

impl Soft {
    /// The probability of each feature.
    fn probabilities(&self, view: &View<'_>) -> Vec<f64> {
        let a = scaled(view.map);
        self.mass.map_or_else(|| a.clone(), |mass| calibrated(&a, mass))
    }

    /// Features that are drawn, each with its probability; the numbers are the same for all maps.
    fn drawn(&self, view: &View<'_>) -> Vec<Coalition> {
        let probabilities = self.probabilities(view);
        let draw = |draw: usize| {
            let mut random = Stream::new(view.key, "soft features", draw as u64);
            let tickets: Vec<f64> = probabilities.iter().map(|_| random.uniform()).collect();
            Coalition::of(probabilities.len(), |f| tickets[f] < probabilities[f])
        };
        (0..self.draws).map(draw).collect()
    }

    fn questions(&self, view: &View<'_>, keep: Vec<Coalition>) -> Vec<Question> {
        let n = view.features.count();
        let all = [vec![Coalition::full(n), Coalition::empty(n)], keep].concat();
        questions(self.operator.of(view.operator), all).collect()
    }

    /// The mean over draws of `of(D(x') / D_0)`.
    fn evaluate(
        &self,
        (view, bench): (&View<'_>, &mut Bench<'_>),
        keep: &[Coalition],
        of: impl Fn(f64) -> f64,
    ) -> Result<Outcome> {
        let operator = self.operator.of(view.operator);
        let full = bench.clean(operator)?.score(self.score);
        let lost = |score: f64| (full - score).max(0.0);
        let all = lost(bench.empty(operator)?.score(self.score));
        if all < self.least {
            let reason = format!("the score of the sample is not {} above that of nothing", self.least);
            return Ok(Outcome::undefined(reason).with("full", full));
        }
        let shares: Vec<f64> = bench
            .ask(operator, keep)?
            .iter()
            .map(|answer| of(lost(answer.score(self.score)) / all))
            .collect();
        Ok(Outcome::of(mean(&shares)).with("mass", mean(&self.probabilities(view))))
    }
}

/// Share of the score that is left with features drawn by the map.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SoftSufficiency(Soft);

/// Share of the score that is lost without features drawn by the map.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SoftNecessity(Soft);

options!(SoftSufficiency, SUFFICIENCY,
    "mass": 0.mass, mass, mass_text;
    "draws": 0.draws, some, text;
    "least": 0.least, least, text;
    "operator": 0.operator, OperatorChoice::parse, operator_text;
    "score": 0.score, ScoreForm::parse, score_text;
);

options!(SoftNecessity, NECESSITY,
    "mass": 0.mass, mass, mass_text;
    "draws": 0.draws, some, text;
    "least": 0.least, least, text;
    "operator": 0.operator, OperatorChoice::parse, operator_text;
    "score": 0.score, ScoreForm::parse, score_text;
);

impl Metric for SoftSufficiency {
    fn info(&self) -> &'static MetricInfo {
        &SUFFICIENCY
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn questions(&self, view: &View<'_>) -> Vec<Question> {
        self.0.questions(view, self.0.drawn(view))
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        self.0.evaluate((view, bench), &self.0.drawn(view), |lost| 1.0 - lost)
    }
}

impl SoftNecessity {
    fn keep(&self, view: &View<'_>) -> Vec<Coalition> {
        self.0.drawn(view).iter().map(Coalition::complement).collect()
    }
}

impl Metric for SoftNecessity {
    fn info(&self) -> &'static MetricInfo {
        &NECESSITY
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn questions(&self, view: &View<'_>) -> Vec<Question> {
        self.0.questions(view, self.keep(view))
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        self.0.evaluate((view, bench), &self.keep(view), |lost| lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Every map is brought to the mass, and keeps its order.
        #[test]
        fn masses_are_met(
            a in prop::collection::vec(prop_oneof![Just(0.0), Just(1.0), 0.0f64..1.0], 1..40), mass in 0.05f64..0.95,
        ) {
            let found = calibrated(&a, mass);
            prop_assert!((mean(&found) - mass).abs() < 1e-6, "{}", mean(&found));
            prop_assert!(found.iter().all(|p| (0.0..=1.0).contains(p)));
            for (i, j) in (0..a.len()).zip(1..a.len()) {
                prop_assert!(a[i] > a[j] || found[i] <= found[j] + 1e-12);
            }
        }
    }
}
