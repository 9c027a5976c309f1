//! Norms whose deviation is a constant: what is left is linear (arXiv 2202.07304, section 3.2; arXiv 2402.05602, equation 16).

use exegesis_graph::op::{ReduceKind, Unary};
use exegesis_graph::{Error, Node, Op, ValueId};

use crate::Result;
use crate::ledger::Class;
use crate::rule::{Context, Outcome};

/// True for norms over the values of a sample.
pub fn handles(op: &Op) -> bool {
    matches!(
        op,
        Op::LayerNormalization(_)
            | Op::RmsNormalization(_)
            | Op::InstanceNormalization(_)
            | Op::GroupNormalization(_)
            | Op::LpNormalization(_)
            | Op::MeanVarianceNormalization(_)
            | Op::Lrn(_)
    )
}

/// Scale and bias of a norm, in shapes that broadcast to its data.
#[derive(Clone, Copy, Default)]
struct Affine {
    scale: Option<ValueId>,
    bias: Option<ValueId>,
}

/// Per unit, `(s g - mean(s g)) / d` with the scale `s`, the deviation `d`, and the mean where the norm subtracts one; `s g / d`
/// if `mean` is held constant too. Books the bias, and what a constant mean keeps.
///
/// # Errors
/// The graph can't be treated.
pub fn backward(cx: &mut Context<'_, '_>, node: &Node, g: ValueId, mean: bool) -> Result<Outcome> {
    let (Some(x), Some(y)) = (node.input(0), node.output(0)) else {
        return Err(Error::malformed("a normalisation without operand or output").into());
    };
    if cx.carrier_operands(node) != [0] {
        return Ok(Outcome::NoRule("a parameter of the norm depends on the explained input".into()));
    }
    let count = node.inputs.len();
    let rank = cx.b.rank(x)?;
    let trailing = |cx: &Context<'_, '_>, axis: i64| -> Result<Vec<usize>> {
        Ok((cx.b.axis(axis, rank)?..rank).collect())
    };
    let whole = Affine { scale: node.input(1), bias: node.input(2) };
    let (data, axes, epsilon, affine) = match &node.op {
        Op::LayerNormalization(op) => (x, trailing(cx, op.axis)?, f64::from(op.epsilon), whole),
        Op::RmsNormalization(op) => {
            let axes = trailing(cx, op.axis)?;
            let square = cx.b.mul(x, x)?;
            let square = cx.b.reduce(ReduceKind::Mean, square, &axes, true)?;
            let shifted = cx.b.add_scalar(square, f64::from(op.epsilon))?;
            let deviation = cx.b.unary(Unary::Sqrt, shifted)?;
            let scaled = scale(cx, g, whole)?;
            let signal = cx.b.div(scaled, deviation)?;
            cx.b.assume_shape(signal, x);
            return Ok(Outcome::at(0, count, signal));
        }
        Op::InstanceNormalization(op) => {
            (x, (2..rank).collect(), f64::from(op.epsilon), per_channel(cx, node, rank)?)
        }
        Op::GroupNormalization(op) => {
            let grouped = cx.b.reshape_to(x, &[0, op.num_groups, -1])?;
            (grouped, vec![2], f64::from(op.epsilon), per_channel(cx, node, rank)?)
        }
        Op::MeanVarianceNormalization(op) => {
            let axes = op.axes.iter().map(|a| cx.b.axis(*a, rank)).collect::<Result<Vec<_>, _>>()?;
            (x, axes, 0.0, Affine::default())
        }
        Op::LpNormalization(op) => {
            let axis = cx.b.axis(op.axis, rank)?;
            let kind = if op.p == 2 { ReduceKind::L2 } else { ReduceKind::L1 };
            let norm = cx.b.reduce(kind, x, &[axis], true)?;
            // A line of zeros stays as it is and has no relevance.
            let norm = cx.b.add_scalar(norm, 1e-30)?;
            let signal = cx.b.div(g, norm)?;
            cx.b.assume_shape(signal, x);
            return Ok(Outcome::at(0, count, signal));
        }
        Op::Lrn(op) => {
            let limit = f64::from(op.bias).powf(-f64::from(op.beta));
            let (over, under) = (cx.b.abs(y)?, cx.b.abs(x)?);
            let (over, under) = (cx.b.add_scalar(over, limit * 1e-30)?, cx.b.add_scalar(under, 1e-30)?);
            let inverse = cx.b.div(over, under)?;
            let signal = cx.b.mul(g, inverse)?;
            cx.b.assume_shape(signal, x);
            return Ok(Outcome::at(0, count, signal));
        }
        Op::BatchNormalization(op) => return batch(cx, node, g, [x, y], f64::from(op.epsilon)),
        _ => return Ok(Outcome::NoRule("it is no norm".into())),
    };
    book_bias(cx, g, y, affine.bias)?;
    let scaled = scale(cx, g, affine)?;
    cx.b.assume_shape(scaled, x);
    let scaled = if data == x { scaled } else { cx.b.reshape_like(scaled, data)? };
    let average = cx.b.reduce(ReduceKind::Mean, data, &axes, true)?;
    let centred = cx.b.sub(data, average)?;
    let square = cx.b.mul(centred, centred)?;
    let variance = cx.b.reduce(ReduceKind::Mean, square, &axes, true)?;
    let deviation = match node.op {
        Op::MeanVarianceNormalization(_) => {
            let deviation = cx.b.unary(Unary::Sqrt, variance)?;
            cx.b.add_scalar(deviation, 1e-9)?
        }
        _ => {
            let shifted = cx.b.add_scalar(variance, epsilon)?;
            cx.b.unary(Unary::Sqrt, shifted)?
        }
    };
    let over = cx.b.div(scaled, deviation)?;
    let signal = if mean {
        over
    } else {
        let average = cx.b.reduce(ReduceKind::Mean, over, &axes, true)?;
        cx.b.sub(over, average)?
    };
    cx.b.assume_shape(signal, data);
    if mean {
        let subtracted = cx.b.sub(centred, data)?;
        let kept = cx.b.mul(over, subtracted)?;
        let kept = if data == x { kept } else { cx.b.reshape_like(kept, x)? };
        cx.b.assume_shape(kept, x);
        cx.absorb(Class::Constant, kept)?;
    }
    let signal = if data == x { signal } else { cx.b.reshape_like(signal, x)? };
    Ok(Outcome::at(0, count, signal))
}

fn scale(cx: &mut Context<'_, '_>, g: ValueId, affine: Affine) -> Result<ValueId> {
    Ok(match affine.scale {
        Some(scale) => cx.b.mul(g, scale)?,
        None => g,
    })
}

/// Scale and bias as `[c, 1...]`, to broadcast against `[n, c, ...]`.
fn per_channel(cx: &mut Context<'_, '_>, node: &Node, rank: usize) -> Result<Affine> {
    let mut dims = vec![1i64; rank.saturating_sub(1)];
    if let Some(first) = dims.first_mut() {
        *first = -1;
    }
    let mut shaped = |i: usize| node.input(i).map(|v| cx.b.reshape_to(v, &dims)).transpose();
    Ok(Affine { scale: shaped(1)?, bias: shaped(2)? })
}

/// Books `g bias`.
fn book_bias(cx: &mut Context<'_, '_>, g: ValueId, y: ValueId, bias: Option<ValueId>) -> Result<()> {
    let Some(bias) = bias else { return Ok(()) };
    let kept = cx.b.mul(g, bias)?;
    cx.b.assume_shape(kept, y);
    cx.absorb(Class::Bias, kept)
}

/// Batch normalisation at inference is linear: `w = scale / sqrt(var + eps)`, bias `beta - w mean`.
fn batch(
    cx: &mut Context<'_, '_>,
    node: &Node,
    g: ValueId,
    [x, y]: [ValueId; 2],
    epsilon: f64,
) -> Result<Outcome> {
    let [Some(scale), Some(beta), Some(mean), Some(variance)] = [1, 2, 3, 4].map(|i| node.input(i)) else {
        return Err(Error::malformed("a batch normalisation without its parameters").into());
    };
    let mut dims = vec![1i64; cx.b.rank(x)?.saturating_sub(1)];
    if let Some(first) = dims.first_mut() {
        *first = -1;
    }
    let shifted = cx.b.add_scalar(variance, epsilon)?;
    let deviation = cx.b.unary(Unary::Sqrt, shifted)?;
    let w = cx.b.div(scale, deviation)?;
    let part = cx.b.mul(w, mean)?;
    let bias = cx.b.sub(beta, part)?;
    let (w, bias) = (cx.b.reshape_to(w, &dims)?, cx.b.reshape_to(bias, &dims)?);
    book_bias(cx, g, y, Some(bias))?;
    let signal = cx.b.mul(g, w)?;
    cx.b.assume_shape(signal, x);
    Ok(Outcome::at(0, node.inputs.len(), signal))
}
