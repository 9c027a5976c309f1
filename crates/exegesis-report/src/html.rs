//! The report as one HTML file: no network, no scripts, no fonts; pictures are embedded.
//!
//! A content security policy in the page forbids everything else, so a label that slipped through escaping still could
//! not run or load anything.

mod bars;
mod comparison;
mod method;
mod origin;
mod passage;
mod plane;
mod row;
mod tokens;

pub use comparison::render_comparison_html;
pub(crate) use passage::tooltip;

use crate::data::{Report, Table};
use crate::text::{escape, one_line};
use std::fmt::Write;

/// The page's style sheet, light and dark.
const STYLE: &str = include_str!("html/style.css");

/// Draws the whole report as one HTML page that needs nothing else: no network, no scripts, no fonts.
///
/// Never fails: a part that cannot be drawn (an attribution that does not fit its input) is replaced by a warning in its
/// place. All text from the report is escaped.
///
/// ```
/// use exegesis_report::*;
/// let report = Report { title: "a < b".into(), ..Default::default() };
/// let page = render_html(&report);
/// assert!(page.starts_with("<!doctype html>") && page.contains("a &lt; b"));
/// ```
pub fn render_html(report: &Report) -> String {
    let mut out = head(&report.title, STYLE);
    origin::subtitle(&mut out, report);
    out.push_str("</header>\n");
    warnings(&mut out, &report.warnings);
    if report.rows.len() > 1 {
        row::contents(&mut out, &report.rows);
    }
    for table in &report.tables {
        plain_table(&mut out, table);
    }
    for (index, row) in report.rows.iter().enumerate() {
        row::section(&mut out, index, row);
    }
    origin::section(&mut out, report);
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

/// Everything up to the title: nothing may be loaded or run.
fn head(title: &str, style: &str) -> String {
    let title = escape(&one_line(title));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n<header>\n<h1>{title}</h1>\n"
    )
}

/// Warnings as a block that cannot be overlooked; nothing if there are none.
fn warnings(out: &mut String, list: &[String]) {
    if list.is_empty() {
        return;
    }
    let noun = if list.len() == 1 { "Warning" } else { "Warnings" };
    let _ = writeln!(out, "<aside class=\"warning\" role=\"note\"><strong>{noun}</strong><ul>");
    for text in list {
        let _ = writeln!(out, "<li>{}</li>", escape(&one_line(text)));
    }
    out.push_str("</ul></aside>\n");
}

/// A table of the caller's; columns whose cells are all numbers are set flush right.
fn plain_table(out: &mut String, table: &Table) {
    let cell = |row: &[String], column: usize| row.get(column).map(|text| one_line(text)).unwrap_or_default();
    let numeric: Vec<&str> = (0..table.columns.len())
        .map(|column| {
            let cells = || table.rows.iter().map(|row| cell(row, column));
            let number = |text: String| {
                text.is_empty() || text.trim_end_matches('%').trim_end().parse::<f64>().is_ok()
            };
            if cells().all(number) && !table.rows.is_empty() { " class=\"num\"" } else { "" }
        })
        .collect();
    let _ = writeln!(
        out,
        "<section class=\"card\"><h2>{}</h2><div class=\"scroll\"><table class=\"plain\"><thead><tr>",
        escape(&table.title)
    );
    for (heading, class) in table.columns.iter().zip(&numeric) {
        let _ = write!(out, "<th scope=\"col\"{class}>{}</th>", escape(&one_line(heading)));
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for (column, class) in numeric.iter().enumerate() {
            let _ = write!(out, "<td{class}>{}</td>", escape(&cell(row, column)));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>");
    if !table.note.is_empty() {
        let _ = write!(out, "<p class=\"note\">{}</p>", escape(&table.note));
    }
    out.push_str("</section>\n");
}
