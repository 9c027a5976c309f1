//! Types: everything becomes f32, i32, i8 or u8.
//!
//! Integers are only narrowed if they fit. Bounds that mean "to the end" (`i64::MAX` as the end of a slice) are cut to
//! the 32-bit bounds, which mean the same to rten. Integer arithmetic on the values of a run is 32-bit; inputs are
//! checked when they are fed.

use std::sync::Arc;

use exegesis_graph::{DType, Data, Graph, NodeId, Op, Tensor, ValueId};
use rustc_hash::FxHashSet;

use crate::convert::{narrow_type, to_f32, to_i32};
use crate::{Error, ErrorKind, Result};

/// Narrows every value, constant and type attribute of `graph` and its bodies. Returns notes for the user.
///
/// # Errors
/// A constant that does not fit, naming it and a node that reads it; a type that rten can't hold.
pub(super) fn narrow(graph: &mut Graph) -> Result<Vec<String>> {
    let mut notes = vec![];
    for id in graph.inputs.iter().chain(&graph.outputs) {
        let value = graph.value(*id);
        if let Some(dtype) = value.dtype
            && let Some(narrow) = narrow_type(dtype).filter(|n| *n != dtype && dtype != DType::Bool)
        {
            let role = if graph.inputs.contains(id) { "input" } else { "output" };
            notes.push(format!("{role} \"{}\" is {dtype}; the runtime computes it in {narrow}", value.name));
        }
    }
    let mut wide = FxHashSet::default();
    narrow_graph(graph, &mut wide)?;
    let mut wide: Vec<DType> = wide.into_iter().collect();
    wide.sort();
    notes.extend(wide.into_iter().map(|dtype| format!("values of type {dtype} are computed in float32")));
    Ok(notes)
}

fn narrow_graph(graph: &mut Graph, wide: &mut FxHashSet<DType>) -> Result<()> {
    let ids: Vec<ValueId> = graph.values().map(|(id, _)| id).collect();
    let read: FxHashSet<ValueId> = {
        let operands = graph.nodes().flat_map(|(_, node)| node.inputs.iter().flatten().copied());
        operands.chain(graph.outputs.iter().copied()).collect()
    };
    for id in ids {
        let value = graph.value(id);
        let Some(dtype) = value.dtype else { continue };
        if dtype.is_float() && dtype != DType::F32 {
            wide.insert(dtype);
        }
        match value.constant.clone() {
            // Constants that nothing reads any more would be loaded for nothing.
            Some(_) if !read.contains(&id) => graph.value_mut(id).constant = None,
            Some(tensor) => {
                if let Some(narrowed) = constant(graph, id, &tensor)? {
                    graph.set_constant(id, narrowed);
                }
            }
            None => graph.value_mut(id).dtype = narrow_type(dtype),
        }
    }
    let nodes: Vec<NodeId> = graph.nodes().map(|(id, _)| id).collect();
    for id in nodes {
        let name = graph.node(id).source_name().to_string();
        match &mut graph.node_mut(id).op {
            Op::Cast(a) => a.to = narrow_type(a.to).unwrap_or(a.to),
            Op::EyeLike(a) => a.dtype = a.dtype.and_then(narrow_type),
            Op::ConstantOfShape(a) => {
                if let Some(value) = &a.value {
                    let narrowed = narrow_data(value.data(), false).map_err(|bad| {
                        Error::unsupported(format!("its value {bad} does not fit 32 bits")).at(&name)
                    })?;
                    if let Some(data) = narrowed {
                        a.value = Some(Arc::new(Tensor::new(value.shape(), data)?));
                    }
                }
            }
            op => {
                for body in op.subgraphs_mut() {
                    narrow_graph(&mut body.graph, wide).map_err(|error| error.at(&name))?;
                }
            }
        }
    }
    Ok(())
}

/// The constant as rten has it, or `None` if it is already.
fn constant(graph: &Graph, id: ValueId, tensor: &Tensor) -> Result<Option<Tensor>> {
    let data = match narrow_data(tensor.data(), false) {
        Ok(data) => data,
        Err(bad) => match misfit(graph, id) {
            // Bounds may be cut; the dtype is an integer's, so cutting can't fail.
            None if tensor.dtype().is_integer() => narrow_data(tensor.data(), true).unwrap_or_default(),
            reader => {
                let value = graph.value(id);
                let message = format!(
                    "constant \"{}\" holds {bad}, which does not fit the {} that the runtime computes with",
                    value.name,
                    narrow_type(tensor.dtype()).unwrap_or(DType::F32)
                );
                let error = Error::new(ErrorKind::Unsupported, message);
                return Err(reader.map_or(error.clone(), |node| error.at(graph.node(node).source_name())));
            }
        },
    };
    data.map(|data| Tensor::new(tensor.shape(), data).map_err(Error::from)).transpose()
}

/// Elements in rten's type, or `None` if they are already; with `cut`, integers are cut to 32 bits.
fn narrow_data(data: &Data, cut: bool) -> Result<Option<Data>, String> {
    let dtype = data.dtype();
    match narrow_type(dtype) {
        None => Err("strings".to_string()),
        Some(narrow) if narrow == dtype => Ok(None),
        Some(DType::F32) => to_f32(data, true).map(|v| Some(v.into())),
        Some(_) => match data {
            Data::I64(v) if cut => Ok(Some(v.iter().map(|x| cut_to_i32(*x)).collect::<Vec<i32>>().into())),
            Data::U64(v) if cut => {
                let cut = v.iter().map(|x| i32::try_from(*x).unwrap_or(i32::MAX)).collect::<Vec<i32>>();
                Ok(Some(cut.into()))
            }
            Data::U32(v) if cut => {
                let cut = v.iter().map(|x| i32::try_from(*x).unwrap_or(i32::MAX)).collect::<Vec<i32>>();
                Ok(Some(cut.into()))
            }
            _ => to_i32(data).map(|v| Some(v.into())),
        },
    }
}

fn cut_to_i32(x: i64) -> i32 {
    i32::try_from(x).unwrap_or(if x < 0 { i32::MIN } else { i32::MAX })
}

/// A node that reads `id` in a way for which its exact value matters beyond 32 bits; `None` if all readers only take it
/// as a bound.
fn misfit(graph: &Graph, id: ValueId) -> Option<NodeId> {
    let consumers = graph.consumers();
    let mut seen = FxHashSet::default();
    let mut stack = vec![id];
    while let Some(value) = stack.pop() {
        if !seen.insert(value) {
            continue;
        }
        let readers = consumers.get(value.index()).map(Vec::as_slice).unwrap_or_default();
        if graph.outputs.contains(&value) {
            return readers.first().copied().or_else(|| graph.producer(value));
        }
        for reader in readers {
            let node = graph.node(*reader);
            for (i, operand) in node.inputs.iter().enumerate() {
                if *operand != Some(value) {
                    continue;
                }
                match (&node.op, i) {
                    (Op::Slice(_), 1 | 2) | (Op::Clip(_), 1 | 2) | (Op::Loop(_), 0) => {}
                    (
                        Op::Unsqueeze(_) | Op::Squeeze(_) | Op::Reshape(_) | Op::Gather(_) | Op::Expand(_),
                        0,
                    )
                    | (Op::Concat(_) | Op::Unary(exegesis_graph::op::Unary::Identity), _) => {
                        stack.extend(node.outputs.iter().flatten());
                    }
                    (Op::Cast(a), _) if a.to.is_integer() => stack.extend(node.outputs.iter().flatten()),
                    (op, i) if captured(op, i).is_some_and(|(body, inner)| misfit(body, inner).is_none()) => {
                    }
                    _ => return Some(*reader),
                }
            }
        }
    }
    None
}

/// The body and the value in it that stand for operand `i` of a control-flow operator, if that operand is a capture.
fn captured(op: &Op, i: usize) -> Option<(&Graph, ValueId)> {
    let bodies = op.subgraphs();
    // Captures follow the operands of the operator itself: the condition of `If`, else one for each parameter.
    let own = if matches!(op, Op::If(_)) { 1 } else { bodies.first()?.graph.inputs.len() };
    let mut rest = i.checked_sub(own)?;
    for body in bodies {
        if let Some(inner) = body.captures.get(rest) {
            return Some((&body.graph, *inner));
        }
        rest -= body.captures.len();
    }
    None
}
