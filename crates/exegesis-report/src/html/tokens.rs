//! Tokens as running text with coloured backgrounds.

use crate::data::Polarity;
use crate::features::visible;
use crate::scale::Scale;
use crate::text::{escape, signed};
use std::fmt::Write;

/// Writes every token; the attribution is the opacity of its background and the tooltip.
///
/// Opacity rather than the map's own colours, because the text has to be readable on light and dark pages.
pub(super) fn paragraph(
    out: &mut String,
    ids: &[i64],
    texts: Option<&[String]>,
    values: &[f64],
    scale: &Scale,
) {
    let kind = if texts.is_some() { "tokens" } else { "tokens ids" };
    let _ = write!(out, "<p class=\"{kind}\">");
    for (index, id) in ids.iter().enumerate() {
        let value = values.get(index).copied().unwrap_or(0.0);
        let position = scale.position(value);
        let side = side(scale, position);
        let text = texts.and_then(|texts| texts.get(index));
        // A token that is not in the list of texts shows its id rather than nothing.
        let shown = text.map_or_else(|| id.to_string(), |text| display(text));
        let name = text.map_or_else(|| format!("id {id}"), |text| format!("{} (id {id})", visible(text)));
        let tooltip = format!("{name}, position {index}: {}", signed(value));
        let _ = write!(
            out,
            "<span class=\"{side}\" style=\"--a:{:.3}\" title=\"{}\">{}</span>",
            position.abs(),
            escape(&tooltip),
            escape(&shown)
        );
        if text.is_some_and(|text| text.contains('\n')) {
            out.push_str("<br>");
        } else if texts.is_none() {
            out.push(' ');
        }
    }
    out.push_str("</p>\n");
}

/// Class of the colour of a position on the map.
pub(super) fn side(scale: &Scale, position: f64) -> &'static str {
    match scale.polarity() {
        Polarity::Unsigned => "mag",
        Polarity::Signed if position < 0.0 => "neg",
        Polarity::Signed | Polarity::For => "pos",
        Polarity::Against => "neg",
    }
}

/// Token text with its spaces kept and line breaks made visible.
fn display(text: &str) -> String {
    if text.is_empty() { "∅".to_string() } else { crate::text::one_line(text) }
}
