//! A text as its author wrote it, each token's part on coloured ground.

use super::fragment::{Anchor, Fragment, Paint, Style};
use super::tokens::readable_on;
use crate::color;
use crate::data::{TextView, TokenKind};
use crate::html::tooltip;
use crate::passage::lay_out;
use crate::scale::Scale;
use crate::text::width as columns_of;

/// Figures with more lines than this end with a note; the HTML report holds all of them.
const MAX_LINES: usize = 60;
const LINE: f64 = 24.0;

/// Draws the text in reading order, special tokens framed.
pub(crate) fn chart(view: &TextView, values: &[f64], scale: &Scale, width: f64) -> Fragment {
    let mut out = Fragment::new(width);
    let step = Style::Code.advance();
    let (placed, is_cut) = lay_out(view, (width / step) as usize, MAX_LINES);
    for piece in &placed {
        let (x, y) = (piece.column as f64 * step, piece.line as f64 * LINE);
        let wide = columns_of(&piece.text) as f64 * step;
        let mut ink = Paint::Ink;
        if !piece.tokens.is_empty() {
            let value = piece.tokens.iter().filter_map(|t| values.get(*t)).filter(|v| v.is_finite()).sum();
            let fill = color::map(scale.polarity(), scale.position(value));
            out.rect_round(
                x,
                y,
                wide,
                LINE - 5.0,
                3.0,
                Paint::Fixed(fill),
                &tooltip(view, &piece.tokens, value),
            );
            ink = Paint::Fixed(readable_on(fill));
        }
        if piece.kind == TokenKind::Special {
            out.frame(x, y, wide, LINE - 5.0);
        }
        // Text widths differ between machines; each piece is fitted to its ground.
        out.text_stretched(x, y + 14.0, wide, ink, &piece.text);
    }
    let lines = placed.iter().map(|p| p.line + 1).max().unwrap_or(0);
    out.grow(lines as f64 * LINE);
    if is_cut {
        out.text(
            0.0,
            out.height() + 12.0,
            Style::Note,
            Anchor::Start,
            "The text goes on; the HTML report holds all of it.",
        );
        out.grow(18.0);
    }
    out
}
