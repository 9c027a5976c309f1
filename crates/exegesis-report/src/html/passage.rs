//! A text as its author wrote it, each token's part on coloured ground.

use super::tokens::side;
use crate::data::{TextView, TokenKind};
use crate::features::visible;
use crate::scale::Scale;
use crate::text::{escape, one_line, signed};
use std::fmt::Write;

/// Writes the text. Where `types` says which type of token a position has, it gets the class `yN` of its type, so that it
/// lights up together with its dot, and can be reached by the keyboard.
pub(super) fn paragraph(
    out: &mut String,
    view: &TextView,
    values: &[f64],
    scale: &Scale,
    types: &dyn Fn(usize) -> Option<usize>,
) {
    out.push_str("<p class=\"tokens passage\">");
    let stretches = view.stretches();
    for (place, stretch) in stretches.iter().enumerate() {
        let shown =
            if stretch.kind == TokenKind::Special { one_line(&stretch.text) } else { lines(&stretch.text) };
        let Some(first) = stretch.tokens.first() else {
            out.push_str(&escape(&shown));
            continue;
        };
        let value: f64 = stretch.tokens.iter().filter_map(|t| values.get(*t)).filter(|v| v.is_finite()).sum();
        let position = scale.position(value);
        let mut class = side(scale, position).to_string();
        let mut keyboard = "";
        if stretch.kind == TokenKind::Special {
            class += " special";
        } else if let Some(number) = types(*first) {
            let _ = write!(class, " y{number}");
            keyboard = " tabindex=\"0\"";
        }
        let _ = write!(
            out,
            "<span class=\"{class}\"{keyboard} style=\"--a:{:.3}\" title=\"{}\">{}</span>",
            position.abs(),
            escape(&tooltip(view, &stretch.tokens, value)),
            escape(&shown)
        );
        // Special tokens are no part of the text, so that nothing in it keeps them apart.
        let borders =
            stretches.get(place + 1).is_some_and(|n| n.kind != stretch.kind && !starts_apart(&n.text));
        if borders && (stretch.kind == TokenKind::Special || !stretch.tokens.is_empty()) {
            out.push(' ');
        }
    }
    out.push_str("</p>\n");
}

/// What a reader sees on hovering: the tokens, where they are, and what they got.
pub(crate) fn tooltip(view: &TextView, tokens: &[usize], value: f64) -> String {
    let named = tokens.iter().filter_map(|at| {
        let token = view.tokens.get(*at)?;
        Some(format!("{} (id {}, position {at})", visible(&token.name), token.id))
    });
    let special = tokens.iter().any(|at| view.tokens.get(*at).is_some_and(|t| t.kind == TokenKind::Special));
    let note = if special { ", special token" } else { "" };
    format!("{}{note}: {}", named.collect::<Vec<_>>().join(", "), signed(value))
}

fn starts_apart(text: &str) -> bool {
    text.starts_with(char::is_whitespace)
}

/// Text with its line breaks and tabs kept, everything else that moves a cursor made visible.
fn lines(text: &str) -> String {
    let parts: Vec<String> = text.split('\n').map(|line| one_line(line.trim_end_matches('\r'))).collect();
    parts.join("\n")
}
