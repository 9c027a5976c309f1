//! Attributes as opset 18 writes them, and the forms that it does not have.

use super::Writer;
use crate::onnx::versions;
use crate::op::{
    Attribute, Attributes, Binary, CANONICAL_OPSET, CoordinateMode, Opaque, PadMode, ReduceKind,
};
use crate::{DType, Error, Graph, Node, Op, Result};

/// The attributes of a node of `graph` that is not opaque.
///
/// # Errors
/// The operator is a composite, or its form or element type needs a newer opset.
pub(super) fn attributes(graph: &Graph, node: &Node) -> Result<Attributes> {
    if node.op.is_composite() {
        return Err(Error::unsupported(format!(
            "{} is a composite, which must be expanded before the graph is written",
            node.op.name()
        )));
    }
    let newer = |what: &str| {
        let message =
            format!("{what} does not exist in opset {CANONICAL_OPSET}, in which graphs are written");
        Err(Error::unsupported(message))
    };
    if let Some(dtype) = newer_type(graph, node) {
        return newer(&format!("{} of {dtype}", node.op.name()));
    }
    let mut attributes = node.op.attributes();
    // An empty list is "not given".
    attributes.retain(|_, a| match a {
        Attribute::Ints(v) => !v.is_empty(),
        Attribute::Floats(v) => !v.is_empty(),
        Attribute::Strings(v) => !v.is_empty(),
        _ => true,
    });
    match &node.op {
        Op::AveragePool(op) => {
            if op.dilations.iter().any(|d| *d != 1) {
                return newer("AveragePool with dilations");
            }
            attributes.remove("dilations");
        }
        Op::Resize(op) => match op.coordinate_transformation_mode {
            CoordinateMode::HalfPixelSymmetric => return newer("the half_pixel_symmetric grid of Resize"),
            CoordinateMode::TfHalfPixelForNn => return newer("the tf_half_pixel_for_nn grid of Resize"),
            _ => {}
        },
        Op::Pad(op) if op.mode == PadMode::Wrap => return newer("Pad with mode wrap"),
        Op::Split(op) => {
            if node.input(1).is_some() {
                attributes.remove("num_outputs");
            } else if op.num_outputs.is_none() {
                attributes.insert("num_outputs".to_string(), Attribute::Int(node.outputs.len() as i64));
            }
        }
        // The size is told by the weights; 0 is not a size.
        Op::Lstm(_) | Op::Gru(_) | Op::Rnn(_) => {
            attributes.retain(|name, a| name != "hidden_size" || *a != Attribute::Int(0));
        }
        _ => {}
    }
    Ok(attributes)
}

/// The element type of an operand that the operator takes only in newer opsets.
fn newer_type(graph: &Graph, node: &Node) -> Option<DType> {
    let (operand, types): (usize, &[DType]) = match &node.op {
        Op::IsInf(_) => (0, &[DType::F16, DType::BF16]),
        Op::Binary(Binary::Equal) => (0, &[DType::String]),
        Op::Reduce(r) if matches!(r.kind, ReduceKind::Max | ReduceKind::Min) => (0, &[DType::Bool]),
        Op::DequantizeLinear(_) => (0, &[DType::I16, DType::U16]),
        Op::QuantizeLinear(_) => (2, &[DType::I16, DType::U16]),
        _ => return None,
    };
    graph.value(node.input(operand)?).dtype.filter(|dtype| types.contains(dtype))
}

impl Writer {
    /// Notes the domain of an uninterpreted operator.
    ///
    /// # Errors
    /// An operator of the default domain that does not mean the same in the canonical opset.
    pub(super) fn note_domain(&mut self, op: &Opaque) -> Result<()> {
        if op.domain.is_empty() {
            if !versions::is_canonical(&op.op_type, op.version) {
                return Err(Error::unsupported(format!(
                    "{} was read from opset {} and can't be written in opset {CANONICAL_OPSET} ({})",
                    op.op_type, op.version, op.reason
                )));
            }
            return Ok(());
        }
        let version = self.domains.entry(op.domain.clone()).or_insert(op.version);
        *version = (*version).max(op.version);
        Ok(())
    }
}
