//! The rule for everything that is linear in its carrier operand (specification 4.1).

use exegesis_graph::ValueId;
use exegesis_graph::op::HardSigmoid;

use super::DEAD;
use crate::Result;
use crate::ledger::Class;
use crate::linear::{ClassRows, Coefficients, LinearMap};
use crate::rule::Context;

/// `D = |W| |x| + |b|`, `R = |x| * |W|^T (r / D)`; a unit with `D = 0` passes nothing.
///
/// Books `|b| / D * r` as bias and `r` of units with `D = 0` as dead.
///
/// # Errors
/// The graph can't be treated.
pub fn default_mode(cx: &mut Context<'_, '_>, map: &LinearMap, r: ValueId) -> Result<ValueId> {
    if let Some(rows) = map.class_rows(cx)? {
        return one_class(cx, map, &rows);
    }
    let magnitude = cx.b.abs(map.x)?;
    let d = map.total_magnitude(cx, magnitude, DEAD)?;
    cx.b.assume_shape(d, r);
    let n = share_of(cx, r, d)?;
    if let Some(bias) = map.bias {
        let bias = cx.b.abs(bias)?;
        let absorbed = map.weigh_outputs(cx, n, bias)?;
        cx.absorb(Class::Bias, absorbed)?;
    }
    let back = map.adjoint(cx, n, Coefficients::Absolute)?;
    let relevance = cx.b.mul(magnitude, back)?;
    cx.b.assume_shape(relevance, map.x);
    cx.sends_vanishing = true;
    Ok(relevance)
}

/// The same for the only class with relevance: `R = |w| |x| r / (sum |w| |x| + |b|)`.
fn one_class(cx: &mut Context<'_, '_>, map: &LinearMap, rows: &ClassRows) -> Result<ValueId> {
    let (magnitude, weight) = (cx.b.abs(map.x)?, cx.b.abs(rows.weight)?);
    let parts = cx.b.mul(magnitude, weight)?;
    cx.b.assume_shape(parts, map.x);
    let last = cx.b.rank(parts)? - 1;
    let mut d = cx.b.reduce_sum(parts, &[last], true)?;
    let bias = match rows.bias {
        Some(bias) => Some(cx.b.abs(bias)?),
        None => None,
    };
    if let Some(bias) = bias {
        d = cx.b.add(d, bias)?;
    }
    let n = safe_share(cx, rows.amount, d)?;
    if let Some(bias) = bias {
        let absorbed = cx.b.mul(n, bias)?;
        cx.absorb(Class::Bias, absorbed)?;
    }
    let relevance = cx.b.mul(parts, n)?;
    cx.b.assume_shape(relevance, map.x);
    cx.sends_vanishing = true;
    Ok(relevance)
}

/// `r / d`, and 0 where `d` is 0; what those units had is booked as dead. For a sum of magnitudes `d` without its floor.
///
/// # Errors
/// The graph can't be treated.
pub fn safe_share(cx: &mut Context<'_, '_>, r: ValueId, d: ValueId) -> Result<ValueId> {
    let floored = cx.b.add_scalar(d, DEAD)?;
    share_of(cx, r, floored)
}

/// `r / d` for `d = D + 1e-30` with `D >= 0`; 0 where `D < 1e-30`, booked as dead.
///
/// The floor keeps the quotient finite. It is lost in rounding where `D > 1e-22`, so nothing leaks to it. Relevance that
/// vanishes with the value ([`Context::vanishes`]) is 0 at dead units by itself; other relevance is multiplied with
/// `clip(d / 2e-30 - 1, 0, 1)`: 0 for `D < 1e-30`, 1 from 3e-30 on. A quotient with the bare floor would be up to 1e30 there,
/// which a fast convolution (Winograd, FFT) would smear over its neighbours.
fn share_of(cx: &mut Context<'_, '_>, r: ValueId, d: ValueId) -> Result<ValueId> {
    let alive = match cx.vanishes {
        true => r,
        false => alive(cx, r, d)?,
    };
    let n = cx.b.div(alive, d)?;
    cx.b.assume_shape(n, r);
    Ok(n)
}

/// `r` where `d` is at least [`DEAD`], else 0; what was left out is booked as dead.
///
/// # Errors
/// The graph can't be treated.
pub fn alive(cx: &mut Context<'_, '_>, r: ValueId, d: ValueId) -> Result<ValueId> {
    let mask = cx.b.op(HardSigmoid { alpha: (0.5 / DEAD) as f32, beta: -1.0 }, &[d])?;
    let alive = cx.b.mul(mask, r)?;
    cx.b.assume_shape(alive, r);
    cx.absorb_rest(Class::Dead, r, alive)?;
    Ok(alive)
}
