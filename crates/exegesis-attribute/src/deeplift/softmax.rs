//! Softmax and its relatives, by the logarithmic mean `l = (y - y') / (ln y - ln y')` of the probabilities.
//!
//! With `u = x - logsumexp(x) = ln y`: `y - y' = l (u - u')`, and as probabilities sum to 1 on both sides,
//! `logsumexp(x) - logsumexp(x') = sum(l (x - x')) / sum(l)`. Both are exact, and `l` tends to `y`.

use exegesis_graph::op::{Binary, ReduceKind, Unary, Variadic};
use exegesis_graph::{DType, Error, Node, Op, ValueId};

use super::DeepLift;
use crate::Result;
use crate::rule::{Context, Outcome};

/// Softmax: `m_x = l (m - sum(m l) / sum(l))`. LogSoftmax: `m_x = m - sum(m) l / sum(l)`.
///
/// # Errors
/// The graph can't be treated.
pub fn backward(rules: &DeepLift, cx: &mut Context<'_, '_>, node: &Node, m: ValueId) -> Result<Outcome> {
    let (Some(x), Some(y)) = (node.input(0), node.output(0)) else {
        return Err(Error::malformed("a softmax without operand or output").into());
    };
    let rank = cx.b.rank(y)?;
    let signal = match &node.op {
        Op::Softmax(op) => {
            let axes = [cx.b.axis(op.axis, rank)?];
            let dy = rules.difference(cx, y)?;
            let l = logarithmic_mean(rules, cx, x, Some(dy), &axes)?;
            let weighted = cx.b.mul(m, l)?;
            let weighted = cx.b.reduce_sum(weighted, &axes, true)?;
            let sum = cx.b.reduce_sum(l, &axes, true)?;
            let mean = cx.b.div(weighted, sum)?;
            let centred = cx.b.sub(m, mean)?;
            cx.b.mul(l, centred)?
        }
        Op::LogSoftmax(op) => {
            let axes = [cx.b.axis(op.axis, rank)?];
            let share = shares(rules, cx, x, &axes)?;
            let sum = cx.b.reduce_sum(m, &axes, true)?;
            let part = cx.b.mul(sum, share)?;
            cx.b.sub(m, part)?
        }
        _ => return Ok(Outcome::NoRule("no DeepLIFT rule for this operator".into())),
    };
    cx.b.assume_shape(signal, x);
    Ok(Outcome::one(signal))
}

/// `l / sum(l)` over `axes`.
///
/// # Errors
/// The graph can't be treated.
pub fn shares(rules: &DeepLift, cx: &mut Context<'_, '_>, x: ValueId, axes: &[usize]) -> Result<ValueId> {
    let l = logarithmic_mean(rules, cx, x, None, axes)?;
    let sum = cx.b.reduce_sum(l, axes, true)?;
    let share = cx.b.div(l, sum)?;
    cx.b.assume_shape(share, x);
    Ok(share)
}

/// Where `|ln y - ln y'|` is below this, the logarithmic mean comes from its series.
const NEAR: f64 = 0.1;

/// The logarithmic mean of the softmax over `axes` of `x` and `x'`; `dy` is their difference, if it is at hand.
fn logarithmic_mean(
    rules: &DeepLift,
    cx: &mut Context<'_, '_>,
    x: ValueId,
    dy: Option<ValueId>,
    axes: &[usize],
) -> Result<ValueId> {
    let near = logarithm(cx, x, axes)?;
    let far = logarithm(cx, rules.counterpart(x), axes)?;
    let l = mean_of_exponentials(cx, [near, far], dy)?;
    cx.b.assume_shape(l, x);
    Ok(l)
}

/// The logarithmic mean of `exp(u)` and `exp(u')`, given `u` and `u'`, and the difference of the exponentials if it is at
/// hand.
///
/// Near each other, `l = exp((u + u')/2) sinh(h)/h` with `h = (u - u')/2` and `sinh(h)/h = 1 + h^2/6 + h^4/120`.
///
/// # Errors
/// The graph can't be treated.
pub fn mean_of_exponentials(
    cx: &mut Context<'_, '_>,
    [near, far]: [ValueId; 2],
    dy: Option<ValueId>,
) -> Result<ValueId> {
    let distance = cx.b.sub(near, far)?;
    let dy = match dy {
        Some(dy) => dy,
        None => {
            let (y, far) = (cx.b.unary(Unary::Exp, near)?, cx.b.unary(Unary::Exp, far)?);
            cx.b.sub(y, far)?
        }
    };
    let quotient = cx.b.div(dy, distance)?;
    let sum = cx.b.add(near, far)?;
    let middle = cx.b.mul_scalar(sum, 0.5)?;
    let middle = cx.b.unary(Unary::Exp, middle)?;
    // 1 + d^2/24 (1 + d^2/80), d = 2 h.
    let square = cx.b.mul(distance, distance)?;
    let series = cx.b.mul_scalar(square, 1.0 / 80.0)?;
    let series = cx.b.add_scalar(series, 1.0)?;
    let series = cx.b.mul(series, square)?;
    let series = cx.b.mul_scalar(series, 1.0 / 24.0)?;
    let series = cx.b.add_scalar(series, 1.0)?;
    let series = cx.b.mul(middle, series)?;
    let size = cx.b.abs(distance)?;
    let bound = cx.b.scalar(NEAR, size)?;
    let is_near = cx.b.op(Binary::LessOrEqual, &[size, bound])?;
    let l = cx.b.select(is_near, series, quotient)?;
    cx.b.assume_shape(l, near);
    Ok(l)
}

/// `x - logsumexp(x)` over `axes`. Masked cells may be minus infinity, of which there is no difference: `x` is bounded from
/// below by a number whose exponential is 0.
fn logarithm(cx: &mut Context<'_, '_>, x: ValueId, axes: &[usize]) -> Result<ValueId> {
    let lowest = if cx.b.dtype(x) == DType::F16 { -1e4 } else { -1e30 };
    let lowest = cx.b.scalar(lowest, x)?;
    let bounded = cx.b.op(Variadic::Max, &[x, lowest])?;
    let largest = cx.b.reduce(ReduceKind::Max, bounded, axes, true)?;
    let shifted = cx.b.sub(bounded, largest)?;
    let exp = cx.b.unary(Unary::Exp, shifted)?;
    let sum = cx.b.reduce_sum(exp, axes, true)?;
    let log = cx.b.unary(Unary::Log, sum)?;
    let logarithm = cx.b.sub(shifted, log)?;
    cx.b.assume_shape(logarithm, x);
    Ok(logarithm)
}
