//! A comparison as one HTML file: no network, no scripts. Tables are sorted by style sheets alone: a heading is the label of
//! a radio button, and the row's place in the order of the chosen column is a property of the row.

mod differences;
mod examples;
mod tables;

use std::fmt::Write;

use super::{STYLE, head};
use crate::comparison::{ComparisonReport, bytes_text, rank_text, share_text};
use crate::svg::{agreement, curves, pareto, ranks};
use crate::text::{duration_ms, escape, number_with, one_line};
use tables::{Sortable, Value};

/// What the comparison adds to the style sheet of all pages.
const OWN_STYLE: &str = include_str!("comparison/style.css");
/// Width at which charts are drawn; they shrink with the page.
pub(super) const CHART: f64 = 982.0;

/// Draws a comparison as one HTML page that needs nothing else: no network, no scripts, no fonts.
///
/// Never fails: what can't be drawn is left out or named. All text from the report is escaped.
///
/// ```
/// use exegesis_report::*;
/// let report = ComparisonReport { title: "a < b".into(), ..Default::default() };
/// let page = render_comparison_html(&report);
/// assert!(page.starts_with("<!doctype html>") && page.contains("a &lt; b") && !page.contains("<script"));
/// ```
pub fn render_comparison_html(report: &ComparisonReport) -> String {
    let style = format!("{STYLE}{OWN_STYLE}{}", tables::rules());
    let mut out = head(&report.title, &style);
    let shown: Vec<(&str, String)> =
        report.facts.iter().map(|(name, value)| (name.as_str(), one_line(value))).collect();
    super::method::facts(&mut out, &shown);
    out.push_str("</header>\n");
    verdict(&mut out, report);
    warnings(&mut out, report);
    contents(&mut out, report);
    overall(&mut out, report);
    for family in 0..report.families.len() {
        family_card(&mut out, report, family);
    }
    left_out(&mut out, report);
    curve_card(&mut out, report);
    cost(&mut out, report);
    agreement_card(&mut out, report);
    differences::card(&mut out, report);
    examples::card(&mut out, report);
    metric_costs(&mut out, report);
    provenance(&mut out, report);
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn verdict(out: &mut String, report: &ComparisonReport) {
    let Some((first, rest)) = report.verdict.split_first() else { return };
    let _ = write!(out, "<section class=\"card verdict\"><p class=\"answer\">{}</p>", marked(first));
    if !rest.is_empty() {
        out.push_str("<ul>");
        for sentence in rest {
            let _ = write!(out, "<li>{}</li>", marked(sentence));
        }
        out.push_str("</ul>");
    }
    out.push_str("</section>\n");
}

fn warnings(out: &mut String, report: &ComparisonReport) {
    if report.warnings.is_empty() {
        return;
    }
    out.push_str("<aside class=\"warning\" role=\"note\"><strong>Before you trust this</strong><ul>");
    for warning in &report.warnings {
        let _ = write!(out, "<li>{}</li>", marked(warning));
    }
    out.push_str("</ul></aside>\n");
}

/// Escaped text with `names` between backticks set as code.
fn marked(text: &str) -> String {
    let text = escape(&one_line(text));
    let mut out = String::new();
    let mut parts = text.split('`');
    out.push_str(parts.next().unwrap_or_default());
    while let Some(name) = parts.next() {
        match parts.next() {
            Some(after) => {
                let _ = write!(out, "<code>{name}</code>{after}");
            }
            // A backtick without its partner is text.
            None => {
                let _ = write!(out, "`{name}");
            }
        }
    }
    out
}

/// Links to the parts of the page that are there.
fn contents(out: &mut String, report: &ComparisonReport) {
    let has_agreement = agreement::chart(report, CHART).is_some();
    let links = [
        ("ranks", "Ranks", true),
        ("metrics", "Metrics", !report.metrics.is_empty()),
        ("curves", "Curves", !report.curves.is_empty()),
        ("cost", "Cost", pareto::chart(report, CHART).is_some()),
        ("agreement", "Agreement", has_agreement),
        ("differences", "Differences", !report.pairs.is_empty()),
        ("examples", "Examples", !report.examples.is_empty()),
        ("provenance", "Provenance", true),
    ];
    out.push_str("<nav class=\"contents\" aria-label=\"Contents\">");
    for (id, name, _) in links.iter().filter(|(_, _, is_there)| *is_there) {
        let _ = write!(out, "<a href=\"#{id}\">{name}</a> ");
    }
    out.push_str("</nav>\n");
}

/// A name with its options as a tooltip.
fn method_name(report: &ComparisonReport, method: usize) -> String {
    let entry = &report.methods[method];
    let control = if entry.is_control { " <small>control</small>" } else { "" };
    format!(
        "<span title=\"{}\">{}</span>{control}",
        escape(&one_line(&entry.parameters)),
        escape(&one_line(&entry.name))
    )
}

/// Ranks over families, chances and costs, and the plot of ranks.
fn overall(out: &mut String, report: &ComparisonReport) {
    out.push_str(
        "<section class=\"card\" id=\"ranks\"><h2>Ranks</h2><p class=\"note\">Methods are ranked by each metric, then by the \
         median inside each family of metrics, then by the median over families, so that a family with many metrics does not \
         outvote the others. 1 is best. Controls know nothing of the model and are not ranked. Choose a heading to sort.</p>\n",
    );
    let order = report.by_rank();
    let families: Vec<usize> = (0..report.families.len())
        .filter(|f| {
            order.iter().any(|m| report.methods[*m].family_ranks.get(*f).copied().flatten().is_some())
        })
        .collect();
    let mut table =
        Sortable::new("t-ranks", "Method", order.iter().map(|m| method_name(report, *m)).collect());
    table.mute(order.iter().map(|m| report.methods[*m].is_control).collect());
    let values = |value: &dyn Fn(usize) -> Value| order.iter().map(|m| value(*m)).collect::<Vec<Value>>();
    if report.has_order() {
        table.column(
            "Rank",
            "Median rank over families, with quartiles",
            values(&|m| match report.methods[m].rank {
                Some(r) => {
                    // Quartiles that are all one say nothing.
                    let quartiles = match r.low < r.high {
                        true => format!("<small>{} – {}</small>", rank_text(r.low), rank_text(r.high)),
                        false => String::new(),
                    };
                    Value::low(r.median, format!("<b>{}</b>{quartiles}", rank_text(r.median)))
                }
                None => Value::none(),
            }),
        );
        table.column(
            "First in",
            "Share of resampled data sets in which the method has the best rank over families",
            values(&|m| match report.methods[m].first {
                Some(share) => Value::high(share, share_text(share)),
                None => Value::none(),
            }),
        );
        if families.len() > 1 {
            for family in &families {
                let entry = &report.families[*family];
                table.column(
                    &entry.name,
                    &entry.question,
                    values(&|m| match report.methods[m].family_ranks.get(*family).copied().flatten() {
                        Some(r) => Value::low(r.median, rank_text(r.median)),
                        None => Value::none(),
                    }),
                );
            }
        }
    }
    let time = |s: f64| Value::low(s, duration_ms(1000.0 * s));
    table.column(
        "Time",
        "Seconds per sample for the maps",
        values(&|m| report.methods[m].seconds.map_or_else(Value::none, time)),
    );
    let rows = |r: f64| Value::low(r, format!("{r:.0}"));
    table.column(
        "Model rows",
        "Rows that the model was run on per sample, of methods that only ask it",
        values(&|m| report.methods[m].model_rows.map_or_else(Value::none, rows)),
    );
    let memory = |b: u64| Value::low(b as f64, bytes_text(b));
    table.column(
        "Memory",
        "Bytes at the peak, as planned",
        values(&|m| report.methods[m].peak_bytes.map_or_else(Value::none, memory)),
    );
    table.write(out);
    if let Some(chart) = ranks::chart(report, CHART) {
        out.push_str(&chart.inline("Ranks of methods over families of metrics"));
    }
    out.push_str("</section>\n");
}

/// The metrics of one family: a table, and what they mean.
fn family_card(out: &mut String, report: &ComparisonReport, family: usize) {
    let metrics = report.metrics_of(family);
    if metrics.is_empty() {
        return;
    }
    let entry = &report.families[family];
    let is_first = (0..family).all(|f| report.metrics_of(f).is_empty());
    let id = if is_first { " id=\"metrics\"" } else { "" };
    let name = one_line(&entry.name);
    let mut letters = name.chars();
    let title: String = letters.next().map(|c| c.to_uppercase().chain(letters).collect()).unwrap_or_default();
    let _ = write!(
        out,
        "<section class=\"card\"{id}><h2>{}</h2><p class=\"note\">{}",
        escape(&title),
        escape(&one_line(&entry.question))
    );
    if let Some(w) = entry.concordance {
        let _ = write!(
            out,
            " <span title=\"Kendall&#39;s W: 1 if all metrics of the family put methods into one order, 0 if their orders cancel \
             out\">Agreement of its metrics: W {w:.2}.</span>"
        );
    }
    out.push_str("</p>\n");
    let order = report.by_rank();
    let mut table = Sortable::new(
        &format!("t-{family}"),
        "Method",
        order.iter().map(|m| method_name(report, *m)).collect(),
    );
    table.mute(order.iter().map(|m| report.methods[*m].is_control).collect());
    for metric in &metrics {
        tables::metric_column(&mut table, report, *metric, &order);
    }
    table.write(out);
    out.push_str(
        "<p class=\"note\">Mean over samples and its 95 % bootstrap interval; <span class=\"place\">1</span> rank; ↑ higher is \
         better, ↓ lower is better; ≈ not better than random numbers (p &lt; .05).</p>\n",
    );
    out.push_str("<details><summary>What these metrics mean</summary><dl class=\"meaning\">");
    for metric in &metrics {
        let entry = &report.metrics[*metric];
        let direction = if entry.is_up { "higher is better" } else { "lower is better" };
        let _ = write!(
            out,
            "<dt>{} {} <small>{direction}</small></dt><dd><p>{}</p>",
            escape(&one_line(&entry.name)),
            entry.arrow(),
            escape(&one_line(&entry.summary))
        );
        for (label, text) in
            [("Formula", &entry.formula), ("Misleads", &entry.misleads), ("Options", &entry.parameters)]
        {
            if !text.is_empty() {
                let _ = write!(out, "<p class=\"note\"><b>{label}</b> {}</p>", escape(&one_line(text)));
            }
        }
        out.push_str("</dd>");
    }
    out.push_str("</dl></details></section>\n");
}

fn left_out(out: &mut String, report: &ComparisonReport) {
    let list: Vec<String> = report
        .metrics
        .iter()
        .filter_map(|m| {
            let reason = m.left_out.as_ref()?;
            Some(format!(
                "<li><code>{}</code>: {}</li>",
                escape(&one_line(&m.name)),
                escape(&one_line(reason))
            ))
        })
        .collect();
    if !list.is_empty() {
        let _ = writeln!(
            out,
            "<section class=\"card\"><h2>Left out</h2><ul class=\"note\">{}</ul></section>",
            list.join("")
        );
    }
}

fn curve_card(out: &mut String, report: &ComparisonReport) {
    if report.curves.is_empty() {
        return;
    }
    out.push_str(
        "<section class=\"card\" id=\"curves\"><h2>Curves</h2><p class=\"note\">Means over samples with their 95 % bootstrap \
         bands. Each chart shows one method in colour, the others faint, and random numbers dashed.</p>\n",
    );
    for group in &report.curves {
        if let Some(chart) = curves::chart(report, group, CHART) {
            let _ = writeln!(out, "<h4>{}</h4>", escape(&one_line(&group.title)));
            if !group.note.is_empty() {
                let _ = writeln!(out, "<p class=\"note\">{}</p>", escape(&one_line(&group.note)));
            }
            out.push_str(&chart.inline(&one_line(&group.title)));
        }
    }
    out.push_str("</section>\n");
}

fn cost(out: &mut String, report: &ComparisonReport) {
    if let Some(chart) = pareto::chart(report, CHART) {
        out.push_str(
            "<section class=\"card\" id=\"cost\"><h2>Quality against cost</h2>\n<p class=\"note\">No method beats those on the dashed \
             line in both: everything below and to the right of it costs more and ranks no better.</p>\n",
        );
        out.push_str(&chart.inline("Ranks of methods by time per sample"));
        out.push_str("</section>\n");
    }
}

fn agreement_card(out: &mut String, report: &ComparisonReport) {
    let chart = agreement::chart(report, CHART);
    if chart.is_none() && report.flips.is_empty() {
        return;
    }
    out.push_str("<section class=\"card\" id=\"agreement\"><h2>Do metrics agree?</h2>\n");
    if let Some(chart) = chart {
        out.push_str(
            "<p class=\"note\">Kendall's tau-b between the orders into which two metrics put the methods: 1 (blue) the same \
             order, 0 unrelated, -1 (red) the reverse.</p>\n",
        );
        out.push_str(&chart.inline("Agreement of metrics"));
    }
    if !report.flips.is_empty() {
        let _ = write!(
            out,
            "<details><summary>Methods that change places ({})</summary><ul class=\"note\">",
            report.flips.len()
        );
        for text in &report.flips {
            let _ = write!(out, "<li>{}</li>", marked(text));
        }
        out.push_str("</ul></details>\n");
    }
    out.push_str("</section>\n");
}

/// What each metric took.
fn metric_costs(out: &mut String, report: &ComparisonReport) {
    let metrics: Vec<usize> =
        (0..report.metrics.len()).filter(|m| report.metrics[*m].left_out.is_none()).collect();
    if metrics.is_empty() {
        return;
    }
    out.push_str(
        "<section class=\"card\"><h2>Cost of metrics</h2><p class=\"note\">Rows of the model and explanations per sample and \
         method if a metric stood alone; what metrics and methods share is asked once.</p>\n",
    );
    let names = metrics.iter().map(|m| escape(&one_line(&report.metrics[*m].name))).collect();
    let mut table = Sortable::new("t-costs", "Metric", names);
    let values = |value: &dyn Fn(usize) -> Value| metrics.iter().map(|m| value(*m)).collect::<Vec<Value>>();
    let count = |n: usize| Value::high(n as f64, n.to_string());
    table.column("Model rows", "Rows of the model", values(&|m| count(report.metrics[m].rows)));
    table.column("Explanations", "Calls of the method", values(&|m| count(report.metrics[m].explanations)));
    table.column(
        "Time",
        "Seconds of all evaluations; shared questions are not counted",
        values(&|m| {
            let seconds = report.metrics[m].seconds;
            Value::high(seconds, duration_ms(1000.0 * seconds))
        }),
    );
    table.write(out);
    out.push_str("</section>\n");
}

fn provenance(out: &mut String, report: &ComparisonReport) {
    out.push_str("<section class=\"card origin\" id=\"provenance\"><h2>Provenance</h2><dl>\n");
    for (name, value) in report.provenance.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(out, "<dt>{}</dt><dd>{}</dd>", escape(&one_line(name)), escape(&one_line(value)));
    }
    out.push_str("</dl></section>\n");
}

/// A number with three digits.
fn three(value: f64) -> String {
    number_with(value, 3)
}
