//! SLALOM against recorded numbers: the optimum of the objective, standard errors, fits as published, closed forms.

mod common;

use common::golden::{Set, close, numbers, read, sets};
use exegesis_perturb::slalom::adaptive::{self, adaptive as fit_adaptive, fixed};
use exegesis_perturb::slalom::closed::{self, Pair};
use exegesis_perturb::slalom::compat::{self, Adam};
use exegesis_perturb::slalom::quality;
use exegesis_perturb::slalom::queries::Queries;
use exegesis_perturb::slalom::scores::{evaluate, linearised, score_text};
use exegesis_perturb::slalom::search::{Parameters, Ridge, search};

fn zeros(n: usize) -> Vec<Vec<f64>> {
    vec![vec![0.0; n]]
}

/// Catches a wrong gradient, Gauss-Newton matrix, prior mean or stopping rule.
#[test]
fn the_optimum_under_a_fixed_ridge_is_the_recorded_one() {
    for (name, fits) in sets() {
        let queries = Set::read(&name).raw();
        let want = &fits["fixed_ridge"];
        let ridge =
            Ridge { values: want["rho_v"].as_f64().unwrap(), importances: want["rho_s"].as_f64().unwrap() };
        let objective = want["objective"].as_f64().unwrap();
        for start in [vec![0.0; 8], vec![1.0, -1.0, 0.5, -0.5, 2.0, 0.0, -2.0, 0.0]] {
            let found = search(&queries, ridge, &start).unwrap();
            assert!((found.objective / objective - 1.0).abs() < 1e-8, "{name}: {}", found.objective);
            close(&name, &found.parameters.values, &numbers(&want["v"]), 1e-4);
            let importances = fixed(&queries, ridge, &[start]).unwrap().parameters.importances;
            close(&name, &importances, &numbers(&want["s"]), 1e-4);
        }
    }
}

/// Catches a wrong weight of repetitions, moment estimate, pass or covariance.
#[test]
fn the_adaptive_fit_and_its_errors_are_the_recorded_ones() {
    for (name, fits) in sets() {
        let queries = Set::read(&name).distinct();
        let want = &fits["default"];
        assert_eq!(queries.len() as u64, want["distinct_rows"].as_u64().unwrap(), "{name}");
        let estimate = fit_adaptive(&queries, &zeros(8)).unwrap();
        close(&name, &estimate.parameters.values, &numbers(&want["v"]), 2e-3);
        close(&name, &estimate.parameters.importances, &numbers(&want["s"]), 2e-3);
        let relative = |what: &str, got: f64, want: f64, tolerance: f64| {
            assert!((got / want - 1.0).abs() < tolerance, "{name} {what}: {got} for {want}");
        };
        relative("tau_v2", estimate.tau_v2.unwrap(), want["tau_v2"].as_f64().unwrap(), 1e-9);
        for (pass, want) in estimate.passes.iter().zip(want["passes"].as_array().unwrap()) {
            relative("sigma2_used", pass.sigma2_used.unwrap(), want["sigma2_used"].as_f64().unwrap(), 1e-4);
            relative("rho_v", pass.rho_v, want["rho_v"].as_f64().unwrap(), 1e-4);
            relative("rho_s", pass.rho_s, want["rho_s"].as_f64().unwrap(), 1e-4);
            relative("objective", pass.objective, want["objective"].as_f64().unwrap(), 1e-4);
            relative("sigma2_next", pass.sigma2_next, want["sigma2_next"].as_f64().unwrap(), 1e-4);
        }
        let covariance = adaptive::covariance(&queries, &estimate).unwrap();
        let errors: Vec<f64> = (0..16).map(|i| covariance[i * 17].sqrt()).collect();
        for (got, want) in errors.iter().zip(numbers(&want["se_v"]).iter().chain(&numbers(&want["se_s"]))) {
            relative("standard error", *got, *want, 1e-2);
        }
        let parameters = &estimate.parameters;
        let predicted = queries.predict(&queries.shares(&parameters.importances), &parameters.values);
        relative(
            "mse",
            quality::mean_squared_error(&queries, &predicted),
            want["mse"].as_f64().unwrap(),
            1e-5,
        );
    }
}

/// Catches a linear surrogate without intercept or on the wrong columns, which would flatter SLALOM.
#[test]
fn linear_surrogates_have_the_recorded_errors() {
    for (name, fits) in sets() {
        let queries = Set::read(&name).raw();
        let weights = quality::linear(&queries).unwrap();
        let error = quality::mean_squared_error(&queries, &quality::predict_linear(&queries, &weights));
        let want = fits["linear_mse"].as_f64().unwrap();
        assert!((error - want).abs() < 1e-8, "{name}: {error} for {want}");
    }
}

/// Catches another optimiser than the published one: batch order, sum of squares, bias corrections.
#[test]
fn eff_takes_the_published_steps() {
    let runs = read("compat_runs");
    let set = Set::read("eff_bert_512");
    let mut steps = vec![];
    let after = Adam::EFF.fit(&set.raw(), 0.0, &mut |loss, now| {
        if steps.len() < 4 {
            steps.push((loss, now.values.clone()));
        }
    });
    for ((loss, values), want) in steps.iter().zip(runs["adam_first_epoch_eff_bert_512"].as_array().unwrap())
    {
        assert!((loss / want["loss"].as_f64().unwrap() - 1.0).abs() < 1e-5, "{loss}");
        close("first epoch", values, &numbers(&want["v"]), 1e-5);
    }
    let last = after.last().unwrap();
    close("eff v", &last.values, &set.numbers("final_v"), 1e-2);
    close("eff s", &last.importances, &set.numbers("final_s"), 1e-2);
    assert_eq!(compat::released(&after), Some(last), "60 epochs return those after the last");
}

/// Catches an epoch too early or late in what the released code returns.
#[test]
fn eff_returns_what_the_released_code_does() {
    let set = Set::read("eff_bert_5008");
    let after = Adam { rate: 1e-2, epochs: 20, batch: 128 }.fit(&set.raw(), 0.0, &mut |_, _| {});
    let released = compat::released(&after).unwrap();
    assert_eq!(released, &after[17]);
    let first = set.first_positions();
    let of_types = |key: &str| first.iter().map(|p| set.numbers(key)[*p]).collect::<Vec<f64>>();
    close("b_value", &released.values, &of_types("b_value"), 2e-2);
    close("b_importance", &released.importances, &of_types("b_importance"), 2e-2);
    close("b_final_v", &after[19].values, &set.numbers("b_final_v"), 2e-2);
    close("b_final_s", &after[19].importances, &set.numbers("b_final_s"), 2e-2);
}

/// Catches another start than the score of the text, without which deletions end elsewhere.
#[test]
fn eff_on_deletions_starts_at_the_score_of_the_text() {
    let set = Set::read("deletion_bert");
    let full = set.score_of_text();
    let after = Adam { epochs: 60, ..Adam::EFF_DELETION }.fit(&set.raw(), full, &mut |_, _| {});
    let last = after.last().unwrap();
    let queries = set.raw();
    let predicted = queries.predict(&queries.shares(&last.importances), &last.values);
    let want = read("compat_runs")["deletion_bert"]["mse_final"].as_f64().unwrap();
    let error = quality::mean_squared_error(&queries, &predicted);
    assert!((error / want - 1.0).abs() < 1e-2, "{error} for {want}");
    let released: Vec<f64> = set.first_positions().iter().map(|p| set.numbers("value")[*p]).collect();
    close("value", &last.values, &released, 0.1);
}

/// Catches a round that is accepted although the error rose, and another s-step.
#[test]
fn fidel_tries_one_round_and_refuses_it() {
    let set = Set::read("fidel_bert");
    let (parameters, errors) = compat::fidel(&set.raw(), 1).unwrap();
    close("v", &parameters.values, &set.numbers("v"), 5e-3);
    assert!(parameters.importances.iter().all(|s| *s == 0.0));
    close("errors", &errors, &numbers(&read("compat_runs")["fidel_bert"]["mse_seq"]), 1e-3);
}

/// Catches another linearised score than `e^s v`.
#[test]
fn linearised_scores_are_the_published_ones() {
    for name in ["eff_bert_512", "deletion_bert"] {
        let set = Set::read(name);
        let (values, importances) = (set.numbers("value"), set.numbers("importance"));
        let got = linearised(&Parameters { values, importances });
        for (got, want) in got.iter().zip(set.numbers("lin")) {
            assert!((got / want - 1.0).abs() < 1e-4, "{got} for {want}");
        }
    }
}

/// Catches wrong closed forms, and contributions that are not of the text.
#[test]
fn closed_forms_recover_an_exact_surrogate() {
    let case = read("exact_recovery");
    let (values, want) = (numbers(&case["v"]), numbers(&case["s"]));
    let alone = numbers(&case["singles"]);
    assert_eq!(closed::pivots(&alone), Some((6, 4)));
    let asked: Vec<(usize, usize)> = closed::pairs(&alone, false);
    assert_eq!(alone.len() + asked.len(), case["calls"].as_u64().unwrap() as usize);
    let pairs: Vec<Pair> = case["pairs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| {
            let p = numbers(p);
            Pair { of: p[0] as usize, with: p[1] as usize, score: p[2], is_both_orders: false }
        })
        .collect();
    for pair in &pairs {
        assert!(asked.contains(&(pair.of, pair.with)) || asked.contains(&(pair.with, pair.of)), "{pair:?}");
    }
    let direct = closed::from_pairs(&alone, &pairs, 0.0);
    close("pairs", &direct.parameters.importances, &want, 1e-12);
    assert_eq!(direct.clamped, 0);

    let text: Vec<usize> = numbers(&case["text"]).iter().map(|t| *t as usize).collect();
    let exact = Parameters { values: values.clone(), importances: want.clone() };
    let scores = score_text(&exact, 8, &text).unwrap();
    let full = case["F_text"].as_f64().unwrap();
    assert!((scores.score - full).abs() < 1e-12);
    let of_types = |numbers: &[f64]| {
        let mut sums = vec![0.0; 8];
        text.iter().zip(numbers).for_each(|(t, x)| sums[*t] += x);
        sums
    };
    close("alpha", &of_types(&scores.alpha), &numbers(&case["alpha_per_token_type"]), 1e-12);
    close("contributions", &of_types(&scores.contributions), &numbers(&case["contrib"]), 1e-12);
    close("lin", &linearised(&exact), &numbers(&case["lin_centred"]), 1e-12);

    let without: Vec<f64> =
        case["leave_type_out"].as_array().unwrap().iter().map(|row| numbers(row)[1]).collect();
    for (t, removed) in without.iter().enumerate() {
        let rest: Vec<usize> = text.iter().copied().filter(|u| *u != t).collect();
        assert!((evaluate(&exact, 8, &rest).unwrap() - removed).abs() < 1e-12);
    }
    let mut counts = vec![0; 8];
    text.iter().for_each(|t| counts[*t] += 1);
    let (direct, sum) = closed::leave_type_out(&alone, &counts, full, &without, 0.0);
    close("leave type out", &direct.parameters.importances, &want, 1e-12);
    assert!((sum - 1.0).abs() < 1e-12);

    let noise = &case["noise_check"];
    let of = |key: &str| noise[key].as_f64().unwrap();
    let variance = closed::pair_variance(of("vt"), of("vu"), of("d"), of("sigma").powi(2));
    assert!((variance - of("delta_method_var")).abs() < 1e-15);
    assert!((of("empirical_var") / variance - 1.0).abs() < 0.02);
}

/// Catches a fit that stops short of an exact solution.
#[test]
fn an_exact_surrogate_is_recovered_from_random_queries() {
    let case = read("exact_regression");
    let mut queries = Queries::new(8, false);
    for (ids, score) in case["ids"].as_array().unwrap().iter().zip(numbers(&case["F"])) {
        let types: Vec<usize> = numbers(ids).iter().map(|t| *t as usize).collect();
        queries.push(&types, score, 1.0);
    }
    let ridge = Ridge { values: 1e-12, importances: 1e-12 };
    let found = fixed(&queries, ridge, &zeros(8)).unwrap().parameters;
    close("v", &found.values, &numbers(&case["v"]), 1e-6);
    close("s", &found.importances, &numbers(&case["s"]), 1e-6);
}
