//! L8 and L9: words of a map against words that people marked.

use exegesis_catalogue::{Options, ParameterInfo, Result as Read, number, unknown_value};

use super::{Judged, f1, judged};
use crate::reading::{auto_text, or_auto};
use crate::{Bench, Direction, Family, Metric, MetricInfo, Modality, Outcome, Result, View, order};

/// Intersection over union from which on a span counts as found.
const OVERLAP: f64 = 0.5;

const RATIO: ParameterInfo = ParameterInfo {
    name: "ratio",
    default: "that of the evidence",
    values: "above 0, up to 1",
    doc: "share of the words that is predicted, such as the mean over the data",
};

/// Catalogue entry of the score over tokens.
pub(super) const TOKEN: MetricInfo = MetricInfo {
    name: "token-f1",
    id: "L8",
    version: 1,
    family: Family::Localisation,
    direction: Direction::Up,
    summary: "The words of the largest values, as many as are marked, against the marked words: harmonic mean of precision and \
              recall.",
    formula: "2 P R / (P + R), P = |top_k in G| / k, R = |top_k in G| / |G|",
    cost: "none",
    modalities: &[Modality::Text],
    misleads: "people mark what convinces people; a model may rightly use other words.",
    check: "(4, 3, 2, 1) with evidence 1 and 3, k = 2: .5",
    citation: "DeYoung et al., ACL 2020 (ERASER)",
    parameters: &[RATIO],
};

/// Catalogue entry of the score over spans.
pub(super) const IOU: MetricInfo = MetricInfo {
    name: "iou-f1",
    id: "L9",
    summary: "Neighbouring words of the largest values are a span; it is found if it overlaps a marked span by half of what both \
              cover. Harmonic mean of precision and recall of spans.",
    formula: "2 P R / (P + R), P = found / predicted, R = min(1, found / marked), found: intersection over union >= .5",
    misleads: "spans of one word make it strict, and maps rarely mark words between two important ones.",
    check: "(4, 3, 2, 1) with evidence 1 and 3, k = 2: P 1, R .5, F1 .667",
    ..TOKEN
};

/// Words that a map predicts: the first `k`.
fn predicted(view: &View<'_>, judged: &Judged<'_>, ratio: Option<f64>) -> Vec<usize> {
    let n = judged.phi.len();
    let k = ratio.map_or(judged.size, |ratio| (ratio * n as f64).round() as usize).clamp(1, n);
    let mut order = order::descending(judged.phi, view.key);
    order.truncate(k);
    order
}

/// Maximal runs of marked words, as `[start, end)`.
fn spans(is_marked: impl Iterator<Item = bool>) -> Vec<(usize, usize)> {
    let mut spans: Vec<(usize, usize)> = vec![];
    for (at, _) in is_marked.enumerate().filter(|(_, is)| *is) {
        match spans.last_mut() {
            Some((_, end)) if *end == at => *end += 1,
            _ => spans.push((at, at + 1)),
        }
    }
    spans
}

/// Intersection over union of two spans.
fn overlap(a: (usize, usize), b: (usize, usize)) -> f64 {
    let shared = a.1.min(b.1).saturating_sub(a.0.max(b.0)) as f64;
    let covered = (a.1 - a.0 + b.1 - b.0) as f64 - shared;
    shared / covered
}

fn tokens(view: &View<'_>, judged: &Judged<'_>, ratio: Option<f64>) -> Outcome {
    let predicted = predicted(view, judged, ratio);
    let hits = judged.hits(&predicted) as f64;
    let (precision, recall) = (hits / predicted.len() as f64, hits / judged.size as f64);
    judged.outcome(f1(precision, recall)).with("precision", precision).with("recall", recall)
}

fn runs(view: &View<'_>, judged: &Judged<'_>, ratio: Option<f64>) -> Outcome {
    let mut is_predicted = vec![false; judged.phi.len()];
    predicted(view, judged, ratio).into_iter().for_each(|f| is_predicted[f] = true);
    let (own, gold) = (spans(is_predicted.into_iter()), spans(judged.truth.iter().copied()));
    let is_found = |span: &&(usize, usize)| gold.iter().any(|g| overlap(**span, *g) >= OVERLAP);
    let found = own.iter().filter(is_found).count() as f64;
    let (precision, recall) = (found / own.len() as f64, (found / gold.len() as f64).min(1.0));
    judged.outcome(f1(precision, recall)).with("precision", precision).with("recall", recall)
}

/// A score of words; both differ in how words are counted only.
macro_rules! text_metric {
    ($(#[$doc:meta])* $metric:ident, $info:ident, $value:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct $metric {
            /// Share of the words that is predicted; `None`: that of the evidence.
            pub ratio: Option<f64>,
        }

        impl Options for $metric {
            const PARAMETERS: &'static [ParameterInfo] = $info.parameters;

            fn set(&mut self, key: &str, value: &str) -> Read<()> {
                match key {
                    "ratio" => {
                        let fits = |r: f64| r > 0.0 && r <= 1.0;
                        self.ratio = or_auto(value, || number(key, value, fits, "above 0, up to 1"))?;
                    }
                    _ => return Err(unknown_value(key, value, &[])),
                }
                Ok(())
            }

            fn values(&self) -> Vec<(&'static str, String)> {
                vec![("ratio", auto_text(&self.ratio))]
            }
        }

        impl Metric for $metric {
            fn info(&self) -> &'static MetricInfo {
                &$info
            }

            fn parameters(&self) -> Vec<(&'static str, String)> {
                self.values()
            }

            fn evaluate(&self, view: &View<'_>, _bench: &mut Bench<'_>) -> Result<Outcome> {
                Ok(match judged(view, false)? {
                    Ok(judged) => $value(view, &judged, self.ratio),
                    Err(undefined) => undefined,
                })
            }
        }
    };
}

text_metric! {
    /// Words of the largest values against marked words.
    TokenF1, TOKEN, tokens
}

text_metric! {
    /// Spans of the largest values against marked spans.
    IouF1, IOU, runs
}
