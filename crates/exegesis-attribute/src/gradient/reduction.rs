//! Derivatives of reductions other than sums, means and extremes.

use exegesis_graph::op::{ReduceKind, Unary};
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
    let (g, y) = (keep_axes(cx, node, g, &axes)?, keep_axes(cx, node, y, &axes)?);
    let signal = match kind {
        ReduceKind::L1 => {
            let sign = cx.b.unary(Unary::Sign, x)?;
            cx.b.mul(g, sign)?
        }
        ReduceKind::L2 => {
            let over = cx.b.div(g, y)?;
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
        ReduceKind::Prod => {
            // Undefined form y / x at a zero factor: the product of the others is not formed here.
            let over = cx.b.div(y, x)?;
            cx.b.mul(g, over)?
        }
        ReduceKind::Sum | ReduceKind::Mean | ReduceKind::Max | ReduceKind::Min => {
            return Ok(Outcome::NoRule("an operand other than the data varies".into()));
        }
    };
    cx.b.assume_shape(signal, x);
    Ok(Outcome::at(0, node.inputs.len(), signal))
}
