//! L6 and L7: areas over all thresholds.

use super::{Judged, plain_metric};
use crate::{Direction, Family, MetricInfo};

/// Catalogue entry of the area under the ROC curve.
pub(super) const AUC: MetricInfo = MetricInfo {
    name: "localisation-auc",
    id: "L6",
    version: 1,
    family: Family::Localisation,
    direction: Direction::Up,
    summary: "The probability that a feature of the evidence has a larger value than one that is not; ties count half. A map of \
              random numbers has .5, whatever the size of the evidence.",
    formula: "P(phi_i > phi_j) + P(phi_i = phi_j) / 2, i in G, j outside",
    cost: "none",
    modalities: MetricInfo::ALL,
    misleads: "where the evidence is small, many false alarms cost little: see `average-precision`.",
    check: "(4, 3, 2, 1) with evidence 1 and 3: .75",
    citation: "Fawcett, 2006; used for explanations by Fong and Vedaldi, ICCV 2017",
    parameters: &[],
};

/// Catalogue entry of average precision.
pub(super) const PRECISION: MetricInfo = MetricInfo {
    name: "average-precision",
    id: "L7",
    summary: "The precision at each threshold that finds more of the evidence, averaged by how much more: the area under the \
              curve of precision over recall. Ties share a threshold.",
    formula: "sum_t (recall_t - recall_{t-1}) precision_t, t over the values of phi, descending",
    misleads: "a map of random numbers has the share of features that is evidence, so that samples differ by their size.",
    check: "(4, 3, 2, 1) with evidence 1 and 3: .8333",
    citation: "Davis and Goadrich, ICML 2006",
    ..AUC
};

/// Per distinct value, descending: features of the evidence that have it, and others.
fn thresholds(judged: &Judged<'_>) -> Vec<(f64, f64)> {
    let mut order: Vec<usize> = (0..judged.phi.len()).collect();
    order.sort_by(|a, b| judged.phi[*b].total_cmp(&judged.phi[*a]));
    order
        .chunk_by(|a, b| judged.phi[*a] == judged.phi[*b])
        .map(|tied| {
            let hits = judged.hits(tied);
            (hits as f64, (tied.len() - hits) as f64)
        })
        .collect()
}

plain_metric! {
    /// Area under the ROC curve.
    LocalisationAuc, AUC, false, |_, judged| {
        let outside = judged.phi.len() as f64 - judged.size as f64;
        let (mut below, mut won) = (outside, 0.0);
        for (hits, misses) in thresholds(judged) {
            below -= misses;
            won += hits * (below + misses / 2.0);
        }
        judged.outcome(won / (judged.size as f64 * outside))
    }
}

plain_metric! {
    /// Area under the curve of precision over recall.
    AveragePrecision, PRECISION, false, |_, judged| {
        let (mut hits, mut taken, mut area) = (0.0, 0.0, 0.0);
        for (more, misses) in thresholds(judged) {
            hits += more;
            taken += more + misses;
            area += more * hits / taken;
        }
        judged.outcome(area / judged.size as f64)
    }
}
