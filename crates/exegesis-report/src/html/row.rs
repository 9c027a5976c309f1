//! One explained row: prediction, pictures side by side, then each method in detail.

use super::{bars, method, warnings};
use crate::color;
use crate::data::{InputView, Polarity, RowReport};
use crate::prepare::{Prepared, prepare};
use crate::scale::DEFAULT_PERCENTILE;
use crate::svg::{fragment::data_uri, images, legend, prediction};
use crate::text::{escape, number, one_line, percent};
use std::fmt::Write;

/// Classes listed per row.
const CLASSES: usize = 8;

/// A table of all rows with links, for reports with several.
pub(super) fn contents(out: &mut String, rows: &[RowReport]) {
    out.push_str(
        "<nav class=\"card\"><h2>Rows</h2><div class=\"scroll\"><table class=\"plain\"><thead><tr><th scope=\"col\">Row</th>\
         <th scope=\"col\">Predicted</th><th scope=\"col\" class=\"num\">Score</th><th scope=\"col\" class=\"num\">Probability</th>\
         <th scope=\"col\">Explained</th></tr></thead><tbody>\n",
    );
    for (index, row) in rows.iter().enumerate() {
        let best = row.prediction.top.first();
        let _ = writeln!(
            out,
            "<tr><td><a href=\"#row-{index}\">{}</a></td><td>{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td><td>{}</td></tr>",
            escape(&one_line(&row.name)),
            best.map(|class| escape(&one_line(&class.display_name()))).unwrap_or_default(),
            best.map(|class| number(class.score)).unwrap_or_default(),
            best.and_then(|class| class.probability).map(percent).unwrap_or_default(),
            escape(&one_line(&row.prediction.target)),
        );
    }
    out.push_str("</tbody></table></div></nav>\n");
}

/// The whole row.
pub(super) fn section(out: &mut String, index: usize, row: &RowReport) {
    let kinds: Vec<String> = row
        .inputs
        .iter()
        .map(|input| format!("{}: {}", one_line(&input.name), input.view.summary()))
        .collect();
    let _ = writeln!(
        out,
        "<section class=\"row\" id=\"row-{index}\">\n<h2>{}</h2>\n<p class=\"note\">{}</p>",
        escape(&one_line(&row.name)),
        escape(&kinds.join("; "))
    );
    warnings(out, &row.warnings);
    prediction_card(out, row);
    if row.methods.len() > 1 {
        side_by_side(out, row);
    }
    for (place, report) in row.methods.iter().enumerate() {
        method::card(out, row, report, &format!("plane-{index}-{place}"));
    }
    out.push_str("</section>\n");
}

fn prediction_card(out: &mut String, row: &RowReport) {
    let prediction = &row.prediction;
    if prediction.top.is_empty() && prediction.target.is_empty() {
        return;
    }
    out.push_str("<div class=\"card\"><h3>Prediction</h3>\n");
    method::facts(
        out,
        &[
            ("Explained", one_line(&prediction.target)),
            ("Task", one_line(&prediction.task)),
            ("Output", one_line(&prediction.output_name)),
        ],
    );
    if !prediction.top.is_empty() {
        let rows = prediction::rows(prediction, CLASSES);
        let by_probability = prediction.top.iter().all(|class| class.probability.is_some());
        let (caption, full) = if by_probability {
            ("Best classes: probability, then score", Some(1.0))
        } else {
            ("Best classes: score", None)
        };
        bars::table(out, caption, &rows, full);
    }
    out.push_str("</div>\n");
}

/// Every picture beside the heat-maps of all methods, so that they can be compared at a glance.
fn side_by_side(out: &mut String, row: &RowReport) {
    for (index, input) in row.inputs.iter().enumerate() {
        let InputView::Image(image) = &input.view else { continue };
        let Ok(picture) = images::input(image) else { continue };
        let _ = writeln!(out, "<div class=\"card\"><h3>Side by side</h3><div class=\"figures\">");
        method::figure(out, image, &picture, "Input", &input.view.summary());
        for report in &row.methods {
            let Ok(item) = prepare(row, report, index, DEFAULT_PERCENTILE) else { continue };
            if let Ok(Some(pictures)) = images::pictures(image, &item) {
                method::figure(out, image, &pictures.heat, &one_line(&report.name), &item.scale.describe());
            }
        }
        out.push_str("</div><p class=\"note\">Each heat-map has its own colour range.</p></div>\n");
    }
}

/// The colour bar of a scale, with the values at its ends and what the colours mean.
pub(super) fn color_bar(out: &mut String, item: &Prepared) {
    const STOPS: usize = 16;
    let scale = &item.scale;
    let low = if scale.polarity() == Polarity::Signed { -1.0 } else { 0.0 };
    let color =
        |stop: usize| color::map(scale.polarity(), low + (1.0 - low) * stop as f64 / STOPS as f64).hex();
    let stops: Vec<String> = (0..=STOPS).map(color).collect();
    let _ = write!(
        out,
        "<div class=\"legend\"><div class=\"scale\"><i style=\"background:linear-gradient(to right,{})\"></i>",
        stops.join(",")
    );
    for label in legend::labels(scale) {
        let _ = write!(out, "<span>{}</span>", escape(&label));
    }
    let _ = writeln!(out, "</div><p class=\"note\">{}</p></div>", escape(&legend::notes(scale)));
}

/// An `img` element for embedded PNG bytes.
pub(super) fn img(png: &[u8], alt: &str, class: &str) -> String {
    format!("<img class=\"{class}\" alt=\"{}\" src=\"{}\">", escape(alt), data_uri(png))
}
