//! F9 and F10: does more of what is marked mean more of the score?

use exegesis_catalogue::{Options, ParameterInfo, choices};
use exegesis_perturb::Coalition;

use super::correlation::spearman;
use super::estimate::SIDE;
use super::grid::questions;
use super::groups::Groups;
use crate::order::descending;
use crate::reading::{auto_text, operator_text, options, score_text, some, some_or_auto, text};
use crate::{
    Bench, Direction, Family, Metric, MetricInfo, Modality, OperatorChoice, Outcome, Question, Result,
    ScoreForm, View,
};

/// Catalogue entry of monotonicity.
pub(super) const MONOTONICITY: MetricInfo = MetricInfo {
    name: "monotonicity",
    id: "F9",
    version: 1,
    family: Family::Faithfulness,
    direction: Direction::Up,
    summary: "Features are put into an empty sample, the least important first. 1 if no step lowers the score, else 0; the share of \
              such steps is told as well.",
    formula: "1 if q(x_k) >= q(x_(k-1)) - 1e-9 for all k, x_k with the k features of smallest |phi|",
    cost: "one per feature (patch of a picture)",
    modalities: &[Modality::Image, Modality::Text, Modality::Table],
    misleads: "one noisy step decides; features that speak against the target lower the score however right the map is.",
    check: "linear model 4, 3, 2, 1: 1; with the last feature at -1: 0, share .75",
    citation: "Arya et al. 2019 (AI Explainability 360)",
    parameters: &[
        ParameterInfo {
            name: "value",
            default: "strict",
            values: "strict, share",
            doc: "1 or 0, or the share of steps that do not lower the score",
        },
        SIDE,
        OperatorChoice::PARAMETER,
        ScoreForm::PROBABILITY,
    ],
};

/// Catalogue entry of monotonicity correlation.
pub(super) const CORRELATION: MetricInfo = MetricInfo {
    name: "monotonicity-correlation",
    id: "F10",
    summary: "Each feature is replaced by draws from the data. The rank correlation says whether the score moves more for \
              features with larger values.",
    formula: "Spearman of |phi_i| and e_i = mean_r (q(x) - q(x with x_i drawn))^2",
    cost: "10 per feature (patch of a picture), shared by all methods",
    modalities: &[Modality::Image, Modality::Text, Modality::Table, Modality::Series],
    misleads: "e_i mixes how much a feature matters with how widely it is spread.",
    check: "linear model 4, 3, 2, 1, draws of -1 and +1: e = (32, 18, 8, 2), correlation 1",
    citation: "Nguyen, Martínez 2020",
    parameters: &[
        ParameterInfo { name: "draws", default: "10", values: "1 to 65536", doc: "draws per feature" },
        SIDE,
        ScoreForm::LOGIT,
    ],
    ..MONOTONICITY
};

/// A step may lower the score by so much, which is rounding.
const TOLERANCE: f64 = 1e-9;

choices! {
    /// Which number is the value.
    Value {
        /// 1 or 0.
        #[default]
        Strict = "strict",
        /// The share of steps.
        Share = "share",
    }
}

/// Does the score rise with every feature?
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Monotonicity {
    value: Value,
    side: Option<usize>,
    operator: OperatorChoice,
    score: ScoreForm,
}

impl Default for Monotonicity {
    fn default() -> Self {
        Self {
            value: Value::Strict,
            side: None,
            operator: OperatorChoice::Run,
            score: ScoreForm::Probability,
        }
    }
}

options!(Monotonicity, MONOTONICITY,
    "value": value, Value::parse, |v: &Value| v.name().to_string();
    "side": side, some_or_auto, auto_text;
    "operator": operator, OperatorChoice::parse, operator_text;
    "score": score, ScoreForm::parse, score_text;
);

impl Monotonicity {
    fn keep(&self, view: &View<'_>) -> Vec<Coalition> {
        let groups = Groups::patches(view, self.side);
        let sizes: Vec<f64> = groups.sums(&view.map.values).iter().map(|v| v.abs()).collect();
        let mut order = descending(&sizes, view.key);
        order.reverse();
        groups.stepwise(&order)
    }
}

impl Metric for Monotonicity {
    fn info(&self) -> &'static MetricInfo {
        &MONOTONICITY
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn questions(&self, view: &View<'_>) -> Vec<Question> {
        questions(self.operator.of(view.operator), self.keep(view)).collect()
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let keep = self.keep(view);
        let scores: Vec<f64> =
            bench.ask(self.operator.of(view.operator), &keep)?.iter().map(|a| a.score(self.score)).collect();
        let steps = scores.len().saturating_sub(1).max(1) as f64;
        let rising = scores.windows(2).filter(|pair| pair[1] >= pair[0] - TOLERANCE).count() as f64;
        let strict = f64::from(u8::from(rising == steps));
        let value = if self.value == Value::Strict { strict } else { rising / steps };
        let n = view.features.count().max(1) as f64;
        let at = keep.iter().map(|k| k.size() as f64 / n).collect();
        Ok(Outcome::of(value).with("strict", strict).with("share", rising / steps).with_curve(
            "monotonicity",
            at,
            scores,
        ))
    }
}

/// Do features with larger values move the score more?
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MonotonicityCorrelation {
    draws: usize,
    side: Option<usize>,
    score: ScoreForm,
}

impl Default for MonotonicityCorrelation {
    fn default() -> Self {
        Self { draws: 10, side: None, score: ScoreForm::Logit }
    }
}

options!(MonotonicityCorrelation, CORRELATION,
    "draws": draws, some, text;
    "side": side, some_or_auto, auto_text;
    "score": score, ScoreForm::parse, score_text;
);

impl Metric for MonotonicityCorrelation {
    fn info(&self) -> &'static MetricInfo {
        &CORRELATION
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn questions(&self, view: &View<'_>) -> Vec<Question> {
        questions(view.operator, vec![Coalition::full(view.features.count())]).collect()
    }

    fn other_rows(&self, view: &View<'_>) -> usize {
        self.draws * Groups::patches(view, self.side).count()
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let groups = Groups::patches(view, self.side);
        let full = bench.clean(view.operator)?.score(self.score);
        let mut effects = vec![];
        for group in 0..groups.count() {
            let members = groups.members(group);
            let draws: Vec<(Vec<usize>, u64)> =
                (0..self.draws as u64).map(|draw| (members.clone(), draw)).collect();
            let answers = bench.drawn_together(&draws)?;
            let squares = answers.iter().map(|a| (full - a.score(self.score)).powi(2));
            effects.push(squares.sum::<f64>() / self.draws as f64);
        }
        let sizes: Vec<f64> = groups.sums(&view.map.values).iter().map(|v| v.abs()).collect();
        Ok(match spearman(&sizes, &effects) {
            Some(value) => Outcome::of(value).with("groups", groups.count() as f64),
            None => Outcome::undefined("the map or the effect is the same for every feature"),
        })
    }
}
