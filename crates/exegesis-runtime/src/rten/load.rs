//! From graph to loaded rten model.

use std::sync::Arc;

use exegesis_graph::op::Unary;
use exegesis_graph::passes::infer::ShapeInference;
use exegesis_graph::{Graph, Op, ValueId};
use rten::{ModelOptions, ThreadPool};
use rustc_hash::FxHashSet;

use super::guard::guarded;
use super::session::RtenSession;
use crate::sizes::Sizes;
use crate::{Error, Limits, LoadOptions, Prepack, Program, Result, lower, program, table};

/// Name under which the model refers to its weights; there is no such file.
const WEIGHTS: &str = "weights.data";

/// Constants of fewer bytes stay inside the model message: rten copies those, which is cheaper than a reference.
const EXTERNAL_FROM_BYTES: usize = 1024;

/// Checks, lowers and loads `graph`.
pub(super) fn load(
    runtime: &str,
    mut graph: Graph,
    options: &LoadOptions,
    limits: Limits,
) -> Result<Program> {
    ShapeInference::new().run(&mut graph)?;
    // A node that is not interpreted is the better answer to a result without a type.
    let ports = |values: &[ValueId]| {
        program::ports(&graph, values).map_err(|error| table::check(&graph).err().map_or(error, Error::from))
    };
    let (inputs, outputs) = (ports(&graph.inputs)?, ports(&graph.outputs)?);
    let name = graph.name.clone();
    let limits = limits.settled();
    let mut lowered = lower::lower(graph, limits)?;
    let sizes = Sizes::of(&lowered.graph, limits);
    sizes.check_fixed(&inputs)?;
    let kept = keep_captures(&mut lowered.graph);
    let trace = trace(&lowered.graph)?;
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
    let session = RtenSession::new(name, model, pool, &inputs, &lowered.outputs, &outputs)?
        .keeping(&kept)
        .guarded(lowered.guards)
        .traced(trace);
    Ok(Program::new(runtime, inputs, outputs, lowered.defaults, lowered.notes, sizes, Box::new(session)))
}

/// Values in the order in which they can be computed, each with the user's node.
fn trace(graph: &Graph) -> Result<Vec<(String, String)>> {
    let mut trace = vec![];
    for id in graph.topological_order()? {
        let node = graph.node(id);
        let values = node.outputs.iter().flatten();
        trace.extend(values.map(|v| (graph.value(*v).name.clone(), node.source_name().to_string())));
    }
    Ok(trace)
}

/// Makes what loops capture outputs of the model, and returns the names. rten hands a captured value to the loop at its last
/// use, and then copies it for every trip, which makes long loops quadratic; a value that is also asked for is kept and
/// only referred to.
fn keep_captures(graph: &mut Graph) -> Vec<String> {
    let varying = varying_values(graph);
    // rten drops Identity nodes and refuses two outputs that are then one value.
    let mut listed: FxHashSet<ValueId> = graph.outputs.iter().map(|output| origin(graph, *output)).collect();
    let mut kept = vec![];
    for (_, node) in graph.nodes() {
        let Op::Loop(op) = &node.op else { continue };
        let own = node.inputs.len().saturating_sub(op.body.captures.len());
        for value in node.inputs.iter().skip(own).flatten() {
            let value = origin(graph, *value);
            // Small whole numbers (trip counts, positions) are cheap to copy, and rten may fold several into one.
            let heavy = graph.value(value).dtype.is_some_and(|dtype| dtype.is_float());
            if heavy && graph.producer(value).is_some() && varying.contains(&value) && listed.insert(value) {
                kept.push(value);
            }
        }
    }
    graph.outputs.extend(&kept);
    kept.into_iter().map(|value| graph.value(value).name.clone()).collect()
}

/// The value behind Identity nodes.
fn origin(graph: &Graph, mut value: ValueId) -> ValueId {
    while let Some(node) = graph.producer_node(value) {
        match (&node.op, node.input(0)) {
            (Op::Unary(Unary::Identity), Some(input)) => value = input,
            _ => break,
        }
    }
    value
}

/// Values that depend on an input; rten folds the others into constants.
fn varying_values(graph: &Graph) -> FxHashSet<ValueId> {
    let mut varying: FxHashSet<ValueId> = graph.inputs.iter().copied().collect();
    let Ok(order) = graph.topological_order() else { return varying };
    for id in order {
        let node = graph.node(id);
        if node.inputs.iter().flatten().any(|input| varying.contains(input)) {
            varying.extend(node.outputs.iter().flatten());
        }
    }
    varying
}
