//! The model's best classes as bars.

use super::bars::{Bar, Emphasis, chart as bar_chart};
use super::fragment::{Anchor, Fragment, Paint, Style};
use crate::data::{ClassScore, Prediction};
use crate::text::{aligned, one_line, percent};

/// Bars of probability where the task has one, otherwise of the raw score. `None` without a prediction.
pub(crate) fn chart(prediction: &Prediction, width: f64, top: usize) -> Option<Fragment> {
    let mut out = Fragment::new(width);
    if !prediction.target.is_empty() {
        out.text_fitted(
            0.0,
            13.0,
            width,
            Style::Label,
            Anchor::Start,
            &format!("Explained: {}", one_line(&prediction.target)),
        );
        out.grow(22.0);
    }
    if let Some(bars) = bars(prediction, width, top) {
        out.stack(0.0, bars);
    }
    (out.height() > 0.0).then_some(out)
}

/// The bars alone.
pub(crate) fn bars(prediction: &Prediction, width: f64, top: usize) -> Option<Fragment> {
    if prediction.top.is_empty() {
        return None;
    }
    let full = prediction.top.iter().all(|class| class.probability.is_some()).then_some(1.0);
    Some(bar_chart(&rows(prediction, top), full, width))
}

/// A bar per class: probability where all classes have one, otherwise the raw score.
pub(crate) fn rows(prediction: &Prediction, top: usize) -> Vec<Bar> {
    let by_probability = prediction.top.iter().all(|class| class.probability.is_some());
    let shown = || prediction.top.iter().take(top.max(1));
    let scores: Vec<f64> = shown().map(|class| class.score).collect();
    let bar = |(class, score): (&ClassScore, String)| {
        let (value, text, extra) = match class.probability {
            Some(p) if by_probability => (p, percent(p), score),
            _ => (class.score, score, String::new()),
        };
        let target = prediction.target_index == Some(class.index);
        Bar {
            label: one_line(&class.display_name()),
            note: class.label.as_ref().map(|_| class.index.to_string()).unwrap_or_default(),
            value,
            text,
            extra,
            paint: Paint::Neutral,
            counter: 0.0,
            emphasis: if target { Emphasis::Target } else { Emphasis::None },
        }
    };
    shown().zip(aligned(&scores, 4)).map(bar).collect()
}
