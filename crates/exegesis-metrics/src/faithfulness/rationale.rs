//! F15: what the score loses without the top features, and with nothing but them.

use exegesis_catalogue::{Options, ParameterInfo};
use exegesis_perturb::Coalition;

use super::grid::{most_first, questions};
use crate::reading::{Chosen, options, score_text, shares, shares_text};
use crate::{
    Bench, Direction, Family, Metric, MetricInfo, Modality, Operator, Outcome, Question, Result, ScoreForm,
    View,
};

const PARAMETERS: &[ParameterInfo] = &[
    ParameterInfo {
        name: "bins",
        default: "0.01+0.05+0.1+0.2+0.5",
        values: "shares joined by +",
        doc: "shares of the features that are taken as the top; the value is the mean over them",
    },
    Chosen::parameter("auto: delete of texts, else run"),
    ScoreForm::PROBABILITY,
];

/// Catalogue entry of comprehensiveness.
pub(super) const COMPREHENSIVENESS: MetricInfo = MetricInfo {
    name: "comprehensiveness",
    id: "F15",
    version: 1,
    family: Family::Faithfulness,
    direction: Direction::Up,
    summary: "How far the score falls without the top features, averaged over shares of them: were all that matter among them?",
    formula: "mean over bins of q(x) - q(x without the top k), k = ceil(bin n)",
    cost: "5",
    modalities: MetricInfo::ALL,
    misleads: "short texts have the same k in several bins; lengths change where tokens are deleted.",
    check: "linear model 4, 3, 2, 1 divided by 10, bins 25 and 50 %: .55",
    citation: "DeYoung et al., ACL 2020 (ERASER)",
    parameters: PARAMETERS,
};

/// Catalogue entry of sufficiency.
pub(super) const SUFFICIENCY: MetricInfo = MetricInfo {
    name: "sufficiency",
    direction: Direction::Down,
    summary: "How far the score falls where only the top features are there, averaged over shares of them: are they enough? May \
              be negative.",
    formula: "mean over bins of q(x) - q(x with the top k only), k = ceil(bin n)",
    check: "linear model 4, 3, 2, 1 divided by 10, bins 25 and 50 %: .45",
    ..COMPREHENSIVENESS
};

/// Options of both.
#[derive(Clone, Debug, PartialEq)]
struct Bins {
    bins: Vec<f64>,
    operator: Chosen,
    score: ScoreForm,
}

impl Default for Bins {
    fn default() -> Self {
        Self {
            bins: vec![0.01, 0.05, 0.1, 0.2, 0.5],
            operator: Chosen::default(),
            score: ScoreForm::Probability,
        }
    }
}

impl Bins {
    fn operator(&self, view: &View<'_>) -> Operator {
        self.operator.of(view, |modality| (modality == Modality::Text).then_some(Operator::Delete))
    }

    /// The top features of each bin.
    fn top(&self, view: &View<'_>) -> Vec<Coalition> {
        let n = view.features.count();
        let order = most_first(view);
        let top = |bin: &f64| {
            // A product such as .2 * 15 may lie a rounding above the whole number.
            let size = (bin * n as f64 - 1e-9).ceil() as usize;
            let mut set = Coalition::empty(n);
            order.iter().take(size.clamp(1, n)).for_each(|f| set.insert(*f));
            set
        };
        self.bins.iter().map(top).collect()
    }

    fn questions(&self, view: &View<'_>, keep: Vec<Coalition>) -> Vec<Question> {
        let full = Coalition::full(view.features.count());
        questions(self.operator(view), [vec![full], keep].concat()).collect()
    }

    fn evaluate(
        &self,
        name: &str,
        (view, bench): (&View<'_>, &mut Bench<'_>),
        keep: &[Coalition],
    ) -> Result<Outcome> {
        let operator = self.operator(view);
        let full = bench.clean(operator)?.score(self.score);
        let answers = bench.ask(operator, keep)?;
        let falls: Vec<f64> = answers.iter().map(|a| full - a.score(self.score)).collect();
        let mean = falls.iter().sum::<f64>() / falls.len().max(1) as f64;
        Ok(Outcome::of(mean).with_curve(name, self.bins.clone(), falls))
    }
}

/// Mean fall of the score without the top features.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comprehensiveness(Bins);

/// Mean fall of the score with the top features only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sufficiency(Bins);

options!(Comprehensiveness, COMPREHENSIVENESS,
    "bins": 0.bins, shares, shares_text;
    "operator": 0.operator, Chosen::read, Chosen::text;
    "score": 0.score, ScoreForm::parse, score_text;
);

options!(Sufficiency, SUFFICIENCY,
    "bins": 0.bins, shares, shares_text;
    "operator": 0.operator, Chosen::read, Chosen::text;
    "score": 0.score, ScoreForm::parse, score_text;
);

impl Comprehensiveness {
    fn keep(&self, view: &View<'_>) -> Vec<Coalition> {
        self.0.top(view).iter().map(Coalition::complement).collect()
    }
}

impl Metric for Comprehensiveness {
    fn info(&self) -> &'static MetricInfo {
        &COMPREHENSIVENESS
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn questions(&self, view: &View<'_>) -> Vec<Question> {
        self.0.questions(view, self.keep(view))
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        self.0.evaluate("comprehensiveness", (view, bench), &self.keep(view))
    }
}

impl Metric for Sufficiency {
    fn info(&self) -> &'static MetricInfo {
        &SUFFICIENCY
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn questions(&self, view: &View<'_>) -> Vec<Question> {
        self.0.questions(view, self.0.top(view))
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        self.0.evaluate("sufficiency", (view, bench), &self.0.top(view))
    }
}
