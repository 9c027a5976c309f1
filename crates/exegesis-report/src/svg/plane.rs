//! Types of tokens on the plane of value and importance.

use super::fragment::{Anchor, Fragment, Paint, Style};
use crate::data::Plane;
use crate::features::visible;
use crate::plane::{MOST_BARS, lay, tooltip};
use crate::text::{number_with, shorten, width as columns_of};

const HEIGHT: f64 = 360.0;
const AXIS: f64 = 58.0;
/// At most this many names; checking each against all dots would take long for more.
const NAMED: usize = 60;

/// Draws a dot per type; `None` if there is none. On pages a dot carries the class `yN` of its type and can be reached by
/// the keyboard.
pub(crate) fn chart(plane: &Plane, width: f64, is_page: bool) -> Option<Fragment> {
    let laid = lay(plane)?;
    let plot = (width - AXIS - 10.0).max(80.0);
    let x_at = |v: f64| AXIS + (v - laid.x.0) / (laid.x.1 - laid.x.0) * plot;
    let y_at = |s: f64| 10.0 + (laid.y.1 - s) / (laid.y.1 - laid.y.0) * HEIGHT;
    let mut out = Fragment::new(width);
    out.frame(AXIS, 10.0, plot, HEIGHT);
    for curve in &laid.curves {
        let points: Vec<(f64, f64)> = curve.iter().map(|(v, s)| (x_at(*v), y_at(*s))).collect();
        out.path(&points, Paint::Line, 0.75);
    }
    out.line(x_at(0.0), 10.0, x_at(0.0), 10.0 + HEIGHT, Paint::Muted, 1.0);
    let order: Vec<usize> = plane
        .ranked()
        .into_iter()
        .filter(|at| plane.types[*at].value.is_finite() && plane.types[*at].importance.is_finite())
        .collect();
    if order.len() <= MOST_BARS {
        for at in &order {
            let kind = &plane.types[*at];
            let (x, y) = (kind.value, kind.importance);
            if let Some(error) = kind.se_value.filter(|e| e.is_finite()) {
                let (low, high) = ((x - error).max(laid.x.0), (x + error).min(laid.x.1));
                out.line(x_at(low), y_at(y), x_at(high), y_at(y), Paint::Muted, 0.75);
            }
            if let Some(error) = kind.se_importance.filter(|e| e.is_finite()) {
                let (low, high) = ((y - error).max(laid.y.0), (y + error).min(laid.y.1));
                out.line(x_at(x), y_at(low), x_at(x), y_at(high), Paint::Muted, 0.75);
            }
        }
    }
    let mut labels: Vec<(f64, f64, f64)> = Vec::new();
    // Large dots first, so that small ones are not hidden.
    let mut by_size = order.clone();
    by_size.sort_by(|a, b| laid.radii[*b].total_cmp(&laid.radii[*a]));
    for at in &by_size {
        let kind = &plane.types[*at];
        let paint = if kind.value < 0.0 { Paint::Negative } else { Paint::Positive };
        let (x, y, radius) = (x_at(kind.value), y_at(kind.importance), laid.radii[*at]);
        if is_page {
            out.open_dot(*at);
        }
        match kind.is_identified {
            true => out.circle(x, y, radius, paint, &tooltip(plane, *at)),
            false => out.ring(x, y, radius, paint, &tooltip(plane, *at)),
        }
        if is_page {
            out.close_dot();
        }
    }
    for at in order.iter().take(NAMED) {
        let kind = &plane.types[*at];
        let (x, y, radius) = (x_at(kind.value), y_at(kind.importance), laid.radii[*at]);
        let label = shorten(&visible(&kind.label), 18);
        let wide = columns_of(&label) as f64 * Style::Note.advance();
        let right = x < AXIS + plot * 0.6;
        let left = if right { x + radius + 3.0 } else { x - radius - 3.0 - wide };
        // A name is left out where it would cover another one; the tooltip still has it.
        let covered = left < AXIS
            || left + wide > AXIS + plot
            || labels
                .iter()
                .any(|(l, w, line)| (line - y).abs() < 12.0 && left < l + w + 3.0 && *l < left + wide + 3.0);
        if !covered {
            let (dx, anchor) =
                if right { (radius + 3.0, Anchor::Start) } else { (-radius - 3.0, Anchor::End) };
            out.text_painted(x + dx, y + 4.0, Style::Note, anchor, Paint::Ink, &label);
            labels.push((left, wide, y));
        }
    }
    let below = HEIGHT + 26.0;
    out.text(AXIS, below, Style::Note, Anchor::Start, &number_with(laid.x.0, 3));
    out.text(AXIS + plot, below, Style::Note, Anchor::End, &number_with(laid.x.1, 3));
    out.text(AXIS + plot / 2.0, below, Style::Label, Anchor::Middle, "value: log-odds if it stood alone");
    out.text(AXIS - 6.0, 20.0, Style::Note, Anchor::End, &number_with(laid.y.1, 3));
    out.text(AXIS - 6.0, 10.0 + HEIGHT, Style::Note, Anchor::End, &number_with(laid.y.0, 3));
    out.text(
        AXIS + 6.0,
        24.0,
        Style::Label,
        Anchor::Start,
        "importance: how strongly it takes the attention",
    );
    out.grow(HEIGHT + 36.0);
    Some(out)
}
