//! Running what `explain` returns, in f64.

use std::collections::BTreeMap;
use std::path::Path;

use exegesis_attribute::{Explained, Request, explain};
use exegesis_graph::{Graph, onnx, passes};
use exegesis_reference::{Array, Reference, run};

use super::npz;

/// A recorded network below `testdata`, and the arrays beside it.
pub fn recorded(name: &str) -> (Graph, BTreeMap<String, Array>) {
    let stem = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(name);
    let mut graph = onnx::read_file(&stem.with_extension("onnx")).unwrap().graph;
    passes::prepare(&mut graph, &Reference, &mut |_, _| ()).unwrap();
    (graph, npz::read(&stem.with_extension("npz")))
}

/// The inputs among recorded arrays.
pub fn inputs(arrays: &BTreeMap<String, Array>) -> Vec<(String, Array)> {
    let named =
        |(key, array): (&String, &Array)| Some((key.strip_prefix("input/")?.to_string(), array.clone()));
    arrays.iter().filter_map(named).collect()
}

/// What an explanation gave.
pub struct Outcome {
    pub explained: Explained,
    pub values: std::collections::HashMap<String, Array>,
}

impl Outcome {
    /// Attribution of the first explained input.
    pub fn attribution(&self) -> &Array {
        &self.values[&self.explained.attributions[0].output]
    }

    /// What is kept of nodes, by name.
    pub fn kept(&self) -> Vec<(&str, &Array)> {
        self.explained.relevance.iter().map(|r| (r.node.as_str(), &self.values[&r.output])).collect()
    }
}

/// Explains and runs.
pub fn explained(graph: &Graph, request: &Request, feeds: &[(String, Array)]) -> Result<Outcome, String> {
    let explained = explain(graph.clone(), request, &mut |_, _| ()).map_err(|e| e.to_string())?;
    let known = |name: &str| explained.graph.inputs.iter().any(|v| explained.graph.value(*v).name == name);
    let feeds: Vec<(&str, Array)> =
        feeds.iter().filter(|(n, _)| known(n)).map(|(n, a)| (n.as_str(), a.clone())).collect();
    let values = run(&explained.graph, &feeds).map_err(|e| e.to_string())?;
    Ok(Outcome { explained, values })
}
