//! Which differences between methods are more than chance.

use std::fmt::Write;

use super::three;
use crate::comparison::{ComparedPair, ComparisonReport};
use crate::text::{escape, one_line};

/// Differences that are all listed; beyond, only those that are significant.
const LISTED: usize = 400;

/// A matrix of how often a method beats another, and the differences themselves.
pub(super) fn card(out: &mut String, report: &ComparisonReport) {
    if report.pairs.is_empty() {
        return;
    }
    out.push_str(
        "<section class=\"card\" id=\"differences\"><h2>Which differences are more than chance?</h2><p class=\"note\">By how many \
         metrics the method of the row is better than that of the column: paired bootstrap over samples, p &lt; .05 after \
         correction over all pairs of a metric (Holm).</p>\n",
    );
    matrix(out, report);
    list(out, report);
    out.push_str("</section>\n");
}

fn matrix(out: &mut String, report: &ComparisonReport) {
    let methods: Vec<usize> = report
        .by_rank()
        .into_iter()
        .filter(|m| report.pairs.iter().any(|p| p.first == *m || p.second == *m))
        .collect();
    let name = |m: usize| escape(&one_line(&report.methods[m].name));
    out.push_str("<div class=\"scroll\"><table class=\"beats\"><thead><tr><td></td>");
    for method in &methods {
        let _ = write!(out, "<th scope=\"col\"><span>{}</span></th>", name(*method));
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in &methods {
        let _ = write!(out, "<tr><th scope=\"row\">{}</th>", name(*row));
        for column in &methods {
            if row == column {
                out.push_str("<td class=\"nothing\"></td>");
                continue;
            }
            let between = |p: &&ComparedPair| {
                (p.first == *row && p.second == *column) || (p.first == *column && p.second == *row)
            };
            let is_won = |p: &&ComparedPair| p.is_significant && (p.difference > 0.0) == (p.first == *row);
            let asked = report.pairs.iter().filter(between).count();
            let won = report.pairs.iter().filter(between).filter(is_won).count();
            let share = won as f64 / asked.max(1) as f64;
            let _ = write!(
                out,
                "<td style=\"--a:{share:.3}\" title=\"{} beats {} by {won} of {asked} metrics\">{won}</td>",
                name(*row),
                name(*column)
            );
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

fn list(out: &mut String, report: &ComparisonReport) {
    let is_long = report.pairs.len() > LISTED;
    let shown: Vec<&ComparedPair> = report.pairs.iter().filter(|p| !is_long || p.is_significant).collect();
    let what = match is_long {
        true => format!("The {} significant of {} differences", shown.len(), report.pairs.len()),
        false => format!("All {} differences", shown.len()),
    };
    let _ = writeln!(
        out,
        "<details><summary>{what}</summary><div class=\"scroll\"><table class=\"plain\"><thead><tr><th scope=\"col\">Metric</th>\
         <th scope=\"col\">Better</th><th scope=\"col\">Worse</th><th scope=\"col\" class=\"num\">By</th>\
         <th scope=\"col\" class=\"num\">95 % interval</th><th scope=\"col\" class=\"num\">p, corrected</th></tr></thead><tbody>"
    );
    for pair in shown {
        let name = |m: usize| report.methods.get(m).map(|m| escape(&one_line(&m.name))).unwrap_or_default();
        let metric = report.metrics.get(pair.metric).map(|m| escape(&one_line(&m.name))).unwrap_or_default();
        let (low, high) = pair.interval;
        let (better, worse, by, low, high) = match pair.difference >= 0.0 {
            true => (pair.first, pair.second, pair.difference, low, high),
            false => (pair.second, pair.first, -pair.difference, -high, -low),
        };
        let (open, close) = if pair.is_significant { ("<b>", "</b>") } else { ("", "") };
        let _ = writeln!(
            out,
            "<tr><td>{metric}</td><td>{}</td><td>{}</td><td class=\"num\">{}</td><td class=\"num\">{} to {}</td>\
             <td class=\"num\">{open}{}{close}</td></tr>",
            name(better),
            name(worse),
            three(by),
            three(low),
            three(high),
            three(pair.p)
        );
    }
    out.push_str("</tbody></table></div></details>\n");
}
