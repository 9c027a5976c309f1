//! Times a model's forward pass and its explanations on a runtime, by default the embedded one, in turns, and prints JSON: medians, and the
//! median ratio of a round.
//!
//! `cargo run --release -p exegesis --example time_methods -- MODEL.onnx [--method NAME[:key=value,...]]... [--batch 1,8]
//! [--length 128] [--repeats 7] [--part 2] [--runtime rten] [--onnxruntime PATH]`; without `--method`: gradient and DLBacktrace.
//!
//! A batch of four or more rows is cut into parts of `--part` rows that threads work on side by side, as the engine does with
//! large rows; the forward pass is timed both ways and the faster counts. `benches/side_by_side.py` runs it beside PyTorch.

use std::path::{Path, PathBuf};
use std::time::Instant;

use exegesis::{Request, Tensor, WhiteBox};
use exegesis_graph::{DType, Dim, Graph, onnx, passes};
use exegesis_runtime::{LoadOptions, Prepack, Program, RtenRuntime, RuntimeChoice, default_threads};

type Failure = Box<dyn std::error::Error>;

/// Loads a graph into the runtime that is timed.
type Load<'a> = dyn Fn(Graph) -> exegesis_runtime::Result<Program> + 'a;

const METHODS: [&str; 2] = ["gradient", "dlbacktrace"];

/// A method ready to run, and what making it took.
struct Explanation {
    method: String,
    nodes: usize,
    compile_ms: f64,
    program: Program,
}

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
    let part: usize = option("--part", "2").parse()?;
    let prepack = if option("--prepack", "no") == "yes" { Prepack::Always } else { Prepack::Never };
    let mut methods: Vec<String> =
        arguments.windows(2).filter(|pair| pair[0] == "--method").map(|pair| pair[1].clone()).collect();
    if methods.is_empty() {
        methods = METHODS.map(String::from).to_vec();
    }
    let onnxruntime = Some(option("--onnxruntime", "")).filter(|path| !path.is_empty()).map(PathBuf::from);
    let choice = RuntimeChoice { name: option("--runtime", "rten"), onnxruntime, ..RuntimeChoice::default() };
    let runtime = choice.open()?;
    let load = |graph: Graph| runtime.load(graph, &LoadOptions { prepack, ..LoadOptions::default() });
    let mut graph = onnx::read_file(Path::new(model))?.graph;
    passes::prepare(&mut graph, &RtenRuntime, &mut |_, _| {})?;
    for batch in batches {
        let fixed = fix_lengths(&graph, length)?;
        let inputs = random_inputs(&fixed, batch)?;
        let forward = load(fixed.clone())?;
        let explanations: Vec<Explanation> =
            methods.iter().map(|method| prepare(&fixed, method, &load)).collect::<Result<_, _>>()?;
        let rounds = time(&forward, &explanations, &inputs, repeats, part.max(1))?;
        let column = |f: &dyn Fn(&[f64]) -> f64| median(rounds.iter().map(|round| f(round)).collect());
        let forward_ms = column(&|round| round[0]);
        let mut line = format!(
            "{{\"model\": {model:?}, \"runtime\": {:?}, \"batch\": {batch}, \"forward_ms\": {forward_ms:.4}, \"methods\": {{",
            runtime.title()
        );
        for (i, Explanation { method, nodes, compile_ms, .. }) in explanations.iter().enumerate() {
            let ms = column(&|round| round[i + 1]);
            let ratio = column(&|round| round[i + 1] / round[0]);
            let comma = if i == 0 { "" } else { ", " };
            line += &format!("{comma}{method:?}: {{\"ms\": {ms:.4}, \"ratio\": {ratio:.2}, ");
            line += &format!("\"nodes\": {nodes}, \"compile_ms\": {compile_ms:.1}}}");
        }
        println!("{line}}}}}");
    }
    Ok(())
}

fn prepare(graph: &Graph, method: &str, load: &Load<'_>) -> Result<Explanation, Failure> {
    let mut request = Request::new(WhiteBox::parse(method)?);
    request.diagnostics = false;
    let start = Instant::now();
    let explained = exegesis_attribute::explain(graph.clone(), &request, &mut |_, _| {})?;
    let compile_ms = start.elapsed().as_secs_f64() * 1e3;
    let nodes = explained.graph.node_count();
    Ok(Explanation { method: method.to_string(), nodes, compile_ms, program: load(explained.graph)? })
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

/// Milliseconds of the forward pass and of each explanation in each round, after two rounds of warming up. All run in each
/// round, so that what else the machine does meets them alike.
fn time(
    forward: &Program,
    explanations: &[Explanation],
    inputs: &[(String, Tensor)],
    repeats: usize,
    part: usize,
) -> Result<Vec<Vec<f64>>, Failure> {
    let whole: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let rows = whole.first().and_then(|(_, tensor)| tensor.shape().first().copied()).unwrap_or(1);
    let cut: Vec<Vec<(&str, Tensor)>> = match rows {
        _ if rows < 4 || part >= rows => vec![],
        _ => (0..rows)
            .step_by(part)
            .map(|start| cut(&whole, start, part.min(rows - start)))
            .collect::<Result<_, _>>()?,
    };
    let parts: Vec<Vec<(&str, &Tensor)>> =
        cut.iter().map(|part| part.iter().map(|(name, tensor)| (*name, tensor)).collect()).collect();
    let timed = |program: &Program, in_parts: bool| -> Result<f64, Failure> {
        let names: Vec<&str> = program.outputs().iter().map(|port| port.name.as_str()).collect();
        let start = Instant::now();
        match in_parts {
            true => drop(program.run_side_by_side(&parts, &names, default_threads())?),
            false => drop(program.run_all(&whole)?),
        }
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    let in_parts = !parts.is_empty();
    let mut rounds = vec![];
    for round in 0..repeats + 2 {
        let mut times = vec![timed(forward, false)?];
        if in_parts {
            times[0] = times[0].min(timed(forward, true)?);
        }
        for explanation in explanations {
            times.push(timed(&explanation.program, in_parts)?);
        }
        if round >= 2 {
            rounds.push(times);
        }
    }
    Ok(rounds)
}

/// Rows `start..start + count` of every input.
fn cut<'a>(
    inputs: &[(&'a str, &Tensor)],
    start: usize,
    count: usize,
) -> Result<Vec<(&'a str, Tensor)>, Failure> {
    let part = inputs.iter().map(|(name, tensor)| {
        let mut shape = tensor.shape().to_vec();
        let row = tensor.len() / shape[0];
        shape[0] = count;
        let values = tensor.to_f64().ok_or("an input that is not numbers")?;
        let values = values[start * row..(start + count) * row].to_vec();
        Ok((*name, Tensor::from_f64(tensor.dtype(), shape, values)?))
    });
    part.collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
