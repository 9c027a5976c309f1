//! Lengths of maps, against values that follow by hand.

mod common;

use common::{Formula, assert_value, judge, lin};

const PHI: [f64; 4] = [4.0, -3.0, 2.0, -1.0];

#[test]
fn values_of_the_definitions() {
    for (metric, expected) in [
        ("gini", 0.25),
        ("complexity", 1.279_854_225_833_667_6),
        ("effective-complexity", 3.0),
        ("effective-complexity:share=0.91", 4.0),
        ("effective-complexity:share=1", 4.0),
        ("effective-complexity:by=count,threshold=1.5", 3.0),
        ("effective-complexity:by=count", 4.0),
    ] {
        assert_value(&judge(metric, &mut lin(), &PHI), expected, 1e-9);
    }
    assert_value(&judge("effective-complexity:by=count", &mut lin(), &[4.0, 1e-6, 0.0, 0.0]), 1.0, 0.0);
    assert_eq!(judge("effective-complexity", &mut lin(), &[0.0; 4]).value, None);
}

/// Of LIN at ones the first k features score 4, 7, 9, 10 of 10.
#[test]
fn what_the_model_needs() {
    let of = |share: &str| {
        judge(&format!("effective-complexity:by=output,share={share}"), &mut lin(), &[4.0, 3.0, 2.0, 1.0])
    };
    for (share, count) in [("0.4", 1.0), ("0.41", 2.0), ("0.7", 2.0), ("0.9", 3.0), ("0.95", 4.0)] {
        // Shares that are met exactly may round either way.
        let share: f64 = share.parse::<f64>().unwrap() - 1e-9;
        assert_value(&of(&share.to_string()), count, 0.0);
    }
    let mut constant = Formula::new(&[1.0; 4], &[0.0; 4], |_| 3.0);
    assert_eq!(judge("effective-complexity:by=output", &mut constant, &PHI).value, None);
}
