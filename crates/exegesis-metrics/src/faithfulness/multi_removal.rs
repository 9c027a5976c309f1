//! F14: does the surrogate foretell what several features do together?

use exegesis_catalogue::{Options, ParameterInfo};
use exegesis_perturb::Coalition;

use super::grid::questions;
use super::subsets::{subsets, sum_of};
use crate::reading::{Chosen, options, score_text, some, text};
use crate::{
    Bench, Direction, Family, Metric, MetricInfo, Modality, Operator, Outcome, Question, Result, ScoreForm,
    View,
};

/// Catalogue entry.
pub(super) const INFO: MetricInfo = MetricInfo {
    name: "multi-removal",
    id: "F14",
    version: 1,
    family: Family::Faithfulness,
    direction: Direction::Down,
    summary: "Random sets of 1 to 10 features are taken out (tokens are deleted). The mean squared error of what the map foretells \
              says how far it holds beyond single features.",
    formula: "mean over d and sets R of size d of (f(x without R) - f(x) - D)^2; D = -sum_R phi, of SLALOM softmax(s) . v anew",
    cost: "1000, shared by all methods",
    modalities: &[Modality::Text, Modality::Table],
    misleads: "the error has the unit of the logit, so that only methods on one model can be compared; judge it beside `zero`, the \
               error of a map of zeros.",
    check: "SLALOM with v = (1, -1, 0), s = (0, ln 2, 0): 0; a map of zeros .5625 where the second goes",
    citation: "Leemann et al. 2024 (SLALOM)",
    parameters: &[
        ParameterInfo {
            name: "most",
            default: "10",
            values: "1 to 65536",
            doc: "most features that are taken out",
        },
        ParameterInfo {
            name: "subsets",
            default: "100",
            values: "1 to 65536",
            doc: "random sets of each size; all of them where there are no more",
        },
        Chosen::parameter("auto: delete of texts, else run"),
        ScoreForm::LOGIT,
    ],
};

/// Mean squared error of the surrogate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MultiRemoval {
    most: usize,
    subsets: usize,
    operator: Chosen,
    score: ScoreForm,
}

impl Default for MultiRemoval {
    fn default() -> Self {
        Self { most: 10, subsets: 100, operator: Chosen::default(), score: ScoreForm::Logit }
    }
}

options!(MultiRemoval, INFO,
    "most": most, some, text;
    "subsets": subsets, some, text;
    "operator": operator, Chosen::read, Chosen::text;
    "score": score, ScoreForm::parse, score_text;
);

impl MultiRemoval {
    fn operator(&self, view: &View<'_>) -> Operator {
        self.operator.of(view, |modality| (modality == Modality::Text).then_some(Operator::Delete))
    }

    /// Sizes of sets: at least one feature is left.
    fn sizes(&self, view: &View<'_>) -> std::ops::RangeInclusive<usize> {
        1..=self.most.min(view.features.count().saturating_sub(1))
    }
}

/// `softmax(s) . v` over the features that are kept.
fn slalom(values: &[f64], importances: &[f64], keep: &Coalition) -> f64 {
    let most = keep.members().map(|f| importances[f]).fold(f64::NEG_INFINITY, f64::max);
    let (mut sum, mut total) = (0.0, 0.0);
    for feature in keep.members() {
        let weight = (importances[feature] - most).exp();
        sum += weight * values[feature];
        total += weight;
    }
    sum / total
}

impl Metric for MultiRemoval {
    fn info(&self) -> &'static MetricInfo {
        &INFO
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn questions(&self, view: &View<'_>) -> Vec<Question> {
        let mut keep = vec![Coalition::full(view.features.count())];
        for size in self.sizes(view) {
            keep.extend(subsets(view, size, self.subsets).iter().map(Coalition::complement));
        }
        questions(self.operator(view), keep).collect()
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let operator = self.operator(view);
        let full = bench.clean(operator)?.score(self.score);
        let surrogate = match view.method {
            Some(method) => bench.subject().values_and_importances(method)?,
            None => None,
        };
        let everything = Coalition::full(view.features.count());
        let (mut at, mut errors, mut zeros) = (vec![], vec![], vec![]);
        for size in self.sizes(view) {
            let taken = subsets(view, size, self.subsets);
            let keep: Vec<Coalition> = taken.iter().map(Coalition::complement).collect();
            let (mut error, mut zero) = (0.0, 0.0);
            for ((set, keep), answer) in taken.iter().zip(&keep).zip(bench.ask(operator, &keep)?) {
                let change = answer.score(self.score) - full;
                let foretold = match &surrogate {
                    Some((v, s)) => slalom(v, s, keep) - slalom(v, s, &everything),
                    None => -sum_of(&view.map.values, set),
                };
                error += (change - foretold).powi(2) / taken.len() as f64;
                zero += change.powi(2) / taken.len() as f64;
            }
            at.push(size as f64);
            errors.push(error);
            zeros.push(zero);
        }
        if errors.is_empty() {
            return Ok(Outcome::undefined("there is only one feature"));
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        Ok(Outcome::of(mean(&errors))
            .with("zero", mean(&zeros))
            .with("slalom", f64::from(u8::from(surrogate.is_some())))
            .with_curve("multi-removal", at.clone(), errors)
            .with_curve("zero", at, zeros))
    }
}
