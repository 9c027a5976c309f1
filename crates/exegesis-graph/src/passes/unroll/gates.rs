//! Finding the gates of recurrent cells that a framework wrote as a loop.

use std::ops::Range;

use rustc_hash::FxHashSet;

use crate::op::{Binary, Op, Unary};
use crate::{Graph, Node, NodeId, ValueId};

/// The products of a gate and a state in the body of a loop: multiplications by a sigmoid (or hard sigmoid, or one minus
/// it) whose argument depends on a state, of something that is not that argument itself. `states` are the parameters of
/// the body that are carried from trip to trip; those that it returns unchanged are no states.
pub(super) fn products(body: &Graph, order: &[NodeId], states: Range<usize>) -> FxHashSet<NodeId> {
    let unchanged = |v: &ValueId| body.outputs.contains(v);
    let carried = body.inputs.get(states).unwrap_or_default();
    let mut dependent: FxHashSet<ValueId> = carried.iter().copied().filter(|v| !unchanged(v)).collect();
    let mut found = FxHashSet::default();
    for id in order {
        let node = body.node(*id);
        if node.inputs.iter().flatten().any(|v| dependent.contains(v)) {
            dependent.extend(node.outputs.iter().flatten());
        }
        if node.op == Op::Binary(Binary::Mul) && is_gate_product(body, node, &dependent) {
            found.insert(*id);
        }
    }
    found
}

fn is_gate_product(body: &Graph, node: &Node, dependent: &FxHashSet<ValueId>) -> bool {
    let (Some(a), Some(b)) = (node.input(0), node.input(1)) else { return false };
    [(a, b), (b, a)].iter().any(|(gate, state)| {
        argument(body, *gate).is_some_and(|x| dependent.contains(&x) && x != *state)
            && body.constant(*state).is_none()
    })
}

/// The argument of a sigmoid or of its complement.
fn argument(body: &Graph, gate: ValueId) -> Option<ValueId> {
    let node = body.producer_node(gate)?;
    match &node.op {
        Op::Unary(Unary::Sigmoid) | Op::HardSigmoid(_) | Op::OneMinusSigmoid(_) => node.input(0),
        Op::Unary(Unary::Identity) => argument(body, node.input(0)?),
        Op::Binary(Binary::Sub) => {
            body.constant(node.input(0)?)?;
            argument(body, node.input(1)?)
        }
        _ => None,
    }
}
