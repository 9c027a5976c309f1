//! F18: what the score does under the map as a soft mask.

use exegesis_catalogue::Options;
use exegesis_perturb::Coalition;

use super::grid::questions;
use crate::reading::{Chosen, options, score_text};
use crate::{
    Bench, Direction, Family, Map, Metric, MetricInfo, Modality, Operator, Outcome, Question, Result,
    ScoreForm, View,
};

/// Catalogue entry of the drop.
pub(super) const DROP: MetricInfo = MetricInfo {
    name: "average-drop",
    id: "F18",
    version: 1,
    family: Family::Faithfulness,
    direction: Direction::Down,
    summary: "The picture is multiplied by the map, scaled to [0, 1]; the share of the score that this costs.",
    formula: "max(0, q(x) - q(M x)) / q(x)",
    cost: "1",
    modalities: &[Modality::Image],
    misleads: "a map that marks everything is perfect: read it beside `mass`, the mean of the map.",
    check: "a map of ones: 0, mass 1; linear model 4, 3, 2, 1 with M = (1, .5, 0, 0): .45",
    citation: "Chattopadhay et al., WACV 2018 (Grad-CAM++)",
    parameters: &[Chosen::parameter("auto: zero"), ScoreForm::PROBABILITY],
};

/// Catalogue entry of the increase.
pub(super) const INCREASE: MetricInfo = MetricInfo {
    name: "average-increase",
    direction: Direction::Up,
    summary: "The picture is multiplied by the map, scaled to [0, 1]; the share of samples whose score rises.",
    formula: "1 if q(M x) > q(x), else 0",
    check: "a map of ones: 0, mass 1",
    ..DROP
};

/// Catalogue entry of the gain.
pub(super) const GAIN: MetricInfo = MetricInfo {
    name: "average-gain",
    direction: Direction::Up,
    summary: "The picture is multiplied by the map, scaled to [0, 1]; how much of what the score can still rise it rises.",
    formula: "max(0, q(M x) - q(x)) / (1 - q(x))",
    check: "a map of ones: 0, mass 1",
    citation: "Zhang et al. 2024 (Opti-CAM)",
    ..DROP
};

/// Options of all three.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Masked {
    operator: Chosen,
    score: ScoreForm,
}

/// The positive part of the map, from its smallest value to its largest; a constant becomes ones, or zeros where it is 0.
fn mask(map: &Map) -> Vec<f64> {
    let values: Vec<f64> = map.values.iter().map(|v| v.max(0.0)).collect();
    if map.is_unit {
        return values.iter().map(|v| v.min(1.0)).collect();
    }
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(0.0, f64::max);
    match high > low {
        true => values.iter().map(|v| (v - low) / (high - low)).collect(),
        false => values.iter().map(|v| f64::from(u8::from(*v > 0.0))).collect(),
    }
}

impl Masked {
    fn operator(&self, view: &View<'_>) -> Operator {
        self.operator.of(view, |_| Some(Operator::Zero))
    }

    fn questions(&self, view: &View<'_>) -> Vec<Question> {
        questions(self.operator(view), vec![Coalition::full(view.features.count())]).collect()
    }

    /// `of` the scores of the sample and of what is left under the mask.
    fn evaluate(
        &self,
        view: &View<'_>,
        bench: &mut Bench<'_>,
        of: impl Fn(f64, f64) -> Option<f64>,
    ) -> Result<Outcome> {
        let operator = self.operator(view);
        let full = bench.clean(operator)?.score(self.score);
        let mask = mask(view.map);
        let mass = mask.iter().sum::<f64>() / mask.len().max(1) as f64;
        let answers = bench.blended(operator, &[mask])?;
        let left = answers.first().map_or(0.0, |a| a.score(self.score));
        Ok(match of(full, left) {
            Some(value) => Outcome::of(value).with("mass", mass).with("full", full).with("masked", left),
            None => Outcome::undefined("the score of the sample leaves nothing to compare with")
                .with("mass", mass),
        })
    }
}

/// How little may be divided by.
const LITTLE: f64 = 1e-9;

macro_rules! under_the_mask {
    ($(#[$doc:meta])* $name:ident, $info:expr, $of:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct $name(Masked);

        options!($name, $info,
            "operator": 0.operator, Chosen::read, Chosen::text;
            "score": 0.score, ScoreForm::parse, score_text;
        );

        impl Metric for $name {
            fn info(&self) -> &'static MetricInfo {
                &$info
            }

            fn parameters(&self) -> Vec<(&'static str, String)> {
                self.values()
            }

            fn questions(&self, view: &View<'_>) -> Vec<Question> {
                self.0.questions(view)
            }

            fn other_rows(&self, _view: &View<'_>) -> usize {
                1
            }

            fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
                self.0.evaluate(view, bench, $of)
            }
        }
    };
}

under_the_mask!(
    /// Share of the score that is lost under the map as a mask.
    AverageDrop, DROP, |full: f64, left: f64| (full > LITTLE).then(|| (full - left).max(0.0) / full)
);
under_the_mask!(
    /// 1 where the score rises under the map as a mask.
    AverageIncrease, INCREASE, |full: f64, left: f64| Some(f64::from(u8::from(left > full)))
);
under_the_mask!(
    /// Share of the score that is still to be had, which the map as a mask brings.
    AverageGain, GAIN, |full: f64, left: f64| (1.0 - full > LITTLE).then(|| (left - full).max(0.0) / (1.0 - full))
);
