//! One method's card: what it found, whether it adds up, where the relevance went.

use super::row::{color_bar, img};
use super::{bars, passage, plane, tokens, warnings};
use crate::balance::Balance;
use crate::data::{ChannelReport, ImageView, InputView, Ledger, MethodReport, RowReport};
use crate::error::Result;
use crate::features;
use crate::prepare::{Prepared, prepare, prepare_channels};
use crate::scale::DEFAULT_PERCENTILE;
use crate::svg::{
    self,
    bars::{feature_bars, two_sided},
    images, ledger, scatter,
};
use crate::text::{count, escape, one_line, percent, signed};
use std::fmt::Write;

/// Features listed per method.
const FEATURES: usize = 12;
/// Columns of a table are all listed up to this many.
const COLUMNS: usize = 30;
/// Nodes listed in a ledger.
const NODES: usize = 8;
/// Width at which charts are drawn; they shrink with the page.
const CHART: f64 = 982.0;

/// The whole card; `scope` is a name that no other card of the page has.
pub(super) fn card(out: &mut String, row: &RowReport, report: &MethodReport, scope: &str) {
    let _ = writeln!(out, "<article class=\"card {scope}\"><h3>{}</h3>", escape(&one_line(&report.name)));
    parameters(out, report);
    if let Some(plane) = &report.plane {
        plane::style(out, plane, scope);
    }
    warnings(out, &report.warnings);
    for index in 0..row.inputs.len() {
        match prepare(row, report, index, DEFAULT_PERCENTILE) {
            Ok(item) => {
                if row.inputs.len() > 1 {
                    let _ = writeln!(out, "<h4>Input {}</h4>", escape(&one_line(&item.input.name)));
                }
                let parts = prepare_channels(row, report, index, DEFAULT_PERCENTILE);
                if let Err(error) = parts.and_then(|parts| attribution(out, &item, &parts)) {
                    warnings(out, &[error.to_string()]);
                }
            }
            Err(error) => warnings(out, &[error.to_string()]),
        }
    }
    if let Some(chart) = report.scatter.as_ref().and_then(|points| scatter::chart(points, CHART)) {
        out.push_str(&chart.inline("Two values per feature"));
    }
    if let Some(plane) = &report.plane {
        plane::part(out, plane, CHART);
    }
    completeness(out, report);
    if !report.evidence.is_empty() {
        out.push_str("<h4>Evidence</h4>\n");
        let shown: Vec<(&str, String)> =
            report.evidence.iter().map(|(name, value)| (name.as_str(), one_line(value))).collect();
        facts(out, &shown);
    }
    if let Some(account) = &report.ledger {
        ledger_part(out, "Ledger", account);
    }
    for channel in &report.channels {
        if let Some(account) = &channel.ledger {
            ledger_part(out, &format!("Ledger of {}", channel.title()), account);
        }
    }
    for flow in &report.flows {
        let title = svg::flow_title(report, flow);
        let _ = writeln!(out, "<h4>{}</h4>", escape(&title));
        out.push_str(&svg::flow::chart(flow, CHART).inline(&title));
    }
    out.push_str("</article>\n");
}

fn parameters(out: &mut String, report: &MethodReport) {
    if report.parameters.is_empty() {
        return;
    }
    out.push_str("<p class=\"parameters\">");
    for (key, value) in &report.parameters {
        let _ = write!(out, "<code>{}={}</code> ", escape(&one_line(key)), escape(&one_line(value)));
    }
    out.push_str("</p>\n");
}

/// The picture that suits the input, its colour bar, and the strongest features as a table.
fn attribution(out: &mut String, item: &Prepared, parts: &[(&ChannelReport, Prepared)]) -> Result<()> {
    if item.scale.non_finite() > 0 {
        let values = count(item.scale.non_finite(), "attribution value");
        warnings(out, &[format!("{values} not finite. Drawn as zero; do not rely on this map.")]);
    }
    match &item.input.view {
        InputView::Image(image) => {
            let picture = images::input(image)?;
            if let Some(pictures) = images::pictures(image, item)? {
                out.push_str("<div class=\"figures\">");
                figure(out, image, &picture, "Input", "");
                for (channel, part) in parts {
                    if let Some(map) = images::pictures(image, part)? {
                        figure(out, image, &map.heat, &channel.title(), &part.scale.describe());
                    }
                }
                if let Some(balance) = Balance::of(parts) {
                    let map = balance.draw(image, images::embedded_zoom(image))?.to_png()?;
                    figure(out, image, &map, "Balance", &balance.caption());
                }
                let name = if parts.is_empty() { "Heat-map" } else { "Difference" };
                figure(out, image, &pictures.heat, name, "sum over channels");
                figure(out, image, &pictures.overlay, "Overlay", "over the grey input");
                out.push_str("</div>\n");
            }
            color_bar(out, item);
        }
        InputView::Tokens { ids, texts } => {
            for (channel, part) in parts {
                let about = format!("{}; {}", channel.title(), part.scale.describe());
                let _ = writeln!(out, "<p class=\"note\">{}</p>", escape(&about));
                tokens::paragraph(out, ids, texts.as_deref(), part.reduced.values(), &part.scale);
            }
            if !parts.is_empty() {
                out.push_str("<p class=\"note\">difference of the two</p>\n");
            }
            tokens::paragraph(out, ids, texts.as_deref(), item.reduced.values(), &item.scale);
            color_bar(out, item);
            feature_table(out, item, parts, FEATURES);
        }
        InputView::Text(text) => {
            for (channel, part) in parts {
                let about = format!("{}; {}", channel.title(), part.scale.describe());
                let _ = writeln!(out, "<p class=\"note\">{}</p>", escape(&about));
                passage::paragraph(out, text, part.reduced.values(), &part.scale, &|_| None);
            }
            if !parts.is_empty() {
                out.push_str("<p class=\"note\">difference of the two</p>\n");
            }
            let types = item.method.plane.as_ref().map(|plane| plane.of_positions(text.tokens.len()));
            let of = |at: usize| types.as_ref().and_then(|types| types.get(at).copied().flatten());
            passage::paragraph(out, text, item.reduced.values(), &item.scale, &of);
            color_bar(out, item);
            // The table of types lists the same and more.
            if item.method.plane.is_none() {
                feature_table(out, item, parts, FEATURES);
            }
        }
        InputView::Columns { .. } => feature_table(out, item, parts, COLUMNS),
        InputView::Series { .. } | InputView::Other { .. } => {
            for (channel, part) in parts {
                let label = channel.title();
                let _ = writeln!(out, "<p class=\"note\">{}</p>", escape(&label));
                out.push_str(&svg::attribution(part, CHART, FEATURES).inline(&label));
                color_bar(out, part);
            }
            let label = format!("Attribution of {}", item.input.view.summary());
            if !parts.is_empty() {
                out.push_str("<p class=\"note\">difference of the two</p>\n");
            }
            out.push_str(&svg::attribution(item, CHART, FEATURES).inline(&label));
            color_bar(out, item);
            feature_table(out, item, parts, FEATURES);
        }
    }
    Ok(())
}

fn feature_table(out: &mut String, item: &Prepared, parts: &[(&ChannelReport, Prepared)], limit: usize) {
    let values = item.reduced.values();
    let list = features::top(&item.input.view, &item.reduced, limit);
    if let [(_, positive), (_, negative)] = parts {
        let sides = [positive.reduced.values(), negative.reduced.values()];
        let bars = two_sided(&item.input.view, &item.reduced, sides, limit);
        if !bars.is_empty() {
            let caption = "Red: for the target, blue: for its alternatives; then the difference";
            bars::table(out, caption, &bars, None);
        }
        return;
    }
    if list.is_empty() {
        out.push_str("<p class=\"note\">All attributions are zero.</p>\n");
        return;
    }
    let with_effect = values.iter().filter(|value| value.is_finite() && **value != 0.0).count();
    let zeros = values.len() - with_effect;
    let mut caption = "Strongest attributions, by magnitude".to_string();
    if with_effect > list.len() {
        caption += &format!("; {} smaller not listed", with_effect - list.len());
    }
    if zeros > 0 {
        caption += &format!("; {zeros} at zero");
    }
    bars::table(out, &caption, &feature_bars(&list, item.scale.polarity()), None);
}

/// A picture with its caption. Small pictures are enlarged without smoothing.
pub(super) fn figure(out: &mut String, image: &ImageView, png: &[u8], name: &str, note: &str) {
    let class = if image.width.max(image.height) < 160 { "pixels" } else { "photo" };
    let note = if note.is_empty() { String::new() } else { format!(" <small>{}</small>", escape(note)) };
    let _ = writeln!(
        out,
        "<figure>{}<figcaption>{}{note}</figcaption></figure>",
        img(png, name, class),
        escape(name)
    );
}

/// Names and values in a row; empty values are left out.
pub(super) fn facts(out: &mut String, list: &[(&str, String)]) {
    let shown: Vec<_> = list.iter().filter(|(_, value)| !value.is_empty()).collect();
    if shown.is_empty() {
        return;
    }
    out.push_str("<dl class=\"facts\">");
    for (name, value) in shown {
        let _ = write!(out, "<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value));
    }
    out.push_str("</dl>\n");
}

/// Sum, expected sum and gap.
fn completeness(out: &mut String, report: &MethodReport) {
    if !report.adds_up() {
        return;
    }
    out.push_str("<h4>Completeness</h4>\n");
    let gap = report.gap.map(|gap| match report.relative_gap() {
        Some(relative) => format!("{} ({} of the expected sum)", svg::gap_text(gap), percent(relative)),
        None => svg::gap_text(gap),
    });
    let expected = report.expected.map_or_else(|| "none: this method promises no total".to_string(), signed);
    facts(
        out,
        &[
            ("Sum of attributions", signed(report.sum)),
            ("Expected", expected),
            ("Gap", gap.unwrap_or_default()),
        ],
    );
}

/// The stacked bar, its parts, and the nodes that absorbed the most.
fn ledger_part(out: &mut String, title: &str, account: &Ledger) {
    let shares = ledger::shares(account);
    let share_bars = ledger::share_bars(account, &shares);
    let _ = writeln!(out, "<h4>{}</h4>", escape(title));
    if let Some(parts) = ledger::stacked_parts(account, &shares) {
        out.push_str("<div class=\"stack\" aria-hidden=\"true\">");
        for ((part, share), bar) in parts.iter().zip(&share_bars) {
            let _ = write!(
                out,
                "<i style=\"flex-grow:{part:.5};background:{}\" title=\"{}\"></i>",
                share.color.hex(),
                escape(&bar.tooltip())
            );
        }
        out.push_str("</div>\n");
    }
    let caption = format!("Where the seed of {} went", signed(account.seed));
    bars::table(out, &caption, &share_bars, None);
    let nodes = ledger::node_bars(account, NODES);
    if !nodes.is_empty() {
        bars::table(out, &ledger::nodes_title(account, nodes.len()), &nodes, None);
    }
}
