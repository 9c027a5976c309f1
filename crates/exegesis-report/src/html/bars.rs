//! Bars as a table: names and numbers are text that can be selected, searched and read aloud.

use crate::svg::bars::{Axis, Bar, Emphasis};
use crate::svg::fragment::Paint;
use crate::text::escape;
use std::fmt::Write;

/// A table with one bar per line; `full` as in [`Axis::of`].
pub(super) fn table(out: &mut String, caption: &str, bars: &[Bar], full: Option<f64>) {
    let axis = Axis::of(bars, full);
    let extra = bars.iter().any(|bar| !bar.extra.is_empty());
    let _ = writeln!(out, "<table class=\"bars\"><caption>{}</caption><tbody>", escape(caption));
    for bar in bars {
        let class = if bar.emphasis == Emphasis::Target { " class=\"target\"" } else { "" };
        let note = if bar.note.is_empty() {
            String::new()
        } else {
            format!(" <small>{}</small>", escape(&bar.note))
        };
        let length = axis.length(bar.value) * 100.0;
        let zero = axis.zero * 100.0;
        let left = if bar.value < 0.0 { zero - length } else { zero };
        let (class_of_bar, color) = paint(bar.paint);
        let opposite = axis.length(bar.counter) * 100.0;
        let counter = match opposite > 0.0 {
            true => {
                format!("<i class=\"neg\" style=\"left:{:.2}%;width:{opposite:.2}%\"></i>", zero - opposite)
            }
            false => String::new(),
        };
        let _ = write!(
            out,
            "<tr{class}><th scope=\"row\">{}{note}</th><td class=\"track\"><span><i class=\"zero\" style=\"left:{zero:.2}%\">\
             </i><i class=\"{class_of_bar}\" style=\"left:{left:.2}%;width:{length:.2}%{color}\"></i>{counter}</span></td>\
             <td class=\"num\">{}</td>",
            escape(&bar.label),
            escape(&bar.text)
        );
        if extra {
            let _ = write!(out, "<td class=\"num second\">{}</td>", escape(&bar.extra));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table>\n");
}

/// Class of a bar, and its colour where the class does not decide it.
fn paint(paint: Paint) -> (&'static str, String) {
    match paint {
        Paint::Positive => ("pos", String::new()),
        Paint::Negative => ("neg", String::new()),
        Paint::Magnitude => ("mag", String::new()),
        Paint::Fixed(color) => ("fix", format!(";background:{}", color.hex())),
        _ => ("neutral", String::new()),
    }
}
