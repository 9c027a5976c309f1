//! F4, F5 and F13: curves where regions are taken out, the most relevant first.

use exegesis_catalogue::{Options, ParameterInfo, number};
use exegesis_perturb::Coalition;

use super::estimate::SIDE;
use super::grid::{questions, trapezoid};
use super::groups::Groups;
use crate::order::descending;
use crate::reading::{Chosen, auto_text, operator_text, options, score_text, some, some_or_auto, text};
use crate::{
    Bench, Direction, Family, Metric, MetricInfo, Modality, Operator, OperatorChoice, Outcome, Question,
    Result, ScoreForm, View,
};

/// Catalogue entry of region perturbation.
pub(super) const REGIONS: MetricInfo = MetricInfo {
    name: "region-perturbation",
    id: "F4",
    version: 1,
    family: Family::Faithfulness,
    direction: Direction::Up,
    summary: "`morf` with squares of a picture (windows of a series) that are replaced by noise, up to 100 of them.",
    formula: "1/(L+1) sum_k (q(x) - q(x without the top k regions)), regions by mean phi",
    cost: "400: 100 steps of 4 draws",
    modalities: &[Modality::Image, Modality::Series, Modality::Table],
    misleads: "the size of the regions dominates; of large pictures only the first 100 regions are seen.",
    check: "linear model 4, 3, 2, 1 with regions of one feature and zeros: as `morf`, 6.0",
    citation: "Samek et al., TNNLS 2017",
    parameters: &[
        SIDE,
        ParameterInfo {
            name: "steps",
            default: "100",
            values: "1 to 65536",
            doc: "most regions that are taken out",
        },
        Chosen::parameter("auto: uniform, of tables run"),
        ScoreForm::PROBABILITY,
    ],
};

/// Catalogue entry of IROF.
pub(super) const IROF: MetricInfo = MetricInfo {
    name: "irof",
    id: "F5",
    summary: "Segments of similar colour (windows of a series) are replaced by the mean, the most relevant first. The area over \
              the curve of the remaining score says how soon it falls.",
    formula: "1 - trapz_k q(x without the top k segments) / q(x), segments by mean phi",
    cost: "one per segment, about 100",
    modalities: &[Modality::Image, Modality::Series, Modality::Table],
    misleads: "the ratio is unstable for small scores, so samples below .05 are left out; depends on the segments.",
    check: "linear model 4, 3, 2, 1, one feature per segment: .625",
    citation: "Rieger, Hansen 2020 (IROF)",
    parameters: &[
        ParameterInfo {
            name: "segments",
            default: "100",
            values: "1 to 65536",
            doc: "segments that are asked for",
        },
        Chosen::parameter("auto: mean, of tables run"),
        ParameterInfo {
            name: "least",
            default: "0.05",
            values: "0 or more",
            doc: "samples with a smaller score are left out",
        },
        ScoreForm::PROBABILITY,
    ],
    ..REGIONS
};

/// Catalogue entry of selectivity.
pub(super) const SELECTIVITY: MetricInfo = MetricInfo {
    name: "selectivity",
    id: "F13",
    direction: Direction::Down,
    summary: "Patches are taken out, the most relevant first; the area under the score, divided by that of the sample, says how \
              soon it falls.",
    formula: "trapz_k q(x without the top k patches) / q(x)",
    cost: "one per patch (784 at 224)",
    modalities: MetricInfo::ALL,
    misleads: "is `deletion` in larger steps, with its faults; the ratio is unstable for small scores.",
    check: "linear model 4, 3, 2, 1: .375",
    citation: "Montavon, Samek, Müller, Digital Signal Processing 2018",
    parameters: &[
        ParameterInfo {
            name: "side",
            default: "8",
            values: "1 to 65536",
            doc: "side of the squares of a picture, or steps of a window of a series; other features go one by one",
        },
        OperatorChoice::PARAMETER,
        ScoreForm::PROBABILITY,
    ],
    ..REGIONS
};

/// The groups by descending mean of the map; of edges that cut regions the mean is fairer than the sum.
fn ranked(view: &View<'_>, groups: &Groups) -> Vec<usize> {
    descending(&groups.means(&view.map.values), view.key)
}

/// The scores where more and more is taken out.
fn curve(
    bench: &mut Bench<'_>,
    operator: Operator,
    score: ScoreForm,
    keep: &[Coalition],
) -> Result<(Vec<f64>, Vec<f64>)> {
    let scores = bench.ask(operator, keep)?.iter().map(|a| a.score(score)).collect();
    let share = |c: &Coalition| 1.0 - c.size() as f64 / c.players().max(1) as f64;
    Ok((keep.iter().map(share).collect(), scores))
}

/// AOPC over regions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegionPerturbation {
    side: Option<usize>,
    steps: usize,
    operator: Chosen,
    score: ScoreForm,
}

impl Default for RegionPerturbation {
    fn default() -> Self {
        Self { side: None, steps: 100, operator: Chosen::default(), score: ScoreForm::Probability }
    }
}

options!(RegionPerturbation, REGIONS,
    "side": side, some_or_auto, auto_text;
    "steps": steps, some, text;
    "operator": operator, Chosen::read, Chosen::text;
    "score": score, ScoreForm::parse, score_text;
);

impl RegionPerturbation {
    fn operator(&self, view: &View<'_>) -> Operator {
        self.operator.of(view, |modality| (modality != Modality::Table).then_some(Operator::Uniform))
    }

    fn keep(&self, view: &View<'_>) -> Vec<Coalition> {
        let groups = Groups::patches(view, self.side);
        let mut order = ranked(view, &groups);
        order.truncate(self.steps);
        groups.stepwise_without(&order)
    }
}

impl Metric for RegionPerturbation {
    fn info(&self) -> &'static MetricInfo {
        &REGIONS
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn questions(&self, view: &View<'_>) -> Vec<Question> {
        questions(self.operator(view), self.keep(view)).collect()
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let (at, scores) = curve(bench, self.operator(view), self.score, &self.keep(view))?;
        let first = scores.first().copied().unwrap_or(0.0);
        let fall = scores.iter().map(|q| first - q).sum::<f64>() / scores.len().max(1) as f64;
        Ok(Outcome::of(fall).with_curve("region-perturbation", at, scores))
    }
}

/// Area over the curve of segments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Irof {
    segments: usize,
    operator: Chosen,
    least: f64,
    score: ScoreForm,
}

impl Default for Irof {
    fn default() -> Self {
        Self { segments: 100, operator: Chosen::default(), least: 0.05, score: ScoreForm::Probability }
    }
}

fn least(key: &str, value: &str) -> exegesis_catalogue::Result<f64> {
    number(key, value, |v| v >= 0.0, "of 0 or more")
}

options!(Irof, IROF,
    "segments": segments, some, text;
    "operator": operator, Chosen::read, Chosen::text;
    "least": least, least, text;
    "score": score, ScoreForm::parse, score_text;
);

impl Metric for Irof {
    fn info(&self) -> &'static MetricInfo {
        &IROF
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    // Which segments there are, only the subject knows: about as many as are asked for.
    fn other_rows(&self, view: &View<'_>) -> usize {
        (2 * self.segments).min(view.features.count()) + 1
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let operator =
            self.operator.of(view, |modality| (modality != Modality::Table).then_some(Operator::Mean));
        let groups = match view.features.modality {
            Modality::Table => Groups::patches(view, None),
            _ => Groups::new(&bench.subject().segments(self.segments)?),
        };
        let keep = groups.stepwise_without(&ranked(view, &groups));
        let full = bench.clean(operator)?.score(self.score);
        if full < self.least || full <= 0.0 {
            let reason = "the score of the sample is too small to divide by";
            return Ok(Outcome::undefined(reason).with("full", full));
        }
        let (at, mut scores) = curve(bench, operator, self.score, &keep)?;
        scores.iter_mut().for_each(|q| *q /= full);
        Ok(Outcome::of(1.0 - trapezoid(&scores))
            .with("segments", groups.count() as f64)
            .with_curve("irof", at, scores))
    }
}

/// Area under the curve of patches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Selectivity {
    side: usize,
    operator: OperatorChoice,
    score: ScoreForm,
}

impl Default for Selectivity {
    fn default() -> Self {
        Self { side: 8, operator: OperatorChoice::Run, score: ScoreForm::Probability }
    }
}

options!(Selectivity, SELECTIVITY,
    "side": side, some, text;
    "operator": operator, OperatorChoice::parse, operator_text;
    "score": score, ScoreForm::parse, score_text;
);

impl Selectivity {
    fn keep(&self, view: &View<'_>) -> Vec<Coalition> {
        let groups = Groups::patches(view, Some(self.side));
        groups.stepwise_without(&descending(&groups.sums(&view.map.values), view.key))
    }
}

impl Metric for Selectivity {
    fn info(&self) -> &'static MetricInfo {
        &SELECTIVITY
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn questions(&self, view: &View<'_>) -> Vec<Question> {
        questions(self.operator.of(view.operator), self.keep(view)).collect()
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let (at, mut scores) = curve(bench, self.operator.of(view.operator), self.score, &self.keep(view))?;
        let full = scores.first().copied().unwrap_or(0.0);
        if full.abs() < 1e-12 {
            return Ok(Outcome::undefined("the score of the sample is 0"));
        }
        scores.iter_mut().for_each(|q| *q /= full);
        Ok(Outcome::of(trapezoid(&scores)).with_curve("selectivity", at, scores))
    }
}
