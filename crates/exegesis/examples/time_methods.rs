//! Times a model's forward pass and its explanations on the embedded runtime, and prints JSON.
//!
//! `cargo run --release -p exegesis --example time_methods -- MODEL.onnx [--batch 1,8] [--length 128] [--repeats 7]`
//!
//! `benches/side_by_side.py` runs it beside PyTorch.

use std::path::Path;
use std::time::Instant;

use exegesis::{Method, Request, Tensor};
use exegesis_graph::{DType, Dim, Graph, onnx, passes};
use exegesis_runtime::{LoadOptions, Prepack, Program, RtenRuntime, Runtime};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let model = arguments.first().ok_or("give the path of an ONNX model")?;
    let option = |name: &str, default: &str| {
        let position = arguments.iter().position(|a| a == name);
        position.and_then(|p| arguments.get(p + 1)).cloned().unwrap_or_else(|| default.to_string())
    };
    let batches: Vec<usize> =
        option("--batch", "1,8").split(',').map(str::parse).collect::<Result<_, _>>()?;
    let length: usize = option("--length", "128").parse()?;
    let repeats: usize = option("--repeats", "7").parse()?;
    let prepack = if option("--prepack", "no") == "yes" { Prepack::Always } else { Prepack::Never };
    let mut graph = onnx::read_file(Path::new(model))?.graph;
    passes::prepare(&mut graph, &RtenRuntime, &mut |_, _| {})?;
    for batch in batches {
        let fixed = fix_lengths(&graph, length)?;
        let inputs = random_inputs(&fixed, batch)?;
        let forward = time(fixed.clone(), &inputs, repeats, prepack)?;
        let mut line = format!("{{\"model\": {model:?}, \"batch\": {batch}, \"forward_ms\": {forward:.2}");
        for method in ["gradient", "dlbacktrace"] {
            let mut request = Request::new(Method::parse(method)?);
            request.diagnostics = false;
            let start = Instant::now();
            let explained = exegesis_attribute::explain(fixed.clone(), &request, &mut |_, _| {})?;
            let compile = start.elapsed().as_secs_f64() * 1e3;
            let nodes = explained.graph.node_count();
            let ms = time(explained.graph, &inputs, repeats, prepack)?;
            line += &format!(
                ", \"{method}_ms\": {ms:.2}, \"{method}_ratio\": {:.2}, \"{method}_nodes\": {nodes}, \
                 \"{method}_compile_ms\": {compile:.1}",
                ms / forward
            );
        }
        println!("{line}}}");
    }
    Ok(())
}

/// Every symbolic dimension but the first axis's gets `length`.
fn fix_lengths(graph: &Graph, length: usize) -> Result<Graph, Failure> {
    let mut graph = graph.clone();
    for input in graph.inputs.clone() {
        let mut shape = graph.value(input).shape.clone().ok_or("an input of unknown rank")?;
        for dim in shape.iter_mut().skip(1) {
            if dim.fixed().is_none() {
                *dim = Dim::Fixed(length);
            }
        }
        graph.value_mut(input).shape = Some(shape);
    }
    passes::prepare(&mut graph, &RtenRuntime, &mut |_, _| {})?;
    Ok(graph)
}

fn random_inputs(graph: &Graph, batch: usize) -> Result<Vec<(String, Tensor)>, Failure> {
    let mut state = 1u64;
    let mut next = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    let mut inputs = vec![];
    for input in &graph.inputs {
        let value = graph.value(*input);
        let shape: Vec<usize> = value.shape.iter().flatten().map(|d| d.fixed().unwrap_or(batch)).collect();
        let count: usize = shape.iter().product();
        let dtype = value.dtype.unwrap_or(DType::F32);
        let values: Vec<f64> = (0..count)
            .map(|_| match dtype {
                DType::F32 => next() * 2.0 - 1.0,
                _ if value.name.contains("mask") => 1.0,
                _ => (next() * 1000.0).floor(),
            })
            .collect();
        inputs.push((value.name.clone(), Tensor::from_f64(dtype, shape, values)?));
    }
    Ok(inputs)
}

/// Median milliseconds of a run, after warming up.
fn time(graph: Graph, inputs: &[(String, Tensor)], repeats: usize, prepack: Prepack) -> Result<f64, Failure> {
    let options = LoadOptions { prepack, ..LoadOptions::default() };
    let program: Program = RtenRuntime.load(graph, &options)?;
    let feeds: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let mut times = vec![];
    for i in 0..repeats + 2 {
        let start = Instant::now();
        program.run_all(&feeds)?;
        if i >= 2 {
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
