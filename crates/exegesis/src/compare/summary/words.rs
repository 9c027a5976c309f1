//! The verdict and the warnings, in sentences.

use exegesis_metrics::statistics::median;
use exegesis_metrics::{Family, Modality};

use super::super::record::Comparison;
use super::order::operator_of;
use super::{SIGNIFICANT, Summary, contenders, method_label, metric_label};

/// Chance of being first above which a winner is named without reservation.
const SURE: f64 = 0.95;
/// Samples below which no difference can be significant.
const FEW: usize = 6;
/// Similarity of maps before and after the weights were made random from which a map hardly depends on them.
const UNMOVED: f64 = 0.8;
/// Relative completeness gap that a method which claims completeness should not have.
const GAP: f64 = 0.05;

/// What came out.
pub(super) fn verdict(record: &Comparison, summary: &Summary) -> Vec<String> {
    let mut all = vec![];
    let name = |m: usize| method_label(record, m);
    let mut ranked: Vec<(usize, f64)> = contenders(&record.methods)
        .into_iter()
        .filter_map(|m| Some((m, summary.standing(m)?.overall?.median)))
        .collect();
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
    let order = &summary.order;
    match ranked.as_slice() {
        [] => all.push("No method has a rank: no metric has values for it on most samples.".to_string()),
        [(only, _)] => {
            all.push(format!("`{}` stands alone: there is nothing to rank it against.", name(*only)))
        }
        [(best, rank), rest @ ..] if !order.is_disputed() => {
            let level: Vec<String> = rest.iter().filter(|(_, r)| r == rank).map(|(m, _)| name(*m)).collect();
            let first = order.first.get(*best).copied().flatten().unwrap_or(0.0);
            let chance = format!("first in {} of resampled data sets", share(first));
            all.push(match (level.is_empty(), first >= SURE) {
                (true, true) => format!("`{}` comes first over all families of metrics, {chance}.", name(*best)),
                (true, false) => format!(
                    "`{}` comes first over all families of metrics, but these samples do not settle it: {chance}.",
                    name(*best)
                ),
                (false, _) => {
                    let others: Vec<String> = level.iter().map(|m| format!("`{m}`")).collect();
                    format!("`{}` and {} share the first place.", name(*best), others.join(", "))
                }
            });
        }
        _ => all.push(format!(
            "Metrics disagree; no overall order (Kendall's W {:.2}, below 0.3).",
            order.overall.unwrap_or(0.0)
        )),
    }
    if ranked.len() > 1 {
        all.extend(best_of_families(record, summary));
        let significant = order.pairs.iter().filter(|pair| pair.corrected < SIGNIFICANT).count();
        all.push(format!(
            "{significant} of {} differences between two methods by one metric are significant (p < .05 after correction).",
            order.pairs.len()
        ));
    }
    all
}

/// The best method of each family.
fn best_of_families(record: &Comparison, summary: &Summary) -> Vec<String> {
    let mut all = vec![];
    for (family, w) in &summary.order.concordance {
        let own = |m: usize| {
            let standing = summary.order.standings.get(m)?;
            standing.families.iter().find(|(f, _)| f == family).map(|(_, spread)| spread.median)
        };
        let medians: Vec<(usize, f64)> =
            contenders(&record.methods).into_iter().filter_map(|m| Some((m, own(m)?))).collect();
        let best = medians.iter().map(|(_, rank)| *rank).fold(f64::INFINITY, f64::min);
        let names: Vec<String> = medians
            .iter()
            .filter(|(_, rank)| *rank == best)
            .map(|(m, _)| format!("`{}`", method_label(record, *m)))
            .collect();
        if medians.len() < 2 {
            continue;
        }
        let agreement = match w {
            Some(w) if *w < exegesis_metrics::statistics::DISAGREEMENT => {
                format!("; its metrics disagree (W {w:.2})")
            }
            Some(w) => format!("; agreement of its metrics W {w:.2}"),
            None => String::new(),
        };
        all.push(match names.len() == medians.len() {
            true => format!("{}: all methods are level{agreement}.", capital(family.name())),
            false => format!("{}: best {}{agreement}.", capital(family.name()), names.join(", ")),
        });
    }
    all
}

/// What the reader must know.
pub(super) fn warnings(record: &Comparison, summary: &Summary) -> Vec<String> {
    let mut all = record.warnings.clone();
    let n = record.samples.len();
    if n < FEW {
        all.push(format!(
            "{n} sample(s) only: intervals are rough, and with fewer than {FEW} no difference can be significant"
        ));
    }
    let ranked = contenders(&record.methods).len();
    let pairs = (ranked * ranked.saturating_sub(1) / 2) as f64;
    // The least p-value of `n` samples, corrected over all pairs.
    let least = pairs * 0.5f64.powi(i32::try_from(n).unwrap_or(i32::MAX) - 1);
    if n >= FEW && least >= SIGNIFICANT {
        all.push(format!(
            "{n} samples are too few for any difference among {ranked} methods to be significant"
        ));
    }
    all.extend(not_better_than_random(record, summary));
    for (index, metric) in record.metrics.iter().enumerate() {
        let mean = |method: usize| summary.cells[method][index].estimate.map(|e| e.mean);
        let names = |is_meant: &dyn Fn(usize) -> bool| {
            let own = contenders(&record.methods).into_iter().filter(|m| is_meant(*m));
            own.map(|m| format!("`{}`", method_label(record, m))).collect::<Vec<_>>().join(", ")
        };
        match metric.id.as_str() {
            "N1" | "N2" => {
                let found = names(&|m| mean(m).is_some_and(|v| v >= UNMOVED));
                if !found.is_empty() {
                    all.push(format!(
                        "{found}: maps hardly change when the weights of the model are made random ({} of {UNMOVED} or more), so \
                         they say little about this model (or their zeros agree, as of maps that multiply by a black background)",
                        metric_label(record, index)
                    ));
                }
            }
            "X1" => {
                let found = names(&|m| relative_gap(record, m, index).is_some_and(|gap| gap > GAP));
                if !found.is_empty() {
                    all.push(format!(
                        "{found}: claims that its values add up to the score, but the median gap is more than {:.0} % of it",
                        100.0 * GAP
                    ));
                }
            }
            _ => {}
        }
        if let Some(reason) = &metric.left_out {
            all.push(format!("`{}` is left out: {reason}", metric_label(record, index)));
        }
    }
    let wrong = record
        .samples
        .iter()
        .filter(|s| s.truth.is_some() && s.prediction.is_some() && s.prediction != s.truth)
        .count();
    if wrong > 0 {
        all.push(format!("the model is wrong on {wrong} of {n} samples; their maps explain mistakes"));
    }
    all.extend(one_operator(record));
    let turned = summary.order.flips.iter().filter(|f| f.is_of_operators);
    let mut pairs: Vec<String> = turned
        .map(|f| {
            let name = |m: usize| method_label(record, m);
            format!("`{}` beats `{}` by {}, not by {}", name(f.first), name(f.second), f.here, f.there)
        })
        .collect();
    pairs.dedup();
    if !pairs.is_empty() {
        all.push(format!("the order depends on what stands in for what is taken out: {}", some(&pairs, 4)));
    }
    all.dedup();
    all
}

/// Methods that do not beat random numbers, with the metrics.
fn not_better_than_random(record: &Comparison, summary: &Summary) -> Vec<String> {
    let mut all = vec![];
    // Too few samples to beat anything: that is said once, elsewhere.
    if record.samples.len() < FEW {
        return all;
    }
    for method in contenders(&record.methods) {
        let judged: Vec<(String, bool)> = summary.cells[method]
            .iter()
            .enumerate()
            .filter_map(|(metric, cell)| Some((metric_label(record, metric), cell.beats_random()?)))
            .collect();
        let lost: Vec<String> =
            judged.iter().filter(|(_, beats)| !beats).map(|(key, _)| key.clone()).collect();
        if !lost.is_empty() {
            let every = if lost.len() == judged.len() { "every metric that can tell: " } else { "" };
            all.push(format!(
                "`{}` is not better than random numbers (p < .05) by {every}{}",
                method_label(record, method),
                some(&lost, 6)
            ));
        }
    }
    all
}

/// A faithfulness metric has to be seen under two operators before its order is worth reporting.
fn one_operator(record: &Comparison) -> Option<String> {
    let used: Vec<(&str, &str)> = record
        .metrics
        .iter()
        .filter(|m| m.family == Family::Faithfulness && m.left_out.is_none())
        .filter_map(|m| Some((m.name.as_str(), operator_of(m, record)?)))
        .collect();
    let has_two = used.iter().any(|(name, operator)| used.iter().any(|(n, o)| n == name && o != operator));
    let (name, operator) = used.first()?;
    let other = match record.data.modality {
        Modality::Text => ["delete", "mask"],
        Modality::Table => ["mean", "median"],
        Modality::Image | Modality::Series => ["mean", "zero"],
    };
    let other = other.iter().find(|o| *o != operator)?;
    (!has_two).then(|| {
        format!(
            "no metric of faithfulness was asked with two things standing in for what is taken out, and orders may change with \
             it: add one under another operator, such as `{name}:operator={other}`"
        )
    })
}

/// Median over samples of the part `relative`.
fn relative_gap(record: &Comparison, method: usize, metric: usize) -> Option<f64> {
    let parts = record.values.get(method)?.get(metric)?.iter().flat_map(|outcome| &outcome.parts);
    median(&parts.filter(|(name, _)| name == "relative").map(|(_, value)| *value).collect::<Vec<_>>())
}

/// A list that does not get too long.
fn some(list: &[String], most: usize) -> String {
    match list.len() > most {
        true => format!("{}, and {} more", list[..most].join(", "), list.len() - most),
        false => list.join(", "),
    }
}

fn share(value: f64) -> String {
    match value {
        v if v > 0.995 && v < 1.0 => "over 99 %".to_string(),
        v if v > 0.0 && v < 0.005 => "under 1 %".to_string(),
        v => format!("{:.0} %", 100.0 * v),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
