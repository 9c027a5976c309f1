//! F2 and F3: curves with the most or the least relevant features taken out first, and the area between them.

use exegesis_catalogue::{Options, ParameterInfo, Result as Read, count, on_off, on_off_text, unknown_value};
use exegesis_perturb::Coalition;

use super::grid::{Grid, most_first, questions, trapezoid};
use crate::{
    Bench, Direction, Family, Metric, MetricInfo, Operator, OperatorChoice, Outcome, Question, Result,
    ScoreForm, View,
};

const STEPS: ParameterInfo = ParameterInfo {
    name: "steps",
    default: "128",
    values: "1 to 4096",
    doc: "points of the curve, at most one per feature",
};

/// Catalogue entry of the curve that takes the most relevant features first.
pub(super) const MORF: MetricInfo = MetricInfo {
    name: "morf",
    id: "F2",
    version: 1,
    family: Family::Faithfulness,
    direction: Direction::Up,
    summary: "Pixel flipping: how far the score falls on average (AOPC) while features are taken out, the most relevant first.",
    formula: "1/(L+1) sum_k (m_0 - m_k), m_k = q(x without the top k features)",
    cost: "128, shared with `deletion`",
    modalities: MetricInfo::ALL,
    misleads: "depends on what stands in and on the number of steps; probabilities saturate; never compare models by it.",
    check: "linear model 4, 3, 2, 1: 6.0",
    citation: "Bach et al., PLOS ONE 2015; Samek et al., TNNLS 2017 (AOPC)",
    parameters: &[STEPS, OperatorChoice::PARAMETER, ScoreForm::PROBABILITY],
};

/// Catalogue entry of the curve that takes the least relevant features first.
pub(super) const LERF: MetricInfo = MetricInfo {
    name: "lerf",
    direction: Direction::Down,
    summary: "How far the score falls on average while features are taken out, the least relevant first.",
    formula: "1/(L+1) sum_k (l_0 - l_k), l_k = q(x without the bottom k features)",
    cost: "128, shared with `insertion` under one operator",
    check: "linear model 4, 3, 2, 1: 4.0",
    ..MORF
};

/// Catalogue entry of the area between both curves.
pub(super) const ABPC: MetricInfo = MetricInfo {
    name: "abpc",
    id: "F3",
    direction: Direction::Up,
    summary: "The area between the curves of `lerf` and `morf`: 0 is expected of a random order.",
    formula: "trapz_k (l_k - m_k), optionally / (m_0 - q_b)",
    cost: "none beyond `morf` and `lerf`",
    check: "linear model 4, 3, 2, 1: 2.5, normalised .25; the negative map flips the sign",
    misleads: "depends on what stands in, on the form of the score and on the number of steps.",
    citation: "Šimić et al. 2022; Blücher et al. 2024",
    parameters: &[
        STEPS,
        OperatorChoice::PARAMETER,
        ScoreForm::PROBABILITY,
        ParameterInfo {
            name: "normalised",
            default: "off",
            values: "on, off",
            doc: "divide by the score of the sample minus that of nothing",
        },
    ],
    ..MORF
};

/// Options of all three.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Flips {
    steps: usize,
    operator: OperatorChoice,
    score: ScoreForm,
}

impl Default for Flips {
    fn default() -> Self {
        Self { steps: 128, operator: OperatorChoice::Run, score: ScoreForm::Probability }
    }
}

impl Flips {
    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        match key {
            "steps" => self.steps = count(key, value, 4096)?,
            "operator" => self.operator = OperatorChoice::parse(key, value)?,
            "score" => self.score = ScoreForm::parse(key, value)?,
            _ => return Err(unknown_value(key, value, &[])),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![
            ("steps", self.steps.to_string()),
            ("operator", self.operator.name().to_string()),
            ("score", self.score.name().to_string()),
        ]
    }

    fn operator(&self, view: &View<'_>) -> Operator {
        self.operator.of(view.operator)
    }

    /// What is left at each point, the most or the least relevant features taken out first.
    fn keep(&self, view: &View<'_>, is_most_first: bool) -> Vec<Coalition> {
        let mut order = most_first(view);
        if !is_most_first {
            order.reverse();
        }
        Grid::new(view.features.count(), self.steps).without(&order)
    }

    fn questions(&self, view: &View<'_>, is_most_first: bool) -> Vec<Question> {
        questions(self.operator(view), self.keep(view, is_most_first)).collect()
    }

    fn curve(&self, view: &View<'_>, bench: &mut Bench<'_>, is_most_first: bool) -> Result<Vec<f64>> {
        let answers = bench.ask(self.operator(view), &self.keep(view, is_most_first))?;
        Ok(answers.iter().map(|a| a.score(self.score)).collect())
    }

    fn shares(&self, view: &View<'_>) -> Vec<f64> {
        Grid::new(view.features.count(), self.steps).shares()
    }

    /// AOPC.
    fn fall(&self, view: &View<'_>, bench: &mut Bench<'_>, is_most_first: bool) -> Result<Outcome> {
        let curve = self.curve(view, bench, is_most_first)?;
        let first = curve.first().copied().unwrap_or(0.0);
        let fall = curve.iter().map(|q| first - q).sum::<f64>() / curve.len().max(1) as f64;
        let name = if is_most_first { "morf" } else { "lerf" };
        Ok(Outcome::of(fall).with_curve(name, self.shares(view), curve))
    }
}

/// AOPC with the most relevant features first.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MostFirst(Flips);

/// AOPC with the least relevant features first.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LeastFirst(Flips);

/// Area between both curves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AreaBetweenCurves {
    flips: Flips,
    /// Divide by the score of the sample minus that of nothing.
    pub normalised: bool,
}

impl Options for MostFirst {
    const PARAMETERS: &'static [ParameterInfo] = MORF.parameters;

    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        self.0.set(key, value)
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        self.0.values()
    }
}

impl Options for LeastFirst {
    const PARAMETERS: &'static [ParameterInfo] = LERF.parameters;

    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        self.0.set(key, value)
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        self.0.values()
    }
}

impl Options for AreaBetweenCurves {
    const PARAMETERS: &'static [ParameterInfo] = ABPC.parameters;

    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        match key {
            "normalised" => self.normalised = on_off(key, value)?,
            _ => self.flips.set(key, value)?,
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        let mut all = self.flips.values();
        all.push(("normalised", on_off_text(self.normalised)));
        all
    }
}

impl Metric for MostFirst {
    fn info(&self) -> &'static MetricInfo {
        &MORF
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn questions(&self, view: &View<'_>) -> Vec<Question> {
        self.0.questions(view, true)
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        self.0.fall(view, bench, true)
    }
}

impl Metric for LeastFirst {
    fn info(&self) -> &'static MetricInfo {
        &LERF
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn questions(&self, view: &View<'_>) -> Vec<Question> {
        self.0.questions(view, false)
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        self.0.fall(view, bench, false)
    }
}

impl Metric for AreaBetweenCurves {
    fn info(&self) -> &'static MetricInfo {
        &ABPC
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn questions(&self, view: &View<'_>) -> Vec<Question> {
        [self.flips.questions(view, true), self.flips.questions(view, false)].concat()
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let most = self.flips.curve(view, bench, true)?;
        let least = self.flips.curve(view, bench, false)?;
        let between: Vec<f64> = least.iter().zip(&most).map(|(l, m)| l - m).collect();
        let mut area = trapezoid(&between);
        if self.normalised {
            let height = most.first().copied().unwrap_or(0.0) - most.last().copied().unwrap_or(0.0);
            if height.abs() < 1e-12 {
                return Ok(Outcome::undefined("the sample scores as nothing does"));
            }
            area /= height;
        }
        let shares = self.flips.shares(view);
        Ok(Outcome::of(area).with_curve("morf", shares.clone(), most).with_curve("lerf", shares, least))
    }
}
