//! Tables that are sorted without a script.

use std::fmt::Write;

use crate::comparison::{ComparisonReport, rank_text};
use crate::text::{aligned, escape, one_line};

/// Columns that can be chosen.
const COLUMNS: usize = 64;

/// A cell with what it is sorted by.
pub(super) struct Value {
    /// Ascending; what has no value comes last.
    key: f64,
    html: String,
}

impl Value {
    /// Low values first.
    pub(super) fn low(value: f64, html: String) -> Self {
        Self { key: if value.is_finite() { value } else { f64::INFINITY }, html }
    }

    /// High values first.
    pub(super) fn high(value: f64, html: String) -> Self {
        Self::low(-value, html)
    }

    /// Nothing.
    pub(super) fn none() -> Self {
        Self { key: f64::INFINITY, html: "<span class=\"nothing\">–</span>".to_string() }
    }
}

/// A table whose rows are put into the order of a column by choosing its heading. The first column is that of names, whose
/// order is the one given.
pub(super) struct Sortable {
    id: String,
    head: String,
    names: Vec<String>,
    muted: Vec<bool>,
    columns: Vec<(String, String, Vec<Value>)>,
}

impl Sortable {
    /// `names` are HTML, the rest text. `id` is unique on the page.
    pub(super) fn new(id: &str, head: &str, names: Vec<String>) -> Self {
        Self { id: id.to_string(), head: head.to_string(), muted: vec![], names, columns: vec![] }
    }

    /// Rows that are set back.
    pub(super) fn mute(&mut self, muted: Vec<bool>) {
        self.muted = muted;
    }

    /// A column; one without any value is left out.
    pub(super) fn column(&mut self, heading: &str, about: &str, values: Vec<Value>) {
        if values.iter().any(|v| v.key.is_finite()) && self.columns.len() + 1 < COLUMNS {
            self.columns.push((heading.to_string(), about.to_string(), values));
        }
    }

    /// Writes the table.
    pub(super) fn write(&self, out: &mut String) {
        // Roles are said again, because a grid takes them from some browsers' tables.
        let _ = write!(
            out,
            "<div class=\"scroll\"><table class=\"sortable\" role=\"table\" style=\"--n:{}\"><thead><tr role=\"row\">",
            self.columns.len()
        );
        let blank = String::new();
        let heads = std::iter::once((&self.head, &blank)).chain(self.columns.iter().map(|(h, a, _)| (h, a)));
        for (number, (heading, about)) in heads.enumerate() {
            let id = &self.id;
            let checked = if number == 0 { " checked" } else { "" };
            let _ = write!(
                out,
                "<th scope=\"col\" role=\"columnheader\"><input type=\"radio\" name=\"{id}\" id=\"{id}-{number}\" \
                 class=\"s{number}\"{checked}><label for=\"{id}-{number}\" title=\"{}\">{}</label></th>",
                escape(&one_line(about)),
                escape(&one_line(heading))
            );
        }
        out.push_str("</tr></thead><tbody>\n");
        let places: Vec<Vec<usize>> = self.columns.iter().map(|(_, _, values)| places(values)).collect();
        for (row, name) in self.names.iter().enumerate() {
            let class = if self.muted.get(row).copied().unwrap_or(false) { " class=\"muted\"" } else { "" };
            let _ = write!(out, "<tr role=\"row\"{class} style=\"--o0:{row}");
            for (number, places) in places.iter().enumerate() {
                let _ = write!(out, ";--o{}:{}", number + 1, places.get(row).copied().unwrap_or(row));
            }
            let _ = write!(out, "\"><th scope=\"row\" role=\"rowheader\">{name}</th>");
            for (_, _, values) in &self.columns {
                let html = values.get(row).map(|v| v.html.as_str()).unwrap_or_default();
                let _ = write!(out, "<td role=\"cell\">{html}</td>");
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody></table></div>\n");
    }
}

/// The place of each row in the order of its keys; equal ones keep theirs.
fn places(values: &[Value]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].key.total_cmp(&values[*b].key));
    let mut places = vec![0; values.len()];
    for (place, row) in order.into_iter().enumerate() {
        places[row] = place;
    }
    places
}

/// The rules that put rows into the order of the chosen column.
pub(super) fn rules() -> String {
    let mut out = String::new();
    for column in 0..COLUMNS {
        let _ = writeln!(out, ".sortable:has(.s{column}:checked) tbody tr{{order:var(--o{column})}}");
    }
    out
}

/// Means, intervals and ranks of a metric.
pub(super) fn metric_column(table: &mut Sortable, report: &ComparisonReport, metric: usize, order: &[usize]) {
    let entry = &report.metrics[metric];
    let cells: Vec<_> = order.iter().map(|m| report.cell(*m, metric)).collect();
    let mut means = aligned(&cells.iter().filter_map(|c| c.mean).collect::<Vec<_>>(), 3).into_iter();
    let ends: Vec<f64> = cells.iter().filter_map(|c| c.interval).flat_map(|(l, h)| [l, h]).collect();
    let mut ends = aligned(&ends, 3).into_iter();
    let values = cells.iter().map(|cell| {
        let reasons: Vec<String> =
            cell.excluded.iter().map(|(reason, count)| format!("{count} without: {reason}")).collect();
        let reasons = escape(&one_line(&reasons.join("; ")));
        let missing: usize = cell.excluded.iter().map(|(_, count)| count).sum();
        let Some(mean) = cell.mean else {
            let mut value = Value::none();
            if missing > 0 {
                value.html = format!("<span class=\"nothing\" title=\"{reasons}\">–</span>");
            }
            return value;
        };
        let mut html = format!("<b>{}</b>", means.next().unwrap_or_default());
        if let Some(rank) = cell.rank {
            let class = if rank < 2.0 { "place best" } else { "place" };
            let _ = write!(html, " <span class=\"{class}\" title=\"rank\">{}</span>", rank_text(rank));
        }
        if cell.beats_random == Some(false) {
            html.push_str(" <abbr title=\"not better than random numbers (p &lt; .05)\">≈</abbr>");
        }
        if cell.interval.is_some() {
            let (low, high) = (ends.next().unwrap_or_default(), ends.next().unwrap_or_default());
            let median = cell.median.map(super::three).unwrap_or_default();
            let _ = write!(
                html,
                "<small title=\"95 % interval of the mean; median {median}; {} samples\">{low} to {high}</small>",
                cell.n
            );
        }
        if missing > 0 {
            let _ = write!(html, "<small title=\"{reasons}\">{} of {} samples</small>", cell.n, cell.n + missing);
        }
        if entry.is_up { Value::high(mean, html) } else { Value::low(mean, html) }
    });
    let values: Vec<Value> = values.collect();
    table.column(&format!("{} {}", entry.name, entry.arrow()), &entry.summary, values);
}
