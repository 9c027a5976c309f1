//! F6, remove and debias: what is taken out is imputed from its neighbours, so that the mask itself tells nothing.

use exegesis_catalogue::{Options, ParameterInfo};
use exegesis_perturb::Coalition;

use super::grid::{most_first, questions};
use crate::reading::{Chosen, options, score_text, some, text};
use crate::{
    Answer, Bench, Direction, Family, Metric, MetricInfo, Modality, Operator, Outcome, Question, Result,
    ScoreForm, View,
};

/// Catalogue entry.
pub(super) const INFO: MetricInfo = MetricInfo {
    name: "road",
    id: "F6",
    version: 1,
    family: Family::Faithfulness,
    direction: Direction::Up,
    summary: "A tenth, two tenths, ... of the features are taken out, the most and the least relevant first, and solved from their \
              neighbours with a little noise. The value is the mean of what the score keeps more where the least relevant go.",
    formula: "mean over shares of q(x without the bottom share) - q(x without the top share)",
    cost: "18, and 18 systems of equations",
    modalities: &[Modality::Image, Modality::Series, Modality::Table],
    misleads: "where little is kept, it is extrapolated over everything and may bring evidence back.",
    check: "linear model 4, 3, 2, 1 divided by 10 with zeros at 25, 50 and 75 %: .3333",
    citation: "Rong et al., ICML 2022",
    parameters: &[
        ParameterInfo {
            name: "steps",
            default: "10",
            values: "2 to 65536",
            doc: "shares are the multiples of 1 / steps below 1",
        },
        Chosen::parameter("auto: impute; of series linear, of tables run"),
        ScoreForm::PROBABILITY,
    ],
};

/// Mean gap between both orders under imputation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Road {
    steps: usize,
    operator: Chosen,
    score: ScoreForm,
}

impl Default for Road {
    fn default() -> Self {
        Self { steps: 10, operator: Chosen::default(), score: ScoreForm::Probability }
    }
}

options!(Road, INFO,
    "steps": steps, some, text;
    "operator": operator, Chosen::read, Chosen::text;
    "score": score, ScoreForm::parse, score_text;
);

impl Road {
    fn operator(&self, view: &View<'_>) -> Operator {
        self.operator.of(view, |modality| match modality {
            Modality::Image => Some(Operator::Impute),
            Modality::Series => Some(Operator::Linear),
            _ => None,
        })
    }

    fn shares(&self) -> Vec<f64> {
        (1..self.steps).map(|k| k as f64 / self.steps as f64).collect()
    }

    /// What is left at each share.
    fn keep(&self, view: &View<'_>, is_most_first: bool) -> Vec<Coalition> {
        let n = view.features.count();
        let mut order = most_first(view);
        if !is_most_first {
            order.reverse();
        }
        let left = |share: f64| {
            let mut keep = Coalition::full(n);
            order.iter().take((share * n as f64).round() as usize).for_each(|f| keep.remove(*f));
            keep
        };
        self.shares().into_iter().map(left).collect()
    }
}

impl Metric for Road {
    fn info(&self) -> &'static MetricInfo {
        &INFO
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn questions(&self, view: &View<'_>) -> Vec<Question> {
        questions(self.operator(view), [self.keep(view, true), self.keep(view, false)].concat()).collect()
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let operator = self.operator(view);
        let most = bench.ask(operator, &self.keep(view, true))?;
        let least = bench.ask(operator, &self.keep(view, false))?;
        if most.is_empty() {
            return Ok(Outcome::undefined("no share is taken out"));
        }
        let curve = |answers: &[Answer]| answers.iter().map(|a| a.score(self.score)).collect::<Vec<f64>>();
        let gap = |of: &dyn Fn(&Answer) -> f64| {
            most.iter().zip(&least).map(|(m, l)| of(l) - of(m)).sum::<f64>() / most.len() as f64
        };
        Ok(Outcome::of(gap(&|a| a.score(self.score)))
            .with("accuracy", gap(&|a| a.is_best))
            .with_curve("morf", self.shares(), curve(&most))
            .with_curve("lerf", self.shares(), curve(&least)))
    }
}
