//! Insertion, deletion and pixel flipping against values that follow from the fixture LIN by hand.

mod common;

use common::{assert_value, judge, lin};

const TRUE: [f64; 4] = [4.0, 3.0, 2.0, 1.0];

#[test]
fn areas_of_a_linear_model() {
    // The score of LIN is 10.
    for (metric, expected) in [
        ("insertion", 6.25),
        ("deletion", 3.75),
        ("insertion:normalised=on", 0.625),
        ("deletion:normalised=on", 0.375),
        ("morf", 6.0),
        ("lerf", 4.0),
        ("abpc", 2.5),
        ("abpc:normalised=on", 0.25),
    ] {
        assert_value(&judge(metric, &mut lin(), &TRUE), expected, 1e-12);
    }
}

#[test]
fn the_negative_map_flips_the_area_between_the_curves() {
    let negative = TRUE.map(|v| -v);
    assert_value(&judge("abpc", &mut lin(), &negative), -2.5, 1e-12);
}
