//! Copying the body of a loop into the graph around it.

use rustc_hash::{FxHashMap, FxHashSet};

use super::emit::Emitter;
use crate::{Error, Node, NodeId, Result, Role, Subgraph, ValueId};

/// A body that is copied several times.
pub(super) struct Body {
    subgraph: Subgraph,
    order: Vec<NodeId>,
    /// Captures and constants: the same in every copy.
    shared: FxHashMap<ValueId, ValueId>,
    /// Products of a gate and a state.
    gates: FxHashSet<NodeId>,
}

impl Body {
    /// Prepares copies of `subgraph`, whose captures stand for `captured` values of the outer graph and whose
    /// parameters `states` are carried from copy to copy.
    pub(super) fn new(
        e: &mut Emitter<'_>,
        subgraph: Subgraph,
        captured: &[Option<ValueId>],
        states: std::ops::Range<usize>,
    ) -> Result<Self> {
        if captured.len() != subgraph.captures.len() {
            return Err(Error::malformed("the number of captured values is not that of its body"));
        }
        let mut shared = FxHashMap::default();
        for (inner, outer) in subgraph.captures.iter().zip(captured) {
            shared.insert(*inner, outer.ok_or_else(|| Error::malformed("a captured value is missing"))?);
        }
        for (id, value) in subgraph.graph.values() {
            if let Some(tensor) = &value.constant {
                let name = e.name(&value.name);
                shared.insert(id, e.graph.add_constant(&name, tensor.clone()));
            }
        }
        let order = subgraph.graph.topological_order()?;
        let gates = super::gates::products(&subgraph.graph, &order, states);
        Ok(Self { subgraph, order, shared, gates })
    }

    /// Nodes of one copy.
    pub(super) fn node_count(&self) -> usize {
        self.order.len()
    }

    /// Appends a copy whose formal parameters are `arguments`; returns the body's outputs.
    pub(super) fn copy(&self, e: &mut Emitter<'_>, arguments: &[ValueId]) -> Result<Vec<ValueId>> {
        let body = &self.subgraph.graph;
        let mut map = self.shared.clone();
        map.extend(body.inputs.iter().copied().zip(arguments.iter().copied()));
        for id in &self.order {
            let node = body.node(*id);
            let inputs = translate(&map, node)?;
            let mut outputs = vec![];
            for output in &node.outputs {
                outputs.push(output.map(|inner| {
                    let value = body.value(inner);
                    let name = e.name(&value.name);
                    // A symbol of the body may stand for another size in every copy.
                    let fixed = value.shape.clone().filter(|s| s.iter().all(|d| d.fixed().is_some()));
                    let outer = e.graph.add_value(&name, value.dtype, fixed);
                    map.insert(inner, outer);
                    outer
                }));
            }
            let name = e.name(&node.name);
            let copy = e.graph.add_node_with_outputs(&name, node.op.clone(), inputs, outputs)?;
            let origin = e.origin();
            let new = e.graph.node_mut(copy);
            new.origin = origin;
            new.role = if self.gates.contains(id) { Role::RecurrentGate } else { node.role };
        }
        body.outputs.iter().map(|v| lookup(&map, *v)).collect()
    }
}

fn translate(map: &FxHashMap<ValueId, ValueId>, node: &Node) -> Result<Vec<Option<ValueId>>> {
    let one = |v: &Option<ValueId>| v.map(|v| lookup(map, v)).transpose();
    node.inputs.iter().map(one).collect::<Result<_>>().map_err(|e: Error| e.at(&node.name))
}

fn lookup(map: &FxHashMap<ValueId, ValueId>, value: ValueId) -> Result<ValueId> {
    map.get(&value).copied().ok_or_else(|| Error::malformed("its body reads a value that nothing defines"))
}
