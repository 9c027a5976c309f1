//! A time series: each channel's line over its attribution as coloured columns.

use super::fragment::{Anchor, Fragment, Paint, Style};
use crate::color;
use crate::scale::Scale;
use crate::text::{number_with, one_line};

const PANEL: f64 = 84.0;
const AXIS: f64 = 58.0;
/// Channels beyond this are named in a note.
const MAX_CHANNELS: usize = 24;
/// At most this many coloured columns; where steps share one, the strongest is shown.
const MAX_CELLS: usize = 480;

/// Draws every channel; `values` and `scores` are `[channels, length]`.
pub(crate) fn chart(
    channels: &[String],
    length: usize,
    values: &[f32],
    scores: &[f64],
    scale: &Scale,
    width: f64,
) -> Fragment {
    let mut out = Fragment::new(width);
    let length = length.max(1);
    let plot = (width - AXIS).max(40.0);
    for (index, name) in channels.iter().enumerate().take(MAX_CHANNELS) {
        let y = out.height();
        out.text_fitted(AXIS, y + 12.0, plot, Style::Label, Anchor::Start, &one_line(name));
        let top = y + 18.0;
        let part = |from: usize| from * length..(from + 1) * length;
        columns(&mut out, scores.get(part(index)).unwrap_or_default(), scale, top, plot);
        out.frame(AXIS, top, plot, PANEL);
        line(&mut out, values.get(part(index)).unwrap_or_default(), top, plot);
        out.grow(18.0 + PANEL + 8.0);
    }
    let y = out.height() + 4.0;
    out.text(AXIS, y, Style::Note, Anchor::Start, "step 0");
    out.text(width, y, Style::Note, Anchor::End, &format!("step {}", length - 1));
    out.grow(10.0);
    if channels.len() > MAX_CHANNELS {
        let note = format!("{} more channels are not drawn here.", channels.len() - MAX_CHANNELS);
        out.text(AXIS, out.height() + 12.0, Style::Note, Anchor::Start, &note);
        out.grow(18.0);
    }
    out
}

fn columns(out: &mut Fragment, scores: &[f64], scale: &Scale, top: f64, plot: f64) {
    let cells = scores.len().min(MAX_CELLS);
    for cell in 0..cells {
        let steps = cell * scores.len() / cells..((cell + 1) * scores.len() / cells).max(1);
        let value = strongest(scores.get(steps).unwrap_or_default(), scale);
        let wide = plot / cells as f64;
        let paint = Paint::Fixed(color::map(scale.polarity(), scale.position(value)));
        out.rect(AXIS + cell as f64 * wide, top, wide, PANEL, paint);
    }
}

/// The value with the largest magnitude on the scale.
fn strongest(values: &[f64], scale: &Scale) -> f64 {
    let larger = |best: f64, value: f64| {
        if scale.position(value).abs() > scale.position(best).abs() { value } else { best }
    };
    values.iter().copied().fold(0.0, larger)
}

/// The channel's line between its own smallest and largest value, both written on the axis.
fn line(out: &mut Fragment, values: &[f32], top: f64, plot: f64) {
    let finite = || values.iter().map(|v| f64::from(*v)).filter(|v| v.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    if low > high {
        return;
    }
    let range = high - low;
    let place = |value: f64| {
        let share = if range > 0.0 { (value - low) / range } else { 0.5 };
        top + 6.0 + (1.0 - share) * (PANEL - 12.0)
    };
    let step = plot / values.len().max(1) as f64;
    let points: Vec<(f64, f64)> = values
        .iter()
        .enumerate()
        .map(|(i, v)| (AXIS + (i as f64 + 0.5) * step, place(f64::from(*v))))
        .collect();
    // The columns are light in both page modes, so the line keeps its dark colour.
    out.path(&points, Paint::Fixed(crate::color::Rgb(28, 32, 38)), 1.4);
    out.text(AXIS - 6.0, top + 10.0, Style::Note, Anchor::End, &number_with(high, 3));
    if range > 0.0 {
        out.text(AXIS - 6.0, top + PANEL - 2.0, Style::Note, Anchor::End, &number_with(low, 3));
    }
}
