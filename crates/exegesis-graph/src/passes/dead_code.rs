//! Removal of what no output depends on.

use rustc_hash::FxHashSet;

use crate::{Graph, NodeId, Op, Subgraph, ValueId};

/// Removes nodes that no graph output depends on, makes unused optional outputs `None`, removes unused outputs of `If`
/// with their values in both branches, and does the same inside bodies, whose unused captures are dropped. Returns the
/// number of nodes removed. A graph with a cycle is left as it is.
pub fn eliminate(graph: &mut Graph) -> usize {
    let Ok(order) = graph.topological_order() else { return 0 };
    let mut live: FxHashSet<ValueId> = graph.outputs.iter().copied().collect();
    let mut removed = 0;
    for id in order.into_iter().rev() {
        if !graph.node(id).outputs.iter().flatten().any(|v| live.contains(v)) {
            graph.remove_node(id);
            removed += 1;
            continue;
        }
        drop_outputs(graph, id, &live);
        removed += prune_bodies(graph, id);
        live.extend(graph.node(id).inputs.iter().flatten());
    }
    removed
}

fn drop_outputs(graph: &mut Graph, id: NodeId, live: &FxHashSet<ValueId>) {
    let node = graph.node(id);
    let is_live = |v: &Option<ValueId>| v.is_some_and(|v| live.contains(&v));
    if node.outputs.iter().all(is_live) {
        return;
    }
    match &node.op {
        // The others write all their outputs: a runtime need not accept that one is missing.
        Op::Lstm(_) | Op::Gru(_) | Op::Rnn(_) | Op::MaxPool(_) | Op::Unique(_) => {
            let mut outputs: Vec<Option<ValueId>> =
                node.outputs.iter().map(|v| if is_live(v) { *v } else { None }).collect();
            // The first one is not optional where it is the result that the others belong to.
            if let (Op::MaxPool(_) | Op::Unique(_), Some(first), Some(old)) =
                (&node.op, outputs.first_mut(), node.outputs.first())
            {
                *first = *old;
            }
            while outputs.last().is_some_and(Option::is_none) {
                outputs.pop();
            }
            // Outputs are only left out, so there is nothing to refuse.
            let _ = graph.set_outputs(id, outputs);
        }
        Op::If(_) => {
            let kept: Vec<bool> = node.outputs.iter().map(is_live).collect();
            let outputs = node.outputs.iter().copied().filter(is_live).collect();
            if graph.set_outputs(id, outputs).is_ok() {
                for body in graph.node_mut(id).op.subgraphs_mut() {
                    let mut kept = kept.iter();
                    body.graph.outputs.retain(|_| kept.next().copied().unwrap_or(true));
                }
            }
        }
        _ => {}
    }
}

/// Eliminates inside the bodies of a node and drops captures that they no longer read.
fn prune_bodies(graph: &mut Graph, id: NodeId) -> usize {
    let node = graph.node_mut(id);
    let captured: usize = node.op.subgraphs().iter().map(|s| s.captures.len()).sum();
    let Some(own) = node.inputs.len().checked_sub(captured) else { return 0 };
    let mut operands = node.inputs.split_off(own).into_iter();
    let mut removed = 0;
    let mut kept_operands = vec![];
    for body in node.op.subgraphs_mut() {
        removed += eliminate(&mut body.graph);
        let used = used_values(body);
        let mut captures = vec![];
        for (inner, outer) in std::mem::take(&mut body.captures).into_iter().zip(operands.by_ref()) {
            if used.contains(&inner) {
                captures.push(inner);
                kept_operands.push(outer);
            }
        }
        body.captures = captures;
    }
    node.inputs.extend(kept_operands);
    removed
}

fn used_values(body: &Subgraph) -> FxHashSet<ValueId> {
    let mut used: FxHashSet<ValueId> = body.graph.outputs.iter().copied().collect();
    used.extend(body.graph.nodes().flat_map(|(_, n)| n.inputs.iter().flatten().copied()));
    used
}
