//! Statistics over samples, methods and metrics against values by hand, and properties.

use exegesis_metrics::Family;
use exegesis_metrics::statistics::{
    DRAWS, bootstrap_with, estimate, flips, holm, kendall_tau, kendall_w, median, mid_ranks, paired,
    percentile, probability_first, resamples, standings,
};
use proptest::prelude::*;

fn some(values: &[f64]) -> Vec<Option<f64>> {
    values.iter().copied().map(Some).collect()
}

/// Scores that put methods into the order of these ranks.
fn ranked(ranks: &[f64]) -> Vec<Option<f64>> {
    ranks.iter().map(|r| Some(-r)).collect()
}

#[test]
fn percentiles_are_linear_between_neighbours() {
    let sorted = [1.0, 2.0, 4.0, 8.0, 16.0];
    for (share, expected) in [(0.0, 1.0), (0.5, 4.0), (0.625, 6.0), (1.0, 16.0)] {
        assert_eq!(percentile(&sorted, share), Some(expected));
    }
    assert_eq!((percentile(&[], 0.5), median(&[3.0, 1.0, 2.0, 10.0])), (None, Some(2.5)));
}

#[test]
fn given_resamples_give_the_percentiles_of_their_means() {
    // Means 0, 1, ..., 40: the 2.5th percentile is exactly 1, the 97.5th 39.
    let values: Vec<f64> = (0..41).map(f64::from).collect();
    let indices: Vec<Vec<usize>> = (0..41).map(|i| vec![i; 3]).collect();
    let interval = bootstrap_with(&values, &indices).unwrap();
    assert!((interval.low - 1.0).abs() < 1e-12 && (interval.high - 39.0).abs() < 1e-12, "{interval:?}");
    assert_eq!(bootstrap_with(&[], &indices), None);
}

/// Catches an interval that is too narrow or too wide by a factor: of a mean of n standard normals it is near 2 * 1.96 /
/// sqrt(n).
#[test]
fn intervals_have_the_width_of_the_normal_distribution() {
    let mut random = exegesis_perturb::random::Stream::new(
        exegesis_perturb::random::RowKey { seed: 5, row: 0 },
        "test",
        0,
    );
    let values: Vec<Option<f64>> = (0..400).map(|_| Some(random.normal())).collect();
    let found = estimate(&values, 0).unwrap().interval.unwrap();
    let expected = 2.0 * 1.96 / 20.0;
    assert!(((found.high - found.low) / expected - 1.0).abs() < 0.15, "{found:?}");
}

#[test]
fn what_is_missing_is_not_zero_and_one_sample_has_no_interval() {
    let found = estimate(&[None, Some(4.0), None, Some(6.0)], 0).unwrap();
    assert_eq!((found.n, found.mean, found.median), (2, 5.0, 5.0));
    assert_eq!(estimate(&[Some(1.0), None], 0).unwrap().interval, None);
    assert_eq!(estimate(&[None], 0), None);
}

#[test]
fn differences_are_paired() {
    // The methods overlap widely, but the first is above the second by 1 on every sample.
    let second: Vec<Option<f64>> = (0..20).map(|i| Some(f64::from(i) * 10.0)).collect();
    let first: Vec<Option<f64>> = second.iter().map(|v| v.map(|v| v + 1.0)).collect();
    let found = paired(&first, &second, 0).unwrap();
    assert!((found.mean - 1.0).abs() < 1e-9 && found.p < 0.01 && found.interval.low > 0.99, "{found:?}");
    assert_eq!(paired(&first, &first, 0).unwrap().p, 1.0);
    let gaps = paired(&[Some(1.0), None, Some(3.0)], &[Some(0.0), Some(9.0), Some(2.0)], 0).unwrap();
    assert_eq!((gaps.n, gaps.mean), (2, 1.0));
}

/// Catches certainty from hardly any data: three samples can't be told from chance at 5 %.
#[test]
fn few_samples_are_never_significant() {
    for n in 2..=5 {
        let (first, second) = (vec![Some(1.0); n], vec![Some(0.0); n]);
        assert!(paired(&first, &second, 0).unwrap().p > 0.05, "{n}");
    }
    assert!(paired(&[Some(1.0); 8], &[Some(0.0); 8], 0).unwrap().p < 0.05);
    assert_eq!(paired(&[Some(1.0)], &[Some(0.0)], 0), None);
}

/// Catches a p-value of another scale: it is near uniform where there is no difference.
#[test]
fn p_values_are_even_without_a_difference() {
    let mut small = 0;
    for trial in 0..400u64 {
        let key = exegesis_perturb::random::RowKey { seed: trial, row: 0 };
        let mut random = exegesis_perturb::random::Stream::new(key, "test", 0);
        let draw = |random: &mut exegesis_perturb::random::Stream| {
            (0..40).map(|_| Some(random.normal())).collect::<Vec<_>>()
        };
        let (first, second) = (draw(&mut random), draw(&mut random));
        small += usize::from(paired(&first, &second, trial).unwrap().p < 0.2);
    }
    assert!((60..=110).contains(&small), "{small} of 400 below .2");
}

#[test]
fn holm_by_hand() {
    let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
    for (found, expected) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
        assert!((found - expected).abs() < 1e-12, "{corrected:?}");
    }
    assert!(holm(&[]).is_empty());
}

#[test]
fn equal_scores_share_their_ranks() {
    let ranks = mid_ranks(&[Some(5.0), Some(7.0), None, Some(5.0), Some(1.0)]);
    assert_eq!(ranks, [Some(2.5), Some(1.0), None, Some(2.5), Some(4.0)]);
}

#[test]
fn concordance_of_the_specification() {
    let orders = |a: &[f64], b: &[f64]| kendall_w(&[ranked(a), ranked(b)]).unwrap();
    assert!((orders(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]) - 1.0).abs() < 1e-12);
    assert!(orders(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]).abs() < 1e-12);
    // Ties: sums of ranks 2, 5, 5; S = 6; 12 * 6 / (4 * 24 - 2 * 12) = 1.
    assert!((orders(&[1.0, 2.5, 2.5], &[1.0, 2.5, 2.5]) - 1.0).abs() < 1e-12);
    // A method that one order does not know is left out of all.
    let gap = kendall_w(&[ranked(&[1.0, 2.0, 3.0]), vec![Some(3.0), None, Some(1.0)]]);
    assert!((gap.unwrap() - 1.0).abs() < 1e-12);
    assert_eq!(kendall_w(&[ranked(&[1.0, 2.0])]), None);
    assert_eq!(kendall_w(&[some(&[1.0, 1.0]), some(&[2.0, 2.0])]), None);
}

#[test]
fn tau_by_hand() {
    let tau = |a: &[f64], b: &[f64]| kendall_tau(&some(a), &some(b));
    assert_eq!(tau(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), Some(-1.0));
    // One of three pairs is discordant.
    assert!((tau(&[1.0, 2.0, 3.0], &[1.0, 3.0, 2.0]).unwrap() - 1.0 / 3.0).abs() < 1e-12);
    // Two concordant pairs, one tied in the first list: 2 / sqrt(2 * 3).
    assert!((tau(&[1.0, 1.0, 2.0], &[1.0, 2.0, 3.0]).unwrap() - 2.0 / 6f64.sqrt()).abs() < 1e-12);
    assert_eq!(tau(&[1.0, 1.0], &[1.0, 2.0]), None);
    assert_eq!(flips(&some(&[3.0, 2.0, 1.0]), &some(&[3.0, 1.0, 2.0])), [(1, 2)]);
}

/// Catches families that weigh by the number of their metrics.
#[test]
fn families_weigh_equally() {
    use Family::{Complexity, Faithfulness};
    // Three metrics of faithfulness put method 0 first, one of complexity puts it last of three.
    let scores =
        vec![some(&[3.0, 2.0, 1.0]), some(&[3.0, 2.0, 1.0]), some(&[3.0, 2.0, 1.0]), some(&[1.0, 2.0, 3.0])];
    let families = [Faithfulness, Faithfulness, Faithfulness, Complexity];
    let found = standings(&scores, &families);
    let overall: Vec<f64> = found.iter().map(|s| s.overall.unwrap().median).collect();
    assert_eq!(overall, [2.0, 2.0, 2.0]);
    assert_eq!(found[0].families[0].0, Faithfulness);
    assert_eq!((found[0].families[0].1.median, found[0].families[1].1.median), (1.0, 3.0));
}

#[test]
fn who_always_wins_is_surely_first() {
    let above: Vec<Option<f64>> = (0..12).map(|i| Some(f64::from(i) + 0.5)).collect();
    let below: Vec<Option<f64>> = (0..12).map(|i| Some(f64::from(i) - 90.0)).collect();
    let first = probability_first(&[vec![above.clone(), below.clone()]], &[Family::Faithfulness], DRAWS, 0);
    assert_eq!(first, [1.0, 0.0]);
    let even = probability_first(&[vec![above.clone(), above]], &[Family::Faithfulness], DRAWS, 0);
    assert_eq!(even, [0.5, 0.5]);
}

#[test]
fn resamples_are_reproducible_and_in_range() {
    let all = resamples(7, 50, 3);
    assert_eq!(all, resamples(7, 50, 3));
    assert_ne!(all, resamples(7, 50, 4));
    assert_eq!(all[..10], resamples(7, 10, 3)[..]);
    assert!(all.iter().all(|list| list.len() == 7 && list.iter().all(|i| *i < 7)));
}

/// Catches p-values that can't get below a thousandth, so that no difference survives the correction for many pairs.
#[test]
fn a_clear_difference_survives_the_correction_for_many_pairs() {
    let noise = |i: usize| ((i * 7919) % 101) as f64 / 101.0 - 0.5;
    let first: Vec<Option<f64>> = (0..60).map(|i| Some(1.0 + noise(i))).collect();
    let second: Vec<Option<f64>> = (0..60).map(|i| Some(noise(i + 33))).collect();
    let clear = paired(&first, &second, 5).unwrap().p;
    assert!(clear < 1e-6, "{clear}");
    let none: Vec<Option<f64>> = (0..60).map(|i| Some(1.0 + noise(i + 50))).collect();
    assert!(paired(&first, &none, 5).unwrap().p > 0.05);
    // Eight methods have 28 pairs.
    assert!(holm(&[vec![clear], vec![0.9; 27]].concat())[0] < 0.05);
}

proptest! {
    #[test]
    fn orders_do_not_depend_on_the_scale(values in prop::collection::vec(-100i32..100, 2..8), shift in -50i32..50) {
        let scores: Vec<Option<f64>> = values.iter().map(|v| Some(f64::from(*v))).collect();
        let moved: Vec<Option<f64>> = values.iter().map(|v| Some(f64::from(*v) * 3.0 + f64::from(shift))).collect();
        prop_assert_eq!(mid_ranks(&scores), mid_ranks(&moved));
        let n = values.len() as f64;
        let sum: f64 = mid_ranks(&scores).iter().flatten().sum();
        prop_assert!((sum - n * (n + 1.0) / 2.0).abs() < 1e-9);
        if let Some(tau) = kendall_tau(&scores, &moved) {
            prop_assert!((tau - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn concordance_lies_between_0_and_1_and_does_not_depend_on_who_is_named_first(
        orders in prop::collection::vec(prop::array::uniform5(-3i32..3), 2..6)
    ) {
        let scores: Vec<Vec<Option<f64>>> = orders.iter().map(|o| o.iter().map(|v| Some(f64::from(*v))).collect()).collect();
        let reversed: Vec<Vec<Option<f64>>> = scores.iter().map(|o| o.iter().rev().copied().collect()).collect();
        let (a, b) = (kendall_w(&scores), kendall_w(&reversed));
        prop_assert_eq!(a.is_some(), b.is_some());
        if let (Some(a), Some(b)) = (a, b) {
            prop_assert!((0.0..=1.0).contains(&a) && (a - b).abs() < 1e-9);
        }
        // The same order several times is agreement, unless it ties all.
        if let Some(own) = kendall_w(&[scores[0].clone(), scores[0].clone()]) {
            prop_assert!((own - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn corrected_values_keep_the_order_and_never_fall(p in prop::collection::vec(0.0f64..1.0, 1..12)) {
        let corrected = holm(&p);
        for (i, a) in p.iter().enumerate() {
            prop_assert!(corrected[i] >= *a && corrected[i] <= 1.0);
            for (j, b) in p.iter().enumerate() {
                prop_assert!(a > b || corrected[i] <= corrected[j] || a == b);
            }
        }
    }

    #[test]
    fn the_mean_lies_in_its_interval_and_swapping_flips_the_difference(
        values in prop::collection::vec((-10.0f64..10.0, -10.0f64..10.0), 3..20)
    ) {
        let a: Vec<Option<f64>> = values.iter().map(|v| Some(v.0)).collect();
        let b: Vec<Option<f64>> = values.iter().map(|v| Some(v.1)).collect();
        let (there, back) = (paired(&a, &b, 1).unwrap(), paired(&b, &a, 1).unwrap());
        prop_assert!((there.mean + back.mean).abs() < 1e-9);
        prop_assert!((there.p - back.p).abs() < 1e-12);
        prop_assert!(there.interval.low <= there.interval.high);
        let own = estimate(&a, 1).unwrap();
        let least = a.iter().flatten().copied().fold(f64::INFINITY, f64::min);
        let interval = own.interval.unwrap();
        prop_assert!(interval.low >= least - 1e-9 && interval.low <= own.mean + 1e-9 && own.mean <= interval.high + 1e-9);
    }
}
