//! Quality against cost.

use super::fragment::{Anchor, Fragment, Paint, Style};
use crate::comparison::{ComparisonReport, rank_text};
use crate::text::{duration_ms, one_line, shorten, width as columns_of};

const HEIGHT: f64 = 260.0;
const AXIS: f64 = 58.0;
const TOP: f64 = 14.0;

/// Methods by seconds per sample and rank over families, with a line through those that no other beats in both. `None` if
/// fewer than two methods have both.
pub(crate) fn chart(report: &ComparisonReport, width: f64) -> Option<Fragment> {
    let mut points: Vec<(String, f64, f64)> = report
        .methods
        .iter()
        .filter_map(|m| Some((one_line(&m.name), m.seconds.filter(|s| *s > 0.0)?, m.rank?.median)))
        .collect();
    if points.len() < 2 {
        return None;
    }
    points.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.2.total_cmp(&b.2)));
    let first = points.first()?.1.log10();
    let last = points.last()?.1.log10();
    // Ends are halves of a power of ten, so that at least one power lies between them.
    let (low, high) = ((2.0 * (first - 0.15)).floor() / 2.0, (2.0 * (last + 0.15)).ceil() / 2.0);
    let worst = points.iter().map(|p| p.2).fold(1.0, f64::max).max(2.0);
    let plot = width - AXIS - 20.0;
    let x = |seconds: f64| AXIS + (seconds.log10() - low) / (high - low) * plot;
    // Half a rank of room above and below.
    let y = |rank: f64| TOP + (rank - 0.5) / worst * HEIGHT;
    let mut out = Fragment::new(width);
    out.frame(AXIS, TOP, plot, HEIGHT);
    for power in low.ceil() as i32..=high.floor() as i32 {
        let at = AXIS + (f64::from(power) - low) / (high - low) * plot;
        out.line(at, TOP, at, TOP + HEIGHT, Paint::Line, 1.0);
        let label = duration_ms(1000.0 * 10f64.powi(power));
        out.text(at, TOP + HEIGHT + 16.0, Style::Note, Anchor::Middle, &label);
    }
    let step = (worst as usize).div_ceil(10).max(1);
    for rank in (1..=worst as usize).step_by(step) {
        out.text(AXIS - 8.0, y(rank as f64) + 4.0, Style::Note, Anchor::End, &rank.to_string());
    }
    let label = "time per sample, a power of ten apart";
    out.text(AXIS + plot / 2.0, TOP + HEIGHT + 34.0, Style::Label, Anchor::Middle, label);
    out.text(AXIS + 6.0, TOP + 15.0, Style::Note, Anchor::Start, "rank over families, best above");
    let is_beaten =
        |p: &(String, f64, f64)| points.iter().any(|o| o.1 <= p.1 && o.2 <= p.2 && (o.1 < p.1 || o.2 < p.2));
    let front: Vec<&(String, f64, f64)> = points.iter().filter(|p| !is_beaten(p)).collect();
    let mut steps: Vec<(f64, f64)> = vec![];
    for point in &front {
        if let Some((_, above)) = steps.last().copied() {
            steps.push((x(point.1), above));
        }
        steps.push((x(point.1), y(point.2)));
    }
    if let Some((_, above)) = steps.last().copied() {
        steps.push((AXIS + plot, above));
    }
    out.path_dashed(&steps, Paint::Series(0), 1.5);
    let mut labels: Vec<(f64, f64, f64)> = vec![];
    for point in &points {
        let (name, seconds, rank) = point;
        let about =
            format!("{name}: rank {}, {} per sample", rank_text(*rank), duration_ms(1000.0 * seconds));
        let paint = if is_beaten(point) { Paint::Neutral } else { Paint::Series(0) };
        out.circle(x(*seconds), y(*rank), 5.0, paint, &about);
        let label = shorten(name, 26);
        let wide = columns_of(&label) as f64 * Style::Note.advance();
        let is_right = x(*seconds) < AXIS + plot / 2.0;
        let left = if is_right { x(*seconds) + 9.0 } else { x(*seconds) - 9.0 - wide };
        // Tried above and below the line of its rank, until it covers no other name.
        let place = [-9.0, 19.0, 32.0, -22.0].into_iter().map(|dy| y(*rank) + dy).find(|at| {
            let is_inside = *at > TOP + 22.0 && *at < TOP + HEIGHT - 3.0;
            is_inside
                && !labels.iter().any(|(l, w, y)| (y - at).abs() < 13.0 && left < l + w && *l < left + wide)
        });
        if let Some(at) = place {
            out.text(left, at, Style::Note, Anchor::Start, &label);
            labels.push((left, wide, at));
        }
    }
    out.grow(TOP + HEIGHT + 44.0);
    Some(out)
}
