//! F7 and F12: does the score fall by what the map says of random subsets?

use exegesis_catalogue::{Options, ParameterInfo};
use exegesis_perturb::Coalition;

use super::correlation::pearson;
use super::grid::questions;
use super::subsets::{subsets, sum_of};
use crate::reading::{auto_text, operator_text, options, score_text, some, some_or_auto, text};
use crate::{
    Bench, Direction, Family, Metric, MetricInfo, Operator, OperatorChoice, Outcome, Question, Result,
    ScoreForm, View,
};

const SUBSETS: ParameterInfo = ParameterInfo {
    name: "subsets",
    default: "100",
    values: "1 to 65536",
    doc: "random subsets of a size; all of them where there are no more",
};

/// Catalogue entry of the correlation at one size.
pub(super) const CORRELATION: MetricInfo = MetricInfo {
    name: "faithfulness-correlation",
    id: "F7",
    version: 1,
    family: Family::Faithfulness,
    direction: Direction::Up,
    summary: "Random subsets of features are taken out. The correlation says whether the score falls by what the map gives them \
              together.",
    formula: "Pearson over subsets R of size k of (sum_R phi, q(x) - q(x without R))",
    cost: "100, shared by all methods",
    modalities: MetricInfo::ALL,
    misleads: "values scatter a lot with few subsets; with many features all subsets have nearly the same sum.",
    check: "linear model: the correlation of phi and w x; weights 4, 3, 2, 1 with phi = (4, 2, 3, 1): .8",
    citation: "Bhatt, Weller, Moura, IJCAI 2020",
    parameters: &[
        ParameterInfo {
            name: "size",
            default: "auto",
            values: "auto, 1 to 65536",
            doc: "features of a subset; auto: a fifth of them, 224 of more than 10000",
        },
        SUBSETS,
        OperatorChoice::PARAMETER,
        ScoreForm::LOGIT,
    ],
};

/// Catalogue entry of the mean over sizes.
pub(super) const SENSITIVITY: MetricInfo = MetricInfo {
    name: "sensitivity-n",
    id: "F12",
    summary: "The correlation of `faithfulness-correlation` for subsets of many sizes, from one feature to four fifths of them. \
              The value is their mean; the curve says at which sizes the map holds.",
    formula: "mean over k of Pearson over subsets R of size k of (sum_R phi, q(x) - q(x without R))",
    cost: "1000, shared by all methods",
    misleads: "as `faithfulness-correlation`; large subsets leave inputs that are far off the data.",
    check: "linear model, phi = w x: 1 at every size; weights 4, 3, 2, 1 with phi = (4, 2, 3, 1): .8 at every size",
    citation: "Ancona, Ceolini, Öztireli, Gross, ICLR 2018",
    parameters: &[
        ParameterInfo {
            name: "sizes",
            default: "10",
            values: "1 to 65536",
            doc: "sizes between one feature and four fifths of them, at equal ratios",
        },
        SUBSETS,
        OperatorChoice::PARAMETER,
        ScoreForm::LOGIT,
    ],
    ..CORRELATION
};

/// What both share.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Asked {
    subsets: usize,
    operator: OperatorChoice,
    score: ScoreForm,
}

impl Default for Asked {
    fn default() -> Self {
        Self { subsets: 100, operator: OperatorChoice::Run, score: ScoreForm::Logit }
    }
}

impl Asked {
    fn operator(&self, view: &View<'_>) -> Operator {
        self.operator.of(view.operator)
    }

    fn questions(&self, view: &View<'_>, sizes: &[usize]) -> Vec<Question> {
        let keep =
            |size: &usize| subsets(view, *size, self.subsets).iter().map(Coalition::complement).collect();
        let all = |keep: Vec<Coalition>| questions(self.operator(view), keep);
        let mut own: Vec<Question> = all(vec![Coalition::full(view.features.count())]).collect();
        own.extend(sizes.iter().map(keep).flat_map(all));
        own
    }

    /// The correlation at one size.
    fn at(&self, view: &View<'_>, bench: &mut Bench<'_>, size: usize) -> Result<Option<f64>> {
        let operator = self.operator(view);
        let full = bench.clean(operator)?.score(self.score);
        let taken = subsets(view, size, self.subsets);
        let keep: Vec<Coalition> = taken.iter().map(Coalition::complement).collect();
        let falls: Vec<f64> =
            bench.ask(operator, &keep)?.iter().map(|a| full - a.score(self.score)).collect();
        let sums: Vec<f64> = taken.iter().map(|set| sum_of(&view.map.values, set)).collect();
        Ok(pearson(&sums, &falls))
    }
}

/// Correlation of what the map says of random subsets with what the score does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FaithfulnessCorrelation {
    asked: Asked,
    size: Option<usize>,
}

options!(FaithfulnessCorrelation, CORRELATION,
    "size": size, some_or_auto, auto_text;
    "subsets": asked.subsets, some, text;
    "operator": asked.operator, OperatorChoice::parse, operator_text;
    "score": asked.score, ScoreForm::parse, score_text;
);

impl FaithfulnessCorrelation {
    fn size(&self, n: usize) -> usize {
        let usual = if n > 10_000 { 224 } else { (n / 5).max(1) };
        self.size.unwrap_or(usual).min(n)
    }
}

impl Metric for FaithfulnessCorrelation {
    fn info(&self) -> &'static MetricInfo {
        &CORRELATION
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn questions(&self, view: &View<'_>) -> Vec<Question> {
        self.asked.questions(view, &[self.size(view.features.count())])
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let size = self.size(view.features.count());
        Ok(match self.asked.at(view, bench, size)? {
            Some(value) => Outcome::of(value).with("size", size as f64),
            None => Outcome::undefined("all subsets weigh the same, or the score never moves"),
        })
    }
}

/// The same over subsets of many sizes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SensitivityN {
    asked: Asked,
    sizes: usize,
}

impl Default for SensitivityN {
    fn default() -> Self {
        Self { asked: Asked::default(), sizes: 10 }
    }
}

options!(SensitivityN, SENSITIVITY,
    "sizes": sizes, some, text;
    "subsets": asked.subsets, some, text;
    "operator": asked.operator, OperatorChoice::parse, operator_text;
    "score": asked.score, ScoreForm::parse, score_text;
);

impl SensitivityN {
    /// Sizes at equal ratios between 1 and `.8 n`, rounded, each once.
    fn sizes(&self, n: usize) -> Vec<usize> {
        let most = (0.8 * n as f64).max(1.0);
        let at = |k: usize| match self.sizes {
            1 => 1,
            sizes => most.powf(k as f64 / (sizes - 1) as f64).round() as usize,
        };
        let mut all: Vec<usize> = (0..self.sizes).map(at).collect();
        all.dedup();
        all
    }
}

impl Metric for SensitivityN {
    fn info(&self) -> &'static MetricInfo {
        &SENSITIVITY
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn questions(&self, view: &View<'_>) -> Vec<Question> {
        self.asked.questions(view, &self.sizes(view.features.count()))
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let n = view.features.count();
        let (mut at, mut values) = (vec![], vec![]);
        for size in self.sizes(n) {
            if let Some(value) = self.asked.at(view, bench, size)? {
                at.push(size as f64 / n as f64);
                values.push(value);
            }
        }
        if values.is_empty() {
            return Ok(Outcome::undefined("all subsets weigh the same, or the score never moves"));
        }
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        Ok(Outcome::of(mean).with("sizes", values.len() as f64).with_curve("sensitivity-n", at, values))
    }
}
