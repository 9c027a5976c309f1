//! L2, L4 and L10: how much of the positive attribution lies on the evidence.

use super::{Judged, plain_metric};
use crate::{Direction, Family, MetricInfo, Modality, Outcome};

/// Catalogue entry of relevance mass.
pub(super) const MASS: MetricInfo = MetricInfo {
    name: "relevance-mass",
    id: "L2",
    version: 1,
    family: Family::Localisation,
    direction: Direction::Up,
    summary: "The share of the positive attribution that lies on the known evidence.",
    formula: "sum_G phi+ / sum phi+",
    cost: "none",
    modalities: MetricInfo::ALL,
    misleads: "large evidence is easier to hit, and a model may rightly use what nobody marked.",
    check: "(4, 3, 2, 1) with evidence 1 and 3: .6",
    citation: "Arras, Osman, Samek, Information Fusion 2022 (relevance mass accuracy)",
    parameters: &[],
};

/// Catalogue entry of attribution localisation.
pub(super) const LOCALISATION: MetricInfo = MetricInfo {
    name: "attribution-localisation",
    id: "L4",
    summary: "The share of the positive attribution on the known evidence, per share of features that it is: 1 for a map that \
              is the same everywhere, whatever the size of the evidence.",
    formula: "mu_w = mu n / |G|, mu = sum_G phi+ / sum phi+",
    misleads: "small evidence gives large values: compare methods on the same samples only.",
    check: "(4, 3, 2, 1) with evidence 1 and 3: mu .6, mu_w 1.2",
    citation: "Kohlbrenner et al., IJCNN 2020",
    ..MASS
};

/// Catalogue entry of focus.
pub(super) const FOCUS: MetricInfo = MetricInfo {
    name: "focus",
    id: "L10",
    summary: "Of mosaics of 2 x 2 pictures, some of which show the explained class: the share of the positive attribution on \
              those. Which they are, the masks of evidence say: each quarter is marked as a whole or not at all.",
    formula: "sum_C phi+ / sum phi+, C the quarters that show the class",
    modalities: &[Modality::Image],
    misleads: "the class may be seen in other quarters too, and edges between quarters are no part of natural pictures.",
    check: "uniform with two quarters of the class: .5",
    citation: "Arias-Duart et al., FUZZ-IEEE 2022",
    ..MASS
};

/// Share of the positive attribution on the evidence.
fn mass(judged: &Judged<'_>) -> f64 {
    let on: f64 = judged.positive().zip(judged.truth).filter(|(_, is)| **is).map(|(v, _)| v).sum();
    on / judged.positive().sum::<f64>()
}

plain_metric! {
    /// Share of the positive attribution on the evidence.
    RelevanceMass, MASS, true, |_, judged| judged.outcome(mass(judged))
}

plain_metric! {
    /// Share of the positive attribution on the evidence, per share of features that it is.
    AttributionLocalisation, LOCALISATION, true, |_, judged| {
        let mu = mass(judged);
        judged.outcome(mu / judged.share()).with("mu", mu)
    }
}

plain_metric! {
    /// Share of the positive attribution on the quarters of a mosaic that show the class.
    Focus, FOCUS, true, |view, judged| {
        let Some([rows, columns]) = view.features.grid() else {
            return Outcome::undefined("the features are no pixels of a mosaic");
        };
        let quarter = |f: usize| 2 * (2 * (f / columns) / rows) + 2 * (f % columns) / columns;
        let mut seen = [None; 4];
        for (feature, is_marked) in judged.truth.iter().enumerate() {
            if *seen[quarter(feature)].get_or_insert(*is_marked) != *is_marked {
                return Outcome::undefined("the evidence is no whole quarters of a mosaic");
            }
        }
        judged.outcome(mass(judged))
    }
}
