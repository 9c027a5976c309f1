//! Recorded networks: outputs of PyTorch and Keras, which every exported file must give; and every real model of the
//! fixtures must load and run.

#[allow(dead_code)]
#[path = "../../exegesis-attribute/tests/common/npz.rs"]
mod npz;
mod runtimes;

use std::path::{Path, PathBuf};

use exegesis_graph::{Tensor, onnx};
use exegesis_runtime::{LoadOptions, Port, Runtime};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(of).unwrap_or_else(|e| panic!("{}: {e}", of.display()));
    let mut folders: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    folders.sort();
    folders
}

fn models(of: &Path) -> Vec<PathBuf> {
    folders(of).into_iter().filter(|p| p.extension().is_some_and(|e| e == "onnx")).collect()
}

/// Runs the model on the recorded inputs; the largest difference relative to the largest output.
fn difference(runtime: &dyn Runtime, model: &Path, case: &Path) -> Result<f64, String> {
    let arrays = npz::read(case);
    let read = onnx::read_file(model).map_err(|e| e.to_string())?;
    let program = runtime.load(read.graph, &LoadOptions::default()).map_err(|e| e.to_string())?;
    let inputs: Vec<(String, Tensor)> = program
        .inputs()
        .iter()
        .map(|port| {
            let array =
                arrays.get(&format!("input/{}", port.name)).ok_or(format!("no input {}", port.name))?;
            Ok((port.name.clone(), array.to_tensor().map_err(|e| e.to_string())?))
        })
        .collect::<Result<_, String>>()?;
    let borrowed: Vec<(&str, &Tensor)> = inputs.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let found = program.run_all(&borrowed).map_err(|e| e.to_string())?;
    let mut worst = 0.0f64;
    for (port, tensor) in program.outputs().iter().zip(found) {
        let wanted =
            arrays.get(&format!("output/{}", port.name)).ok_or(format!("no output {}", port.name))?;
        if tensor.shape() != wanted.shape {
            return Err(format!("output {} is {:?}, not {:?}", port.name, tensor.shape(), wanted.shape));
        }
        let values = tensor.to_f64().ok_or("strings")?;
        let scale = wanted.data.iter().fold(1.0f64, |m, x| m.max(x.abs()));
        worst = values.iter().zip(&wanted.data).fold(worst, |m, (x, y)| m.max((x - y).abs() / scale));
    }
    Ok(worst)
}

#[test]
fn networks_give_the_outputs_of_pytorch_and_keras() {
    let runtimes = runtimes::all();
    let mut failures = vec![];
    let mut count = 0;
    for framework in ["torch", "keras"] {
        for folder in folders(&repository().join("testdata").join(framework)) {
            let case = folder.join("case.npz");
            if !case.exists() {
                continue;
            }
            for model in models(&folder) {
                count += 1;
                for runtime in &runtimes {
                    let what = format!("{}, {}", runtime.name(), model.display());
                    match difference(runtime.as_ref(), &model, &case) {
                        Ok(difference) if difference <= 1e-4 => {}
                        Ok(difference) => failures.push(format!("{what}: differs by {difference:e}")),
                        Err(message) => failures.push(format!("{what}: {message}")),
                    }
                }
            }
        }
    }
    assert!(count > 20, "the recorded networks are missing");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Something that a port accepts: batch 1, images of 64 x 192, 32 of anything else.
fn any(port: &Port) -> Tensor {
    let rank = port.shape.as_ref().map_or(0, Vec::len);
    let size = |axis: usize| match (rank, axis) {
        _ if port.name == "state" => 1,
        (_, 0) => 1,
        (4, 2) => 64,
        (4, 3) => 192,
        _ if port.name == "input" => 512,
        _ => 32,
    };
    let dims = port.shape.iter().flatten().enumerate();
    let shape: Vec<usize> = dims.map(|(axis, dim)| dim.fixed().unwrap_or_else(|| size(axis))).collect();
    let count = shape.iter().product();
    let value = |i: usize| match port.dtype {
        dtype if dtype.is_float() => ((i * 37) % 101) as f64 / 101.0,
        // The sampling rate of the audio models.
        _ if port.name == "sr" => 16_000.0,
        _ => 1.0,
    };
    Tensor::from_f64(port.dtype, shape, (0..count).map(value).collect()).unwrap()
}

#[test]
fn real_models_load_and_run() {
    let cache = repository().join("fixtures/cache");
    if !cache.exists() {
        assert!(
            std::env::var_os("EXEGESIS_SKIP_FIXTURES").is_some(),
            "fixtures/cache is missing: run `fixtures/fetch`, or set EXEGESIS_SKIP_FIXTURES to go without"
        );
        println!("skipped: there is no fixtures/cache");
        return;
    }
    let runtimes = runtimes::all();
    let mut failures = vec![];
    for model in models(&cache) {
        let mut found: Vec<Vec<Tensor>> = vec![];
        for runtime in &runtimes {
            match outputs(runtime.as_ref(), &model) {
                Ok(outputs) => found.push(outputs),
                Err(message) => failures.push(format!("{}, {}: {message}", runtime.name(), model.display())),
            }
        }
        println!("{}: runs on {} runtimes", model.display(), found.len());
        if let [first, others @ ..] = found.as_slice() {
            for other in others {
                let worst = first.iter().zip(other).map(|(a, b)| apart(a, b)).fold(0.0, f64::max);
                if worst > 1e-4 {
                    failures.push(format!("{}: the runtimes differ by {worst:e}", model.display()));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What the model gives for something that it accepts.
fn outputs(runtime: &dyn Runtime, model: &Path) -> Result<Vec<Tensor>, String> {
    let read = onnx::read_file(model).map_err(|e| e.to_string())?;
    let program = runtime.load(read.graph, &LoadOptions::default()).map_err(|e| e.to_string())?;
    let inputs: Vec<(String, Tensor)> =
        program.inputs().iter().filter(|p| !p.optional).map(|p| (p.name.clone(), any(p))).collect();
    let borrowed: Vec<(&str, &Tensor)> = inputs.iter().map(|(n, t)| (n.as_str(), t)).collect();
    program.run_all(&borrowed).map_err(|e| format!("{e}; inputs {:?}", program.inputs()))
}

/// The largest difference, relative to the largest value; infinite for other shapes.
fn apart(a: &Tensor, b: &Tensor) -> f64 {
    let (Some(x), Some(y), true) = (a.to_f64(), b.to_f64(), a.shape() == b.shape()) else {
        return f64::INFINITY;
    };
    let scale = x.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    x.iter().zip(&y).fold(0.0f64, |m, (x, y)| m.max((x - y).abs() / scale))
}
