//! Horizontal bars from a common zero: names on the left, numbers on the right.

use super::fragment::{Anchor, Fragment, Paint, Style};
use crate::data::{InputView, Polarity};
use crate::features::{self, Feature};
use crate::reduce::Reduced;
use crate::text::{aligned_signed, width as columns_of};

/// One bar.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    /// Name on the left.
    pub label: String,
    /// Smaller text after the name.
    pub note: String,
    /// Length and direction.
    pub value: f64,
    /// The value as text, on the right.
    pub text: String,
    /// A second number to its right, such as a share; empty if there is none.
    pub extra: String,
    pub paint: Paint,
    /// A second bar in the other direction, as its length; 0 if there is none.
    pub counter: f64,
    /// Set in bold.
    pub emphasis: Emphasis,
}

impl Bar {
    /// Everything about the bar in words.
    pub(crate) fn tooltip(&self) -> String {
        let parts = [self.label.as_str(), &self.note, ":", &self.text, &self.extra];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ").replace(" :", ":")
    }
}

/// Where zero lies and how long bars are, in shares of the space between names and numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Axis {
    /// Place of zero, `0..=1`.
    pub zero: f64,
    span: f64,
}

impl Axis {
    /// Both directions get space in proportion, so that lengths can be compared across zero. `full` is the value of a
    /// bar of full length; without it the values decide. Values that are not finite count as zero.
    pub(crate) fn of(bars: &[Bar], full: Option<f64>) -> Self {
        let both = |bar: &Bar| [bar.value, -bar.counter];
        let values = || bars.iter().flat_map(both).filter(|value| value.is_finite());
        let negative = values().map(|value| -value).fold(0.0, f64::max);
        let positive = values().fold(0.0, f64::max);
        // Halves, because the sum of two large values could overflow.
        let span = (negative / 2.0 + positive / 2.0).max(full.unwrap_or(0.0) / 2.0).max(f64::MIN_POSITIVE);
        Self { zero: negative / 2.0 / span, span }
    }

    /// Length of a value's bar, `0..=1`.
    pub(crate) fn length(&self, value: f64) -> f64 {
        if value.is_finite() { (value.abs() / 2.0 / self.span).min(1.0) } else { 0.0 }
    }
}

/// Whether a bar is the one that the reader looks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Emphasis {
    #[default]
    None,
    Target,
}

const STEP: f64 = 22.0;
const THICKNESS: f64 = 12.0;

/// Draws bars; `full` is the value of a bar of full length (the largest magnitude if `None`).
pub(crate) fn chart(bars: &[Bar], full: Option<f64>, width: f64) -> Fragment {
    let mut out = Fragment::new(width);
    let room =
        |columns: usize| if columns == 0 { 0.0 } else { columns as f64 * Style::Number.advance() + 14.0 };
    let text_width = room(bars.iter().map(|bar| columns_of(&bar.text)).max().unwrap_or(0));
    let extra_width = room(bars.iter().map(|bar| columns_of(&bar.extra)).max().unwrap_or(0));
    let label_columns =
        bars.iter().map(|bar| columns_of(&bar.label) + columns_of(&bar.note) + 2).max().unwrap_or(0);
    let label_width = (label_columns as f64 * Style::Label.advance() + 10.0).min(width * 0.42);
    let (left, right) = (label_width, (width - text_width - extra_width).max(label_width + 20.0));
    let axis = Axis::of(bars, full);
    let unit = right - left;
    let zero = left + axis.zero * unit;
    for (index, bar) in bars.iter().enumerate() {
        let y = index as f64 * STEP;
        let baseline = y + 15.0;
        let style = if bar.emphasis == Emphasis::Target { Style::Strong } else { Style::Label };
        let note_width = columns_of(&bar.note) as f64 * Style::Note.advance();
        out.text_fitted(
            0.0,
            baseline,
            (label_width - 10.0 - note_width).max(40.0),
            style,
            Anchor::Start,
            &bar.label,
        );
        out.text(label_width - 10.0, baseline, Style::Note, Anchor::End, &bar.note);
        let length = axis.length(bar.value) * unit;
        let x = if bar.value < 0.0 { zero - length } else { zero };
        let tooltip = bar.tooltip();
        out.rect_round(x, y + 5.0, length, THICKNESS, 1.5, bar.paint, &tooltip);
        let length = axis.length(bar.counter) * unit;
        out.rect_round(zero - length, y + 5.0, length, THICKNESS, 1.5, Paint::Negative, &tooltip);
        out.text(width - extra_width, baseline, Style::Number, Anchor::End, &bar.text);
        out.text(width, baseline, Style::Number, Anchor::End, &bar.extra);
    }
    let height = bars.len() as f64 * STEP;
    out.line(zero, 1.0, zero, height, Paint::Muted, 1.0);
    out.grow(height);
    out
}

/// The strongest features of a row.
pub(crate) fn features(features: &[Feature], polarity: Polarity, width: f64) -> Fragment {
    if features.is_empty() {
        let mut out = Fragment::new(width);
        out.text(0.0, 14.0, Style::Note, Anchor::Start, "All attributions are zero.");
        out.grow(20.0);
        return out;
    }
    chart(&feature_bars(features, polarity), None, width)
}

/// A bar per feature.
pub(crate) fn feature_bars(features: &[Feature], polarity: Polarity) -> Vec<Bar> {
    let scores: Vec<f64> = features.iter().map(|feature| feature.score).collect();
    features
        .iter()
        .zip(aligned_signed(&scores, 4))
        .map(|(feature, text)| Bar {
            label: feature.name.clone(),
            note: feature.note.clone(),
            value: feature.score,
            text,
            extra: String::new(),
            paint: side(polarity, feature.score),
            counter: 0.0,
            emphasis: Emphasis::None,
        })
        .collect()
}

/// A bar to the right per feature for what is for the target, one to the left for what is for its alternatives; the
/// difference as text. The features with the most on both sides, largest first.
pub(crate) fn two_sided(
    view: &InputView,
    reduced: &Reduced,
    [positive, negative]: [&[f64]; 2],
    count: usize,
) -> Vec<Bar> {
    let sums: Vec<f64> = positive.iter().zip(negative).map(|(a, b)| a + b).collect();
    let list = features::top(view, &reduced.with_values(sums), count);
    let at = |values: &[f64], feature: &Feature| {
        values.get(feature.index).copied().filter(|v| v.is_finite()).unwrap_or(0.0)
    };
    let differences: Vec<f64> = list.iter().map(|f| at(positive, f) - at(negative, f)).collect();
    let bar = |(feature, text): (&Feature, String)| Bar {
        label: feature.name.clone(),
        note: feature.note.clone(),
        value: at(positive, feature),
        text,
        extra: String::new(),
        paint: Paint::Positive,
        counter: at(negative, feature),
        emphasis: Emphasis::None,
    };
    list.iter().zip(aligned_signed(&differences, 4)).map(bar).collect()
}

/// Colour of a value's side.
pub(crate) fn side(polarity: Polarity, value: f64) -> Paint {
    match polarity {
        Polarity::Signed if value < 0.0 => Paint::Negative,
        Polarity::Signed | Polarity::For => Paint::Positive,
        Polarity::Unsigned => Paint::Magnitude,
        Polarity::Against => Paint::Negative,
    }
}
