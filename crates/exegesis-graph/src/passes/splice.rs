//! Copying nodes from one graph into another.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::{Graph, NodeId, Origin, Result, ValueId};

/// Copies values and nodes of `source` into `target`, remembering which value became which.
pub(crate) struct Splice<'a> {
    source: &'a Graph,
    map: FxHashMap<ValueId, ValueId>,
}

impl<'a> Splice<'a> {
    pub(crate) fn new(source: &'a Graph) -> Self {
        Self { source, map: FxHashMap::default() }
    }

    /// Lets the value `to` of the target stand for `from`.
    pub(crate) fn bind(&mut self, from: ValueId, to: ValueId) {
        self.map.insert(from, to);
    }

    /// What stands for `from`, if anything does yet.
    pub(crate) fn get(&self, from: ValueId) -> Option<ValueId> {
        self.map.get(&from).copied()
    }

    /// What stands for `from`; made with the same name (or a numbered one), type and shape, and data of a constant.
    pub(crate) fn value(&mut self, target: &mut Graph, from: ValueId) -> ValueId {
        if let Some(to) = self.map.get(&from) {
            return *to;
        }
        let value = self.source.value(from);
        let to = match &value.constant {
            Some(tensor) => target.add_constant(&value.name, tensor.clone()),
            None => target.add_value(&value.name, value.dtype, value.shape.clone()),
        };
        self.map.insert(from, to);
        to
    }

    /// Copies a node whose operands were copied before; under a numbered name it remembers the one it had.
    ///
    /// # Errors
    /// Its outputs are bound to values that are written already.
    pub(crate) fn node(&mut self, target: &mut Graph, id: NodeId) -> Result<NodeId> {
        let node = self.source.node(id);
        let mut list = |values: &[Option<ValueId>]| -> Vec<Option<ValueId>> {
            values.iter().map(|v| v.map(|v| self.value(target, v))).collect()
        };
        let (inputs, outputs) = (list(&node.inputs), list(&node.outputs));
        let copy = target.add_node_with_outputs(&node.name, node.op.clone(), inputs, outputs)?;
        let renamed = target.node(copy).name != node.name;
        let made = target.node_mut(copy);
        made.role = node.role;
        made.origin = match (&node.origin, renamed) {
            (Origin::Source, true) => Origin::Rewritten(Arc::from(node.name.as_str())),
            (origin, _) => origin.clone(),
        };
        Ok(copy)
    }
}
