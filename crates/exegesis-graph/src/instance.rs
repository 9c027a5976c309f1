//! A second instance of a part of a graph, on other values.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{Graph, Op, Origin, Result, ValueId};

/// Appends a copy of the nodes that `targets` need and that depend on a key of `replaced`, reading the values that stand for
/// the keys, of the same shapes. Everything else (constants, what does not depend on a key, shapes) is shared. Returns, for
/// every value that has a counterpart, its counterpart; keys included. Shapes and types are those of the original.
///
/// # Errors
/// A cycle.
pub fn instance(
    graph: &mut Graph,
    targets: &[ValueId],
    replaced: &FxHashMap<ValueId, ValueId>,
) -> Result<FxHashMap<ValueId, ValueId>> {
    let needed = graph.ancestors(targets);
    let mut counterparts = replaced.clone();
    let mut sized_by_data: FxHashSet<ValueId> = FxHashSet::default();
    for id in graph.topological_order()? {
        let node = graph.node(id).clone();
        let is_needed = node.outputs.iter().flatten().any(|o| needed.contains(o));
        let is_given = node.outputs.iter().flatten().all(|o| counterparts.contains_key(o));
        if !is_needed || is_given || !node.inputs.iter().flatten().any(|v| counterparts.contains_key(v)) {
            continue;
        }
        // A shape is the same on both sides, unless it was counted from the data.
        let counts = matches!(
            node.op,
            Op::NonZero(_)
                | Op::Compress(_)
                | Op::Unique(_)
                | Op::NonMaxSuppression(_)
                | Op::Loop(_)
                | Op::Range(_)
        );
        if counts || node.inputs.iter().flatten().any(|v| sized_by_data.contains(v)) {
            sized_by_data.extend(node.outputs.iter().flatten());
        } else if matches!(node.op, Op::Shape(_) | Op::Size(_)) {
            continue;
        }
        let inputs = node.inputs.iter().map(|v| v.map(|v| *counterparts.get(&v).unwrap_or(&v))).collect();
        let outputs = node
            .outputs
            .iter()
            .map(|output| {
                let output = (*output)?;
                let value = graph.value(output);
                let (dtype, shape) = (value.dtype, value.shape.clone());
                let name = format!("{}/instance", value.name);
                Some((output, graph.add_value(&name, dtype, shape)))
            })
            .collect::<Vec<_>>();
        let source: Arc<str> = Arc::from(node.source_name());
        let fresh = outputs.iter().map(|o| o.map(|(_, copy)| copy)).collect();
        let op: Op = node.op.clone();
        let copy = graph.add_node_with_outputs(&format!("{}/instance", node.name), op, inputs, fresh)?;
        let made = graph.node_mut(copy);
        made.origin = Origin::Appended(source);
        made.role = node.role;
        for (output, copy) in outputs.into_iter().flatten() {
            counterparts.entry(output).or_insert(copy);
        }
    }
    Ok(counterparts)
}
