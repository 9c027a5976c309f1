//! An order of nodes in which values die early.
//!
//! Each node comes as late as it can, but before its reader: depth first from the outputs, the operand with the longest
//! way behind it first. A reverse walk so recomputes what it needs of a layer when it gets to that layer. Nodes whose
//! results are much smaller than what they read (sums for a ledger) come as soon as they can, since that frees more than
//! it takes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use exegesis_graph::{Graph, NodeId};

use super::computing;
use super::flow::Flow;

/// A result this many times smaller than the operands makes a node one that shrinks.
const SHRINKS: u64 = 8;

/// Nodes that run, each after the producers of its operands.
pub(super) fn order(graph: &Graph, flow: &Flow) -> Vec<NodeId> {
    let ranks = late_ranks(graph, flow);
    let mut pending = vec![0usize; graph.node_capacity()];
    let mut ready = BinaryHeap::new();
    let nodes = computing(graph, flow);
    let key = |id: NodeId| {
        let rank = ranks.get(id.index()).copied().unwrap_or(usize::MAX);
        Reverse((!shrinks(graph, flow, id), rank, id))
    };
    for id in &nodes {
        let waits = flow.operands(graph.node(*id)).iter().filter(|v| graph.producer(**v).is_some()).count();
        pending[id.index()] = waits;
        if waits == 0 {
            ready.push(key(*id));
        }
    }
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse((_, _, id))) = ready.pop() {
        order.push(id);
        for output in graph.node(id).outputs.iter().flatten() {
            for reader in flow.readers(*output) {
                if let Some(count) = pending.get_mut(reader.index())
                    && *count > 0
                {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(key(*reader));
                    }
                }
            }
        }
    }
    order
}

fn shrinks(graph: &Graph, flow: &Flow, id: NodeId) -> bool {
    let node = graph.node(id);
    let read: u64 = flow.operands(node).iter().filter(|v| !flow.is_input(**v)).map(|v| flow.bytes(*v)).sum();
    let made: u64 = node.outputs.iter().flatten().map(|v| flow.bytes(*v)).sum();
    made.saturating_mul(SHRINKS) <= read
}

/// Position of each node in the order that is as late as possible, by node id.
fn late_ranks(graph: &Graph, flow: &Flow) -> Vec<usize> {
    let depths = depths(graph, flow);
    let mut ranks = vec![usize::MAX; graph.node_capacity()];
    let mut entered = vec![false; graph.node_capacity()];
    let mut next = 0;
    let mut stack: Vec<(NodeId, bool)> = vec![];
    let outputs: Vec<NodeId> = graph.outputs.iter().filter_map(|v| graph.producer(flow.origin(*v))).collect();
    for output in outputs {
        stack.push((output, false));
        while let Some((id, done)) = stack.pop() {
            if done {
                if let Some(rank) = ranks.get_mut(id.index()) {
                    *rank = next;
                    next += 1;
                }
                continue;
            }
            if std::mem::replace(&mut entered[id.index()], true) {
                continue;
            }
            stack.push((id, true));
            let mut producers: Vec<NodeId> =
                flow.operands(graph.node(id)).iter().filter_map(|v| graph.producer(*v)).collect();
            // The deepest is pushed last and so visited first.
            producers.sort_by_key(|p| (depths.get(p.index()).copied().unwrap_or(0), Reverse(*p)));
            stack.extend(producers.into_iter().map(|p| (p, false)));
        }
    }
    ranks
}

/// Longest way from an input to each node, by node id.
fn depths(graph: &Graph, flow: &Flow) -> Vec<usize> {
    let mut depths = vec![0usize; graph.node_capacity()];
    for id in graph.topological_order().unwrap_or_default() {
        let producers = flow.operands(graph.node(id)).into_iter().filter_map(|v| graph.producer(v));
        let depth = producers.map(|p| depths[p.index()] + 1).max().unwrap_or(0);
        depths[id.index()] = depth;
    }
    depths
}
