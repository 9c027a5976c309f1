//! Attributions on the runtime, in f32, against numbers that other tools recorded on the same networks
//! (`testdata/peers`). What this would catch: another definition than the field's (a sign, a factor, a baseline, a
//! quadrature), a method that is only right where its own tests look.

#[allow(dead_code)]
#[path = "../../exegesis-attribute/tests/common/npz.rs"]
mod npz;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use exegesis::{Inputs, Method, MethodResult, Model, Target, Tensor};
use exegesis_reference::Array;

/// Largest difference, relative to the largest value.
const TOLERANCE: f64 = 1e-4;

/// Methods as we and captum call them, and what they are compared with.
const METHODS: &[(&str, &str, Against)] = &[
    ("gradient", "gradient", Against::Zeros),
    ("input-x-gradient", "input-x-gradient", Against::Zeros),
    ("guided-backprop", "guided-backprop", Against::Zeros),
    ("integrated-gradients", "integrated-gradients/zeros", Against::Zeros),
    ("integrated-gradients", "integrated-gradients/gausslegendre", Against::Baseline),
    ("integrated-gradients:rule=riemann-left", "integrated-gradients/riemann_left", Against::Baseline),
    ("integrated-gradients:rule=riemann-right", "integrated-gradients/riemann_right", Against::Baseline),
    ("integrated-gradients:rule=riemann-middle", "integrated-gradients/riemann_middle", Against::Baseline),
    (
        "integrated-gradients:rule=riemann-trapezoid",
        "integrated-gradients/riemann_trapezoid",
        Against::Baseline,
    ),
    ("deeplift", "deeplift/zeros", Against::Zeros),
    ("deeplift", "deeplift", Against::Baseline),
    ("deep-shap", "deep-shap", Against::References),
];

/// Networks where captum's DeepLIFT does not keep its promise, as it has no rule for an operator: products, softmax, GELU,
/// normalisation, the gates of an LSTM, and maxima that move between cells.
const WITHOUT_RULES: &[&str] = &["transformer", "lstm", "maxpool"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Against {
    Zeros,
    /// One row.
    Baseline,
    /// The mean over five rows.
    References,
}

type Recorded = BTreeMap<String, Array>;

fn folder(tool: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/peers").join(tool)
}

fn networks(tool: &str) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = std::fs::read_dir(folder(tool))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("case.npz").exists())
        .map(|path| (path.file_name().unwrap().to_string_lossy().to_string(), path))
        .collect();
    found.sort();
    found
}

/// The recorded arrays of one kind, as inputs of the model.
fn rows(recorded: &Recorded, kind: &str) -> Inputs {
    let prefix = format!("{kind}/");
    recorded
        .iter()
        .filter_map(|(key, array)| Some((key.strip_prefix(&prefix)?, array.to_tensor().unwrap())))
        .fold(Inputs::new(), |inputs, (name, tensor): (&str, Tensor)| inputs.with(name, tensor))
}

/// The attributions of every row for its own recorded class, by input, and the largest gap of a row.
fn attributions(
    model: &Model,
    recorded: &Recorded,
    method: &str,
    against: Against,
) -> Result<(BTreeMap<String, Vec<f64>>, f64), String> {
    let targets = &recorded["target"].data;
    let inputs = rows(recorded, "input");
    let mut found: BTreeMap<String, Vec<Vec<f64>>> = BTreeMap::new();
    let mut gap = 0.0f64;
    for class in 0..3 {
        let mut builder =
            model.explainer(Method::parse(method).map_err(|e| e.to_string())?).target(Target::Class(class));
        match against {
            Against::Zeros => {}
            Against::Baseline => builder = builder.references(rows(recorded, "baseline")),
            Against::References => builder = builder.references(rows(recorded, "references")),
        }
        let explainer = builder.build().map_err(|e| e.to_string())?;
        let explanation = explainer.explain(&inputs).map_err(|e| e.to_string())?;
        let result: &MethodResult = &explanation.methods[0];
        for (name, tensor) in &result.values {
            let values = tensor.to_f64().unwrap();
            let width = values.len() / targets.len();
            let rows = found.entry(name.clone()).or_insert_with(|| vec![vec![]; targets.len()]);
            for (row, target) in targets.iter().enumerate() {
                if *target == class as f64 {
                    rows[row] = values[row * width..(row + 1) * width].to_vec();
                }
            }
        }
        let promises = method.starts_with("deep");
        for (row, total) in result.totals.iter().enumerate().filter(|_| promises) {
            let (Some(expected), Some(missed)) = (total.expected, total.gap) else {
                return Err(format!("row {row} has no total"));
            };
            gap = gap.max(missed.abs() / expected.abs());
            let difference = recorded["score"].data[row] - recorded["score/baseline"].data[row];
            let is_recorded = against == Against::Baseline && targets[row] == class as f64;
            if is_recorded && (expected - difference).abs() > 1e-5 {
                return Err(format!("row {row} should sum to {difference}, not {expected}"));
            }
        }
    }
    Ok((found.into_iter().map(|(name, rows)| (name, rows.concat())).collect(), gap))
}

/// Largest difference, relative to the largest value of any input.
fn difference(got: &BTreeMap<String, Vec<f64>>, recorded: &Recorded, method: &str) -> Result<f64, String> {
    let (mut worst, mut largest) = (0.0f64, 0.0f64);
    // captum weighs 50 trapezoid points by 1/50 and the ends by 1/100, which is 49/50 in all (its maps of a linear function
    // are too small by that factor); weights sum to 1 here.
    let factor = if method.ends_with("trapezoid") { 50.0 / 49.0 } else { 1.0 };
    for (name, got) in got {
        let want: Vec<f64> = recorded[&format!("{method}/{name}")].data.iter().map(|w| w * factor).collect();
        if got.len() != want.len() {
            return Err(format!("{name}: {} values, not {}", got.len(), want.len()));
        }
        for (g, w) in got.iter().zip(&want) {
            largest = largest.max(w.abs());
            worst = worst.max(if g.is_finite() { (g - w).abs() } else { f64::INFINITY });
        }
    }
    Ok(worst / largest)
}

#[test]
fn captum() {
    let mut failures = vec![];
    let mut count = 0;
    for (name, path) in networks("captum") {
        let model = Model::open(path.join("model.onnx")).unwrap();
        let recorded = npz::read(&path.join("case.npz"));
        for (method, theirs, against) in METHODS {
            count += 1;
            let compared =
                attributions(&model, &recorded, method, *against).and_then(|(got, gap)| match gap <= 1e-3 {
                    true => difference(&got, &recorded, theirs),
                    false => Err(format!("misses {gap:e} of its total")),
                });
            let is_other = WITHOUT_RULES.contains(&name.as_str()) && theirs.starts_with("deep");
            match compared {
                Ok(difference) if (difference <= TOLERANCE) != is_other => {}
                other => failures.push(format!("{name}, {theirs}: {other:?}")),
            }
        }
    }
    assert!(failures.is_empty(), "{} of {count} fail:\n{}", failures.len(), failures.join("\n"));
    assert!(count > 0, "nothing is recorded");
}

/// Maxima included, which captum shares in another way.
#[test]
fn shap() {
    let mut failures = vec![];
    let found = networks("shap");
    assert!(!found.is_empty(), "nothing is recorded");
    for (name, path) in found {
        let model = Model::open(folder("captum").join(&name).join("model.onnx")).unwrap();
        let inputs = npz::read(&folder("captum").join(&name).join("case.npz"));
        let recorded = npz::read(&path.join("case.npz"));
        match attributions(&model, &inputs, "deep-shap", Against::References)
            .and_then(|(got, _)| difference(&got, &recorded, "deep-shap"))
        {
            Ok(difference) if difference <= TOLERANCE => {}
            other => failures.push(format!("{name}: {other:?}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
