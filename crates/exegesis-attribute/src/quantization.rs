//! Values that a model quantises: signals pass through a step that quantises and dequantises (specification 5.1), for
//! every method alike. What has no such partner is refused by name: its path would end without a trace.

use exegesis_graph::op::{Binary, Op};
use exegesis_graph::{DType, Error, Graph, Node, Role, Tensor, ValueId};

use crate::Result;
use crate::error::MissingRule;
use crate::ledger::Class;
use crate::rule::{Context, Outcome, Quantity};
use crate::walk::carriers;

/// True for the nodes that this module walks through.
#[must_use]
pub fn handles(node: &Node) -> bool {
    node.role == Role::FakeQuantization
}

/// Passes the signals of every channel to the data. A gradient stops where the value was cut off: rounding itself has a
/// gradient of 0 almost everywhere and counts as the identity (straight-through, Bengio et al. 2013, arXiv 1308.3432).
///
/// # Errors
/// The node is ill-formed.
pub fn backward(
    cx: &mut Context<'_, '_>,
    node: &Node,
    signals: &[Vec<Option<ValueId>>],
    is_relevance: bool,
) -> Result<Vec<Outcome>> {
    cx.rule = "pass";
    let mut outcomes = vec![];
    for (channel, signals) in signals.iter().enumerate() {
        cx.enter(channel);
        let Some(mut signal) = signals.first().copied().flatten() else {
            outcomes.push(Outcome::Signals(vec![None; node.inputs.len()]));
            continue;
        };
        if let (Op::QuantizeLinear(op), false) = (&node.op, is_relevance) {
            signal = inside(cx, node, op.axis, signal)?;
        }
        if let (Op::DequantizeLinear(_), Some(y), Some(x), Quantity::PerUnit) =
            (&node.op, node.output(0), node.input(0), cx.quantity)
        {
            // The value was rounded: per unit, the same signal stands for another amount.
            cx.absorb_difference(Class::Taylor, &[(y, signal)], &[(x, signal)])?;
        }
        // Zero is kept: its integer is the zero point.
        cx.sends_vanishing = cx.vanishes;
        outcomes.push(Outcome::at(0, node.inputs.len(), signal));
    }
    Ok(outcomes)
}

/// The signal where the value is within the range of the integers, else 0.
///
/// # Errors
/// A scale or zero point that is not constant.
pub fn inside(cx: &mut Context<'_, '_>, node: &Node, axis: i64, signal: ValueId) -> Result<ValueId> {
    let (Some(x), Some(scale), Some(y)) = (node.input(0), node.input(1), node.output(0)) else {
        return Err(Error::malformed("a quantisation without operands").into());
    };
    let constant =
        |v: ValueId| cx.b.graph().constant(v).and_then(|t| Some((t.shape().to_vec(), t.to_f64()?)));
    let zeros = match node.input(2) {
        Some(zero) => constant(zero),
        None => Some((vec![], vec![0.0])),
    };
    let (Some((shape, scales)), Some((_, zeros))) = (constant(scale), zeros) else {
        return Err(Error::unsupported("its scale and zero point are not constant").into());
    };
    let (low, high) = match cx.b.dtype(y) {
        DType::I8 => (-128.0, 127.0),
        DType::U8 => (0.0, 255.0),
        DType::I16 => (-32768.0, 32767.0),
        DType::U16 => (0.0, 65535.0),
        other => return Err(Error::unsupported(format!("quantises to {other}")).into()),
    };
    let dtype = cx.b.dtype(x);
    let rank = cx.b.rank(x)?;
    let mut bound = |end: f64, half: f64| -> Result<ValueId> {
        let zero = |i: usize| zeros.get(i).or(zeros.first()).copied().unwrap_or(0.0);
        // A value that rounds to the last integer is not cut off.
        let values = scales.iter().enumerate().map(|(i, s)| (end + half - zero(i)) * s).collect();
        let bound = cx.b.constant(Tensor::from_f64(dtype, shape.clone(), values)?);
        if scales.len() == 1 {
            return Ok(cx.b.reshape_to(bound, &[])?);
        }
        let axis = usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).unwrap_or(0);
        let mut dims = vec![1i64; rank];
        if let Some(dim) = dims.get_mut(axis) {
            *dim = -1;
        }
        Ok(cx.b.reshape_to(bound, &dims)?)
    };
    let (low, high) = (bound(low, -0.5)?, bound(high, 0.5)?);
    let above = cx.b.op(Binary::GreaterOrEqual, &[x, low])?;
    let below = cx.b.op(Binary::LessOrEqual, &[x, high])?;
    let inside = cx.b.op(Binary::And, &[above, below])?;
    let nothing = cx.b.scalar(0.0, signal)?;
    let kept = cx.b.select(inside, signal, nothing)?;
    cx.b.assume_shape(kept, signal);
    Ok(kept)
}

/// Operators of quantised layers that compute with integers.
const INTEGER_KERNELS: &[&str] = &[
    "ConvInteger",
    "DynamicQuantizeLinear",
    "MatMulInteger",
    "QGemm",
    "QLinearAdd",
    "QLinearAveragePool",
    "QLinearConcat",
    "QLinearConv",
    "QLinearGlobalAveragePool",
    "QLinearLeakyRelu",
    "QLinearMatMul",
    "QLinearMul",
    "QLinearSigmoid",
    "QLinearSoftmax",
];

/// Where paths from `roots` to `output` end in integers.
pub struct LostPaths {
    /// Nodes that quantise without a partner.
    pub refused: Vec<MissingRule>,
    /// Names of nodes that cast to integers.
    pub casts: Vec<String>,
}

/// Finds nodes that turn what depends on `roots` into integers that `output` depends on. Comparisons and positions of
/// maxima say which, not how much: they carry nothing by the rules, and are not listed.
///
/// # Errors
/// A cyclic graph.
pub fn lost_paths(graph: &Graph, roots: &[ValueId], output: ValueId) -> Result<LostPaths> {
    let carrying = carriers(graph, roots, &[output])?;
    let needed = graph.ancestors(&[output]);
    let mut lost = LostPaths { refused: vec![], casts: vec![] };
    let mut refuse = |node: &Node, op: &str, reason: &str| {
        let reason = format!("{reason}: export the model with pairs of QuantizeLinear and DequantizeLinear");
        let node = node.source_name().to_string();
        lost.refused.push(MissingRule { node, op: op.to_string(), reason });
    };
    let mut casts = vec![];
    for (_, node) in graph.nodes() {
        let is_needed = |y: &ValueId| needed.contains(y);
        let reads = node.inputs.iter().flatten().any(|x| carrying.contains(x));
        if !reads || !node.outputs.iter().flatten().any(is_needed) {
            continue;
        }
        let ends = node.outputs.iter().flatten().any(|y| is_needed(y) && !carrying.contains(y));
        match &node.op {
            Op::Opaque(op) if INTEGER_KERNELS.contains(&op.op_type.as_str()) => {
                refuse(node, &op.op_type, "it works on integers, which carry no signal");
            }
            Op::QuantizeLinear(_) if ends => refuse(
                node,
                node.op.name(),
                "what it quantises is not dequantised right behind it with the same scale, and integers carry no signal",
            ),
            Op::Cast(cast) if ends && cast.to.is_integer() => casts.push(node.source_name().to_string()),
            _ => {}
        }
    }
    lost.casts = casts;
    Ok(lost)
}
