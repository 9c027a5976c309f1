//! Inputs without pixels as bar charts and strips of pixels.

use super::{GAP, INK, LINE, MUTED, PAPER, PngOptions, SIZE, color_bar, method_lines};
use crate::canvas::{Raster, line_height, text_width};
use crate::color;
use crate::data::{InputView, MethodReport, Polarity, RowReport};
use crate::error::Result;
use crate::features;
use crate::prepare::{Prepared, prepare, prepare_channels};
use crate::scale::Scale;
use crate::svg::bars::{self, Bar};
use crate::svg::fragment::Paint;
use crate::text::{one_line, shorten};

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
    let parts = prepare_channels(row, method, index, options.percentile)?;
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
    let one = strips * (STRIP + 4 + label) + GAP + line_height(SIZE) * 2;
    // Parts that are kept apart have strips of their own, each with a title.
    let title = if parts.is_empty() { 0 } else { line_height(SIZE) };
    let strips_height = if strips > 0 { (parts.len() + 1) * (one + title) } else { 8 };
    let two_sided = match parts.as_slice() {
        [(_, positive), (_, negative)] if strips == 0 => {
            let sides = [positive.reduced.values(), negative.reduced.values()];
            bars::two_sided(&input.view, &reduced, sides, options.top.max(1))
        }
        _ => Vec::new(),
    };
    let bars_height = features.len().max(two_sided.len()).max(1) * BAR_STEP + title;
    let mut page = Raster::filled(WIDTH, text_height + strips_height + bars_height, PAPER)?;
    for (line, (color, text)) in lines.iter().enumerate() {
        page.text(0, line * line_height(SIZE), SIZE, *color, text);
    }
    let kept_apart =
        parts.iter().map(|(channel, part)| (channel.title(), part.reduced.values(), &part.scale));
    let whole = ("difference of the two".to_string(), reduced.values(), &scale);
    for (place, (name, values, scale)) in kept_apart.chain([whole]).enumerate().filter(|_| strips > 0) {
        let mut y = text_height + 6 + place * (one + title);
        if title > 0 {
            page.text(0, y, SIZE, INK, &name);
        }
        y += title;
        let per_strip = match &input.view {
            InputView::Series { length, .. } => (*length).max(1),
            _ => values.len().max(1),
        };
        for (place, strip) in values.chunks(per_strip).take(strips).enumerate() {
            if let Some(name) = named.get(place) {
                page.text(0, y, SIZE, MUTED, &shorten(name, 70));
            }
            y += label;
            draw_strip(&mut page, y, strip, scale);
            y += STRIP + 4;
        }
        color_bar(&mut page, WIDTH - WIDTH / 3, y + 4, WIDTH / 3 - 1, scale);
    }
    let top = text_height + strips_height;
    match two_sided.is_empty() {
        true => draw_bars(&mut page, top, &bars::feature_bars(&features, scale.polarity())),
        false => {
            page.text(
                0,
                top,
                SIZE,
                MUTED,
                "red: for the target, blue: for its alternatives; then the difference",
            );
            draw_bars(&mut page, top + title, &two_sided);
        }
    }
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
fn draw_bars(page: &mut Raster, top: usize, bars: &[Bar]) {
    if bars.is_empty() {
        page.text(0, top, SIZE, MUTED, "All attributions are zero.");
        return;
    }
    let left = text_width(&"m".repeat(NAME_COLUMNS + 1), SIZE);
    let right = WIDTH - text_width(&"m".repeat(NUMBER_COLUMNS), SIZE);
    let largest = bars.iter().map(|bar| bar.value.abs().max(bar.counter)).fold(0.0, f64::max);
    let has_negative = bars.iter().any(|bar| bar.value < 0.0 || bar.counter > 0.0);
    let (zero, span) =
        if has_negative { ((left + right) / 2, (right - left) / 2) } else { (left, right - left) };
    let length = |value: f64| match largest > 0.0 {
        true => (value.abs() / largest * span as f64).round() as usize,
        false => 0,
    };
    for (line, bar) in bars.iter().enumerate() {
        let y = top + line * BAR_STEP;
        let name = format!("{} {}", bar.label, bar.note);
        page.text(0, y + 2, SIZE, INK, &shorten(&name, NAME_COLUMNS));
        let own = length(bar.value);
        let x = if bar.value < 0.0 { zero.saturating_sub(own) } else { zero };
        let polarity = if bar.paint == Paint::Magnitude { Polarity::Unsigned } else { Polarity::Signed };
        page.fill(x, y + 3, own, BAR_STEP - 10, color::strong(polarity, bar.value));
        let counter = length(bar.counter);
        page.fill(
            zero.saturating_sub(counter),
            y + 3,
            counter,
            BAR_STEP - 10,
            color::strong(Polarity::Against, 1.0),
        );
        page.text(WIDTH.saturating_sub(text_width(&bar.text, SIZE)), y + 2, SIZE, INK, &bar.text);
    }
    page.fill(zero, top, 1, bars.len() * BAR_STEP - 4, MUTED);
}
