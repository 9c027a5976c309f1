//! Ranks of methods, family by family and over all of them.

use super::fragment::{Anchor, Fragment, Paint, SERIES, Style};
use crate::comparison::{ComparisonReport, RankSpread, rank_text};
use crate::text::one_line;

const ROW: f64 = 30.0;
const NAMES: f64 = 190.0;

/// A line per method: its rank over families as a bar from quartile to quartile with its median, ranks in families as dots.
/// `None` if fewer than two methods are ranked.
pub(crate) fn chart(report: &ComparisonReport, width: f64) -> Option<Fragment> {
    let order: Vec<usize> =
        report.by_rank().into_iter().filter(|m| report.methods[*m].rank.is_some()).collect();
    if order.len() < 2 {
        return None;
    }
    let families: Vec<usize> = (0..report.families.len())
        .filter(|f| {
            order.iter().any(|m| report.methods[*m].family_ranks.get(*f).copied().flatten().is_some())
        })
        .collect();
    let mut out = Fragment::new(width);
    let (left, plot) = (NAMES, width - NAMES - 20.0);
    let most = order.len() as f64;
    let x = |rank: f64| left + (rank - 1.0) / (most - 1.0).max(1.0) * plot;
    legend(&mut out, report, &families, left);
    let top = out.height() + 20.0;
    let bottom = top + ROW * order.len() as f64;
    let step = order.len().div_ceil(12);
    for rank in (1..=order.len()).step_by(step) {
        out.line(x(rank as f64), top, x(rank as f64), bottom, Paint::Line, 1.0);
        out.text(x(rank as f64), top - 6.0, Style::Note, Anchor::Middle, &rank.to_string());
    }
    out.text(0.0, top - 6.0, Style::Note, Anchor::Start, "rank, 1 is best");
    for (row, method) in order.iter().enumerate() {
        let y = top + ROW * (row as f64 + 0.5);
        let entry = &report.methods[*method];
        let name = one_line(&entry.name);
        out.text_fitted(0.0, y + 4.0, NAMES - 16.0, Style::Label, Anchor::Start, &name);
        if let Some(RankSpread { median, low, high }) = entry.rank {
            if high > low {
                out.rect_round(x(low), y - 4.0, x(high) - x(low), 8.0, 4.0, Paint::Line, "");
            }
            let about = format!(
                "{name}: rank {} over families, middle half {} to {}",
                rank_text(median),
                rank_text(low),
                rank_text(high)
            );
            out.rect_round(x(median) - 2.0, y - 11.0, 4.0, 22.0, 1.5, Paint::Ink, &about);
        }
        let own: Vec<(usize, f64)> = families
            .iter()
            .enumerate()
            .filter_map(|(number, f)| Some((number, entry.family_ranks.get(*f).copied().flatten()?.median)))
            .collect();
        for (place, (number, rank)) in own.iter().enumerate() {
            // Dots at one rank stand beside each other.
            let level: Vec<usize> = (0..own.len()).filter(|o| own[*o].1 == *rank).collect();
            let among = level.iter().position(|o| *o == place).unwrap_or(0) as f64;
            let aside = (among - (level.len() as f64 - 1.0) / 2.0) * 10.0;
            let family = &report.families[families[*number]];
            let about = format!("{name}: rank {} in {}", rank_text(*rank), one_line(&family.name));
            out.circle(x(*rank) + aside, y, 5.0, Paint::Series(*number), &about);
        }
    }
    out.grow(20.0 + ROW * order.len() as f64 + 6.0);
    Some(out)
}

/// Names of families beside their dots.
fn legend(out: &mut Fragment, report: &ComparisonReport, families: &[usize], left: f64) {
    let mut x = left;
    out.rect_round(x, 1.0, 4.0, 14.0, 1.5, Paint::Ink, "");
    out.text(x + 10.0, 12.0, Style::Note, Anchor::Start, "over families, with quartiles");
    x += 10.0 + 30.0 * Style::Note.advance();
    for (number, family) in families.iter().enumerate().take(SERIES) {
        let name = one_line(&report.families[*family].name);
        out.circle(x, 8.0, 5.0, Paint::Series(number), "");
        out.text(x + 9.0, 12.0, Style::Note, Anchor::Start, &name);
        x += 26.0 + name.chars().count() as f64 * Style::Note.advance();
    }
    out.grow(24.0);
}
