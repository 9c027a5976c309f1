//! Agreement with known evidence, against values that follow by hand.

mod common;

use common::{Formula, assert_value, judged, lin};
use exegesis_metrics::{Map, Modality, Outcome, Subject, parse};
use exegesis_perturb::{Layout, Players};
use proptest::prelude::*;

const PHI: [f64; 4] = [4.0, 3.0, 2.0, 1.0];
const TRUTH: [bool; 4] = [true, false, true, false];

fn of(metric: &str, subject: &mut dyn Subject, phi: &[f64], truth: &[bool]) -> Outcome {
    judged(parse(metric).unwrap().as_ref(), subject, &Map::signed(phi.to_vec()), Some(truth))
}

/// A subject of which only the features matter.
fn with(modality: Modality, layout: Layout, count: usize) -> Formula<impl Fn(&[f64]) -> f64> {
    let mut subject = Formula::new(&vec![0.0; count], &vec![0.0; count], |_| 0.0);
    subject.features.players = Players::new(vec![(0..count as u32).collect()], layout).unwrap();
    subject.features.modality = modality;
    subject
}

#[test]
fn values_of_the_definitions() {
    for (metric, expected) in [
        ("pointing-game", 1.0),
        ("relevance-mass", 0.6),
        ("relevance-rank", 0.5),
        ("attribution-localisation", 1.2),
        ("top-k-intersection:k=1", 1.0),
        ("top-k-intersection:k=3", 2.0 / 3.0),
        ("top-k-intersection:k=3,concept=on", 1.0),
        ("localisation-auc", 0.75),
        ("average-precision", 5.0 / 6.0),
    ] {
        assert_value(&of(metric, &mut lin(), &PHI, &TRUTH), expected, 1e-12);
    }
    let mut text = with(Modality::Text, Layout::Sequence, 4);
    assert_value(&of("token-f1:ratio=0.5", &mut text, &PHI, &TRUTH), 0.5, 1e-12);
    let spans = of("iou-f1", &mut text, &PHI, &TRUTH);
    assert_value(&spans, 2.0 / 3.0, 1e-12);
    let part = |name: &str| spans.parts.iter().find(|(n, _)| n == name).unwrap().1;
    assert_eq!((part("precision"), part("recall")), (1.0, 0.5));
}

#[test]
fn ties_are_shared() {
    let truth = [true, false, false, false];
    assert_value(&of("pointing-game", &mut lin(), &[2.0, 2.0, 1.0, 2.0], &truth), 1.0 / 3.0, 1e-12);
    assert_value(&of("localisation-auc", &mut lin(), &[1.0; 4], &truth), 0.5, 1e-12);
    assert_value(&of("average-precision", &mut lin(), &[1.0; 4], &truth), 0.25, 1e-12);
}

#[test]
fn nothing_is_said_without_evidence_on_both_sides_or_positive_values() {
    for truth in [[true; 4], [false; 4]] {
        for metric in ["pointing-game", "relevance-mass", "relevance-rank", "localisation-auc"] {
            assert_eq!(of(metric, &mut lin(), &PHI, &truth).value, None, "{metric}");
        }
    }
    assert_eq!(of("relevance-mass", &mut lin(), &PHI.map(|v| -v), &TRUTH).value, None);
}

/// Catches distances along one axis only, and a tolerance that reaches around the border.
#[test]
fn a_tolerance_is_a_circle_of_pixels() {
    let mut picture = with(Modality::Image, Layout::Grid([3, 4]), 12);
    let mut phi = [0.0; 12];
    phi[0] = 1.0;
    for (evidence, tolerance, hit) in
        [(5, "1", 0.0), (5, "1.5", 1.0), (1, "1", 1.0), (3, "2", 0.0), (3, "3", 1.0), (11, "3", 0.0)]
    {
        let mut truth = [false; 12];
        truth[evidence] = true;
        let outcome = of(&format!("pointing-game:tolerance={tolerance}"), &mut picture, &phi, &truth);
        assert_value(&outcome, hit, 0.0);
    }
}

#[test]
fn focus_is_over_whole_quarters() {
    let mut picture = with(Modality::Image, Layout::Grid([2, 4]), 8);
    let left = [true, true, false, false, true, true, false, false];
    assert_value(&of("focus", &mut picture, &[1.0; 8], &left), 0.5, 1e-12);
    let phi = [3.0, 0.0, 1.0, 0.0, 0.0, -9.0, 0.0, 0.0];
    assert_value(&of("focus", &mut picture, &phi, &left), 0.75, 1e-12);
    let half = [true, false, false, false, true, true, false, false];
    assert_eq!(of("focus", &mut picture, &phi, &half).value, None);
}

proptest! {
    /// Catches mistakes in counting: the area against all pairs one by one.
    #[test]
    fn the_area_is_the_share_of_pairs_in_order(
        cells in prop::collection::vec((-3i32..3, any::<bool>()), 2..40),
    ) {
        let phi: Vec<f64> = cells.iter().map(|(v, _)| f64::from(*v)).collect();
        let truth: Vec<bool> = cells.iter().map(|(_, t)| *t).collect();
        let mut subject = with(Modality::Table, Layout::Unordered, phi.len());
        let found = of("localisation-auc", &mut subject, &phi, &truth).value;
        let (mut won, mut pairs) = (0.0, 0.0);
        for (a, is_in) in phi.iter().zip(&truth) {
            for (b, is_other_in) in phi.iter().zip(&truth) {
                if *is_in && !is_other_in {
                    pairs += 1.0;
                    won += if a > b { 1.0 } else if a == b { 0.5 } else { 0.0 };
                }
            }
        }
        match found {
            Some(value) => prop_assert!((value - won / pairs).abs() < 1e-12),
            None => prop_assert_eq!(pairs, 0.0),
        }
    }
}
