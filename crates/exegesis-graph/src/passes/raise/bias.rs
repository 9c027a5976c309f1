//! Biases of linear maps that an exporter adds somewhere else: behind a movement of axes, or as a second vector.
//!
//! `move(W x) + b` is `move(W x + b)` where the movement keeps the channels apart, and `(W x + a) + b` is
//! `W x + (a + b)`. What does not live here: the plain `W x + b` (`linear`), and affine maps that are no bias (`affine`).

use super::channel::{Constant, through};
use super::pattern::View;
use crate::op::{Binary, Linear, Op, Unary};
use crate::{Graph, NodeId, Result, Tensor, ValueId};

/// A linear map that takes a constant into its bias.
struct Absorbed {
    /// Node of the addition.
    sum: NodeId,
    /// Its other operand.
    moved: ValueId,
    /// Node of the linear map.
    map: NodeId,
    bias: Tensor,
}

/// Takes every constant per channel that is added to the result of a linear map into the map's bias; returns how many.
/// The additions vanish, the linear maps keep their names.
///
/// # Errors
/// A cyclic graph.
pub(super) fn absorb(graph: &mut Graph) -> Result<usize> {
    let mut count = 0;
    // A map that takes one constant may meet the next.
    loop {
        let view = View::new(graph)?;
        let mut found: Vec<Absorbed> = vec![];
        for id in view.order() {
            found.extend(find(&view, *id).filter(|new| found.iter().all(|old| old.map != new.map)));
        }
        drop(view);
        if found.is_empty() {
            return Ok(count);
        }
        count += found.len();
        found.into_iter().for_each(|absorbed| apply(graph, absorbed));
    }
}

fn find(view: &View<'_>, sum: NodeId) -> Option<Absorbed> {
    let graph = view.graph;
    let node = graph.get_node(sum)?;
    let (a, b) = (node.input(0)?, node.input(1)?);
    let (moved, constant) = match &node.op {
        Op::Binary(Binary::Add) if graph.constant(b).is_some() => (a, b),
        Op::Binary(Binary::Add) if graph.constant(a).is_some() => (b, a),
        _ => return None,
    };
    let constant = Constant::read(graph, moved, constant)?;
    let mut axis = constant.axis;
    let mut value = moved;
    loop {
        if !view.read_once(value) {
            return None;
        }
        let id = graph.producer(value)?;
        if let Some((channels, place)) = channels(graph, id) {
            if axis.is_some_and(|axis| axis != place) {
                return None;
            }
            let bias = combine(graph, id, &constant, channels)?;
            return Some(Absorbed { sum, moved, map: id, bias });
        }
        (value, axis) = through(graph, id, axis)?;
    }
}

/// Number and axis of the channels of a linear map with constant weights.
fn channels(graph: &Graph, id: NodeId) -> Option<(usize, usize)> {
    let node = graph.node(id);
    let weight = graph.constant(node.input(1)?)?.shape();
    let rank = graph.value(node.output(0)?).shape.as_ref()?.len();
    match &node.op {
        Op::Conv(_) => Some((*weight.first()?, 1)),
        Op::ConvTranspose(op) => Some((weight.get(1)?.checked_mul(usize::try_from(op.group).ok()?)?, 1)),
        Op::Linear(op) => Some((*weight.get(usize::from(!op.transB))?, rank.checked_sub(1)?)),
        Op::MatMul(_) if rank >= 2 && graph.constant(node.input(0)?).is_none() => match *weight {
            [_, columns] => Some((columns, rank - 1)),
            _ => None,
        },
        _ => None,
    }
}

/// The constant and the bias that is there already, as a vector.
fn combine(graph: &Graph, id: NodeId, constant: &Constant, channels: usize) -> Option<Tensor> {
    let mut sum = constant.vector(channels)?;
    if let Some(bias) = graph.node(id).input(2) {
        let bias = graph.constant(bias)?;
        let values = bias.to_f64().filter(|v| v.len() == channels && bias.dtype() == constant.dtype)?;
        sum.iter_mut().zip(values).for_each(|(s, b)| *s += b);
    }
    Tensor::from_f64(constant.dtype, vec![channels], sum).ok()
}

fn apply(graph: &mut Graph, found: Absorbed) {
    let name = graph.node(found.map).name.clone();
    let bias = graph.add_constant(&format!("{name}/bias"), found.bias);
    let map = graph.node_mut(found.map);
    map.inputs.truncate(2);
    map.inputs.push(Some(bias));
    if let Op::MatMul(_) = map.op {
        map.op = Linear { transB: false }.into();
    }
    let sum = graph.node_mut(found.sum);
    let Some(output) = sum.output(0) else { return };
    sum.op = Op::Unary(Unary::Identity);
    sum.inputs = vec![Some(found.moved)];
    // The name of a graph output stays.
    if !graph.outputs.contains(&output) {
        graph.replace_uses(output, found.moved);
        graph.remove_node(found.sum);
    }
}
