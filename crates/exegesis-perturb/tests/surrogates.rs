//! Occlusion, LIME and RISE against plain loops and closed forms: linear models, whose answers are known.

use std::sync::atomic::{AtomicBool, Ordering};

use exegesis_graph::Tensor;
use exegesis_perturb::random::{RowKey, Stream};
use exegesis_perturb::{
    Attribution, Coalition, Control, Error, Evaluator, Game, Imputer, Layout, Masked, Method, Places,
    PlayerKind, Players, Result,
};
use proptest::prelude::*;

const KEY: RowKey = RowKey { seed: 7, row: 3 };

/// A score of how far each player is there.
struct Scored<F> {
    players: usize,
    score: F,
    rows_at_once: usize,
    is_soft: bool,
}

impl<F: Fn(&[f64]) -> f64> Game for Scored<F> {
    fn players(&self) -> usize {
        self.players
    }

    fn values(&mut self, coalitions: &[Coalition]) -> Result<Vec<f64>> {
        let present = |c: &Coalition| -> Vec<f64> {
            (0..self.players).map(|p| if c.contains(p) { 1.0 } else { 0.0 }).collect()
        };
        Ok(coalitions.iter().map(|c| (self.score)(&present(c))).collect())
    }

    fn soft_values(&mut self, masks: &[Vec<f32>]) -> Result<Vec<f64>> {
        let wide = |mask: &[f32]| -> Vec<f64> { mask.iter().map(|m| f64::from(*m)).collect() };
        Ok(masks.iter().map(|m| (self.score)(&wide(m))).collect())
    }

    fn takes_soft_masks(&self) -> bool {
        self.is_soft
    }

    fn moved_values(&mut self, steps: &[Vec<f64>]) -> Result<Vec<f64>> {
        Ok(steps.iter().map(|z| (self.score)(z)).collect())
    }

    fn rows_at_once(&self) -> usize {
        self.rows_at_once
    }
}

fn game<F: Fn(&[f64]) -> f64>(players: usize, score: F) -> Scored<F> {
    Scored { players, score, rows_at_once: 32, is_soft: true }
}

fn explained(text: &str, game: &mut dyn Game, layout: &Layout, key: RowKey) -> Result<Attribution> {
    let mut quiet = |_: usize, _: usize| {};
    let mut control = Control { progress: &mut quiet, stop: None };
    let mut evaluator = Evaluator::new(game, &mut control);
    Method::parse(text).unwrap().unwrap().attribute(&mut evaluator, layout, key)
}

fn weights(players: usize, seed: u64) -> Vec<f64> {
    let mut random = Stream::new(RowKey { seed, row: 0 }, "weights", 0);
    (0..players).map(|_| random.normal()).collect()
}

fn linear(weights: &[f64]) -> impl Fn(&[f64]) -> f64 + use<> {
    let weights = weights.to_vec();
    move |x| 2.0 + x.iter().zip(&weights).map(|(x, w)| x * w).sum::<f64>()
}

fn regions(players: usize) -> Layout {
    Layout::Regions(vec![[0.0; 2]; players])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Any score, any window: the mean over the windows that cover a place, by loops over places.
    #[test]
    fn occlusion_is_the_mean_loss_over_windows(
        rows in 1usize..8, columns in 1usize..8, high in 1usize..5, wide in 1usize..5, step in 1usize..4, seed in any::<u64>(),
    ) {
        let linear = linear(&weights(rows * columns, seed));
        let score = move |x: &[f64]| linear(x) * linear(x);
        let (high, wide) = (high.min(rows), wide.min(columns));
        let (down, right) = (step.min(high), step.min(wide));
        let text = format!("occlusion:window={high}x{wide},stride={down}x{right}");
        let found = explained(&text, &mut game(rows * columns, &score), &Layout::Grid([rows, columns]), KEY).unwrap();
        let full = vec![1.0; rows * columns];
        let (mut sums, mut counts) = (vec![0.0; rows * columns], vec![0.0; rows * columns]);
        let mut top = 0;
        loop {
            let mut left = 0;
            loop {
                let mut without = full.clone();
                let covered: Vec<usize> = (0..rows * columns).filter(|at| {
                    let (row, column) = (at / columns, at % columns);
                    (top..top + high).contains(&row) && (left..left + wide).contains(&column)
                }).collect();
                covered.iter().for_each(|at| without[*at] = 0.0);
                for at in covered {
                    sums[at] += score(&full) - score(&without);
                    counts[at] += 1.0;
                }
                if left + wide >= columns { break; }
                left += right;
            }
            if top + high >= rows { break; }
            top += down;
        }
        for at in 0..rows * columns {
            prop_assert!((found.values[at] - sums[at] / counts[at]).abs() < 1e-9);
        }
    }

    /// Of a linear score LIME finds the weights, as far as its penalty lets it, and RISE their covariance with the masks.
    #[test]
    fn linear_scores_have_known_answers(n in 1usize..9, seed in any::<u64>()) {
        let own = weights(n, seed);
        let found = explained("lime:samples=100000", &mut game(n, linear(&own)), &Layout::Unordered, KEY).unwrap();
        prop_assert_eq!(found.model_rows, 1 << n);
        prop_assert!(found.values.iter().zip(&own).all(|(a, b)| (a - b).abs() < 2e-3), "{:?} {:?}", found.values, own);
        prop_assert!(found.r_squared.unwrap() > 0.999);
        prop_assert!((found.base_value.unwrap() - 2.0).abs() < 1e-2);
        // Var(m) / keep = 1 - keep for masks that are 0 or 1.
        let mut rough = game(n, linear(&own));
        rough.is_soft = false;
        let found = explained("rise:samples=4000,keep=0.25", &mut rough, &Layout::Unordered, KEY).unwrap();
        let errors = found.standard_errors.unwrap();
        for player in 0..n {
            prop_assert!((found.values[player] - 0.75 * own[player]).abs() < 5.0 * errors[player] + 1e-9);
        }
    }

    /// The same bits for any number of rows at once.
    #[test]
    fn results_do_not_depend_on_batches(batch in 1usize..50, seed in any::<u64>()) {
        let linear = linear(&weights(24, seed));
        let score = move |x: &[f64]| linear(x).sin();
        for (text, layout) in [
            ("lime:samples=80", regions(24)),
            ("lime:samples=80,sampling=gaussian", Layout::Unordered),
            ("lime:samples=80", Layout::Sequence),
            ("rise:samples=90,cells=3", Layout::Grid([4, 6])),
            ("rise:samples=90", Layout::Unordered),
            ("occlusion:window=2,stride=1", Layout::Grid([4, 6])),
        ] {
            let with = |rows_at_once| {
                let mut game = Scored { players: 24, score: &score, rows_at_once, is_soft: true };
                explained(text, &mut game, &layout, KEY).unwrap()
            };
            prop_assert_eq!(with(batch), with(4096), "{}", text);
        }
    }
}

/// LIME over all coalitions is the regression by plain loops: every coalition with its probability times its kernel.
#[test]
fn lime_over_all_coalitions_is_the_weighted_regression() {
    let n = 4;
    let score = |x: &[f64]| (x[0] - 2.0 * x[1] * x[2] + x[3]).tanh();
    for (layout, is_cosine, is_even) in
        [(Layout::Unordered, false, false), (regions(4), true, false), (Layout::Sequence, true, true)]
    {
        let found = explained("lime:samples=500", &mut game(n, score), &layout, KEY).unwrap();
        let choose = [1.0, 4.0, 6.0, 4.0, 1.0];
        let mut system = vec![vec![0.0; n + 2]; n + 1];
        for bits in 0..16usize {
            let x: Vec<f64> = (0..n).map(|p| (bits >> p & 1) as f64).collect();
            let size = bits.count_ones() as usize;
            let probability = match is_even {
                true if size == n => 0.0,
                true => 1.0 / (4.0 * choose[size]),
                false => 1.0 / 16.0,
            };
            let often = 499.0 * probability + if size == n { 1.0 } else { 0.0 };
            let exponent = match is_cosine {
                true => (1.0 - (size as f64 / 4.0).sqrt()).powi(2) / (2.0 * 0.0625),
                false => (n - size) as f64 / (2.0 * 0.5625 * 4.0),
            };
            let weight = often * (-exponent).exp();
            let with_one: Vec<f64> = x.iter().copied().chain([1.0]).collect();
            for row in 0..=n {
                for column in 0..=n {
                    system[row][column] += weight * with_one[row] * with_one[column];
                }
                system[row][n + 1] += weight * with_one[row] * score(&x);
            }
        }
        (0..n).for_each(|row| system[row][row] += 1.0);
        // Gauss-Jordan.
        for pivot in 0..=n {
            let scale = system[pivot][pivot];
            system[pivot].iter_mut().for_each(|v| *v /= scale);
            for row in (0..=n).filter(|row| *row != pivot) {
                let factor = system[row][pivot];
                let from = system[pivot].clone();
                system[row].iter_mut().zip(from).for_each(|(v, p)| *v -= factor * p);
            }
        }
        for (player, value) in found.values.iter().enumerate() {
            assert!((value - system[player][n + 1]).abs() < 1e-9, "{layout:?}");
        }
        assert!((found.base_value.unwrap() - system[n][n + 1]).abs() < 1e-9);
        assert_eq!((found.standard_errors, found.model_rows), (None, 16));
    }
}

/// Standard errors are those that are seen over seeds: neither far too small nor far too large.
#[test]
fn standard_errors_are_seen_over_seeds() {
    let linear = linear(&weights(30, 5));
    let score = move |x: &[f64]| (0.5 * linear(x)).tanh();
    for (text, layout) in [
        ("lime:samples=300", regions(30)),
        ("lime:samples=300", Layout::Sequence),
        ("lime:samples=300,sampling=gaussian,kernel_width=4", Layout::Unordered),
        ("rise:samples=200", Layout::Unordered),
        ("rise:samples=200,cells=3", Layout::Grid([5, 6])),
        ("rise:samples=200,center=off,cells=3", Layout::Grid([5, 6])),
    ] {
        let runs: Vec<Attribution> = (0..120)
            .map(|seed| {
                let mut game = Scored { players: 30, score: &score, rows_at_once: 64, is_soft: true };
                explained(text, &mut game, &layout, RowKey { seed, row: 0 }).unwrap()
            })
            .collect();
        let (mut seen, mut stated) = (0.0, 0.0);
        for player in 0..30 {
            let values: Vec<f64> = runs.iter().map(|r| r.values[player]).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            seen += values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64;
            let squares = runs.iter().map(|r| r.standard_errors.as_ref().unwrap()[player].powi(2));
            stated += squares.sum::<f64>() / runs.len() as f64;
        }
        let ratio = (stated / seen).sqrt();
        assert!((0.8..1.6).contains(&ratio), "{text} {layout:?}: stated over seen is {ratio}");
    }
}

/// Gaussian sampling of a linear score: a coefficient is the slope.
#[test]
fn gaussian_sampling_finds_slopes() {
    let own = weights(6, 2);
    let text = "lime:samples=2000,sampling=gaussian";
    let found = explained(text, &mut game(6, linear(&own)), &Layout::Unordered, KEY).unwrap();
    assert!(found.values.iter().zip(&own).all(|(a, b)| (a - b).abs() < 1e-2));
    assert_eq!(found.model_rows, 2000);
}

#[test]
fn few_features_are_the_strongest() {
    let own = [0.1, -3.0, 0.2, 2.0];
    let found = explained("lime:features=2", &mut game(4, linear(&own)), &Layout::Unordered, KEY).unwrap();
    assert_eq!((found.values[0], found.values[2]), (0.0, 0.0));
    assert!((found.values[1] + 3.0).abs() < 0.05 && (found.values[3] - 2.0).abs() < 0.05);
}

#[test]
fn constant_scores_are_zero_and_say_why() {
    for text in ["occlusion", "lime", "lime:samples=70,features=3", "rise:samples=50"] {
        let found = explained(text, &mut game(40, |_| 1.5), &Layout::Sequence, KEY).unwrap();
        assert!(found.values.iter().all(|v| *v == 0.0), "{text}");
        assert!(
            found.warnings.iter().any(|w| w.contains("the same whatever")),
            "{text}: {:?}",
            found.warnings
        );
    }
}

#[test]
fn budgets_and_scores_that_do_not_do_are_errors() {
    let refused = |text: &str, players: usize, part: &str| {
        let error = explained(text, &mut game(players, |_| 0.0), &Layout::Unordered, KEY).unwrap_err();
        assert!(error.to_string().contains(part), "{text}: {error}");
    };
    refused("lime:samples=20", 20, "at least 22");
    refused("lime", 3000, "superpixel");
    refused("rise:samples=1", 4, "at least 2");
    refused("occlusion:window=3", 9, "one by one");
    for text in ["occlusion", "lime", "rise", "lime:sampling=gaussian"] {
        let error = explained(text, &mut game(3, |_| f64::NAN), &Layout::Unordered, KEY).unwrap_err();
        assert!(error.to_string().contains("not finite"), "{text}: {error}");
    }
    for text in [
        "lime:kernel_width=0",
        "lime:features=0",
        "lime:sampling=x",
        "rise:keep=1",
        "rise:cells=0",
        "occlusion:window=a",
    ] {
        assert!(Method::parse(text).is_err(), "{text}");
    }
}

#[test]
fn one_player_has_the_difference() {
    for text in ["occlusion", "lime:samples=100000"] {
        let found = explained(text, &mut game(1, |x| 1.0 + 4.0 * x[0]), &Layout::Unordered, KEY).unwrap();
        assert!((found.values[0] - 4.0).abs() < 1e-3, "{text}: {:?}", found.values);
    }
}

/// Stopping leaves what is known, and says how far it got.
#[test]
fn stopping_gives_a_part() {
    for (text, layout, rows) in [
        ("occlusion:window=1", Layout::Grid([5, 6]), 16),
        ("lime:samples=400", Layout::Unordered, 80),
        ("rise:samples=400", Layout::Grid([5, 6]), 16),
        ("rise:samples=400", Layout::Unordered, 16),
    ] {
        for is_at_once in [true, false] {
            let stop = AtomicBool::new(is_at_once);
            let mut watch = |done: usize, _: usize| stop.store(is_at_once || done >= rows, Ordering::Relaxed);
            let mut control = Control { progress: &mut watch, stop: Some(&stop) };
            let mut game =
                Scored { players: 30, score: linear(&weights(30, 1)), rows_at_once: 8, is_soft: true };
            let mut evaluator = Evaluator::new(&mut game, &mut control);
            let found = Method::parse(text).unwrap().unwrap().attribute(&mut evaluator, &layout, KEY);
            if is_at_once {
                assert!(matches!(found, Err(Error::Stopped)), "{text}");
                continue;
            }
            let found = found.unwrap();
            assert!(found.is_partial && found.warnings[0].contains("stopped"), "{text}");
            assert!(found.model_rows < 100 && found.values.iter().any(|v| *v != 0.0), "{text}");
        }
    }
}

/// Players, imputer and predictor together: scores are those of the row that was changed by hand.
#[test]
fn imputers_fill_in_what_they_say() {
    let tensor = |rows: usize, values: &[f32]| Tensor::new(vec![rows, 2, 3], values.to_vec()).unwrap();
    let row = vec![("x".to_string(), tensor(1, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))];
    let places = Places::new(vec![2, 3], &[1]).unwrap();
    let (of_place, layout) = places.players(PlayerKind::Window(1)).unwrap();
    let players = Players::new(vec![places.of_cells(&of_place)], layout).unwrap();
    // Digits that tell cells apart: the first cell has the ones.
    let digits = |batch: &[(String, Tensor)]| -> Result<Vec<f64>> {
        let cells: Vec<f64> = batch[0].1.to_f64().unwrap();
        Ok(cells.chunks(6).map(|c| c.iter().rev().fold(0.0, |sum, v| 10.0 * sum + v)).collect())
    };
    let score = |imputer: &Imputer, mask: [f32; 3]| {
        let mut game = Masked::new(&row, &players, imputer, digits).unwrap();
        let hard = game.values(&[Coalition::of(3, |p| mask[p] > 0.5)]).unwrap()[0];
        if game.takes_soft_masks() {
            assert_eq!(game.soft_values(&[mask.to_vec()]).unwrap()[0], hard);
        }
        hard
    };
    assert_eq!(score(&Imputer::Reference(vec![tensor(1, &[0.0; 6])]), [1.0, 0.0, 1.0]), 604_301.0);
    assert_eq!(score(&Imputer::Reference(vec![tensor(1, &[9.0; 6])]), [0.0, 1.0, 1.0]), 659_329.0);
    let two = Imputer::Rows(vec![tensor(2, &[[0.0; 6], [2.0; 6]].concat())]);
    assert_eq!(score(&two, [0.0, 0.0, 0.0]), 111_111.0);
    let near = Imputer::Neighbours { places: vec![places], references: vec![tensor(1, &[7.0; 6])] };
    assert_eq!(score(&near, [1.0, 0.0, 1.0]), 654_321.0);
    assert_eq!(score(&near, [0.0, 0.0, 0.0]), 777_777.0);
    let mut game = Masked::new(&row, &players, &near, digits).unwrap();
    assert!(game.soft_values(&[vec![0.5; 3]]).is_err() && game.moved_values(&[vec![0.0; 3]]).is_err());
    // The deviation of 0 and 2 is 1.
    let mut game = Masked::new(&row, &players, &two, digits).unwrap();
    assert_eq!(game.moved_values(&[vec![1.0, 0.0, -1.0]]).unwrap(), [555_222.0]);
    let wrong = Imputer::Reference(vec![Tensor::new(vec![1, 3], vec![0.0f32; 3]).unwrap()]);
    assert!(Masked::new(&row, &players, &wrong, digits).is_err());
}
