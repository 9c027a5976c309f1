//! Who is first, and do metrics agree about it.

use exegesis_metrics::statistics::{
    DISAGREEMENT, DRAWS, Difference, Standing, flips, holm, kendall_tau, kendall_w, mid_ranks, paired,
    probability_first, standings,
};
use exegesis_metrics::{Family, Modality};
use serde::{Deserialize, Serialize};

use super::super::record::{Comparison, MetricSummary};
use super::{contenders, oriented};

/// Ranks, and how far metrics agree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// `ranks[metric][method]` by the mean over the samples that all ranked methods have a value for; 1 is best. A method that
    /// has none for half of the samples or more is not ranked.
    pub ranks: Vec<Vec<Option<f64>>>,
    /// Per method: ranks inside families and over them.
    pub standings: Vec<Standing>,
    /// Per method: share of resampled data sets in which its rank over families is the best; none for controls.
    pub first: Vec<Option<f64>>,
    /// Kendall's W of the metrics of each family.
    pub concordance: Vec<(Family, Option<f64>)>,
    /// Kendall's W of the orders of families; with one family that of its metrics.
    pub overall: Option<f64>,
    /// Kendall's tau-b of the orders of each two metrics.
    pub agreement: Vec<Vec<Option<f64>>>,
    /// Differences of each two methods by each metric.
    pub pairs: Vec<Pair>,
    /// Orders that turn round.
    pub flips: Vec<Flip>,
}

/// The difference of two methods by one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Number of the metric.
    pub metric: usize,
    /// Number of the first method.
    pub first: usize,
    /// Number of the second.
    pub second: usize,
    /// First minus second, oriented: above 0 the first is better.
    pub difference: Difference,
    /// Its p-value corrected over all pairs of the metric (Holm).
    pub corrected: f64,
}

/// Two methods that change places.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flip {
    /// Number of the method that is better there ...
    pub first: usize,
    /// ... than this one, and worse elsewhere.
    pub second: usize,
    /// Where the first is better: a metric under one operator, or a family.
    pub here: String,
    /// Where the second is better.
    pub there: String,
    /// True if only what stands in for what is taken out differs.
    pub is_of_operators: bool,
}

impl Order {
    /// Of a comparison.
    pub(super) fn of(record: &Comparison) -> Self {
        let ranked = contenders(&record.methods);
        let metrics: Vec<usize> = (0..record.metrics.len()).collect();
        // What is not ranked keeps its place in the lists, without a value.
        let common: Vec<Vec<Vec<Option<f64>>>> =
            metrics.iter().map(|m| common(record, *m, &ranked)).collect();
        let mean = |own: &Vec<Option<f64>>| {
            let known: Vec<f64> = own.iter().flatten().copied().collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        };
        let scores: Vec<Vec<Option<f64>>> = common.iter().map(|of| of.iter().map(mean).collect()).collect();
        let families: Vec<Family> = record.metrics.iter().map(|m| m.family).collect();
        let standings = standings(&scores, &families);
        let mut present: Vec<Family> = families.clone();
        present.sort();
        present.dedup();
        let of_family = |family: Family| -> Vec<Vec<Option<f64>>> {
            let own = scores.iter().zip(&families).filter(|(_, f)| **f == family);
            own.map(|(of, _)| of.clone()).filter(|of| of.iter().flatten().count() > 0).collect()
        };
        let concordance: Vec<(Family, Option<f64>)> =
            present.iter().map(|family| (*family, kendall_w(&ranked_by_all(of_family(*family))))).collect();
        let medians: Vec<(Family, Vec<Option<f64>>)> =
            present.iter().map(|family| (*family, medians(&standings, *family))).collect();
        let with_order: Vec<Vec<Option<f64>>> =
            medians.iter().map(|(_, of)| of.clone()).filter(|of| of.iter().flatten().count() > 0).collect();
        let overall = match with_order.len() {
            0 | 1 => concordance.iter().find_map(|(_, w)| *w),
            _ => kendall_w(&ranked_by_all(with_order)),
        };
        let first = probability_first(&common, &families, DRAWS, record.seed);
        let tau = |a: &usize| metrics.iter().map(|b| kendall_tau(&scores[*a], &scores[*b])).collect();
        let mut turned = operator_flips(record, &scores);
        for (at, (here, a)) in medians.iter().enumerate() {
            for (there, b) in &medians[at + 1..] {
                turned.extend(flips(a, b).into_iter().map(|(first, second)| Flip {
                    first,
                    second,
                    here: here.name().to_string(),
                    there: there.name().to_string(),
                    is_of_operators: false,
                }));
            }
        }
        Self {
            ranks: scores.iter().map(|of| mid_ranks(of)).collect(),
            first: (0..record.methods.len())
                .map(|m| {
                    let is_ranked = standings.get(m).is_some_and(|s| s.overall.is_some());
                    first.get(m).copied().filter(|_| is_ranked)
                })
                .collect(),
            standings,
            concordance,
            overall,
            agreement: metrics.iter().map(tau).collect(),
            pairs: pairs(record, &ranked),
            flips: turned,
        }
    }

    /// True if families put methods into orders that have hardly anything in common.
    pub fn is_disputed(&self) -> bool {
        self.overall.is_some_and(|w| w < DISAGREEMENT)
    }
}

/// `[method][sample]`, oriented: of ranked methods the values on samples that all of them have one for, else none.
fn common(record: &Comparison, metric: usize, ranked: &[usize]) -> Vec<Vec<Option<f64>>> {
    let samples = record.samples.len();
    let known = |method: usize| oriented(record, method, metric);
    let counted: Vec<usize> =
        ranked.iter().copied().filter(|m| 2 * known(*m).iter().flatten().count() > samples).collect();
    let all: Vec<Vec<Option<f64>>> = counted.iter().map(|m| known(*m)).collect();
    let is_common = |sample: usize| all.iter().all(|of| of.get(sample).copied().flatten().is_some());
    let keep: Vec<bool> = (0..samples).map(is_common).collect();
    let of_method = |method: usize| match counted.iter().position(|m| *m == method) {
        Some(at) => all[at].iter().zip(&keep).map(|(v, keep)| v.filter(|_| *keep)).collect(),
        None => vec![None; samples],
    };
    (0..record.methods.len()).map(of_method).collect()
}

/// Orders of the methods that have a score in most of them: a method that one metric can't judge must not empty the table.
fn ranked_by_all(orders: Vec<Vec<Option<f64>>>) -> Vec<Vec<Option<f64>>> {
    let widest = orders.iter().map(|of| of.iter().flatten().count()).max().unwrap_or(0);
    orders.into_iter().filter(|of| 2 * of.iter().flatten().count() > widest).collect()
}

/// Oriented median ranks of a family.
fn medians(standings: &[Standing], family: Family) -> Vec<Option<f64>> {
    let own = |s: &Standing| s.families.iter().find(|(f, _)| *f == family).map(|(_, spread)| -spread.median);
    standings.iter().map(own).collect()
}

fn pairs(record: &Comparison, ranked: &[usize]) -> Vec<Pair> {
    let mut all = vec![];
    for metric in 0..record.metrics.len() {
        let mut own: Vec<Pair> = vec![];
        for (at, first) in ranked.iter().enumerate() {
            for second in &ranked[at + 1..] {
                let difference = paired(
                    &oriented(record, *first, metric),
                    &oriented(record, *second, metric),
                    record.seed,
                );
                own.extend(difference.map(|difference| Pair {
                    metric,
                    first: *first,
                    second: *second,
                    difference,
                    corrected: difference.p,
                }));
            }
        }
        let p: Vec<f64> = own.iter().map(|pair| pair.difference.p).collect();
        for (pair, corrected) in own.iter_mut().zip(holm(&p)) {
            pair.corrected = corrected;
        }
        all.extend(own);
    }
    all
}

/// Orders that turn round when only the operator of a metric changes.
fn operator_flips(record: &Comparison, scores: &[Vec<Option<f64>>]) -> Vec<Flip> {
    let mut all = vec![];
    for (a, metric) in record.metrics.iter().enumerate() {
        for (b, other) in record.metrics.iter().enumerate().skip(a + 1) {
            let is_same = metric.name == other.name && without_operator(metric) == without_operator(other);
            let (Some(here), Some(there)) = (operator_of(metric, record), operator_of(other, record)) else {
                continue;
            };
            if !is_same || here == there {
                continue;
            }
            all.extend(flips(&scores[a], &scores[b]).into_iter().map(|(first, second)| Flip {
                first,
                second,
                here: format!("{} ({here})", metric.name),
                there: format!("{} ({there})", metric.name),
                is_of_operators: true,
            }));
        }
    }
    all
}

fn without_operator(metric: &MetricSummary) -> Vec<&(String, String)> {
    metric.parameters.iter().filter(|(key, _)| key != "operator").collect()
}

/// The operator that a metric used, of those that have one.
pub(super) fn operator_of<'a>(metric: &'a MetricSummary, record: &'a Comparison) -> Option<&'a str> {
    let own = metric.parameters.iter().find(|(key, _)| key == "operator").map(|(_, value)| value.as_str())?;
    Some(match own {
        // Pictures are uncovered from a blur of themselves.
        "auto" if record.data.modality == Modality::Image => "blur",
        "auto" | "run" => &record.operator,
        own => own,
    })
}
