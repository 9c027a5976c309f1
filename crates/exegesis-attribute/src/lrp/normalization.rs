//! Normalisations: the division by the deviation is an identity, its divisor a constant; centring, scale and shift are
//! linear maps by the epsilon rule (Ali et al. 2022, arXiv 2202.07304; Achtibat et al. 2024, arXiv 2402.05602).

use exegesis_graph::op::{ReduceKind, Unary};
use exegesis_graph::{Error, Node, Op, ValueId};

use super::share::{STABILISER, Stabiliser};
use crate::Result;
use crate::ledger::Class;
use crate::linear::{Diagonal, diagonal};
use crate::rule::{Context, Outcome};

const DIVISION: Stabiliser = Stabiliser::Absolute(STABILISER);

/// The linear map that a normalisation is once its statistics are constants.
struct Frozen {
    /// Data, in groups where those are normalised by themselves.
    x: ValueId,
    axes: Vec<usize>,
    /// Added to the variance or mean square before the root.
    epsilon: f64,
    is_centred: bool,
    scale: Option<ValueId>,
    bias: Option<ValueId>,
}

/// Layer, RMS, instance, group and mean-variance normalisation, `y = scale (x - mean) / d + bias` with `d` constant:
/// `n = r / st(y)`, `u = scale n / d`, `R = x (u - mean(u))`, without the mean for RMS. The bias keeps `bias n`.
///
/// # Errors
/// Parameters that vary, or a graph that can't be treated.
pub fn backward(cx: &mut Context<'_, '_>, node: &Node, r: ValueId, zero_bias: bool) -> Result<Outcome> {
    let (Some(x), Some(y)) = (node.input(0), node.output(0)) else {
        return Err(Error::malformed("a normalisation without operand or output").into());
    };
    if cx.carrier_operands(node) != [0] {
        return Ok(Outcome::NoRule("its parameters depend on the explained input".into()));
    }
    let Some(frozen) = frozen(cx, node, x)? else {
        return Ok(Outcome::NoRule("no relevance rule for this normalisation".into()));
    };
    let z = match (frozen.bias, zero_bias) {
        (Some(bias), true) => cx.b.sub(y, bias)?,
        _ => y,
    };
    let n = DIVISION.share(cx, r, z, false)?;
    if let (Some(bias), false) = (frozen.bias, zero_bias) {
        let absorbed = cx.b.mul(n, bias)?;
        cx.b.assume_shape(absorbed, r);
        cx.absorb(Class::Bias, absorbed)?;
    }
    let mut u = match frozen.scale {
        Some(scale) => cx.b.mul(n, scale)?,
        None => n,
    };
    cx.b.assume_shape(u, x);
    let is_grouped = frozen.x != x;
    if is_grouped {
        u = cx.b.reshape_like(u, frozen.x)?;
    }
    let deviation = deviation(cx, &frozen)?;
    u = cx.b.div(u, deviation)?;
    if frozen.is_centred {
        let mean = cx.b.reduce(ReduceKind::Mean, u, &frozen.axes, true)?;
        u = cx.b.sub(u, mean)?;
    }
    if is_grouped {
        u = cx.b.reshape_like(u, x)?;
    }
    let relevance = cx.b.mul(x, u)?;
    cx.b.assume_shape(relevance, x);
    cx.sends_vanishing = true;
    Ok(Outcome::at(0, node.inputs.len(), relevance))
}

fn frozen(cx: &mut Context<'_, '_>, node: &Node, x: ValueId) -> Result<Option<Frozen>> {
    let rank = cx.b.rank(x)?;
    let (scale, bias) = (node.input(1), node.input(2));
    let trailing = |cx: &Context<'_, '_>, axis: i64| -> Result<Vec<usize>> {
        Ok((cx.b.axis(axis, rank)?..rank).collect())
    };
    Ok(Some(match &node.op {
        Op::LayerNormalization(op) => {
            let axes = trailing(cx, op.axis)?;
            Frozen { x, axes, epsilon: f64::from(op.epsilon), is_centred: true, scale, bias }
        }
        Op::RmsNormalization(op) => {
            let axes = trailing(cx, op.axis)?;
            Frozen { x, axes, epsilon: f64::from(op.epsilon), is_centred: false, scale, bias: None }
        }
        Op::InstanceNormalization(op) => {
            let (scale, bias) = (per_channel(cx, scale, rank)?, per_channel(cx, bias, rank)?);
            let axes = (2..rank).collect();
            Frozen { x, axes, epsilon: f64::from(op.epsilon), is_centred: true, scale, bias }
        }
        Op::GroupNormalization(op) => {
            let (scale, bias) = (per_channel(cx, scale, rank)?, per_channel(cx, bias, rank)?);
            let x = cx.b.reshape_to(x, &[0, op.num_groups, -1])?;
            Frozen { x, axes: vec![2], epsilon: f64::from(op.epsilon), is_centred: true, scale, bias }
        }
        Op::MeanVarianceNormalization(op) => {
            let axes = op.axes.iter().map(|a| cx.b.axis(*a, rank)).collect::<Result<Vec<_>, _>>()?;
            Frozen { x, axes, epsilon: 0.0, is_centred: true, scale: None, bias: None }
        }
        _ => return Ok(None),
    }))
}

/// `d` as the operator computes it.
fn deviation(cx: &mut Context<'_, '_>, frozen: &Frozen) -> Result<ValueId> {
    let mut data = frozen.x;
    if frozen.is_centred {
        let mean = cx.b.reduce(ReduceKind::Mean, data, &frozen.axes, true)?;
        data = cx.b.sub(data, mean)?;
    }
    let square = cx.b.mul(data, data)?;
    let mean = cx.b.reduce(ReduceKind::Mean, square, &frozen.axes, true)?;
    if frozen.epsilon == 0.0 {
        // The operator adds 1e-9 to the deviation (ONNX operator reference, MeanVarianceNormalization version 13).
        let deviation = cx.b.unary(Unary::Sqrt, mean)?;
        return Ok(cx.b.add_scalar(deviation, 1e-9)?);
    }
    let shifted = cx.b.add_scalar(mean, frozen.epsilon)?;
    Ok(cx.b.unary(Unary::Sqrt, shifted)?)
}

/// A vector over channels as `[c, 1, ...]`, to broadcast against `[n, c, ...]`.
fn per_channel(cx: &mut Context<'_, '_>, v: Option<ValueId>, rank: usize) -> Result<Option<ValueId>> {
    let Some(v) = v else { return Ok(None) };
    let mut dims = vec![1i64; rank.saturating_sub(1)];
    if let Some(first) = dims.first_mut() {
        *first = -1;
    }
    Ok(Some(cx.b.reshape_to(v, &dims)?))
}

/// Batch normalisation at inference as a linear map of one term per unit, `y = w x + b` with `w = scale / sqrt(var + eps)` and
/// `b = shift - w mean`: `R = w x / st(y) r`. For those that no neighbouring layer takes in.
///
/// # Errors
/// Parameters that vary, or a graph that can't be treated.
pub fn batch(
    cx: &mut Context<'_, '_>,
    node: &Node,
    r: ValueId,
    is_rectified: bool,
    zero_bias: bool,
) -> Result<Outcome> {
    let Diagonal { x, w, bias } = match diagonal(cx, node)? {
        Ok(map) => map,
        Err(reason) => return Ok(Outcome::NoRule(reason.into())),
    };
    let y = node.output(0).ok_or_else(|| Error::malformed("a batch normalisation without output"))?;
    let term = cx.b.mul(x, w)?;
    cx.b.assume_shape(term, x);
    let n = match zero_bias {
        true => DIVISION.share(cx, r, term, false)?,
        false => {
            let n = DIVISION.share(cx, r, y, is_rectified)?;
            let absorbed = cx.b.mul(n, bias)?;
            cx.b.assume_shape(absorbed, x);
            cx.absorb(Class::Bias, absorbed)?;
            n
        }
    };
    let relevance = cx.b.mul(n, term)?;
    cx.b.assume_shape(relevance, x);
    cx.sends_vanishing = true;
    Ok(Outcome::at(0, node.inputs.len(), relevance))
}
