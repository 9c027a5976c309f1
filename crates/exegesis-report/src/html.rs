//! The report as one HTML file.

use crate::data::Report;

/// Draws the whole report as one HTML page that needs nothing else: no network, no scripts, no fonts.
pub fn render_html(report: &Report) -> String {
    crate::text::escape(&report.title)
}
