//! Real models on real inputs, by the gradient, DLBacktrace and its peers (`fixtures/README.md` says where they come from).

mod common;

use std::path::Path;

use common::{array, fixture, floats, npy, npz_keys, succeeds};
use serde_json::Value;
use tempfile::tempdir;

const METHODS: [&str; 2] = ["gradient", "dlbacktrace"];

/// Explains and returns the JSON summary; `e.safetensors` holds the arrays.
fn explain(folder: &Path, args: &[&str]) -> Value {
    let mut all = vec!["explain", "--json", "--save", "e.safetensors"];
    all.extend(args);
    let outcome = succeeds(folder, &all);
    serde_json::from_str(&outcome.stdout).unwrap()
}

/// Values that say something: finite, and not all zero.
fn check_values(values: &[f32]) {
    assert!(values.iter().all(|v| v.is_finite()));
    assert!(values.iter().any(|v| *v != 0.0));
}

/// What every relevance result must satisfy: shares that are not negative and a ledger that balances.
fn check_relevance(summary: &Value, values: &[f32]) {
    check_values(values);
    assert!(values.iter().all(|v| *v >= 0.0));
    for row in summary["rows"].as_array().unwrap() {
        let ledger = &row["ledger"];
        let unaccounted = ledger["unaccounted"].as_f64().unwrap().abs();
        assert!(unaccounted < 2e-3 * ledger["seed"].as_f64().unwrap(), "{ledger}");
    }
}

/// Both methods on one array input; returns the summary of the last.
fn both(model: &str, input: &str, extra: &[&str], shape: &[usize]) -> Value {
    let folder = tempdir().unwrap();
    let mut last = Value::Null;
    for method in METHODS {
        let mut args = vec![model];
        args.extend(extra);
        args.extend(["--method", method]);
        last = explain(folder.path(), &args);
        let (own, values) = array(&folder.path().join("e.safetensors"), &format!("attribution/{input}"));
        assert_eq!(own, shape, "{method}");
        if method == "dlbacktrace" {
            check_relevance(&last, &values);
        } else {
            check_values(&values);
        }
    }
    last
}

const EFFICIENTNET: &str = "resize=256,interp=bicubic,crop=224,mean=127,std=128";

#[test]
fn efficientnet_sees_the_cat_and_the_espresso() {
    let (Some(model), Some(cat), Some(coffee), Some(labels)) = (
        fixture("efficientnet-lite0.onnx"),
        fixture("chelsea.png"),
        fixture("coffee.png"),
        fixture("imagenet-labels.txt"),
    ) else {
        return;
    };
    let folder = tempdir().unwrap();
    let at = folder.path();
    let args = [
        "explain",
        &model,
        &cat,
        &coffee,
        "--preprocess",
        EFFICIENTNET,
        "--labels",
        &labels,
        "--method",
        "dlbacktrace",
        "--method",
        "gradient",
        "--save",
        "e.html",
        "--save",
        "e.npz",
        "--save",
        "e.safetensors",
        "--json",
    ];
    let json: Value = serde_json::from_str(&succeeds(at, &args).stdout).unwrap();
    let rows = json["rows"].as_array().unwrap();
    let label = |row: usize| rows[row]["prediction"]["label"].as_str().unwrap().to_lowercase();
    assert!(label(0).contains("cat"), "{}", label(0));
    assert!(label(1).contains("espresso"), "{}", label(1));
    // As measured in PyTorch on pictures that Pillow resized.
    let top = |row: usize, place: usize| rows[row]["top"][place]["probability"].as_f64().unwrap();
    assert!((top(0, 0) - 0.39).abs() < 0.01 && (top(0, 1) - 0.36).abs() < 0.01, "{}", rows[0]["top"]);
    assert!((top(1, 0) - 0.95).abs() < 0.01, "{}", rows[1]["top"]);
    let keys = npz_keys(&at.join("e.npz"));
    for key in ["dlbacktrace/attribution/input", "gradient/attribution/input", "prediction/logits", "target"]
    {
        assert!(keys.contains(&key.to_string()), "no {key}");
    }
    for method in METHODS {
        let (shape, values) = array(&at.join("e.safetensors"), &format!("{method}/attribution/input"));
        assert_eq!(shape, [2, 3, 224, 224]);
        check_values(&values);
    }
    // The coffee's relevance lies on the cup, which fills the middle: more per pixel than in the border.
    let (_, values) = array(&at.join("e.safetensors"), "dlbacktrace/attribution/input");
    let (mut inside, mut outside) = ((0.0f64, 0usize), (0.0f64, 0usize));
    for (i, value) in values[3 * 224 * 224..].iter().enumerate() {
        let (y, x) = (i / 224 % 224, i % 224);
        let place = if (30..194).contains(&y) && (30..194).contains(&x) { &mut inside } else { &mut outside };
        place.0 += f64::from(*value);
        place.1 += 1;
    }
    assert!(inside.0 / inside.1 as f64 > 1.2 * outside.0 / outside.1 as f64, "{inside:?} {outside:?}");
}

/// The peers on the espresso: what each promises, on a network of 50 layers.
#[test]
fn peers_of_dlbacktrace_on_the_espresso() {
    let (Some(model), Some(coffee)) = (fixture("efficientnet-lite0.onnx"), fixture("coffee.png")) else {
        return;
    };
    let folder = tempdir().unwrap();
    let of = |method: &str| {
        let args = [&model, &coffee, "--preprocess", EFFICIENTNET, "--method", method];
        let summary = explain(folder.path(), &args);
        let (shape, values) = array(&folder.path().join("e.safetensors"), "attribution/input");
        assert_eq!(shape, [1, 3, 224, 224], "{method}");
        check_values(&values);
        (summary, values)
    };
    let (summary, _) = of("deeplift");
    let row = &summary["rows"][0];
    let (gap, expected) = (row["gap"].as_f64().unwrap(), row["expected"].as_f64().unwrap());
    assert!(gap.abs() < 1e-3 * expected.abs(), "DeepLIFT misses {expected} by {gap}");
    // Grad-CAM peaks on the cup, and is the same in every channel.
    let (_, cam) = of("grad-cam");
    let plane = 224 * 224;
    let peak = (0..plane).max_by(|a, b| cam[*a].total_cmp(&cam[*b])).unwrap();
    let (x, y) = (peak % 224, peak / 224);
    assert!((50..180).contains(&x) && (20..130).contains(&y), "Grad-CAM peaks at {x}, {y}");
    assert!(cam.iter().all(|v| *v >= 0.0) && cam[..plane] == cam[plane..2 * plane]);
    // Relevance of positive terms only: none speaks against, and what is missing is on the books.
    let (summary, lrp) = of("lrp:composite=z-plus");
    assert!(lrp.iter().all(|v| *v >= -1e-9), "z-plus knows no evidence against");
    assert!(summary["rows"][0]["ledger"].is_object(), "{summary:#}");
    let (_, guided) = of("guided-backprop");
    let (_, plain) = of("gradient");
    assert!(guided != plain, "its ReLU6 are ReLUs");
}

#[test]
fn mnist_cnn() {
    let (Some(model), Some(data)) = (fixture("mnist-cnn.onnx"), fixture("binary-mnist.npz")) else { return };
    // One test image, a 0 or a 1, as the model takes it: [1, 28, 28, 1] in 0..1.
    let folder = tempdir().unwrap();
    let (pixels, digits) = (first_rows(&data, "X_test", 784, 3), first_rows(&data, "y_test", 1, 3));
    let scaled: Vec<f32> = pixels.iter().map(|p| f32::from(*p) / 255.0).collect();
    let path = folder.path().join("digits.npy");
    std::fs::write(&path, floats("(3, 28, 28, 1)", &scaled)).unwrap();
    let json = both(&model, "conv2d_input", &[path.to_str().unwrap()], &[3, 28, 28, 1]);
    assert_eq!(json["task"], "classification");
    let rows = json["rows"].as_array().unwrap().iter();
    let predicted: Vec<u64> = rows.map(|row| row["prediction"]["index"].as_u64().unwrap()).collect();
    assert_eq!(predicted, digits.iter().map(|d| u64::from(*d)).collect::<Vec<u64>>());
}

/// Rows of a uint8 array in a `.npz` file.
fn first_rows(path: &str, name: &str, columns: usize, rows: usize) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut archive.by_name(&format!("{name}.npy")).unwrap(), &mut bytes).unwrap();
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[header..header + rows * columns].to_vec()
}

#[test]
fn season_cnn_reads_float64_rows() {
    let (Some(model), Some(row)) = (fixture("season-cnn.onnx"), fixture("season-weather.npy")) else {
        return;
    };
    let json = both(&model, "input_3:0", &[&row], &[1, 28, 1]);
    assert!(json["warnings"].to_string().contains("converted from float64"), "{}", json["warnings"]);
}

#[test]
fn minilm_explains_tokens_and_not_the_mask() {
    let Some(model) = fixture("minilm-l3.onnx") else { return };
    let folder = tempdir().unwrap();
    let at = folder.path();
    let ids: [i64; 16] =
        [101, 1996, 2143, 2001, 2307, 102, 0, 0, 101, 1045, 5223, 2009, 1998, 2061, 2003, 102];
    let mask: [i64; 16] = [1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1];
    let bytes = |values: &[i64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    std::fs::write(at.join("ids.npy"), npy("<i8", "(2, 8)", &bytes(&ids))).unwrap();
    std::fs::write(at.join("mask.npy"), npy("<i8", "(2, 8)", &bytes(&mask))).unwrap();
    let ids = format!("input_ids={}", at.join("ids.npy").display());
    let mask = format!("attention_mask={}", at.join("mask.npy").display());
    for method in METHODS {
        explain(at, &[&model, &ids, &mask, "--output-name", "461", "--target", "7", "--method", method]);
        let path = at.join("e.safetensors");
        let (shape, values) = array(&path, "attribution/input_ids");
        assert_eq!(shape, [2, 8]);
        check_values(&values);
        if method == "dlbacktrace" {
            assert_eq!(values[6..8], [0.0, 0.0], "padding must get nothing");
        }
        let file = std::fs::read(&path).unwrap();
        let saved = safetensors::SafeTensors::deserialize(&file).unwrap();
        assert!(!saved.names().iter().any(|n| n.contains("attribution/attention_mask")));
    }
    let missing = common::exegesis(at, &["explain", &model, &ids]);
    assert_eq!(missing.code, 3);
    assert!(missing.stderr.contains("attention_mask"), "{}", missing.stderr);
}

#[test]
fn opennsfw_channels_last() {
    let (Some(model), Some(picture)) = (fixture("opennsfw.onnx"), fixture("astronaut.png")) else { return };
    let steps = "resize=256x256,crop=224,mean=104/117/123,channels=bgr";
    let json = both(&model, "input:0", &[&picture, "--preprocess", steps], &[1, 224, 224, 3]);
    assert_eq!(json["rows"][0]["prediction"]["index"], 0, "{}", json["rows"][0]);
}

#[test]
fn text_detection_by_mask() {
    let (Some(model), Some(picture)) = (fixture("ocr-det.onnx"), fixture("rocket.jpg")) else { return };
    let steps = "resize=160x96,scale=0.003921569,mean=0.485/0.456/0.406,std=0.229/0.224/0.225,channels=bgr";
    // A cell that always exists, whether the picture has text or not.
    let json =
        both(&model, "x", &[&picture, "--preprocess", steps, "--target", "index:0,40,80"], &[1, 3, 96, 160]);
    assert_eq!(json["task"], "segmentation");
}

/// A model that was converted elsewhere and that no package carries: below `EXEGESIS_SHARED`, or put into the cache.
fn shared(name: &str) -> Option<String> {
    let folder = std::env::var("EXEGESIS_SHARED").unwrap_or_default();
    let cached = format!("{}/../../fixtures/cache/shared/{name}", env!("CARGO_MANIFEST_DIR"));
    let found = [cached, format!("{folder}/models/{name}")].into_iter().find(|path| Path::new(path).exists());
    if found.is_none() {
        eprintln!("skipped: {name} is not there; set EXEGESIS_SHARED to the folder above models/");
    }
    found
}

/// Our converter rebuilds EfficientNet-Lite0 from the packaged weights; another conversion predicts the same.
#[test]
fn the_rebuilt_efficientnet_predicts_as_the_converted_one() {
    let (Some(rebuilt), Some(cat)) = (fixture("efficientnet-lite0.onnx"), fixture("chelsea.png")) else {
        return;
    };
    let Some(converted) = shared("efficientnet-lite0.onnx") else { return };
    let folder = tempdir().unwrap();
    let mut logits = vec![];
    for model in [&rebuilt, &converted] {
        explain(folder.path(), &[model, &cat, "--preprocess", EFFICIENTNET, "--method", "gradient"]);
        let saved = std::fs::read(folder.path().join("e.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&saved).unwrap();
        let key = file.names().into_iter().find(|name| name.starts_with("prediction/")).unwrap().to_string();
        logits.push(array(&folder.path().join("e.safetensors"), &key).1);
    }
    assert_eq!(logits[0].len(), 1000);
    for (ours, theirs) in logits[0].iter().zip(&logits[1]) {
        assert!((ours - theirs).abs() <= 1e-4, "{ours} {theirs}");
    }
}

#[test]
fn selfie_segmentation() {
    let Some(model) = shared("selfie_segmentation.onnx") else { return };
    let Some(picture) = fixture("astronaut.png") else { return };
    let name = {
        let folder = tempdir().unwrap();
        let json: Value =
            serde_json::from_str(&succeeds(folder.path(), &["inspect", &model, "--json"]).stdout).unwrap();
        json["inputs"][0]["name"].as_str().unwrap().to_string()
    };
    let json = both(
        &model,
        &name,
        &[&picture, "--preprocess", "resize=256x256,scale=0.003921569"],
        &[1, 256, 256, 3],
    );
    assert_eq!(json["task"], "segmentation");
}

#[test]
fn voice_activity_over_a_recording() {
    let Some(model) = fixture("silero-16k-sequence.onnx") else { return };
    let folder = tempdir().unwrap();
    let at = folder.path();
    let wave: Vec<f32> =
        (0..6 * 576).map(|i| (i as f32 * 0.11).sin() * (i as f32 * 0.003).sin() * 0.5).collect();
    std::fs::write(at.join("frames.npy"), floats("(6, 576)", &wave)).unwrap();
    std::fs::write(at.join("state.npy"), floats("(1, 1, 128)", &[0.0; 128])).unwrap();
    let (frames, h, c) = (at.join("frames.npy"), at.join("state.npy"), at.join("state.npy"));
    let bind = |name: &str, path: &Path| format!("{name}={}", path.display());
    for method in METHODS {
        let args = [
            model.clone(),
            bind("input", &frames),
            bind("h", &h),
            bind("c", &c),
            "--explain".into(),
            "input".into(),
            "--method".into(),
            method.into(),
        ];
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        explain(at, &args);
        let (shape, values) = array(&at.join("e.safetensors"), "attribution/input");
        assert_eq!(shape, [6, 576]);
        check_values(&values);
    }
}

#[test]
fn branches_on_the_sample_rate_resolve() {
    // The same network as three graphs; the rate is an input that an `If` asks for.
    let folder = tempdir().unwrap();
    let at = folder.path();
    let wave: Vec<f32> = (0..576).map(|i| (i as f32 * 0.11).sin() * (i as f32 * 0.003).sin() * 0.5).collect();
    std::fs::write(at.join("wave.npy"), floats("(1, 576)", &wave)).unwrap();
    std::fs::write(at.join("state.npy"), floats("(2, 1, 128)", &[0.0; 256])).unwrap();
    std::fs::write(at.join("rate.npy"), npy("<i8", "()", &16_000i64.to_le_bytes())).unwrap();
    let bind = |name: &str, file: &str| format!("{name}={}", at.join(file).display());
    let (wave, state, rate) = (bind("input", "wave.npy"), bind("state", "state.npy"), bind("sr", "rate.npy"));
    let mut gradients = Vec::new();
    for name in ["silero-vad.onnx", "silero-op18-ifless.onnx", "silero-16k-op15.onnx"] {
        let Some(model) = fixture(name) else { return };
        let summary = explain(at, &[&model, &wave, &state, &rate, "--method", "dlbacktrace"]);
        check_relevance(&summary, &array(&at.join("e.safetensors"), "attribution/input").1);
        explain(at, &[&model, &wave, &state, &rate, "--method", "gradient"]);
        gradients.push(array(&at.join("e.safetensors"), "attribution/input").1);
    }
    let largest = gradients[0].iter().fold(0f32, |m, v| m.max(v.abs()));
    for other in &gradients[1..] {
        assert!(gradients[0].iter().zip(other).all(|(a, b)| (a - b).abs() < 1e-4 * largest));
    }
}
