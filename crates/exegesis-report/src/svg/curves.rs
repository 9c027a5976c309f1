//! Small charts of one curve each: the method in colour with its band, the others faint behind it.

use super::fragment::{Anchor, Fragment, Paint, Style};
use crate::comparison::{ComparedCurves, ComparisonReport};
use crate::text::{number_with, one_line};

const HEIGHT: f64 = 104.0;
const TOP: f64 = 20.0;
const AXIS: f64 = 34.0;
const GAP: f64 = 18.0;
/// Smallest width of a chart.
const NARROW: f64 = 190.0;

/// All lines of a chart side by side, the best method first; `None` if no point is finite.
pub(crate) fn chart(report: &ComparisonReport, curves: &ComparedCurves, width: f64) -> Option<Fragment> {
    let points = || curves.lines.iter().flat_map(|l| l.mean.iter().chain(&l.low).chain(&l.high));
    let places = || curves.lines.iter().flat_map(|l| &l.at);
    let (x_low, x_high) = ends(places())?;
    let (y_low, y_high) = ends(points())?;
    let lines: Vec<usize> = report
        .by_rank()
        .into_iter()
        .filter_map(|m| curves.lines.iter().position(|line| line.method == m))
        .collect();
    let is_control =
        |line: usize| report.methods.get(curves.lines[line].method).is_some_and(|m| m.is_control);
    // Controls are drawn behind methods; alone only if there is nothing else.
    let mut order: Vec<usize> = lines.iter().copied().filter(|l| !is_control(*l)).collect();
    if order.is_empty() {
        order.clone_from(&lines);
    }
    let across = ((width + GAP) / (NARROW + GAP)).floor().max(1.0).min(order.len().max(1) as f64);
    let across = (across as usize).min(4);
    // Charts of one report have one width, however few there are.
    let wide = (width - GAP * 3.0) / 4.0;
    let plot = wide - AXIS;
    let place = |line: usize| -> Vec<(f64, f64)> {
        let line = &curves.lines[line];
        line.at.iter().zip(&line.mean).map(|(x, y)| (*x, *y)).collect()
    };
    let mut out = Fragment::new(width);
    let rows = order.len().div_ceil(across.max(1));
    for (number, line) in order.iter().enumerate() {
        let left = (number % across) as f64 * (wide + GAP) + AXIS;
        let top = (number / across) as f64 * (HEIGHT + TOP + 24.0) + TOP;
        let x = |v: f64| left + (v - x_low) / (x_high - x_low) * plot;
        let y = |v: f64| top + (y_high - v) / (y_high - y_low) * HEIGHT;
        let at = |points: Vec<(f64, f64)>| -> Vec<(f64, f64)> {
            points.into_iter().map(|(a, b)| (x(a), y(b))).collect()
        };
        let own = &curves.lines[*line];
        let Some(method) = report.methods.get(own.method) else { continue };
        let name = if method.is_control { format!("{} (control)", method.name) } else { method.name.clone() };
        out.text_fitted(left, top - 7.0, plot, Style::Label, Anchor::Start, &one_line(&name));
        out.frame(left, top, plot, HEIGHT);
        for other in lines.iter().filter(|o| *o != line && !is_control(**o)) {
            out.path(&at(place(*other)), Paint::Line, 1.0);
        }
        let random = lines.iter().find(|o| {
            let method = report.methods.get(curves.lines[**o].method);
            method.is_some_and(|m| m.is_control && m.name == "random")
        });
        if let Some(random) = random.filter(|r| *r != line) {
            out.path_dashed(&at(place(*random)), Paint::Muted, 1.2);
        }
        let paint = if method.is_control { Paint::Muted } else { Paint::Series(0) };
        if own.low.len() == own.at.len() && own.high.len() == own.at.len() {
            let upper = own.at.iter().zip(&own.high).map(|(a, b)| (x(*a), y(*b)));
            let lower = own.at.iter().zip(&own.low).map(|(a, b)| (x(*a), y(*b)));
            let band: Vec<(f64, f64)> = upper.chain(lower.rev()).collect();
            out.area(&band, paint, 0.22);
        }
        out.path(&at(place(*line)), paint, 2.0);
        if number % across == 0 {
            out.text(left - 5.0, top + 9.0, Style::Note, Anchor::End, &number_with(y_high, 2));
            out.text(left - 5.0, top + HEIGHT, Style::Note, Anchor::End, &number_with(y_low, 2));
        }
        // The axis is named once, below the first chart of the last row.
        if number / across + 1 == rows {
            out.text(left, top + HEIGHT + 14.0, Style::Note, Anchor::Start, &number_with(x_low, 2));
            out.text(left + plot, top + HEIGHT + 14.0, Style::Note, Anchor::End, &number_with(x_high, 2));
            if number % across == 0 {
                let label = one_line(&curves.x_label);
                let middle = left + plot / 2.0;
                out.text_fitted(
                    middle,
                    top + HEIGHT + 14.0,
                    plot - 36.0,
                    Style::Note,
                    Anchor::Middle,
                    &label,
                );
            }
        }
    }
    out.grow(rows as f64 * (HEIGHT + TOP + 24.0));
    Some(out)
}

/// Smallest and largest finite value, never equal.
fn ends<'a>(values: impl Iterator<Item = &'a f64> + Clone) -> Option<(f64, f64)> {
    let finite = || values.clone().copied().filter(|v| v.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    let room = if high > low { 0.0 } else { 0.5 };
    (low <= high).then_some((low - room, high + room))
}
