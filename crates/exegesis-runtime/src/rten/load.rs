//! From graph to loaded rten model.

use std::sync::Arc;

use exegesis_graph::Graph;
use exegesis_graph::passes::infer::ShapeInference;
use rten::{ModelOptions, ThreadPool};

use super::guard::guarded;
use super::session::RtenSession;
use crate::{Error, LoadOptions, Prepack, Program, Result, lower, program};

/// Name under which the model refers to its weights; there is no such file.
const WEIGHTS: &str = "weights.data";

/// Constants of fewer bytes stay inside the model message: rten copies those, which is cheaper than a reference.
const EXTERNAL_FROM_BYTES: usize = 1024;

/// Checks, lowers and loads `graph`.
pub(super) fn load(runtime: &str, mut graph: Graph, options: &LoadOptions) -> Result<Program> {
    ShapeInference::new().run(&mut graph)?;
    let inputs = program::ports(&graph, &graph.inputs)?;
    let outputs = program::ports(&graph, &graph.outputs)?;
    let name = graph.name.clone();
    let lowered = lower::lower(graph)?;
    let split = exegesis_graph::onnx::write_split(&lowered.graph, WEIGHTS, EXTERNAL_FROM_BYTES)?;
    // rten borrows from the weights that it is given; the graph's own copies of them are not needed any more.
    drop(lowered.graph);
    let model = guarded(&format!("loaded \"{name}\""), || {
        let mut model_options = ModelOptions::with_all_ops();
        model_options
            .prepack_weights(options.prepack == Prepack::Always)
            .external_data(WEIGHTS, split.weights);
        model_options
            .load(split.model)
            .map_err(|error| Error::execution(format!("rten can't load the model: {error}")))
    })?;
    let pool = options.threads.map(|n| Arc::new(ThreadPool::with_num_threads(n.get())));
    let session = RtenSession::new(name, model, pool, &inputs, &lowered.outputs, &outputs)?;
    Ok(Program::new(runtime, inputs, outputs, lowered.defaults, lowered.notes, Box::new(session)))
}
