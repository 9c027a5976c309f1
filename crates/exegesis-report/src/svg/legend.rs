//! The colour bar with the values at its ends.

use super::fragment::{Anchor, Fragment, Paint, Style};
use crate::color;
use crate::data::Polarity;
use crate::scale::Scale;
use crate::text::number_with;

const STEPS: usize = 48;

/// A colour bar of at most 220 pixels on the left, its notes on the right.
pub(crate) fn chart(scale: &Scale, width: f64) -> Fragment {
    let mut out = Fragment::new(width);
    let bar = 220.0_f64.min(width);
    let low = if scale.polarity() == Polarity::Signed { -1.0 } else { 0.0 };
    // Plain rectangles, because a gradient needs an id that is unique on its page.
    for step in 0..STEPS {
        let position = low + (1.0 - low) * (step as f64 + 0.5) / STEPS as f64;
        let x = step as f64 * bar / STEPS as f64;
        let paint = Paint::Fixed(color::map(scale.polarity(), position));
        out.rect(x, 0.0, bar / STEPS as f64, 8.0, paint);
    }
    out.frame(0.0, 0.0, bar, 8.0);
    let places = [(0.0, Anchor::Start), (bar / 2.0, Anchor::Middle), (bar, Anchor::End)];
    for ((x, anchor), label) in places.into_iter().zip(labels(scale)) {
        out.text(x, 22.0, Style::Note, anchor, &label);
    }
    let notes = notes(scale);
    if width > bar + 120.0 {
        out.text(bar + 16.0, 9.0, Style::Note, Anchor::Start, &notes);
        out.grow(26.0);
    } else {
        out.text(0.0, 38.0, Style::Note, Anchor::Start, &notes);
        out.grow(42.0);
    }
    out
}

/// Values at the left end, the middle and the right end of the bar.
pub(crate) fn labels(scale: &Scale) -> [String; 3] {
    let limit = number_with(scale.limit(), 3);
    match scale.polarity() {
        Polarity::Signed => [format!("-{limit}"), "0".to_string(), format!("+{limit}")],
        Polarity::Unsigned | Polarity::For | Polarity::Against => ["0".to_string(), String::new(), limit],
    }
}

/// What the colours mean, and what the bar does not show.
pub(crate) fn notes(scale: &Scale) -> String {
    let meaning = match scale.polarity() {
        Polarity::Signed => "blue: against the target, red: for it",
        Polarity::Unsigned => "magnitude only",
        Polarity::For => "for the target",
        Polarity::Against => "for its alternatives",
    };
    let described = scale.describe();
    match described.split_once(" (") {
        Some((_, rest)) => format!("{meaning}; {}", rest.trim_end_matches(')')),
        None => meaning.to_string(),
    }
}
