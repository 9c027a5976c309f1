//! Do metrics put methods into the same order: a matrix of Kendall's tau-b.

use super::fragment::{Anchor, Fragment, Paint, Style};
use crate::color::{self, Rgb};
use crate::comparison::ComparisonReport;
use crate::data::Polarity;
use crate::text::{one_line, shorten};

const NAMES: f64 = 190.0;
/// Columns of names above the matrix.
const RISING: usize = 20;

/// The matrix of the metrics that put methods into an order; `None` for fewer than two.
pub(crate) fn chart(report: &ComparisonReport, width: f64) -> Option<Fragment> {
    let tau = |a: usize, b: usize| report.agreement.get(a).and_then(|of| of.get(b)).copied().flatten();
    let mut metrics: Vec<usize> = (0..report.metrics.len()).filter(|m| tau(*m, *m).is_some()).collect();
    metrics.sort_by_key(|m| report.metrics[*m].family);
    if metrics.len() < 2 {
        return None;
    }
    let longest = metrics.iter().map(|m| report.metrics[*m].name.chars().count()).max().unwrap_or(0);
    // Names rise at 50 degrees.
    let rising = 14.0 + longest.min(RISING) as f64 * Style::Note.advance() * 0.77;
    let side = ((width - NAMES - rising * 0.85) / metrics.len() as f64).min(38.0);
    let mut out = Fragment::new(width);
    let name = |metric: usize| shorten(&one_line(&report.metrics[metric].name), 26);
    for (column, b) in metrics.iter().enumerate() {
        let x = NAMES + side * (column as f64 + 0.5);
        out.text_rising(x + 3.0, rising - 6.0, Style::Note, &shorten(&name(*b), RISING));
        for (row, a) in metrics.iter().enumerate() {
            let top = rising + side * row as f64;
            if column == 0 {
                out.text(NAMES - 10.0, top + side / 2.0 + 4.0, Style::Note, Anchor::End, &name(*a));
            }
            let left = NAMES + side * column as f64;
            let Some(value) = tau(*a, *b) else {
                out.text(left + side / 2.0, top + side / 2.0 + 4.0, Style::Note, Anchor::Middle, "·");
                continue;
            };
            // Blue where they agree, red where they contradict each other.
            let ground = color::map(Polarity::Signed, -value);
            let about = format!(
                "{} and {}: {value:.2}",
                one_line(&report.metrics[*a].name),
                one_line(&report.metrics[*b].name)
            );
            out.rect_round(left + 0.5, top + 0.5, side - 1.0, side - 1.0, 2.0, Paint::Fixed(ground), &about);
            if side >= 22.0 {
                let ink = if ground.lightness() > 0.62 { Rgb(28, 32, 38) } else { Rgb(255, 255, 255) };
                let text = format!("{value:.1}").replace("-0.0", "0.0");
                let middle = left + side / 2.0;
                out.text_painted(
                    middle,
                    top + side / 2.0 + 4.0,
                    Style::Note,
                    Anchor::Middle,
                    Paint::Fixed(ink),
                    &text,
                );
            }
        }
    }
    out.grow(rising + side * metrics.len() as f64 + 6.0);
    Some(out)
}
