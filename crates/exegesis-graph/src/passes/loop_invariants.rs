//! Takes out of a `Loop` the carried values that no trip changes, as exporters write weights: they become constants of the
//! body, or captures.

use rustc_hash::FxHashMap;

use crate::op::{Loop, Unary};
use crate::{Graph, NodeId, Op, Result, ValueId};

/// Own operands of a Loop before its carried values: trip count and condition.
pub(super) const OWN: usize = 2;

/// Runs the pass on every `Loop` of the graph; returns how many carried values were taken out.
///
/// # Errors
/// A body whose interface does not match its node.
pub fn hoist(graph: &mut Graph) -> Result<usize> {
    each_loop(graph, hoist_from)
}

/// Runs `pass` on every `Loop` of the graph; the sum of what it returns.
pub(super) fn each_loop(graph: &mut Graph, pass: fn(&mut Graph, NodeId) -> Result<usize>) -> Result<usize> {
    let loops: Vec<NodeId> =
        graph.nodes().filter(|(_, n)| matches!(n.op, Op::Loop(_))).map(|(id, _)| id).collect();
    let mut count = 0;
    for id in loops {
        count += pass(graph, id)?;
    }
    Ok(count)
}

fn hoist_from(graph: &mut Graph, id: NodeId) -> Result<usize> {
    let node = graph.node(id).clone();
    let Op::Loop(op) = &node.op else { return Ok(0) };
    let mut body = op.body.clone();
    let states = body.graph.inputs.len().saturating_sub(OWN);
    if node.inputs.len() != OWN + states + body.captures.len() || body.graph.outputs.len() < 1 + states {
        let message = "the operands of this Loop do not match its body";
        return Err(crate::Error::malformed(message).at(&node.name));
    }
    let invariant: Vec<bool> = (0..states)
        .map(|k| {
            let entering = body.graph.inputs[OWN + k];
            node.input(OWN + k).is_some() && origin(&body.graph, body.graph.outputs[1 + k]) == entering
        })
        .collect();
    let count = invariant.iter().filter(|i| **i).count();
    if count == 0 {
        return Ok(0);
    }
    let mut replaced = FxHashMap::default();
    let mut captured = vec![];
    for k in (0..states).filter(|k| invariant[*k]) {
        let inner = body.graph.inputs[OWN + k];
        let Some(outer) = node.input(OWN + k) else { continue };
        match graph.constant(outer).cloned() {
            Some(tensor) => body.graph.set_constant(inner, tensor),
            None => {
                body.captures.push(inner);
                captured.push(Some(outer));
            }
        }
        if let Some(output) = node.output(k) {
            replaced.insert(output, outer);
        }
    }
    let keeps = |position: usize, offset: usize| {
        position.checked_sub(offset).and_then(|k| invariant.get(k)).is_none_or(|i| !i)
    };
    let retained = |values: &[ValueId], offset: usize| -> Vec<ValueId> {
        let kept = values.iter().enumerate().filter(|(i, _)| keeps(*i, offset));
        kept.map(|(_, v)| *v).collect()
    };
    body.graph.inputs = retained(&body.graph.inputs, OWN);
    body.graph.outputs = retained(&body.graph.outputs, 1);
    graph.retain_outputs(id, |i| keeps(i, 0));
    let node = graph.node_mut(id);
    let mut position = 0;
    node.inputs.retain(|_| {
        position += 1;
        keeps(position - 1, OWN)
    });
    node.inputs.extend(captured);
    node.op = Op::Loop(Box::new(Loop { body }));
    graph.replace_uses_many(&replaced);
    Ok(count)
}

/// The value behind `Identity` nodes.
fn origin(graph: &Graph, mut value: ValueId) -> ValueId {
    while let Some(node) = graph.producer_node(value) {
        match (&node.op, node.input(0)) {
            (Op::Unary(Unary::Identity), Some(input)) => value = input,
            _ => break,
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Binary;
    use crate::{DType, Subgraph, Tensor};

    #[test]
    fn a_weight_carried_unchanged_becomes_a_constant_of_the_body() -> Result<()> {
        let mut body = Graph::new("body");
        body.add_input("trip", DType::I64, vec![]);
        let go_on = body.add_input("go_on", DType::Bool, vec![]);
        let state = body.add_input("state", DType::F32, vec![]);
        let weight = body.add_input("weight", DType::F32, vec![]);
        let next = body.add_op("next", Binary::Mul, &[state, weight]);
        let same = body.add_op("same", Unary::Identity, &[weight]);
        body.outputs = vec![go_on, next, same];
        let mut graph = Graph::new("model");
        let start = graph.add_input("start", DType::F32, vec![]);
        let trips = graph.add_constant("trips", Tensor::scalar(3i64));
        let yes = graph.add_constant("yes", Tensor::scalar(true));
        let w = graph.add_constant("w", Tensor::scalar(2f32));
        let body = Subgraph { graph: body, captures: vec![] };
        let operands = [trips, yes, start, w].into_iter().map(Some).collect();
        let out = graph.add_op_with("loop", Op::Loop(Box::new(Loop { body })), operands, 2);
        graph.outputs = out;

        assert_eq!(hoist(&mut graph)?, 1);

        graph.validate(&[])?;
        let (_, node) = graph.nodes().next().expect("the loop stays");
        assert_eq!((node.inputs.len(), node.outputs.len()), (3, 1));
        assert_eq!(graph.outputs[1], w);
        let inner = &node.op.subgraphs()[0].graph;
        assert_eq!(inner.constant(weight).and_then(|t| t.single()), Some(2.0));
        Ok(())
    }
}
