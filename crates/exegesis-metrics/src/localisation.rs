//! Does the map agree with a known truth? No metric of this family asks the model. A model may rightly use what nobody marked:
//! agreement is not faithfulness. Large evidence is easier to hit; the share of features that it is stands beside each value.

mod area;
mod mass;
mod peak;
mod rank;
mod text;

pub use area::{AveragePrecision, LocalisationAuc};
pub use mass::{AttributionLocalisation, Focus, RelevanceMass};
pub use peak::PointingGame;
pub use rank::{RelevanceRank, TopK};
pub use text::{IouF1, TokenF1};

use crate::{Entry, Error, Outcome, Result, View, metric_entry};

/// The metrics of this family.
pub const ENTRIES: &[Entry] = &[
    metric_entry!(PointingGame, peak::INFO),
    metric_entry!(RelevanceMass, mass::MASS),
    metric_entry!(RelevanceRank, rank::RANK),
    metric_entry!(AttributionLocalisation, mass::LOCALISATION),
    metric_entry!(TopK, rank::TOP_K),
    metric_entry!(LocalisationAuc, area::AUC),
    metric_entry!(AveragePrecision, area::PRECISION),
    metric_entry!(TokenF1, text::TOKEN),
    metric_entry!(IouF1, text::IOU),
    metric_entry!(Focus, mass::FOCUS),
];

/// A map beside the known evidence.
struct Judged<'a> {
    /// The map.
    phi: &'a [f64],
    /// Which features are evidence: some, not all.
    truth: &'a [bool],
    /// Number of them.
    size: usize,
}

impl Judged<'_> {
    /// What is positive of the map, feature by feature.
    fn positive(&self) -> impl Iterator<Item = f64> {
        self.phi.iter().map(|v| v.max(0.0))
    }

    /// Share of features that are evidence.
    fn share(&self) -> f64 {
        self.size as f64 / self.phi.len() as f64
    }

    /// The value, and beside it the share of features that are evidence.
    fn outcome(&self, value: f64) -> Outcome {
        Outcome::of(value).with("share of features", self.share())
    }

    /// How many of `features` are evidence.
    fn hits<'f>(&self, features: impl IntoIterator<Item = &'f usize>) -> usize {
        features.into_iter().filter(|f| self.truth[**f]).count()
    }
}

/// The map and the evidence, or the reason why the metric is not defined for them.
///
/// # Errors
/// Data without known evidence.
fn judged<'a>(view: &View<'a>, needs_positive: bool) -> Result<Result<Judged<'a>, Outcome>> {
    let Some(truth) = view.truth else {
        return Err(Error::NotApplicable("no evidence is known of the samples".to_string()));
    };
    let phi = view.map.values.as_slice();
    if truth.len() != phi.len() {
        return Err(Error::Map(format!("{} features, but {} are marked", phi.len(), truth.len())));
    }
    let size = truth.iter().filter(|t| **t).count();
    Ok(if size == 0 || size == truth.len() {
        let which = if size == 0 { "no feature" } else { "every feature" };
        Err(Outcome::undefined(format!("{which} is evidence")))
    } else if needs_positive && !phi.iter().any(|v| *v > 0.0) {
        Err(Outcome::undefined("no value of the map is positive"))
    } else {
        Ok(Judged { phi, truth, size })
    })
}

/// `2 precision recall / (precision + recall)`; 0 where both are.
fn f1(precision: f64, recall: f64) -> f64 {
    if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 }
}

/// A metric of this family without options, given its value for a map and the evidence.
macro_rules! plain_metric {
    ($(#[$doc:meta])* $metric:ident, $info:ident, $needs_positive:literal, $value:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct $metric;

        impl exegesis_catalogue::Options for $metric {
            const PARAMETERS: &'static [exegesis_catalogue::ParameterInfo] = $info.parameters;

            fn set(&mut self, key: &str, value: &str) -> exegesis_catalogue::Result<()> {
                Err(exegesis_catalogue::unknown_value(key, value, &[]))
            }

            fn values(&self) -> Vec<(&'static str, String)> {
                vec![]
            }
        }

        impl crate::Metric for $metric {
            fn info(&self) -> &'static crate::MetricInfo {
                &$info
            }

            fn parameters(&self) -> Vec<(&'static str, String)> {
                vec![]
            }

            fn evaluate(
                &self,
                view: &crate::View<'_>,
                _bench: &mut crate::Bench<'_>,
            ) -> crate::Result<crate::Outcome> {
                let value: fn(&crate::View<'_>, &super::Judged<'_>) -> crate::Outcome = $value;
                Ok(match super::judged(view, $needs_positive)? {
                    Ok(judged) => value(view, &judged),
                    Err(undefined) => undefined,
                })
            }
        }
    };
}
use plain_metric;
