//! The comparison in a terminal, at most 100 columns.

use std::fmt::Write;

use super::{ComparedCell, ComparisonReport, bytes_text, rank_text, share_text};
use crate::terminal::{ColorChoice, TerminalOptions};
use crate::text::{aligned, duration_ms, one_line, pad, pad_left, shorten, width};

/// Columns of names of methods at most.
const NAMES: usize = 24;

/// Draws the comparison as text: the verdict, ranks and costs, then a table per family of metrics with the mean, its 95 %
/// interval and the rank of each method.
///
/// ```
/// use exegesis_report::*;
/// let report = ComparisonReport { title: "Two methods".into(), ..Default::default() };
/// assert!(render_comparison_terminal(&report, &TerminalOptions::default()).contains("Two methods"));
/// ```
pub fn render_comparison_terminal(report: &ComparisonReport, options: &TerminalOptions) -> String {
    let limit = options.width.clamp(60, 100);
    let bold = |text: &str| match options.color {
        ColorChoice::Ansi => format!("\u{1b}[1m{text}\u{1b}[0m"),
        ColorChoice::Plain => text.to_string(),
    };
    let mut out = format!("{}\n", bold(&shorten(&one_line(&report.title), limit)));
    for sentence in &report.verdict {
        wrap(&mut out, sentence, "", limit);
    }
    if !report.warnings.is_empty() {
        out.push('\n');
    }
    for warning in &report.warnings {
        wrap(&mut out, warning, "! ", limit);
    }
    let order = report.by_rank();
    let names = order.iter().map(|m| width(&name(report, *m))).max().unwrap_or(0).min(NAMES);
    overall(&mut out, report, (&order, names), limit, &bold);
    let mut has_mark = false;
    for (index, family) in report.families.iter().enumerate() {
        let metrics = report.metrics_of(index);
        if metrics.is_empty() {
            continue;
        }
        let mut heading = format!("{}: {}", one_line(&family.name), one_line(&family.question));
        if let Some(w) = family.concordance {
            let _ = write!(heading, " Agreement of its metrics W {w:.2}.");
        }
        let heading = shorten(&heading, limit);
        let _ = writeln!(out, "\n{}", bold(&heading));
        let columns: Vec<Column> = metrics.iter().map(|m| Column::of(report, *m, &order)).collect();
        has_mark |= columns.iter().any(|c| c.has_mark);
        let mut at = 0;
        while at < columns.len() {
            let mut used = names;
            let start = at;
            while at < columns.len() && (at == start || used + 3 + columns[at].wide <= limit) {
                used += 3 + columns[at].wide;
                at += 1;
            }
            part(&mut out, report, &order, names, &columns[start..at]);
        }
    }
    out.push_str("\nmean [95 % interval] rank; ↑ higher is better, ↓ lower is better");
    if has_mark {
        out.push_str("; ~ not better than random");
    }
    out.push('\n');
    out
}

fn name(report: &ComparisonReport, method: usize) -> String {
    let entry = &report.methods[method];
    let name = one_line(&entry.name);
    if entry.is_control { format!("({name})") } else { name }
}

/// Ranks over families and costs.
fn overall(
    out: &mut String,
    report: &ComparisonReport,
    (order, names): (&[usize], usize),
    limit: usize,
    bold: &dyn Fn(&str) -> String,
) {
    let families: Vec<usize> =
        (0..report.families.len()).filter(|f| !report.metrics_of(*f).is_empty()).collect();
    let mut heads = vec!["rank".to_string(), "first in".to_string()];
    let mut rows: Vec<Vec<String>> = vec![];
    // Ranks of families as far as they fit beside the costs.
    let shown: Vec<usize> = if report.has_order() && families.len() > 1 {
        let fits = limit.saturating_sub(names + 17 + 10 + 3 * 11) / 14;
        families.into_iter().take(fits).collect()
    } else {
        vec![]
    };
    heads.extend(shown.iter().map(|f| shorten(&one_line(&report.families[*f].name), 13)));
    heads.extend(["time".to_string(), "model rows".to_string(), "memory".to_string()]);
    for method in order {
        let entry = &report.methods[*method];
        let mut row = vec![
            entry.rank.map_or(String::new(), |r| match r.low == r.high {
                true => rank_text(r.median),
                false => format!("{} ({}-{})", rank_text(r.median), rank_text(r.low), rank_text(r.high)),
            }),
            entry.first.map(share_text).unwrap_or_default(),
        ];
        row.extend(shown.iter().map(|f| {
            let own = entry.family_ranks.get(*f).copied().flatten();
            own.map(|r| rank_text(r.median)).unwrap_or_default()
        }));
        row.push(entry.seconds.map(|s| duration_ms(1000.0 * s)).unwrap_or_default());
        row.push(entry.model_rows.map(|r| format!("{r:.0}")).unwrap_or_default());
        row.push(entry.peak_bytes.map(bytes_text).unwrap_or_default());
        rows.push(row);
    }
    let used: Vec<usize> = (0..heads.len()).filter(|c| rows.iter().any(|row| !row[*c].is_empty())).collect();
    if used.is_empty() {
        return;
    }
    let wide =
        |c: &usize| rows.iter().map(|row| width(&row[*c])).chain([width(&heads[*c])]).max().unwrap_or(0);
    let _ = writeln!(out, "\n{}", bold("Ranks over families of metrics (1 is best), and cost per sample"));
    let mut line = pad("", names);
    for c in &used {
        let _ = write!(line, "  {}", pad_left(&heads[*c], wide(c)));
    }
    let _ = writeln!(out, "{}", line.trim_end());
    for (method, row) in order.iter().zip(&rows) {
        let mut line = pad(&name(report, *method), names);
        for c in &used {
            let _ = write!(line, "  {}", pad_left(&row[*c], wide(c)));
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

/// One metric, ready to be written.
struct Column {
    heading: String,
    /// Per method in order of rank.
    cells: Vec<String>,
    wide: usize,
    has_mark: bool,
}

impl Column {
    fn of(report: &ComparisonReport, metric: usize, order: &[usize]) -> Self {
        let entry = &report.metrics[metric];
        let own: Vec<ComparedCell> = order.iter().map(|m| report.cell(*m, metric)).collect();
        let known: Vec<f64> = own.iter().filter_map(|c| c.mean).collect();
        let mut means = aligned(&known, 3).into_iter();
        let means: Vec<String> = own
            .iter()
            .map(|c| c.mean.and_then(|_| means.next()).unwrap_or_else(|| "-".to_string()))
            .collect();
        // Ends of intervals with the decimals of the means.
        let ends: Vec<f64> = own.iter().filter_map(|c| c.interval).flat_map(|(l, h)| [l, h]).collect();
        let mut ends = aligned(&ends, 3).into_iter();
        let intervals: Vec<String> = own
            .iter()
            .map(|c| match c.interval.and_then(|_| Some((ends.next()?, ends.next()?))) {
                Some((low, high)) => format!("[{low}, {high}]"),
                None => String::new(),
            })
            .collect();
        let ranks: Vec<String> = own
            .iter()
            .map(|c| {
                let mark = if c.beats_random == Some(false) { "~" } else { "" };
                format!("{}{mark}", c.rank.map(rank_text).unwrap_or_default())
            })
            .collect();
        let widest = |list: &[String]| list.iter().map(|t| width(t)).max().unwrap_or(0);
        let (mean, interval, rank) = (widest(&means), widest(&intervals), widest(&ranks));
        let cells: Vec<String> = (0..own.len())
            .map(|i| {
                let line = format!(
                    "{} {} {}",
                    pad_left(&means[i], mean),
                    pad_left(&intervals[i], interval),
                    pad(&ranks[i], rank)
                );
                line
            })
            .collect();
        let heading = format!("{} {}", one_line(&entry.name), entry.arrow());
        let wide = widest(&cells).max(width(&heading).min(34));
        let has_mark = own.iter().any(|c| c.beats_random == Some(false));
        Self { heading: shorten(&heading, wide), cells, wide, has_mark }
    }
}

fn part(out: &mut String, report: &ComparisonReport, order: &[usize], names: usize, columns: &[Column]) {
    let mut line = pad("", names);
    for column in columns {
        let _ = write!(line, "   {}", pad(&column.heading, column.wide));
    }
    let _ = writeln!(out, "{}", line.trim_end());
    for (row, method) in order.iter().enumerate() {
        let mut line = pad(&name(report, *method), names);
        for column in columns {
            let _ = write!(line, "   {}", pad(&column.cells[row], column.wide));
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

/// Writes text in lines of at most `limit` columns; lines after the first are indented like the mark.
fn wrap(out: &mut String, text: &str, mark: &str, limit: usize) {
    let indent = width(mark);
    let mut line = mark.to_string();
    for word in one_line(text).split(' ') {
        let word = shorten(word, limit - indent);
        if width(&line) > indent && width(&line) + 1 + width(&word) > limit {
            let _ = writeln!(out, "{line}");
            line = " ".repeat(indent);
        }
        if width(&line) > indent {
            line.push(' ');
        }
        line.push_str(&word);
    }
    let _ = writeln!(out, "{line}");
}
