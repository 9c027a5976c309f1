//! Explanations of recorded networks on rten, in f32, against the same graph on the reference evaluator, in f64. What this
//! would catch: an appended node that the runtime computes otherwise or cannot run, a share that f32 cannot hold.

#[allow(dead_code)]
#[path = "../../exegesis-attribute/tests/common/npz.rs"]
mod npz;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use exegesis::{Model, Target, Task, Tensor, WhiteBox};
use exegesis_attribute::{Request, explain};
use exegesis_reference::Array;
use exegesis_runtime::{LoadOptions, RtenRuntime, Runtime};

/// Modes, and the largest difference of the largest value. Where terms of one sign outweigh those of the other, contrastive
/// shares amplify the rounding of their difference; recurrent layers do it at every step.
const DEFAULT: (&str, f64) = ("default", 1e-4);
const CONTRASTIVE: (&str, f64) = ("contrastive", 1e-3);

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Largest difference of any attribution, relative to its largest value.
fn difference(model: &Path, recorded: &BTreeMap<String, Array>, mode: &str) -> Result<f64, String> {
    let name = model.parent().and_then(Path::file_name).unwrap().to_string_lossy();
    let method = WhiteBox::parse(&format!("dlbacktrace:mode={mode}")).unwrap();
    let mut request = Request::new(method);
    let mut feeds: Vec<(String, Array)> = recorded
        .iter()
        .filter_map(|(key, array)| Some((key.strip_prefix("input/")?.to_string(), array.clone())))
        .collect();
    if let Some(target) = recorded.get("target").filter(|_| name != "hf_t5") {
        request.target = Target::Input;
        feeds.push(("target".to_string(), target.clone()));
    }
    if name == "box_regressor" {
        request.task = Some(Task::BoundingBox);
    }
    let graph = Model::open(model).map_err(|e| e.to_string())?.graph().clone();
    let explained = explain(graph, &request, &mut |_, _| ()).map_err(|e| e.to_string())?;
    let own: Vec<(&str, Array)> = feeds.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
    let exact = exegesis_reference::run(&explained.graph, &own).map_err(|e| e.to_string())?;
    let program = RtenRuntime.load(explained.graph, &LoadOptions::default()).map_err(|e| e.to_string())?;
    let tensors: Vec<(&str, Tensor)> = feeds
        .iter()
        .filter(|(name, _)| program.inputs().iter().any(|port| port.name == *name))
        .map(|(name, array)| (name.as_str(), array.to_tensor().unwrap()))
        .collect();
    let borrowed: Vec<(&str, &Tensor)> = tensors.iter().map(|(n, t)| (*n, t)).collect();
    let outputs = program.run_all(&borrowed).map_err(|e| e.to_string())?;
    let mut worst = 0.0f64;
    for attribution in &explained.attributions {
        for name in attribution.channels.as_ref().map_or(vec![&attribution.output], |c| c.iter().collect()) {
            let place = program.outputs().iter().position(|port| port.name == *name).unwrap();
            let (got, want) = (&outputs[place], &exact[name]);
            if got.shape() != want.shape {
                return Err(format!("{name} is {:?}, not {:?}", got.shape(), want.shape));
            }
            let largest = want.data.iter().fold(0.0f64, |m, x| m.max(x.abs()));
            for (g, w) in got.to_f64().unwrap().iter().zip(&want.data) {
                if !g.is_finite() {
                    return Err(format!("{name} holds {g}"));
                }
                worst = worst.max((g - w).abs() / largest);
            }
        }
    }
    Ok(worst)
}

fn check((mode, tolerance): (&str, f64)) {
    let mut failures = vec![];
    let mut count = 0;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
    for folder in ["torch", "keras"].iter().flat_map(|f| sorted(&root.join(f))) {
        let case = folder.join("case.npz");
        if !case.exists() {
            continue;
        }
        let recorded = npz::read(&case);
        for model in sorted(&folder).into_iter().filter(|p| p.extension().is_some_and(|e| e == "onnx")) {
            count += 1;
            let file = model.strip_prefix(&root).unwrap().display().to_string();
            match difference(&model, &recorded, mode) {
                Ok(difference) if difference <= tolerance => {}
                Ok(difference) => failures.push(format!("{file}: differs by {difference:e}")),
                Err(message) => failures.push(format!("{file}: {message}")),
            }
        }
    }
    assert!(count > 60, "the recorded networks are missing");
    assert!(failures.is_empty(), "{} of {count} fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn default_mode() {
    check(DEFAULT);
}

#[test]
fn contrastive_mode() {
    check(CONTRASTIVE);
}
