//! Exact output of small cases: what a change of layout or wording would alter is seen in review.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use exegesis_report::*;

#[test]
fn terminal() {
    let rows = common::views().into_iter().map(|(name, view, shape)| {
        let mut row = common::row(view, &shape, &[0.5, 0.0, -0.25]);
        row.name = name.into();
        row
    });
    let mut report = common::report(rows.collect());
    report.warnings.push("No preprocessing is recorded in the model; pixels were scaled to 0..1 and nothing else was done to them.".into());
    insta::assert_snapshot!("terminal", render_terminal(&report, &TerminalOptions::default()));
    let narrow = TerminalOptions { width: 48, top: 2, ..Default::default() };
    insta::assert_snapshot!("terminal_narrow", render_terminal(&report, &narrow));
}

#[test]
fn svg() {
    for (name, view, shape) in common::views() {
        let row = common::row(view, &shape, &[0.5, 0.0, -0.25]);
        let options = SvgOptions { parts: vec![SvgPart::Attribution], width: 400.0, ..Default::default() };
        let svg = render_svg(&row, &options).unwrap();
        // PNG bytes depend on the encoder's version; the pixels are tested in pictures.rs.
        let svg =
            svg.lines().map(|line| cut(line, "href=\"data:image/png;base64,")).collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(format!("svg_{name}"), svg);
    }
    let row = common::row(InputView::Tokens { ids: vec![1], texts: None }, &[1], &[1.0]);
    let options =
        SvgOptions { parts: vec![SvgPart::Prediction, SvgPart::Ledger], width: 400.0, ..Default::default() };
    insta::assert_snapshot!("svg_prediction_and_ledger", render_svg(&row, &options).unwrap());
}

/// Removes what follows a marker up to the next quotation mark.
fn cut(line: &str, marker: &str) -> String {
    match line.split_once(marker) {
        Some((before, after)) => {
            let rest = after.split_once('"').map(|(_, rest)| rest).unwrap_or_default();
            format!("{before}{marker}...\"{rest}")
        }
        None => line.to_string(),
    }
}
