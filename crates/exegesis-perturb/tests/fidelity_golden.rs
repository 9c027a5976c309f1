//! The fidelity protocol against recorded numbers and against its definitions.

mod common;

use common::golden::{close, numbers, read};
use exegesis_perturb::fidelity::additive::PositionLasso;
use exegesis_perturb::fidelity::curves::{self, Curve};
use exegesis_perturb::fidelity::generators::{WORDS, linear_log_odds, linear_text, uniform_text};
use exegesis_perturb::fidelity::ranks::{average_ranks, naive_bayes, roc_area, spearman};
use exegesis_perturb::fidelity::removal::{
    Additive, ForetellsRemoval, Softmax, mean_squared_error, multi_removal, single_removals,
};
use exegesis_perturb::random::{RowKey, Stream};
use exegesis_perturb::slalom::scores::evaluate;
use exegesis_perturb::slalom::search::Parameters;

const KEY: RowKey = RowKey { seed: 3, row: 0 };

/// The explanation of the recorded text: values and importances per type, the linearised score per position.
fn recorded() -> (Softmax, Additive) {
    let case = read("metrics_cases");
    let tokens = numbers(&case["tokens"]);
    let scores: Vec<Vec<f64>> = case["expl"].as_array().unwrap().iter().map(numbers).collect();
    let mut seen: Vec<f64> = vec![];
    let mut parameters = Parameters::default();
    let mut type_of = vec![];
    for (at, token) in tokens.iter().enumerate() {
        let known = seen.iter().position(|t| t == token).unwrap_or_else(|| {
            seen.push(*token);
            parameters.values.push(scores[0][at]);
            parameters.importances.push(scores[1][at]);
            seen.len() - 1
        });
        type_of.push(known);
    }
    (Softmax { parameters, type_of }, Additive(scores[2].clone()))
}

/// Catches removal that is foretold with the attention of the whole text, or of types instead of positions.
#[test]
fn errors_of_foretold_removals_are_the_recorded_ones() {
    let case = read("metrics_cases");
    let (slalom, additive) = recorded();
    let full = case["F_full"].as_f64().unwrap();
    for (removed, key) in ["1", "2", "3", "4"].iter().enumerate() {
        let masks = case["removal_masks"][key].as_array().unwrap();
        let sets: Vec<Vec<usize>> = masks
            .iter()
            .map(|m| numbers(m).iter().enumerate().filter(|(_, x)| **x == 1.0).map(|(i, _)| i).collect())
            .collect();
        let changes: Vec<f64> = numbers(&case["F_removed"][key]).iter().map(|f| f - full).collect();
        let error = |e: &dyn ForetellsRemoval| {
            mean_squared_error(&sets.iter().map(|s| e.change(s)).collect::<Vec<f64>>(), &changes)
        };
        let got = [error(&slalom), error(&additive), mean_squared_error(&vec![0.0; changes.len()], &changes)];
        for (got, want) in got.iter().zip(numbers(&case["multi_removal_mse"][removed])) {
            assert!((got / want - 1.0).abs() < 1e-9, "{key}: {got} for {want}");
        }
        for (got, want) in got.iter().zip(numbers(&case["multi_removal_mse_f32"][removed])) {
            assert!((got / want - 1.0).abs() < 1e-5, "{key}: {got} for {want}");
        }
    }
}

/// Catches a sign, a tie or a direction that is turned.
#[test]
fn insertion_and_deletion_are_the_recorded_ones() {
    let case = read("metrics_cases");
    for label in [0, 1] {
        for (name, curve) in [("insertion", Curve::Insertion), ("deletion", Curve::Deletion)] {
            let want = &case[format!("{name}_label{label}")];
            let steps: Vec<usize> = numbers(&want["steps"]).iter().map(|k| *k as usize).collect();
            for explanation in 0..3 {
                let scores = numbers(&case["expl"][explanation]);
                let ranks = curves::ranks(&scores, label == 1);
                let recorded = numbers(&want["ranks"][explanation]);
                assert_eq!(ranks.iter().map(|r| *r as f64).collect::<Vec<f64>>(), recorded);
                for k in &steps {
                    let kept = curves::kept(&ranks, *k, curve);
                    assert!(kept.len() == *k && kept.is_sorted());
                    let worst = kept.iter().map(|i| ranks[*i]).max().unwrap();
                    assert_eq!(worst, if curve == Curve::Insertion { k - 1 } else { 11 });
                }
                let probabilities: Vec<f64> =
                    want["p"].as_array().unwrap().iter().map(|row| numbers(row)[explanation]).collect();
                let area = curves::area(&probabilities).unwrap();
                assert!((area - numbers(&want["auc"])[explanation]).abs() < 1e-5);
            }
        }
    }
    assert_eq!(curves::steps(12), [5, 10]);
    assert_eq!(curves::steps(600).last(), Some(&510));
}

/// Catches ranks that break ties, and a correlation that is not of ranks.
#[test]
fn single_removals_are_compared_as_recorded() {
    let case = read("metrics_cases");
    let full = case["F_full"].as_f64().unwrap();
    // Recorded are the scores without each token.
    let differences: Vec<f64> = numbers(&case["F_minus_i"]).iter().map(|without| full - without).collect();
    for explanation in 0..3 {
        let scores = numbers(&case["expl"][explanation]);
        let rank = spearman(&scores, &differences).unwrap();
        assert!((rank - numbers(&case["single_removal_spearman"])[explanation]).abs() < 1e-6);
        let error = mean_squared_error(&scores, &differences);
        let want = numbers(&case["single_removal_mse"])[explanation];
        assert!((error / want - 1.0).abs() < 1e-5);
    }
    assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), None);
    close("ranks", &average_ranks(&[3.0, 1.0, 3.0, 2.0]), &[2.5, 0.0, 2.5, 1.0], 1e-15);
}

/// Catches sets that are not removed together, and a text that is scored in another order.
#[test]
fn a_surrogate_foretells_itself() {
    let parameters =
        Parameters { values: vec![1.0, -2.0, 0.5, 3.0], importances: vec![0.2, 1.0, -0.7, -0.5] };
    let type_of = vec![0, 1, 2, 3, 1, 0, 2];
    let slalom = Softmax { parameters: parameters.clone(), type_of: type_of.clone() };
    let additive = Additive(vec![1.0; 7]);
    let mut sequences = |list: &[Vec<usize>]| {
        let types = |q: &Vec<usize>| q.iter().map(|p| type_of[*p]).collect::<Vec<usize>>();
        Ok(list.iter().map(|q| evaluate(&parameters, 4, &types(q)).unwrap()).collect())
    };
    for removed in 1..=10 {
        let errors = multi_removal(&mut sequences, 7, removed, 30, &[&slalom, &additive], KEY).unwrap();
        assert!(errors[0] < 1e-20 && errors[1] > errors[2] && errors[2] > 1e-3, "{errors:?}");
    }
    let single = single_removals(&mut sequences, 7).unwrap();
    for (i, change) in single.iter().enumerate() {
        assert!((change + slalom.change(&[i])).abs() < 1e-12);
    }
}

/// Catches an area that counts ties as hits, and one of the wrong class.
#[test]
fn areas_count_ordered_pairs() {
    let (scores, marked) = ([0.1, 0.4, 0.4, 0.9, 0.2], [false, true, false, true, false]);
    // Of 2 x 3 pairs 5 are in order and one is a tie.
    assert!((roc_area(&scores, &marked).unwrap() - 5.5 / 6.0).abs() < 1e-12);
    assert_eq!(roc_area(&scores, &[true; 5]), None);
    close("weights", &naive_bayes(&[20.0, 0.0], &[0.0, 60.0]), &[2f64.ln(), -(4f64.ln())], 1e-12);
}

/// Catches a generator with other frequencies or lengths than the published one.
#[test]
fn generators_draw_what_they_say() {
    let mut counts = [0.0; 10];
    let mut lengths = vec![];
    for sample in 0..4000 {
        let text = linear_text(KEY, sample);
        lengths.push(text.len() as f64);
        text.iter().for_each(|w| counts[*w] += 1.0);
        let sum: f64 = text.iter().map(|w| WORDS[*w].2).sum();
        assert_eq!(linear_log_odds(&text), sum);
    }
    let mean = lengths.iter().sum::<f64>() / 4000.0;
    let variance = lengths.iter().map(|l| (l - mean) * (l - mean)).sum::<f64>() / 4000.0;
    assert!((mean - 15.0).abs() < 0.2 && (variance - 7.5).abs() < 0.7, "{mean} {variance}");
    let total: f64 = counts.iter().sum();
    for (count, (word, weight, _)) in counts.iter().zip(WORDS) {
        assert!((count / total - weight / 1.2).abs() < 0.01, "{word}");
    }
    let lengths: Vec<usize> = (0..3000).map(|s| uniform_text(16, 8, KEY, s).len()).collect();
    assert!((1..=8).all(|l| lengths.iter().filter(|x| **x == l).count().abs_diff(375) < 75));
}

/// Catches a descent that stops beside the optimum: at the optimum each correlation is the penalty, or below it where the weight
/// is 0.
#[test]
fn the_lasso_is_at_its_optimum() {
    let texts: Vec<Vec<usize>> = (0..500).map(|s| uniform_text(4, 6, KEY, s)).collect();
    let mut random = Stream::new(KEY, "noise", 0);
    let scores: Vec<f64> = texts
        .iter()
        .map(|t| {
            t.iter().enumerate().map(|(at, w)| (*w as f64 - 1.0) / (at + 1) as f64).sum::<f64>()
                + random.normal()
        })
        .collect();
    let fit = PositionLasso::fit(&texts, &scores, 4, 6, 0.02, 5000);
    let residual: Vec<f64> = texts.iter().zip(&scores).map(|(t, s)| s - fit.predict(t)).collect();
    assert!(residual.iter().sum::<f64>().abs() < 1e-2);
    let mut zeros = 0;
    for at in 0..6 {
        for word in 0..4 {
            let pull: f64 =
                texts.iter().zip(&residual).filter(|(t, _)| t.get(at) == Some(&word)).map(|(_, r)| r).sum();
            let weight = fit.weights[at * 4 + word];
            zeros += usize::from(weight == 0.0);
            let bound = 0.02 * 500.0;
            match weight == 0.0 {
                true => assert!(pull.abs() <= bound + 1e-2, "{pull}"),
                false => assert!((pull - bound * weight.signum()).abs() < 1e-2, "{pull} {weight}"),
            }
        }
    }
    assert!((1..24).contains(&zeros), "{zeros} weights are 0");
}
