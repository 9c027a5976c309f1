//! Runs the node tests of ONNX: one small model per operator and setting, with inputs and the outputs to expect. They catch
//! an operator that is read or computed differently from its definition.

mod node_tests;

use std::collections::BTreeMap;
use std::path::Path;

use exegesis_graph::{DType, Graph, Op, onnx};
use exegesis_reference::{Array, Options, run_with};
use node_tests::{folders, tensors};

/// Tests that must fail, and why.
const EXPECTED_FAILURES: &[(&str, &str)] = &[(
    "test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True",
    "the file divides by cells beyond the padding; later releases of ONNX, ONNX Runtime and PyTorch do not",
)];

/// Tests that must fail as well when floats are not rounded.
const EXPECTED_FAILURES_IN_F64: &[(&str, &str)] =
    &[("test_dynamicquantizelinear_expanded", "a quotient is halfway between two integers only in float32")];

/// Tests whose outputs were written with four digits.
const SHORT_LITERALS: &[&str] =
    &["test_gridsample_bicubic", "test_roialign_aligned_false", "test_roialign_aligned_true"];

enum Outcome {
    Passed,
    /// Not about this crate: the model is not read, or holds what the IR does not interpret.
    Skipped(String),
    Failed(String),
}

fn opaque(graph: &Graph) -> Option<String> {
    graph.nodes().find_map(|(_, node)| match &node.op {
        Op::Opaque(op) => Some(format!("opaque {}: {}", op.op_type, op.reason)),
        op => op.subgraphs().iter().find_map(|s| opaque(&s.graph)),
    })
}

/// Relative tolerance of a type: the recorded outputs were computed in it.
fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F32 | DType::F64 => 1e-4,
        DType::F16 => 2e-3,
        DType::BF16 => 1e-2,
        _ => 0.0,
    }
}

fn compare(name: &str, got: &Array, wanted: &Array, looser: f64) -> Result<(), String> {
    if (got.dtype, &got.shape) != (wanted.dtype, &wanted.shape) {
        let (a, b) =
            (format!("{} {:?}", got.dtype, got.shape), format!("{} {:?}", wanted.dtype, wanted.shape));
        return Err(format!("{name} is {a} instead of {b}"));
    }
    // As stored: a float16 output that overflows is infinite.
    let stored =
        got.to_tensor().ok().and_then(|t| t.to_f64()).ok_or(format!("{name} does not fit its type"))?;
    let close = |a: f64, b: f64| {
        let allowed = looser * tolerance(wanted.dtype);
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= allowed * b.abs() + 0.1 * allowed
    };
    match (0..stored.len()).find(|i| !close(stored[*i], wanted.data[*i])) {
        Some(i) => Err(format!("{name}[{i}] is {} instead of {}", stored[i], wanted.data[i])),
        None => Ok(()),
    }
}

/// The array as the graph declares it: the files hold bfloat16 as the bits in uint16.
fn declared(array: Array, dtype: Option<DType>) -> Array {
    if (array.dtype, dtype) != (DType::U16, Some(DType::BF16)) {
        return array;
    }
    let data = array.data.iter().map(|bits| half::bf16::from_bits(*bits as u16).to_f64()).collect();
    Array { dtype: DType::BF16, data, ..array }
}

fn run_test(folder: &Path, options: Options) -> Outcome {
    let model = match onnx::read_file(&folder.join("model.onnx")) {
        Ok(model) => model,
        Err(error) => return Outcome::Skipped(format!("not read: {}", error.message())),
    };
    let graph = model.graph;
    if let Some(reason) = opaque(&graph) {
        return Outcome::Skipped(reason);
    }
    let data = folder.join("test_data_set_0");
    let (Some(inputs), Some(wanted)) = (tensors(&data, "input"), tensors(&data, "output")) else {
        return Outcome::Skipped("data that is no tensor of a numeric type".to_string());
    };
    let mut named = vec![];
    for (i, (name, array)) in inputs.into_iter().enumerate() {
        let by_name = graph.inputs.iter().find(|id| graph.value(**id).name == name);
        let Some(id) = by_name.or(graph.inputs.get(i)) else {
            return Outcome::Failed(format!("the graph has no input for \"{name}\""));
        };
        let value = graph.value(*id);
        named.push((value.name.clone(), declared(array, value.dtype)));
    }
    let borrowed: Vec<(&str, Array)> = named.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
    let got = match run_with(&graph, &borrowed, options) {
        Ok(got) => got,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    if wanted.len() != graph.outputs.len() {
        return Outcome::Failed(format!("{} outputs instead of {}", graph.outputs.len(), wanted.len()));
    }
    let test = folder.file_name().unwrap_or_default().to_string_lossy();
    let looser = if SHORT_LITERALS.contains(&test.as_ref()) { 10.0 } else { 1.0 };
    for (id, (_, wanted)) in graph.outputs.iter().zip(wanted) {
        let name = &graph.value(*id).name;
        let got = &got[name];
        if let Err(message) = compare(name, got, &declared(wanted, Some(got.dtype)), looser) {
            return Outcome::Failed(message);
        }
    }
    Outcome::Passed
}

#[test]
fn node_tests_in_f64() {
    let mut expected = EXPECTED_FAILURES.to_vec();
    expected.extend(EXPECTED_FAILURES_IN_F64);
    check(Options::default(), &expected);
}

#[test]
fn node_tests_rounded_as_stored() {
    check(Options { round_f32: true }, EXPECTED_FAILURES);
}

fn check(options: Options, expected: &[(&str, &str)]) {
    let Some(folders) = folders() else { return };
    let (mut passed, mut failed, mut skipped) = (0, BTreeMap::new(), BTreeMap::<String, Vec<String>>::new());
    for folder in &folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match run_test(folder, options) {
            Outcome::Passed => passed += 1,
            Outcome::Skipped(reason) => skipped.entry(reason).or_default().push(name),
            Outcome::Failed(message) => {
                failed.insert(name, message);
            }
        }
    }
    for (reason, names) in &skipped {
        println!("skipped {:4}  {reason} (such as {})", names.len(), names[0]);
    }
    for (name, message) in &failed {
        println!("failed        {name}: {message}");
    }
    let skips: usize = skipped.values().map(Vec::len).sum();
    println!("{} node tests: {passed} pass, {skips} skipped, {} fail", folders.len(), failed.len());
    // A folder that is empty or no longer read must not pass as success.
    assert!(passed >= 900, "only {passed} node tests pass, there were 950");
    let got: Vec<&str> = failed.keys().map(String::as_str).collect();
    let mut wanted: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
    wanted.sort_unstable();
    assert_eq!(got, wanted, "the failures are not those that are expected");
}
