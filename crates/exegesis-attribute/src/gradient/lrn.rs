//! Derivative of local response normalisation.

use exegesis_graph::op::AveragePool;
use exegesis_graph::{Error, Node, Op, ValueId};

use crate::Result;
use crate::rule::{Context, Outcome};

/// `y_c = x_c s_c^-beta` with `s_c = bias + alpha / size sum_{k in N(c)} x_k^2` over the neighbouring channels `N(c)`
/// (Krizhevsky et al. 2012, section 3.3; ONNX operator reference, `LRN` version 13):
/// `dL/dx_k = g_k s_k^-beta - 2 alpha beta / size x_k sum_{c: k in N(c)} g_c y_c / s_c`.
///
/// # Errors
/// The graph can't be treated.
pub fn backward(cx: &mut Context<'_, '_>, node: &Node, g: ValueId) -> Result<Outcome> {
    let (Op::Lrn(op), Some(x), Some(y)) = (&node.op, node.input(0), node.output(0)) else {
        return Err(Error::malformed("LRN without operand or output").into());
    };
    if op.size < 1 {
        return Err(Error::malformed(format!("`size` is {}", op.size)).into());
    }
    let (alpha, beta) = (f64::from(op.alpha), f64::from(op.beta));
    let (before, after) = ((op.size - 1) / 2, op.size / 2);
    let square = cx.b.mul(x, x)?;
    // Means over `size` channels, absent ones as zeros: the division by `size` is in them.
    let mean = channel_means(cx, square, before, after)?;
    let scaled = cx.b.mul_scalar(mean, alpha)?;
    let s = cx.b.add_scalar(scaled, f64::from(op.bias))?;
    let exponent = cx.b.scalar(-beta, x)?;
    let power = cx.b.pow(s, exponent)?;
    let direct = cx.b.mul(g, power)?;
    let weighted = cx.b.mul(g, y)?;
    let weighted = cx.b.div(weighted, s)?;
    // A channel is in the windows that reach back to it: the window mirrored.
    let gathered = channel_means(cx, weighted, after, before)?;
    let part = cx.b.mul(x, gathered)?;
    let part = cx.b.mul_scalar(part, 2.0 * alpha * beta)?;
    let signal = cx.b.sub(direct, part)?;
    cx.b.assume_shape(signal, x);
    Ok(Outcome::one(signal))
}

/// For each channel of `v [n, c, d...]`, the sum over `before` channels before it, itself and `after` behind it, divided
/// by their number; channels that do not exist count as 0.
///
/// # Errors
/// The graph can't be treated.
pub fn channel_means(cx: &mut Context<'_, '_>, v: ValueId, before: i64, after: i64) -> Result<ValueId> {
    let size = before + 1 + after;
    if size == 1 {
        return Ok(v);
    }
    let image = cx.b.unsqueeze(v, &[1])?;
    let image = match cx.b.rank(v)? {
        2 => cx.b.unsqueeze(image, &[3])?,
        _ => cx.b.reshape_to(image, &[0, 0, 0, -1])?,
    };
    let pool = AveragePool {
        kernel_shape: vec![size, 1],
        strides: vec![1, 1],
        pads: vec![before, 0, after, 0],
        count_include_pad: true,
        ..AveragePool::default()
    };
    let means = cx.b.op(pool, &[image])?;
    Ok(cx.b.reshape_like(means, v)?)
}
