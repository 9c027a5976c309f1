//! Appending nodes that carry the name and origin of the layer that they replace.

use std::sync::Arc;

use crate::op::{Binary, Concat, Split, Squeeze, Unsqueeze, Variadic};
use crate::{Graph, NodeId, Op, Origin, Result, Role, Tensor, ValueId};

/// Appends nodes to a graph under a name prefix.
pub(in crate::passes) struct Emitter<'g> {
    pub(in crate::passes) graph: &'g mut Graph,
    source: Arc<str>,
    prefix: String,
    step: String,
}

impl<'g> Emitter<'g> {
    /// An emitter of nodes that stand for `node`.
    pub(in crate::passes) fn new(graph: &'g mut Graph, node: NodeId) -> Self {
        let node = graph.node(node);
        let (source, prefix) = (Arc::from(node.source_name()), node.name.clone());
        Self { graph, source, step: prefix.clone(), prefix }
    }

    /// An emitter into the body of a loop that stands for the same node; `part` is added to the part at hand.
    pub(in crate::passes) fn nested<'b>(&self, body: &'b mut Graph, part: &str) -> Emitter<'b> {
        let step = format!("{}/{part}", self.step);
        Emitter { graph: body, source: self.source.clone(), prefix: step.clone(), step }
    }

    /// Names what follows `<layer>/<part>/...`; an empty part is the layer itself.
    pub(in crate::passes) fn set_part(&mut self, part: &str) {
        self.step = if part.is_empty() { self.prefix.clone() } else { format!("{}/{part}", self.prefix) };
    }

    /// The full name of `name` in the current part.
    pub(in crate::passes) fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.step)
    }

    /// Provenance of the new nodes.
    pub(in crate::passes) fn origin(&self) -> Origin {
        Origin::Rewritten(self.source.clone())
    }

    /// Appends a node with `outputs` results.
    pub(in crate::passes) fn ops(
        &mut self,
        name: &str,
        op: impl Into<Op>,
        inputs: &[ValueId],
        outputs: usize,
    ) -> Vec<ValueId> {
        let inputs = inputs.iter().copied().map(Some).collect();
        let values = self.graph.add_op_with(&self.name(name), op, inputs, outputs);
        if let Some(node) = values.first().and_then(|v| self.graph.producer(*v)) {
            self.graph.node_mut(node).origin = self.origin();
        }
        values
    }

    /// Appends a node with one result.
    pub(in crate::passes) fn op(&mut self, name: &str, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        let value = self.graph.add_op(&self.name(name), op, inputs);
        if let Some(node) = self.graph.producer(value) {
            self.graph.node_mut(node).origin = self.origin();
        }
        value
    }

    /// Appends the product of a gate and a state.
    pub(in crate::passes) fn gate(&mut self, name: &str, gate: ValueId, state: ValueId) -> ValueId {
        let value = self.op(name, Binary::Mul, &[gate, state]);
        if let Some(node) = self.graph.producer(value) {
            self.graph.node_mut(node).role = Role::RecurrentGate;
        }
        value
    }

    /// Appends the sum of the terms before a gate; one term is itself.
    pub(in crate::passes) fn sum(&mut self, name: &str, terms: &[ValueId]) -> ValueId {
        let value = match terms {
            [only] => return *only,
            [_, _] => self.op(name, Binary::Add, terms),
            _ => self.op(name, Variadic::Sum, terms),
        };
        if let Some(node) = self.graph.producer(value) {
            self.graph.node_mut(node).role = Role::RecurrentSum;
        }
        value
    }

    /// Adds a constant.
    pub(in crate::passes) fn constant(&mut self, name: &str, tensor: Tensor) -> ValueId {
        self.graph.add_constant(&self.name(name), tensor)
    }

    /// Adds an int64 vector.
    fn axes(&mut self, name: &str, values: Vec<i64>) -> ValueId {
        self.constant(&format!("{name}_axes"), Tensor::vector(values))
    }

    /// Cuts `value` into `parts` pieces of `size` along `axis`; one piece is the value itself.
    pub(in crate::passes) fn split(
        &mut self,
        name: &str,
        value: ValueId,
        axis: i64,
        parts: usize,
        size: usize,
    ) -> Vec<ValueId> {
        if parts == 1 {
            return vec![value];
        }
        let sizes = self.constant(&format!("{name}_sizes"), Tensor::vector(vec![size as i64; parts]));
        self.ops(name, Split { axis, num_outputs: None }, &[value, sizes], parts)
    }

    /// Joins `values` along `axis`; one value is itself.
    pub(in crate::passes) fn concat(&mut self, name: &str, values: &[ValueId], axis: i64) -> ValueId {
        match values {
            [value] => *value,
            _ => self.op(name, Concat { axis }, values),
        }
    }

    /// Inserts an axis of size 1.
    pub(in crate::passes) fn unsqueeze(&mut self, name: &str, value: ValueId, axis: i64) -> ValueId {
        let axes = self.axes(name, vec![axis]);
        self.op(name, Unsqueeze {}, &[value, axes])
    }

    /// Removes an axis of size 1.
    pub(in crate::passes) fn squeeze(&mut self, name: &str, value: ValueId, axis: i64) -> ValueId {
        let axes = self.axes(name, vec![axis]);
        self.op(name, Squeeze {}, &[value, axes])
    }

    /// Removes the unrolled node and makes its results (`results[i]` for output `i`) those of the new nodes. Names of
    /// graph outputs stay.
    pub(in crate::passes) fn finish(self, node: NodeId, results: &[Option<ValueId>]) -> Result<()> {
        let old = self.graph.node(node).outputs.clone();
        let (origin, name) = (self.origin(), self.prefix.clone());
        self.graph.remove_node(node);
        for (i, (old, new)) in old.into_iter().zip(results).enumerate() {
            let (Some(old), Some(new)) = (old, *new) else { continue };
            if self.graph.outputs.contains(&old) {
                let inputs = vec![Some(new)];
                let name = format!("{name}/output_{i}");
                let id = self.graph.add_node_with_outputs(
                    &name,
                    crate::op::Unary::Identity,
                    inputs,
                    vec![Some(old)],
                )?;
                self.graph.node_mut(id).origin = origin.clone();
            } else {
                let known = self.graph.value(old).clone();
                self.graph.replace_uses(old, new);
                let value = self.graph.value_mut(new);
                value.dtype = value.dtype.or(known.dtype);
                value.shape = value.shape.take().or(known.shape);
            }
        }
        Ok(())
    }
}
