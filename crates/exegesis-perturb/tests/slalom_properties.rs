//! What must hold of SLALOM for any values, importances and texts.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use exegesis_perturb::random::{RowKey, Stream};
use exegesis_perturb::slalom::adaptive::{adaptive, covariance, fixed};
use exegesis_perturb::slalom::queries::Queries;
use exegesis_perturb::slalom::scores::{evaluate, merge, score_text};
use exegesis_perturb::slalom::search::{Parameters, Ridge};
use exegesis_perturb::slalom::{Design, Fit, Fitted, Slalom, Text, Types, design};
use exegesis_perturb::{Control, Error};
use proptest::prelude::*;

const KEY: RowKey = RowKey { seed: 5, row: 0 };

fn surrogate(n: usize) -> impl Strategy<Value = Parameters> {
    let numbers = |spread: f64| prop::collection::vec(-spread..spread, n);
    (numbers(3.0), numbers(2.0)).prop_map(|(values, mut importances)| {
        let mean = importances.iter().sum::<f64>() / importances.len() as f64;
        importances.iter_mut().for_each(|s| *s -= mean);
        Parameters { values, importances }
    })
}

fn text(n: usize) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..n, 2..9)
}

fn close(got: &[f64], want: &[f64], tolerance: f64) -> Result<(), TestCaseError> {
    prop_assert_eq!(got.len(), want.len());
    for (a, b) in got.iter().zip(want) {
        prop_assert!((a - b).abs() <= tolerance, "{:?} for {:?}", got, want);
    }
    Ok(())
}

/// Short queries that a surrogate answers, with noise.
fn answered(parameters: &Parameters, m: usize, noise: f64, seed: u64) -> Vec<(Vec<usize>, f64, f64)> {
    let n = parameters.values.len();
    let key = RowKey { seed, row: 0 };
    let mut lists: Vec<Vec<usize>> = (0..n).map(|t| vec![t]).collect();
    lists.extend(design::dealt(n, m, 3, key));
    let mut random = Stream::new(key, "noise", 0);
    lists
        .into_iter()
        .map(|q| {
            let score = evaluate(parameters, n, &q).unwrap() + noise * random.normal();
            (q, score, 1.0)
        })
        .collect()
}

fn queries(n: usize, rows: &[(Vec<usize>, f64, f64)]) -> Queries {
    let mut all = Queries::new(n, false);
    rows.iter().for_each(|(q, score, weight)| all.push(q, *score, *weight));
    all.normalise();
    all
}

fn default_fit(n: usize, rows: &[(Vec<usize>, f64, f64)]) -> Parameters {
    adaptive(&queries(n, rows), &[vec![0.0; n]]).unwrap().parameters
}

proptest! {
    /// Catches attention that is not a softmax, and scores of another text than the one at hand.
    #[test]
    fn scores_of_a_text_obey_their_identities(p in surrogate(5), x in text(5), shift in -30.0f64..30.0) {
        let scores = score_text(&p, 5, &x).unwrap();
        let f = scores.score;
        let shifted = Parameters {
            importances: p.importances.iter().map(|s| s + shift).collect(), ..p.clone()
        };
        prop_assert!((evaluate(&shifted, 5, &x).unwrap() - f).abs() < 1e-11);
        let mut reversed = x.clone();
        reversed.reverse();
        prop_assert!((evaluate(&p, 5, &reversed).unwrap() - f).abs() < 1e-12);
        let alone = evaluate(&p, 5, &vec![x[0]; 4]).unwrap();
        prop_assert!((alone - p.values[x[0]]).abs() < 1e-12);
        let of_text = || x.iter().map(|t| p.values[*t]);
        let least = of_text().fold(f64::INFINITY, f64::min);
        let most = of_text().fold(f64::NEG_INFINITY, f64::max);
        prop_assert!(least - 1e-12 <= f && f <= most + 1e-12);
        prop_assert!((scores.contributions.iter().sum::<f64>() - f).abs() < 1e-12);
        for (i, removal) in scores.removals.iter().enumerate() {
            let rest: Vec<usize> = x.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, t)| *t).collect();
            let change = f - evaluate(&p, 5, &rest).unwrap();
            prop_assert!((removal.unwrap() - change).abs() < 1e-10);
        }
        // A token that takes more attention pulls the score to its value.
        let mut raised = p.clone();
        raised.importances[x[0]] += 0.1;
        let moved = evaluate(&raised, 5, &x).unwrap() - f;
        prop_assert!(moved * (p.values[x[0]] - f) >= -1e-15);
    }

    /// Catches a wrong derivative: the fit would stop beside the optimum.
    #[test]
    fn derivatives_match_differences(p in surrogate(5), x in text(5)) {
        let scores = score_text(&p, 5, &x).unwrap();
        let mut attention = vec![0.0; 5];
        x.iter().zip(&scores.alpha).for_each(|(t, a)| attention[*t] += a);
        let mut sum = 0.0;
        for t in 0..5 {
            let moved = |by: f64| {
                let mut other = p.clone();
                other.importances[t] += by;
                evaluate(&other, 5, &x).unwrap()
            };
            let slope = attention[t] * (p.values[t] - scores.score);
            prop_assert!((slope - (moved(1e-6) - moved(-1e-6)) / 2e-6).abs() < 1e-7);
            sum += slope;
        }
        prop_assert!(sum.abs() < 1e-12);
    }

    /// Catches words whose pieces do not add up.
    #[test]
    fn merging_pieces_keeps_the_score(p in surrogate(5), x in text(5), cut in 1usize..8) {
        let scores = score_text(&p, 5, &x).unwrap();
        let cut = cut.min(x.len() - 1);
        let parts: Vec<Vec<usize>> = vec![(0..cut).collect(), (cut..x.len()).collect()];
        let merged: Vec<_> = parts.iter().map(|part| merge(&p, &scores, &x, part).unwrap()).collect();
        let words = Parameters {
            values: merged.iter().map(|m| m.value).collect(),
            importances: merged.iter().map(|m| m.importance).collect(),
        };
        let again = score_text(&words, 2, &[0, 1]).unwrap();
        prop_assert!((again.score - scores.score).abs() < 1e-11);
        close(&again.alpha, &[merged[0].alpha, merged[1].alpha], 1e-11)?;
        close(&again.contributions, &[merged[0].contribution, merged[1].contribution], 1e-11)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Catches priors that depend on scale, sign, order, names or repetition.
    #[test]
    fn the_fit_is_equivariant(p in surrogate(6), scale in 0.1f64..20.0, shift in -50.0f64..50.0, seed in 0u64..1000) {
        let rows = answered(&p, 120, 0.2, seed);
        let plain = default_fit(6, &rows);
        let map = |f: &dyn Fn(f64) -> f64| rows.iter().map(|(q, s, w)| (q.clone(), f(*s), *w)).collect::<Vec<_>>();
        let moved = default_fit(6, &map(&|s| scale * s + shift));
        let want: Vec<f64> = plain.values.iter().map(|v| scale * v + shift).collect();
        close(&moved.values, &want, 1e-5 * (scale + shift.abs()))?;
        close(&moved.importances, &plain.importances, 1e-5)?;
        let flipped = default_fit(6, &map(&|s| -s));
        let want: Vec<f64> = plain.values.iter().map(|v| -v).collect();
        close(&flipped.values, &want, 1e-5)?;
        close(&flipped.importances, &plain.importances, 1e-5)?;
        let mut turned = rows.clone();
        turned.reverse();
        let turned = default_fit(6, &turned);
        close(&turned.values, &plain.values, 1e-5)?;
        close(&turned.importances, &plain.importances, 1e-5)?;
        let named: Vec<_> = rows.iter().map(|(q, s, w)| (q.iter().map(|t| (t + 2) % 6).collect(), *s, *w)).collect();
        let named = default_fit(6, &named);
        let back = |numbers: &[f64]| (0..6).map(|t| numbers[(t + 2) % 6]).collect::<Vec<f64>>();
        close(&back(&named.values), &plain.values, 1e-5)?;
        close(&back(&named.importances), &plain.importances, 1e-5)?;
        let twice: Vec<_> = rows.iter().map(|(q, s, w)| (q.clone(), *s, 2.0 * w)).collect();
        close(&default_fit(6, &twice).values, &plain.values, 1e-9)?;
    }

    /// Catches a fit that is biased or stops early where the data are exact.
    #[test]
    fn exact_data_are_recovered(p in surrogate(5), seed in 0u64..1000) {
        // Importances can't be seen between types of equal value.
        let mut sorted = p.values.clone();
        sorted.sort_by(f64::total_cmp);
        prop_assume!(sorted.windows(2).all(|w| w[1] - w[0] > 0.3));
        let rows = answered(&p, 100, 0.0, seed);
        let found = default_fit(5, &rows);
        close(&found.values, &p.values, 1e-3)?;
        close(&found.importances, &p.importances, 1e-3)?;
        let ridge = Ridge { values: 1e-12, importances: 1e-12 };
        let found = fixed(&queries(5, &rows), ridge, &[vec![0.0; 5]]).unwrap().parameters;
        close(&found.values, &p.values, 1e-6)?;
        close(&found.importances, &p.importances, 1e-6)?;
    }
}

/// Asks a closure about token types.
fn explain(
    options: &Slalom,
    types: &[usize],
    may_be_empty: bool,
    model: &mut dyn FnMut(&[usize]) -> f64,
) -> Result<Fitted, Error> {
    let text =
        Text { positions: (0..types.len()).map(|p| vec![p]).collect(), types: types.to_vec(), may_be_empty };
    let mut sequences = |list: &[Vec<usize>]| -> Result<Vec<f64>, Error> {
        Ok(list.iter().map(|q| model(&q.iter().map(|p| types[*p]).collect::<Vec<usize>>())).collect())
    };
    let mut control = Control { progress: &mut |_, _| {}, stop: None };
    options.explain(&text, &mut sequences, &mut control, KEY)
}

fn exact() -> Parameters {
    Parameters {
        values: vec![1.5, -0.7, 0.2, 2.9, -2.2, 0.9],
        importances: vec![0.4, -1.1, 0.8, -0.2, 1.0, -0.9],
    }
}

const TEXT: [usize; 9] = [0, 1, 2, 3, 4, 5, 1, 1, 3];

/// Catches a design or closed form that does not determine the surrogate, and scores of another text.
#[test]
fn every_design_and_fit_recovers_an_exact_surrogate() {
    let p = exact();
    let cases = [
        (Design::Auto, Fit::Adaptive, 2e-3),
        (Design::ShortIid, Fit::Adaptive, 2e-3),
        (Design::Deletion, Fit::Adaptive, 5e-3),
        (Design::Mixed, Fit::Adaptive, 2e-3),
        (Design::Closed, Fit::Adaptive, 2e-2),
        // 13 scores for 11 unknowns: the prior still pulls.
        (Design::Loto, Fit::Adaptive, 0.3),
        (Design::Closed, Fit::Closed, 1e-9),
        (Design::Loto, Fit::Closed, 1e-9),
        (Design::Short, Fit::Fixed, 1e-6),
    ];
    for (design, fit, tolerance) in cases {
        let rho = (fit == Fit::Fixed).then_some(1e-12);
        let options = Slalom { design, fit, rho_v: rho, rho_s: rho, ..Slalom::default() };
        let found = explain(&options, &TEXT, false, &mut |q| evaluate(&p, 6, q).unwrap()).unwrap();
        let what = format!("{design:?} {fit:?}");
        for (t, (v, s)) in found.types.iter().zip(p.values.iter().zip(&p.importances)) {
            assert!((t.value - v).abs() < tolerance, "{what}: {} for {v}", t.value);
            assert!((t.importance - s).abs() < tolerance, "{what}: {} for {s}", t.importance);
        }
        let sum: f64 = found.contributions.iter().sum();
        assert!((sum - found.score).abs() < 1e-12, "{what}");
        assert!((found.model_score.unwrap() - evaluate(&p, 6, &TEXT).unwrap()).abs() < 1e-12);
        if fit == Fit::Adaptive && !matches!(design, Design::Closed | Design::Loto) {
            assert!(found.quality.unwrap().slalom.unwrap() > 0.999, "{what}: {:?}", found.quality);
            assert!(found.may_rank);
        }
    }
}

/// Catches rounds that are kept although the error rose.
#[test]
fn more_rounds_of_alternation_never_fit_worse() {
    let p = exact();
    let error = |fit: Fit| {
        let options = Slalom { fit, ..Slalom::default() };
        explain(&options, &TEXT, false, &mut |q| evaluate(&p, 6, q).unwrap()).unwrap().log.mse
    };
    let (one, many) = (error(Fit::Fidel), error(Fit::FidelIter));
    assert!(many <= one && one > 0.0, "{many} after {one}");
}

/// Catches more calls than a design promises.
#[test]
fn closed_designs_ask_as_little_as_they_say() {
    let p = exact();
    for (design, calls) in [(Design::Closed, 11), (Design::Loto, 13)] {
        let options = Slalom { design, fit: Fit::Closed, ..Slalom::default() };
        let mut asked = 0;
        explain(&options, &TEXT, false, &mut |q| {
            asked += 1;
            evaluate(&p, 6, q).unwrap()
        })
        .unwrap();
        // The closed design is asked for the text too, to compare with.
        assert_eq!(asked, calls + usize::from(design == Design::Closed), "{design:?}");
    }
}

/// Catches a background that is scored as a player, or closed forms with the wrong ratio.
#[test]
fn a_background_is_told_from_the_tokens() {
    let mut p = exact();
    p.values.push(-0.5);
    p.importances.push(0.0);
    let mut model = |q: &[usize]| evaluate(&p, 6, q).unwrap();
    for (fit, tolerance) in [(Fit::Closed, 1e-9), (Fit::Adaptive, 5e-3)] {
        let options = Slalom { background: true, fit, ..Slalom::default() };
        let found = explain(&options, &TEXT, true, &mut model).unwrap();
        for (t, (v, s)) in found.types.iter().zip(p.values.iter().zip(&p.importances)) {
            assert!((t.value - v).abs() < tolerance, "{fit:?}: {} for {v}", t.value);
            assert!((t.importance - s).abs() < tolerance, "{fit:?}: {} for {s}", t.importance);
        }
        let background = found.background.unwrap();
        assert!((background.value + 0.5).abs() < tolerance);
        let sum = found.contributions.iter().sum::<f64>() + background.alpha * background.value;
        assert!((sum - found.score).abs() < 1e-12);
        assert!((found.score - found.model_score.unwrap()).abs() < 10.0 * tolerance);
    }
}

/// Catches a division by nothing, and silence about it.
#[test]
fn degenerate_texts_and_models_are_told() {
    let flat = explain(&Slalom::default(), &TEXT, false, &mut |_| 1.25).unwrap();
    assert!(flat.types.iter().all(|t| (t.value - 1.25).abs() < 1e-12 && t.importance == 0.0));
    assert!(flat.quality.is_none_or(|q| q.slalom.is_none()));
    assert!(!flat.may_rank && flat.warnings.iter().any(|w| w.contains("same score")), "{:?}", flat.warnings);
    assert!((flat.contributions.iter().sum::<f64>() - 1.25).abs() < 1e-12);

    for design in [Design::Short, Design::Deletion, Design::Closed, Design::Loto, Design::Mixed] {
        let options = Slalom { design, ..Slalom::default() };
        let one = explain(&options, &[0, 0], false, &mut |q| 0.5 + 0.0 * q.len() as f64).unwrap();
        assert_eq!((one.types[0].value, one.types[0].importance), (0.5, 0.0), "{design:?}");
        assert!(one.warnings.iter().any(|w| w.contains("one type")), "{design:?}: {:?}", one.warnings);
        explain(&options, &[0], false, &mut |_| -3.0).unwrap();
    }
    let nothing = explain(&Slalom::default(), &[], true, &mut |_| 0.0);
    assert!(matches!(nothing, Err(Error::Request(_))));
    let nan = explain(&Slalom::default(), &TEXT, false, &mut |q| if q.len() == 1 { f64::NAN } else { 0.0 });
    assert!(matches!(nan, Err(Error::Predictor(_))));
    let few = Slalom { samples: Some(5), ..Slalom::default() };
    let few = explain(&few, &TEXT, false, &mut |_| 0.0).unwrap_err().to_string();
    assert!(few.contains("at least samples=12"), "{few}");
}

/// Catches types that are split unevenly although nothing tells them apart.
#[test]
fn types_that_always_occur_together_share_evenly() {
    let mut all = Queries::new(3, false);
    for sample in 0..40u64 {
        let with = Stream::new(KEY, "coin", sample).uniform();
        let q: &[usize] = if with < 0.5 { &[0, 1] } else { &[0, 1, 2] };
        all.push(q, if with < 0.5 { 1.0 } else { 2.0 } + 0.01 * with, 1.0);
    }
    let found = adaptive(&all, &[vec![0.0; 3]]).unwrap().parameters;
    assert!((found.values[0] - found.values[1]).abs() < 1e-6);
    assert!((found.importances[0] - found.importances[1]).abs() < 1e-6);
}

/// Catches a surrogate that is praised although a line fits better, and ranking by one that explains nothing.
#[test]
fn misfit_is_stated() {
    let weights = [2.0, -1.0, 0.5, 3.0, -2.5, 1.0];
    let options = Slalom { design: Design::Deletion, ..Slalom::default() };
    let additive =
        explain(&options, &TEXT, false, &mut |q| q.iter().map(|t| weights[*t]).sum::<f64>()).unwrap();
    let quality = additive.quality.unwrap();
    assert!(quality.linear.unwrap() > 0.999 && quality.slalom.unwrap() < quality.linear.unwrap());
    assert!(
        additive.warnings.iter().any(|w| w.contains("no better than a linear")),
        "{:?}",
        additive.warnings
    );

    let noise = explain(&Slalom::default(), &TEXT, false, &mut |q| {
        let row = q.iter().fold(1, |h: u64, t| h.wrapping_mul(31).wrapping_add(*t as u64));
        Stream::new(RowKey { seed: 0, row }, "noise", 0).normal()
    })
    .unwrap();
    assert!(
        !noise.may_rank && noise.warnings.iter().any(|w| w.contains("Do not rank")),
        "{:?}",
        noise.warnings
    );
}

/// Catches types=position that is ignored, and a repeated token that is asked for twice.
#[test]
fn positions_can_have_scores_of_their_own() {
    // The first position counts three times.
    let mut model = |q: &[usize]| {
        let weights: Vec<f64> = q.iter().enumerate().map(|(at, _)| if at == 0 { 3.0 } else { 1.0 }).collect();
        let sum: f64 = q.iter().zip(&weights).map(|(t, w)| w * [1.0, -1.0, 0.5][*t]).sum();
        sum / weights.iter().sum::<f64>()
    };
    let options = Slalom { types: Types::Position, design: Design::Deletion, ..Slalom::default() };
    let found = explain(&options, &[0, 1, 0, 2, 1], false, &mut model).unwrap();
    assert_eq!((found.types.len(), found.type_of.clone()), (5, vec![0, 1, 2, 3, 4]));
    assert!((found.contributions[0] - found.contributions[2]).abs() > 1e-3, "{:?}", found.contributions);
    let merged = Slalom { types: Types::Token, ..options };
    let found = explain(&merged, &[0, 1, 0, 2, 1], false, &mut model).unwrap();
    assert_eq!(found.type_of, [0, 1, 0, 2, 1]);
    assert_eq!(found.contributions[0], found.contributions[2]);
}

/// Catches queries that are lost when the user stops, and an answer without a single score per type.
#[test]
fn a_stopped_fit_says_how_far_it_got() {
    let p = exact();
    let text =
        Text { positions: (0..9).map(|p| vec![p]).collect(), types: TEXT.to_vec(), may_be_empty: false };
    for (after, is_enough) in [(3, true), (2, false)] {
        let stop = AtomicBool::new(false);
        let calls = AtomicUsize::new(0);
        let mut sequences = |list: &[Vec<usize>]| -> Result<Vec<f64>, Error> {
            if calls.fetch_add(1, Ordering::Relaxed) + 1 >= after {
                stop.store(true, Ordering::Relaxed);
            }
            let types = |q: &Vec<usize>| q.iter().map(|i| TEXT[*i]).collect::<Vec<usize>>();
            Ok(list.iter().map(|q| evaluate(&p, 6, &types(q)).unwrap()).collect())
        };
        let mut control = Control { progress: &mut |_, _| {}, stop: Some(&stop) };
        let options = Slalom { samples: Some(5000), length: 8, ..Slalom::default() };
        let found = options.explain(&text, &mut sequences, &mut control, KEY);
        match (found, is_enough) {
            (Ok(found), true) => {
                assert!(found.is_partial && found.samples < 5000, "{}", found.samples);
                assert!(found.warnings.iter().any(|w| w.contains("stopped after")), "{:?}", found.warnings);
            }
            (Err(Error::Stopped), false) => {}
            (Ok(found), false) => assert!(found.is_partial),
            (other, _) => panic!("{other:?}"),
        }
    }
}

/// Catches standard errors that are too small or too large: 95 % intervals must hold the truth about as often as they say.
#[test]
fn standard_errors_cover_the_truth() {
    let truth = Parameters {
        values: vec![1.5, -0.7, 0.2, 2.9, -2.2, 0.9, -1.4, 0.5],
        importances: vec![0.4, -1.1, 0.8, -0.2, 0.9, -0.7, 0.3, -0.4],
    };
    let (mut held, mut all) = (0, 0);
    for seed in 0..200 {
        let all_queries = queries(8, &answered(&truth, 192, 0.1, seed));
        let estimate = adaptive(&all_queries, &[vec![0.0; 8]]).unwrap();
        let covariance = covariance(&all_queries, &estimate).unwrap();
        let found = estimate.parameters.values.iter().chain(&estimate.parameters.importances);
        for (i, (got, want)) in found.zip(truth.values.iter().chain(&truth.importances)).enumerate() {
            held += usize::from((got - want).abs() <= 1.96 * covariance[i * 17].sqrt());
            all += 1;
        }
    }
    let coverage = f64::from(held as u32) / f64::from(all);
    assert!((0.85..0.99).contains(&coverage), "{coverage}");
}

/// Catches errors of a bootstrap that have another scale than those of the curvature, and draws that are not repeatable.
#[test]
fn bootstrap_errors_agree_with_those_of_the_curvature() {
    let p = exact();
    let mut model = |q: &[usize]| {
        let row = q.iter().fold(1, |h: u64, t| h.wrapping_mul(31).wrapping_add(*t as u64));
        evaluate(&p, 6, q).unwrap() + 0.2 * Stream::new(RowKey { seed: 0, row }, "noise", 0).normal()
    };
    let plain = explain(&Slalom::default(), &TEXT, false, &mut model).unwrap();
    let options = Slalom { bootstrap: 60, ..Slalom::default() };
    let drawn = explain(&options, &TEXT, false, &mut model).unwrap();
    assert_eq!(drawn, explain(&options, &TEXT, false, &mut model).unwrap());
    for (a, b) in plain.types.iter().zip(&drawn.types) {
        assert_eq!(a.value, b.value);
        let ratio = b.se_value.unwrap() / a.se_value.unwrap();
        assert!((0.4..2.5).contains(&ratio), "{ratio}");
    }
}
