//! Promises of maps, against values that follow by hand.

mod again;
mod common;

use again::Explained;
use common::{Formula, assert_value, judge, judged, lin};
use exegesis_metrics::{Map, parse};

const W: [f64; 4] = [4.0, 3.0, 2.0, 1.0];

#[test]
fn sums_are_held_against_what_is_promised() {
    let metric = |text: &str| parse(text).unwrap();
    let map = |promised| Map { promised, ..Map::signed(vec![4.0, 3.0, 2.0, 2.0]) };
    let of = |text: &str, promised| judged(metric(text).as_ref(), &mut lin(), &map(promised), None);
    assert_value(&of("completeness", Some(10.0)), 1.0, 1e-12);
    assert_value(&of("completeness:relative=on", Some(10.0)), 0.1, 1e-12);
    assert_value(&of("completeness", Some(11.0)), 0.0, 1e-12);
    assert_eq!(of("completeness", None).value, None);
    // f(x) - f(b) of LIN is 10.
    assert_value(&of("completeness:against=baseline", None), 1.0, 1e-12);
    assert_value(&judge("completeness:against=baseline", &mut lin(), &W), 0.0, 1e-12);
}

#[test]
fn features_without_effect_should_have_no_value() {
    let subject = || Explained::new(Formula::new(&[1.0; 2], &[0.0; 2], |x| x[0]), <[f64]>::to_vec);
    for (map, wrong) in [([1.0, 1.0], 1.0), ([1.0, 0.0], 0.0), ([0.0, 1.0], 2.0), ([0.0, 0.0], 1.0)] {
        assert_value(&judge("non-sensitivity", &mut subject(), &map), wrong, 0.0);
        assert_value(&judge("non-sensitivity:share=on", &mut subject(), &map), wrong / 2.0, 0.0);
    }
}

#[test]
fn shifted_models() {
    let mut gradient = Explained::new(lin(), |_| W.to_vec());
    gradient.shifted = Some(Box::new(|_, _| W.to_vec()));
    assert_value(&judge("input-invariance", &mut gradient, &W), 0.0, 0.0);
    // Input times gradient at x + 1 = 2: twice as much.
    let mut times = Explained::new(lin(), |x| x.iter().zip(W).map(|(x, w)| x * w).collect());
    times.shifted = Some(Box::new(|c, _| W.iter().map(|w| (1.0 + c) * w).collect()));
    let outcome = judge("input-invariance", &mut times, &W);
    assert_value(&outcome, 1.0, 1e-12);
    assert!(outcome.parts.contains(&("absolute".to_string(), 2.5)), "{:?}", outcome.parts);
    // Integrated gradients from a baseline that moves along, or not.
    let mut path = Explained::new(lin(), |_| W.to_vec());
    path.shifted =
        Some(Box::new(|c, moves| W.iter().map(|w| if moves { *w } else { (1.0 + c) * w }).collect()));
    assert_value(&judge("input-invariance", &mut path, &W), 0.0, 0.0);
    assert_value(&judge("input-invariance:shift-baseline=off,shift=2", &mut path, &W), 2.0, 1e-12);
}

#[test]
fn the_worst_variant_counts() {
    let mut subject = Explained::new(lin(), |_| W.to_vec());
    assert_eq!(judge("implementation-invariance", &mut subject, &W).value, None);
    subject.variants = vec![("same".into(), W.to_vec()), ("other".into(), vec![4.0, 3.0, 1.0, 1.2])];
    assert_value(&judge("implementation-invariance", &mut subject, &W), 0.25, 1e-12);
}
