//! Two numbers per feature as points, the ones farthest from zero named.

use super::fragment::{Anchor, Fragment, Paint, Style};
use crate::data::Scatter;
use crate::features::visible;
use crate::text::{number, number_with, one_line, shorten, width as columns_of};

const HEIGHT: f64 = 300.0;
const AXIS: f64 = 58.0;
/// At most this many names; checking each against all points would take long for more.
const NAMED: usize = 24;

/// Draws the points; `None` if no point has two finite coordinates.
pub(crate) fn chart(scatter: &Scatter, width: f64) -> Option<Fragment> {
    let points: Vec<_> = scatter.points.iter().filter(|p| p.x.is_finite() && p.y.is_finite()).collect();
    if points.is_empty() {
        return None;
    }
    let (x_low, x_high) = range(points.iter().map(|p| p.x));
    let (y_low, y_high) = range(points.iter().map(|p| p.y));
    let plot = (width - AXIS - 10.0).max(80.0);
    let x_at = |x: f64| AXIS + (x - x_low) / (x_high - x_low) * plot;
    let y_at = |y: f64| 10.0 + (y_high - y) / (y_high - y_low) * HEIGHT;
    let mut out = Fragment::new(width);
    out.frame(AXIS, 10.0, plot, HEIGHT);
    if x_low < 0.0 && x_high > 0.0 {
        out.line(x_at(0.0), 10.0, x_at(0.0), 10.0 + HEIGHT, Paint::Line, 1.0);
    }
    if y_low < 0.0 && y_high > 0.0 {
        out.line(AXIS, y_at(0.0), AXIS + plot, y_at(0.0), Paint::Line, 1.0);
    }
    let mut order: Vec<usize> = (0..points.len()).collect();
    let distance =
        |index: usize| (points[index].x / (x_high - x_low)).hypot(points[index].y / (y_high - y_low));
    order.sort_by(|a, b| distance(*b).total_cmp(&distance(*a)));
    let mut labels: Vec<(f64, f64, f64)> = Vec::new();
    for index in order {
        let point = points[index];
        let (x, y) = (x_at(point.x), y_at(point.y));
        let paint = if point.x < 0.0 { Paint::Negative } else { Paint::Positive };
        let tooltip = format!("{}: {}, {}", one_line(&point.label), number(point.x), number(point.y));
        out.circle(x, y, 4.0, paint, &tooltip);
        let label = shorten(&visible(&point.label), 18);
        let wide = columns_of(&label) as f64 * Style::Note.advance();
        let right = x < AXIS + plot / 2.0;
        let left = if right { x + 8.0 } else { x - 8.0 - wide };
        // A name is left out where it would cover another one or a point; the tooltip still has it.
        let covered = labels
            .iter()
            .any(|(l, w, at)| (at - y).abs() < 13.0 && left < l + w + 4.0 && *l < left + wide + 4.0)
            || points.iter().any(|p| {
                (y_at(p.y) - y).abs() < 9.0 && x_at(p.x) > left - 3.0 && x_at(p.x) < left + wide + 3.0
            });
        if labels.len() < NAMED && !covered {
            let (dx, anchor) = if right { (8.0, Anchor::Start) } else { (-8.0, Anchor::End) };
            out.text(x + dx, y + 4.0, Style::Note, anchor, &label);
            labels.push((left, wide, y));
        }
    }
    let below = HEIGHT + 26.0;
    out.text(AXIS, below, Style::Note, Anchor::Start, &number_with(x_low, 3));
    out.text(AXIS + plot, below, Style::Note, Anchor::End, &number_with(x_high, 3));
    out.text(AXIS + plot / 2.0, below, Style::Label, Anchor::Middle, &one_line(&scatter.x_label));
    out.text(AXIS - 6.0, 20.0, Style::Note, Anchor::End, &number_with(y_high, 3));
    out.text(AXIS - 6.0, 10.0 + HEIGHT, Style::Note, Anchor::End, &number_with(y_low, 3));
    out.text(AXIS + 6.0, 24.0, Style::Label, Anchor::Start, &one_line(&scatter.y_label));
    out.grow(HEIGHT + 36.0);
    Some(out)
}

/// Smallest and largest value with a margin of a twelfth; never empty.
fn range(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    let margin = if high > low { (high - low) / 12.0 } else { high.abs().max(1.0) * 0.5 };
    (low - margin, high + margin)
}
