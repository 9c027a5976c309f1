//! Texts on coloured ground, and the plane of value and importance.

use super::{GAP, INK, LINE, MUTED, PAPER, PngOptions, SIZE, color_bar, method_lines, stacked};
use crate::canvas::{Raster, line_height, text_width};
use crate::color::{self, Rgb};
use crate::data::{MethodReport, Plane, Polarity, RowReport, TextView, TokenKind};
use crate::error::Result;
use crate::features::visible;
use crate::passage::lay_out;
use crate::plane::lay;
use crate::prepare::{Prepared, prepare, prepare_channels};
use crate::scale::Scale;
use crate::text::{number_with, shorten};

const WIDTH: usize = 900;
const STEP: usize = 28;
const MAX_LINES: usize = 60;
const PLOT: usize = 380;
const LEFT: usize = 80;

/// All methods of one text, one below the other.
pub(super) fn band(row: &RowReport, index: usize, view: &TextView, options: &PngOptions) -> Result<Raster> {
    let mut blocks = vec![];
    for method in &row.methods {
        let Prepared { reduced, scale, .. } = prepare(row, method, index, options.percentile)?;
        blocks.push(captions(method)?);
        for (channel, part) in prepare_channels(row, method, index, options.percentile)? {
            blocks.push(line(&channel.title())?);
            blocks.push(text(view, part.reduced.values(), &part.scale)?);
        }
        if !method.channels.is_empty() {
            blocks.push(line("difference of the two")?);
        }
        blocks.push(text(view, reduced.values(), &scale)?);
        if let Some(plane) = method.plane.as_ref() {
            blocks.extend(scatter(plane)?);
        }
    }
    stacked(&blocks)
}

fn captions(method: &MethodReport) -> Result<Raster> {
    let lines = method_lines(method, WIDTH);
    let mut page = Raster::filled(WIDTH, lines.len().max(1) * line_height(SIZE), PAPER)?;
    for (at, (color, text)) in lines.iter().enumerate() {
        page.text(0, at * line_height(SIZE), SIZE, *color, text);
    }
    Ok(page)
}

fn line(text: &str) -> Result<Raster> {
    let mut page = Raster::filled(WIDTH, line_height(SIZE), PAPER)?;
    page.text(0, 0, SIZE, INK, &shorten(text, WIDTH / text_width("m", SIZE)));
    Ok(page)
}

/// The text with its colour bar below.
fn text(view: &TextView, values: &[f64], scale: &Scale) -> Result<Raster> {
    let advance = text_width("m", SIZE);
    let (placed, is_cut) = lay_out(view, WIDTH / advance, MAX_LINES);
    let lines = placed.iter().map(|p| p.line + 1).max().unwrap_or(1) + usize::from(is_cut);
    let mut page = Raster::filled(WIDTH, lines * STEP + GAP + line_height(SIZE) * 2, PAPER)?;
    for piece in &placed {
        let (x, y) = (piece.column * advance, piece.line * STEP + 2);
        let wide = text_width(&piece.text, SIZE);
        let mut ink = INK;
        if !piece.tokens.is_empty() {
            let value: f64 =
                piece.tokens.iter().filter_map(|t| values.get(*t)).filter(|v| v.is_finite()).sum();
            let fill = color::map(scale.polarity(), scale.position(value));
            page.fill(x, y, wide, STEP - 5, fill);
            if fill.lightness() <= 0.66 {
                ink = PAPER;
            }
        }
        if piece.kind == TokenKind::Special {
            page.frame(x + 1, y + 1, wide.saturating_sub(2), STEP - 7, LINE);
        }
        page.text(x + 1, y + 3, SIZE, ink, &piece.text);
    }
    if is_cut {
        page.text(0, (lines - 1) * STEP, SIZE, MUTED, "The text goes on; the HTML report holds all of it.");
    }
    color_bar(&mut page, WIDTH - WIDTH / 3, lines * STEP + 8, WIDTH / 3 - 1, scale);
    Ok(page)
}

/// A dot per type of token; nothing if there is none.
fn scatter(plane: &Plane) -> Result<Option<Raster>> {
    let Some(laid) = lay(plane) else { return Ok(None) };
    let plot = WIDTH - LEFT - 8;
    let part = |value: f64, (low, high): (f64, f64), length: usize| {
        ((value - low) / (high - low) * length as f64).round().clamp(0.0, length as f64) as usize
    };
    let x_at = |v: f64| LEFT + part(v, laid.x, plot);
    let y_at = |s: f64| 4 + PLOT - part(s, laid.y, PLOT);
    let mut page = Raster::filled(WIDTH, PLOT + 3 * line_height(SIZE), PAPER)?;
    page.frame(LEFT, 4, plot, PLOT, LINE);
    for curve in &laid.curves {
        for pair in curve.windows(2) {
            let (from, to) = ((x_at(pair[0].0), y_at(pair[0].1)), (x_at(pair[1].0), y_at(pair[1].1)));
            segment(&mut page, from, to, LINE);
        }
    }
    page.fill(x_at(0.0), 4, 1, PLOT, MUTED);
    let mut order = plane.ranked();
    order.retain(|at| plane.types[*at].value.is_finite() && plane.types[*at].importance.is_finite());
    let mut by_size = order.clone();
    by_size.sort_by(|a, b| laid.radii[*b].total_cmp(&laid.radii[*a]));
    for at in by_size {
        let kind = &plane.types[at];
        let paint = color::strong(Polarity::Signed, if kind.value < 0.0 { -1.0 } else { 1.0 });
        let inner = if kind.is_identified { 0.0 } else { laid.radii[at] - 2.0 };
        disc(&mut page, (x_at(kind.value), y_at(kind.importance)), laid.radii[at], inner, paint);
    }
    let mut labels: Vec<(usize, usize, usize)> = vec![];
    for at in order.into_iter().take(40) {
        let kind = &plane.types[at];
        let label = shorten(&visible(&kind.label), 16);
        let (wide, radius) = (text_width(&label, SIZE), laid.radii[at] as usize + 4);
        let (x, y) = (x_at(kind.value), y_at(kind.importance).saturating_sub(9));
        let left = if x + radius + wide < WIDTH - 8 { x + radius } else { x.saturating_sub(radius + wide) };
        let covered = labels
            .iter()
            .any(|(l, w, line)| line.abs_diff(y) < 20 && left < l + w + 6 && *l < left + wide + 6);
        if !covered && left >= LEFT {
            page.text(left, y, SIZE, INK, &label);
            labels.push((left, wide, y));
        }
    }
    let below = PLOT + 12;
    let (low, high) = (number_with(laid.x.0, 3), number_with(laid.x.1, 3));
    page.text(LEFT, below, SIZE, MUTED, &low);
    page.text(WIDTH - text_width(&high, SIZE), below, SIZE, MUTED, &high);
    let title = "value: log-odds if it stood alone";
    page.text(LEFT + (plot - text_width(title, SIZE)) / 2, below, SIZE, INK, title);
    page.text(0, 4, SIZE, MUTED, &number_with(laid.y.1, 3));
    page.text(0, PLOT - 12, SIZE, MUTED, &number_with(laid.y.0, 3));
    page.text(LEFT + 8, 8, SIZE, INK, "importance");
    Ok(Some(page))
}

/// A straight line.
fn segment(page: &mut Raster, from: (usize, usize), to: (usize, usize), color: Rgb) {
    let steps = from.0.abs_diff(to.0).max(from.1.abs_diff(to.1)).max(1);
    let between = |a: usize, b: usize, step: usize| (a * (steps - step) + b * step) / steps;
    for step in 0..=steps {
        page.set(between(from.0, to.0, step), between(from.1, to.1, step), color);
    }
}

/// A disc, or with an inner radius a ring.
fn disc(page: &mut Raster, (x, y): (usize, usize), radius: f64, inner: f64, color: Rgb) {
    let reach = radius.ceil() as usize;
    for row in y.saturating_sub(reach)..=y + reach {
        for column in x.saturating_sub(reach)..=x + reach {
            let distance = (column as f64 - x as f64).hypot(row as f64 - y as f64);
            if distance <= radius && distance >= inner {
                page.set(column, row, color);
            }
        }
    }
}
