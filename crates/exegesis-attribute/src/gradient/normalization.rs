//! Derivatives of softmax and the normalisations.

use exegesis_graph::op::{Binary, ReduceKind, Unary};
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

/// The normalisations, with respect to their data and to scale and bias where those vary.
///
/// With `n` the normalised data, `y = scale n + bias`: the bias gets `g`, the scale `g n`, each summed over what it is
/// broadcast along, and the data what [`project`] sends through the normalisation of `g scale`.
///
/// # Errors
/// The graph can't be treated.
pub fn backward(cx: &mut Context<'_, '_>, node: &Node, g: ValueId) -> Result<Outcome> {
    let (Some(x), Some(y)) = (node.input(0), node.output(0)) else {
        return Err(Error::malformed("a normalisation without operand or output").into());
    };
    let rank = cx.b.rank(x)?;
    let (normal, scaling) = match &node.op {
        Op::BatchNormalization(op) => return batch(cx, node, g, x, f64::from(op.epsilon)),
        Op::LpNormalization(op) => {
            let axis = cx.b.axis(op.axis, rank)?;
            return Ok(Outcome::one(lp(cx, op.p, axis, [x, y, g])?));
        }
        Op::MeanVarianceNormalization(op) => {
            let axes = op.axes.iter().map(|a| cx.b.axis(*a, rank)).collect::<Result<Vec<_>, _>>()?;
            return Ok(Outcome::one(mean_variance(cx, &axes, [x, y, g])?));
        }
        Op::LayerNormalization(op) => {
            let axes: Vec<usize> = (cx.b.axis(op.axis, rank)?..rank).collect();
            (standardise(cx, x, axes, f64::from(op.epsilon))?, Scaling::Broadcast)
        }
        Op::InstanceNormalization(op) => {
            (standardise(cx, x, (2..rank).collect(), f64::from(op.epsilon))?, Scaling::PerChannel)
        }
        Op::GroupNormalization(op) => {
            let grouped = cx.b.reshape_to(x, &[0, op.num_groups, -1])?;
            (standardise(cx, grouped, vec![2], f64::from(op.epsilon))?, Scaling::PerChannel)
        }
        Op::RmsNormalization(op) => {
            let axes: Vec<usize> = (cx.b.axis(op.axis, rank)?..rank).collect();
            let square = cx.b.mul(x, x)?;
            let mean = cx.b.reduce(ReduceKind::Mean, square, &axes, true)?;
            let shifted = cx.b.add_scalar(mean, f64::from(op.epsilon))?;
            let deviation = cx.b.unary(Unary::Sqrt, shifted)?;
            let n = cx.b.div(x, deviation)?;
            (Normal { n, deviation, axes, centred: false }, Scaling::Broadcast)
        }
        _ => unreachable!("called for normalisations"),
    };
    let mut signals = vec![None; node.inputs.len()];
    for i in cx.carrier_operands(node) {
        let Some(operand) = node.input(i) else { continue };
        signals[i] = Some(match i {
            0 => {
                let scaled = match (node.input(1), scaling) {
                    (None, _) => g,
                    (Some(scale), Scaling::Broadcast) => cx.b.mul(g, scale)?,
                    (Some(scale), Scaling::PerChannel) => {
                        let scale = per_channel(cx, scale, rank)?;
                        cx.b.mul(g, scale)?
                    }
                };
                let grouped = cx.b.shape(normal.n)? != cx.b.shape(x)?;
                let scaled = if grouped { cx.b.reshape_like(scaled, normal.n)? } else { scaled };
                let signal = project(cx, scaled, &normal)?;
                let signal = if grouped { cx.b.reshape_like(signal, x)? } else { signal };
                cx.b.assume_shape(signal, x);
                signal
            }
            1 => {
                let n = cx.b.reshape_like(normal.n, x)?;
                let weighted = cx.b.mul(g, n)?;
                scaling.gather(cx, weighted, operand)?
            }
            _ => scaling.gather(cx, g, operand)?,
        });
    }
    Ok(Outcome::Signals(signals))
}

/// Along which axes scale and bias are broadcast.
#[derive(Clone, Copy)]
enum Scaling {
    /// As the standard broadcasts them.
    Broadcast,
    /// Vectors over axis 1.
    PerChannel,
}

impl Scaling {
    /// `v`, of the shape of the data, summed to the shape of a scale or bias.
    fn gather(self, cx: &mut Context<'_, '_>, v: ValueId, parameter: ValueId) -> Result<ValueId> {
        match self {
            Self::Broadcast => Ok(cx.b.sum_to(v, parameter)?),
            Self::PerChannel => sum_channels(cx, v),
        }
    }
}

/// The sum over all axes but that of channels.
fn sum_channels(cx: &mut Context<'_, '_>, v: ValueId) -> Result<ValueId> {
    let axes: Vec<usize> = (0..cx.b.rank(v)?).filter(|a| *a != 1).collect();
    Ok(cx.b.reduce_sum(v, &axes, false)?)
}

/// Batch normalisation at inference, `y = scale (x - mean) / d + bias` with `d = sqrt(var + epsilon)` (Ioffe and Szegedy
/// 2015, algorithm 2), with respect to every operand.
fn batch(cx: &mut Context<'_, '_>, node: &Node, g: ValueId, x: ValueId, epsilon: f64) -> Result<Outcome> {
    let (Some(scale), Some(mean), Some(variance)) = (node.input(1), node.input(3), node.input(4)) else {
        return Err(Error::malformed("BatchNormalization lacks an operand").into());
    };
    let rank = cx.b.rank(x)?;
    let shifted = cx.b.add_scalar(variance, epsilon)?;
    let deviation = cx.b.unary(Unary::Sqrt, shifted)?;
    let factor = cx.b.div(scale, deviation)?;
    let mut signals = vec![None; node.inputs.len()];
    for i in cx.carrier_operands(node) {
        signals[i] = Some(match i {
            0 => {
                let factor = per_channel(cx, factor, rank)?;
                cx.b.mul(g, factor)?
            }
            1 | 4 => {
                // (x - mean) / d for the scale; of the variance, -1/2 scale (x - mean) / d^3.
                let mean = per_channel(cx, mean, rank)?;
                let centred = cx.b.sub(x, mean)?;
                let weighted = cx.b.mul(g, centred)?;
                let sum = sum_channels(cx, weighted)?;
                let over = cx.b.div(sum, deviation)?;
                match i {
                    1 => over,
                    _ => {
                        let slope = cx.b.div(factor, shifted)?;
                        let signal = cx.b.mul(sum, slope)?;
                        cx.b.mul_scalar(signal, -0.5)?
                    }
                }
            }
            2 => sum_channels(cx, g)?,
            _ => {
                let sum = sum_channels(cx, g)?;
                let signal = cx.b.mul(sum, factor)?;
                cx.b.unary(Unary::Neg, signal)?
            }
        });
    }
    Ok(Outcome::Signals(signals))
}

/// `y = x / |x|_p`: `(g - s sum(g y)) / |x|_p` with `s = y` for `p = 2` and `sign(x)` for `p = 1`; 0 for a line of zeros,
/// which the operator leaves as it is.
fn lp(cx: &mut Context<'_, '_>, p: i64, axis: usize, [x, y, g]: [ValueId; 3]) -> Result<ValueId> {
    let kind = if p == 2 { ReduceKind::L2 } else { ReduceKind::L1 };
    let norm = cx.b.reduce(kind, x, &[axis], true)?;
    let weighted = cx.b.mul(g, y)?;
    let sum = cx.b.reduce_sum(weighted, &[axis], true)?;
    let slope = if p == 2 { y } else { cx.b.unary(Unary::Sign, x)? };
    let part = cx.b.mul(slope, sum)?;
    let centred = cx.b.sub(g, part)?;
    let zero = cx.b.scalar(0.0, norm)?;
    let positive = cx.b.op(Binary::Greater, &[norm, zero])?;
    let quotient = cx.b.div(centred, norm)?;
    let signal = cx.b.select(positive, quotient, zero)?;
    cx.b.assume_shape(signal, x);
    Ok(signal)
}

/// `y = c / (d + 1e-9)` with `c = x - mean(x)` and `d` the deviation (ONNX operator reference,
/// `MeanVarianceNormalization` version 13): `(g - mean(g)) / (d + 1e-9) - y mean(g y) / d`, the second term 0 where
/// `d = 0`.
fn mean_variance(cx: &mut Context<'_, '_>, axes: &[usize], [x, y, g]: [ValueId; 3]) -> Result<ValueId> {
    let mean = cx.b.reduce(ReduceKind::Mean, x, axes, true)?;
    let centred = cx.b.sub(x, mean)?;
    let square = cx.b.mul(centred, centred)?;
    let variance = cx.b.reduce(ReduceKind::Mean, square, axes, true)?;
    let deviation = cx.b.unary(Unary::Sqrt, variance)?;
    let floored = cx.b.add_scalar(deviation, 1e-9)?;
    let mean = cx.b.reduce(ReduceKind::Mean, g, axes, true)?;
    let direct = cx.b.sub(g, mean)?;
    let direct = cx.b.div(direct, floored)?;
    let weighted = cx.b.mul(g, y)?;
    let along = cx.b.reduce(ReduceKind::Mean, weighted, axes, true)?;
    let zero = cx.b.scalar(0.0, deviation)?;
    let positive = cx.b.op(Binary::Greater, &[deviation, zero])?;
    let share = cx.b.div(along, deviation)?;
    let share = cx.b.select(positive, share, zero)?;
    let part = cx.b.mul(y, share)?;
    let signal = cx.b.sub(direct, part)?;
    cx.b.assume_shape(signal, x);
    Ok(signal)
}

/// Data divided by their root mean square, with or without their mean subtracted.
struct Normal {
    n: ValueId,
    deviation: ValueId,
    axes: Vec<usize>,
    centred: bool,
}

/// `(x - mean) / sqrt(var + eps)` over `axes`.
fn standardise(cx: &mut Context<'_, '_>, x: ValueId, axes: Vec<usize>, epsilon: f64) -> Result<Normal> {
    let mean = cx.b.reduce(ReduceKind::Mean, x, &axes, true)?;
    let centred = cx.b.sub(x, mean)?;
    let square = cx.b.mul(centred, centred)?;
    let variance = cx.b.reduce(ReduceKind::Mean, square, &axes, true)?;
    let shifted = cx.b.add_scalar(variance, epsilon)?;
    let deviation = cx.b.unary(Unary::Sqrt, shifted)?;
    let n = cx.b.div(centred, deviation)?;
    Ok(Normal { n, deviation, axes, centred: true })
}

/// `(g - [mean(g)] - n mean(g n)) / deviation`.
fn project(cx: &mut Context<'_, '_>, g: ValueId, normal: &Normal) -> Result<ValueId> {
    let weighted = cx.b.mul(g, normal.n)?;
    let along = cx.b.reduce(ReduceKind::Mean, weighted, &normal.axes, true)?;
    let part = cx.b.mul(normal.n, along)?;
    let mut out = cx.b.sub(g, part)?;
    if normal.centred {
        let mean = cx.b.reduce(ReduceKind::Mean, g, &normal.axes, true)?;
        out = cx.b.sub(out, mean)?;
    }
    Ok(cx.b.div(out, normal.deviation)?)
}

/// A vector over channels as `[c, 1, 1...]`, to broadcast against `[n, c, ...]`.
fn per_channel(cx: &mut Context<'_, '_>, v: ValueId, rank: usize) -> Result<ValueId> {
    let mut dims = vec![1i64; rank.saturating_sub(1)];
    if let Some(first) = dims.first_mut() {
        *first = -1;
    }
    Ok(cx.b.reshape_to(v, &dims)?)
}
