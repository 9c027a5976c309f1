//! The flow of relevance as pixels; the same picture as `svg/flow.rs`.

use super::{INK, LINE, MUTED, PAPER, SIZE};
use crate::canvas::{Raster, line_height, text_width};
use crate::color::{Rgb, sequential};
use crate::data::{Flow, FlowMap, FlowStage, MethodReport};
use crate::error::Result;
use crate::svg::flow::{AROUND, THROUGH, class_color, legend_entries, parts, share_text};
use crate::svg::flow_title;
use crate::svg::ledger::REACHED;
use crate::text::{one_line, shorten, shorten_middle};

const WIDTH: usize = 980;
const ROW: usize = 44;
const NAMES: usize = 330;
/// Left and right bank of the full river.
const RIVER: (usize, usize) = (NAMES + 12, NAMES + 312);
/// Where bars of what is absorbed begin and end.
const LEAKS: (usize, usize) = (RIVER.1 + 110, WIDTH - 90);
const CELL: usize = 30;

/// Title, legend, river and heat maps.
pub(super) fn band(method: &MethodReport, flow: &Flow) -> Result<Raster> {
    let legend = legend_entries(flow);
    let legend_lines = legend_lines(&legend);
    let top = line_height(SIZE) * (1 + legend_lines) + 16;
    let river = (flow.stages.len() + 2) * ROW;
    let maps: usize = flow.maps.iter().map(map_height).sum();
    let mut page = Raster::filled(WIDTH, top + river + maps + 4, PAPER)?;
    page.text(0, 0, SIZE, INK, &shorten(&flow_title(method, flow), WIDTH / text_width("m", SIZE)));
    draw_legend(&mut page, &legend);
    let largest = flow.stages.iter().map(|s| s.absorbed_total().abs()).fold(0.0, f64::max);
    end(&mut page, top, flow, ("inputs", flow.reached));
    for (index, stage) in flow.stages.iter().enumerate() {
        row(&mut page, top + (index + 1) * ROW, flow, stage, largest);
    }
    end(&mut page, top + river - ROW, flow, ("target", flow.seed));
    let mut y = top + river;
    for map in &flow.maps {
        heat_map(&mut page, y, flow, map);
        y += map_height(map);
    }
    Ok(page)
}

fn entry_width(name: &str) -> usize {
    24 + text_width(name, SIZE) + 18
}

/// Lines that the entries take, side by side where they fit.
fn legend_lines(entries: &[(Rgb, String)]) -> usize {
    let (mut x, mut lines) = (0, 1);
    for (_, name) in entries {
        if x > 0 && x + entry_width(name) > WIDTH {
            (x, lines) = (0, lines + 1);
        }
        x += entry_width(name);
    }
    lines
}

fn draw_legend(page: &mut Raster, entries: &[(Rgb, String)]) {
    let (mut x, mut y) = (0, line_height(SIZE) + 6);
    for (color, name) in entries {
        if x > 0 && x + entry_width(name) > WIDTH {
            (x, y) = (0, y + line_height(SIZE));
        }
        page.fill(x, y, 16, 14, *color);
        page.text(x + 24, y, SIZE, MUTED, name);
        x += entry_width(name);
    }
}

/// The banks where this share of the seed flows.
fn banks(share: f64) -> (usize, usize) {
    let half = (RIVER.1 - RIVER.0) as f64 / 2.0 * share;
    let middle = (RIVER.0 + RIVER.1) as f64 / 2.0;
    ((middle - half).round() as usize, (middle + half).round() as usize)
}

fn end(page: &mut Raster, y: usize, flow: &Flow, (name, value): (&str, f64)) {
    page.text(0, y + 14, SIZE, INK, name);
    let (left, right) = banks(flow.part(value));
    page.fill(left, y, right - left, ROW, REACHED);
    page.text(RIVER.1 + 10, y + 14, SIZE, INK, &share_text(flow, value));
}

fn row(page: &mut Raster, y: usize, flow: &Flow, stage: &FlowStage, largest: f64) {
    let columns = NAMES / text_width("m", SIZE);
    page.text(0, y + 4, SIZE, INK, &shorten_middle(&one_line(&stage.name), columns));
    page.text(0, y + 24, SIZE, MUTED, &shorten(&one_line(&stage.about), columns));
    let absorbed = stage.absorbed_total();
    let (below, above) = (flow.part(stage.arrived), flow.part(stage.arrived - absorbed));
    let main = stage.absorbed.iter().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
    let (inner_left, inner_right) = banks(above);
    for line in 0..ROW {
        let share = above + (below - above) * (line as f64 + 1.0) / ROW as f64;
        let (left, right) = banks(share);
        if let Some((class, _)) = main {
            page.fill(left, y + line, right - left, 1, class_color(flow, class));
        }
        page.fill(inner_left, y + line, inner_right - inner_left, 1, REACHED);
    }
    if let Some((around, _)) = stage.split.and_then(|s| parts(s.around, s.through)) {
        let wide = (inner_right - inner_left).saturating_sub(4);
        let border = (wide as f64 * around).round() as usize;
        page.fill(inner_left + 2, y + 11, border, ROW - 22, AROUND);
        page.fill(inner_left + 2 + border, y + 11, wide - border, ROW - 22, THROUGH);
    }
    page.text(RIVER.1 + 10, y + 14, SIZE, INK, &share_text(flow, stage.arrived));
    let mut x = LEAKS.0;
    for (class, value) in &stage.absorbed {
        let part = if largest > 0.0 && value.is_finite() { (value.abs() / largest).min(1.0) } else { 0.0 };
        let length = (part * (LEAKS.1 - LEAKS.0) as f64).round() as usize;
        page.fill(x, y + 12, length, 18, class_color(flow, class));
        x += length;
    }
    if absorbed != 0.0 {
        let text = share_text(flow, absorbed);
        page.text(WIDTH.saturating_sub(text_width(&text, SIZE)), y + 14, SIZE, INK, &text);
    }
}

fn map_height(map: &FlowMap) -> usize {
    line_height(SIZE) * 3 + map.rows.len() * CELL + 30
}

/// Cells in the colour of their magnitude, with the names of columns above where these are short.
fn heat_map(page: &mut Raster, top: usize, flow: &Flow, map: &FlowMap) {
    let count = map.rows.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    let largest = map.largest();
    let title = format!("{}; darkest {}", one_line(&map.title), share_text(flow, largest));
    page.text(0, top + 20, SIZE, INK, &shorten(&title, WIDTH / text_width("m", SIZE)));
    let Some(cell) = (WIDTH - NAMES - 2).checked_div(count).map(|c| c.clamp(1, 60)) else { return };
    let first = top + 20 + line_height(SIZE) * 2;
    for (index, name) in map.columns.iter().take(count).enumerate() {
        let fitting = cell / text_width("m", SIZE);
        if fitting >= 2 {
            let name = shorten(&one_line(name), fitting);
            page.text(NAMES + index * cell + 4, first - line_height(SIZE), SIZE, MUTED, &name);
        }
    }
    for (line, (name, values)) in map.rows.iter().enumerate() {
        let y = first + line * CELL;
        page.text(0, y + 8, SIZE, INK, &shorten_middle(&one_line(name), NAMES / text_width("m", SIZE)));
        for (index, value) in values.iter().enumerate() {
            let position = if largest > 0.0 && value.is_finite() { value.abs() / largest } else { 0.0 };
            page.fill(NAMES + index * cell, y, cell, CELL, sequential(position));
        }
    }
    page.frame(NAMES, first, count * cell, map.rows.len() * CELL, LINE);
}
