//! F11: does the map foretell how the score changes under noise?

use exegesis_catalogue::{Options, ParameterInfo, choices, number, on_off};
use exegesis_perturb::random::Stream;
use exegesis_perturb::{Coalition, FROZEN};

use super::grid::questions;
use super::subsets::{subsets, sum_of};
use crate::reading::{operator_text, options, score_text, some, switch, text};
use crate::{
    Bench, Direction, Family, Features, Metric, MetricInfo, Modality, OperatorChoice, Outcome, Question,
    Result, ScoreForm, View,
};

/// Catalogue entry.
pub(super) const INFO: MetricInfo = MetricInfo {
    name: "infidelity",
    id: "F11",
    version: 1,
    family: Family::Faithfulness,
    direction: Direction::Down,
    summary: "The mean squared error of the map as a linear forecast of what the score does when features are moved by noise, or \
              taken out.",
    formula: "E_I [(I . phi_loc - (f(x) - f(x - I)))^2], phi_loc = phi (local) or phi / (x - b) (global)",
    cost: "200, shared by all methods",
    modalities: &[Modality::Image, Modality::Table, Modality::Series],
    misleads: "rewards small outputs; a map of effects (input times gradient, Shapley values) judged as one of slopes fails for \
               that alone, and the reverse: see `attribution`.",
    check: "linear model, phi = w: 0; one weight too large by 1, deviation .2: .04",
    citation: "Yeh et al., NeurIPS 2019",
    parameters: &[
        ParameterInfo {
            name: "perturbation",
            default: "auto",
            values: "auto, gaussian, mask",
            doc: "gaussian: every feature is moved; mask: a fifth of the features at random is taken out by the operator; auto: \
                  gaussian for slopes, mask for effects, whose slopes phi / (x - b) are unstable where x is near b",
        },
        ParameterInfo {
            name: "attribution",
            default: "global",
            values: "global, local",
            doc: "global: values are effects of features against the baseline; local: they are slopes, as those of `gradient`",
        },
        ParameterInfo {
            name: "sd",
            default: "0.2",
            values: "above 0",
            doc: "standard deviation of the noise, as a share of the range of the data",
        },
        ParameterInfo {
            name: "draws",
            default: "200",
            values: "1 to 65536",
            doc: "draws of noise, or random subsets",
        },
        ParameterInfo {
            name: "scaled",
            default: "off",
            values: "on, off",
            doc: "multiply the map by the factor that fits best, which takes its scale out",
        },
        OperatorChoice::PARAMETER,
        ScoreForm::LOGIT,
    ],
};

choices! {
    /// What is done to the sample.
    Perturbation {
        /// What suits the attribution.
        #[default]
        Auto = "auto",
        /// Noise on every feature.
        Gaussian = "gaussian",
        /// Features are taken out.
        Mask = "mask",
    }
}

choices! {
    /// What the values of a map mean.
    Attribution {
        /// Effects against the baseline.
        #[default]
        Global = "global",
        /// Slopes.
        Local = "local",
    }
}

/// Mean squared error of the map as a forecast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Infidelity {
    perturbation: Perturbation,
    attribution: Attribution,
    sd: f64,
    draws: usize,
    scaled: bool,
    operator: OperatorChoice,
    score: ScoreForm,
}

impl Default for Infidelity {
    fn default() -> Self {
        Self {
            perturbation: Perturbation::Auto,
            attribution: Attribution::Global,
            sd: 0.2,
            draws: 200,
            scaled: false,
            operator: OperatorChoice::Run,
            score: ScoreForm::Logit,
        }
    }
}

fn positive(key: &str, value: &str) -> exegesis_catalogue::Result<f64> {
    number(key, value, |v| v > 0.0, "above 0")
}

options!(Infidelity, INFO,
    "perturbation": perturbation, Perturbation::parse, |p: &Perturbation| p.name().to_string();
    "attribution": attribution, Attribution::parse, |a: &Attribution| a.name().to_string();
    "sd": sd, positive, text;
    "draws": draws, some, text;
    "scaled": scaled, on_off, switch;
    "operator": operator, OperatorChoice::parse, operator_text;
    "score": score, ScoreForm::parse, score_text;
);

/// The feature of each cell, one explained input after the other.
fn owners(features: &Features) -> Vec<u32> {
    let of_inputs = (0..).map(|input| features.players.of_cells(input)).take_while(|cells| !cells.is_empty());
    of_inputs.flatten().copied().collect()
}

/// Cells nearer to the baseline than this share of the range have no slope that an effect could be divided into.
const NEAR: f64 = 1e-3;

/// Per feature the slope that its value stands for, and per cell whether it is moved.
fn slopes(
    attribution: Attribution,
    (features, phi): (&Features, &[f64]),
    cells: &[f64],
    (baseline, ranges): (&[f64], &[f64]),
) -> (Vec<f64>, Vec<bool>) {
    let owners = owners(features);
    let has_owner = |cell: usize| owners.get(cell).is_some_and(|p| *p != FROZEN);
    if attribution == Attribution::Local {
        return (phi.to_vec(), (0..cells.len()).map(has_owner).collect());
    }
    let gap = |cell: usize| cells[cell] - baseline.get(cell).copied().unwrap_or(0.0);
    let range = |cell: usize| ranges.get(cell).copied().unwrap_or(1.0);
    let moves: Vec<bool> =
        (0..cells.len()).map(|cell| has_owner(cell) && gap(cell).abs() > NEAR * range(cell)).collect();
    // A feature's effect is split evenly over its moved cells, each of which is moved alike: the mean of 1 / (x - b).
    let mut inverse = vec![(0.0, 0usize); phi.len()];
    for cell in (0..cells.len()).filter(|cell| moves[*cell]) {
        let sum = &mut inverse[owners[cell] as usize];
        sum.0 += 1.0 / gap(cell);
        sum.1 += 1;
    }
    let slope = |(phi, (sum, count)): (&f64, &(f64, usize))| phi * sum / (*count).max(1) as f64;
    (phi.iter().zip(&inverse).map(slope).collect(), moves)
}

impl Infidelity {
    fn is_mask(&self) -> bool {
        match self.perturbation {
            Perturbation::Auto => self.attribution == Attribution::Global,
            Perturbation::Gaussian => false,
            Perturbation::Mask => true,
        }
    }

    fn keep(&self, view: &View<'_>) -> Vec<Coalition> {
        let n = view.features.count();
        let size = if n > 10_000 { 224 } else { (n / 5).max(1) };
        subsets(view, size, self.draws).iter().map(Coalition::complement).collect()
    }

    /// Forecasts of the map, and what the score did.
    fn pairs(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<(Vec<f64>, Vec<f64>)> {
        let operator = self.operator.of(view.operator);
        let full = bench.clean(operator)?.score(self.score);
        let phi = &view.map.values;
        if self.is_mask() {
            let keep = self.keep(view);
            let answers = bench.ask(operator, &keep)?;
            let falls = answers.iter().map(|a| full - a.score(self.score)).collect();
            return Ok((keep.iter().map(|set| sum_of(phi, &set.complement())).collect(), falls));
        }
        let cells = bench.subject().cells()?;
        let baseline = match self.attribution {
            Attribution::Global => bench.subject().baseline_cells()?,
            Attribution::Local => vec![],
        };
        let ranges = bench.subject().ranges()?;
        let (slopes, moves) = slopes(self.attribution, (view.features, phi), &cells, (&baseline, &ranges));
        // All cells of a feature are moved alike, by the widest of their ranges.
        let mut widths = vec![0.0f64; slopes.len()];
        for (cell, owner) in owners(view.features).iter().enumerate().filter(|(_, o)| **o != FROZEN) {
            let width = &mut widths[*owner as usize];
            *width = width.max(ranges.get(cell).copied().unwrap_or(0.0));
        }
        let owners = owners(view.features);
        let (mut forecasts, mut falls) = (vec![], vec![]);
        let numbers: Vec<u64> = (0..self.draws as u64).collect();
        // Deltas of a large picture are only made as they are needed.
        for part in numbers.chunks(32) {
            let mut deltas = vec![];
            for draw in part {
                let mut random = Stream::new(view.key, "gaussian moves", *draw);
                let noise: Vec<f64> = widths.iter().map(|width| self.sd * width * random.normal()).collect();
                forecasts.push(noise.iter().zip(&slopes).map(|(i, s)| i * s).sum());
                let delta = |cell: usize| if moves[cell] { -noise[owners[cell] as usize] } else { 0.0 };
                deltas.push((0..cells.len()).map(delta).collect::<Vec<f64>>());
            }
            falls.extend(bench.moved(&deltas)?.iter().map(|a| full - a.score(self.score)));
        }
        Ok((forecasts, falls))
    }
}

impl Metric for Infidelity {
    fn info(&self) -> &'static MetricInfo {
        &INFO
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn questions(&self, view: &View<'_>) -> Vec<Question> {
        let mut keep = vec![Coalition::full(view.features.count())];
        if self.is_mask() {
            keep.extend(self.keep(view));
        }
        questions(self.operator.of(view.operator), keep).collect()
    }

    fn other_rows(&self, _view: &View<'_>) -> usize {
        if self.is_mask() { 0 } else { self.draws }
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let (mut forecasts, falls) = self.pairs(view, bench)?;
        let product = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let square = product(&forecasts, &forecasts);
        let factor = if square > 0.0 { product(&forecasts, &falls) / square } else { 0.0 };
        if self.scaled {
            forecasts.iter_mut().for_each(|v| *v *= factor);
        }
        let errors = forecasts.iter().zip(&falls).map(|(x, y)| (x - y).powi(2));
        Ok(Outcome::of(errors.sum::<f64>() / falls.len().max(1) as f64).with("best_factor", factor))
    }
}
