//! F1, insertion and deletion.

use exegesis_catalogue::{Options, ParameterInfo, Result as Read, count, on_off, on_off_text, unknown_value};

use super::grid::{Grid, most_first, questions, trapezoid};
use crate::{
    Bench, Direction, Family, Metric, MetricInfo, OperatorChoice, Outcome, Question, Result, ScoreForm, View,
};

const STEPS: ParameterInfo = ParameterInfo {
    name: "steps",
    default: "128",
    values: "1 to 4096",
    doc: "points of the curve, at most one per feature",
};
const NORMALISED: ParameterInfo = ParameterInfo {
    name: "normalised",
    default: "off",
    values: "on, off",
    doc: "scores as (q - q_b) / (q_x - q_b), not clipped",
};

/// Catalogue entry of insertion.
pub(super) const INSERTION: MetricInfo = MetricInfo {
    name: "insertion",
    id: "F1",
    version: 1,
    family: Family::Faithfulness,
    direction: Direction::Up,
    summary: "Features are put into an empty sample, the most important first; the area under the score says how soon they are \
              enough.",
    formula: "trapz_k q(x with the top k features only)",
    cost: "129, shared with `lerf` under one operator",
    modalities: MetricInfo::ALL,
    misleads: "inputs lie off the data; only the order counts, not the values; the raw area depends on the score of the sample.",
    check: "linear model 4, 3, 2, 1: .625; insertion and deletion add up to 1",
    citation: "Petsiuk, Das, Saenko, BMVC 2018 (RISE)",
    parameters: &[
        STEPS,
        ParameterInfo { default: "blur of pictures, else run", ..OperatorChoice::PARAMETER },
        ScoreForm::PROBABILITY,
        NORMALISED,
    ],
};

/// Catalogue entry of deletion.
pub(super) const DELETION: MetricInfo = MetricInfo {
    name: "deletion",
    direction: Direction::Down,
    summary: "Features are taken out of the sample, the most important first; the area under the score says how soon it falls.",
    formula: "trapz_k q(x without the top k features)",
    cost: "129, shared with `morf`",
    misleads: "inputs lie off the data; only the order counts; where evidence is there twice, a right map does badly.",
    check: "linear model 4, 3, 2, 1: .375",
    parameters: &[STEPS, OperatorChoice::PARAMETER, ScoreForm::PROBABILITY, NORMALISED],
    ..INSERTION
};

/// Options of both.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Area {
    steps: usize,
    operator: Option<OperatorChoice>,
    score: ScoreForm,
    normalised: bool,
}

impl Default for Area {
    fn default() -> Self {
        Self { steps: 128, operator: None, score: ScoreForm::Probability, normalised: false }
    }
}

impl Area {
    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        match key {
            "steps" => self.steps = count(key, value, 4096)?,
            "operator" if value == "auto" => self.operator = None,
            "operator" => self.operator = Some(OperatorChoice::parse(key, value)?),
            "score" => self.score = ScoreForm::parse(key, value)?,
            "normalised" => self.normalised = on_off(key, value)?,
            _ => return Err(unknown_value(key, value, &[])),
        }
        Ok(())
    }

    fn values(&self, operator: OperatorChoice) -> Vec<(&'static str, String)> {
        vec![
            ("steps", self.steps.to_string()),
            ("operator", self.operator.unwrap_or(operator).name().to_string()),
            ("score", self.score.name().to_string()),
            ("normalised", on_off_text(self.normalised)),
        ]
    }

    fn evaluate(
        &self,
        name: &str,
        (view, bench): (&View<'_>, &mut Bench<'_>),
        operator: crate::Operator,
        keep: &[exegesis_perturb::Coalition],
    ) -> Result<Outcome> {
        let answers = bench.ask(operator, keep)?;
        let mut scores: Vec<f64> = answers.iter().map(|a| a.score(self.score)).collect();
        let full = bench.clean(operator)?.score(self.score);
        let empty = bench.empty(operator)?.score(self.score);
        if self.normalised {
            if (full - empty).abs() < 1e-12 {
                return Ok(Outcome::undefined("the sample scores as nothing does"));
            }
            scores.iter_mut().for_each(|q| *q = (*q - empty) / (full - empty));
        }
        let shares = Grid::new(view.features.count(), self.steps).shares();
        Ok(Outcome::of(trapezoid(&scores))
            .with("full", full)
            .with("empty", empty)
            .with_curve(name, shares, scores))
    }
}

/// Area under the score while features are put in, the most important first.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Insertion(Area);

impl Insertion {
    fn operator(&self, view: &View<'_>) -> crate::Operator {
        match self.0.operator {
            Some(choice) => choice.of(view.operator),
            None if view.features.modality == crate::Modality::Image => crate::Operator::Blur,
            None => view.operator,
        }
    }

    fn keep(&self, view: &View<'_>) -> Vec<exegesis_perturb::Coalition> {
        Grid::new(view.features.count(), self.0.steps).leading(&most_first(view))
    }
}

impl Options for Insertion {
    const PARAMETERS: &'static [ParameterInfo] = INSERTION.parameters;

    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        self.0.set(key, value)
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        let mut all = self.0.values(OperatorChoice::Run);
        if self.0.operator.is_none() {
            all[1].1 = "auto".to_string();
        }
        all
    }
}

impl Metric for Insertion {
    fn info(&self) -> &'static MetricInfo {
        &INSERTION
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn questions(&self, view: &View<'_>) -> Vec<Question> {
        questions(self.operator(view), self.keep(view)).collect()
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        self.0.evaluate("insertion", (view, bench), self.operator(view), &self.keep(view))
    }
}

/// Area under the score while features are taken out, the most important first.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Deletion(Area);

impl Deletion {
    fn operator(&self, view: &View<'_>) -> crate::Operator {
        self.0.operator.unwrap_or_default().of(view.operator)
    }

    fn keep(&self, view: &View<'_>) -> Vec<exegesis_perturb::Coalition> {
        Grid::new(view.features.count(), self.0.steps).without(&most_first(view))
    }
}

impl Options for Deletion {
    const PARAMETERS: &'static [ParameterInfo] = DELETION.parameters;

    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        self.0.set(key, value)
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        self.0.values(OperatorChoice::Run)
    }
}

impl Metric for Deletion {
    fn info(&self) -> &'static MetricInfo {
        &DELETION
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn questions(&self, view: &View<'_>) -> Vec<Question> {
        questions(self.operator(view), self.keep(view)).collect()
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        self.0.evaluate("deletion", (view, bench), self.operator(view), &self.keep(view))
    }
}
