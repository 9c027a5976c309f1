//! One network for voice activity as five exporters wrote it: branches on the sampling rate, the LSTM as an operator and
//! as a cell in primitive operators, states in one tensor or two, one frame or a sequence of frames.

use std::path::PathBuf;

use exegesis::{Inputs, Method, Model, Task, Tensor};

/// Samples of a frame, and units of the state.
const FRAME: usize = 576;
const UNITS: usize = 128;

/// The files with the same weights. (`silero-half` was trained apart: it says something else of the same sound.)
const SAME: [&str; 5] =
    ["silero-vad", "silero-16k-op15", "silero-op18-ifless", "silero-openvino-16k", "silero-16k-sequence"];

fn open(name: &str) -> Option<Model> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/cache");
    let path = folder.join(format!("{name}.onnx"));
    if !path.exists() {
        let skip = std::env::var_os("EXEGESIS_SKIP_FIXTURES").is_some_and(|v| v == "1");
        assert!(skip, "run `fixtures/fetch --only {name}`, or set EXEGESIS_SKIP_FIXTURES=1");
        return None;
    }
    Some(Model::open(path).unwrap())
}

/// Attribution of one frame, and the prediction.
fn explain(model: &Model, method: &str, state: f32) -> (Vec<f32>, f32) {
    let tensor = |shape: &[usize], values: Vec<f32>| Tensor::new(shape.to_vec(), values).unwrap();
    let wave = (0..FRAME).map(|i| (i as f32 * 0.11).sin() * (i as f32 * 0.003).sin() * 0.5).collect();
    let half = |k: usize| -> Vec<f32> {
        (0..UNITS).map(|i| state * ((i + k * UNITS) as f32 * 0.37).sin()).collect()
    };
    let mut inputs = Inputs::new().with("input", tensor(&[1, FRAME], wave));
    for port in model.inputs() {
        inputs = match port.name.as_str() {
            "state" => inputs.with("state", tensor(&[2, 1, UNITS], [half(0), half(1)].concat())),
            "h" => inputs.with("h", tensor(&[1, 1, UNITS], half(0))),
            "c" => inputs.with("c", tensor(&[1, 1, UNITS], half(1))),
            "sr" => inputs.with("sr", Tensor::scalar(16_000i64)),
            _ => inputs,
        };
    }
    let explainer = model
        .explainer(Method::parse(method).unwrap())
        .explain_inputs(vec!["input".to_string()])
        .task(Task::Binary)
        .build()
        .unwrap();
    let explanation = explainer.explain(&inputs).unwrap();
    let arrays = explanation.arrays().unwrap();
    let find = |prefix: &str| {
        let found =
            arrays.iter().find(|(key, _)| key.starts_with(prefix)).unwrap_or_else(|| panic!("{prefix}"));
        found.1.as_f32().unwrap().to_vec()
    };
    (find("attribution/input"), find("prediction/")[0])
}

#[test]
fn one_network_has_one_relevance() {
    for method in ["dlbacktrace", "dlbacktrace:mode=contrastive,norm=affine", "gradient"] {
        for state in [0.0, 0.4] {
            let mut first: Option<(Vec<f32>, f32)> = None;
            for name in SAME {
                let Some(model) = open(name) else { continue };
                let (values, prediction) = explain(&model, method, state);
                assert_eq!(values.len(), FRAME);
                let (want, wanted) = first.get_or_insert_with(|| (values.clone(), prediction));
                let largest = want.iter().fold(0.0f32, |m, v| m.max(v.abs()));
                assert!(largest > 0.0, "{name} {method}: nothing arrives");
                assert!((prediction - *wanted).abs() <= 1e-5, "{name}: predicts {prediction}, not {wanted}");
                let apart = values.iter().zip(want.iter()).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
                assert!(
                    apart <= 1e-4 * largest,
                    "{name} {method}, states {state}: differs by {}",
                    apart / largest
                );
            }
        }
    }
}
