//! Methods against known answers: closed forms, and the suites of `exegesis truth`.
//!
//! What this would catch: a method whose values are not what its definition gives on functions that can be solved by hand, a
//! suite that a map of random numbers passes, evidence that is not where the models look, a verdict that does not follow.

use std::path::{Path, PathBuf};

use exegesis::truth::{CaseResult, Suite, TruthOptions, TruthReport, run};
use exegesis::{DType, Inputs, Method, Model, ReadOptions, Source, Task, Tensor, read_inputs};
use exegesis_graph::op::{self, ReduceKind, Unary};
use exegesis_graph::{Builder, Dim, Graph, ValueId, onnx};

type Body = fn(&mut Builder<'_>, ValueId) -> exegesis_graph::Result<ValueId>;

/// A model of one row `x` of `columns` numbers and the output `score`, `[batch, 1]`.
fn model(columns: usize, body: Body) -> Model {
    let mut graph = Graph::new("closed form");
    let x = graph.add_input("x", DType::F32, vec!["batch".into(), Dim::Fixed(columns)]);
    let mut builder = Builder::new(&mut graph, "closed").unwrap();
    let score = body(&mut builder, x).unwrap();
    graph.outputs.push(score);
    graph.value_mut(score).name = "score".into();
    Model::from_bytes(&onnx::write_bytes(&graph).unwrap()).unwrap()
}

fn matrix(b: &mut Builder<'_>, shape: [usize; 2], values: &[f64]) -> ValueId {
    b.constant(Tensor::from_f64(DType::F32, shape, values.to_vec()).unwrap())
}

fn linear(b: &mut Builder<'_>, x: ValueId) -> exegesis_graph::Result<ValueId> {
    let w = matrix(b, [3, 1], &[4.0, -3.0, 0.5]);
    b.matmul(x, w)
}

/// Two layers of ReLU without biases.
fn relu_net(b: &mut Builder<'_>, x: ValueId) -> exegesis_graph::Result<ValueId> {
    let first = matrix(b, [3, 4], &[1.0, -0.5, 0.3, 2.0, 0.7, 1.1, -1.3, 0.2, -0.4, 0.9, 1.6, -0.8]);
    let second = matrix(b, [4, 1], &[0.6, -1.2, 0.9, 1.5]);
    let hidden = b.matmul(x, first)?;
    let hidden = b.unary(Unary::Relu, hidden)?;
    b.matmul(hidden, second)
}

/// `1 - relu(1 - x)`.
fn saturated(b: &mut Builder<'_>, x: ValueId) -> exegesis_graph::Result<ValueId> {
    let less = b.mul_scalar(x, -1.0)?;
    let less = b.add_scalar(less, 1.0)?;
    let less = b.unary(Unary::Relu, less)?;
    let less = b.mul_scalar(less, -1.0)?;
    b.add_scalar(less, 1.0)
}

/// `min(x_1, x_2)`.
fn minimum(b: &mut Builder<'_>, x: ValueId) -> exegesis_graph::Result<ValueId> {
    b.reduce(ReduceKind::Min, x, &[1], true)
}

/// `x' Q x` with `Q = [[1, .5], [.5, 2]]`.
fn quadratic(b: &mut Builder<'_>, x: ValueId) -> exegesis_graph::Result<ValueId> {
    let q = matrix(b, [2, 2], &[1.0, 0.5, 0.5, 2.0]);
    let product = b.matmul(x, q)?;
    let product = b.mul(product, x)?;
    b.reduce_sum(product, &[1], true)
}

/// Attention of equal logits over four values of one number.
fn attention(b: &mut Builder<'_>, x: ValueId) -> exegesis_graph::Result<ValueId> {
    let logits = b.mul_scalar(x, 0.0)?;
    let shares = b.op(op::Softmax { axis: 1 }, &[logits])?;
    let product = b.mul(shares, x)?;
    b.reduce_sum(product, &[1], true)
}

fn values(model: &Model, method: &str, x: &[f64]) -> Vec<f64> {
    let builder = model.explainer(Method::parse(method).unwrap()).task(Task::Regression);
    let row = Tensor::from_f64(DType::F32, [1, x.len()], x.to_vec()).unwrap();
    let explanation = builder.build().unwrap().explain(&Inputs::new().with("x", row)).unwrap();
    explanation.values("x").unwrap().to_f64().unwrap()
}

/// Which method gives which number on functions that can be solved by hand. Baselines are zeros.
#[test]
fn methods_have_their_closed_forms() {
    // The slope of the network at the point, times the point.
    let net = &[1.0 * 0.6 + 2.0 * 1.5 + 0.3 * 0.9, 0.0, 0.0];
    type Row = (&'static str, &'static [f64], f64);
    let linear_value: &[f64] = &[4.0, -6.0, 1.5];
    let cases: Vec<(&str, Body, &[f64], Vec<Row>)> = vec![
        (
            "linear",
            linear,
            &[1.0, 2.0, 3.0],
            vec![
                ("gradient", &[4.0, -3.0, 0.5], 1e-6),
                ("smoothgrad", &[4.0, -3.0, 0.5], 1e-5),
                ("input-x-gradient", linear_value, 1e-5),
                ("integrated-gradients", linear_value, 1e-5),
                ("deeplift", linear_value, 1e-5),
                ("lrp:rule=*@zero", linear_value, 1e-5),
                ("occlusion", linear_value, 1e-5),
                ("shapley", linear_value, 1e-5),
                ("kernel-shap", linear_value, 1e-4),
                ("permutation-shap", linear_value, 1e-5),
                ("partition-shap", linear_value, 1e-5),
            ],
        ),
        (
            "saturation, from 0 to 2",
            saturated,
            &[2.0],
            vec![
                ("gradient", &[0.0], 1e-6),
                ("input-x-gradient", &[0.0], 1e-6),
                // The kink lies inside the path: rules of quadrature miss by up to a step.
                ("integrated-gradients", &[1.0], 0.04),
                ("integrated-gradients:steps=1000", &[1.0], 2e-3),
                ("deeplift", &[1.0], 1e-5),
                ("occlusion", &[1.0], 1e-5),
            ],
        ),
        (
            "minimum, from (0, 0) to (1, 2)",
            minimum,
            &[1.0, 2.0],
            vec![
                ("gradient", &[1.0, 0.0], 1e-6),
                ("integrated-gradients", &[1.0, 0.0], 1e-5),
                ("occlusion", &[1.0, 1.0], 1e-5),
                ("shapley", &[0.5, 0.5], 1e-5),
            ],
        ),
        (
            "quadratic form: Qx = (2, 4.5)",
            quadratic,
            &[1.0, 2.0],
            vec![
                ("gradient", &[4.0, 9.0], 1e-5),
                ("input-x-gradient", &[4.0, 18.0], 1e-4),
                ("integrated-gradients", &[2.0, 9.0], 1e-4),
                ("shapley", &[2.0, 9.0], 1e-5),
                ("occlusion", &[3.0, 10.0], 1e-4),
            ],
        ),
        (
            "attention of equal logits: v / T",
            attention,
            &[1.0, -2.0, 3.0, 0.5],
            vec![
                ("input-x-gradient", &[0.25, -0.5, 0.75, 0.125], 1e-6),
                ("integrated-gradients", &[0.25, -0.5, 0.75, 0.125], 1e-5),
                ("shapley", &[0.25, -0.5, 0.75, 0.125], 1e-5),
                ("cp-lrp", &[0.25, -0.5, 0.75, 0.125], 1e-4),
            ],
        ),
        (
            "bias-free ReLU",
            relu_net,
            &[1.0, 0.0, 0.0],
            vec![("input-x-gradient", net, 1e-5), ("lrp:rule=*@zero", net, 1e-5)],
        ),
    ];
    for (name, body, x, rows) in cases {
        let model = model(x.len(), body);
        for (method, expected, tolerance) in rows {
            let found = values(&model, method, x);
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (found - expected).abs() <= tolerance,
                    "{name}: {method} gave {found}, not {expected}"
                );
            }
        }
    }
}

/// LRP-0 is gradient times input on networks of ReLU without biases, at any point.
#[test]
fn lrp_zero_is_gradient_times_input_without_biases() {
    let model = model(3, relu_net);
    for x in [[0.3, -1.2, 0.8], [-0.7, 0.4, 2.0], [1.5, 1.0, -0.2]] {
        let (lrp, product) = (values(&model, "lrp:rule=*@zero", &x), values(&model, "input-x-gradient", &x));
        for (a, b) in lrp.iter().zip(&product) {
            assert!((a - b).abs() < 1e-5, "{lrp:?} and {product:?}");
        }
    }
}

/// On `f = sum x^2 / 2` the gradient at `x + e` is `x + e`: SmoothGrad has the mean `x` and the variance `sd^2 / N` over seeds.
#[test]
fn smoothgrad_has_the_mean_and_variance_of_its_noise() {
    const SEEDS: u64 = 200;
    let model = model(2, |b, x| {
        let square = b.mul(x, x)?;
        let half = b.mul_scalar(square, 0.5)?;
        b.reduce_sum(half, &[1], true)
    });
    // Noise is a part of the range of the row, which is 2 here.
    let (samples, deviation) = (16, 0.5);
    let found: Vec<f64> = (0..SEEDS)
        .map(|seed| {
            let method = Method::parse(&format!("smoothgrad:samples={samples},noise=0.25")).unwrap();
            let builder = model.explainer(method).task(Task::Regression).seed(seed);
            let row = Tensor::from_f64(DType::F32, [1, 2], vec![3.0, 1.0]).unwrap();
            let explanation = builder.build().unwrap().explain(&Inputs::new().with("x", row)).unwrap();
            explanation.values("x").unwrap().to_f64().unwrap()[0]
        })
        .collect();
    let count = SEEDS as f64;
    let mean = found.iter().sum::<f64>() / count;
    let variance = found.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let expected = deviation * deviation / f64::from(samples);
    assert!((mean - 3.0).abs() < 4.0 * (expected / count).sqrt(), "{mean}");
    // The variance of 200 draws has a relative deviation of 10 %.
    assert!((variance / expected - 1.0).abs() < 0.35, "{variance}, expected {expected}");
}

fn suite(suite: Suite, methods: &[&str], limit: usize) -> TruthReport {
    let methods: Vec<(String, Method)> =
        methods.iter().map(|m| ((*m).to_string(), Method::parse(m).unwrap())).collect();
    let options = TruthOptions { suites: vec![suite], limit, seed: 0, stop: None };
    run(&methods, &options, &mut |_| {}).unwrap()
}

fn case<'a>(report: &'a TruthReport, name: &str) -> &'a CaseResult {
    report.cases.iter().find(|c| c.name == name).unwrap()
}

fn mean(case: &CaseResult, method: &str, measure: &str) -> f64 {
    let scores = case.methods.iter().find(|m| m.key == method).unwrap();
    scores.measures.iter().find(|m| m.name == measure).unwrap().estimate.unwrap().mean
}

fn verdict<'a>(report: &'a TruthReport, method: &str) -> &'a str {
    &report.verdicts.iter().find(|v| v.method == method).unwrap().text
}

#[test]
fn shapley_is_exact_on_networks_set_by_hand_and_unused_inputs_get_nothing() {
    let methods = [
        "shapley",
        "gradient",
        "input-x-gradient",
        "integrated-gradients",
        "deeplift",
        "lrp",
        "occlusion",
        "dlbacktrace",
    ];
    let report = suite(Suite::Networks, &methods, 5);
    assert!(verdict(&report, "shapley").starts_with("exact in 9 of 9"), "{}", verdict(&report, "shapley"));
    // Shares by magnitude can't see that two paths cancel.
    assert!(mean(case(&report, "cancelling"), "dlbacktrace", "unused") > 0.5);
    for case in report.cases.iter().filter(|c| c.methods.iter().any(|m| m.measures[0].name == "error")) {
        for method in case.methods.iter().filter(|m| m.key != "dlbacktrace" || case.name != "cancelling") {
            let unused = method.measures.iter().find(|m| m.name == "unused").unwrap();
            let worst = unused.values.iter().flatten().fold(0.0f64, |m, v| m.max(*v));
            assert!(worst <= 1e-6, "{} on {}: {worst}", method.key, case.name);
        }
    }
    // At (1, 1) a saturated OR has no gradient although both inputs matter.
    let or = case(&report, "or").methods.iter().find(|m| m.key == "gradient").unwrap();
    assert_eq!(or.measures[0].values[0], Some(1.0));
}

/// A good method beats the control clearly, and the control is at chance; a linear model has weight on pixels beside the
/// evidence where these tell of the noise on it (suppressors).
#[test]
fn pictures_tell_methods_from_chance_and_show_suppressors() {
    let report = suite(Suite::Pictures, &["integrated-gradients", "gradient", "edges"], 40);
    assert_eq!(report.cases.len(), 17);
    let white = case(&report, "linear-white-linear");
    let chance = mean(white, "random", "relevance-mass");
    assert!((chance - 8.0 / 64.0).abs() < 0.02, "{chance}");
    assert!(mean(white, "integrated-gradients", "relevance-mass") > 4.0 * chance);
    assert_eq!(verdict(&report, "integrated-gradients"), "finds the evidence better than chance");
    assert_eq!(verdict(&report, "gradient"), "finds the evidence better than chance");
    let correlated = case(&report, "linear-correlated-linear");
    let on_evidence = |case| mean(case, "gradient", "relevance-mass");
    assert!(
        on_evidence(correlated) < on_evidence(white) - 0.15,
        "{} on correlated, {} on white noise",
        on_evidence(correlated),
        on_evidence(white)
    );
}

#[test]
fn mass_on_a_planted_mark_follows_what_models_make_of_it() {
    let report = suite(Suite::Marks, &["input-x-gradient", "edges"], 40);
    let reliances: Vec<f64> = report.cases.iter().map(|c| c.reliance.unwrap()).collect();
    assert!(reliances[0].abs() < 0.03 && reliances[9] > 0.2, "{reliances:?}");
    assert_eq!(verdict(&report, "input-x-gradient"), "shows the shortcut");
    for control in ["edges", "random"] {
        assert_ne!(verdict(&report, control), "shows the shortcut", "{control}");
    }
}

#[test]
fn words_and_events_are_found() {
    let texts = suite(Suite::Texts, &["occlusion", "input-x-gradient"], 15);
    assert!(mean(case(&texts, "slalom-values"), "occlusion", "error") < 1e-4);
    assert!(mean(case(&texts, "sparse-values"), "input-x-gradient", "error") < 1e-4);
    assert_eq!(mean(case(&texts, "sparse-words"), "occlusion", "localisation-auc"), 1.0);
    let series = suite(Suite::Series, &["occlusion"], 20);
    for case in &series.cases {
        assert!(mean(case, "occlusion", "localisation-auc") > 0.8, "{}", case.name);
    }
}

/// A method that is not for a model is left out there by name, and the others go on.
#[test]
fn methods_that_do_not_fit_are_left_out_by_name() {
    let report = suite(Suite::Series, &["slalom", "gradient"], 3);
    for case in &report.cases {
        assert!(case.warnings.iter().any(|w| w.contains("`slalom` is left out")), "{:?}", case.warnings);
        assert!(
            case.methods.iter().any(|m| m.key == "gradient")
                && case.methods.iter().all(|m| m.key != "slalom")
        );
    }
}

/// What a network that cuts out persons says of its mask lies on the person: more than edges do, and more than the share of the
/// picture that the person is.
#[test]
fn relevance_of_a_persons_mask_lies_on_the_person() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cached = root.join("fixtures/cache/shared/selfie_segmentation.onnx");
    let shared = std::env::var_os("EXEGESIS_SHARED").map(PathBuf::from).unwrap_or_default();
    let candidates = [cached, shared.join("models/selfie_segmentation.onnx")];
    let picture = root.join("fixtures/cache/astronaut.png");
    let (Some(path), true) = (candidates.iter().find(|p| p.exists()), picture.exists()) else {
        eprintln!("not run: there is no selfie_segmentation.onnx; no package carries it");
        return;
    };
    let model = Model::open(path).unwrap();
    let preprocess = "resize=256x256,scale=0.003921569".parse().unwrap();
    let options = ReadOptions { preprocess: Some(preprocess), ..ReadOptions::default() };
    let source = Source { name: None, path: picture };
    let inputs = read_inputs(model.inputs(), &[source], &options).unwrap().runs.remove(0);
    let mut shares = vec![];
    for method in ["dlbacktrace", "edges"] {
        let explainer = model.explainer(Method::parse(method).unwrap()).build().unwrap();
        let explanation = explainer.explain(&inputs).unwrap();
        let mask = explanation.outputs[0].1.to_f64().unwrap();
        let pixels = 256 * 256;
        assert_eq!(mask.len(), pixels);
        let person = |pixel: usize| mask[pixel] > 0.5;
        let (_, map) = &explanation.methods[0].values[0];
        let (map, is_last) = (map.to_f64().unwrap(), map.shape().last() == Some(&3));
        let channels = map.len() / pixels;
        let mut size = vec![0.0; pixels];
        for (cell, value) in map.iter().enumerate() {
            size[if is_last { cell / channels } else { cell % pixels }] += value.abs();
        }
        let inside: f64 = (0..pixels).filter(|p| person(*p)).map(|p| size[p]).sum();
        let area = (0..pixels).filter(|p| person(*p)).count() as f64 / pixels as f64;
        shares.push((method, inside / size.iter().sum::<f64>(), area));
    }
    println!("method, share of magnitude on the person, share of the picture: {shares:?}");
    let [(_, share, area), (_, edges, _)] = shares[..] else { panic!("two maps") };
    assert!(share > area + 0.1 && share > edges + 0.1, "{shares:?}");
}
