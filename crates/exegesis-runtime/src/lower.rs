//! From any graph of the vocabulary to one that rten runs.
//!
//! In order: layers that rten lacks become their steps and composites are expanded; nodes are replaced by exact equivalents
//! ([`crate::table::support`] says which, one file per family here says how); types are narrowed to the four that rten
//! has ([`narrow`]); what would be slow to load is rewritten ([`shorten`]). What changes numbers beyond rounding is refused by the table before.

pub(crate) mod attributes;
mod composites;
mod elementwise;
pub(crate) mod extents;
mod indexing;
mod interpolation;
mod layout;
mod narrow;
mod normalization;
mod pools;
mod shorten;
mod spatial;
pub(crate) mod trips;
mod windows;

use std::sync::Arc;

use exegesis_graph::passes::expand::expand;
use exegesis_graph::passes::infer::ShapeInference;
use exegesis_graph::passes::{branches, roll, unroll};
use exegesis_graph::{Builder, Error, Graph, Node, NodeId, Op, Tensor, ValueId, op};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::table::{self, Context, Support};
use crate::{Limits, Result, WorkLimit};

/// A graph that rten runs.
pub(crate) struct Lowered {
    pub graph: Graph,
    /// The graph before its types were narrowed: the same values and nodes, and perhaps fewer.
    pub wide: Graph,
    /// Value of the lowered graph for each output of the original.
    pub outputs: Vec<String>,
    /// Constants that inputs have when the caller feeds none, by position.
    pub defaults: Vec<Option<Arc<Tensor>>>,
    /// Conversions, for the user.
    pub notes: Vec<String>,
    /// Nodes that fail where the data ask for too much.
    pub guards: Vec<Guard>,
}

/// A node that was put into the graph and fails where the data ask for too much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Guard {
    /// The node that it guards, as the user's model calls it.
    pub name: String,
    /// Its own name.
    pub guard: String,
    /// What it means when it fails.
    pub message: String,
}

/// Lowers `graph`.
///
/// # Errors
/// Nodes or constants that rten can't run, all named; a graph that is not well-formed.
pub(crate) fn lower(mut graph: Graph, limits: Limits) -> Result<Lowered> {
    let inputs = graph.inputs.clone();
    // A constant that is also an input would stay constant in rten; it becomes a value that the program feeds.
    let defaults = inputs.into_iter().map(|id| graph.value_mut(id).constant.take()).collect();
    lower_graph(&mut graph)?;
    let mut guards = match limits.memory {
        Some(memory) => extents::bound(&mut graph, memory)?,
        None => vec![],
    };
    if limits.work == WorkLimit::Fitting {
        guards.extend(trips::bound(&mut graph)?);
    }
    let wide = graph.clone();
    let notes = narrow::narrow(&mut graph)?;
    let outputs = settle_outputs(&mut graph)?;
    Ok(Lowered { graph, wide, outputs, defaults, notes, guards })
}

fn lower_graph(graph: &mut Graph) -> Result<()> {
    branches::resolve_known(graph)?;
    write_out_steps(graph)?;
    if expand(graph, &|op| !composites::is_kept(op))? > 0 {
        ShapeInference::new().run(graph)?;
    }
    attributes::spell_out(graph)?;
    table::check(graph)?;
    replace_nodes(graph)?;
    Ok(())
}

/// Most steps of a layer that become copies. Longer and unknown ones become a loop: a graph of copies takes memory and
/// load time for each step.
const MAX_COPIES: usize = 32;

/// Writes the layers that rten can't run as they are in primitive steps.
fn write_out_steps(graph: &mut Graph) -> Result<()> {
    ShapeInference::new().run(graph)?;
    let (mut copied, mut looped) = (FxHashSet::default(), FxHashSet::default());
    choose_layers(graph, &mut copied, &mut looped);
    if !looped.is_empty() {
        roll::roll(graph, &|node| looped.contains(&node.name))?;
    }
    if !copied.is_empty() {
        unroll::unroll(graph, &|node| copied.contains(&node.name))?;
    }
    if !(looped.is_empty() && copied.is_empty()) {
        ShapeInference::new().run(graph)?;
    }
    Ok(())
}

/// Names of the layers to write as copies of their steps, and as loops.
fn choose_layers(graph: &Graph, copied: &mut FxHashSet<String>, looped: &mut FxHashSet<String>) {
    for (_, node) in graph.nodes() {
        if table::needs_unrolling(&node.op, &Context::new(graph, node)) {
            let short = roll::known_steps(graph, node).is_some_and(|steps| steps <= MAX_COPIES);
            let chosen = if roll::is_layer(&node.op) && !short { &mut *looped } else { &mut *copied };
            chosen.insert(node.name.clone());
        }
        for body in node.op.subgraphs() {
            choose_layers(&body.graph, copied, looped);
        }
    }
}

/// Replaces every node that the table says is lowered, then those of the bodies of control flow.
fn replace_nodes(graph: &mut Graph) -> Result<()> {
    replace_where(graph, "rten", &|graph, node| matches!(table::support(graph, node), Support::Lowered(_)))?;
    shorten::shorten(graph)?;
    for id in graph.nodes().map(|(id, _)| id).collect::<Vec<_>>() {
        let name = graph.node(id).source_name().to_string();
        for body in graph.node_mut(id).op.subgraphs_mut() {
            lower_body(&mut body.graph).map_err(|e| e.at(&name))?;
        }
    }
    Ok(())
}

/// Replaces the nodes for which `wanted` holds, those that replacements bring among them, by exact equivalents. Names of new
/// nodes begin with `prefix`. Bodies stay as they are.
///
/// # Errors
/// A node that has no replacement, or a graph that is not well-formed.
pub(crate) fn replace_where(
    graph: &mut Graph,
    prefix: &str,
    wanted: &dyn Fn(&Graph, &Node) -> bool,
) -> Result<()> {
    let mut replaced = FxHashMap::default();
    let mut builder = Builder::new(graph, prefix)?;
    // Nodes that a replacement made and that must not be looked at again.
    let mut finished = FxHashSet::default();
    let mut next = 0;
    let mut ids: Vec<NodeId> = builder.graph().topological_order()?;
    while let Some(id) = ids.get(next).copied() {
        next += 1;
        let Some(node) = builder.graph().get_node(id) else { continue };
        if finished.contains(&id) || !wanted(builder.graph(), node) {
            continue;
        }
        let node = node.clone();
        let source = node.source_name().to_string();
        builder.set_source(Some(&source));
        let before = builder.graph().node_capacity();
        let values = replacement(&mut builder, &node).map_err(|e| e.at(&source))?;
        let made: Vec<NodeId> = builder.graph().nodes_from(before).map(|(id, _)| id).collect();
        for id in &made {
            let node = builder.graph().node(*id);
            if is_final(&node.op) {
                finished.insert(*id);
            }
        }
        ids.extend(made);
        for (old, new) in node.outputs.iter().zip(values) {
            if let Some(old) = old {
                builder.assume_shape(new, *old);
                replaced.insert(*old, new);
            }
        }
        builder.graph_mut().remove_node(id);
    }
    drop(builder);
    graph.replace_uses_many(&replaced);
    Ok(())
}

fn lower_body(graph: &mut Graph) -> Result<()> {
    attributes::spell_out(graph)?;
    table::check(graph)?;
    replace_nodes(graph)
}

/// True for nodes in a form that only replacements make, whose meaning is rten's and not the standard's.
fn is_final(op: &Op) -> bool {
    matches!(op, Op::Opaque(_) | Op::ArgMax(_) | Op::ArgMin(_) | Op::Unary(op::Unary::Softplus))
}

/// Values that take the place of the node's results.
fn replacement(b: &mut Builder, node: &Node) -> exegesis_graph::Result<Vec<ValueId>> {
    let one = |value: exegesis_graph::Result<ValueId>| value.map(|v| vec![v]);
    match &node.op {
        Op::Unary(_)
        | Op::Binary(_)
        | Op::Celu(_)
        | Op::Selu(_)
        | Op::Shrink(_)
        | Op::ThresholdedRelu(_)
        | Op::IsInf(_)
        | Op::Cast(_)
        | Op::CastLike(_) => one(elementwise::replace(b, node)),
        Op::Hardmax(_) | Op::Lrn(_) | Op::MeanVarianceNormalization(_) | Op::GlobalLpPool(_) => {
            one(normalization::replace(b, node))
        }
        Op::LayerNormalization(a) => {
            let op = op::LayerNormalization { stash_type: 1, ..a.clone() };
            b.op_with(op, node.inputs.clone(), 1)
        }
        // Reduced over no axes; rten would still take absolute values, squares or logarithms.
        Op::Reduce(_) => one(b.op(op::Unary::Identity, &[operand(node, 0)?])),
        Op::ArgMax(_)
        | Op::ArgMin(_)
        | Op::Compress(_)
        | Op::OneHot(_)
        | Op::Range(_)
        | Op::ScatterElements(_) => one(indexing::replace(b, node)),
        Op::SpaceToDepth(_)
        | Op::MatMul(_)
        | Op::Pad(_)
        | Op::Slice(_)
        | Op::Transpose(_)
        | Op::Squeeze(_)
        | Op::Unsqueeze(_) => one(layout::replace(b, node)),
        Op::QuantizeLinear(_) => {
            let zero = b.constant(Tensor::scalar(0u8));
            let inputs = vec![node.input(0), node.input(1), Some(zero)];
            b.op_with(node.op.clone(), inputs, 1)
        }
        Op::Einsum(_) => one(contraction(b, node)),
        Op::Resize(a) => one(interpolation::replace(b, node, a)),
        Op::Conv(a) => one(spatial::convolution(b, node, a)),
        Op::ConvTranspose(a) => one(spatial::transposed(b, node, a)),
        Op::MaxPool(_) | Op::AveragePool(_) | Op::LpPool(_) => one(pools::replace(b, node)),
        op if op.is_composite() => one(composites::replace(b, node)),
        _ => Err(Error::unsupported(format!("{} has no replacement", node.op.name()))),
    }
}

/// An Einstein sum whose ellipses stand for as many axes in every operand: missing leading ones are added with size 1.
fn contraction(b: &mut Builder, node: &Node) -> exegesis_graph::Result<ValueId> {
    let missing = table::uneven_ellipses(&Context::new(b.graph(), node))
        .ok_or_else(|| Error::unsupported("the ranks of its operands are not known"))?;
    let mut operands = vec![];
    for (i, (first, count)) in missing.into_iter().enumerate() {
        let axes: Vec<usize> = (first..first + count).collect();
        let x = operand(node, i)?;
        operands.push(b.unsqueeze(x, &axes)?);
    }
    b.op(node.op.clone(), &operands)
}

/// Operand `i`, which the operator must have.
fn operand(node: &Node, i: usize) -> exegesis_graph::Result<ValueId> {
    node.input(i).ok_or_else(|| Error::malformed(format!("operand {i} of {} is missing", node.op.name())))
}

/// Gives every output of its own node: rten keeps names of results, not of inputs and constants that are returned.
/// Returns the name of the value behind each output.
pub(crate) fn settle_outputs(graph: &mut Graph) -> Result<Vec<String>> {
    for i in 0..graph.outputs.len() {
        let Some(id) = graph.outputs.get(i).copied() else { continue };
        if graph.inputs.contains(&id) || graph.constant(id).is_some() {
            let known = graph.value(id).clone();
            let copy = graph.add_op(&format!("{}_returned", known.name), op::Unary::Identity, &[id]);
            let value = graph.value_mut(copy);
            (value.dtype, value.shape) = (known.dtype, known.shape);
            if let Some(output) = graph.outputs.get_mut(i) {
                *output = copy;
            }
        }
    }
    let names = graph.outputs.iter().map(|id| graph.value(*id).name.clone()).collect();
    let mut seen = FxHashSet::default();
    graph.outputs.retain(|id| seen.insert(*id));
    Ok(names)
}
