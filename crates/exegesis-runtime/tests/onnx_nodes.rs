//! The node tests of ONNX on every runtime: a model either gives the outputs that the standard demands or is refused by name.
//! They catch an operator that a runtime runs with another meaning than the table believes.

#[allow(dead_code)]
#[path = "../../exegesis-reference/tests/node_tests/mod.rs"]
mod node_tests;
mod runtimes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use exegesis_graph::{DType, Tensor, onnx};
use exegesis_reference::Array;
use exegesis_runtime::{ErrorKind, LoadOptions, Runtime};
use node_tests::{folders, tensors};

/// Tests whose outputs rten does not give, and why that is accepted.
const ACCEPTED: &[(&str, &str)] = &[
    (
        "test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True",
        "the file divides by cells beyond the padding; later releases of ONNX, ONNX Runtime and PyTorch do not",
    ),
    (
        "test_dynamicquantizelinear_expanded",
        "a quotient is halfway between two integers; rten multiplies by the reciprocal",
    ),
];

/// The same for ONNX Runtime.
const ACCEPTED_OF_ONNXRUNTIME: &[(&str, &str)] = &[
    (
        "test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True",
        "the file divides by cells beyond the padding; later releases of ONNX, ONNX Runtime and PyTorch do not",
    ),
    ("test_qlinearmatmul_2D_int8_float32", "the file wraps around where the standard saturates"),
    ("test_qlinearmatmul_3D_int8_float32", "the file wraps around where the standard saturates"),
];

enum Outcome {
    Passed,
    /// Not read, not data that we hold, or refused with a reason.
    Refused(String),
    Failed(String),
}

/// The array as the graph declares it: the files hold bfloat16 as the bits in uint16.
fn declared(array: Array, dtype: DType) -> Array {
    if (array.dtype, dtype) != (DType::U16, DType::BF16) {
        return array;
    }
    let data = array.data.iter().map(|bits| half::bf16::from_bits(*bits as u16).to_f64()).collect();
    Array { dtype: DType::BF16, data, ..array }
}

fn differs(found: &Tensor, wanted: &Array) -> Option<String> {
    if found.shape() != wanted.shape || found.dtype() != wanted.dtype {
        return Some(format!(
            "{} {:?} instead of {} {:?}",
            found.dtype(),
            found.shape(),
            wanted.dtype,
            wanted.shape
        ));
    }
    let tolerance = match wanted.dtype {
        DType::F32 | DType::F64 => 1e-4,
        DType::F16 => 2e-3,
        DType::BF16 => 1e-2,
        _ => 0.0,
    };
    let values = found.to_f64().unwrap_or_default();
    let scale = wanted.data.iter().filter(|x| x.is_finite()).fold(1.0f64, |m, x| m.max(x.abs()));
    let wrong = values.iter().zip(&wanted.data).position(|(x, y)| {
        let same = x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= tolerance * scale;
        !same
    });
    wrong.map(|i| format!("element {i} is {} instead of {}", values[i], wanted.data[i]))
}

fn run_test(runtime: &dyn Runtime, folder: &Path) -> Outcome {
    let model = match onnx::read_file(&folder.join("model.onnx")) {
        Ok(model) => model,
        Err(error) => return Outcome::Refused(format!("not read: {}", error.message())),
    };
    let data = folder.join("test_data_set_0");
    let (Some(inputs), Some(wanted)) = (tensors(&data, "input"), tensors(&data, "output")) else {
        return Outcome::Refused("data that is no tensor of a numeric type".to_string());
    };
    let program = match runtime.load(model.graph, &LoadOptions::default()) {
        Ok(program) => program,
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            return Outcome::Refused(error.message().to_string());
        }
        Err(error) => return Outcome::Failed(format!("load: {error}")),
    };
    let mut named = vec![];
    for (i, (name, array)) in inputs.into_iter().enumerate() {
        let port = program.inputs().iter().find(|p| p.name == name).or(program.inputs().get(i));
        let Some(port) = port else { return Outcome::Failed(format!("no input for \"{name}\"")) };
        match declared(array, port.dtype).to_tensor() {
            Ok(tensor) => named.push((port.name.clone(), tensor)),
            Err(error) => return Outcome::Refused(error.to_string()),
        }
    }
    let borrowed: Vec<(&str, &Tensor)> = named.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let found = match program.run_all(&borrowed) {
        Ok(found) => found,
        // Empty, infinite and over-long integer inputs are refused by contract.
        Err(error) if error.kind() == ErrorKind::Input => {
            return Outcome::Refused(error.message().to_string());
        }
        Err(error) => return Outcome::Failed(format!("run: {error}")),
    };
    if wanted.len() != found.len() {
        return Outcome::Failed(format!("{} outputs instead of {}", found.len(), wanted.len()));
    }
    for (found, (_, wanted)) in found.iter().zip(wanted) {
        if let Some(difference) = differs(found, &declared(wanted, found.dtype())) {
            return Outcome::Failed(difference);
        }
    }
    Outcome::Passed
}

#[test]
fn node_tests_pass_or_are_refused() {
    let Some(folders) = folders() else { return };
    for runtime in runtimes::all() {
        let (accepted, least) = match runtime.name() {
            "rten" => (ACCEPTED, 750),
            _ => (ACCEPTED_OF_ONNXRUNTIME, 1000),
        };
        check(runtime.as_ref(), &folders, accepted, least);
    }
}

/// Runs all tests; those that fail must be `accepted`, and at least `least` must pass.
fn check(runtime: &dyn Runtime, folders: &[PathBuf], accepted: &[(&str, &str)], least: usize) {
    let mut passed = 0;
    let mut refused: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut failures = vec![];
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().to_string();
        match run_test(runtime, folder) {
            Outcome::Passed => passed += 1,
            Outcome::Refused(reason) => refused.entry(reason).or_default().push(name),
            Outcome::Failed(_) if accepted.iter().any(|(accepted, _)| *accepted == name) => {}
            Outcome::Failed(message) => failures.push(format!("{name}: {message}")),
        }
    }
    let title = runtime.name();
    for (reason, names) in &refused {
        println!(
            "{title} refuses {}: {reason} ({})",
            names.len(),
            names.iter().take(3).cloned().collect::<Vec<_>>().join(", ")
        );
    }
    println!("{title}: {passed} passed, {} refused", refused.values().map(Vec::len).sum::<usize>());
    assert!(failures.is_empty(), "{title}: {} fail:\n{}", failures.len(), failures.join("\n"));
    assert!(passed > least, "{title}: only {passed} tests passed");
}
