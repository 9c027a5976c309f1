//! Any array as a strip of coloured cells in row-major order.

use super::fragment::{Anchor, Fragment, Paint, Style};
use crate::color;
use crate::scale::Scale;

const MAX_CELLS: usize = 480;
const HEIGHT: f64 = 34.0;

/// Draws the strip; where several values share a cell, the strongest is shown, and a note says so.
pub(crate) fn chart(values: &[f64], scale: &Scale, width: f64) -> Fragment {
    let mut out = Fragment::new(width);
    let cells = values.len().min(MAX_CELLS);
    for cell in 0..cells {
        let range = cell * values.len() / cells..(cell + 1) * values.len() / cells;
        let positions = values.get(range).unwrap_or_default().iter().map(|value| scale.position(*value));
        let position = positions.fold(0.0, |best: f64, p| if p.abs() > best.abs() { p } else { best });
        let wide = width / cells as f64;
        let paint = Paint::Fixed(color::map(scale.polarity(), position));
        out.rect(cell as f64 * wide, 0.0, wide, HEIGHT, paint);
    }
    out.frame(0.0, 0.0, width, HEIGHT);
    out.text(0.0, HEIGHT + 14.0, Style::Note, Anchor::Start, "element 0");
    let last = values.len().saturating_sub(1);
    out.text(width, HEIGHT + 14.0, Style::Note, Anchor::End, &format!("element {last}"));
    if values.len() > MAX_CELLS {
        let note =
            format!("each cell shows the strongest of about {} values", values.len().div_ceil(MAX_CELLS));
        out.text(width / 2.0, HEIGHT + 14.0, Style::Note, Anchor::Middle, &note);
    }
    out.grow(HEIGHT + 20.0);
    out
}
