//! Functions as models, through the public API.
//!
//! What this would catch: a function that is given other rows, types or shapes than the model would be, answers that are read on
//! the wrong side of the softmax, wrong answers taken as they are, calls with more rows than were allowed, a method of the graph
//! that runs on a graph without the model.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use exegesis::{
    DType, Dim, ErrorKind, Explanation, Function, Inputs, Meaning, Method, Model, Predictor, Score, Target,
    Tensor, TextReader, builtin,
};
use exegesis_runtime::{LoadOptions, Program, RtenRuntime, Runtime};

/// The forward pass of a model of the graph, as a function.
struct Forward(Program);

impl Predictor for Forward {
    fn predict(&self, inputs: &[(&str, &Tensor)]) -> Result<Vec<Tensor>, String> {
        self.0.run_all(inputs).map_err(|e| e.to_string()).map(|mut all| {
            all.truncate(1);
            all
        })
    }
}

/// A function that does what `model` does.
fn opaque(model: &Model, columns: usize, meaning: Meaning) -> Model {
    let mut graph = model.graph().clone();
    exegesis_graph::passes::expand::expand(&mut graph, &|_| true).unwrap();
    let program = RtenRuntime.load(graph, &LoadOptions::default()).unwrap();
    let batch = Dim::symbol("batch");
    let open = |shape: Vec<Dim>| [batch.clone()].into_iter().chain(shape.into_iter().skip(1)).collect();
    let inputs = model
        .inputs()
        .iter()
        .map(|port| (port.name.clone(), port.dtype, open(port.shape.clone().unwrap_or_default())))
        .collect();
    let function = Function {
        name: "the same".to_string(),
        inputs,
        columns,
        meaning,
        labels: model.labels(),
        features: vec![],
        predict: Arc::new(Forward(program)),
    };
    Model::from_function(function).unwrap()
}

fn explain(model: &Model, method: &str, score: Score, inputs: &Inputs) -> Explanation {
    let explainer = model.explainer(Method::parse(method).unwrap()).score(score).target(Target::Class(1));
    explainer.build().unwrap().explain(inputs).unwrap()
}

fn values(explanation: &Explanation) -> Vec<f64> {
    explanation.methods[0].values[0].1.to_f64().unwrap()
}

fn assert_close(a: &[f64], b: &[f64], what: &str) {
    assert_eq!(a.len(), b.len());
    let most = a.iter().fold(0f64, |m, v| m.max(v.abs()));
    let gap = a.iter().zip(b).fold(0f64, |m, (a, b)| m.max((a - b).abs()));
    assert!(most > 0.0 && gap <= 2e-5 * most.max(1.0), "{what}: {gap} of {most}");
}

#[test]
fn every_method_that_asks_gives_the_numbers_of_the_graph() {
    let model = Model::builtin().unwrap();
    let inputs = builtin::samples(&model).unwrap();
    let same = opaque(&model, 10, Meaning::Logits);
    let methods = [
        "occlusion",
        "lime:samples=120",
        "kernel-shap:samples=120",
        "permutation-shap:samples=120",
        "partition-shap:samples=120",
        "rise:samples=120",
    ];
    for method in methods {
        let scores = [Score::Logit, Score::Probability];
        for score in scores.into_iter().take(if method.starts_with("occlusion") { 2 } else { 1 }) {
            let own = explain(&model, method, score, &inputs);
            let asked = explain(&same, method, score, &inputs);
            assert_close(&values(&own), &values(&asked), method);
            assert_eq!(own.predictions[0].label, asked.predictions[0].label);
            assert_eq!(own.target, asked.target);
        }
    }
}

#[test]
fn texts_are_given_as_ids_of_any_length() {
    let model = Model::builtin_text().unwrap();
    let reader = TextReader::new(&model, Arc::new(builtin::tokenizer().unwrap()), &[]).unwrap();
    let given = vec![exegesis::Given {
        name: None,
        value: exegesis::Value::Text("a dull film without wonder".to_string()),
    }];
    let options = exegesis::ReadOptions { reader: Some(reader), ..Default::default() };
    let read = exegesis::bind_values(model.inputs(), given, &options).unwrap();
    let columns = explain(&model, "random", Score::Logit, &read.runs[0]).outputs[0].1.shape()[1];
    let same = opaque(&model, columns, Meaning::Logits);
    for method in ["occlusion", "slalom:samples=60", "shapley"] {
        let own =
            model.explainer(Method::parse(method).unwrap()).build().unwrap().explain(&read.runs[0]).unwrap();
        let asked =
            same.explainer(Method::parse(method).unwrap()).build().unwrap().explain(&read.runs[0]).unwrap();
        assert_close(&values(&own), &values(&asked), method);
    }
}

/// `p = sigmoid(x . w)` of two features, with what it was called with.
fn logistic(meaning: Meaning, columns: usize, calls: &Arc<Mutex<Vec<usize>>>) -> Function {
    let calls = Arc::clone(calls);
    Function::new("logistic", &[2], columns, meaning, move |inputs| {
        let x = inputs[0].1.as_f32().unwrap();
        calls.lock().unwrap().push(x.len() / 2);
        let p = |row: &[f32]| 1.0 / (1.0 + (-(2.0 * f64::from(row[0]) - f64::from(row[1]))).exp());
        let all: Vec<f64> = match columns {
            1 => x.chunks(2).map(p).collect(),
            _ => x.chunks(2).flat_map(|row| [1.0 - p(row), p(row)]).collect(),
        };
        Tensor::new([x.len() / 2, columns], all).map_err(|e| e.to_string())
    })
}

#[test]
fn probabilities_are_explained_as_they_are_or_as_logits() {
    let calls = Arc::default();
    let row = || Inputs::new().with("x", Tensor::new([1, 2], vec![1f32, 0.5]).unwrap());
    let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
    for columns in [1, 2] {
        let model = Model::from_function(logistic(Meaning::Probabilities, columns, &calls)).unwrap();
        let explainer = || {
            let explainer = model.explainer(Method::parse("shapley").unwrap());
            if columns == 2 { explainer.target(Target::Class(1)) } else { explainer }
        };
        let p = explainer().build().unwrap().explain(&row()).unwrap();
        let total: f64 = values(&p).iter().sum();
        assert!((total - (sigmoid(1.5) - 0.5)).abs() < 1e-6, "{total}");
        assert!((p.predictions[0].probability.unwrap() - sigmoid(1.5)).abs() < 1e-6);
        let z = explainer().score(Score::Logit).build().unwrap().explain(&row()).unwrap();
        // Of one column the log-odds, which are linear; of two columns `ln p`.
        match columns {
            1 => assert_close(&values(&z), &[2.0, -0.5], "log-odds"),
            _ => {
                let total: f64 = values(&z).iter().sum();
                assert!((total - (sigmoid(1.5).ln() - 0.5f64.ln())).abs() < 1e-5, "{total}");
            }
        }
    }
}

#[test]
fn no_call_has_more_rows_than_were_asked_for() {
    let calls: Arc<Mutex<Vec<usize>>> = Arc::default();
    let model = Model::from_function(logistic(Meaning::Probabilities, 2, &calls)).unwrap();
    let inputs = Inputs::new().with("x", Tensor::new([5, 2], vec![0.3f32; 10]).unwrap());
    let free = model.explainer(Method::parse("lime").unwrap()).build().unwrap().explain(&inputs).unwrap();
    assert!(calls.lock().unwrap().iter().any(|rows| *rows > 3));
    calls.lock().unwrap().clear();
    let three = NonZeroUsize::new(3).unwrap();
    let cut = model
        .explainer(Method::parse("lime").unwrap())
        .batch(three)
        .build()
        .unwrap()
        .explain(&inputs)
        .unwrap();
    let seen = calls.lock().unwrap().clone();
    assert!(!seen.is_empty() && seen.iter().all(|rows| *rows <= 3), "{seen:?}");
    assert_eq!(values(&free), values(&cut));
}

#[test]
fn wrong_answers_say_what_came_back() {
    type Answer = fn(usize) -> Result<Tensor, String>;
    let cases: [(Meaning, Answer, &str); 7] = [
        (Meaning::Logits, |_| Err("out of service".into()), "out of service"),
        (
            Meaning::Logits,
            |n| Ok(Tensor::new([n, 3], vec![0f32; 3 * n]).unwrap()),
            "gave an array of shape [2, 3], not [2, 2]",
        ),
        (Meaning::Logits, |n| Ok(Tensor::new([n + 1, 2], vec![0f32; 2 * n + 2]).unwrap()), "given 2 row(s)"),
        (Meaning::Logits, |n| Ok(Tensor::new([n, 2], vec![f32::NAN; 2 * n]).unwrap()), "NaN in row 0"),
        (Meaning::Logits, |n| Ok(Tensor::new([n, 2], vec![0i64; 2 * n]).unwrap()), "gave int64 values"),
        (
            Meaning::Probabilities,
            |n| Ok(Tensor::new([n, 2], vec![0.9f32; 2 * n]).unwrap()),
            "sum to 1.800000",
        ),
        (
            Meaning::IndependentProbabilities,
            |n| Ok(Tensor::new([n, 2], vec![1.5f32; 2 * n]).unwrap()),
            "1.5 in row 0",
        ),
    ];
    for (meaning, answer, text) in cases {
        let function = Function::new("odd", &[2], 2, meaning, move |inputs| answer(inputs[0].1.shape()[0]));
        let model = Model::from_function(function).unwrap();
        let inputs = Inputs::new().with("x", Tensor::new([2, 2], vec![1f32, 2.0, 3.0, 4.0]).unwrap());
        let error = model.explainer(Method::parse("occlusion").unwrap()).build().unwrap().explain(&inputs);
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn methods_of_the_graph_are_refused_by_name() {
    let model = Model::from_function(logistic(Meaning::Probabilities, 2, &Arc::default())).unwrap();
    for info in Method::catalogue() {
        let built = model.explainer(Method::parse(info.name).unwrap()).build();
        let asks = exegesis::perturb::Method::catalogue().iter().any(|own| own.name == info.name);
        if asks || matches!(info.name, "random" | "edges") {
            built.unwrap();
            continue;
        }
        let error = built.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains(&format!("`{}` looks into the model", info.name)), "{error}");
        assert!(error.to_string().contains("kernel-shap"), "{error}");
    }
    assert!(model.explainer(Method::parse("occlusion").unwrap()).compile().is_err());
}

#[test]
fn inputs_without_rows_are_refused() {
    let mut function = logistic(Meaning::Logits, 2, &Arc::default());
    function.inputs.push(("y".to_string(), DType::F32, vec![Dim::Fixed(3)]));
    assert_eq!(Model::from_function(function.clone()).unwrap_err().kind(), ErrorKind::Usage);
    function.inputs.clear();
    assert_eq!(Model::from_function(function).unwrap_err().kind(), ErrorKind::Usage);
}
