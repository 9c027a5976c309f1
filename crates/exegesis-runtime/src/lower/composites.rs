//! Composites by the operators of later opsets that rten has. The others are expanded before.

use exegesis_graph::op::{Attribute, Attributes, GeluForm, Opaque};
use exegesis_graph::{Builder, Error, Node, Op, Result, ValueId};

/// The default domain by its long name. The writer translates opset 18 only; under this name it passes operators of
/// later opsets on, and rten knows the two names as one.
const LATER: &str = "ai.onnx";

/// True for the composites that rten runs as one operator.
pub(super) fn is_kept(op: &Op) -> bool {
    matches!(op, Op::Gelu(_) | Op::Swish(_) | Op::RmsNormalization(_))
}

/// The value of a composite node.
pub(super) fn replace(b: &mut Builder, node: &Node) -> Result<ValueId> {
    match &node.op {
        Op::Gelu(a) => {
            let form = if a.approximate == GeluForm::Tanh { "tanh" } else { "none" };
            later(b, node, "Gelu", vec![("approximate", Attribute::String(form.to_string()))])
        }
        Op::Swish(a) => later(b, node, "Swish", vec![("alpha", Attribute::Float(a.alpha))]),
        Op::RmsNormalization(a) => {
            let attributes = vec![("axis", Attribute::Int(a.axis)), ("epsilon", Attribute::Float(a.epsilon))];
            later(b, node, "RMSNormalization", attributes)
        }
        op => Err(Error::unsupported(format!("{} has no replacement", op.name()))),
    }
}

/// The same operands under an operator of a later opset.
fn later(b: &mut Builder, node: &Node, op_type: &str, attributes: Vec<(&str, Attribute)>) -> Result<ValueId> {
    let attributes: Attributes = attributes.into_iter().map(|(k, v)| (k.to_string(), v)).collect();
    let op = Op::Opaque(Box::new(Opaque {
        domain: LATER.to_string(),
        op_type: op_type.to_string(),
        version: 24,
        attributes,
        reason: String::new(),
    }));
    let value = first(b.op_with(op, node.inputs.clone(), 1)?)?;
    let dtype = node.input(0).map(|x| b.dtype(x));
    if b.graph().value(value).dtype.is_none() {
        b.graph_mut().value_mut(value).dtype = dtype;
    }
    Ok(value)
}

fn first(values: Vec<ValueId>) -> Result<ValueId> {
    values.first().copied().ok_or_else(|| Error::malformed("an operator without a result"))
}
