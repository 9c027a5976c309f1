//! Shapley and Owen values: against plain enumeration, by the axioms that define them, and with standard errors that hold.

mod common;

use common::*;
use exegesis_perturb::random::RowKey;
use exegesis_perturb::{Coalition, Error, Layout};
use proptest::prelude::*;

const ALL: [&str; 4] = ["shapley", "kernel-shap", "permutation-shap", "partition-shap"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// A wrong weight, a lost coalition or a wrong sign would show.
    #[test]
    fn with_a_budget_for_all_every_method_is_the_enumeration(seed in any::<u64>(), n in 1usize..=10) {
        let game = Polynomial::random(seed, n);
        let expected = shapley(n, |c| game.value(c));
        for method in ["shapley", "kernel-shap:samples=1024", "permutation-shap:samples=1024"] {
            let found = play(method, &mut game.clone(), &Layout::Unordered, KEY).unwrap();
            prop_assert!(distance(&found.values, &expected) < 1e-10, "{}: {:?} {:?}", method, found.values, expected);
            prop_assert_eq!(found.model_rows, 1 << n);
        }
        let orders = Tree::halves(0, n).orders();
        let owen = mean_over(&orders, n, |c| game.value(c));
        let found = play("partition-shap:samples=5000", &mut game.clone(), &Layout::Sequence, KEY).unwrap();
        prop_assert!(distance(&found.values, &owen) < 1e-10, "{:?} {:?}", found.values, owen);
    }

    /// Values sum to the score minus the base value, a player without effect has 0, two that are alike the same, and the values
    /// of a sum of games are the sum of their values.
    #[test]
    fn the_axioms_hold(seed in any::<u64>(), n in 4usize..=9) {
        let mut game = Polynomial::random(seed, n);
        // 0 has no effect; 1 and 2 are alike.
        game.linear[0] = 0.0;
        game.linear[2] = game.linear[1];
        game.pairs.retain(|(i, j, _)| *i > 2 && *j > 2);
        game.triples.retain(|(i, j, k, _)| *i > 2 && *j > 2 && *k > 2);
        game.pairs.push((1, 2, 0.8));
        let other = Polynomial::random(seed ^ 77, n);
        let total = game.value(&Coalition::full(n)) - game.value(&Coalition::empty(n));
        for method in ALL {
            // Below the enumeration too: what sampling does must keep all but the symmetry. 40 are not enough for n > 5.
            for budget in [1024, 40] {
                let text = if method == "shapley" { method.to_string() } else { format!("{method}:samples={budget}") };
                let values = |game: &mut dyn exegesis_perturb::Game| {
                    play(&text, game, &Layout::Sequence, KEY).unwrap()
                };
                let found = values(&mut game.clone());
                prop_assert!((found.values.iter().sum::<f64>() - total).abs() < 1e-9, "{}", text);
                prop_assert!((found.total.unwrap() - total).abs() < 1e-12);
                let is_exact = budget == 1024 || method == "shapley";
                if is_exact || method == "permutation-shap" {
                    prop_assert!(found.values[0].abs() < 1e-10, "{}: dummy {}", text, found.values[0]);
                }
                if is_exact && method != "partition-shap" {
                    prop_assert!((found.values[1] - found.values[2]).abs() < 1e-10, "{}", text);
                }
                // Where the coalitions asked for do not depend on the scores.
                if method != "partition-shap" || is_exact {
                    let second = values(&mut other.clone());
                    let both = values(&mut Scored(n, |c: &Coalition| game.value(c) - 2.0 * other.value(c)));
                    for p in 0..n {
                        let expected = found.values[p] - 2.0 * second.values[p];
                        prop_assert!((both.values[p] - expected).abs() < 1e-8, "{}", text);
                    }
                }
            }
        }
    }

    /// The same bits for any number of rows at once, and never more rows than asked for.
    #[test]
    fn batches_change_nothing_and_budgets_hold(seed in any::<u64>(), n in 8usize..40, budget in 90usize..400) {
        for method in &ALL[1..] {
            let text = format!("{method}:samples={budget}");
            let mut results = vec![];
            for rows_at_once in [1, 7, 4096] {
                let mut game = Polynomial { rows_at_once, ..Polynomial::random(seed, n) };
                results.push(play(&text, &mut game, &Layout::Sequence, KEY).unwrap());
                prop_assert_eq!(game.asked, results[0].model_rows);
                prop_assert!(game.asked <= budget, "{}: {} rows", text, game.asked);
            }
            prop_assert_eq!(&results[0], &results[1]);
            prop_assert_eq!(&results[0], &results[2]);
        }
    }

    /// Wherever the user stops, there is a partial result that says so and keeps the sum, or an error that says how much it takes.
    #[test]
    fn stopping_gives_what_is_known(seed in any::<u64>(), after in 1usize..220) {
        let n = 12;
        for method in &ALL[1..] {
            for text in [format!("{method}:samples=200"), format!("{method}:samples=4096")] {
                let mut game = Polynomial { rows_at_once: 8, stop_after: Some(after), ..Polynomial::random(seed, n) };
                let stop = game.stop.clone();
                let total = game.value(&Coalition::full(n)) - game.value(&Coalition::empty(n));
                match play_until(&text, &mut game, &Layout::Sequence, KEY, Some(&stop)) {
                    Ok(found) => {
                        let is_short = game.asked > after + 8;
                        prop_assert!(!is_short, "{} asked {} after {}", text, game.asked, after);
                        prop_assert!((found.values.iter().sum::<f64>() - total).abs() < 1e-9);
                        if found.is_partial {
                            prop_assert!(found.warnings.iter().any(|w| w.contains("stopped after")), "{:?}", found.warnings);
                        }
                    }
                    Err(Error::StoppedShort { done, needed }) => {
                        prop_assert!(done < needed && done <= after + 8);
                        prop_assert!(text.contains("4096") || needed <= 24, "{}: {}", text, needed);
                    }
                    Err(other) => prop_assert!(false, "{}", other),
                }
            }
        }
    }
}

/// The mean over seeds goes to the exact values, as fast as the stated standard errors say: they cover the truth about as often
/// as a normal distribution would have it. A bias or errors that are too small would show.
#[test]
fn sampling_is_consistent_and_standard_errors_cover() {
    for (method, n, budget) in [
        ("permutation-shap", 11, 200),
        ("permutation-shap", 12, 600),
        ("kernel-shap", 11, 60),
        ("kernel-shap", 11, 200),
        ("kernel-shap", 12, 600),
        ("kernel-shap", 12, 3000),
    ] {
        let rounds = 150;
        for seed in [2, 5] {
            let game = Polynomial::random(seed, n);
            let exact = shapley(n, |c| game.value(c));
            let (mut within, mut mean, mut squares, mut stated) =
                ([0usize; 2], vec![0.0; n], vec![0.0; n], vec![0.0; n]);
            for round in 0..rounds {
                let key = RowKey { seed: round, row: 3 };
                let text = format!("{method}:samples={budget}");
                let found = play(&text, &mut game.clone(), &Layout::Unordered, key).unwrap();
                let errors = found.standard_errors.unwrap();
                for p in 0..n {
                    let off = found.values[p] - exact[p];
                    within[0] += usize::from(off.abs() <= errors[p] + 1e-12);
                    within[1] += usize::from(off.abs() <= 2.0 * errors[p] + 1e-12);
                    mean[p] += off / rounds as f64;
                    squares[p] += off * off / rounds as f64;
                    stated[p] += errors[p] * errors[p] / rounds as f64;
                }
            }
            let share = within.map(|w| w as f64 / (rounds as usize * n) as f64);
            let (seen, said) = (squares.iter().sum::<f64>().sqrt(), stated.iter().sum::<f64>().sqrt());
            let bias = mean.iter().map(|m| m * m).sum::<f64>().sqrt();
            println!(
                "{method} n={n} samples={budget} game {seed}: within 1 SE {:.3}, 2 SE {:.3}; error {seen:.4}, stated {said:.4}, bias \
                 {bias:.4}",
                share[0], share[1]
            );
            assert!((0.60..0.80).contains(&share[0]), "{method} {n} {budget}: {share:?}");
            assert!((0.90..0.99).contains(&share[1]), "{method} {n} {budget}: {share:?}");
            // The jackknife errs on the safe side where pairs are few beside the players: here 29 pairs for 11.
            let most = if budget < 8 * n { 1.5 } else { 1.2 };
            assert!(
                (0.85..most).contains(&(said / seen)),
                "{method} {n} {budget}: stated {said} seen {seen}"
            );
            // Of the mean of `rounds` unbiased estimates.
            let allowed =
                if method == "permutation-shap" { 2.0 } else { 3.0 } * seen / (rounds as f64).sqrt();
            assert!(bias < allowed, "{method} {n} {budget}: bias {bias}, allowed {allowed}");
        }
    }
}

/// A game whose Owen values differ from its Shapley values, by hand: players {0, 1} and {2}, only 0 and 2 together score 1. The
/// group {0, 1} and 2 get a half each, and in the group all of it goes to 0.
#[test]
fn owen_values_go_by_the_groups() {
    let mut game = Scored(3, |c: &Coalition| f64::from(u8::from(c.contains(0) && c.contains(2))));
    let found = play("partition-shap", &mut game, &Layout::Sequence, KEY).unwrap();
    assert_eq!(found.values, [0.5, 0.0, 0.5]);
    let mut game = Scored(3, |c: &Coalition| f64::from(u8::from(c.size() >= 2)));
    // Shapley a third each; the group {0, 1} wins alone, 2 adds to neither it nor nobody, but to one of its players.
    let found = play("partition-shap", &mut game, &Layout::Sequence, KEY).unwrap();
    assert_eq!(found.values, [0.5, 0.5, 0.0]);
}

/// Halves of a grid against the tree written out.
#[test]
fn grids_are_split_across_the_longer_side() {
    use Tree::{Both, Player};
    let both = |a, b| Both(Box::new(a), Box::new(b));
    let square = |a, b, c, d| both(both(Player(a), Player(b)), both(Player(c), Player(d)));
    let tree = both(square(0, 1, 4, 5), square(2, 3, 6, 7));
    let game = Polynomial::random(12, 8);
    let owen = mean_over(&tree.orders(), 8, |c| game.value(c));
    let found = play("partition-shap", &mut game.clone(), &Layout::Grid([2, 4]), KEY).unwrap();
    assert!(distance(&found.values, &owen) < 1e-12);
}

#[test]
fn budgets_below_the_least_are_refused_with_the_least() {
    for (method, least) in [("kernel-shap", 22), ("permutation-shap", 40), ("partition-shap", 4)] {
        let mut game = Polynomial::random(1, 20);
        let error =
            play(&format!("{method}:samples={}", least - 1), &mut game, &Layout::Sequence, KEY).unwrap_err();
        assert!(error.to_string().contains(&format!("at least {least} samples")), "{error}");
        let enough = play(&format!("{method}:samples={least}"), &mut game, &Layout::Sequence, KEY).unwrap();
        assert_eq!(enough.model_rows, least, "{method}");
        assert!(!enough.warnings.is_empty(), "{method} says nothing of so small a budget");
    }
    let error = play("shapley", &mut Polynomial::random(1, 21), &Layout::Sequence, KEY).unwrap_err();
    assert!(error.to_string().contains("21 players"), "{error}");
}

#[test]
fn constant_scores_and_single_players_are_no_trouble() {
    for method in ALL {
        for n in [1, 2, 30] {
            if method == "shapley" && n > 20 {
                continue;
            }
            let found = play(method, &mut Scored(n, |_: &Coalition| 0.1), &Layout::Sequence, KEY).unwrap();
            assert_eq!(found.values, vec![0.0; n], "{method}");
            assert!(
                found.warnings.iter().any(|w| w.contains("is the same whatever is taken out")),
                "{method}"
            );
        }
        let found =
            play(method, &mut Scored(1, |c: &Coalition| c.size() as f64 + 2.0), &Layout::Sequence, KEY)
                .unwrap();
        assert_eq!((found.values, found.base_value), (vec![1.0], Some(2.0)), "{method}");
        let error = play(
            method,
            &mut Scored(4, |c: &Coalition| if c.size() == 1 { f64::NAN } else { 1.0 }),
            &Layout::Sequence,
            KEY,
        );
        assert!(matches!(error, Err(Error::Predictor(_))), "{method}: {error:?}");
    }
}

/// The wanted standard error ends sampling early, at the same place for any batch size, and it is met.
#[test]
fn a_tolerance_ends_sampling() {
    for method in ["kernel-shap", "permutation-shap"] {
        let mut game = Polynomial { is_bent: false, ..Polynomial::random(4, 30) };
        game.linear.iter_mut().for_each(|a| *a = a.abs());
        let text = format!("{method}:samples=20000,tolerance=0.02");
        let found = play(&text, &mut game.clone(), &Layout::Unordered, KEY).unwrap();
        assert!(found.model_rows < 15_000, "{method}: {}", found.model_rows);
        let largest = found.standard_errors.as_ref().unwrap().iter().copied().fold(0.0, f64::max);
        assert!(largest <= 0.02 * found.total.unwrap().abs());
        assert!(found.warnings.is_empty() && !found.is_partial, "{:?}", found.warnings);
        let mut other = Polynomial { rows_at_once: 13, ..game.clone() };
        assert_eq!(found, play(&text, &mut other, &Layout::Unordered, KEY).unwrap());
        let short = play(
            &text.replace("20000", "200").replace("0.02", "0.000001"),
            &mut game.clone(),
            &Layout::Unordered,
            KEY,
        )
        .unwrap();
        assert!(short.warnings.iter().any(|w| w.contains("tolerance")), "{:?}", short.warnings);
    }
}

/// Fewer rows than unknowns: said, and still the right sum and finite values.
#[test]
fn systems_that_are_not_determined_are_said() {
    let n = 196;
    let game = Polynomial { is_bent: false, ..Polynomial::random(6, n) };
    let total = game.value(&Coalition::full(n)) - game.value(&Coalition::empty(n));
    for budget in [198, 300, 390, 420, 2048] {
        let found =
            play(&format!("kernel-shap:samples={budget}"), &mut game.clone(), &Layout::Grid([14, 14]), KEY)
                .unwrap();
        assert!((found.values.iter().sum::<f64>() - total).abs() < 1e-8);
        assert!(found.values.iter().all(|v| v.is_finite() && v.abs() < 1e3), "{budget}");
        let is_said = found.warnings.iter().any(|w| w.contains("do not tell 196 players apart"));
        assert_eq!(is_said, budget <= 390, "{budget}: {:?}", found.warnings);
        assert_eq!(found.standard_errors.is_none(), is_said, "{budget}");
    }
}
