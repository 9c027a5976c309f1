//! C3, effective complexity.

use exegesis_catalogue::{Options, ParameterInfo, Result as Read, choices, number, unknown_value};

use crate::reading::{auto_text, or_auto};
use crate::{
    Bench, Direction, Family, Metric, MetricInfo, OperatorChoice, Outcome, Result, ScoreForm, View, order,
};
use exegesis_perturb::Coalition;

choices! {
    /// What makes a feature count.
    Counted {
        /// The fewest features that hold most of the sum of absolute values.
        #[default]
        Mass = "mass",
        /// Absolute values above a threshold.
        Count = "count",
        /// The fewest features that the model needs to say nearly the same.
        Output = "output",
    }
}

/// Share of the largest value below which a value is nothing.
const NOTHING: f64 = 1e-5;

/// Catalogue entry.
pub(super) const INFO: MetricInfo = MetricInfo {
    name: "effective-complexity",
    id: "C3",
    version: 1,
    family: Family::Complexity,
    direction: Direction::Down,
    summary: "How many features matter: those that hold most of the sum of absolute values, those above a threshold, or those \
              that the model needs to say nearly the same.",
    formula: "mass: least k with sum of the k largest |phi| >= share * sum |phi|; count: number of |phi_i| > threshold; output: \
              least k with |f(x) - f(x with the top k only)| <= (1 - share) |f(x) - f_b|",
    cost: "none; output: about log2 n",
    modalities: MetricInfo::ALL,
    misleads: "a map of one pixel is perfect whether right or wrong; the value depends on the number of features.",
    check: "(4, 3, 2, 1): mass 3; count above 1.5 3",
    citation: "Nguyen and Martinez, 2020 (effective complexity)",
    parameters: &[
        ParameterInfo {
            name: "by",
            default: "mass",
            values: "mass, count, output",
            doc: "what makes a feature count",
        },
        ParameterInfo {
            name: "share",
            default: "0.9; output 0.95",
            values: "above 0, up to 1",
            doc: "mass: share of the sum; output: share of the difference to nothing",
        },
        ParameterInfo {
            name: "threshold",
            default: "1e-5 of the largest value",
            values: "0 or more",
            doc: "count: absolute values above it count",
        },
        OperatorChoice::PARAMETER,
        ScoreForm::LOGIT,
    ],
};

/// Number of features that matter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EffectiveComplexity {
    /// What makes a feature count.
    pub by: Counted,
    /// Share of the sum, or of the difference to nothing.
    pub share: Option<f64>,
    /// Absolute values above it count; `None`: a small share of the largest.
    pub threshold: Option<f64>,
    /// What stands in for features that are taken out.
    pub operator: OperatorChoice,
    /// The form of the score.
    pub score: ScoreForm,
}

impl Default for EffectiveComplexity {
    fn default() -> Self {
        Self {
            by: Counted::Mass,
            share: None,
            threshold: None,
            operator: OperatorChoice::Run,
            score: ScoreForm::Logit,
        }
    }
}

impl Options for EffectiveComplexity {
    const PARAMETERS: &'static [ParameterInfo] = INFO.parameters;

    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        match key {
            "by" => self.by = Counted::parse(key, value)?,
            "share" => {
                self.share = Some(number(key, value, |s| s > 0.0 && s <= 1.0, "above 0, up to 1")?);
            }
            "threshold" => {
                self.threshold = or_auto(value, || number(key, value, |t| t >= 0.0, "0 or more"))?;
            }
            "operator" => self.operator = OperatorChoice::parse(key, value)?,
            "score" => self.score = ScoreForm::parse(key, value)?,
            _ => return Err(unknown_value(key, value, &[])),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![
            ("by", self.by.name().to_string()),
            ("share", self.share().to_string()),
            ("threshold", auto_text(&self.threshold)),
            ("operator", self.operator.name().to_string()),
            ("score", self.score.name().to_string()),
        ]
    }
}

impl Metric for EffectiveComplexity {
    fn info(&self) -> &'static MetricInfo {
        &INFO
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn other_rows(&self, view: &View<'_>) -> usize {
        match self.by {
            // The sample, nothing, and a search by halves.
            Counted::Output => 3 + view.features.count().max(1).ilog2() as usize,
            Counted::Mass | Counted::Count => 0,
        }
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let sizes: Vec<f64> = view.map.values.iter().map(|v| v.abs()).collect();
        let largest = sizes.iter().copied().fold(0.0, f64::max);
        if largest == 0.0 {
            return Ok(Outcome::undefined("the map is all zeros"));
        }
        let n = sizes.len() as f64;
        let count = match self.by {
            Counted::Mass => Some(mass(sizes, self.share())),
            Counted::Count => {
                let threshold = self.threshold.unwrap_or(NOTHING * largest);
                Some(sizes.iter().filter(|v| **v > threshold).count())
            }
            Counted::Output => self.needed(view, bench)?,
        };
        Ok(match count {
            Some(count) => Outcome::of(count as f64).with("share of features", count as f64 / n),
            None => Outcome::undefined("the sample scores as nothing does"),
        })
    }
}

/// Fewest of the largest values that hold `share` of the sum.
fn mass(mut sizes: Vec<f64>, share: f64) -> usize {
    sizes.sort_by(|a, b| b.total_cmp(a));
    // Sums in one order, so that all of them is exactly the sum.
    let sum: f64 = sizes.iter().sum();
    let mut held = 0.0;
    let enough = sizes.iter().position(|v| {
        held += v;
        held >= share * sum
    });
    enough.map_or(sizes.len(), |at| at + 1)
}

impl EffectiveComplexity {
    fn share(&self) -> f64 {
        self.share.unwrap_or(if self.by == Counted::Output { 0.95 } else { 0.9 })
    }

    /// Fewest of the first features that are enough, found by halving: exact where the score rises with them.
    fn needed(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Option<usize>> {
        let operator = self.operator.of(view.operator);
        let full = bench.clean(operator)?.score(self.score);
        let empty = bench.empty(operator)?.score(self.score);
        if (full - empty).abs() < 1e-12 {
            return Ok(None);
        }
        let near = (1.0 - self.share()) * (full - empty).abs();
        let order = order::descending(&view.map.values, view.key);
        let n = order.len();
        let (mut too_few, mut enough) = (0, n);
        while enough - too_few > 1 {
            let middle = too_few.midpoint(enough);
            let mut keep = Coalition::empty(n);
            order[..middle].iter().for_each(|f| keep.insert(*f));
            let score = bench.ask(operator, &[keep])?.first().map_or(empty, |a| a.score(self.score));
            if (full - score).abs() <= near { enough = middle } else { too_few = middle }
        }
        Ok(Some(enough))
    }
}
