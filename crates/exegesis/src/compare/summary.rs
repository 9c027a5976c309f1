//! What a comparison says: means with intervals, ranks, differences, agreement, and words for all of it.
//!
//! * `order`: who is first, and do metrics agree.
//! * `curves`: mean curves with bands.
//! * `words`: the verdict and the warnings, in sentences.
//!
//! Everything is computed from the record alone, so that a saved comparison can be summarised again.

mod curves;
mod order;
mod words;

use exegesis_metrics::Family;
use exegesis_metrics::statistics::{Difference, Estimate, Standing, estimate, paired};
use serde::{Deserialize, Serialize};

use super::record::{Comparison, MethodSummary};

pub use curves::MeanCurve;
pub use order::{Flip, Order, Pair};

/// Largest p-value that counts as a difference.
pub const SIGNIFICANT: f64 = 0.05;

/// What a comparison says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The answer in sentences.
    pub verdict: Vec<String>,
    /// What the reader must know before trusting it.
    pub warnings: Vec<String>,
    /// `cells[method][metric]`.
    pub cells: Vec<Vec<Cell>>,
    /// Ranks of methods; controls have none.
    pub order: Order,
    /// Mean curves with bands.
    pub curves: Vec<MeanCurve>,
}

/// What one metric says of one method.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Over the samples that have a value; none if no sample has one.
    pub estimate: Option<Estimate>,
    /// Samples without a value, by reason.
    pub excluded: Vec<(String, usize)>,
    /// Rank among methods, 1 is best.
    pub rank: Option<f64>,
    /// The method minus the control `random`, oriented: above 0 is better. Of faithfulness and localisation only, where a map
    /// that knows nothing must lose.
    pub against_random: Option<Difference>,
}

impl Cell {
    /// False if the method is not better than random numbers (p < .05); `None` where that is not asked.
    pub fn beats_random(&self) -> Option<bool> {
        self.against_random.map(|d| d.mean > 0.0 && d.p < SIGNIFICANT)
    }
}

impl Summary {
    /// Of a comparison.
    pub fn of(record: &Comparison) -> Self {
        let order = Order::of(record);
        let random = record.methods.iter().position(|m| m.is_control && m.name == "random");
        let mut cells: Vec<Vec<Cell>> = vec![];
        for (method, entry) in record.methods.iter().enumerate() {
            let of_metric = |metric: usize| Cell {
                estimate: estimate(&values(record, method, metric), record.seed),
                excluded: excluded(record, method, metric),
                rank: order.ranks.get(metric).and_then(|ranks| ranks.get(method)).copied().flatten(),
                against_random: random.filter(|_| !entry.is_control).and_then(|random| {
                    let family = record.metrics[metric].family;
                    matches!(family, Family::Faithfulness | Family::Localisation)
                        .then(|| {
                            let own = oriented(record, method, metric);
                            paired(&own, &oriented(record, random, metric), record.seed)
                        })
                        .flatten()
                }),
            };
            cells.push((0..record.metrics.len()).map(of_metric).collect());
        }
        let mut summary =
            Self { verdict: vec![], warnings: vec![], cells, order, curves: curves::mean_curves(record) };
        summary.verdict = words::verdict(record, &summary);
        summary.warnings = words::warnings(record, &summary);
        summary
    }

    /// The standing of a method, unless it has no rank.
    pub fn standing(&self, method: usize) -> Option<&Standing> {
        self.order.standings.get(method).filter(|standing| standing.overall.is_some())
    }
}

/// What readers call metric `index`: its name, with the options in which it differs from the first one of that name.
pub(super) fn metric_label(record: &Comparison, index: usize) -> String {
    let all = record.metrics.iter().map(|m| (m.name.as_str(), m.parameters.as_slice()));
    label(&record.metrics[index].key, all, index)
}

/// The same of a method.
pub(super) fn method_label(record: &Comparison, index: usize) -> String {
    let all = record.methods.iter().map(|m| (m.name.as_str(), m.parameters.as_slice()));
    label(&record.methods[index].key, all, index)
}

fn label<'a>(
    key: &str,
    mut all: impl Iterator<Item = (&'a str, &'a [(String, String)])> + Clone,
    index: usize,
) -> String {
    let Some((name, own)) = all.clone().nth(index) else { return key.to_string() };
    let first = all.find(|(other, _)| *other == name).map(|(_, parameters)| parameters).unwrap_or_default();
    let other = own.iter().filter(|pair| !first.contains(pair));
    let options: Vec<String> = other.map(|(key, value)| format!("{key}={value}")).collect();
    match options.is_empty() || !key.contains('#') {
        true => key.to_string(),
        false => format!("{name} {}", options.join(" ")),
    }
}

/// Numbers of the methods that are ranked: all but controls.
fn contenders(methods: &[MethodSummary]) -> Vec<usize> {
    (0..methods.len()).filter(|m| !methods[*m].is_control).collect()
}

/// The values of one method and metric, sample by sample.
fn values(record: &Comparison, method: usize, metric: usize) -> Vec<Option<f64>> {
    let of = record.values.get(method).and_then(|of| of.get(metric));
    of.map(|outcomes| outcomes.iter().map(|o| o.value).collect()).unwrap_or_default()
}

/// The same with the sign that makes higher better.
fn oriented(record: &Comparison, method: usize, metric: usize) -> Vec<Option<f64>> {
    let direction = record.metrics[metric].direction;
    values(record, method, metric).into_iter().map(|v| v.map(|v| direction.oriented(v))).collect()
}

fn excluded(record: &Comparison, method: usize, metric: usize) -> Vec<(String, usize)> {
    let mut reasons: Vec<(String, usize)> = vec![];
    let outcomes = record.values.get(method).and_then(|of| of.get(metric)).map(Vec::as_slice);
    for outcome in outcomes.unwrap_or_default().iter().filter(|o| o.value.is_none()) {
        let reason = outcome.reason.clone().unwrap_or_else(|| "undefined".to_string());
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => reasons.push((reason, 1)),
        }
    }
    reasons
}
