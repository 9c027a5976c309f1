//! The rule for everything that is linear in its carrier operand (specification 4.1).

use exegesis_graph::ValueId;
use exegesis_graph::op::Binary;

use super::DEAD;
use crate::Result;
use crate::ledger::Class;
use crate::linear::{Coefficients, LinearMap};
use crate::rule::Context;

/// `D = |W| |x| + |b|`, `R = |x| * |W|^T (r / D)`; a unit with `D = 0` passes nothing.
///
/// Books `|b| / D * r` as bias and `r` of units with `D = 0` as dead.
///
/// # Errors
/// The graph can't be treated.
pub fn default_mode(cx: &mut Context<'_, '_>, map: &LinearMap, r: ValueId) -> Result<ValueId> {
    let magnitude = cx.b.abs(map.x)?;
    let mut d = map.forward(cx, magnitude, Coefficients::Absolute)?;
    let bias = match map.bias {
        Some(bias) => Some(cx.b.abs(bias)?),
        None => None,
    };
    if let Some(bias) = bias {
        d = cx.b.add(d, bias)?;
    }
    cx.b.assume_shape(d, r);
    let n = safe_share(cx, r, d)?;
    if let Some(bias) = bias {
        let absorbed = cx.b.mul(n, bias)?;
        cx.absorb(Class::Bias, absorbed)?;
    }
    let back = map.adjoint(cx, n, Coefficients::Absolute)?;
    let relevance = cx.b.mul(magnitude, back)?;
    cx.b.assume_shape(relevance, map.x);
    Ok(relevance)
}

/// `r / d`, and 0 where `d` is 0; what those units had is booked as dead.
///
/// # Errors
/// The graph can't be treated.
pub fn safe_share(cx: &mut Context<'_, '_>, r: ValueId, d: ValueId) -> Result<ValueId> {
    let floor = cx.b.scalar(DEAD, d)?;
    let zero = cx.b.scalar(0.0, r)?;
    let alive = cx.b.op(Binary::Greater, &[d, floor])?;
    let ratio = cx.b.div(r, d)?;
    let n = cx.b.select(alive, ratio, zero)?;
    cx.b.assume_shape(n, r);
    let dead = cx.b.select(alive, zero, r)?;
    cx.b.assume_shape(dead, r);
    cx.absorb(Class::Dead, dead)?;
    Ok(n)
}
