//! Limits for sizes that a model computes from its data.
//!
//! Sizes that follow from those of the inputs are checked before a run ([`crate::sizes`]). Where the data decide
//! (`ConstantOfShape` of a number that the network computes), the operand with the size is multiplied by
//! `[1][elements / limit]`: by 1, or a look-up that fails before anything is allocated.

use std::sync::Arc;

use exegesis_graph::op::{Binary, Cast, Gather, Reduce, ReduceKind, Variadic};
use exegesis_graph::passes::infer::ShapeInference;
use exegesis_graph::{Builder, DType, Dim, Graph, Node, NodeId, Op, Tensor, ValueId};
use rustc_hash::FxHashMap;

use super::Guard;
use crate::Result;

/// Guards every such node of `graph` and of bodies of control flow; `memory` is what one value may take in bytes.
///
/// # Errors
/// A graph that is not well-formed.
pub(crate) fn bound(graph: &mut Graph, memory: u64) -> Result<Vec<Guard>> {
    let mut guards = vec![];
    let mut inference = ShapeInference::new();
    let symbols = input_symbols(graph);
    bound_in(graph, &mut inference, &symbols, memory, &mut guards)?;
    Ok(guards)
}

fn input_symbols(graph: &Graph) -> FxHashMap<Arc<str>, i64> {
    let shapes = graph.inputs.iter().filter_map(|id| graph.value(*id).shape.as_ref());
    let symbol = |dim: &Dim| match dim {
        Dim::Symbol(symbol) => Some((Arc::clone(symbol), 1)),
        Dim::Fixed(_) => None,
    };
    shapes.flatten().filter_map(symbol).collect()
}

fn bound_in(
    graph: &mut Graph,
    inference: &mut ShapeInference,
    symbols: &FxHashMap<Arc<str>, i64>,
    memory: u64,
    guards: &mut Vec<Guard>,
) -> Result<()> {
    let mut open: Vec<NodeId> = vec![];
    for (id, node) in graph.nodes() {
        let shape = node.output(0).and_then(|output| graph.value(output).shape.as_ref());
        let known = |dim: &Dim| dim.fixed().is_some() || inference.evaluate(dim, symbols).is_some();
        if size_operand(node).is_some() && !shape.is_some_and(|dims| dims.iter().all(known)) {
            open.push(id);
        }
    }
    if !open.is_empty() {
        let mut b = Builder::new(graph, "extent")?;
        for id in open {
            let node = b.node(id);
            guards.extend(guard(&mut b, id, &node, memory).map_err(|e| e.at(node.source_name()))?);
        }
    }
    for id in graph.nodes().map(|(id, _)| id).collect::<Vec<NodeId>>() {
        for body in graph.node_mut(id).op.subgraphs_mut() {
            bound_in(&mut body.graph, inference, symbols, memory, guards)?;
        }
    }
    Ok(())
}

/// The operand that decides the size of the result, if the operator has one.
fn size_operand(node: &Node) -> Option<usize> {
    let operand = match &node.op {
        Op::ConstantOfShape(_) => 0,
        Op::Expand(_) | Op::Tile(_) | Op::OneHot(_) | Op::Range(_) | Op::Pad(_) => 1,
        Op::Resize(_) if node.input(3).is_some() => 3,
        Op::Resize(_) => 2,
        _ => return None,
    };
    node.input(operand).map(|_| operand)
}

/// Puts the look-up between the size operand and `node`.
fn guard(b: &mut Builder, id: NodeId, node: &Node, memory: u64) -> exegesis_graph::Result<Option<Guard>> {
    let Some(position) = size_operand(node) else { return Ok(None) };
    let Some(operand) = node.input(position) else { return Ok(None) };
    let source = node.source_name().to_string();
    b.set_source(Some(&source));
    let float = |b: &mut Builder, value: ValueId| b.op(Cast { to: DType::F32 }, &[value]);
    let reduced = |b: &mut Builder, value: ValueId, kind: ReduceKind| {
        b.op(Reduce { kind, keepdims: false, noop_with_empty_axes: false }, &[value])
    };
    let width = node.output(0).and_then(|v| b.graph().value(v).dtype).map_or(4, |t| t.size().max(1));
    let mut limit = memory as f64 / width as f64;
    if matches!(node.op, Op::Tile(_) | Op::Resize(_) | Op::OneHot(_)) && position != 3 {
        limit /= least_elements(b.graph(), node.input(0)).max(1.0);
    }
    let elements = match &node.op {
        Op::Range(_) => {
            let [Some(start), Some(delta)] = [node.input(0), node.input(2)] else { return Ok(None) };
            let (start, end, delta) = (float(b, start)?, float(b, operand)?, float(b, delta)?);
            let span = b.sub(end, start)?;
            b.div(span, delta)?
        }
        // The sum of what is added on all sides is a bound for each axis.
        Op::Pad(_) => {
            let pads = float(b, operand)?;
            reduced(b, pads, ReduceKind::L1)?
        }
        Op::OneHot(_) => float(b, operand)?,
        _ => {
            let sizes = float(b, operand)?;
            reduced(b, sizes, ReduceKind::Prod)?
        }
    };
    let most = b.constant(Tensor::scalar(limit as f32));
    let share = b.div(elements, most)?;
    let one = b.constant(Tensor::scalar(1.0f32));
    let capped = b.op(Variadic::Min, &[share, one])?;
    let index = b.op(Cast { to: DType::I64 }, &[capped])?;
    let dtype = b.dtype(operand);
    let ones = b.constant(Tensor::from_f64(dtype, vec![1], vec![1.0])?);
    let factor = b.op(Gather { axis: 0 }, &[ones, index])?;
    let guarded = b.op(Binary::Mul, &[operand, factor])?;
    b.assume_shape(guarded, operand);
    let guard = b.graph().producer_node(factor).map(|node| node.name.clone()).unwrap_or_default();
    if let Some(slot) = b.graph_mut().node_mut(id).inputs.get_mut(position) {
        *slot = Some(guarded);
    }
    let message = format!("{} asks for more than the {memory} bytes that may be used", node.op.name());
    Ok(Some(Guard { name: source, guard, message }))
}

/// Elements that a value has at least.
fn least_elements(graph: &Graph, value: Option<ValueId>) -> f64 {
    let shape = value.and_then(|id| graph.value(id).shape.as_ref());
    shape.into_iter().flatten().map(|d| d.fixed().unwrap_or(1) as f64).product()
}
