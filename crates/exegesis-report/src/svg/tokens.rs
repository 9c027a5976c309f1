//! Tokens as coloured boxes that wrap like text, each with its attribution below.

use super::fragment::{Anchor, Fragment, Paint, Style};
use crate::color::{self, Rgb};
use crate::features::visible;
use crate::scale::Scale;
use crate::text::{aligned_signed, shorten, signed, width as columns_of};

/// Figures with more tokens than this end with a note; the HTML report and the saved arrays hold all of them.
const MAX_TOKENS: usize = 1500;
/// With more tokens than this the numbers below the boxes are left out.
const MAX_NUMBERED: usize = 120;
const BOX: f64 = 24.0;

/// Draws the tokens in reading order.
pub(crate) fn chart(
    ids: &[i64],
    texts: Option<&[String]>,
    values: &[f64],
    scale: &Scale,
    width: f64,
) -> Fragment {
    let mut out = Fragment::new(width);
    let numbered = ids.len() <= MAX_NUMBERED;
    // Three digits are enough to compare neighbours; the tooltip has more.
    let numbers = if numbered { aligned_signed(values, 3) } else { Vec::new() };
    let step = if numbered { BOX + 19.0 } else { BOX + 4.0 };
    let (mut x, mut y) = (0.0, 0.0);
    for (index, id) in ids.iter().enumerate().take(MAX_TOKENS) {
        let value = values.get(index).copied().unwrap_or(0.0);
        let text =
            texts.and_then(|texts| texts.get(index)).map_or_else(|| id.to_string(), |text| visible(text));
        let text = shorten(&text, 40);
        let number = numbers.get(index).cloned().unwrap_or_default();
        let content = columns_of(&text) as f64 * Style::Code.advance();
        let below = columns_of(&number) as f64 * Style::Note.advance();
        let wide = (content.max(below) + 10.0).min(width);
        if x > 0.0 && x + wide > width {
            x = 0.0;
            y += step;
        }
        let fill = color::map(scale.polarity(), scale.position(value));
        let tooltip = format!("{text} (id {id}, position {index}): {}", signed(value));
        out.rect_round(x, y, wide, BOX, 3.0, Paint::Fixed(fill), &tooltip);
        out.text_painted(
            x + wide / 2.0,
            y + 16.5,
            Style::Code,
            Anchor::Middle,
            Paint::Fixed(readable_on(fill)),
            &text,
        );
        out.text(x + wide / 2.0, y + BOX + 12.0, Style::Note, Anchor::Middle, &number);
        x += wide + 3.0;
    }
    out.grow(y + step);
    if ids.len() > MAX_TOKENS {
        let note = format!("{} more tokens are not drawn here.", ids.len() - MAX_TOKENS);
        out.text(0.0, out.height() + 12.0, Style::Note, Anchor::Start, &note);
        out.grow(18.0);
    }
    out
}

/// Dark or white text, whichever reads better on a colour.
pub(crate) fn readable_on(fill: Rgb) -> Rgb {
    if fill.lightness() > 0.66 { Rgb(28, 32, 38) } else { Rgb(255, 255, 255) }
}
