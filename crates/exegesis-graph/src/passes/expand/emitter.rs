//! Appending the nodes of an expansion.

use std::sync::Arc;

use crate::passes::infer::ShapeInference;
use crate::{DType, Dim, Error, Graph, Node, Op, Origin, Result, Role, Tensor, ValueId};

/// Appends nodes named after a composite that was removed, the last of which writes its output.
pub(super) struct Emitter<'g> {
    graph: &'g mut Graph,
    inference: &'g mut ShapeInference,
    source: Node,
    output: ValueId,
}

impl<'g> Emitter<'g> {
    pub(super) fn new(
        graph: &'g mut Graph,
        inference: &'g mut ShapeInference,
        source: &Node,
        output: ValueId,
    ) -> Self {
        Self { graph, inference, source: source.clone(), output }
    }

    pub(super) fn op(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId> {
        self.op_with_role(op, inputs, self.source.role)
    }

    pub(super) fn op_with_role(
        &mut self,
        op: impl Into<Op>,
        inputs: &[ValueId],
        role: Role,
    ) -> Result<ValueId> {
        let name = format!("{}/out", self.source.name);
        let output = self.graph.add_value(&name, None, None);
        self.node(op.into(), inputs, &[output], role)?;
        Ok(output)
    }

    pub(super) fn two(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> Result<(ValueId, ValueId)> {
        let name = format!("{}/out", self.source.name);
        let outputs = (self.graph.add_value(&name, None, None), self.graph.add_value(&name, None, None));
        self.node(op.into(), inputs, &[outputs.0, outputs.1], self.source.role)?;
        Ok(outputs)
    }

    /// The last node: it writes what the composite wrote.
    pub(super) fn finish(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> Result<()> {
        let output = self.output;
        self.node(op.into(), inputs, &[output], self.source.role)
    }

    fn node(&mut self, op: Op, inputs: &[ValueId], outputs: &[ValueId], role: Role) -> Result<()> {
        let some = |list: &[ValueId]| list.iter().copied().map(Some).collect::<Vec<_>>();
        let name = format!("{}/{}", self.source.name, op.name());
        let id = self.graph.add_node_with_outputs(&name, op, some(inputs), some(outputs))?;
        let node = self.graph.node_mut(id);
        node.role = role;
        node.origin = match &self.source.origin {
            Origin::Source => Origin::Rewritten(Arc::from(self.source.name.as_str())),
            origin => origin.clone(),
        };
        self.inference.node(self.graph, id)
    }

    pub(super) fn constant(&mut self, tensor: impl Into<Arc<Tensor>>) -> ValueId {
        let name = format!("{}/constant", self.source.name);
        self.graph.add_constant(&name, tensor)
    }

    pub(super) fn ints(&mut self, values: &[i64]) -> ValueId {
        self.constant(Tensor::vector(values.to_vec()))
    }

    /// A scalar of type `dtype`.
    pub(super) fn scalar(&mut self, dtype: DType, value: f64) -> Result<ValueId> {
        let tensor = Tensor::from_f64(dtype, [], vec![value])?;
        Ok(self.constant(tensor))
    }

    pub(super) fn dtype(&self, value: ValueId) -> Result<DType> {
        let value = self.graph.value(value);
        value.dtype.ok_or_else(|| Error::unsupported(format!("the type of \"{}\" is not known", value.name)))
    }

    /// Dimensions if the rank is known.
    pub(super) fn shape(&self, value: ValueId) -> Option<Vec<Dim>> {
        self.graph.value(value).shape.clone()
    }

    pub(super) fn rank(&self, value: ValueId) -> Result<usize> {
        let value = self.graph.value(value);
        let rank = value.shape.as_ref().map(Vec::len);
        rank.ok_or_else(|| Error::unsupported(format!("the rank of \"{}\" is not known", value.name)))
    }

    /// Size of an axis, which the expansion needs as a number.
    pub(super) fn fixed(&self, value: ValueId, axis: usize, what: &str) -> Result<usize> {
        let size = self.shape(value).and_then(|s| s.get(axis).and_then(Dim::fixed));
        size.ok_or_else(|| {
            Error::unsupported(format!(
                "{}: {what} is not known; fix the input's sizes",
                self.source.op.name()
            ))
        })
    }

    pub(super) fn tensor(&self, value: ValueId) -> Option<Arc<Tensor>> {
        self.graph.constant(value).cloned()
    }
}
