//! The flow of relevance as a river: input at the top, target at the bottom; what is absorbed leaves at the banks, and
//! where a shortcut leads around a block the river divides into two lanes.

use super::fragment::{Anchor, Fragment, Paint, Style};
use super::ledger::{CLASSES, REACHED};
use crate::color::{Rgb, sequential};
use crate::data::{Flow, FlowMap, FlowStage};
use crate::text::{number, one_line, percent, shorten, shorten_middle, width as columns_of};

/// The lane of the shortcut and the lane through the layers.
pub(crate) const AROUND: Rgb = Rgb(168, 221, 201);
pub(crate) const THROUGH: Rgb = Rgb(0, 98, 78);
const ROW: f64 = 36.0;
/// Height of the part of a row in which the lanes are drawn.
const LANES: (f64, f64) = (9.0, 27.0);

/// Where the columns of the chart are.
struct Columns {
    names: f64,
    river: (f64, f64),
    leaks: (f64, f64),
    width: f64,
}

impl Columns {
    fn of(width: f64) -> Self {
        let names = width * 0.30;
        let river = (names + 12.0, names + 12.0 + width * 0.32);
        let leaks = (river.1 + 74.0, width - 62.0);
        Self { names, river, leaks, width }
    }

    /// The river's banks where this share of the seed flows.
    fn banks(&self, share: f64) -> (f64, f64) {
        let (left, right) = self.river;
        let (middle, half) = ((left + right) / 2.0, (right - left) / 2.0 * share);
        (middle - half, middle + half)
    }
}

/// Colour of a class of absorbers within a flow.
pub(crate) fn class_color(flow: &Flow, class: &str) -> Rgb {
    let place = flow.classes.iter().position(|name| name == class).unwrap_or(0);
    CLASSES[place % CLASSES.len()]
}

/// Everything about a stage in words.
fn tooltip(flow: &Flow, stage: &FlowStage) -> String {
    let share = |value: f64| share_text(flow, value);
    let mut text = format!("{} ({}): {} arrived", stage.name, stage.about, share(stage.arrived));
    for (class, value) in &stage.absorbed {
        text += &format!(", {} {class}", share(*value));
    }
    if let Some(split) = stage.split {
        text += &format!("; {} around, {} through the layers", share(split.around), share(split.through));
    }
    one_line(&text)
}

/// A value as a share of the seed, or as it is where the seed is 0.
pub(crate) fn share_text(flow: &Flow, value: f64) -> String {
    let share = value / flow.seed;
    if flow.seed != 0.0 && share.is_finite() { percent(share) } else { number(value) }
}

/// The river, its leaks, and the heat maps.
pub(crate) fn chart(flow: &Flow, width: f64) -> Fragment {
    let columns = Columns::of(width);
    let mut out = Fragment::new(width);
    legend(&mut out, flow);
    let top = out.height() + 8.0;
    out.text(columns.river.0, top + 10.0, Style::Note, Anchor::Start, "relevance");
    out.text(columns.leaks.0, top + 10.0, Style::Note, Anchor::Start, "absorbed here");
    end(&mut out, &columns, top + 18.0, flow, ("inputs", flow.reached));
    let first = top + 18.0 + ROW;
    let largest = flow.stages.iter().map(|s| s.absorbed_total().abs()).fold(0.0, f64::max);
    for (index, stage) in flow.stages.iter().enumerate() {
        row(&mut out, &columns, first + index as f64 * ROW, (flow, stage), largest);
    }
    let last = first + flow.stages.len() as f64 * ROW;
    end(&mut out, &columns, last, flow, ("target", flow.seed));
    out.grow(last + ROW - out.height());
    for map in &flow.maps {
        out.stack(16.0, heat_map(flow, map, width));
    }
    out
}

/// The first or last row: what flows in or out of the model.
fn end(out: &mut Fragment, columns: &Columns, y: f64, flow: &Flow, (name, value): (&str, f64)) {
    let (left, right) = columns.banks(flow.part(value));
    out.text(0.0, y + 22.0, Style::Strong, Anchor::Start, name);
    let tip = format!("{name}: {}", share_text(flow, value));
    out.rect_round(left, y, right - left, ROW, 0.0, Paint::Fixed(REACHED), &tip);
    out.text(columns.river.1 + 8.0, y + 22.0, Style::Number, Anchor::Start, &share_text(flow, value));
}

fn row(out: &mut Fragment, columns: &Columns, y: f64, (flow, stage): (&Flow, &FlowStage), largest: f64) {
    let tip = tooltip(flow, stage);
    out.text_fitted(0.0, y + 15.0, columns.names, Style::Label, Anchor::Start, &middle(stage, columns.names));
    out.text_fitted(0.0, y + 29.0, columns.names, Style::Note, Anchor::Start, &one_line(&stage.about));
    let absorbed = stage.absorbed_total();
    let (below, above) =
        (columns.banks(flow.part(stage.arrived)), columns.banks(flow.part(stage.arrived - absorbed)));
    let main = stage.absorbed.iter().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
    if let Some((class, _)) = main {
        let paint = Paint::Fixed(class_color(flow, class));
        out.polygon(&[(above.0, y), (below.0, y + ROW), (above.0, y + ROW)], paint, &tip);
        out.polygon(&[(above.1, y), (below.1, y + ROW), (above.1, y + ROW)], paint, &tip);
    }
    let river = [(above.0, y), (above.1, y), (above.1, y + ROW), (above.0, y + ROW)];
    out.polygon(&river, Paint::Fixed(REACHED), &tip);
    if let Some((around, _)) = stage.split.and_then(|s| parts(s.around, s.through)) {
        let (left, right) = (above.0 + 2.0, above.1 - 2.0);
        let border = left + (right - left) * around;
        let height = LANES.1 - LANES.0;
        out.rect_round(left, y + LANES.0, border - left, height, 0.0, Paint::Fixed(AROUND), &tip);
        out.rect_round(border, y + LANES.0, right - border, height, 0.0, Paint::Fixed(THROUGH), &tip);
    }
    out.text(columns.river.1 + 8.0, y + 22.0, Style::Number, Anchor::Start, &share_text(flow, stage.arrived));
    let mut x = columns.leaks.0;
    for (class, value) in &stage.absorbed {
        let length =
            if largest > 0.0 { value.abs() / largest * (columns.leaks.1 - columns.leaks.0) } else { 0.0 };
        let paint = Paint::Fixed(class_color(flow, class));
        let name = format!("{}: {} {}", one_line(&stage.name), share_text(flow, *value), one_line(class));
        out.rect_round(x, y + 10.0, length, 14.0, 0.0, paint, &name);
        x += if length.is_finite() { length } else { 0.0 };
    }
    if absorbed != 0.0 {
        out.text(columns.width, y + 22.0, Style::Number, Anchor::End, &share_text(flow, absorbed));
    }
}

/// A stage's name, shortened in the middle: both ends of a path matter.
fn middle(stage: &FlowStage, width: f64) -> String {
    shorten_middle(&one_line(&stage.name), (width / Style::Label.advance()).max(8.0) as usize)
}

/// Two values as parts of their sum, if neither is negative.
pub(crate) fn parts(a: f64, b: f64) -> Option<(f64, f64)> {
    let sum = a + b;
    (a >= 0.0 && b >= 0.0 && sum > 0.0 && sum.is_finite()).then(|| (a / sum, b / sum))
}

/// The colours that the chart uses, with their meaning.
pub(crate) fn legend_entries(flow: &Flow) -> Vec<(Rgb, String)> {
    let mut entries = vec![(REACHED, "passed on".to_string())];
    if flow.stages.iter().any(|stage| stage.split.is_some()) {
        entries.push((AROUND, "around the block (shortcut)".to_string()));
        entries.push((THROUGH, "through its layers".to_string()));
    }
    entries.extend(
        flow.classes.iter().map(|class| (class_color(flow, class), format!("absorbed: {}", one_line(class)))),
    );
    entries
}

fn legend(out: &mut Fragment, flow: &Flow) {
    let (mut x, mut y) = (0.0, 0.0);
    let width = out.width();
    for (color, name) in legend_entries(flow) {
        let wide = 20.0 + columns_of(&name) as f64 * Style::Note.advance() + 14.0;
        if x > 0.0 && x + wide > width {
            (x, y) = (0.0, y + 18.0);
        }
        out.rect(x, y + 2.0, 12.0, 12.0, Paint::Fixed(color));
        out.text(x + 18.0, y + 12.0, Style::Note, Anchor::Start, &name);
        x += wide;
    }
    out.grow(y + 18.0);
}

/// Columns with names are at least this wide.
const NAMED: f64 = 13.0;

/// Cells in the colour of their magnitude; numbers where they fit.
fn heat_map(flow: &Flow, map: &FlowMap, width: f64) -> Fragment {
    let mut out = Fragment::new(width);
    let count = map.rows.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    if count == 0 {
        return out;
    }
    out.text(0.0, 13.0, Style::Strong, Anchor::Start, &one_line(&map.title));
    let largest = map.largest();
    let scale = format!("white 0, darkest {}", share_text(flow, largest));
    out.text(width, 13.0, Style::Note, Anchor::End, &scale);
    let left = width * 0.30;
    let cell = ((width - left) / count as f64).min(44.0);
    let longest = map.columns.iter().map(|name| columns_of(name).min(12)).max().unwrap_or(0);
    let named = cell >= NAMED && longest > 0;
    let rising = named && longest as f64 * Style::Note.advance() > cell;
    let head = match (named, rising) {
        (false, _) => 22.0,
        (true, false) => 38.0,
        (true, true) => 34.0 + longest as f64 * Style::Note.advance() * 0.72,
    };
    for (index, name) in map.columns.iter().take(count).enumerate().filter(|_| named) {
        let x = left + index as f64 * cell;
        let name = shorten(&one_line(name), 12);
        match rising {
            true => out.text_rising(x + cell * 0.6, head - 5.0, Style::Note, &name),
            false => out.text(x + cell / 2.0, head - 5.0, Style::Note, Anchor::Middle, &name),
        }
    }
    for (line, (name, values)) in map.rows.iter().enumerate() {
        let y = head + line as f64 * 22.0;
        let short = shorten_middle(&one_line(name), (left / Style::Label.advance()).max(8.0) as usize);
        out.text_fitted(0.0, y + 15.0, left - 8.0, Style::Label, Anchor::Start, &short);
        for (index, value) in values.iter().enumerate() {
            let position = if largest > 0.0 && value.is_finite() { value.abs() / largest } else { 0.0 };
            let fill = sequential(position);
            let x = left + index as f64 * cell;
            let column = map.columns.get(index).map_or_else(|| index.to_string(), |name| one_line(name));
            let tip = format!(
                "{}, {} {column}: {}",
                one_line(name),
                one_line(&map.column),
                share_text(flow, *value)
            );
            out.rect_round(x, y, cell, 22.0, 0.0, Paint::Fixed(fill), &tip);
            if cell >= 38.0 {
                let ink = if fill.lightness() > 0.66 { Rgb(28, 32, 38) } else { Rgb(255, 255, 255) };
                let text = share_text(flow, *value);
                out.text_painted(
                    x + cell / 2.0,
                    y + 15.0,
                    Style::Note,
                    Anchor::Middle,
                    Paint::Fixed(ink),
                    &text,
                );
            }
        }
    }
    out.frame(left, head, cell * count as f64, map.rows.len() as f64 * 22.0);
    out.grow(head + map.rows.len() as f64 * 22.0 + 2.0);
    out
}
