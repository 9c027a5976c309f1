//! Methods that only ask the model, through the public API: what the driver does between rows of a model and games of players.
//!
//! What this would catch: a target that moves with the changed rows, rows that are mixed up, batches or threads that change
//! a result, models whose rows can't be told apart taken for ones whose can, a score of the wrong kind.

mod common;

use std::num::NonZeroUsize;
use std::path::Path;

use common::inputs;
use exegesis::{Baseline, Explanation, Inputs, Method, Model, Score, Target, Tensor};
use exegesis_graph::op::{self, Unary};
use exegesis_graph::{Builder, DType, Dim, Graph, onnx};

const COLUMNS: usize = 5;
const CLASSES: usize = 3;

/// `softmax(x W + b)` of known weights.
fn linear(batch: Dim) -> (Model, Vec<f64>) {
    let weights = weights();
    let mut graph = Graph::default();
    let x = graph.add_input("x", DType::F32, vec![batch, Dim::Fixed(COLUMNS)]);
    let mut b = Builder::new(&mut graph, "linear").unwrap();
    let w = b.constant(Tensor::from_f64(DType::F32, [COLUMNS, CLASSES], weights.clone()).unwrap());
    let bias = b.constant(Tensor::from_f64(DType::F32, [CLASSES], vec![0.1, -0.2, 0.3]).unwrap());
    let product = b.op(op::MatMul {}, &[x, w]).unwrap();
    let logits = b.add(product, bias).unwrap();
    let probabilities = b.op(op::Softmax { axis: 1 }, &[logits]).unwrap();
    graph.outputs.push(probabilities);
    graph.value_mut(probabilities).name = "probabilities".into();
    (Model::from_bytes(&onnx::write_bytes(&graph).unwrap()).unwrap(), weights)
}

fn weights() -> Vec<f64> {
    (0..COLUMNS * CLASSES).map(|i| ((i * i) as f64 * 0.7 + 1.0).sin()).collect()
}

/// Rows along the weights of one class after the other, which then win.
fn rows(count: usize) -> Inputs {
    let weight = |i: usize| weights()[i % COLUMNS * CLASSES + i / COLUMNS % CLASSES];
    let x = (0..count * COLUMNS).map(|i| 2.0 * weight(i) + 0.1 * i as f64 / COLUMNS as f64).collect();
    Inputs::new().with("x", Tensor::from_f64(DType::F32, [count, COLUMNS], x).unwrap())
}

fn values(explanation: &Explanation, name: &str) -> Vec<f64> {
    explanation.values(name).unwrap().to_f64().unwrap()
}

#[test]
fn shapley_values_of_a_linear_model_are_weights_times_distances_for_the_target_of_each_row() {
    let (model, weights) = linear("batch".into());
    let inputs = rows(4);
    let x = inputs.get("x").unwrap().tensor.to_f64().unwrap();
    let explainer = model.explainer(Method::parse("shapley").unwrap()).baseline(Baseline::Number(0.25));
    let explanation = explainer.build().unwrap().explain(&inputs).unwrap();
    let target = explanation.target.as_ref().unwrap().as_i64().unwrap().to_vec();
    assert!(target.iter().any(|t| *t != target[0]), "rows of different classes");
    let got = values(&explanation, "x");
    for row in 0..4 {
        for column in 0..COLUMNS {
            let expected =
                weights[column * CLASSES + target[row] as usize] * (x[row * COLUMNS + column] - 0.25);
            assert!((got[row * COLUMNS + column] - expected).abs() < 1e-5, "row {row}, column {column}");
        }
        let totals = explanation.methods[0].totals[row];
        assert!(totals.gap.unwrap().abs() < 1e-5, "values of row {row} sum to the difference of scores");
    }
}

#[test]
fn the_score_is_the_one_that_is_asked_for() {
    let (model, weights) = linear("batch".into());
    let inputs = rows(2);
    let sum = |score: Score, target: Target| {
        let builder = model.explainer(Method::parse("shapley").unwrap()).score(score).target(target);
        let explanation = builder.build().unwrap().explain(&inputs).unwrap();
        explanation.methods[0].totals[1].expected.unwrap()
    };
    let x = inputs.get("x").unwrap().tensor.to_f64().unwrap();
    let logits = |x: &[f64]| -> Vec<f64> {
        let bias = [0.1, -0.2, 0.3];
        (0..CLASSES)
            .map(|c| bias[c] + x.iter().enumerate().map(|(i, x)| x * weights[i * CLASSES + c]).sum::<f64>())
            .collect()
    };
    let (full, empty) = (logits(&x[COLUMNS..]), logits(&[0.0; COLUMNS]));
    let probability = |z: &[f64], c: usize| z[c].exp() / z.iter().map(|z| z.exp()).sum::<f64>();
    let odds = |z: &[f64], c: usize| {
        let p = probability(z, c);
        (p / (1.0 - p)).ln()
    };
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-5, "{a} {b}");
    near(sum(Score::Logit, Target::Class(2)), full[2] - empty[2]);
    near(sum(Score::Probability, Target::Class(2)), probability(&full, 2) - probability(&empty, 2));
    near(sum(Score::LogOdds, Target::Class(2)), odds(&full, 2) - odds(&empty, 2));
    near(sum(Score::Logit, Target::Difference(0, 1)), full[0] - full[1] - empty[0] + empty[1]);
}

#[test]
fn batches_and_threads_change_nothing() {
    let (model, _) = linear("batch".into());
    let inputs = rows(3);
    let explain = |batch: Option<usize>, threads: usize| {
        let mut builder =
            model.explainer(Method::parse("shapley").unwrap()).threads(NonZeroUsize::new(threads).unwrap());
        if let Some(batch) = batch {
            builder = builder.batch(NonZeroUsize::new(batch).unwrap());
        }
        values(&builder.build().unwrap().explain(&inputs).unwrap(), "x")
    };
    let first = explain(None, 2);
    assert!(first == explain(None, 1) && first == explain(Some(3), 2) && first == explain(Some(32), 1));
}

#[test]
fn models_for_one_row_are_asked_row_by_row_and_give_the_same() {
    let inputs = rows(1);
    let explain = |batch: Dim| {
        let explainer = linear(batch).0.explainer(Method::parse("shapley").unwrap()).build().unwrap();
        values(&explainer.explain(&inputs).unwrap(), "x")
    };
    let (open, fixed) = (explain("batch".into()), explain(Dim::Fixed(1)));
    assert!(open.iter().zip(&fixed).all(|(a, b)| (a - b).abs() < 1e-6));
}

#[test]
fn players_of_several_inputs_are_numbered_on_and_what_is_not_explained_stays() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/peers/captum/two_inputs/model.onnx");
    let model = Model::open(path).unwrap();
    let inputs = inputs(&model, 2);
    let explainer = model.explainer(Method::parse("shapley").unwrap()).build().unwrap();
    let both = explainer.explain(&inputs).unwrap();
    assert_eq!(both.methods[0].values.len(), model.inputs().len());
    assert!(both.methods[0].totals.iter().all(|t| t.gap.unwrap().abs() < 1e-4));
    let name = model.inputs()[0].name.clone();
    let one = model.explainer(Method::parse("shapley").unwrap()).explain_inputs(vec![name.clone()]);
    let one = one.build().unwrap().explain(&inputs).unwrap();
    assert_eq!(one.methods[0].values.len(), 1);
    assert_ne!(values(&one, &name), values(&both, &name));
}

#[test]
fn a_predictor_that_gives_no_number_is_named() {
    let mut graph = Graph::default();
    let x = graph.add_input("x", DType::F32, vec!["batch".into(), Dim::Fixed(2)]);
    let mut b = Builder::new(&mut graph, "log").unwrap();
    let log = b.unary(Unary::Log, x).unwrap();
    let sum = b.reduce_sum(log, &[1], true).unwrap();
    graph.outputs.push(sum);
    let model = Model::from_bytes(&onnx::write_bytes(&graph).unwrap()).unwrap();
    let inputs = Inputs::new().with("x", Tensor::new([1, 2], vec![1f32, 2.0]).unwrap());
    let explainer = model.explainer(Method::parse("shapley").unwrap()).build().unwrap();
    let error = explainer.explain(&inputs).unwrap_err();
    assert_eq!(error.exit_code(), 3, "{error}");
    assert!(error.to_string().contains("not finite"), "{error}");
}
