//! What the planner states against what the system measures, each case in a process of its own. Catches a planner that
//! leaves out values, copies of weights, or memory that the engine keeps after it freed it.
//!
//! An estimate may be off by a tenth of the measured peak or by [`PROGRAM`], whichever is more: below 240 MB what the
//! program and its allocator keep for themselves outweighs a tenth, and it varies from run to run. Linux only: the sizes come from `/proc/self`.
#![cfg(target_os = "linux")]

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;

use exegesis::{DType, Inputs, Method, Model, Tensor};
use exegesis_graph::{Graph, op};

/// Bytes that the program itself may take more or less than the planner allows for it, freed memory that the allocator
/// holds back included (18 MB more were measured once with MiniLM, 172 MB in all).
const PROGRAM: f64 = 24e6;

/// Says to the child which model, method and rows to measure.
const CASE: &str = "EXEGESIS_MEMORY_CASE";

/// `count` layers of 32 channels over 160 x 160 positions: 3.3 MB per value and row, almost no weights.
fn convolutions(count: usize) -> Graph {
    let mut graph = Graph::new("convolutions");
    let shape = ["batch".into(), 32.into(), 160.into(), 160.into()].into_iter().collect();
    let mut value = graph.add_input("x", DType::F32, shape);
    for layer in 0..count {
        let weights = (0..32 * 32 * 9).map(|i| ((i * 7 + layer) as f32).sin() * 0.05).collect::<Vec<f32>>();
        let weight = graph.add_constant(&format!("w{layer}"), Tensor::new([32, 32, 3, 3], weights).unwrap());
        let convolution = op::Conv { pads: vec![1; 4], ..Default::default() };
        value = graph.add_op(&format!("convolution{layer}"), convolution, &[value, weight]);
        value = graph.add_op(&format!("relu{layer}"), op::Unary::Relu, &[value]);
    }
    let pooled = graph.add_op("pooled", op::GlobalAveragePool {}, &[value]);
    let scores = graph.add_op("scores", op::Flatten { axis: 1 }, &[pooled]);
    graph.outputs = vec![scores];
    graph
}

fn cached(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/cache").join(name);
    let skip = std::env::var_os("EXEGESIS_SKIP_FIXTURES").is_some_and(|v| v == "1");
    assert!(path.exists() || skip, "run `fixtures/fetch`, or set EXEGESIS_SKIP_FIXTURES=1");
    path.exists().then_some(path)
}

/// The peak in a child process and what the planner stated there.
fn measured(model: &str, method: &str, rows: usize) -> (f64, f64) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(CASE, format!("{method} {rows} {model}"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{model}: {text}{}", String::from_utf8_lossy(&output.stderr));
    let line = text.lines().find_map(|line| line.split("measured and planned: ").nth(1)).unwrap();
    let numbers: Vec<f64> = line.split_whitespace().map(|n| n.parse().unwrap()).collect();
    (numbers[0], numbers[1])
}

fn check(model: &str, method: &str, rows: usize) {
    let (measured, planned) = measured(model, method, rows);
    let shown =
        format!("{model} {method}, {rows} row(s): {measured:.0} bytes measured, {planned:.0} planned");
    println!("{shown}, {:+.1} %", (planned / measured - 1.0) * 100.0);
    assert!((planned - measured).abs() <= (0.1 * measured).max(PROGRAM), "{shown}");
}

#[test]
fn many_values_and_hardly_any_weights() {
    for (method, rows) in [("gradient", 1), ("dlbacktrace", 1), ("gradient", 8)] {
        check("convolutions", method, rows);
    }
}

#[test]
fn the_builtin_model_takes_what_the_program_takes() {
    check("builtin", "dlbacktrace", 1);
}

#[test]
fn depthwise_convolutions_and_folded_normalisation() {
    let Some(path) = cached("efficientnet-lite0.onnx") else { return };
    for (method, rows) in [("gradient", 1), ("dlbacktrace", 1), ("gradient", 8)] {
        check(&path.display().to_string(), method, rows);
    }
}

#[test]
fn tokens() {
    let Some(path) = cached("minilm-l3.onnx") else { return };
    check(&path.display().to_string(), "gradient", 8);
}

/// Not a test by itself: what the others start.
#[test]
#[ignore = "started by the other tests"]
fn child() {
    let Ok(case) = std::env::var(CASE) else { return };
    let [method, rows, name] = case.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{case}") };
    let model = match name {
        "builtin" => Model::builtin().unwrap(),
        "convolutions" => {
            Model::from_bytes(&exegesis_graph::onnx::write_bytes(&convolutions(12)).unwrap()).unwrap()
        }
        path => Model::open(path).unwrap(),
    };
    let inputs = inputs(&model, rows.parse().unwrap());
    let output = model.outputs().iter().rfind(|port| port.dtype.is_float()).unwrap().name.clone();
    let explainer = model
        .explainer(Method::parse(method).unwrap())
        .runtime("rten")
        .output(output)
        // The estimate counts lanes, so that their number is fixed here.
        .threads(NonZeroUsize::new(2).unwrap())
        .build()
        .unwrap();
    let plan = explainer.plan(&inputs).unwrap();
    assert!(plan.is_complete);
    // The peak of the load is not what the plan is about.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    explainer.explain(&inputs).unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let peak: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    println!("measured and planned: {} {}", peak * 1024, plan.peak_bytes);
}

fn inputs(model: &Model, rows: usize) -> Inputs {
    let mut inputs = Inputs::new();
    for port in model.inputs() {
        let dims = port.shape.as_ref().unwrap().iter().enumerate();
        let open = |axis: usize| if axis == 0 { rows } else { 128 };
        let shape: Vec<usize> = dims.map(|(axis, dim)| dim.fixed().unwrap_or(open(axis))).collect();
        let values = (0..shape.iter().product::<usize>()).map(|i| match port.dtype {
            DType::F32 => (i as f64 * 0.37).sin(),
            _ if port.name.contains("mask") => 1.0,
            _ => (i * 31 % 1000) as f64,
        });
        inputs = inputs.with(&port.name, Tensor::from_f64(port.dtype, shape, values.collect()).unwrap());
    }
    inputs
}
