//! A comparison as it is drawn: record and summary put into the plain data of `exegesis-report`.

use exegesis_metrics::statistics::Spread;
use exegesis_metrics::{Direction, Family, MetricInfo, catalogue};
use exegesis_report::{
    ComparedCell, ComparedCurves, ComparedFamily, ComparedMethod, ComparedMetric, ComparedPair,
    ComparisonReport, CurveLine, RankSpread, RowReport,
};

use super::record::{Comparison, MethodSummary, MetricSummary};
use super::summary::{Cell, SIGNIFICANT, Summary, method_label, metric_label};

/// Flips of order that are listed.
const FLIPS: usize = 200;

/// What is drawn of a comparison; `examples` are samples with the maps of all methods.
pub fn report(record: &Comparison, summary: &Summary, examples: Vec<RowReport>) -> ComparisonReport {
    let families = families(record);
    let known = catalogue();
    let info = |metric: &MetricSummary| known.iter().map(|entry| entry.info).find(|i| i.name == metric.name);
    ComparisonReport {
        title: title(record),
        facts: facts(record),
        verdict: summary.verdict.clone(),
        warnings: summary.warnings.clone(),
        methods: (0..record.methods.len()).map(|m| method(record, summary, m, &families)).collect(),
        families: families
            .iter()
            .map(|family| ComparedFamily {
                name: family.name().to_string(),
                question: question(*family).to_string(),
                concordance: summary
                    .order
                    .concordance
                    .iter()
                    .find(|(f, _)| f == family)
                    .and_then(|(_, w)| *w),
            })
            .collect(),
        metrics: record
            .metrics
            .iter()
            .enumerate()
            .map(|(index, entry)| ComparedMetric {
                name: metric_label(record, index),
                ..metric(entry, info(entry), families.iter().position(|f| *f == entry.family))
            })
            .collect(),
        cells: summary.cells.iter().map(|of| of.iter().map(cell).collect()).collect(),
        agreement: summary.order.agreement.clone(),
        pairs: summary
            .order
            .pairs
            .iter()
            .map(|pair| ComparedPair {
                metric: pair.metric,
                first: pair.first,
                second: pair.second,
                difference: pair.difference.mean,
                interval: (pair.difference.interval.low, pair.difference.interval.high),
                p: pair.corrected,
                is_significant: pair.corrected < SIGNIFICANT,
            })
            .collect(),
        flips: summary
            .order
            .flips
            .iter()
            .take(FLIPS)
            .map(|flip| {
                let name = |m: usize| method_label(record, m);
                format!(
                    "`{}` before `{}` by {}, after it by {}",
                    name(flip.first),
                    name(flip.second),
                    flip.here,
                    flip.there
                )
            })
            .collect(),
        curves: curves(record, summary, &info),
        examples,
        provenance: provenance(record),
    }
}

fn title(record: &Comparison) -> String {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let methods = record.methods.iter().filter(|m| !m.is_control).count();
    let metrics = record.metrics.iter().filter(|m| m.left_out.is_none()).count();
    format!("{} by {} on {}", count(methods, "method"), count(metrics, "metric"), file_name(&record.model))
}

/// The last part of a path.
fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().filter(|name| !name.is_empty()).unwrap_or(path)
}

fn facts(record: &Comparison) -> Vec<(String, String)> {
    let features: Vec<usize> = record.samples.iter().map(|s| s.features).collect();
    let (least, most) =
        (features.iter().min().copied().unwrap_or(0), features.iter().max().copied().unwrap_or(0));
    let features = if least == most { format!("{most}") } else { format!("{least} to {most}") };
    let right = record.samples.iter().filter(|s| s.truth.is_some() && s.truth == s.prediction).count();
    let mut all = vec![
        ("Model", file_name(&record.model).to_string()),
        ("Data", record.data.source.split(", ").map(file_name).collect::<Vec<_>>().join(", ")),
        ("Samples", record.samples.len().to_string()),
        ("Features per sample", format!("{features} ({})", record.data.modality.name())),
        ("Explained", target(&record.target)),
        ("Taken out means", operator(&record.operator).to_string()),
    ];
    if record.samples.iter().any(|s| s.truth.is_some() && s.prediction.is_some()) {
        all.push(("Model is right on", format!("{right} of {} samples", record.samples.len())));
    }
    all.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

fn target(text: &str) -> String {
    match text {
        "argmax" => "the class that the model names".to_string(),
        other => other.to_string(),
    }
}

/// Operators in words.
fn operator(name: &str) -> &str {
    match name {
        "zero" => "0 in the model's normalised space",
        "mean" => "the mean over the data",
        "blur" => "a blur of the sample",
        "noise" => "noise",
        "impute" => "imputed from what is left",
        "delete" => "deleted",
        "mask" => "the mask token",
        "pad" => "padding",
        "median" => "the median over the data",
        "background" => "values of other rows",
        "linear" => "interpolated",
        other => other,
    }
}

fn families(record: &Comparison) -> Vec<Family> {
    let mut all: Vec<Family> = record.metrics.iter().map(|m| m.family).collect();
    all.sort();
    all.dedup();
    all
}

/// What a family of metrics asks.
fn question(family: Family) -> &'static str {
    match family {
        Family::Faithfulness => "Does what is marked matter to the model?",
        Family::Robustness => "Does the map stay where nothing changes?",
        Family::Complexity => {
            "Is the map short? A wrong map of one feature is perfect here: never read it alone."
        }
        Family::Randomisation => "Does the map depend on the model?",
        Family::Axioms => "Does the map keep its promises?",
        Family::Localisation => "Does the map agree with a known truth?",
    }
}

fn spread(spread: Spread) -> RankSpread {
    RankSpread { median: spread.median, low: spread.low, high: spread.high }
}

fn pairs(list: &[(String, String)]) -> String {
    list.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

fn method(record: &Comparison, summary: &Summary, index: usize, families: &[Family]) -> ComparedMethod {
    let entry: &MethodSummary = &record.methods[index];
    let samples = record.samples.len().max(1) as f64;
    let standing = summary.standing(index);
    let of_family = |family: &Family| {
        let own = standing?.families.iter().find(|(f, _)| f == family)?;
        Some(spread(own.1))
    };
    ComparedMethod {
        name: method_label(record, index),
        parameters: pairs(&entry.parameters),
        is_control: entry.is_control,
        rank: standing.and_then(|s| s.overall).map(spread),
        first: summary.order.first.get(index).copied().flatten(),
        family_ranks: families.iter().map(of_family).collect(),
        seconds: Some(entry.cost.seconds / samples).filter(|s| *s > 0.0),
        model_rows: Some(entry.cost.model_rows as f64 / samples).filter(|r| *r > 0.0),
        peak_bytes: Some(entry.cost.peak_bytes).filter(|b| *b > 0),
    }
}

fn metric(entry: &MetricSummary, info: Option<&MetricInfo>, family: Option<usize>) -> ComparedMetric {
    let text = |of: fn(&MetricInfo) -> &'static str| info.map(|i| of(i).to_string()).unwrap_or_default();
    ComparedMetric {
        name: entry.key.clone(),
        family: family.unwrap_or_default(),
        is_up: entry.direction == Direction::Up,
        summary: text(|i| i.summary),
        formula: text(|i| i.formula),
        misleads: text(|i| i.misleads),
        parameters: pairs(&entry.parameters),
        left_out: entry.left_out.clone(),
        rows: entry.rows,
        explanations: entry.explanations,
        seconds: entry.seconds,
    }
}

fn cell(cell: &Cell) -> ComparedCell {
    ComparedCell {
        mean: cell.estimate.map(|e| e.mean),
        interval: cell.estimate.and_then(|e| e.interval).map(|i| (i.low, i.high)),
        median: cell.estimate.map(|e| e.median),
        n: cell.estimate.map_or(0, |e| e.n),
        excluded: cell.excluded.clone(),
        rank: cell.rank,
        beats_random: cell.beats_random(),
    }
}

/// One chart per metric and name of a curve.
fn curves<'a>(
    record: &Comparison,
    summary: &Summary,
    info: &dyn Fn(&MetricSummary) -> Option<&'a MetricInfo>,
) -> Vec<ComparedCurves> {
    let mut all: Vec<(usize, &str, ComparedCurves)> = vec![];
    for curve in &summary.curves {
        let line = CurveLine {
            method: curve.method,
            at: curve.at.clone(),
            mean: curve.mean.clone(),
            low: curve.low.clone(),
            high: curve.high.clone(),
        };
        match all.iter_mut().find(|(metric, name, _)| *metric == curve.metric && *name == curve.name) {
            Some((_, _, chart)) => chart.lines.push(line),
            None => {
                let Some(metric) = record.metrics.get(curve.metric) else { continue };
                let title = match curve.name == metric.key {
                    true => curve.name.clone(),
                    false => format!("{}: {}", metric_label(record, curve.metric), curve.name),
                };
                let (x_label, note) = axis(&curve.name);
                let about = || info(metric).map(|i| i.summary.to_string()).unwrap_or_default();
                let note = if note.is_empty() { about() } else { note.to_string() };
                let lines = vec![line];
                let chart = ComparedCurves { title, note, x_label: x_label.to_string(), lines };
                all.push((curve.metric, &curve.name, chart));
            }
        }
    }
    all.into_iter().map(|(_, _, chart)| chart).collect()
}

/// What the horizontal axis shows, and how to read the curve.
fn axis(name: &str) -> (&'static str, &'static str) {
    match name {
        "insertion" => (
            "share put in",
            "The score while features are put in, the most important first: it should rise early.",
        ),
        "deletion" | "morf" => (
            "share taken out",
            "The score while features are taken out, the most important first: it should fall early.",
        ),
        "lerf" => (
            "share taken out",
            "The score while features are taken out, the least important first: it should fall late.",
        ),
        _ => ("share", ""),
    }
}

fn provenance(record: &Comparison) -> Vec<(String, String)> {
    let versions: Vec<String> =
        record.metrics.iter().map(|m| format!("{} ({} version {})", m.key, m.id, m.version)).collect();
    let methods: Vec<String> = record
        .methods
        .iter()
        .map(|m| match m.parameters.is_empty() {
            true => m.key.clone(),
            false => format!("{} ({})", m.key, pairs(&m.parameters)),
        })
        .collect();
    let rows: usize = record.rows.iter().sum();
    let all = [
        ("Model", record.model.clone()),
        ("SHA-256 of the model", record.model_sha256.clone()),
        ("Data", record.data.source.clone()),
        ("SHA-256 of the data", record.data.sha256.clone()),
        (
            "Target",
            format!("{}, fixed on the clean sample for all methods and changed copies", record.target),
        ),
        ("Operator", record.operator.clone()),
        ("Ranking", "by signed values, of methods without a sign by magnitude".to_string()),
        ("Ties", "by a hash of seed, sample and feature".to_string()),
        ("Intervals", "95 % percentile bootstrap over samples, 1000 resamples".to_string()),
        ("Random seed", record.seed.to_string()),
        ("Methods", methods.join("; ")),
        ("Metrics", versions.join("; ")),
        ("Rows of the model", format!("{rows} for metrics, shared by all methods")),
        ("Time", format!("{:.1} s", record.seconds)),
        ("Version", format!("exegesis {}", record.version)),
        ("Created", record.created.clone()),
    ];
    all.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}
