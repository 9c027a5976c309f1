//! F8: does the score fall by what the map says of each feature alone?

use exegesis_catalogue::{Options, ParameterInfo, choices};
use exegesis_perturb::Coalition;

use super::correlation::{kendall, pearson, spearman};
use super::grid::questions;
use super::groups::Groups;
use crate::reading::{auto_text, operator_text, options, score_text, some_or_auto};
use crate::{
    Bench, Direction, Family, Metric, MetricInfo, OperatorChoice, Outcome, Question, Result, ScoreForm, View,
};

/// The option `side` of metrics that look at patches.
pub(super) const SIDE: ParameterInfo = ParameterInfo {
    name: "side",
    default: "auto",
    values: "auto, 1 to 65536",
    doc: "side of the squares of a picture (9 at 224; at least 2), or steps of a window of a series (1)",
};

/// Catalogue entry.
pub(super) const INFO: MetricInfo = MetricInfo {
    name: "faithfulness-estimate",
    id: "F8",
    version: 1,
    family: Family::Faithfulness,
    direction: Direction::Up,
    summary: "Each feature is taken out by itself. The correlation says whether the score falls by what the map gives it.",
    formula: "Pearson (or another agreement) over features of (phi_i, q(x) - q(x without i))",
    cost: "one per feature (patch of a picture), shared by all methods",
    modalities: MetricInfo::ALL,
    misleads: "sees no interactions: of evidence that is there twice, either half looks useless.",
    check: "linear model 4, 3, 2, 1: 1; with phi = (4, 2, 3, 1): .8",
    citation: "Alvarez-Melis, Jaakkola, NeurIPS 2018",
    parameters: &[
        ParameterInfo {
            name: "agreement",
            default: "pearson",
            values: "pearson, spearman, kendall, mse",
            doc: "how both are compared; mse: the mean squared difference, negated so that higher is better",
        },
        SIDE,
        OperatorChoice::PARAMETER,
        ScoreForm::LOGIT,
    ],
};

choices! {
    /// How the map is compared with what the score does.
    Agreement {
        /// Correlation.
        #[default]
        Pearson = "pearson",
        /// Correlation of ranks.
        Spearman = "spearman",
        /// Kendall's tau-b.
        Kendall = "kendall",
        /// Minus the mean squared difference.
        Mse = "mse",
    }
}

fn agreement_text(agreement: &Agreement) -> String {
    agreement.name().to_string()
}

/// Agreement of the map with the effect of each feature alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaithfulnessEstimate {
    agreement: Agreement,
    side: Option<usize>,
    operator: OperatorChoice,
    score: ScoreForm,
}

impl Default for FaithfulnessEstimate {
    fn default() -> Self {
        Self {
            agreement: Agreement::Pearson,
            side: None,
            operator: OperatorChoice::Run,
            score: ScoreForm::Logit,
        }
    }
}

options!(FaithfulnessEstimate, INFO,
    "agreement": agreement, Agreement::parse, agreement_text;
    "side": side, some_or_auto, auto_text;
    "operator": operator, OperatorChoice::parse, operator_text;
    "score": score, ScoreForm::parse, score_text;
);

impl FaithfulnessEstimate {
    fn keep(&self, groups: &Groups) -> Vec<Coalition> {
        (0..groups.count()).map(|group| groups.without(group)).collect()
    }
}

impl Metric for FaithfulnessEstimate {
    fn info(&self) -> &'static MetricInfo {
        &INFO
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn questions(&self, view: &View<'_>) -> Vec<Question> {
        let mut keep = self.keep(&Groups::patches(view, self.side));
        keep.push(Coalition::full(view.features.count()));
        questions(self.operator.of(view.operator), keep).collect()
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let groups = Groups::patches(view, self.side);
        let operator = self.operator.of(view.operator);
        let full = bench.clean(operator)?.score(self.score);
        let answers = bench.ask(operator, &self.keep(&groups))?;
        let falls: Vec<f64> = answers.iter().map(|a| full - a.score(self.score)).collect();
        let sums = groups.sums(&view.map.values);
        let value = match self.agreement {
            Agreement::Pearson => pearson(&sums, &falls),
            Agreement::Spearman => spearman(&sums, &falls),
            Agreement::Kendall => kendall(&sums, &falls),
            Agreement::Mse => {
                let squares = sums.iter().zip(&falls).map(|(s, f)| (s - f).powi(2));
                Some(-squares.sum::<f64>() / sums.len().max(1) as f64)
            }
        };
        Ok(match value {
            Some(value) => Outcome::of(value).with("groups", groups.count() as f64),
            None => Outcome::undefined("the map or the score is the same for every feature"),
        })
    }
}
