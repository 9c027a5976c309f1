//! Methods that average over many points: against the same average made by hand out of single gradients, and what has to hold
//! of them whatever the model.

mod common;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use common::inputs;
use exegesis::{
    Baseline, DType, Dim, ExplainerBuilder, Explanation, Inputs, Method, Model, Part, Request, Target, Task,
    Tensor, WhiteBox,
};
use exegesis_attribute::{Quadrature, quadrature};
use exegesis_graph::{Graph, onnx};
use exegesis_runtime::{LoadOptions, RtenRuntime, Runtime};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn open(network: &str) -> Model {
    Model::open(root().join("testdata").join(network)).unwrap()
}

fn builder(model: &Model, method: &str) -> ExplainerBuilder {
    model.explainer(Method::parse(method).unwrap())
}

fn explain(builder: ExplainerBuilder, inputs: &Inputs) -> Explanation {
    builder.build().unwrap().explain(inputs).unwrap()
}

/// The attribution of the only explained input.
fn values(explanation: &Explanation) -> Vec<f64> {
    let [(_, tensor)] = explanation.methods[0].values.as_slice() else { panic!("one input is explained") };
    tensor.to_f64().unwrap()
}

/// The largest difference, as a part of the largest magnitude of `b`.
fn difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let scale = b.iter().fold(f64::MIN_POSITIVE, |m, v| m.max(v.abs()));
    a.iter().zip(b).fold(0.0f64, |m, (a, b)| m.max((a - b).abs())) / scale
}

/// The gradient of the classes `target` at `values`, row by row.
fn gradients(model: &Model, shape: &[usize], values: &[f64], target: &[i64]) -> Vec<f64> {
    let name = &model.inputs()[0].name;
    let stride = values.len() / shape[0];
    let mut all = vec![];
    for (row, target) in values.chunks(stride).zip(target) {
        let mut shape = shape.to_vec();
        shape[0] = 1;
        let one = Inputs::new().with(name, Tensor::from_f64(DType::F32, shape, row.to_vec()).unwrap());
        let builder = builder(model, "gradient").target(Target::Class(*target as usize));
        all.extend(self::values(&explain(builder, &one)));
    }
    all
}

/// Networks of one float input and classes.
const CLASSIFIERS: [&str; 3] =
    ["torch/residual_cnn/dynamo.onnx", "torch/vit/dynamo.onnx", "torch/mlp/legacy.onnx"];

/// Catches wrong points, weights, baselines, a target that moves along the path, and rows that get each other's points.
#[test]
fn integrated_gradients_are_the_average_made_by_hand() {
    for network in CLASSIFIERS {
        let model = open(network);
        let given = inputs(&model, 3);
        let x = &given.entries()[0].tensor;
        let cells = x.to_f64().unwrap();
        for (rule, base) in [(Quadrature::GaussLegendre, 0.0), (Quadrature::Trapezoid, 0.25)] {
            let text = format!("integrated-gradients:steps=6,rule={}", rule.name());
            let explanation = explain(builder(&model, &text).baseline(Baseline::Number(base)), &given);
            let target = explanation.target.clone().unwrap().to_i64().unwrap();
            let mut expected = vec![0.0; cells.len()];
            for (place, weight) in quadrature::points(rule, 6) {
                let point: Vec<f64> = cells.iter().map(|x| base + place * (x - base)).collect();
                let gradient = gradients(&model, x.shape(), &point, &target);
                for ((sum, g), x) in expected.iter_mut().zip(gradient).zip(&cells) {
                    *sum += weight * g * (x - base);
                }
            }
            let off = difference(&values(&explanation), &expected);
            assert!(off < 1e-5, "{network}: {text}: {off}");
        }
    }
}

/// Catches noise that is missing, of the wrong size, shared by rows or samples, or different from run to run.
#[test]
fn without_noise_smoothgrad_is_the_gradient_and_with_it_a_mean_of_others() {
    let model = open(CLASSIFIERS[0]);
    let given = inputs(&model, 3);
    let gradient = values(&explain(builder(&model, "gradient"), &given));
    let quiet = values(&explain(builder(&model, "smoothgrad:noise=0,samples=3"), &given));
    assert!(difference(&quiet, &gradient) < 1e-5);
    let squared = values(&explain(builder(&model, "smoothgrad:noise=0,samples=3,statistic=squared"), &given));
    let squares: Vec<f64> = gradient.iter().map(|g| g * g).collect();
    assert!(difference(&squared, &squares) < 1e-5);
    let run = |method: &str, seed: u64, batch: usize| {
        let builder = builder(&model, method).seed(seed).batch(NonZeroUsize::new(batch).unwrap());
        values(&explain(builder, &given))
    };
    let loud = run("smoothgrad:samples=9", 0, 32);
    assert!(
        difference(&loud, &gradient) > 1e-3 && difference(&loud, &run("smoothgrad:samples=9", 1, 32)) > 1e-3
    );
    for batch in [2, 5] {
        assert!(difference(&run("smoothgrad:samples=9", 0, batch), &loud) < 1e-5, "batches of {batch}");
    }
    let variance = run("smoothgrad:samples=9,statistic=variance", 0, 32);
    let second = run("smoothgrad:samples=9,statistic=squared", 0, 32);
    assert!(variance.iter().all(|v| *v >= 0.0) && variance.iter().any(|v| *v > 0.0));
    let by_hand: Vec<f64> = second.iter().zip(&loud).map(|(s, m)| s - m * m).collect();
    assert!(difference(&variance, &by_hand) < 1e-4);
}

/// Catches references that are mixed up or weighed wrongly.
#[test]
fn several_baselines_give_the_mean_over_them() {
    let model = open(CLASSIFIERS[0]);
    let given = inputs(&model, 2);
    let name = model.inputs()[0].name.clone();
    let mut shape = given.entries()[0].tensor.shape().to_vec();
    let stride: usize = shape[1..].iter().product();
    let row = |k: usize| (0..stride).map(|i| ((i * 13 + 5 * k) as f64 * 0.37).cos()).collect::<Vec<f64>>();
    let mut rows = |k: &[usize]| {
        shape[0] = k.len();
        let cells = k.iter().flat_map(|k| row(*k)).collect();
        Inputs::new().with(&name, Tensor::from_f64(DType::F32, shape.clone(), cells).unwrap())
    };
    for method in ["integrated-gradients:steps=5", "deeplift", "deep-shap"] {
        let together = explain(builder(&model, method).references(rows(&[0, 1, 2])), &given);
        let mut mean = vec![0.0; 2 * stride];
        let mut expected = [0.0; 2];
        for k in 0..3 {
            let one = explain(builder(&model, method).references(rows(&[k])), &given);
            mean.iter_mut().zip(values(&one)).for_each(|(m, v)| *m += v / 3.0);
            for (sum, totals) in expected.iter_mut().zip(&one.methods[0].totals) {
                *sum += totals.expected.unwrap() / 3.0;
            }
        }
        assert!(difference(&values(&together), &mean) < 1e-5, "{method}");
        for (totals, expected) in together.methods[0].totals.iter().zip(expected) {
            assert!((totals.expected.unwrap() - expected).abs() < 1e-4, "{method}");
        }
    }
    // Random points of the same paths: the same mean, up to sampling error.
    let exact =
        values(&explain(builder(&model, "integrated-gradients").references(rows(&[0, 1, 2])), &given));
    let method = "gradient-shap:samples=600";
    let sampled = explain(builder(&model, method).references(rows(&[0, 1, 2])), &given);
    assert!(difference(&values(&sampled), &exact) < 0.1);
    let [first, ..] = sampled.methods[0].totals.as_slice() else { panic!("there are rows") };
    assert!(first.gap.unwrap().abs() < 0.1 * first.expected.unwrap().abs().max(0.1));
}

/// Catches embeddings that are left out of the path, and ids that are read as numbers.
#[test]
fn token_ids_are_explained_along_a_path_of_embeddings() {
    for network in ["torch/bert/dynamo.onnx", "torch/hf_distilbert/legacy.onnx", "torch/llama/dynamo.onnx"] {
        let model = open(network);
        let given = inputs(&model, 2);
        let run = |baseline: Option<Baseline>, rows: Option<Inputs>| {
            let mut builder = builder(&model, "integrated-gradients:steps=100");
            if let Some(baseline) = baseline {
                builder = builder.baseline(baseline);
            }
            if let Some(rows) = rows {
                builder = builder.references(rows);
            }
            explain(builder, &given)
        };
        let ids = model.inputs().iter().find(|p| p.name.contains("ids")).unwrap().name.clone();
        let token = |id: f64| {
            let shape = given.get(&ids).unwrap().tensor.shape();
            let shape = vec![1, shape[1]];
            Inputs::new().with(&ids, Tensor::from_f64(DType::I64, shape.clone(), vec![id; shape[1]]).unwrap())
        };
        let zeros = run(None, None);
        assert_eq!(zeros.methods[0].values[0].1.shape(), given.get(&ids).unwrap().tensor.shape());
        let third = run(Some(Baseline::Number(3.0)), None);
        assert!(difference(&values(&run(None, Some(token(3.0)))), &values(&third)) < 1e-5, "{network}");
        assert!(difference(&values(&third), &values(&zeros)) > 1e-3, "{network}");
        // From zero embeddings on, a norm makes a jump that no quadrature sees: only the gap says so.
        for totals in &third.methods[0].totals {
            let (gap, expected) = (totals.gap.unwrap(), totals.expected.unwrap());
            assert!(gap.abs() <= 2e-2 * expected.abs().max(0.05), "{network}: {gap} of {expected}");
        }
    }
}

/// Catches masks and box coordinates that are chosen anew at every point.
#[test]
fn what_is_explained_is_fixed_by_the_clean_run() {
    let model = open("torch/unet/dynamo.onnx");
    let given = inputs(&model, 2);
    let own = explain(builder(&model, "integrated-gradients:steps=7").task(Task::Segmentation), &given);
    let [first, second] = own.methods[0].totals.as_slice() else { panic!("two rows") };
    assert!(first.expected.is_some() && second.expected.is_some());
    // The seed of the clean run, given as if by the user.
    let request = Request {
        part: Part::Clean,
        task: Some(Task::Segmentation),
        ..Request::new(WhiteBox::parse("gradient").unwrap())
    };
    let clean = exegesis_attribute::explain(model.graph().clone(), &request, &mut |_, _| {}).unwrap();
    let seed = run(clean.graph, &given, &clean.seed_output.unwrap());
    let (output, _) = &own.outputs[0];
    let by_hand =
        builder(&model, "integrated-gradients:steps=7").task(Task::Segmentation).target(Target::Seed);
    let by_hand = explain(by_hand, &given.clone().with(format!("seed/{output}"), seed));
    assert!(difference(&values(&own), &values(&by_hand)) < 1e-5);
}

/// The output `name` of `graph` on the embedded runtime.
fn run(graph: Graph, inputs: &Inputs, name: &str) -> Tensor {
    let program = RtenRuntime.load(graph, &LoadOptions::default()).unwrap();
    let feeds: Vec<(&str, &Tensor)> = inputs.entries().iter().map(|i| (i.name.as_str(), &i.tensor)).collect();
    program.run(&feeds, &[name]).unwrap().remove(0)
}

#[test]
fn tolerance_doubles_the_steps_until_the_gap_is_small() {
    let model = open(CLASSIFIERS[1]);
    let given = inputs(&model, 2);
    let gap = |method: &str| {
        let explanation = explain(builder(&model, method), &given);
        let gaps = explanation.methods[0].totals.iter().map(|t| (t.gap.unwrap() / t.expected.unwrap()).abs());
        gaps.fold(0.0, f64::max)
    };
    assert!(gap("integrated-gradients:steps=1") > 1e-3);
    assert!(gap("integrated-gradients:steps=1,tolerance=1e-3") <= 1e-3);
}

/// Catches rows of a sequence that are taken for samples, and models that take one row at a time.
#[test]
fn models_of_one_row_and_of_several_agree() {
    let model = open(CLASSIFIERS[0]);
    let given = inputs(&model, 2);
    let mut fixed =
        onnx::read_bytes(&std::fs::read(root().join("testdata").join(CLASSIFIERS[0])).unwrap(), None)
            .unwrap()
            .graph;
    for id in fixed.inputs.clone().into_iter().chain(fixed.outputs.clone()) {
        if let Some(first) = fixed.value_mut(id).shape.as_mut().and_then(|s| s.first_mut()) {
            *first = Dim::Fixed(1);
        }
    }
    let fixed = Model::from_bytes(&onnx::write_bytes(&fixed).unwrap()).unwrap();
    let one = inputs(&fixed, 1);
    for method in ["integrated-gradients:steps=5", "smoothgrad:samples=4", "gradient-shap:samples=4"] {
        let many = values(&explain(builder(&model, method), &given));
        let single = values(&explain(builder(&fixed, method), &one));
        assert!(difference(&single, &many[..single.len()]) < 1e-5, "{method}");
    }
}

/// Catches a compiled loop that differs from the batches of the command.
#[test]
fn the_compiled_path_gives_the_same_numbers() {
    for network in ["torch/residual_cnn/legacy.onnx", "torch/bert/legacy.onnx", "torch/unet/legacy.onnx"] {
        let model = open(network);
        let given = inputs(&model, 2);
        let method = "integrated-gradients:steps=9";
        let explanation = explain(builder(&model, method), &given);
        let bytes = builder(&model, method).compile().unwrap();
        let graph = onnx::read_bytes(&bytes, None).unwrap().graph;
        let names: Vec<String> = graph.outputs.iter().map(|v| graph.value(*v).name.clone()).collect();
        assert_eq!(names.len(), model.outputs().len() + 1, "{network}: {names:?}");
        let attribution = run(graph, &given, names.iter().find(|n| n.starts_with("attribution/")).unwrap());
        let off = difference(&attribution.to_f64().unwrap(), &values(&explanation));
        assert!(off < 1e-5, "{network}: {off}");
    }
}

/// Catches a plan that forgets what a program takes beside the inputs of the model.
#[test]
fn the_plan_counts_points_and_their_memory() {
    let model = open(CLASSIFIERS[0]);
    let given = inputs(&model, 3);
    for (method, rows) in [("integrated-gradients:steps=40", 123), ("smoothgrad:samples=20", 60)] {
        let plan = builder(&model, method).build().unwrap().plan(&given).unwrap();
        let one = builder(&model, "gradient").build().unwrap().plan(&given).unwrap();
        assert_eq!((plan.rows, plan.is_complete), (rows, true), "{method}");
        assert!(plan.activation_bytes > one.activation_bytes, "{method}: {plan:?}");
        assert!(plan.activation_bytes < 40 * one.activation_bytes, "{method}: {plan:?}");
    }
}

#[test]
fn random_numbers_depend_on_the_seed_and_the_row_only() {
    let model = open(CLASSIFIERS[2]);
    let given = inputs(&model, 4);
    let run = |seed: u64, batch: usize| {
        let builder = builder(&model, "random").seed(seed).batch(NonZeroUsize::new(batch).unwrap());
        values(&explain(builder, &given))
    };
    let first = run(3, 4);
    assert_eq!(first, run(3, 2));
    assert!(difference(&first, &run(4, 4)) > 0.1);
    let stride = first.len() / 4;
    assert!(difference(&first[..stride], &first[stride..2 * stride]) > 0.1);
    assert!(first.iter().all(|v| (-1.0..1.0).contains(v)));
}

#[test]
fn baselines_that_do_not_fit_are_refused() {
    let model = open(CLASSIFIERS[0]);
    let given = inputs(&model, 1);
    let name = model.inputs()[0].name.clone();
    let rows = |shape: &[usize]| {
        let cells = vec![0.0; shape.iter().product()];
        Inputs::new().with(&name, Tensor::from_f64(DType::F32, shape.to_vec(), cells).unwrap())
    };
    let refusal = |builder: ExplainerBuilder| match builder.build() {
        Ok(explainer) => explainer.explain(&given).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    let method = "integrated-gradients:steps=2";
    let text = refusal(builder(&model, method).references(rows(&[1, 2, 3])));
    assert!(text.contains("does not fit rows of shape"), "{text}");
    let text = refusal(builder(&model, method).baseline(Baseline::Input));
    assert!(text.contains("exegesis compile"), "{text}");
    let text = refusal(builder(&model, method).references(Inputs::new()));
    assert!(text.contains("needs a baseline"), "{text}");
    let table = open("torch/mlp/legacy.onnx");
    let blurred = builder(&table, method).baseline(Baseline::Blur).build().unwrap();
    let text = blurred.explain(&inputs(&table, 1)).unwrap_err().to_string();
    assert!(text.contains("blur is for pictures"), "{text}");
}
