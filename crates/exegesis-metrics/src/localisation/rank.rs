//! L3 and L5: how many of the first features are evidence.

use exegesis_catalogue::{Options, ParameterInfo, Result as Read, count, on_off, on_off_text, unknown_value};

use super::{judged, plain_metric};
use crate::reading::{auto_text, or_auto};
use crate::{Bench, Direction, Family, Metric, MetricInfo, Outcome, Result, View, order};

/// Catalogue entry of relevance rank.
pub(super) const RANK: MetricInfo = MetricInfo {
    name: "relevance-rank",
    id: "L3",
    version: 1,
    family: Family::Localisation,
    direction: Direction::Up,
    summary: "As many features as there is evidence are taken, those of the largest values first: the share of them that is \
              evidence.",
    formula: "|top_|G|(phi) in G| / |G|",
    cost: "none",
    modalities: MetricInfo::ALL,
    misleads: "large evidence is easier to hit, and the values do not count, only their order; ties are ordered by chance.",
    check: "(4, 3, 2, 1) with evidence 1 and 3: .5",
    citation: "Arras, Osman, Samek, Information Fusion 2022 (relevance rank accuracy)",
    parameters: &[],
};

/// Catalogue entry of top-k intersection.
pub(super) const TOP_K: MetricInfo = MetricInfo {
    name: "top-k-intersection",
    id: "L5",
    summary: "The share of the k features of the largest values that is known evidence.",
    formula: "|top_k(phi) in G| / k, or with `concept` / |G|",
    misleads: "with k above |G| no map reaches 1; the values do not count, only their order; ties are ordered by chance.",
    check: "(4, 3, 2, 1) with evidence 1 and 3: k = 1 1, k = 3 .667",
    citation: "Theiner, Müller-Budack, Ewerth, WACV 2022",
    parameters: &[
        ParameterInfo {
            name: "k",
            default: "a tenth of the features, at most 1000",
            values: "1 to 1000000",
            doc: "number of features",
        },
        ParameterInfo {
            name: "concept",
            default: "off",
            values: "on, off",
            doc: "divide by the size of the evidence instead of k",
        },
    ],
    ..RANK
};

plain_metric! {
    /// Share of the first `|G|` features that is evidence.
    RelevanceRank, RANK, false, |view, judged| {
        let order = order::descending(judged.phi, view.key);
        judged.outcome(judged.hits(&order[..judged.size]) as f64 / judged.size as f64)
    }
}

/// Share of the first `k` features that is evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TopK {
    /// Number of features; `None`: a tenth of them, at most 1000.
    pub k: Option<usize>,
    /// Divide by the size of the evidence.
    pub concept: bool,
}

impl Options for TopK {
    const PARAMETERS: &'static [ParameterInfo] = TOP_K.parameters;

    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        match key {
            "k" => self.k = or_auto(value, || count(key, value, 1_000_000))?,
            "concept" => self.concept = on_off(key, value)?,
            _ => return Err(unknown_value(key, value, &[])),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        let k = auto_text(&self.k);
        vec![("k", k), ("concept", on_off_text(self.concept))]
    }
}

impl Metric for TopK {
    fn info(&self) -> &'static MetricInfo {
        &TOP_K
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn evaluate(&self, view: &View<'_>, _bench: &mut Bench<'_>) -> Result<Outcome> {
        let judged = match judged(view, false)? {
            Ok(judged) => judged,
            Err(undefined) => return Ok(undefined),
        };
        let n = judged.phi.len();
        let k = self.k.unwrap_or((n / 10).min(1000)).clamp(1, n);
        let order = order::descending(judged.phi, view.key);
        let over = if self.concept { judged.size } else { k };
        Ok(judged.outcome(judged.hits(&order[..k]) as f64 / over as f64).with("k", k as f64))
    }
}
