//! Times a model: `time MODEL.onnx [--batch 1,8] [--threads N] [--runs N] [--dim NAME=SIZE]`.
//!
//! Prints load time, median, least and processor milliseconds per run for each batch with and without packed weights, and
//! the peak memory of the process. `--plain` also times the file as rten itself loads it. With `RTEN_TIMING=1` in the environment rten adds a table of operators to each run. Inputs are random; a symbolic first axis is the batch, other symbols are 128 unless given.

use std::collections::HashMap;
use std::error::Error;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

use exegesis_graph::{DType, Dim, Tensor, onnx};
use exegesis_runtime::{LoadOptions, Port, Prepack, RtenRuntime, Runtime};

struct Settings {
    batches: Vec<usize>,
    threads: Option<NonZeroUsize>,
    runs: usize,
    plain: bool,
    sizes: HashMap<String, usize>,
    prepack: Vec<Prepack>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().ok_or("usage: time MODEL.onnx [--batch 1,8] [--threads N]")?;
    let mut settings = Settings {
        batches: vec![1, 8],
        threads: None,
        runs: 15,
        plain: false,
        sizes: HashMap::new(),
        prepack: vec![Prepack::Never, Prepack::Always],
    };
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--batch" => settings.batches = value()?.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--plain" => settings.plain = true,
            "--threads" => settings.threads = Some(value()?.parse()?),
            "--runs" => settings.runs = value()?.parse()?,
            "--prepack" => {
                settings.prepack = vec![if value()? == "always" { Prepack::Always } else { Prepack::Never }];
            }
            "--dim" => {
                let text = value()?;
                let (name, size) = text.split_once('=').ok_or("--dim NAME=SIZE")?;
                settings.sizes.insert(name.to_string(), size.parse()?);
            }
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    for prepack in settings.prepack.clone() {
        measure(Path::new(&model), prepack, &settings)?;
    }
    Ok(())
}

fn measure(model: &Path, prepack: Prepack, settings: &Settings) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let read = onnx::read_file(model)?;
    let reading = start.elapsed();
    let start = Instant::now();
    let options = LoadOptions { threads: settings.threads, prepack };
    let program = RtenRuntime.load(read.graph, &options)?;
    println!(
        "{} {prepack:?}: read {} ms, load {} ms, {} MB resident, {} MB at peak",
        model.display(),
        reading.as_millis(),
        start.elapsed().as_millis(),
        memory("VmRSS:"),
        memory("VmHWM:")
    );
    for note in program.notes() {
        println!("  note: {note}");
    }
    for batch in &settings.batches {
        let inputs: Vec<(String, Tensor)> = program
            .inputs()
            .iter()
            .filter(|port| !port.optional)
            .map(|port| Ok((port.name.clone(), random(port, *batch, &settings.sizes)?)))
            .collect::<Result<_, Box<dyn Error>>>()?;
        let borrowed: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, t)| (name.as_str(), t)).collect();
        program.run_all(&borrowed)?;
        let label = format!("batch {batch}");
        report(&label, settings.runs, &mut || program.run_all(&borrowed).map(drop).map_err(Into::into))?;
        if settings.plain {
            plain(model, prepack, &inputs, settings.runs)?;
        }
    }
    Ok(())
}

/// Runs `run` many times and prints what it took.
fn report(
    label: &str,
    runs: usize,
    run: &mut dyn FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let processor = processor_ms();
    let mut times = vec![];
    for _ in 0..runs {
        let start = Instant::now();
        run()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "  {label}: median {:.1} ms, least {:.1} ms, processor {:.1} ms, {} MB at peak",
        times[times.len() / 2],
        times[0],
        (processor_ms() - processor) / runs as f64,
        memory("VmHWM:")
    );
    Ok(())
}

/// The same file and inputs without our reader, lowering and writer.
fn plain(
    model: &Path,
    prepack: Prepack,
    inputs: &[(String, Tensor)],
    runs: usize,
) -> Result<(), Box<dyn Error>> {
    let mut options = rten::ModelOptions::with_all_ops();
    let model = options.prepack_weights(prepack == Prepack::Always).load_file(model)?;
    let mut fed: Vec<(rten::NodeId, rten::Value)> = vec![];
    for (name, tensor) in inputs {
        let value = match tensor.as_f32() {
            Some(data) => rten::Value::from_shape(tensor.shape(), data.to_vec())?,
            None => {
                let ints = tensor.to_i64().ok_or("an input that is neither float32 nor integer")?;
                let ints: Vec<i32> = ints.into_iter().map(i32::try_from).collect::<Result<_, _>>()?;
                rten::Value::from_shape(tensor.shape(), ints)?
            }
        };
        fed.push((model.node_id(name)?, value));
    }
    let mut once = || -> Result<(), Box<dyn Error>> {
        let views = fed.iter().map(|(id, value)| (*id, value.as_view().into())).collect();
        model.run(views, model.output_ids(), None)?;
        Ok(())
    };
    once()?;
    report("rten alone", runs, &mut once)
}

/// A tensor for `port`: normal-ish floats, small token ids, masks of ones.
fn random(port: &Port, batch: usize, sizes: &HashMap<String, usize>) -> Result<Tensor, Box<dyn Error>> {
    let shape: Vec<usize> = port
        .shape
        .as_ref()
        .ok_or("an input of unknown rank")?
        .iter()
        .enumerate()
        .map(|(axis, dim)| match dim {
            Dim::Fixed(n) => *n,
            Dim::Symbol(_) if axis == 0 => batch,
            Dim::Symbol(name) => sizes.get(name.as_ref()).copied().unwrap_or(128),
        })
        .collect();
    let count: usize = shape.iter().product();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let values: Vec<f64> = (0..count)
        .map(|_| match port.dtype {
            dtype if dtype.is_float() => (next() % 20_000) as f64 / 10_000.0 - 1.0,
            DType::Bool => 1.0,
            _ if port.name.contains("mask") => 1.0,
            _ if port.name.contains("type") => 0.0,
            _ => (next() % 1000) as f64,
        })
        .collect();
    Ok(Tensor::from_f64(port.dtype, shape, values)?)
}

/// Processor time that this process has used, over all threads; 0 where the system does not tell. Steadier than the
/// clock on a machine that does other work.
fn processor_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program ends with a bracket and may hold spaces; user and system ticks are fields 14 and 15.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) * 10.0
}

/// A field of the process status in megabytes; 0 where the system has none.
fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1024
}
