//! Value and importance of the types of tokens: a scatter whose dots and words light each other up, and the numbers.

use crate::data::{Plane, PlaneQuality};
use crate::features::visible;
use crate::plane::column;
use crate::svg::plane::chart;
use crate::text::{aligned_signed, escape, percent};
use std::fmt::Write;

/// Types that light up with their words. The page has no script: each of them takes a rule of its style sheet.
const MOST_LINKED: usize = 400;
/// Lines of the table.
const MOST_LISTED: usize = 100;

/// The rules that link dots and words within the element of class `scope`.
pub(super) fn style(out: &mut String, plane: &Plane, scope: &str) {
    out.push_str("<style>\n");
    for number in 0..plane.types.len().min(MOST_LINKED) {
        let (hover, focus) = (format!(".y{number}:hover"), format!(".y{number}:focus"));
        let _ = writeln!(
            out,
            ".{scope}:has({hover},{focus}) span.y{number}{{outline:2px solid var(--ink);outline-offset:1px}}\
             .{scope}:has({hover},{focus}) g.y{number} circle{{stroke:var(--ink);stroke-width:3}}\
             .{scope}:has({hover},{focus}) tr.y{number}{{background:var(--track)}}"
        );
    }
    out.push_str("</style>\n");
}

/// The scatter, its quality and its table.
pub(super) fn part(out: &mut String, plane: &Plane, width: f64) {
    let Some(picture) = chart(plane, width, true) else { return };
    out.push_str("<h4>Value and importance</h4>\n");
    out.push_str(&picture.inline("Value and importance of each token"));
    out.push_str(
        "<p class=\"note\">A dot per type of token, larger where it takes more of the attention; hollow: hardly identified. \
         Along the faint curves the attention share times the value is equal. Hover over or tab to a dot or a word: the other \
         lights up.</p>\n",
    );
    if let Some(quality) = &plane.quality {
        self::quality(out, quality);
    }
    table(out, plane);
}

fn quality(out: &mut String, quality: &PlaneQuality) {
    out.push_str("<h4>Does the surrogate fit?</h4>\n");
    let text = PlaneQuality::text;
    super::method::facts(
        out,
        &[
            ("R2 of SLALOM, held out", text(quality.slalom)),
            ("R2 of a linear surrogate", text(quality.linear)),
            ("R2 of a constant", text(quality.constant)),
            ("Held-out scores", quality.held_out.to_string()),
        ],
    );
    let _ = writeln!(out, "<p class=\"note\">{}</p>", escape(&quality.sentence()));
}

fn table(out: &mut String, plane: &Plane) {
    out.push_str(
        "<div class=\"scroll\"><table class=\"plain plane\"><thead><tr><th scope=\"col\">Token</th>",
    );
    for heading in ["Count", "Value", "Importance", "Weight", "Contribution"] {
        let _ = write!(out, "<th scope=\"col\" class=\"num\">{heading}</th>");
    }
    out.push_str("</tr></thead><tbody>\n");
    let order = plane.ranked();
    let listed = || order.iter().take(MOST_LISTED).map(|at| &plane.types[*at]);
    let values = column(listed().map(|t| (t.value, t.se_value)));
    let importances = column(listed().map(|t| (t.importance, t.se_importance)));
    let contributions = aligned_signed(&listed().map(|t| t.contribution).collect::<Vec<_>>(), 4);
    for (place, at) in order.iter().take(MOST_LISTED).enumerate() {
        let cell = |column: &[String]| column.get(place).cloned().unwrap_or_default();
        let kind = &plane.types[*at];
        let class = if kind.is_identified { "" } else { " unsure" };
        let _ = write!(out, "<tr class=\"y{at}{class}\"><td>{}</td>", escape(&visible(&kind.label)));
        for cell in [
            kind.count.to_string(),
            cell(&values),
            cell(&importances),
            percent(kind.weight),
            cell(&contributions),
        ] {
            let _ = write!(out, "<td class=\"num\">{}</td>", escape(&cell));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    let mut notes = vec![];
    if order.len() > MOST_LISTED {
        notes.push(format!("{} more with smaller contributions are not listed.", order.len() - MOST_LISTED));
    }
    if plane.types.iter().any(|t| !t.is_identified) {
        notes
            .push("Hatched: hardly identified, the model was too rarely asked where it matters.".to_string());
    }
    if plane.types.iter().any(|t| t.se_value.is_some()) {
        notes.push("± is a standard error.".to_string());
    }
    if !notes.is_empty() {
        let _ = writeln!(out, "<p class=\"note\">{}</p>", escape(&notes.join(" ")));
    }
}
