//! From graph to loaded rten model.

use std::sync::Arc;

use exegesis_graph::passes::infer::ShapeInference;
use exegesis_graph::{Graph, Op};
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
    let mut lowered = lower::lower(graph)?;
    let kept = keep_captures(&mut lowered.graph);
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
    let session = RtenSession::new(name, model, pool, &inputs, &lowered.outputs, &outputs)?.keeping(&kept);
    Ok(Program::new(runtime, inputs, outputs, lowered.defaults, lowered.notes, Box::new(session)))
}

/// Makes what loops capture outputs of the model, and returns the names. rten hands a captured value to the loop at its last
/// use, and then copies it for every trip, which makes long loops quadratic; a value that is also asked for is kept and
/// only referred to.
fn keep_captures(graph: &mut Graph) -> Vec<String> {
    let mut captured = vec![];
    for (_, node) in graph.nodes() {
        let Op::Loop(op) = &node.op else { continue };
        let own = node.inputs.len().saturating_sub(op.body.captures.len());
        captured.extend(node.inputs.iter().skip(own).flatten().copied());
    }
    captured.retain(|value| graph.producer(*value).is_some());
    captured.sort();
    captured.dedup();
    for value in &captured {
        if !graph.outputs.contains(value) {
            graph.outputs.push(*value);
        }
    }
    captured.into_iter().map(|value| graph.value(value).name.clone()).collect()
}
