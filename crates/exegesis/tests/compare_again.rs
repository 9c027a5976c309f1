//! Methods that are asked again: the same numbers for the same sample wherever its row stands, and what metrics of robustness,
//! randomisation and axioms find on a real network.

use exegesis::compare::{CompareOptions, Comparer, Comparison, DataSet};
use exegesis::{Explainer, Inputs, Method, Model, Tensor, metrics, perturb};

/// Pictures of stripes and blobs, like none other.
fn pictures(count: usize) -> Inputs {
    let value = |i: usize| {
        let (picture, row, column) = (i / 784, i / 28 % 28, i % 28);
        let inside = (4..24).contains(&row) && (6 + picture..22).contains(&column);
        let wave = ((row * (3 + picture) + column * 5) as f32 * 0.31).sin().abs();
        if inside { 0.3 + 0.7 * wave } else { 0.0 }
    };
    let image = (0..count * 784).map(value).collect::<Vec<f32>>();
    Inputs::new().with("image", Tensor::new([count, 1, 28, 28], image).unwrap())
}

fn only(inputs: &Inputs, row: usize) -> Inputs {
    let all = inputs.get("image").unwrap().tensor.to_f64().unwrap();
    let own = all[row * 784..(row + 1) * 784].iter().map(|v| *v as f32).collect::<Vec<f32>>();
    Inputs::new().with("image", Tensor::new([1, 1, 28, 28], own).unwrap())
}

fn explainer(model: &Model, method: &str) -> Explainer {
    model.explainer(Method::parse(method).unwrap()).seed(3).build().unwrap()
}

fn row(explainer: &Explainer, inputs: &Inputs, row: usize) -> Vec<f64> {
    let values = explainer.explain(inputs).unwrap().values("image").unwrap().to_f64().unwrap();
    values[row * 784..(row + 1) * 784].to_vec()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, v| most.max(v.abs()))
}

fn difference(a: &[f64], b: &[f64]) -> f64 {
    let apart: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    largest(&apart) / largest(a)
}

/// Catches random numbers that depend on the place of a row in its batch.
#[test]
fn a_row_is_explained_alike_wherever_it_stands() {
    let model = Model::builtin().unwrap();
    let batch = pictures(4).with_row_keys(vec![10, 11, 12, 13]);
    for method in ["random", "smoothgrad:samples=6", "gradient-shap:samples=6", "kernel-shap:samples=120"] {
        let explainer = explainer(&model, method);
        let there = row(&explainer, &batch, 2);
        let alone = row(&explainer, &only(&batch, 2).with_row_keys(vec![12]), 0);
        assert!(difference(&there, &alone) < 1e-4, "{method}: {}", difference(&there, &alone));
        // The key counts, and without one the place does.
        let other = row(&explainer, &only(&batch, 2).with_row_keys(vec![2]), 0);
        assert!(difference(&there, &other) > 1e-2, "{method}");
        let unkeyed = row(&explainer, &pictures(4), 2);
        assert!(difference(&unkeyed, &other) < 1e-4, "{method}");
    }
}

/// What each metric says of each method, over two pictures.
fn compared(methods: &[&str], wanted: &[&str]) -> Comparison {
    let model = Model::builtin().unwrap();
    let judge = perturb::Method::Occlusion(perturb::Occlusion::default());
    let comparer = Comparer {
        judge: model.explainer(judge).seed(3).build().unwrap(),
        methods: methods.iter().map(|m| ((*m).to_string(), explainer(&model, m))).collect(),
        saved: vec![],
        metrics: wanted.iter().map(|m| ((*m).to_string(), metrics::parse(m).unwrap())).collect(),
        options: CompareOptions { seed: 3, ..CompareOptions::default() },
        target: "argmax".to_string(),
    };
    let data = DataSet::new(vec![pictures(2)], None, "pictures").unwrap();
    comparer.run(&data, &mut |_| {}).unwrap().0
}

impl Found for Comparison {
    fn of(&self, method: usize, metric: usize) -> Vec<f64> {
        let value = |o: &metrics::Outcome| o.value.unwrap_or_else(|| panic!("{:?}", o.reason));
        self.values[method][metric].iter().map(value).collect()
    }
}

trait Found {
    /// Values of all samples.
    fn of(&self, method: usize, metric: usize) -> Vec<f64>;
}

#[test]
fn stability_of_methods_with_and_without_random_numbers() {
    let record = compared(
        &["gradient", "smoothgrad:samples=5", "random", "kernel-shap:samples=60"],
        &[
            "max-sensitivity:draws=4",
            "average-sensitivity:draws=4",
            "local-lipschitz:draws=4",
            "relative-output-stability:draws=4",
            "relative-representation-stability:draws=4",
        ],
    );
    for (method, has_noise) in [(0, false), (1, true), (2, true), (3, true)] {
        let (max, mean) = (record.of(method, 0), record.of(method, 1));
        assert!(max.iter().zip(&mean).all(|(max, mean)| max >= mean && *mean >= 0.0));
        for outcome in &record.values[method][0] {
            let noise = outcome.parts.iter().find(|(name, _)| name == "own noise").unwrap().1;
            assert_eq!(noise > 1e-3, has_noise, "{method}: {noise}");
        }
    }
    // The same random numbers at every neighbour: a map of them alone does not move at all.
    assert_eq!(record.of(2, 0), [0.0, 0.0]);
    assert_eq!(record.of(2, 2), [0.0, 0.0]);
    // Least ratio that is told apart.
    assert_eq!(record.of(2, 3), [-6.0, -6.0]);
    assert!(record.of(0, 4).iter().all(|v| v.is_finite()));
}

#[test]
fn random_models_and_other_classes() {
    let record = compared(
        &["gradient", "edges", "dlbacktrace", "smoothgrad:samples=4"],
        &[
            "mprt",
            "mprt:order=bottom-up,parameters=normal",
            "efficient-mprt",
            "random-logit",
            "smooth-mprt:draws=2,layers=1",
        ],
    );
    for metric in [0, 1] {
        assert_eq!(record.of(1, metric), [1.0, 1.0]);
        assert!(record.of(0, metric).iter().all(|v| *v < 0.9), "{:?}", record.of(0, metric));
    }
    let outcome = &record.values[1][0][0];
    assert!(outcome.parts.len() >= 3 && outcome.parts.iter().all(|(_, v)| *v == 1.0), "{:?}", outcome.parts);
    assert_eq!(record.of(1, 2), [0.0, 0.0]);
    // Edges are the same for every class.
    assert_eq!(record.of(1, 3), [1.0, 1.0]);
    assert!(record.of(0, 3).iter().all(|v| *v < 0.9));
    assert!(record.of(3, 4).iter().all(|v| *v < 1.0));
}

#[test]
fn axioms_on_a_network() {
    let record = compared(
        &[
            "gradient",
            "input-x-gradient",
            "integrated-gradients:steps=64",
            "dlbacktrace",
            "smoothgrad:samples=4",
        ],
        &["completeness:relative=on", "input-invariance", "implementation-invariance"],
    );
    assert!(record.values[0][0].iter().all(|o| o.value.is_none()), "a gradient promises no sum");
    assert!(record.of(2, 0).iter().all(|v| *v < 0.05), "{:?}", record.of(2, 0));
    assert!(record.of(0, 1).iter().all(|v| *v < 1e-4), "{:?}", record.of(0, 1));
    assert!(record.of(1, 1).iter().all(|v| *v > 0.1), "{:?}", record.of(1, 1));
    assert!(record.of(2, 1).iter().all(|v| *v < 1e-3), "{:?}", record.of(2, 1));
    let kept = |o: &metrics::Outcome| o.parts.iter().find(|(name, _)| name == "baseline kept").unwrap().1;
    assert!(record.values[2][1].iter().map(kept).all(|v| v > 0.1));
    for method in [0, 1, 2, 4] {
        let variants = &record.values[method][2];
        assert!(record.of(method, 2).iter().all(|v| *v < 1e-4), "{variants:?}");
        assert!(variants[0].parts.len() >= 3, "{:?}", variants[0].parts);
    }
}
