//! Generators of samples with known evidence.
//!
//! What this would catch: evidence that is not where the pattern is, classes that are not balanced, parts that share random
//! numbers, a mark that does not go with the class as it should, noise of the wrong kind, formulas that are not what texts say.

mod common;

use common::{Formula, judged};
use exegesis_metrics::truth::enumeration::shapley;
use exegesis_metrics::truth::pictures::{Background, Mark, SIDE, Scenario, Scenes, mark_pixels};
use exegesis_metrics::truth::series::{Event, STEPS};
use exegesis_metrics::truth::texts::{
    slalom_leave_one_out, slalom_score, slalom_table, slalom_text, sparse_text, sparse_weights,
};
use exegesis_metrics::truth::{Example, Part};
use exegesis_metrics::{Map, parse};
use exegesis_perturb::random::{RowKey, Stream};

fn all_scenes() -> Vec<Scenes> {
    let of = |s: &Scenario| Background::ALL.iter().map(|b| Scenes::new(*s, *b)).collect::<Vec<_>>();
    Scenario::ALL.iter().flat_map(of).collect()
}

fn mass(phi: &[f64], truth: &[bool]) -> Option<f64> {
    let n = phi.len();
    let mut subject = Formula::new(&vec![0.0; n], &vec![0.0; n], |x| x[0]);
    let metric = parse("relevance-mass").unwrap();
    judged(metric.as_ref(), &mut subject, &Map::signed(phi.to_vec()), Some(truth)).value
}

#[test]
fn without_noise_all_of_a_picture_is_evidence() {
    for scenario in [Scenario::Linear, Scenario::Rotation, Scenario::Xor] {
        let scenes = Scenes { alpha: 1.0, ..Scenes::new(scenario, Background::White) };
        for sample in 0..50 {
            let example = scenes.example(1, Part::Test, sample);
            let size = example.values.iter().map(|v| v.abs()).collect::<Vec<_>>();
            assert!((mass(&size, &example.evidence).unwrap() - 1.0).abs() < 1e-12, "{}", scenario.name());
        }
    }
}

#[test]
fn pictures_are_scaled_balanced_and_have_evidence_of_the_right_size() {
    for scenes in all_scenes() {
        let expected = if scenes.scenario == Scenario::Rotation { 4 } else { 8 };
        let examples: Vec<Example> = (0..1000).map(|i| scenes.example(3, Part::Test, i)).collect();
        for example in &examples {
            let largest = example.values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            assert!((largest - 1.0).abs() < 1e-12);
            assert_eq!(example.evidence.iter().filter(|e| **e).count(), expected);
        }
        let ones = examples.iter().filter(|e| e.class == 1).count();
        assert!((430..570).contains(&ones), "{ones} of class 1");
    }
}

#[test]
fn samples_depend_on_seed_part_and_number_only() {
    let scenes = Scenes::new(Scenario::Xor, Background::Correlated);
    let one = scenes.example(1, Part::Test, 5);
    assert_eq!(one, scenes.example(1, Part::Test, 5));
    for other in [
        scenes.example(2, Part::Test, 5),
        scenes.example(1, Part::Training, 5),
        scenes.example(1, Part::Test, 6),
    ] {
        assert_ne!(one.values, other.values);
    }
}

/// Neighbours of white noise have correlation 0; of noise smoothed by a Gaussian of deviation 1, exp(-1/4) away from borders.
#[test]
fn noise_is_correlated_where_it_should_be() {
    for (background, expected) in [(Background::White, 0.0), (Background::Correlated, (-0.25f64).exp())] {
        let scenes = Scenes { alpha: 0.0, ..Scenes::new(Scenario::Linear, background) };
        let (mut product, mut square) = (0.0, 0.0);
        for sample in 0..2000 {
            let x = scenes.example(0, Part::Test, sample).values;
            let (a, b) = (x[3 * SIDE + 3], x[3 * SIDE + 4]);
            product += a * b;
            square += (a * a + b * b) / 2.0;
        }
        let found = product / square;
        // Scaling each picture to norm 1 takes a little of the common part away.
        assert!((found - expected).abs() < 0.06, "{}: {found}, expected {expected}", background.name());
    }
}

#[test]
fn marks_go_with_the_class_as_often_as_they_should() {
    let is_marked = mark_pixels();
    assert_eq!(is_marked.iter().filter(|m| **m).count(), 9);
    for r in [0.0, 0.5, 0.95] {
        let scenes = Scenes::marked(r);
        let swapped = Scenes { mark: Some(Mark { correlation: r, is_swapped: true }), ..scenes };
        let (mut agreements, count) = (0, 3000);
        for sample in 0..count {
            let (as_is, other) =
                (scenes.example(0, Part::Test, sample), swapped.example(0, Part::Test, sample));
            assert_eq!((as_is.class, &as_is.evidence), (other.class, &other.evidence));
            // Both are scaled by their largest pixel: compare by a pixel that is the same in both.
            let scale = as_is.values[0] / other.values[0];
            let brighter: Vec<bool> =
                as_is.values.iter().zip(&other.values).map(|(a, b)| *a > b * scale + 1e-9).collect();
            let darker: Vec<bool> =
                as_is.values.iter().zip(&other.values).map(|(a, b)| *a < b * scale - 1e-9).collect();
            let has_mark = brighter == is_marked;
            assert!(has_mark || darker == is_marked, "only the mark differs");
            agreements += usize::from(has_mark == (as_is.class == 1));
        }
        let correlation = 2.0 * agreements as f64 / count as f64 - 1.0;
        assert!((correlation - r).abs() < 0.05, "{correlation} for {r}");
    }
}

#[test]
fn series_have_an_event_where_they_say() {
    for event in Event::ALL {
        let examples: Vec<Example> = (0..400).map(|i| event.example(0, Part::Test, i)).collect();
        for example in &examples {
            let steps: Vec<usize> = (0..STEPS).filter(|s| example.evidence[*s]).collect();
            match (example.class, event) {
                (0, _) => assert!(steps.is_empty()),
                (_, Event::Bump) => assert_eq!(steps.len(), 8),
                (_, Event::Frequency) => assert_eq!(steps.len(), 16),
            }
            assert!(steps.windows(2).all(|pair| pair[1] == pair[0] + 1));
        }
    }
    let (mut inside, mut outside) = (vec![], vec![]);
    for sample in 0..400 {
        let example = Event::Bump.example(0, Part::Test, sample);
        for (value, is_in) in example.values.iter().zip(&example.evidence) {
            if *is_in { inside.push(*value) } else { outside.push(*value) }
        }
    }
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    assert!(mean(&outside).abs() < 0.1, "noise has mean 0");
    // 2.5 (1 - cos) over eight steps of a full turn with both ends at 0: 2.5 * 7 / 8.
    assert!((mean(&inside) - 2.1875).abs() < 0.2, "{}", mean(&inside));
}

#[test]
fn texts_have_the_score_of_their_formula() {
    let (values, importances) = ([1.0, -1.0, 0.0], [0.0, 2f64.ln(), 0.0]);
    assert!((slalom_score(&values, &importances, &[0, 1, 2]) + 0.25).abs() < 1e-12);
    let effects = slalom_leave_one_out(&values, &importances, &[0, 1, 2]);
    assert!((effects[1] + 0.75).abs() < 1e-12, "{effects:?}");
    let (values, importances) = slalom_table(0);
    assert_eq!((values.len(), importances.len()), (64, 64));
    let weights = sparse_weights();
    assert_eq!(weights.iter().filter(|w| **w != 0.0).count(), 6);
    for sample in 0..200 {
        let text = slalom_text(0, Part::Test, sample);
        assert!((4..=30).contains(&text.len()) && text.iter().all(|w| *w < 64));
        let text = sparse_text(0, Part::Test, sample);
        assert!((6..=24).contains(&text.len()));
        assert!(text.iter().any(|w| weights[*w] != 0.0), "a text without evidence");
    }
}

#[test]
fn enumeration_gives_the_shapley_values_of_the_closed_forms() {
    type Score = fn(&[f64]) -> f64;
    let cases: [(&str, &[f64], Score, &[f64]); 6] = [
        ("linear", &[1.0, 2.0, 3.0], |x| 4.0 * x[0] - x[1] + 0.5 * x[2], &[4.0, -2.0, 1.5]),
        ("product", &[2.0, 3.0], |x| x[0] * x[1], &[3.0, 3.0]),
        ("maximum", &[1.0, 3.0], |x| x[0].max(x[1]), &[0.5, 2.5]),
        ("xor", &[1.0, 1.0], |x| (x[0] + x[1]) - 2.0 * (x[0] + x[1] - 1.0).max(0.0), &[0.0, 0.0]),
        ("and", &[1.0, 1.0], |x| (x[0] + x[1] - 1.0).max(0.0), &[0.5, 0.5]),
        ("or", &[1.0, 1.0], |x| (x[0] + x[1]).min(1.0), &[0.5, 0.5]),
    ];
    for (name, x, score, expected) in cases {
        let found = shapley(x.len(), |there| {
            score(&x.iter().zip(there).map(|(x, k)| if *k { *x } else { 0.0 }).collect::<Vec<_>>())
        });
        for (found, expected) in found.unwrap().iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{name}");
        }
    }
    assert!(shapley(17, |_| 0.0).is_err());
}

/// A control of random numbers has the share of the evidence as its mass; anything else would shift what methods are held against.
#[test]
fn random_maps_have_the_mass_of_the_share_of_evidence() {
    let scenes = Scenes::new(Scenario::Linear, Background::White);
    let evidence = scenes.example(0, Part::Test, 0).evidence;
    let masses: Vec<f64> = (0..400)
        .map(|row| {
            let mut random = Stream::new(RowKey { seed: 0, row }, "random map", 0);
            let phi: Vec<f64> = (0..64).map(|_| random.uniform()).collect();
            mass(&phi, &evidence).unwrap()
        })
        .collect();
    let mean = masses.iter().sum::<f64>() / masses.len() as f64;
    assert!((mean - 8.0 / 64.0).abs() < 0.01, "{mean}");
}
