//! Derivatives of reductions other than sums, means and extremes.

use exegesis_graph::op::{Binary, ReduceKind, Unary};
use exegesis_graph::{Error, Node, ValueId};

use crate::Result;
use crate::movement::{keep_axes, reduced_axes};
use crate::rule::{Context, Outcome};

/// `g dy/dx` for a reduction.
///
/// # Errors
/// The axes are not constant.
pub fn backward(cx: &mut Context<'_, '_>, node: &Node, kind: ReduceKind, g: ValueId) -> Result<Outcome> {
    let (Some(x), Some(y)) = (node.input(0), node.output(0)) else {
        return Err(Error::malformed("a reduction without operand or output").into());
    };
    let axes = reduced_axes(cx, node, x)?;
    if axes.is_empty() {
        // `noop_with_empty_axes`: the operand itself, whatever the reduction.
        return Ok(Outcome::at(0, node.inputs.len(), g));
    }
    let (g, y) = (keep_axes(cx, node, g, &axes)?, keep_axes(cx, node, y, &axes)?);
    let signal = match kind {
        ReduceKind::L1 => {
            let sign = cx.b.unary(Unary::Sign, x)?;
            cx.b.mul(g, sign)?
        }
        ReduceKind::L2 => {
            // 0 at the zero vector, where the norm has no derivative.
            let zero = cx.b.scalar(0.0, y)?;
            let positive = cx.b.op(Binary::Greater, &[y, zero])?;
            let over = cx.b.div(g, y)?;
            let over = cx.b.select(positive, over, zero)?;
            cx.b.mul(over, x)?
        }
        ReduceKind::SumSquare => {
            let twice = cx.b.mul_scalar(x, 2.0)?;
            cx.b.mul(g, twice)?
        }
        ReduceKind::LogSum => {
            let sum = cx.b.unary(Unary::Exp, y)?;
            let over = cx.b.div(g, sum)?;
            cx.b.expand_like(over, x)?
        }
        ReduceKind::LogSumExp => {
            let shifted = cx.b.sub(x, y)?;
            let share = cx.b.unary(Unary::Exp, shifted)?;
            cx.b.mul(g, share)?
        }
        ReduceKind::Prod => product(cx, g, x, &axes)?,
        ReduceKind::Sum | ReduceKind::Mean | ReduceKind::Max | ReduceKind::Min => {
            return Ok(Outcome::NoRule("an operand other than the data varies".into()));
        }
    };
    cx.b.assume_shape(signal, x);
    Ok(Outcome::at(0, node.inputs.len(), signal))
}

/// `g` times the product of the other elements, which is not `y / x` where an element is 0.
fn product(cx: &mut Context<'_, '_>, g: ValueId, x: ValueId, axes: &[usize]) -> Result<ValueId> {
    let (zero, one) = (cx.b.scalar(0.0, x)?, cx.b.scalar(1.0, x)?);
    let is_zero = cx.b.op(Binary::Equal, &[x, zero])?;
    let filled = cx.b.select(is_zero, one, x)?;
    let rest = cx.b.reduce(ReduceKind::Prod, filled, axes, true)?;
    let indicator = cx.b.indicator(is_zero, x)?;
    let zeros = cx.b.reduce_sum(indicator, axes, true)?;
    // An element counts if all the others are not 0.
    let others = cx.b.sub(zeros, indicator)?;
    let alone = cx.b.op(Binary::Equal, &[others, zero])?;
    let derivative = cx.b.div(rest, filled)?;
    let derivative = cx.b.select(alone, derivative, zero)?;
    Ok(cx.b.mul(g, derivative)?)
}
