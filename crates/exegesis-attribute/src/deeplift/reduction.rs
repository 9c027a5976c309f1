//! Reductions to norms and to logarithms of sums.

use exegesis_graph::op::{Binary, ReduceKind};
use exegesis_graph::{Error, Node, ValueId};

use super::{DeepLift, softmax};
use crate::Result;
use crate::movement::{keep_axes, reduced_axes};
use crate::rule::{Context, Outcome};

/// `L1`: `m (x + x') / (|x| + |x'|)`; `L2`: `m (x + x') / (y + y')`; sum of squares: `m (x + x')`; logarithm of a sum `s`:
/// `m` over the logarithmic mean of `s` and `s'`; log-sum-exp: `m l / sum(l)` with the logarithmic means of the softmax.
///
/// # Errors
/// The axes are not constant.
pub fn backward(
    rules: &DeepLift,
    cx: &mut Context<'_, '_>,
    node: &Node,
    kind: ReduceKind,
    m: ValueId,
) -> Result<Outcome> {
    let (Some(x), Some(y)) = (node.input(0), node.output(0)) else {
        return Err(Error::malformed("a reduction without operand or output").into());
    };
    if cx.carrier_operands(node) != [0] {
        return Ok(Outcome::NoRule("an operand other than the data varies".into()));
    }
    let axes = reduced_axes(cx, node, x)?;
    if axes.is_empty() {
        // `noop_with_empty_axes`: the operand itself, whatever the reduction.
        return Ok(Outcome::at(0, node.inputs.len(), m));
    }
    let m = keep_axes(cx, node, m, &axes)?;
    let ends = |cx: &mut Context<'_, '_>| -> Result<[ValueId; 2]> {
        Ok([keep_axes(cx, node, y, &axes)?, keep_axes(cx, node, rules.counterpart(y), &axes)?])
    };
    let far = rules.counterpart(x);
    let signal = match kind {
        ReduceKind::SumSquare => {
            let sum = cx.b.add(x, far)?;
            cx.b.mul(m, sum)?
        }
        ReduceKind::L1 | ReduceKind::L2 => {
            let size = match kind {
                ReduceKind::L1 => {
                    let (a, b) = (cx.b.abs(x)?, cx.b.abs(far)?);
                    cx.b.add(a, b)?
                }
                _ => {
                    let [a, b] = ends(cx)?;
                    cx.b.add(a, b)?
                }
            };
            // Nothing where all is 0, on both sides.
            let zero = cx.b.scalar(0.0, size)?;
            let positive = cx.b.op(Binary::Greater, &[size, zero])?;
            let share = cx.b.div(m, size)?;
            let share = cx.b.select(positive, share, zero)?;
            let sum = cx.b.add(x, far)?;
            cx.b.mul(share, sum)?
        }
        ReduceKind::LogSum => {
            let ends = ends(cx)?;
            let mean = softmax::mean_of_exponentials(cx, ends, None)?;
            let share = cx.b.div(m, mean)?;
            cx.b.expand_like(share, x)?
        }
        ReduceKind::LogSumExp => {
            let shares = softmax::shares(rules, cx, x, &axes)?;
            cx.b.mul(m, shares)?
        }
        _ => return Ok(Outcome::NoRule("a product of many elements has no DeepLIFT rule".into())),
    };
    cx.b.assume_shape(signal, x);
    Ok(Outcome::at(0, node.inputs.len(), signal))
}
