//! Measures the memory of a model's forward pass and of its explanations, and prints a table.
//!
//! `cargo run --release -p exegesis --example memory -- MODEL.onnx... [--batch 1,8] [--length 128] [--output NAME]
//! [--runtime rten] [--onnxruntime PATH]`
//!
//! Explanations run as [`exegesis::Explainer`] runs them, in parts where a batch has many rows; the forward pass runs all
//! rows at once. `--output` names the explained output, by default the first that is real-valued.
//!
//! Each figure comes from a process of its own, so that no case sees what another left behind. `load` is the highest
//! resident size until the program is ready, `run` that of running it, `held` what was resident before the run: mostly
//! weights; `planned` is what `--dry-run` states. Linux only: the sizes come from `/proc/self`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use exegesis::{Inputs, Method, Model, Tensor};
use exegesis_graph::{DType, Dim, passes};
use exegesis_runtime::{LoadOptions, Port, RtenRuntime, RuntimeChoice};

type Failure = Box<dyn std::error::Error>;

const CASES: [&str; 4] = ["forward", "gradient", "dlbacktrace", "dlbacktrace:mode=contrastive"];

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let position = arguments.iter().position(|a| a == name);
        position.and_then(|p| arguments.get(p + 1)).cloned()
    };
    let length = option("--length").unwrap_or_else(|| "128".into());
    let batches = option("--batch").unwrap_or_else(|| "1,8".into());
    let models: Vec<&String> = arguments.iter().take_while(|a| !a.starts_with("--")).collect();
    let [first, ..] = models.as_slice() else { return Err("give the path of an ONNX model".into()) };
    let output = option("--output");
    let name = option("--runtime").unwrap_or_else(|| "rten".into());
    let onnxruntime = option("--onnxruntime").map(PathBuf::from);
    let runtime = RuntimeChoice { name, onnxruntime, ..RuntimeChoice::default() };
    if let Some(case) = option("--case") {
        return measure((Path::new(first), &runtime), &case, batches.parse()?, length.parse()?, output);
    }
    println!(
        "| model | batch | case | load MB | held MB | run MB | of forward | above held | of forward | planned MB | off |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for model in models {
        for batch in batches.split(',') {
            let mut forward = None;
            for case in CASES {
                let child = Command::new(std::env::current_exe()?)
                    .args([model, "--case", case, "--batch", batch, "--length", &length])
                    .args(output.iter().flat_map(|name| ["--output", name]))
                    .args(["--runtime", &runtime.name])
                    .args(
                        runtime
                            .onnxruntime
                            .iter()
                            .flat_map(|path| [OsStr::new("--onnxruntime"), path.as_os_str()]),
                    )
                    .output()?;
                if !child.status.success() {
                    return Err(String::from_utf8_lossy(&child.stderr).into_owned().into());
                }
                let numbers: Vec<f64> = String::from_utf8(child.stdout)?
                    .split_whitespace()
                    .map(str::parse)
                    .collect::<Result<_, _>>()?;
                let [load, held, run, planned] = numbers[..] else {
                    return Err("a child said too little".into());
                };
                let (base_run, base_above) = *forward.get_or_insert((run, run - held));
                let name = Path::new(model).file_stem().unwrap_or_default().to_string_lossy();
                println!(
                    "| {name} | {batch} | {case} | {load:.0} | {held:.0} | {run:.0} | {:.2} | {:.0} | {:.2} | {planned:.0} | {:+.0} % |",
                    run / base_run,
                    run - held,
                    (run - held) / base_above,
                    (planned / run - 1.0) * 100.0
                );
            }
        }
    }
    Ok(())
}

/// Loads and runs one case; prints megabytes: the peak until the program was ready, what was resident then, the peak of
/// the run, and what the planner says.
fn measure(
    (path, runtime): (&Path, &RuntimeChoice),
    case: &str,
    batch: usize,
    length: usize,
    output: Option<String>,
) -> Result<(), Failure> {
    let model = Model::open(path)?;
    let real = || model.outputs().iter().find(|port| port.dtype.is_float()).map(|port| port.name.clone());
    let output = output.or_else(real).ok_or("a model without real-valued outputs")?;
    let builder = |method: Method| {
        let builder = model.explainer(method).output(&output).runtime(&runtime.name);
        match &runtime.onnxruntime {
            Some(path) => builder.onnxruntime(path).build(),
            None => builder.build(),
        }
    };
    let inputs = random_inputs(model.inputs(), batch, length)?;
    let (before, planned, peak) = if case == "forward" {
        let mut graph = model.graph().clone();
        for input in graph.inputs.clone() {
            let name = graph.value(input).name.clone();
            let shape = inputs.get(&name).ok_or("an input that is not fed")?.tensor.shape();
            graph.value_mut(input).shape = Some(shape.iter().map(|d| Dim::Fixed(*d)).collect());
        }
        passes::prepare(&mut graph, &RtenRuntime, &mut |_, _| {})?;
        let program = runtime.open()?.load(graph, &LoadOptions::default())?;
        let before = settled()?;
        let feeds: Vec<(&str, &Tensor)> =
            inputs.entries().iter().map(|input| (input.name.as_str(), &input.tensor)).collect();
        program.run_all(&feeds)?;
        let peak = status("VmHWM:")?;
        let planned = builder(Method::gradient())?.plan(&inputs)?.forward_bytes;
        (before, planned.unwrap_or(0), peak)
    } else {
        let explainer = builder(Method::parse(case)?)?;
        let plan = explainer.plan(&inputs)?;
        let before = settled()?;
        explainer.explain(&inputs)?;
        (before, plan.peak_bytes, status("VmHWM:")?)
    };
    println!("{} {} {peak} {}", before.0, before.1, planned as f64 / 1e6);
    Ok(())
}

/// The peak so far and what is resident now; the peak starts anew.
fn settled() -> Result<(f64, f64), Failure> {
    let peak = status("VmHWM:")?;
    let held = status("VmRSS:")?;
    std::fs::write("/proc/self/clear_refs", "5")?;
    Ok((peak, held))
}

/// A field of the process status in megabytes.
fn status(field: &str) -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(field)).ok_or("a system without VmHWM")?;
    let kib: f64 = line.split_whitespace().nth(1).ok_or("an empty field")?.parse()?;
    Ok(kib * 1024.0 / 1e6)
}

fn random_inputs(ports: &[Port], batch: usize, length: usize) -> Result<Inputs, Failure> {
    let mut state = 1u64;
    let mut next = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    let mut inputs = Inputs::new();
    for port in ports.iter().filter(|port| !port.optional) {
        let dims = port.shape.as_ref().ok_or("an input of unknown rank")?.iter().enumerate();
        let open = |axis: usize| if axis == 0 { batch } else { length };
        let shape: Vec<usize> = dims.map(|(axis, dim)| dim.fixed().unwrap_or(open(axis))).collect();
        let count: usize = shape.iter().product();
        let values = (0..count).map(|_| match port.dtype {
            DType::F32 => next() * 2.0 - 1.0,
            _ if port.name.contains("mask") => 1.0,
            _ if port.name.contains("type") => 0.0,
            _ => (next() * 1000.0).floor(),
        });
        inputs = inputs.with(&port.name, Tensor::from_f64(port.dtype, shape, values.collect())?);
    }
    Ok(inputs)
}
