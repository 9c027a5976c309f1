//! Contrastive mode (specification 4.2): two channels of non-negative relevance flow together, one for the seeded outcome
//! and one for its alternatives. At each unit the channel that dominates takes the terms that agree with the sign of the
//! unit, the other channel those that disagree; where all terms have one sign they carry both.

use exegesis_graph::op::{self, HardSigmoid, Unary};
use exegesis_graph::{Error, Node, Op, ValueId};

use super::DEAD;
use crate::Result;
use crate::ledger::Class;
use crate::linear::{Coefficients, LinearMap};
use crate::linear::{einsum_adjoint, is_reversible_einsum, matmul_adjoint_left, matmul_adjoint_right};
use crate::rule::{Context, Outcome};

/// What a unit's sum looks like: `P` is the sum of its positive terms, `N` of the magnitudes of its negative ones.
pub struct Unit {
    /// `P + N`, at least [`DEAD`].
    pub magnitude: ValueId,
    /// The same less what a bias may leave of its rounding in `sum`: [`DEAD`] where no terms are told from none, and no more
    /// than the size of `sum` where a second side is not.
    pub told: ValueId,
    /// `P - N`.
    pub sum: ValueId,
    /// What decides which side agrees: `P + b - N`.
    pub output: ValueId,
    /// Terms of a unit, for the rounding of its sums.
    pub fan_in: usize,
    /// True if a unit without terms may have an output other than 0.
    pub has_bias: bool,
}

/// How a channel's relevance goes to the terms `c` of a unit: `even |c| + odd c`.
#[derive(Clone, Copy)]
pub struct Route {
    /// Half the sum of the coefficients of positive and negative terms.
    pub even: ValueId,
    /// Half their difference.
    pub odd: ValueId,
}

/// The routes of both channels.
///
/// A channel of relevance `r` that takes side `s` (1 or -1) gives `r / Q |c|` to each term of that sign, `Q` being `P` or
/// `N`; so `even = r / (A + s z)` and `odd = s even` with `A = P + N`, `z = P - N`. Sides: `s = 1` for the positive channel
/// where `(rp - rn) (z + b) > 0`, else `-1`, and the reverse for the negative one; where `|z| > (1 - tau) A` all terms have
/// one sign up to rounding, `tau = 8 sqrt(fan-in) 2^-24`, and both channels take it. Products of `rp - rn` and the output
/// below 3e-39 count as ties. What units without terms had is booked as dead.
///
/// # Errors
/// The graph can't be treated.
pub fn routes(cx: &mut Context<'_, '_>, r: [ValueId; 2], unit: &Unit) -> Result<[Route; 2]> {
    let shaped = |cx: &mut Context<'_, '_>, v: ValueId| {
        cx.b.assume_shape(v, r[0]);
        v
    };
    let difference = cx.b.sub(r[0], r[1])?;
    let agreement = cx.b.mul(difference, unit.output)?;
    let agrees = cx.b.op(HardSigmoid { alpha: f32::MAX, beta: 0.0 }, &[agreement])?;
    let side = cx.b.add_scalar(agrees, -0.5)?;
    let side = shaped(cx, side);

    // 1 or -1 where |z| / A > 1 / (1 + tau), A less the rounding of a bias, else 0.
    let tau = 8.0 * (unit.fan_in.max(1) as f64).sqrt() * 2f64.powi(-24);
    let scaled = cx.b.mul_scalar(unit.sum, 0.5 * (1.0 + tau.min(0.1)))?;
    let ratio = cx.b.div(scaled, unit.told)?;
    let lone = cx.b.unary(Unary::Round, ratio)?;
    let low = cx.b.scalar(-0.5, side)?;
    let high = cx.b.scalar(0.5, side)?;
    let twice = cx.b.mul_scalar(unit.sum, 2.0)?;

    let mut routes = Vec::with_capacity(2);
    for (channel, r) in r.into_iter().enumerate() {
        cx.enter(channel);
        let wanted = if channel == 0 { cx.b.add(lone, side)? } else { cx.b.sub(lone, side)? };
        let half_side = cx.b.op(op::Clip {}, &[wanted, low, high])?;
        let half_side = shaped(cx, half_side);
        let towards = cx.b.mul(half_side, twice)?;
        let chosen = cx.b.add(unit.magnitude, towards)?;
        let alive = match cx.vanishes && !unit.has_bias {
            true => r,
            false => super::linear_core::alive(cx, r, unit.told)?,
        };
        let even = cx.b.div(alive, chosen)?;
        let even = shaped(cx, even);
        let odd = cx.b.mul(half_side, even)?;
        let odd = cx.b.add(odd, odd)?;
        routes.push(Route { even, odd: shaped(cx, odd) });
    }
    cx.enter(0);
    match routes.as_slice() {
        [positive, negative] => Ok([*positive, *negative]),
        _ => Err(Error::malformed("two channels make two routes").into()),
    }
}

/// Relevance of both channels on the operand of a linear map: `|x| |W|^T even + x W^T odd`. The bias takes nothing; it
/// steers which side agrees.
///
/// # Errors
/// The graph can't be treated.
pub fn linear(cx: &mut Context<'_, '_>, map: &LinearMap, r: [ValueId; 2]) -> Result<[ValueId; 2]> {
    let unit = linear_unit(cx, map, r[0])?;
    let routes = routes(cx, r, &unit)?;
    let mut signals = [map.x; 2];
    for (channel, route) in routes.into_iter().enumerate() {
        cx.enter(channel);
        signals[channel] = spread(cx, map, route)?;
        cx.sends_vanishing = true;
    }
    cx.enter(0);
    Ok(signals)
}

/// The units of a linear map.
fn linear_unit(cx: &mut Context<'_, '_>, map: &LinearMap, like: ValueId) -> Result<Unit> {
    let output = map.output()?;
    let x = cx.b.abs(map.x)?;
    let fan_in = map.fan_in(cx)?;
    let magnitude = map.magnitude(cx, x, None, DEAD)?;
    cx.b.assume_shape(magnitude, like);
    let (told, sum) = match map.bias {
        None => (magnitude, output),
        Some(bias) => {
            // The sum is the output less the bias; what the output's rounding leaves of it is no more than 2^-22 of the bias,
            // and a side below that is not told from none. Shares are by the magnitude itself, or they would not sum to all.
            let size = cx.b.abs(bias)?;
            let blur = cx.b.mul_scalar(size, 2f64.powi(-22))?;
            let told = cx.b.sub(magnitude, blur)?;
            let floor = cx.b.scalar(DEAD, told)?;
            (cx.b.op(op::Clip {}, &[told, floor])?, cx.b.sub(output, bias)?)
        }
    };
    cx.b.assume_shape(told, like);
    cx.b.assume_shape(sum, like);
    Ok(Unit { magnitude, told, sum, output, fan_in, has_bias: map.bias.is_some() })
}

/// `|x| |W|^T even + x W^T odd`; for `x >= 0` as `x (W+^T (even + odd) + W-^T (even - odd))`, which adds no terms of
/// different sign.
///
/// # Errors
/// The graph can't be treated.
pub fn spread(cx: &mut Context<'_, '_>, map: &LinearMap, route: Route) -> Result<ValueId> {
    let Route { even, odd } = route;
    let relevance = if cx.b.is_non_negative(map.x) && map.splits() {
        let (plus, minus) = (cx.b.add(even, odd)?, cx.b.sub(even, odd)?);
        let plus = map.adjoint(cx, plus, Coefficients::Positive)?;
        let minus = map.adjoint(cx, minus, Coefficients::Negative)?;
        let back = cx.b.add(plus, minus)?;
        cx.b.mul(map.x, back)?
    } else {
        let magnitude = cx.b.abs(map.x)?;
        let even = map.adjoint(cx, even, Coefficients::Absolute)?;
        let odd = map.adjoint(cx, odd, Coefficients::Signed)?;
        let even = cx.b.mul(magnitude, even)?;
        let odd = cx.b.mul(map.x, odd)?;
        cx.b.add(even, odd)?
    };
    cx.b.assume_shape(relevance, map.x);
    Ok(relevance)
}

/// Sums of values, with signs: term `k` is `sign_k a_k`.
///
/// # Errors
/// The graph can't be treated.
pub fn sum(
    cx: &mut Context<'_, '_>,
    node: &Node,
    r: [ValueId; 2],
    signs: &[f64],
) -> Result<[Vec<Option<ValueId>>; 2]> {
    let operands: Vec<ValueId> = node.inputs.iter().flatten().copied().collect();
    let output = node.output(0).ok_or_else(|| Error::malformed("a sum without output"))?;
    let mut total: Option<ValueId> = None;
    let mut magnitudes = vec![];
    for operand in &operands {
        let magnitude = cx.b.abs(*operand)?;
        magnitudes.push(magnitude);
        total = Some(match total {
            None => magnitude,
            Some(before) => cx.b.add(before, magnitude)?,
        });
    }
    let total = total.ok_or_else(|| Error::malformed("a sum of nothing"))?;
    let magnitude = cx.b.add_scalar(total, DEAD)?;
    cx.b.assume_shape(magnitude, r[0]);
    let sum = match &node.op {
        Op::Variadic(op::Variadic::Mean) => cx.b.mul_scalar(output, operands.len() as f64)?,
        _ => output,
    };
    let unit = Unit { magnitude, told: magnitude, sum, output, fan_in: operands.len(), has_bias: false };
    let routes = routes(cx, r, &unit)?;
    let mut signals = [vec![], vec![]];
    for (channel, route) in routes.into_iter().enumerate() {
        cx.enter(channel);
        cx.sends_vanishing = true;
        for (k, (operand, magnitude)) in operands.iter().zip(&magnitudes).enumerate() {
            let even = cx.b.mul(route.even, *magnitude)?;
            let odd = cx.b.mul(route.odd, *operand)?;
            let part = match signs.get(k).is_some_and(|s| *s < 0.0) {
                false => cx.b.add(even, odd)?,
                true => cx.b.sub(even, odd)?,
            };
            cx.b.assume_shape(part, r[0]);
            signals[channel].push(if cx.carries(node, k) {
                Some(cx.b.sum_to(part, *operand)?)
            } else {
                cx.absorb(Class::of_term(node), part)?;
                None
            });
        }
    }
    cx.enter(0);
    Ok(signals)
}

/// Products of two activations: the terms `A_ik B_kj` of each output, half of a term's relevance to each factor (specification
/// 5.4): `R_A = |A| (even |B|^T) / 2 + A (odd B^T) / 2`.
///
/// # Errors
/// The graph can't be treated.
pub fn bilinear(cx: &mut Context<'_, '_>, node: &Node, r: [ValueId; 2]) -> Result<Vec<Outcome>> {
    let refuse = |reason: &str| Ok(vec![Outcome::NoRule(reason.to_string())]);
    let operands: Vec<ValueId> = node.inputs.iter().flatten().copied().collect();
    let &[a, b] = operands.as_slice() else {
        return refuse("only products of two operands have a rule");
    };
    if matches!(node.op, Op::Einsum(_)) && !(0..2).all(|i| is_reversible_einsum(node, i)) {
        return refuse("its equation can't be reversed");
    }
    let output = node.output(0).ok_or_else(|| Error::malformed("a product without output"))?;
    let (abs_a, abs_b) = (cx.b.abs(a)?, cx.b.abs(b)?);
    let product = |cx: &mut Context<'_, '_>, p: ValueId, q: ValueId| match &node.op {
        Op::Einsum(einsum) => cx.b.op(einsum.clone(), &[p, q]),
        _ => cx.b.op(op::MatMul {}, &[p, q]),
    };
    let magnitude = product(cx, abs_a, abs_b)?;
    let magnitude = cx.b.add_scalar(magnitude, DEAD)?;
    cx.b.assume_shape(magnitude, r[0]);
    let fan_in = cx.b.shape(a)?.last().and_then(exegesis_graph::Dim::fixed).unwrap_or(MANY_TERMS);
    let unit = Unit { magnitude, told: magnitude, sum: output, output, fan_in, has_bias: false };
    let routes = routes(cx, r, &unit)?;
    let mut outcomes = vec![];
    for (channel, route) in routes.into_iter().enumerate() {
        cx.enter(channel);
        cx.sends_vanishing = true;
        let even = cx.b.mul_scalar(route.even, 0.5)?;
        let odd = cx.b.mul_scalar(route.odd, 0.5)?;
        let mut signals = vec![];
        for (index, (operand, magnitude)) in [(a, abs_a), (b, abs_b)].into_iter().enumerate() {
            let mut back = |g: ValueId, other: ValueId| match (&node.op, index) {
                (Op::Einsum(_), _) => einsum_adjoint(cx, node, g, &[other], operand, index),
                (_, 0) => matmul_adjoint_left(cx, g, other, operand),
                _ => matmul_adjoint_right(cx, g, other, operand),
            };
            let (of_magnitudes, of_values) = match index {
                0 => (back(even, abs_b)?, back(odd, b)?),
                _ => (back(even, abs_a)?, back(odd, a)?),
            };
            let of_magnitudes = cx.b.mul(magnitude, of_magnitudes)?;
            let of_values = cx.b.mul(operand, of_values)?;
            let signal = cx.b.add(of_magnitudes, of_values)?;
            cx.b.assume_shape(signal, operand);
            signals.push(Some(signal));
        }
        outcomes.push(Outcome::Signals(signals));
    }
    cx.enter(0);
    Ok(outcomes)
}

/// Terms that a unit is taken to have where their number is not known.
pub const MANY_TERMS: usize = 4096;
