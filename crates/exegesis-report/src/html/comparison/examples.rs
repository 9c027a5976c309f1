//! The maps of all methods on some samples, side by side.

use std::fmt::Write;

use super::CHART;
use crate::comparison::ComparisonReport;
use crate::data::{InputView, RowReport};
use crate::html::method::figure;
use crate::html::row::color_bar;
use crate::html::{passage, tokens};
use crate::prepare::{Prepared, prepare};
use crate::scale::DEFAULT_PERCENTILE;
use crate::svg::{self, images};
use crate::text::{escape, one_line, percent};

/// Features listed per method of tables.
const FEATURES: usize = 6;

/// All examples.
pub(super) fn card(out: &mut String, report: &ComparisonReport) {
    if report.examples.is_empty() {
        return;
    }
    out.push_str("<section class=\"card\" id=\"examples\"><h2>Maps side by side</h2>\n");
    for row in &report.examples {
        example(out, row);
    }
    out.push_str("<p class=\"note\">Each map has its own colour range.</p></section>\n");
}

fn example(out: &mut String, row: &RowReport) {
    let _ = write!(out, "<h4>{}</h4>", escape(&one_line(&row.name)));
    if let Some(best) = row.prediction.top.first() {
        let sure = best.probability.map(|p| format!(" ({})", percent(p))).unwrap_or_default();
        let target = one_line(&row.prediction.target);
        let _ = write!(
            out,
            "<p class=\"note\">The model says {}{sure}. Explained: {}.</p>",
            escape(&one_line(&best.display_name())),
            escape(&target)
        );
    }
    out.push('\n');
    for (index, input) in row.inputs.iter().enumerate() {
        if row.inputs.len() > 1 {
            let _ = writeln!(out, "<p class=\"note\">Input {}</p>", escape(&one_line(&input.name)));
        }
        let items = row.methods.iter().filter_map(|method| {
            prepare(row, method, index, DEFAULT_PERCENTILE).ok().map(|item| (method, item))
        });
        match &input.view {
            InputView::Image(image) => {
                out.push_str("<div class=\"figures maps\">");
                if let Ok(picture) = images::input(image) {
                    figure(out, image, &picture, "Input", "");
                }
                for (method, item) in items {
                    if let Ok(Some(pictures)) = images::pictures(image, &item) {
                        figure(out, image, &pictures.heat, &one_line(&method.name), "");
                    }
                }
                out.push_str("</div>\n");
            }
            _ => {
                let mut last: Option<Prepared> = None;
                for (method, item) in items {
                    let _ = write!(out, "<p class=\"of\">{}</p>", escape(&one_line(&method.name)));
                    one(out, &item);
                    last = Some(item);
                }
                if let Some(item) = last.filter(|item| !matches!(item.input.view, InputView::Columns { .. }))
                {
                    color_bar(out, &item);
                }
            }
        }
    }
}

/// The map of one method on what is no picture.
fn one(out: &mut String, item: &Prepared) {
    match &item.input.view {
        InputView::Tokens { ids, texts } => {
            tokens::paragraph(out, ids, texts.as_deref(), item.reduced.values(), &item.scale);
        }
        InputView::Text(text) => {
            passage::paragraph(out, text, item.reduced.values(), &item.scale, &|_| None);
        }
        _ => out.push_str(&svg::attribution(item, CHART, FEATURES).inline("Attribution")),
    }
}
