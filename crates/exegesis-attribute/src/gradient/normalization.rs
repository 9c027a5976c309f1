//! Derivatives of softmax and the normalisations.

use exegesis_graph::op::{ReduceKind, Unary};
use exegesis_graph::{Error, Node, Op, ValueId};

use crate::Result;
use crate::rule::{Context, Outcome};

/// Softmax: `y (g - sum(g y))`; LogSoftmax: `g - exp(y) sum(g)`.
///
/// # Errors
/// The graph can't be treated.
pub fn softmax(cx: &mut Context<'_, '_>, node: &Node, g: ValueId) -> Result<Outcome> {
    let y = node.output(0).ok_or_else(|| Error::malformed("a softmax without output"))?;
    let rank = cx.b.rank(y)?;
    let signal = match &node.op {
        Op::Softmax(op) => {
            let axis = cx.b.axis(op.axis, rank)?;
            let weighted = cx.b.mul(g, y)?;
            let mean = cx.b.reduce_sum(weighted, &[axis], true)?;
            let centred = cx.b.sub(g, mean)?;
            cx.b.mul(y, centred)?
        }
        Op::LogSoftmax(op) => {
            let axis = cx.b.axis(op.axis, rank)?;
            let sum = cx.b.reduce_sum(g, &[axis], true)?;
            let p = cx.b.unary(Unary::Exp, y)?;
            let part = cx.b.mul(p, sum)?;
            cx.b.sub(g, part)?
        }
        _ => unreachable!("called for the softmax family"),
    };
    Ok(Outcome::one(signal))
}

/// The normalisations with respect to their data.
///
/// # Errors
/// The graph can't be treated.
pub fn backward(cx: &mut Context<'_, '_>, node: &Node, g: ValueId) -> Result<Outcome> {
    if cx.carrier_operands(node) != [0] {
        return Ok(Outcome::NoRule("its scale or bias depends on the explained input".into()));
    }
    let (Some(x), Some(y)) = (node.input(0), node.output(0)) else {
        return Err(Error::malformed("a normalisation without operand or output").into());
    };
    let rank = cx.b.rank(x)?;
    let count = node.inputs.len();
    let signal = match &node.op {
        Op::BatchNormalization(op) => {
            let (Some(scale), Some(variance)) = (node.input(1), node.input(4)) else {
                return Err(Error::malformed("BatchNormalization without scale or variance").into());
            };
            let shifted = cx.b.add_scalar(variance, f64::from(op.epsilon))?;
            let deviation = cx.b.unary(Unary::Sqrt, shifted)?;
            let factor = cx.b.div(scale, deviation)?;
            let factor = per_channel(cx, factor, rank)?;
            cx.b.mul(g, factor)?
        }
        Op::LayerNormalization(op) => {
            let first = cx.b.axis(op.axis, rank)?;
            let axes: Vec<usize> = (first..rank).collect();
            let scaled = match node.input(1) {
                Some(scale) => cx.b.mul(g, scale)?,
                None => g,
            };
            standardised(cx, x, scaled, &axes, f64::from(op.epsilon))?
        }
        Op::InstanceNormalization(op) => {
            let axes: Vec<usize> = (2..rank).collect();
            let scale =
                node.input(1).ok_or_else(|| Error::malformed("InstanceNormalization without scale"))?;
            let scale = per_channel(cx, scale, rank)?;
            let scaled = cx.b.mul(g, scale)?;
            standardised(cx, x, scaled, &axes, f64::from(op.epsilon))?
        }
        Op::GroupNormalization(op) => {
            let scale = node.input(1).ok_or_else(|| Error::malformed("GroupNormalization without scale"))?;
            let scale = per_channel(cx, scale, rank)?;
            let scaled = cx.b.mul(g, scale)?;
            let groups = [0, op.num_groups, -1];
            let (grouped_x, grouped_g) = (cx.b.reshape_to(x, &groups)?, cx.b.reshape_to(scaled, &groups)?);
            let r = standardised(cx, grouped_x, grouped_g, &[2], f64::from(op.epsilon))?;
            cx.b.reshape_like(r, x)?
        }
        Op::RmsNormalization(op) => {
            // x / rms: (g - n mean(g n)) / rms with n = x / rms.
            let first = cx.b.axis(op.axis, rank)?;
            let axes: Vec<usize> = (first..rank).collect();
            let scaled = match node.input(1) {
                Some(scale) => cx.b.mul(g, scale)?,
                None => g,
            };
            let square = cx.b.mul(x, x)?;
            let mean = cx.b.reduce(ReduceKind::Mean, square, &axes, true)?;
            let shifted = cx.b.add_scalar(mean, f64::from(op.epsilon))?;
            let rms = cx.b.unary(Unary::Sqrt, shifted)?;
            let n = cx.b.div(x, rms)?;
            project(cx, scaled, n, rms, &axes, false)?
        }
        Op::LpNormalization(op) => {
            let axis = cx.b.axis(op.axis, rank)?;
            if op.p == 2 {
                let norm = cx.b.reduce(ReduceKind::L2, x, &[axis], true)?;
                // (g - y sum(g y)) / norm.
                let weighted = cx.b.mul(g, y)?;
                let sum = cx.b.reduce_sum(weighted, &[axis], true)?;
                let part = cx.b.mul(y, sum)?;
                let centred = cx.b.sub(g, part)?;
                cx.b.div(centred, norm)?
            } else {
                let norm = cx.b.reduce(ReduceKind::L1, x, &[axis], true)?;
                // (g - sign(x) sum(g y)) / norm.
                let weighted = cx.b.mul(g, y)?;
                let sum = cx.b.reduce_sum(weighted, &[axis], true)?;
                let sign = cx.b.unary(Unary::Sign, x)?;
                let part = cx.b.mul(sign, sum)?;
                let centred = cx.b.sub(g, part)?;
                cx.b.div(centred, norm)?
            }
        }
        _ => unreachable!("called for normalisations"),
    };
    cx.b.assume_shape(signal, x);
    Ok(Outcome::at(0, count, signal))
}

/// Derivative of `(x - mean) / sqrt(var + eps)` over `axes`.
fn standardised(
    cx: &mut Context<'_, '_>,
    x: ValueId,
    g: ValueId,
    axes: &[usize],
    epsilon: f64,
) -> Result<ValueId> {
    let mean = cx.b.reduce(ReduceKind::Mean, x, axes, true)?;
    let centred = cx.b.sub(x, mean)?;
    let square = cx.b.mul(centred, centred)?;
    let variance = cx.b.reduce(ReduceKind::Mean, square, axes, true)?;
    let shifted = cx.b.add_scalar(variance, epsilon)?;
    let deviation = cx.b.unary(Unary::Sqrt, shifted)?;
    let n = cx.b.div(centred, deviation)?;
    project(cx, g, n, deviation, axes, true)
}

/// `(g - [mean(g)] - n mean(g n)) / d`.
fn project(
    cx: &mut Context<'_, '_>,
    g: ValueId,
    n: ValueId,
    d: ValueId,
    axes: &[usize],
    centre: bool,
) -> Result<ValueId> {
    let weighted = cx.b.mul(g, n)?;
    let along = cx.b.reduce(ReduceKind::Mean, weighted, axes, true)?;
    let part = cx.b.mul(n, along)?;
    let mut out = cx.b.sub(g, part)?;
    if centre {
        let mean = cx.b.reduce(ReduceKind::Mean, g, axes, true)?;
        out = cx.b.sub(out, mean)?;
    }
    Ok(cx.b.div(out, d)?)
}

/// A vector over channels as `[c, 1, 1...]`, to broadcast against `[n, c, ...]`.
fn per_channel(cx: &mut Context<'_, '_>, v: ValueId, rank: usize) -> Result<ValueId> {
    let mut dims = vec![1i64; rank.saturating_sub(1)];
    if let Some(first) = dims.first_mut() {
        *first = -1;
    }
    Ok(cx.b.reshape_to(v, &dims)?)
}
