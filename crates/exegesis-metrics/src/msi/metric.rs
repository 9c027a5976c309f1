//! F17: options, questions, sweeps and controls.

use exegesis_catalogue::{Options, ParameterInfo, choices, number, on_off};
use exegesis_perturb::Coalition;

use super::levels::{Levels, distinct};
use super::normalise::{Normalisation, normalised};
use super::score::{Definition, Parts};
use crate::reading::{operator_text, options, score_text, some, switch, text};
use crate::{
    Answer, Bench, Direction, Family, Metric, MetricInfo, Operator, OperatorChoice, Outcome, Question,
    Result, ScoreForm, View,
};

/// Catalogue entry.
pub(super) const INFO: MetricInfo = MetricInfo {
    name: "msi",
    id: "F17",
    version: 1,
    family: Family::Faithfulness,
    direction: Direction::Up,
    summary: "Minimality-sufficiency integration, as reconstructed by this project: are the features above a level enough, is \
              nothing better left outside, and how small are they? Evidence that is there twice need not be marked twice.",
    formula: "w Sep + (1 - w) Rank - lambda rho; Sep = Suff - max(0, res - Suff); Rank = mean over levels a >= alpha_min of \
              s(a) - d(a); rho = share of features at or above alpha_min",
    cost: "at most 36",
    modalities: MetricInfo::ALL,
    misleads: "not checked against the authors' code. Depends on alpha_min, which must be the same for all methods, and favours \
               maps of two values: look at `sweep`, `binary` and `normalisation=rank` before trusting an order.",
    check: "32 x 32 toys with recorded parts; the whole sample 0, nothing -.5, table effects (2, 0, 2, 0) .5",
    citation: "after arXiv 2605.18681 (2026); definition r1 of this project, as reconstructed by this project",
    parameters: &[
        ParameterInfo {
            name: "alpha_min",
            default: "0.5",
            values: "0 to below 1",
            doc: "values of the normalised map from here on belong to the explanation",
        },
        ParameterInfo {
            name: "lambda",
            default: "1",
            values: "0 or more",
            doc: "weight of the penalty on area",
        },
        ParameterInfo {
            name: "weight",
            default: "0.5",
            values: "0 to 1",
            doc: "w, the weight of the separation against the curves",
        },
        ParameterInfo {
            name: "levels",
            default: "auto",
            values: "auto, exact, 1 to 65536",
            doc: "levels of the curves; exact: every value of the map; auto: exact where there are at most 32, else 16",
        },
        ParameterInfo {
            name: "separation",
            default: "tolerant",
            values: "tolerant, strict",
            doc: "whether the complement counts only where it beats the map, or always",
        },
        ParameterInfo {
            name: "deletion",
            default: "inside",
            values: "inside, literal",
            doc: "whether features are deleted from the explanation alone, or from the whole sample",
        },
        ParameterInfo {
            name: "normalisation",
            default: "minmax",
            values: "minmax, abs, rank, unit",
            doc: "how maps become values in [0, 1]; maps that are declared as such stay under minmax",
        },
        ParameterInfo {
            name: "gap",
            default: "0.05",
            values: "0 or more",
            doc: "samples whose score is not this far above that of nothing are left out; of regression in deviations",
        },
        ParameterInfo {
            name: "clip",
            default: "on",
            values: "on, off",
            doc: "scores as (q - q_b) / (q_x - q_b) clipped to [0, 1]; off: raw scores",
        },
        ParameterInfo {
            name: "sweep",
            default: "off",
            values: "on, off",
            doc: "also the curve of the score over alpha_min from .05 to .95",
        },
        ParameterInfo {
            name: "binary",
            default: "off",
            values: "on, off",
            doc: "also the curve of the score of the map cut into two values at .1 to .9",
        },
        OperatorChoice::PARAMETER,
        ScoreForm::PROBABILITY,
    ],
};

choices! {
    /// When the complement of a map counts against it.
    Separation {
        /// Where it beats the map.
        #[default]
        Tolerant = "tolerant",
        /// Always.
        Strict = "strict",
    }
}

choices! {
    /// What features are deleted from.
    DeletionFrom {
        /// The explanation.
        #[default]
        Inside = "inside",
        /// The whole sample.
        Literal = "literal",
    }
}

/// Levels of the curves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum LevelChoice {
    /// As many as suit the map.
    #[default]
    Auto,
    /// Every value of the map.
    Exact,
    /// So many, in the middle of equal parts.
    Middle(usize),
}

impl LevelChoice {
    fn read(key: &str, value: &str) -> exegesis_catalogue::Result<Self> {
        match value {
            "auto" => Ok(Self::Auto),
            "exact" => Ok(Self::Exact),
            _ => some(key, value).map(Self::Middle),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Auto => "auto".to_string(),
            Self::Exact => "exact".to_string(),
            Self::Middle(count) => count.to_string(),
        }
    }
}

/// Minimality-sufficiency integration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Msi {
    alpha_min: f64,
    lambda: f64,
    weight: f64,
    levels: LevelChoice,
    separation: Separation,
    deletion: DeletionFrom,
    normalisation: Normalisation,
    gap: f64,
    clips: bool,
    sweeps: bool,
    binary: bool,
    operator: OperatorChoice,
    score: ScoreForm,
}

impl Default for Msi {
    fn default() -> Self {
        Self {
            alpha_min: 0.5,
            lambda: 1.0,
            weight: 0.5,
            levels: LevelChoice::Auto,
            separation: Separation::Tolerant,
            deletion: DeletionFrom::Inside,
            normalisation: Normalisation::MinMax,
            gap: 0.05,
            clips: true,
            sweeps: false,
            binary: false,
            operator: OperatorChoice::Run,
            score: ScoreForm::Probability,
        }
    }
}

fn level(key: &str, value: &str) -> exegesis_catalogue::Result<f64> {
    number(key, value, |v| (0.0..1.0).contains(&v), "from 0 to below 1")
}

fn positive(key: &str, value: &str) -> exegesis_catalogue::Result<f64> {
    number(key, value, |v| v >= 0.0, "of 0 or more")
}

fn share(key: &str, value: &str) -> exegesis_catalogue::Result<f64> {
    number(key, value, |v| (0.0..=1.0).contains(&v), "from 0 to 1")
}

options!(Msi, INFO,
    "alpha_min": alpha_min, level, text;
    "lambda": lambda, positive, text;
    "weight": weight, share, text;
    "levels": levels, LevelChoice::read, LevelChoice::text;
    "separation": separation, Separation::parse, |s: &Separation| s.name().to_string();
    "deletion": deletion, DeletionFrom::parse, |d: &DeletionFrom| d.name().to_string();
    "normalisation": normalisation, Normalisation::parse, |n: &Normalisation| n.name().to_string();
    "gap": gap, positive, text;
    "clip": clips, on_off, switch;
    "sweep": sweeps, on_off, switch;
    "binary": binary, on_off, switch;
    "operator": operator, OperatorChoice::parse, operator_text;
    "score": score, ScoreForm::parse, score_text;
);

/// Levels of the curves where values are many.
const LEVELS: usize = 16;

impl Msi {
    fn definition(&self, alpha_min: f64) -> Definition {
        Definition {
            alpha_min,
            lambda: self.lambda,
            weight: self.weight,
            is_strict: self.separation == Separation::Strict,
            is_literal: self.deletion == DeletionFrom::Literal,
        }
    }

    fn map(&self, view: &View<'_>) -> Vec<f64> {
        let how = match self.normalisation {
            Normalisation::MinMax if view.map.is_unit => Normalisation::Unit,
            how => how,
        };
        normalised(&view.map.values, how)
    }

    fn levels(&self, alpha_min: f64, map: &[f64]) -> Levels {
        match self.levels {
            LevelChoice::Exact => Levels::exact(alpha_min, map),
            LevelChoice::Auto if distinct(alpha_min, map) <= 2 * LEVELS => Levels::exact(alpha_min, map),
            LevelChoice::Auto => Levels::midpoints(alpha_min, LEVELS),
            LevelChoice::Middle(count) => Levels::midpoints(alpha_min, count),
        }
    }

    /// The maps that are scored, each with its definition and levels: the map itself, then those of the sweep, then those of
    /// two values.
    fn cases(&self, view: &View<'_>) -> Vec<(Case, Vec<f64>, Definition, Levels)> {
        let map = self.map(view);
        let own = |case: Case, alpha_min: f64| {
            (case, map.clone(), self.definition(alpha_min), self.levels(alpha_min, &map))
        };
        let mut all = vec![own(Case::Value, self.alpha_min)];
        if self.sweeps {
            all.extend((1..20).map(|k| f64::from(k) / 20.0).map(|alpha| own(Case::Sweep(alpha), alpha)));
        }
        if self.binary {
            for at in (1..10).map(|k| f64::from(k) / 10.0) {
                let cut: Vec<f64> = map.iter().map(|v| f64::from(u8::from(*v >= at))).collect();
                let levels = Levels::exact(self.alpha_min, &cut);
                all.push((Case::Binary(at), cut, self.definition(self.alpha_min), levels));
            }
        }
        all
    }

    fn operator(&self, view: &View<'_>) -> Operator {
        self.operator.of(view.operator)
    }
}

/// What a score is for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Case {
    Value,
    Sweep(f64),
    Binary(f64),
}

impl Metric for Msi {
    fn info(&self) -> &'static MetricInfo {
        &INFO
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn questions(&self, view: &View<'_>) -> Vec<Question> {
        let n = view.features.count();
        let mut keep = vec![Coalition::full(n), Coalition::empty(n)];
        for (_, map, definition, levels) in self.cases(view) {
            keep.extend(definition.masks(&map, &levels));
        }
        let operator = self.operator(view);
        keep.into_iter().map(|keep| Question { operator, keep }).collect()
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let operator = self.operator(view);
        let full = bench.clean(operator)?.score(self.score);
        let empty = bench.empty(operator)?.score(self.score);
        let height = full - empty;
        // Of regression the sign of the difference says nothing, and its size is measured by the spread of the output.
        let is_near = match bench.subject().output_deviation() {
            Some(deviation) => height.abs() < self.gap * deviation || height == 0.0,
            None => height < self.gap || height <= 0.0,
        };
        if is_near {
            // Without the numbers, which stand beside it, so that samples can be counted by reason.
            let reason = format!("the score of the sample is not {} above that of nothing", self.gap);
            return Ok(Outcome::undefined(reason).with("p_x", full).with("p_b", empty));
        }
        let normal = |answer: &Answer| match self.clips {
            true => ((answer.score(self.score) - empty) / height).clamp(0.0, 1.0),
            false => answer.score(self.score),
        };
        let mut of = |mask: Coalition| -> Result<f64> {
            Ok(bench.ask(operator, &[mask])?.first().map(normal).unwrap_or_default())
        };
        let (mut sweep, mut binary) = (vec![], vec![]);
        let mut value: Option<(Parts, Levels)> = None;
        for (case, map, definition, levels) in self.cases(view) {
            let parts = definition.score(&map, &levels, &mut of)?;
            match case {
                Case::Value => value = Some((parts, levels)),
                Case::Sweep(alpha) => sweep.push((alpha, parts.msi)),
                Case::Binary(at) => binary.push((at, parts.msi)),
            }
        }
        let Some((parts, levels)) = value else { return Ok(Outcome::undefined("there is no map")) };
        let mut asked: Vec<Coalition> = self.questions(view).into_iter().map(|q| q.keep).collect();
        asked.sort_unstable();
        asked.dedup();
        let at: Vec<f64> = levels.0.iter().map(|(level, _)| *level).collect();
        let mut outcome = Outcome::of(parts.msi)
            .with("base", parts.base)
            .with("separation", parts.separation)
            .with("rank", parts.rank)
            .with("sufficiency", parts.sufficiency)
            .with("residual", parts.residual)
            .with("area_kept", parts.area_kept)
            .with("area_deleted", parts.area_deleted)
            .with("share", parts.share)
            .with("penalty", self.lambda * parts.share)
            .with("p_x", full)
            .with("p_b", empty)
            .with("questions", asked.len() as f64)
            .with_curve("kept", at.clone(), parts.kept)
            .with_curve("deleted", at, parts.deleted);
        if !sweep.is_empty() {
            let (at, values) = sweep.into_iter().unzip();
            outcome = outcome.with_curve("sweep", at, values);
        }
        if !binary.is_empty() {
            let best = binary.iter().map(|(_, v)| *v).fold(f64::NEG_INFINITY, f64::max);
            let (at, values) = binary.into_iter().unzip();
            outcome = outcome.with("best_binary", best).with_curve("binary", at, values);
        }
        Ok(outcome)
    }
}
