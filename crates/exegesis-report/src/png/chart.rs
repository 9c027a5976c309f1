//! Inputs without pixels as bar charts and strips of pixels.

use super::{GAP, INK, LINE, MUTED, PAPER, PngOptions, SIZE, color_bar, method_lines};
use crate::canvas::{Raster, line_height, text_width};
use crate::color;
use crate::data::{InputView, MethodReport, RowReport};
use crate::error::Result;
use crate::features::{self, Feature};
use crate::prepare::{Prepared, prepare};
use crate::scale::Scale;
use crate::text::{aligned_signed, one_line, shorten};

const WIDTH: usize = 900;
const NAME_COLUMNS: usize = 26;
const NUMBER_COLUMNS: usize = 12;

/// All methods of one input, one below the other.
pub(super) fn band(row: &RowReport, index: usize, options: &PngOptions) -> Result<Raster> {
    let mut blocks = Vec::new();
    for method in &row.methods {
        blocks.push(method_block(row, index, method, options)?);
    }
    let height = blocks.iter().map(|block| block.height() + GAP).sum::<usize>();
    let mut page = Raster::filled(WIDTH, height, PAPER)?;
    let mut y = 0;
    for block in blocks {
        page.place(0, y, &block);
        y += block.height() + GAP;
    }
    Ok(page)
}

/// Captions, a strip of every value in order, and bars for the strongest features.
fn method_block(
    row: &RowReport,
    index: usize,
    method: &MethodReport,
    options: &PngOptions,
) -> Result<Raster> {
    let Prepared { input, reduced, scale, .. } = prepare(row, method, index, options.percentile)?;
    let mut lines = method_lines(method, WIDTH);
    lines.push((MUTED, shorten(&format!("{}: {}", one_line(&input.name), input.view.summary()), 74)));
    let strips = match &input.view {
        InputView::Columns { .. } => 0,
        InputView::Series { channels, .. } => channels.len().min(MAX_STRIPS),
        _ => 1,
    };
    let features = features::top(&input.view, &reduced, options.top.max(1));
    let text_height = lines.len() * line_height(SIZE);
    // Channels are named above their strips; a single strip needs no name.
    let named = match &input.view {
        InputView::Series { channels, .. } => channels.iter().map(|name| one_line(name)).collect(),
        _ => Vec::new(),
    };
    let label = if named.is_empty() { 0 } else { line_height(SIZE) };
    let strips_height =
        if strips > 0 { strips * (STRIP + 4 + label) + GAP + line_height(SIZE) * 2 } else { 8 };
    let bars_height = features.len().max(1) * BAR_STEP;
    let mut page = Raster::filled(WIDTH, text_height + strips_height + bars_height, PAPER)?;
    for (line, (color, text)) in lines.iter().enumerate() {
        page.text(0, line * line_height(SIZE), SIZE, *color, text);
    }
    let mut y = text_height + 6;
    if strips > 0 {
        let values = reduced.values();
        let per_strip = match &input.view {
            InputView::Series { length, .. } => (*length).max(1),
            _ => values.len().max(1),
        };
        for (place, strip) in values.chunks(per_strip).take(strips).enumerate() {
            if let Some(name) = named.get(place) {
                page.text(0, y, SIZE, MUTED, &shorten(name, 70));
            }
            y += label;
            draw_strip(&mut page, y, strip, &scale);
            y += STRIP + 4;
        }
        color_bar(&mut page, WIDTH - WIDTH / 3, y + 4, WIDTH / 3 - 1, &scale);
    }
    draw_bars(&mut page, text_height + strips_height, &features, &scale);
    Ok(page)
}

const STRIP: usize = 28;
const MAX_STRIPS: usize = 64;
const BAR_STEP: usize = 26;

/// Values from left to right; where several share a pixel column, the strongest is shown.
fn draw_strip(page: &mut Raster, y: usize, values: &[f64], scale: &Scale) {
    if values.is_empty() {
        return;
    }
    for x in 0..WIDTH - 2 {
        let position = strongest(values, x, WIDTH - 2, scale);
        page.fill(x + 1, y + 1, 1, STRIP - 2, color::map(scale.polarity(), position));
    }
    page.frame(1, y + 1, WIDTH - 2, STRIP - 2, LINE);
}

/// Position on the colour map of the strongest value in cell `cell` of `cells`.
fn strongest(values: &[f64], cell: usize, cells: usize, scale: &Scale) -> f64 {
    let start = cell * values.len() / cells;
    let end = ((cell + 1) * values.len() / cells).clamp(start + 1, values.len());
    let positions = values.get(start..end).unwrap_or_default().iter().map(|v| scale.position(*v));
    positions.fold(0.0, |best: f64, p| if p.abs() > best.abs() { p } else { best })
}

/// Bars from a common zero, names on the left, numbers on the right.
fn draw_bars(page: &mut Raster, top: usize, features: &[Feature], scale: &Scale) {
    if features.is_empty() {
        page.text(0, top, SIZE, MUTED, "All attributions are zero.");
        return;
    }
    let left = text_width(&"m".repeat(NAME_COLUMNS + 1), SIZE);
    let right = WIDTH - text_width(&"m".repeat(NUMBER_COLUMNS), SIZE);
    let largest = features.iter().map(|f| f.score.abs()).fold(0.0, f64::max);
    let has_negative = features.iter().any(|f| f.score < 0.0);
    let (zero, span) =
        if has_negative { ((left + right) / 2, (right - left) / 2) } else { (left, right - left) };
    let scores: Vec<f64> = features.iter().map(|feature| feature.score).collect();
    for (line, (feature, text)) in features.iter().zip(aligned_signed(&scores, 4)).enumerate() {
        let y = top + line * BAR_STEP;
        let name = format!("{} {}", feature.name, feature.note);
        page.text(0, y + 2, SIZE, INK, &shorten(&name, NAME_COLUMNS));
        let length =
            if largest > 0.0 { (feature.score.abs() / largest * span as f64).round() as usize } else { 0 };
        let x = if feature.score < 0.0 { zero.saturating_sub(length) } else { zero };
        page.fill(x, y + 3, length, BAR_STEP - 10, color::strong(scale.polarity(), feature.score));
        page.text(WIDTH.saturating_sub(text_width(&text, SIZE)), y + 2, SIZE, INK, &text);
    }
    page.fill(zero, top, 1, features.len() * BAR_STEP - 4, MUTED);
}
