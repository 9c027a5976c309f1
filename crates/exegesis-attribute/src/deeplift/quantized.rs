//! Steps that quantise and dequantise.

use exegesis_graph::op::{Binary, DequantizeLinear};
use exegesis_graph::{Error, Node, Op, ValueId};

use super::DeepLift;
use crate::Result;
use crate::quantization::inside;
use crate::rule::{Context, Outcome};

/// The rescale rule where the data differ by one step at least; the result then differs by less than two, and what is cut
/// off counts. Smaller differences are all rounding: they pass (straight-through) where nothing is cut off, which leaves a
/// remainder of less than a step each.
///
/// # Errors
/// The node is ill-formed, or its scale not constant.
pub fn backward(
    rules: &DeepLift,
    cx: &mut Context<'_, '_>,
    node: &Node,
    signals: &[Option<ValueId>],
) -> Result<Outcome> {
    let count = node.inputs.len();
    let (Some(m), Some(x)) = (signals.first().copied().flatten(), node.input(0)) else {
        return Ok(Outcome::Signals(vec![None; count]));
    };
    let Op::QuantizeLinear(op) = &node.op else {
        return Ok(Outcome::at(0, count, m));
    };
    let (Some(scale), Some(y)) = (node.input(1), node.output(0)) else {
        return Err(Error::malformed("a quantisation without operands").into());
    };
    let passed = inside(cx, node, op.axis, m)?;
    let mut ends = vec![];
    for q in [y, rules.counterpart(y)] {
        let operands = vec![Some(q), Some(scale), node.input(2)];
        ends.push(cx.b.op_with(DequantizeLinear { axis: op.axis }, operands, 1)?[0]);
    }
    let dy = cx.b.sub(ends[0], ends[1])?;
    let dx = rules.difference(cx, x)?;
    let amount = cx.b.mul(m, dy)?;
    let ratio = cx.b.div(amount, dx)?;
    let step = match cx.b.rank(scale)? {
        1 if cx.b.shape(scale)?[0].fixed() != Some(1) => {
            let rank = cx.b.rank(x)?;
            let axis = cx.b.axis(op.axis, rank)?;
            let mut dims = vec![1i64; rank];
            dims[axis] = -1;
            cx.b.reshape_to(scale, &dims)?
        }
        _ => cx.b.reshape_to(scale, &[])?,
    };
    let distance = cx.b.abs(dx)?;
    let far = cx.b.op(Binary::GreaterOrEqual, &[distance, step])?;
    let signal = cx.b.select(far, ratio, passed)?;
    cx.b.assume_shape(signal, x);
    Ok(Outcome::at(0, count, signal))
}
