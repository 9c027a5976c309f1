//! From graph to loaded rten model.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use exegesis_graph::op::Unary;
use exegesis_graph::passes::infer::ShapeInference;
use exegesis_graph::{Graph, Op, ValueId};
use rten::{Model, ModelOptions, NodeId, ThreadPool};
use rustc_hash::{FxHashMap, FxHashSet};

use super::session::{RtenSession, SessionStep};
use super::shared::SharedWeights;
use crate::guard::guarded;
use crate::plan::{Schedule, Step};
use crate::sizes::Sizes;
use crate::{Error, Limits, LoadOptions, Prepack, Program, Result, lower, program, table};

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
    let schedule = Schedule::best(&lowered.graph, &lowered.wide)?;
    let trace = trace(&lowered.graph)?;
    let pool = options.threads.map(|n| Arc::new(ThreadPool::with_num_threads(n.get())));
    let session = |schedule: &Schedule| -> Result<RtenSession> {
        let (model, weights, handed_on) = load_model(&name, lowered.graph.clone(), schedule, options)?;
        let (inner, pool) = (&lowered.outputs, pool.clone());
        let session = RtenSession::new(name.clone(), model, weights, pool, &inputs, inner, &outputs)?;
        Ok(session.keeping(&kept).in_steps(steps(schedule, &handed_on)))
    };
    let (session, schedule) = match session(&schedule) {
        Ok(session) => (session, schedule),
        // Values that are handed on are outputs of the model, and rten refuses outputs that its own rewriting finds equal.
        Err(_) if schedule.steps.len() > 1 => {
            let whole = Schedule::whole(&lowered.graph, &lowered.wide)?;
            (session(&whole)?, whole)
        }
        Err(error) => return Err(error),
    };
    let session = Box::new(session.guarded(lowered.guards).traced(trace));
    let program = Program::new(runtime, inputs, outputs, lowered.defaults, lowered.notes, sizes, session);
    Ok(program.with_schedule(schedule))
}

/// Loads `graph` with what `schedule` hands on among its outputs; those nodes are returned.
fn load_model(
    name: &str,
    mut graph: Graph,
    schedule: &Schedule,
    options: &LoadOptions,
) -> Result<(Model, SharedWeights, FxHashMap<ValueId, Vec<NodeId>>)> {
    read_outputs(&mut graph);
    // Several outputs may be one value under several names; rten may read any of them.
    let mut positions: FxHashMap<ValueId, Vec<usize>> = FxHashMap::default();
    for (index, output) in graph.outputs.iter().enumerate() {
        positions.entry(schedule.origin(*output)).or_default().push(index);
    }
    for value in schedule.handed_on() {
        let next = graph.outputs.len();
        if let Entry::Vacant(entry) = positions.entry(value) {
            entry.insert(vec![next]);
            graph.outputs.push(value);
        }
    }
    let shared = exegesis_graph::onnx::write_shared(&graph, EXTERNAL_FROM_BYTES)?;
    let count = graph.node_count();
    drop(graph);
    // rten packs weights and rewrites the graph on its own pool, see [`super::pool`].
    let is_forked = super::pool::is_forked();
    let prepack = options.prepack == Prepack::Always && !is_forked;
    let (weights, model) = guarded("rten", &format!("loaded \"{name}\""), count, || {
        let mut model_options = ModelOptions::with_all_ops();
        model_options.prepack_weights(prepack);
        model_options.enable_optimization(!is_forked);
        let weights = SharedWeights::lend(shared.weights, &mut model_options);
        let model = model_options.load(shared.model);
        let model = model.map_err(|error| Error::execution(format!("rten can't load the model: {error}")))?;
        Ok((weights, model))
    })?;
    // Positions hold where names do not: rten may have put another value in an output's place.
    let nodes = model.output_ids();
    let find = |indices: Vec<usize>| indices.into_iter().filter_map(|i| nodes.get(i).copied()).collect();
    let handed_on = positions.into_iter().map(|(value, indices)| (value, find(indices))).collect();
    Ok((model, weights, handed_on))
}

/// The steps of `schedule` in terms of the loaded model; none if all nodes run together.
fn steps(schedule: &Schedule, nodes: &FxHashMap<ValueId, Vec<NodeId>>) -> Vec<SessionStep> {
    if schedule.steps.len() < 2 {
        return vec![];
    }
    let find = |values: &[ValueId]| -> Vec<NodeId> {
        let mut found: Vec<NodeId> = vec![];
        for value in values {
            for node in nodes.get(&schedule.origin(*value)).into_iter().flatten() {
                if !found.contains(node) {
                    found.push(*node);
                }
            }
        }
        found
    };
    let step = |step: &Step| {
        let results = step.returns.iter().chain(&step.hands_on).copied().collect::<Vec<ValueId>>();
        SessionStep { reads: find(&step.reads), last_reads: find(&step.last_reads), results: find(&results) }
    };
    schedule.steps.iter().map(step).collect()
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

/// Makes nodes that read a value which is an output under another name read the output. What a step hands on is found as an
/// output; a later step that read the value itself would compute it, and all before it, once more.
fn read_outputs(graph: &mut Graph) {
    let mut named: FxHashMap<ValueId, ValueId> = FxHashMap::default();
    for output in &graph.outputs {
        let value = origin(graph, *output);
        if graph.producer(value).is_some() && !graph.outputs.contains(&value) {
            named.entry(value).or_insert(*output);
        }
    }
    for id in graph.nodes().map(|(id, _)| id).collect::<Vec<_>>() {
        if matches!(graph.node(id).op, Op::Unary(Unary::Identity)) {
            continue;
        }
        for operand in graph.node_mut(id).inputs.iter_mut().flatten() {
            if let Some(output) = named.get(operand) {
                *operand = *output;
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use exegesis_graph::op::Binary;
    use exegesis_graph::{DType, Dim};

    use super::*;

    #[test]
    fn nodes_read_the_output_that_names_their_operand() {
        let mut graph = Graph::new("g");
        let x = graph.add_input("x", DType::F32, vec![Dim::Fixed(2)]);
        let y = graph.add_op("y", Unary::Relu, &[x]);
        let kept = graph.add_op("kept", Unary::Identity, &[y]);
        let again = graph.add_op("again", Unary::Identity, &[y]);
        let z = graph.add_op("z", Binary::Add, &[y, x]);
        graph.outputs = vec![kept, again, z];
        read_outputs(&mut graph);
        let reads = |v: ValueId| graph.producer_node(v).unwrap().inputs.clone();
        assert_eq!(reads(z), [Some(kept), Some(x)]);
        assert_eq!((reads(kept), reads(again)), (vec![Some(y)], vec![Some(y)]));
    }
}
