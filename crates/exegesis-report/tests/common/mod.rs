//! Small rows that the tests draw.

use exegesis_report::*;

/// A row with one input and one method.
pub fn row(view: InputView, shape: &[usize], values: &[f32]) -> RowReport {
    RowReport {
        name: "row 1".into(),
        inputs: vec![ReportInput { name: "x".into(), view }],
        prediction: Prediction {
            task: "classification".into(),
            output_name: "logits".into(),
            top: vec![
                ClassScore { index: 3, label: Some("cat".into()), score: 2.5, probability: Some(0.75) },
                ClassScore { index: 1, label: None, score: -1.0, probability: Some(0.25) },
            ],
            target: "class 3 \"cat\", logit".into(),
            target_index: Some(3),
        },
        methods: vec![MethodReport {
            name: "dlbacktrace".into(),
            parameters: vec![("mode".into(), "default".into())],
            attributions: vec![Attribution {
                shape: shape.to_vec(),
                values: values.to_vec(),
                ..Default::default()
            }],
            sum: 1.25,
            expected: Some(1.5),
            gap: Some(-0.25),
            ledger: Some(ledger()),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A ledger that balances.
pub fn ledger() -> Ledger {
    let node = LedgerNode {
        node: "/fc/Gemm".into(),
        op: "Gemm".into(),
        r_in: 2.5,
        r_out: 1.5,
        absorbed: vec![("bias".into(), 1.0)],
    };
    Ledger { seed: 2.5, reached: 1.25, absorbed: vec![("bias".into(), 1.25)], nodes: vec![node] }
}

/// One input of every kind with three values (the picture is 3x1).
pub fn views() -> Vec<(&'static str, InputView, Vec<usize>)> {
    let names = || ["a", "b", "c"].map(String::from).to_vec();
    vec![
        (
            "image",
            InputView::Image(ImageView { width: 3, height: 1, channels: 1, pixels: vec![0, 128, 255] }),
            vec![1, 1, 3],
        ),
        ("tokens", InputView::Tokens { ids: vec![7, 8, 9], texts: Some(names()) }, vec![3]),
        ("columns", InputView::columns(names(), &[1.0, 2.5, -3.0]), vec![3]),
        (
            "series",
            InputView::Series { channels: vec!["lead".into()], length: 3, values: vec![0.0, 1.0, 0.5] },
            vec![1, 3],
        ),
        ("other", InputView::Other { shape: vec![3], values: vec![] }, vec![3]),
    ]
}

/// A report around rows.
#[allow(dead_code)]
pub fn report(rows: Vec<RowReport>) -> Report {
    Report {
        title: "Explanation of model.onnx".into(),
        model: ModelInfo {
            path: "models/model.onnx".into(),
            sha256: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef".into(),
            format: "ONNX, opset 18".into(),
            ..Default::default()
        },
        rows,
        provenance: Provenance {
            version: "exegesis 0.1.0".into(),
            runtime: "rten, cpu".into(),
            seed: Some(7),
            created: "2026-01-01T00:00:00Z".into(),
            timings: Timings { load_ms: Some(10.0), compile_ms: Some(0.5), run_ms: Some(1500.0) },
            ..Default::default()
        },
        ..Default::default()
    }
}
