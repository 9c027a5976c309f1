//! Several methods on one input without pixels: a line per feature, a column per method.

use super::{GAP, INK, LINE, MUTED, PAPER, PngOptions, SIZE, method_lines, stacked};
use crate::canvas::{Raster, line_height, text_width};
use crate::color;
use crate::data::{InputView, RowReport};
use crate::error::Result;
use crate::features;
use crate::prepare::{Prepared, prepare};
use crate::text::{number_with, one_line, shorten};

/// From this number of methods on charts below each other can't be compared any more.
pub(super) const FROM: usize = 4;

/// Features that are shown in the order of the input; of more, the strongest.
const MOST: usize = 40;
const NAME_COLUMNS: usize = 22;
const CELL: usize = 248;
/// Methods beside each other; more of them are broken into several tables.
const COLUMNS: usize = 6;
const LINE_STEP: usize = 28;

/// True for inputs whose features have names that stand alone.
pub(super) fn suits(view: &InputView) -> bool {
    matches!(view, InputView::Tokens { .. } | InputView::Text(_) | InputView::Columns { .. })
}

/// The table of one input. Each column has a colour range of its own.
pub(super) fn band(row: &RowReport, index: usize, options: &PngOptions) -> Result<Raster> {
    let prepared: Vec<Prepared<'_>> = row
        .methods
        .iter()
        .map(|method| prepare(row, method, index, options.percentile))
        .collect::<Result<_>>()?;
    let Some(first) = prepared.first() else { return Raster::filled(1, 1, PAPER) };
    let length = first.reduced.values().len();
    let mut named: Vec<(usize, String)> = features::all(&first.input.view, &first.reduced)
        .into_iter()
        .map(|f| (f.index, format!("{} {}", f.name, f.note)))
        .collect();
    if length > MOST {
        let strength = |index: usize| {
            let positions =
                prepared.iter().filter_map(|p| Some(p.scale.position(*p.reduced.values().get(index)?).abs()));
            positions.sum::<f64>()
        };
        named.sort_by(|a, b| strength(b.0).total_cmp(&strength(a.0)));
        named.truncate(MOST);
        named.sort_by_key(|(index, _)| *index);
    }
    let tables: Vec<Raster> =
        prepared.chunks(COLUMNS).map(|part| table(part, &named, length)).collect::<Result<_>>()?;
    stacked(&tables)
}

/// Some methods beside each other.
fn table(prepared: &[Prepared<'_>], named: &[(usize, String)], length: usize) -> Result<Raster> {
    let headings: Vec<Vec<_>> = prepared.iter().map(|p| method_lines(p.method, CELL - 8)).collect();
    let head = headings.iter().map(Vec::len).max().unwrap_or(0) * line_height(SIZE) + GAP / 2;
    let left = text_width(&"m".repeat(NAME_COLUMNS + 1), SIZE);
    let mut page =
        Raster::filled(left + prepared.len() * CELL + 2, head + named.len() * LINE_STEP + 2, PAPER)?;
    for (column, (prepared, heading)) in prepared.iter().zip(headings).enumerate() {
        let x = left + column * CELL;
        for (line, (color, text)) in heading.iter().enumerate() {
            page.text(x, line * line_height(SIZE), SIZE, *color, text);
        }
        for (line, (feature, _)) in named.iter().enumerate() {
            let value = prepared.reduced.values().get(*feature).copied().unwrap_or(0.0);
            let position = prepared.scale.position(value);
            let y = head + line * LINE_STEP;
            page.fill(x, y, CELL - 4, LINE_STEP - 2, color::map(prepared.scale.polarity(), position));
            page.frame(x, y, CELL - 4, LINE_STEP - 2, LINE);
            let text = number_with(value, 3);
            // Dark ground at the ends of the maps.
            let ink = if position.abs() > 0.65 { PAPER } else { INK };
            page.text(x + CELL - 12 - text_width(&text, SIZE), y + 5, SIZE, ink, &text);
        }
    }
    for (line, (_, name)) in named.iter().enumerate() {
        page.text(0, head + line * LINE_STEP + 5, SIZE, INK, &shorten(&one_line(name), NAME_COLUMNS));
    }
    if length > named.len() {
        let text = format!("the strongest {} of {length}", named.len());
        page.text(0, head.saturating_sub(line_height(SIZE) + 4), SIZE, MUTED, &text);
    }
    Ok(page)
}
