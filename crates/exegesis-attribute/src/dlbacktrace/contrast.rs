//! Contrastive mode (specification 4.2): two channels of non-negative relevance flow together, one for the seeded outcome
//! and one for its alternatives. At each unit the channel that dominates takes the terms that agree with the sign of the
//! unit, the other channel those that disagree; where all terms have one sign they carry both.

mod bilinear;
mod two_terms;

use exegesis_graph::op::{self, HardSigmoid};
use exegesis_graph::{Error, Node, Op, ValueId};

use super::DEAD;
use crate::Result;
use crate::ledger::Class;
use crate::linear::{Coefficients, LinearMap};
use crate::rule::Context;
pub use bilinear::bilinear;

/// What a unit's sum looks like: `P` is the sum of its positive terms, `N` of the magnitudes of its negative ones.
pub struct Unit {
    /// `(P + N) / 2`, at least [`DEAD`].
    pub half_magnitude: ValueId,
    /// `P - N`.
    pub sum: ValueId,
    /// How far `sum` may be off by the rounding of a bias, if there is one.
    pub blur: Option<ValueId>,
    /// What decides which side agrees: `P + b - N`.
    pub output: ValueId,
    /// Terms of a unit, for the rounding of its sums.
    pub fan_in: usize,
}

/// How a channel's relevance goes to the terms `c` of a unit: `whole |c| / 2 + odd c`, or with `- odd c`.
#[derive(Clone, Copy)]
pub struct Route {
    /// The sum of the coefficients of positive and negative terms.
    pub whole: ValueId,
    /// Half their difference, or half that of negative and positive ones.
    pub odd: ValueId,
    /// True where `odd` is the first of these.
    pub adds: bool,
}

impl Route {
    /// `even + odd` or `even - odd`, for the two parts of a sum of terms.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn join(&self, cx: &mut Context<'_, '_>, even: ValueId, odd: ValueId) -> Result<ValueId> {
        Ok(if self.adds { cx.b.add(even, odd)? } else { cx.b.sub(even, odd)? })
    }
}

/// Steep enough to be a step between neighbouring numbers at 1, and finite when multiplied with 2.
const STEEP: f64 = 1e9;

/// The routes of both channels.
///
/// A channel of relevance `r` that takes the terms of sign `s` gives `r / Q |c|` to each, `Q` being `P` or `N`. With `A = P + N`,
/// `z = P - N` and `h = s / 2` that is `m (|c| / 2 + h c)`, `m = r / (A / 2 + h z)`. The positive channel has `h = 1/2` where
/// `(rp - rn) (z + b) > 0`, else `-1/2`, the negative channel the reverse. Where all terms have one sign up to rounding,
/// `|z| > (1 - tau) A` with `tau = 8 sqrt(fan-in) 2^-24`, `h = 0` for both: each shares by magnitude. Products of `rp - rn` and
/// the output below 3e-39 count as ties. What units without terms had is booked as dead.
///
/// # Errors
/// The graph can't be treated.
pub fn routes(cx: &mut Context<'_, '_>, r: [ValueId; 2], unit: &Unit) -> Result<[Route; 2]> {
    let difference = cx.b.sub(r[0], r[1])?;
    let agreement = cx.b.mul(difference, unit.output)?;
    let agrees = cx.b.op(HardSigmoid { alpha: f32::MAX, beta: 0.0 }, &[agreement])?;
    let side = cx.b.add_scalar(agrees, -0.5)?;

    let tau = (8.0 * (unit.fan_in.max(1) as f64).sqrt() * 2f64.powi(-24)).min(0.1);
    let mut size = cx.b.abs(unit.sum)?;
    if let Some(blur) = unit.blur {
        size = cx.b.add(size, blur)?;
    }
    let ratio = cx.b.div(size, unit.half_magnitude)?;
    let steep = HardSigmoid { alpha: -STEEP as f32, beta: (STEEP * 2.0 * (1.0 - tau)) as f32 };
    let is_mixed = cx.b.op(steep, &[ratio])?;
    let side = cx.b.mul(side, is_mixed)?;
    cx.b.assume_shape(side, r[0]);
    let towards = cx.b.mul(side, unit.sum)?;

    let mut routes = Vec::with_capacity(2);
    for (channel, r) in r.into_iter().enumerate() {
        cx.enter(channel);
        let adds = channel == 0;
        let chosen = match adds {
            true => cx.b.add(unit.half_magnitude, towards)?,
            false => cx.b.sub(unit.half_magnitude, towards)?,
        };
        let alive = match cx.vanishes && unit.blur.is_none() {
            true => r,
            false => super::linear_core::alive(cx, r, unit.half_magnitude)?,
        };
        let whole = cx.b.div(alive, chosen)?;
        cx.b.assume_shape(whole, r);
        let odd = cx.b.mul(side, whole)?;
        cx.b.assume_shape(odd, r);
        routes.push(Route { whole, odd, adds });
    }
    cx.enter(0);
    match routes.as_slice() {
        [positive, negative] => Ok([*positive, *negative]),
        _ => Err(Error::malformed("two channels make two routes").into()),
    }
}

/// Relevance of both channels on the operand of a linear map, see [`spread`]. The bias takes nothing; it steers which side
/// agrees.
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
    let half_magnitude = map.half_magnitude(cx, x, DEAD)?;
    cx.b.assume_shape(half_magnitude, like);
    let (blur, sum) = match map.bias {
        None => (None, output),
        Some(bias) => {
            // The sum is the output less the bias; what the output's rounding leaves of it is no more than 2^-22 of the bias.
            let size = cx.b.abs(bias)?;
            let blur = cx.b.mul_scalar(size, 2f64.powi(-22))?;
            (Some(blur), cx.b.sub(output, bias)?)
        }
    };
    cx.b.assume_shape(sum, like);
    Ok(Unit { half_magnitude, sum, blur, output, fan_in })
}

/// `|x| (|W| / 2)^T whole + x W^T odd`.
///
/// # Errors
/// The graph can't be treated.
pub fn spread(cx: &mut Context<'_, '_>, map: &LinearMap, route: Route) -> Result<ValueId> {
    let Route { whole, odd, .. } = route;
    let magnitude = cx.b.abs(map.x)?;
    let relevance = if magnitude == map.x {
        let back = map.adjoint_of_route(cx, whole, odd, route.adds)?;
        cx.b.mul(map.x, back)?
    } else {
        let of_magnitudes = map.half_adjoint(cx, whole)?;
        let of_values = map.adjoint(cx, odd, Coefficients::Signed)?;
        let even = cx.b.mul(magnitude, of_magnitudes)?;
        let odd = cx.b.mul(map.x, of_values)?;
        route.join(cx, even, odd)?
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
    if let (&[a, b], [true, true]) = (operands.as_slice(), [0, 1].map(|i| cx.carries(node, i))) {
        let shape = cx.b.shape(output)?;
        if [a, b].iter().all(|v| cx.b.shape(*v).is_ok_and(|s| s == shape)) {
            return two_terms::share(cx, a, output, r);
        }
    }
    let mut total: Option<ValueId> = None;
    let mut halves = vec![];
    for operand in &operands {
        let magnitude = cx.b.abs(*operand)?;
        let half = cx.b.mul_scalar(magnitude, 0.5)?;
        halves.push(half);
        total = Some(match total {
            None => half,
            Some(before) => cx.b.add(before, half)?,
        });
    }
    let total = total.ok_or_else(|| Error::malformed("a sum of nothing"))?;
    let half_magnitude = cx.b.add_scalar(total, DEAD)?;
    cx.b.assume_shape(half_magnitude, r[0]);
    let sum = match &node.op {
        Op::Variadic(op::Variadic::Mean) => cx.b.mul_scalar(output, operands.len() as f64)?,
        _ => output,
    };
    let unit = Unit { half_magnitude, sum, blur: None, output, fan_in: operands.len() };
    let routes = routes(cx, r, &unit)?;
    let mut signals = [vec![], vec![]];
    for (channel, route) in routes.into_iter().enumerate() {
        cx.enter(channel);
        cx.sends_vanishing = true;
        for (k, (operand, half)) in operands.iter().zip(&halves).enumerate() {
            let even = cx.b.mul(route.whole, *half)?;
            let odd = cx.b.mul(route.odd, *operand)?;
            let adds = route.adds != signs.get(k).is_some_and(|s| *s < 0.0);
            let part = Route { adds, ..route }.join(cx, even, odd)?;
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

/// Terms that a unit is taken to have where their number is not known.
pub const MANY_TERMS: usize = 4096;
