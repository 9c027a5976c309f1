//! Times whole explanations, as a user of the library gets them (points in batches, averages included), and prints JSON: per
//! method the median, and what the process holds at its highest point so far.
//!
//! `cargo run --release -p exegesis --example time_explainers -- MODEL.onnx [--method NAME[:key=value,...]]... [--rows 1]
//! [--length 128] [--repeats 3]`; `benches/peers.py` runs it beside other libraries.

use std::time::Instant;

use exegesis::{DType, Inputs, Method, Model, Tensor};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path = arguments.first().ok_or("give the path of an ONNX model")?;
    let option = |name: &str, default: &str| {
        let position = arguments.iter().position(|a| a == name);
        position.and_then(|p| arguments.get(p + 1)).cloned().unwrap_or_else(|| default.to_string())
    };
    let rows: usize = option("--rows", "1").parse()?;
    let length: usize = option("--length", "128").parse()?;
    let repeats: usize = option("--repeats", "3").parse()?;
    let methods = arguments.windows(2).filter(|pair| pair[0] == "--method").map(|pair| pair[1].clone());
    let model = Model::open(path)?;
    let inputs = random_inputs(&model, rows, length)?;
    let mut entries = vec![];
    for text in methods {
        let explainer = model.explainer(Method::parse(&text)?).build()?;
        let start = Instant::now();
        explainer.explain(&inputs)?;
        let first = start.elapsed().as_secs_f64() * 1e3;
        let mut times: Vec<f64> = (0..repeats)
            .map(|_| {
                let start = Instant::now();
                explainer.explain(&inputs).map(|_| start.elapsed().as_secs_f64() * 1e3)
            })
            .collect::<Result<_, _>>()?;
        times.sort_by(f64::total_cmp);
        let ms = times.get(times.len() / 2).copied().unwrap_or(first);
        entries.push(format!(
            "{text:?}: {{\"ms\": {ms:.3}, \"first_ms\": {first:.3}, \"peak_mb\": {:.1}}}",
            peak_mb()
        ));
    }
    println!("{{\"model\": {path:?}, \"rows\": {rows}, \"methods\": {{{}}}}}", entries.join(", "));
    Ok(())
}

/// The most memory that the process has held, where the system tells.
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|n| n.parse::<f64>().ok());
    kilobytes.unwrap_or(f64::NAN) * 1024.0 / 1e6
}

fn random_inputs(model: &Model, rows: usize, length: usize) -> Result<Inputs, Failure> {
    let mut state = 1u64;
    let mut next = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    let mut inputs = Inputs::new();
    for port in model.inputs() {
        let dims = port.shape.as_ref().ok_or("an input of unknown rank")?;
        let open = |axis: usize| if axis == 0 { rows } else { length };
        let shape: Vec<usize> =
            dims.iter().enumerate().map(|(axis, d)| d.fixed().unwrap_or(open(axis))).collect();
        let values = (0..shape.iter().product())
            .map(|_| match port.dtype {
                DType::F32 => next() * 2.0 - 1.0,
                _ if port.name.contains("mask") => 1.0,
                _ => (next() * 1000.0).floor(),
            })
            .collect();
        inputs = inputs.with(&port.name, Tensor::from_f64(port.dtype, shape, values)?);
    }
    Ok(inputs)
}
