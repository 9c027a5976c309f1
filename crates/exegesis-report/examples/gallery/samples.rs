//! Synthetic rows: no model was run, the numbers are made up to exercise the pictures.

use exegesis_report::{
    Attribution, ClassScore, ImageView, InputView, Ledger, LedgerNode, MethodReport, Polarity, Prediction,
    ReportInput, RowReport, Scatter, ScatterPoint,
};

/// One row per kind of input, with a file name for each.
pub fn rows() -> Vec<(&'static str, RowReport)> {
    vec![
        ("photo", photo()),
        ("digit", digit()),
        ("review", review()),
        ("ids", ids()),
        ("table", table()),
        ("series", series()),
        ("array", array()),
    ]
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| text.to_string()).collect()
}

fn one(name: &str, view: InputView) -> Vec<ReportInput> {
    vec![ReportInput { name: name.into(), view }]
}

fn class(index: usize, label: &str, score: f64, probability: f64) -> ClassScore {
    ClassScore { index, label: Some(label.into()), score, probability: Some(probability) }
}

fn attribution(shape: &[usize], values: Vec<f32>) -> Vec<Attribution> {
    vec![Attribution { shape: shape.to_vec(), values, ..Default::default() }]
}

/// Adds the sum, and what it should have been.
fn with_sum(mut method: MethodReport, expected: Option<f64>) -> MethodReport {
    let values = method.attributions.iter().flat_map(|a| &a.values);
    method.sum = values.filter(|v| v.is_finite()).map(|v| f64::from(*v)).sum();
    method.expected = expected;
    method.gap = expected.map(|value| method.sum - value);
    method
}

fn blob(x: f64, y: f64, at: (f64, f64), radius: f64) -> f64 {
    (-((x - at.0).powi(2) + (y - at.1).powi(2)) / (2.0 * radius * radius)).exp()
}

/// A cheap repeatable texture in -1..=1.
fn texture(x: usize, y: usize) -> f64 {
    ((x as f64 * 0.9).sin() * (y as f64 * 1.3).cos() + ((x * 7 + y * 13) % 17) as f64 / 8.5 - 1.0) / 2.0
}

fn photo() -> RowReport {
    let side = 224;
    let mut pixels = Vec::new();
    let mut map = Vec::new();
    let mut coarse = Vec::new();
    for y in 0..side {
        for x in 0..side {
            let (u, v) = (x as f64 / side as f64, y as f64 / side as f64);
            let body = if blob(u, v, (0.45, 0.55), 0.17) > 0.35 { 1.0 } else { 0.0 };
            let sky = 1.0 - v;
            let grain = 12.0 * texture(x, y);
            let color = [
                90.0 + 60.0 * sky + 95.0 * body,
                120.0 + 70.0 * sky + 10.0 * body,
                110.0 + 110.0 * sky - 60.0 * body,
            ];
            pixels.extend(color.map(|c| (c + grain).clamp(0.0, 255.0) as u8));
            let noise = 0.25 * texture(x + 3, y + 5);
            let signal = 1.4 * blob(u, v, (0.42, 0.45), 0.08) + 0.8 * blob(u, v, (0.55, 0.66), 0.06)
                - 0.9 * blob(u, v, (0.8, 0.25), 0.07);
            map.push((signal * (1.0 + noise) / 327.0) as f32);
            coarse.push(((blob(u, v, (0.45, 0.52), 0.13) + 0.15 * noise.abs()) / 90.0) as f32);
        }
    }
    let channels: Vec<f32> = (0..3).flat_map(|_| map.iter().map(|v| v / 3.0)).collect();
    let first = with_sum(
        MethodReport {
            name: "dlbacktrace".into(),
            parameters: vec![("mode".into(), "default".into()), ("saturation".into(), "on".into())],
            attributions: attribution(&[3, side, side], channels),
            ledger: Some(ledger()),
            ..Default::default()
        },
        Some(7.108),
    );
    let second = with_sum(
        MethodReport {
            name: "smoothgrad".into(),
            parameters: vec![("samples".into(), "50".into()), ("noise".into(), "0.1".into())],
            attributions: attribution(&[side, side], coarse),
            polarity: Polarity::Unsigned,
            warnings: vec!["Values have no sign: they say how sensitive, not in which direction.".into()],
            ..Default::default()
        },
        None,
    );
    RowReport {
        name: "photo.jpg".into(),
        inputs: one(
            "pixel_values",
            InputView::Image(ImageView { width: side, height: side, channels: 3, pixels }),
        ),
        prediction: Prediction {
            task: "classification".into(),
            output_name: "logits".into(),
            top: vec![
                class(281, "tabby cat", 11.324, 0.871),
                class(282, "tiger cat", 9.1, 0.094),
                class(285, "Egyptian cat", 7.9, 0.0282),
                class(287, "lynx", 5.2, 0.0019),
                class(761, "remote control", 3.9, 0.0005),
            ],
            target: "class 281 \"tabby cat\", logit".into(),
            target_index: Some(281),
        },
        methods: vec![first, second],
        ..Default::default()
    }
}

fn ledger() -> Ledger {
    let node = |node: &str, op: &str, class: &str, value: f64| LedgerNode {
        node: node.into(),
        op: op.into(),
        r_in: 11.3,
        r_out: 11.3 - value,
        absorbed: vec![(class.into(), value)],
    };
    Ledger {
        seed: 11.324,
        reached: 7.108,
        absorbed: vec![("bias".into(), 2.914), ("epsilon".into(), 0.021), ("dead unit".into(), 1.281)],
        nodes: vec![
            node("/layer4/layer4.2/conv3/Conv", "Conv", "bias", 1.42),
            node("/layer3/layer3.5/relu/Relu", "Relu", "dead unit", 0.93),
            node("/layer1/layer1.0/downsample/downsample.0/Conv", "Conv", "bias", 0.88),
            node("/fc/Gemm", "Gemm", "bias", 0.614),
            node("/maxpool/MaxPool", "MaxPool", "dead unit", 0.351),
            node("/avgpool/GlobalAveragePool", "GlobalAveragePool", "epsilon", 0.021),
        ],
    }
}

fn digit() -> RowReport {
    let side = 28;
    let mut pixels = Vec::new();
    let mut map = Vec::new();
    for y in 0..side {
        for x in 0..side {
            let (u, v) = ((x as f64 + 0.5) / side as f64, (y as f64 + 0.5) / side as f64);
            let ring = ((u - 0.5).hypot((v - 0.5) * 0.8) - 0.25).abs();
            let ink = (1.0 - ring / 0.09).clamp(0.0, 1.0);
            pixels.push((ink * 255.0) as u8);
            let against = 0.7 * blob(u, v, (0.5, 0.5), 0.07);
            map.push((ink * (0.5 + v) * 0.1 - against * 0.1) as f32);
        }
    }
    let method = MethodReport {
        name: "integrated-gradients".into(),
        parameters: vec![("steps".into(), "50".into()), ("baseline".into(), "zeros".into())],
        attributions: attribution(&[1, side, side], map),
        ..Default::default()
    };
    RowReport {
        name: "digit-0001.png".into(),
        inputs: one("image", InputView::Image(ImageView { width: side, height: side, channels: 1, pixels })),
        prediction: Prediction {
            task: "classification".into(),
            output_name: "logits".into(),
            top: vec![
                class(0, "zero", 12.1, 0.9993),
                class(6, "six", 4.2, 0.0004),
                class(9, "nine", 3.1, 0.0001),
            ],
            target: "class 0 \"zero\", logit".into(),
            target_index: Some(0),
        },
        methods: vec![with_sum(method, Some(12.1))],
        ..Default::default()
    }
}

fn review() -> RowReport {
    let words = [
        "[CLS]",
        "This",
        " film",
        " is",
        " not",
        " the",
        " best",
        " thing",
        " Nolan",
        " has",
        " made",
        ",",
        " but",
        " it",
        " is",
        " a",
        " gorgeous",
        " and",
        " strangely",
        " moving",
        " one",
        ".",
        " I",
        " would",
        " watch",
        " it",
        " again",
        ".",
        "[SEP]",
    ];
    let scores = [
        0.01, 0.05, 0.08, 0.0, -1.12, 0.02, 0.43, 0.01, 0.11, 0.0, 0.02, -0.03, 0.31, 0.02, 0.04, 0.01, 1.53,
        0.08, 0.22, 1.08, 0.05, 0.02, 0.03, -0.18, 0.21, 0.03, 0.52, 0.01, -0.04,
    ];
    let method = MethodReport {
        name: "attn-lrp".into(),
        attributions: attribution(&[words.len()], scores.to_vec()),
        ..Default::default()
    };
    let points = words.iter().zip(scores).enumerate().map(|(i, (word, x))| ScatterPoint {
        label: word.to_string(),
        x: f64::from(x),
        y: f64::from(x).abs().sqrt() - 0.4 + texture(i, 3) * 0.3,
    });
    let slalom = MethodReport {
        name: "slalom".into(),
        parameters: vec![("samples".into(), "580".into()), ("design".into(), "short".into())],
        attributions: attribution(&[words.len()], scores.iter().map(|v| v * 0.8).collect()),
        scatter: Some(Scatter {
            x_label: "value".into(),
            y_label: "importance".into(),
            points: points.collect(),
        }),
        ..Default::default()
    };
    RowReport {
        name: "review 3".into(),
        inputs: one(
            "input_ids",
            InputView::Tokens {
                ids: (0..words.len() as i64).map(|i| 1000 + 37 * i).collect(),
                texts: Some(strings(&words)),
            },
        ),
        prediction: Prediction {
            task: "classification".into(),
            output_name: "logits".into(),
            top: vec![class(1, "positive", 3.528, 0.994), class(0, "negative", -1.53, 0.007)],
            target: "class 1 \"positive\", logit".into(),
            target_index: Some(1),
        },
        methods: vec![with_sum(method, Some(3.528)), with_sum(slalom, None)],
        ..Default::default()
    }
}

fn ids() -> RowReport {
    let count = 60;
    let method = MethodReport {
        name: "gradient".into(),
        attributions: attribution(
            &[count],
            (0..count).map(|i| (texture(i, i / 3) * texture(i, 2)) as f32).collect(),
        ),
        ..Default::default()
    };
    RowReport {
        name: "row 12".into(),
        inputs: one(
            "input_ids",
            InputView::Tokens { ids: (0..count as i64).map(|i| (i * 7919) % 30000).collect(), texts: None },
        ),
        prediction: Prediction {
            task: "next-token".into(),
            output_name: "logits".into(),
            top: vec![
                ClassScore {
                    index: 6342,
                    label: Some(" Paris".into()),
                    score: 17.2,
                    probability: Some(0.61),
                },
                ClassScore { index: 262, label: Some(" the".into()), score: 15.9, probability: Some(0.17) },
            ],
            target: "token 6342 \" Paris\", logit".into(),
            target_index: Some(6342),
        },
        methods: vec![with_sum(method, None)],
        ..Default::default()
    }
}

fn table() -> RowReport {
    let names = [
        "age",
        "income",
        "debt_to_income",
        "months_employed",
        "late_payments_12m",
        "home_owner",
        "credit_lines",
        "inquiries_6m",
        "loan_amount",
        "region",
    ];
    let values = ["41", "52000", "0.37", "86", "2", "yes", "7", "1", "18500", "north-west"];
    let scores = [0.12, 0.88, -0.61, 0.35, -1.42, 0.44, 0.05, -0.08, -0.22, 0.0];
    let method = MethodReport {
        name: "kernel-shap".into(),
        parameters: vec![("samples".into(), "1024".into()), ("imputer".into(), "mean".into())],
        attributions: attribution(&[names.len()], scores.to_vec()),
        ..Default::default()
    };
    RowReport {
        name: "application 4711".into(),
        inputs: one("features", InputView::Columns { names: strings(&names), values: strings(&values) }),
        prediction: Prediction {
            task: "binary".into(),
            output_name: "score".into(),
            top: vec![ClassScore {
                index: 0,
                label: Some("repaid".into()),
                score: -0.41,
                probability: Some(0.399),
            }],
            target: "repaid, log-odds".into(),
            target_index: Some(0),
        },
        methods: vec![with_sum(method, Some(-0.46))],
        warnings: vec![
            "Column \"region\" is constant in the background data; it cannot receive an attribution.".into(),
        ],
    }
}

fn series() -> RowReport {
    let length = 300;
    let channels = ["lead I", "lead II"];
    let mut values = Vec::new();
    let mut scores = Vec::new();
    for channel in 0..channels.len() {
        for step in 0..length {
            let phase = (step % 75) as f64;
            let beat = blob(phase, 0.0, (30.0, 0.0), 2.2) - 0.25 * blob(phase, 0.0, (35.0, 0.0), 2.0)
                + 0.2 * blob(phase, 0.0, (52.0, 0.0), 6.0);
            values.push((beat * (1.0 - 0.4 * channel as f64) + 0.03 * texture(step, channel)) as f32);
            let odd = blob(step as f64, 0.0, (180.0, 0.0), 5.0);
            let against = 0.5 * blob(step as f64, 0.0, (105.0, 0.0), 4.0);
            scores.push(((odd - against) * (1.0 - 0.6 * channel as f64) * 0.4) as f32);
        }
    }
    let method = MethodReport {
        name: "occlusion".into(),
        parameters: vec![("window".into(), "5".into())],
        attributions: attribution(&[2, length], scores),
        ..Default::default()
    };
    RowReport {
        name: "record 100, beat 3".into(),
        inputs: one("ecg", InputView::Series { channels: strings(&channels), length, values }),
        prediction: Prediction {
            task: "classification".into(),
            output_name: "logits".into(),
            top: vec![
                ClassScore { index: 2, label: None, score: 4.4, probability: None },
                ClassScore { index: 0, label: None, score: -1.2, probability: None },
            ],
            target: "class 2, logit".into(),
            target_index: Some(2),
        },
        methods: vec![with_sum(method, None)],
        ..Default::default()
    }
}

fn array() -> RowReport {
    let count = 4 * 6 * 6;
    let mut values: Vec<f32> = (0..count).map(|i| texture(i, i / 6) as f32).collect();
    values[17] = f32::NAN;
    let method = MethodReport {
        name: "gradient".into(),
        attributions: attribution(&[4, 6, 6], values),
        ..Default::default()
    };
    RowReport {
        name: "state.npy".into(),
        inputs: one(
            "state",
            InputView::Other { shape: vec![4, 6, 6], values: (0..count).map(|i| i as f32 / 10.0).collect() },
        ),
        prediction: Prediction {
            task: "regression".into(),
            output_name: "value".into(),
            top: vec![ClassScore { index: 0, label: Some("value".into()), score: 0.732, probability: None }],
            target: "output 0".into(),
            target_index: Some(0),
        },
        methods: vec![with_sum(method, None)],
        ..Default::default()
    }
}
