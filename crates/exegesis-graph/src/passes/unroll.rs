//! Replaces recurrent layers and loops of known length by their steps.
//!
//! What lives here: `LSTM`, `GRU` and `RNN` with a fixed number of steps become one input projection and primitive
//! operators per step; `Loop` and `Scan` with a known number of trips become copies of their bodies. Relevance rules
//! then see every gate. What does not: resolving trip counts and conditions (constant folding runs before) and
//! dimensions of the new values (shape inference runs after).

mod condition;
mod gates;
mod inline;
mod loops;
mod recurrent;
mod scan;

use super::recurrent::emit;
use crate::{Error, Graph, Node, NodeId, Op, Result};

/// Most nodes that unrolling one layer or loop may add.
pub const MAX_UNROLLED_NODES: usize = 200_000;

/// Unrolls every `LSTM`, `GRU`, `RNN`, `Loop` and `Scan` for which `only` holds, also those inside an unrolled body or
/// a branch of `If`; returns how many were unrolled. New nodes are named `<source>/t3/...` after the step and have the
/// layer as [`crate::Origin::Rewritten`]; gate products have [`crate::Role::RecurrentGate`]. Dimensions of new values
/// are left unknown.
///
/// A recurrent layer computes `W x + b` of all steps in one `Linear` per direction, where `b` is the sum of input and
/// recurrent bias (the recurrent bias of the last gate of a `GRU` with `linear_before_reset` stays with the recurrent
/// product). Initial states that are omitted are zero and add no nodes.
///
/// A loop has a known number of trips if its trip count is constant and its condition is constant or depends on counters
/// only. What its body held as a parameter may become constant: fold and raise again afterwards.
///
/// # Errors
/// A chosen node that cannot be unrolled, by name: symbolic number of steps or trips, clipping, unknown activations,
/// weights that are not constant ([`crate::ErrorKind::Unsupported`]); operands that contradict each other
/// ([`crate::ErrorKind::Malformed`]); more than [`MAX_UNROLLED_NODES`] new nodes ([`crate::ErrorKind::TooLarge`]).
pub fn unroll(graph: &mut Graph, only: &dyn Fn(&Node) -> bool) -> Result<usize> {
    let mut count = 0;
    let mut next = 0;
    // Inlined bodies append nodes, so one sweep over a growing graph also reaches what they contain.
    while next < graph.node_capacity() {
        let id = NodeId(next as u32);
        next += 1;
        let Some(node) = graph.get_node(id) else { continue };
        if matches!(node.op, Op::If(_)) {
            let name = node.name.clone();
            for subgraph in graph.node_mut(id).op.subgraphs_mut() {
                count += unroll(&mut subgraph.graph, only).map_err(|e| e.at(&name))?;
            }
            continue;
        }
        let step: fn(&mut Graph, NodeId) -> Result<()> = match node.op {
            Op::Lstm(_) | Op::Gru(_) | Op::Rnn(_) => recurrent::unroll,
            Op::Loop(_) => loops::unroll,
            Op::Scan(_) => scan::unroll,
            _ => continue,
        };
        if only(node) {
            let name = node.name.clone();
            step(graph, id).map_err(|e| e.at(name))?;
            count += 1;
        }
    }
    Ok(count)
}

/// Refuses a plan of `steps` times `nodes` new nodes that is beyond [`MAX_UNROLLED_NODES`].
fn check_size(steps: usize, nodes: usize) -> Result<()> {
    // Steps that add no node take time all the same.
    match steps.checked_mul(nodes.max(1)) {
        Some(total) if total <= MAX_UNROLLED_NODES => Ok(()),
        _ => Err(Error::too_large(format!(
            "unrolling {steps} steps of {nodes} nodes is more than the {MAX_UNROLLED_NODES} nodes that are accepted"
        ))),
    }
}
