//! Putting a recognised cell into the standard form.

use std::ops::Range;

use super::super::channel::vector;
use super::sum::{Linear, Transfer};
use super::{Cell, Interpolation, Joined, is_marked};
use crate::op::{self, Binary, MatMul, OneMinusSigmoid, Op, Unary};
use crate::{Graph, NodeId, Origin, Result, Role, Tensor, ValueId};

/// Rewrites the cell; false if it had the standard form.
pub(super) fn apply(graph: &mut Graph, cell: &Cell) -> Result<bool> {
    let mut changed = !is_marked(graph, cell);
    for product in &cell.products {
        graph.node_mut(*product).role = Role::RecurrentGate;
    }
    if let Some(interpolation) = &cell.interpolation {
        changed |= two_products(graph, cell.root, interpolation)?;
    }
    if let Some(joined) = &cell.joined {
        changed |= take_apart(graph, joined)?;
    }
    for transfer in &cell.transfers {
        changed |= move_biases(graph, transfer)?;
        for join in &transfer.joins {
            let role = &mut graph.node_mut(*join).role;
            changed |= *role != Role::RecurrentSum;
            *role = Role::RecurrentSum;
        }
    }
    Ok(changed)
}

/// `base + g (other - base)` as `(1 - g) base + g other`.
fn two_products(graph: &mut Graph, root: NodeId, parts: &Interpolation) -> Result<bool> {
    let root_node = graph.node(root);
    let (name, origin) = (root_node.name.clone(), Origin::Rewritten(root_node.source_name().into()));
    let Some(result) = root_node.output(0) else { return Ok(false) };
    let gating = graph.producer_node(parts.gate).map(|node| (node.op.clone(), node.input(0)));
    let rest_name = format!("{name}/one_minus_gate");
    let rest = match gating {
        Some((Op::Unary(Unary::Sigmoid), Some(x))) => graph.add_op(&rest_name, OneMinusSigmoid {}, &[x]),
        Some((Op::OneMinusSigmoid(_), Some(x))) => graph.add_op(&rest_name, Unary::Sigmoid, &[x]),
        _ => {
            let Some(dtype) = graph.value(result).dtype else { return Ok(false) };
            let one = Tensor::from_f64(dtype, vec![], vec![1.0])?;
            let one = graph.add_constant(&format!("{name}/one"), one);
            graph.add_op(&rest_name, Binary::Sub, &[one, parts.gate])
        }
    };
    let kept = graph.add_op(&format!("{name}/gated"), Binary::Mul, &[rest, parts.base]);
    for value in [rest, kept] {
        let known = graph.value(result).clone();
        let new = graph.value_mut(value);
        (new.dtype, new.shape) = (known.dtype, known.shape);
        if let Some(id) = graph.producer(value) {
            graph.node_mut(id).origin = origin.clone();
        }
    }
    if let Some(id) = graph.producer(kept) {
        graph.node_mut(id).role = Role::RecurrentGate;
    }
    let product = graph.node_mut(parts.product);
    product.inputs = vec![Some(parts.gate), Some(parts.other)];
    product.role = Role::RecurrentGate;
    let product = product.output(0);
    graph.node_mut(root).inputs = vec![product, Some(kept)];
    graph.remove_node(parts.difference);
    Ok(true)
}

/// `[x, h] W + b` as `(x W1 + b) + h W2`.
fn take_apart(graph: &mut Graph, joined: &Joined) -> Result<bool> {
    let node = graph.node(joined.node).clone();
    let transposed = matches!(&node.op, Op::Linear(op) if op.transB);
    let Some(weight) = node.input(1).and_then(|w| graph.constant(w)).cloned() else { return Ok(false) };
    let (&[rows, columns], Some(values)) = (weight.shape(), weight.to_f64()) else { return Ok(false) };
    let (inner, outer) = if transposed { (columns, rows) } else { (rows, columns) };
    if joined.first_width > inner {
        return Ok(false);
    }
    let part = |range: Range<usize>| {
        let at = |k: usize, n: usize| if transposed { n * columns + k } else { k * columns + n };
        let taken = range.clone().flat_map(|k| (0..outer).map(move |n| at(k, n)));
        let taken: Vec<f64> = taken.filter_map(|i| values.get(i).copied()).collect();
        Tensor::from_f64(weight.dtype(), vec![range.len(), outer], taken)
    };
    let parts = [part(0..joined.first_width)?, part(joined.first_width..inner)?];
    let known = node.output(0).map(|y| graph.value(y).clone());
    let origin = Origin::Rewritten(node.source_name().into());
    let mut terms = vec![];
    for (i, (operand, weight)) in joined.operands.into_iter().zip(parts).enumerate() {
        let is_state = joined.state_first == (i == 0);
        let part = if is_state { "state" } else { "input" };
        let weight = graph.add_constant(&format!("{}/{part}_weight", node.name), weight);
        let name = format!("{}/{part}", node.name);
        let value = match node.input(2).filter(|_| !is_state) {
            Some(bias) => graph.add_op(&name, op::Linear { transB: false }, &[operand, weight, bias]),
            None => graph.add_op(&name, MatMul {}, &[operand, weight]),
        };
        if let Some(known) = &known {
            let new = graph.value_mut(value);
            (new.dtype, new.shape) = (known.dtype, known.shape.clone());
        }
        if let Some(id) = graph.producer(value) {
            graph.node_mut(id).origin = origin.clone();
        }
        terms.push(Some(value));
    }
    let sum = graph.node_mut(joined.node);
    (sum.op, sum.inputs, sum.origin) = (Binary::Add.into(), terms, origin);
    Ok(true)
}

/// Adds biases of a sum to the map of the input; false if there are none.
fn move_biases(graph: &mut Graph, transfer: &Transfer) -> Result<bool> {
    let mut total = vec![0.0; transfer.width];
    let mut vanishing = vec![];
    for addition in &transfer.constants {
        let Some(node) = graph.get_node(addition.node) else { continue };
        let output = node.output(0).filter(|y| !graph.outputs.contains(y));
        let term = node.inputs.iter().flatten().copied().find(|v| graph.constant(*v).is_none());
        let (Some(output), Some(term), Some(values)) =
            (output, term, addition.constant.vector(transfer.width))
        else {
            continue;
        };
        total.iter_mut().zip(values).for_each(|(t, c)| *t += c);
        vanishing.push((addition.node, output, term));
    }
    let mut emptied = None;
    if let Some(from) = &transfer.from
        && let Some(mut bias) = bias(graph, from)
        && let Some(moved) = bias.get_mut(from.columns.clone())
        && moved.iter().any(|b| *b != 0.0)
        && moved.len() == total.len()
    {
        for (t, b) in total.iter_mut().zip(moved) {
            *t += std::mem::take(b);
        }
        emptied = Some((from, bias));
    }
    if vanishing.is_empty() && emptied.is_none() {
        return Ok(false);
    }
    let to = &transfer.to;
    let Some(mut received) = bias(graph, to).or_else(|| Some(vec![0.0; columns(graph, to.node)?])) else {
        return Ok(false);
    };
    match received.get_mut(to.columns.clone()) {
        Some(part) if part.len() == total.len() => part.iter_mut().zip(&total).for_each(|(b, t)| *b += t),
        _ => return Ok(false),
    }
    if !set_bias(graph, to.node, received) {
        return Ok(false);
    }
    if let Some((from, bias)) = emptied {
        set_bias(graph, from.node, bias);
    }
    for (node, output, term) in vanishing {
        graph.replace_uses(output, term);
        graph.remove_node(node);
    }
    Ok(true)
}

/// The bias of the whole linear map.
fn bias(graph: &Graph, part: &Linear) -> Option<Vec<f64>> {
    let bias = graph.constant(graph.node(part.node).input(2)?)?.to_f64()?;
    (Some(bias.len()) == columns(graph, part.node)).then_some(bias)
}

/// Columns of the result of a linear map.
fn columns(graph: &Graph, id: NodeId) -> Option<usize> {
    let node = graph.node(id);
    let shape = graph.constant(node.input(1)?)?.shape();
    let axis = usize::from(!matches!(&node.op, Op::Linear(op) if op.transB));
    shape.get(axis).copied()
}

fn set_bias(graph: &mut Graph, id: NodeId, values: Vec<f64>) -> bool {
    let node = graph.node(id);
    let name = format!("{}/bias", node.name);
    let Some(weight) = node.input(1) else { return false };
    let Some(tensor) = graph.constant(weight).and_then(|w| vector(w.dtype(), values)) else { return false };
    let is_zero = tensor.to_f64().is_some_and(|v| v.iter().all(|b| *b == 0.0));
    let plain = matches!(&graph.node(id).op, Op::MatMul(_) | Op::Linear(op::Linear { transB: false }));
    let inputs: Vec<Option<ValueId>> = graph.node(id).inputs.iter().take(2).copied().collect();
    if is_zero && plain {
        let node = graph.node_mut(id);
        (node.op, node.inputs) = (MatMul {}.into(), inputs);
        return true;
    }
    let bias = graph.add_constant(&name, tensor);
    let node = graph.node_mut(id);
    if let Op::MatMul(_) = node.op {
        node.op = op::Linear { transB: false }.into();
    }
    node.inputs = inputs;
    node.inputs.push(Some(bias));
    true
}
