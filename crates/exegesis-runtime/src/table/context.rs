//! What the table asks about a node.

use std::sync::Arc;

use exegesis_graph::{DType, Graph, Node, Shape, Tensor};

use super::Support;
use crate::convert::narrow_type;

/// A node within its graph.
pub(crate) struct Context<'g> {
    graph: &'g Graph,
    pub(crate) node: &'g Node,
}

impl<'g> Context<'g> {
    pub(crate) fn new(graph: &'g Graph, node: &'g Node) -> Self {
        Self { graph, node }
    }

    /// True if operand `i` is given.
    pub(crate) fn has(&self, i: usize) -> bool {
        self.node.input(i).is_some()
    }

    /// Type of operand `i`.
    pub(crate) fn dtype(&self, i: usize) -> Option<DType> {
        self.graph.value(self.node.input(i)?).dtype
    }

    /// Type in which rten holds operand `i`.
    pub(crate) fn narrow(&self, i: usize) -> Option<DType> {
        narrow_type(self.dtype(i)?)
    }

    /// Dimensions of operand `i`.
    pub(crate) fn shape(&self, i: usize) -> Option<&'g Shape> {
        self.graph.value(self.node.input(i)?).shape.as_ref()
    }

    /// Number of axes of operand `i`.
    pub(crate) fn rank(&self, i: usize) -> Option<usize> {
        self.shape(i).map(Vec::len)
    }

    /// Size of `axis` of operand `i`, if it is a number.
    pub(crate) fn size(&self, i: usize, axis: usize) -> Option<usize> {
        self.shape(i)?.get(axis)?.fixed()
    }

    /// Dimensions of result `i`.
    pub(crate) fn output_shape(&self, i: usize) -> Option<&'g Shape> {
        self.graph.value(self.node.output(i)?).shape.as_ref()
    }

    /// Operand `i` if it is a constant.
    pub(crate) fn constant(&self, i: usize) -> Option<&'g Arc<Tensor>> {
        self.graph.constant(self.node.input(i)?)
    }

    /// Integers of operand `i` if it is a constant.
    pub(crate) fn ints(&self, i: usize) -> Option<Vec<i64>> {
        self.constant(i)?.to_i64()
    }

    /// Why a type of the node rules it out, whatever the operator.
    pub(super) fn impossible_type(&self) -> Option<String> {
        let values = self.node.inputs.iter().chain(&self.node.outputs).flatten();
        let string = values.map(|v| self.graph.value(*v)).find(|v| v.dtype == Some(DType::String))?;
        Some(format!("\"{}\" holds strings", string.name))
    }

    /// `verdict` if all operands are of `types` as rten holds them.
    pub(super) fn typed(&self, types: &[DType], verdict: Support) -> Support {
        for (i, _) in self.node.inputs.iter().enumerate() {
            if let Some(verdict) = self.wrong_type(i, types) {
                return verdict;
            }
        }
        verdict
    }

    /// A refusal if operand `i` is of another type than `types`.
    pub(super) fn wrong_type(&self, i: usize, types: &[DType]) -> Option<Support> {
        let narrow = self.narrow(i)?;
        if types.contains(&narrow) {
            return None;
        }
        let dtype = self.dtype(i)?;
        let names: Vec<String> = types.iter().map(ToString::to_string).collect();
        Some(Support::Refused(format!(
            "operand {i} is {dtype}, but it is implemented for {} only",
            names.join(" and ")
        )))
    }

    /// `verdict` if all operands are floats.
    pub(super) fn floats(&self, verdict: Support) -> Support {
        self.typed(&[DType::F32], verdict)
    }

    /// `verdict` if all operands are floats, or 32-bit integers as rten holds them.
    pub(super) fn numbers(&self, verdict: Support) -> Support {
        self.typed(&[DType::F32, DType::I32], verdict)
    }
}

/// A refusal for a reason that is known beforehand.
pub(super) fn refuse(reason: &str) -> Support {
    Support::Refused(reason.to_string())
}
