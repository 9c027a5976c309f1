//! Cutting an order into steps.

use exegesis_graph::{Graph, NodeId, ValueId};
use rustc_hash::{FxHashMap, FxHashSet};

use super::computing;
use super::flow::Flow;
use crate::Result;

/// Nodes that run together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    /// The nodes.
    pub nodes: Vec<NodeId>,
    /// Values of earlier steps that the nodes read.
    pub reads: Vec<ValueId>,
    /// Those of [`Step::reads`] that no later step reads and the caller does not get.
    pub last_reads: Vec<ValueId>,
    /// Values that later steps read.
    pub hands_on: Vec<ValueId>,
    /// Values that the caller gets.
    pub returns: Vec<ValueId>,
}

/// All nodes in one step.
pub(super) fn single(graph: &Graph) -> Result<Vec<Step>> {
    let flow = Flow::of(graph)?;
    Ok(finished(graph, &flow, vec![computing(graph, &flow)]))
}

/// `order` in steps that make about `limit` bytes each, cut where little is alive.
pub(super) fn cut(graph: &Graph, flow: &Flow, order: &[NodeId], limit: u64) -> Vec<Step> {
    let alive = alive_after(graph, flow, order);
    let made: Vec<u64> = order
        .iter()
        .map(|id| graph.node(*id).outputs.iter().flatten().map(|v| flow.bytes(*v)).sum())
        .collect();
    let mut parts = vec![];
    let mut start = 0;
    while start < order.len() {
        let (mut bytes, mut end) = (0u64, start);
        // The best place to cut lies in the second half of what fits; a single large node is a step of its own.
        let mut best = (u64::MAX, start + 1);
        while end < order.len() {
            bytes += made.get(end).copied().unwrap_or(0);
            if bytes > limit && end > start {
                break;
            }
            end += 1;
            let left = alive.get(end - 1).copied().unwrap_or(0);
            if (2 * bytes >= limit || end == order.len()) && left <= best.0 {
                best = (left, end);
            }
        }
        if best.0 == u64::MAX {
            best.1 = end.max(start + 1);
        }
        let stop = if end == order.len() && bytes <= limit { end } else { best.1 };
        parts.push(order.get(start..stop).unwrap_or_default().to_vec());
        start = stop;
    }
    finished(graph, flow, parts)
}

/// Bytes that are alive after each node of the order.
fn alive_after(graph: &Graph, flow: &Flow, order: &[NodeId]) -> Vec<u64> {
    let mut uses: FxHashMap<ValueId, usize> = FxHashMap::default();
    let mut alive = 0u64;
    let mut result = Vec::with_capacity(order.len());
    for id in order {
        let node = graph.node(*id);
        for value in node.outputs.iter().flatten() {
            uses.insert(*value, flow.readers(*value).len() + usize::from(flow.is_returned(*value)));
            alive += flow.bytes(*value);
        }
        for value in flow.operands(node) {
            if let Some(count) = uses.get_mut(&value) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    alive = alive.saturating_sub(flow.bytes(value));
                }
            }
        }
        result.push(alive);
    }
    result
}

/// Steps of these nodes, with what goes in and out.
fn finished(graph: &Graph, flow: &Flow, parts: Vec<Vec<NodeId>>) -> Vec<Step> {
    let mut step_of: FxHashMap<NodeId, usize> = FxHashMap::default();
    for (index, nodes) in parts.iter().enumerate() {
        step_of.extend(nodes.iter().map(|id| (*id, index)));
    }
    let last_step = |value: ValueId| flow.readers(value).iter().filter_map(|r| step_of.get(r)).max().copied();
    let mut steps: Vec<Step> = parts.into_iter().map(|nodes| Step { nodes, ..Step::default() }).collect();
    let mut returned: FxHashSet<ValueId> = FxHashSet::default();
    for (index, step) in steps.iter_mut().enumerate() {
        let mut seen: FxHashSet<ValueId> = FxHashSet::default();
        for id in &step.nodes {
            for value in flow.operands(graph.node(*id)) {
                let producer = graph.producer(value).and_then(|p| step_of.get(&p)).copied();
                if producer.is_some_and(|p| p < index) && seen.insert(value) {
                    step.reads.push(value);
                    if last_step(value) == Some(index) && !flow.is_returned(value) {
                        step.last_reads.push(value);
                    }
                }
            }
            for value in graph.node(*id).outputs.iter().flatten() {
                if last_step(*value).is_some_and(|last| last > index) {
                    step.hands_on.push(*value);
                }
                if flow.is_returned(*value) {
                    step.returns.push(*value);
                    returned.insert(*value);
                }
            }
        }
    }
    // Inputs and constants that are returned.
    if let Some(last) = steps.last_mut() {
        let rest: Vec<ValueId> =
            graph.outputs.iter().map(|v| flow.origin(*v)).filter(|v| returned.insert(*v)).collect();
        last.returns.extend(rest);
    }
    steps
}
