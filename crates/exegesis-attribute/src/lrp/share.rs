//! What a unit hands to each of its terms per amount of the term: `n = r / st(z)`, and what the stabiliser keeps of it.

use exegesis_graph::ValueId;
use exegesis_graph::op::{Binary, ReduceKind, Unary};

use super::epsilon::{fitting, signed};
use crate::Result;
use crate::ledger::Class;
use crate::rule::Context;

/// Stabiliser of every division but that of the epsilon rule, which has one of its own.
pub const STABILISER: f64 = 1e-6;

/// How a denominator is kept from 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stabiliser {
    /// `z + eps sign(z)`.
    Absolute(f64),
    /// The same with `eps` times the mean of `|z|` over all axes but the first.
    Relative(f64),
    /// None; a unit with `z = 0` passes nothing.
    Guard,
}

impl Stabiliser {
    /// `n = r / st(z)`; what the stabiliser takes, `n (st(z) - z)`, is booked. `is_rectified` says that `r` is 0 wherever
    /// `z <= 0` ([`super::layer::Layer`]).
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn share(
        self,
        cx: &mut Context<'_, '_>,
        r: ValueId,
        z: ValueId,
        is_rectified: bool,
    ) -> Result<ValueId> {
        let added = match self {
            Self::Guard => return guarded(cx, r, z),
            Self::Absolute(eps) if is_rectified => {
                let eps = fitting(cx.b, z, eps);
                let n = rectified(cx, r, z, eps)?;
                absorb_constant(cx, n, eps)?;
                return Ok(n);
            }
            Self::Absolute(eps) => signed(cx.b, z, eps)?,
            Self::Relative(eps) => {
                let axes: Vec<usize> = (1..cx.b.rank(z)?).collect();
                let size = cx.b.abs(z)?;
                let mean =
                    if axes.is_empty() { size } else { cx.b.reduce(ReduceKind::Mean, size, &axes, true)? };
                // A sample of zeros has nothing that is relative to.
                let least = fitting(cx.b, z, 1e-12);
                let scaled = cx.b.mul_scalar(mean, eps)?;
                let eps = cx.b.add_scalar(scaled, least)?;
                let minus = cx.b.unary(Unary::Neg, eps)?;
                let zero = cx.b.scalar(0.0, z)?;
                let negative = cx.b.op(Binary::Less, &[z, zero])?;
                let added = cx.b.select(negative, minus, eps)?;
                cx.b.assume_shape(added, z);
                added
            }
        };
        let stable = cx.b.add(z, added)?;
        let n = quotient(cx, r, stable)?;
        let kept = cx.b.mul(n, added)?;
        cx.b.assume_shape(kept, r);
        cx.absorb(Class::Stabiliser, kept)?;
        Ok(n)
    }
}

fn quotient(cx: &mut Context<'_, '_>, r: ValueId, z: ValueId) -> Result<ValueId> {
    let n = cx.b.div(r, z)?;
    cx.b.assume_shape(n, r);
    Ok(n)
}

/// `r / z`, and 0 where `z = 0`; what was there is booked as dead.
fn guarded(cx: &mut Context<'_, '_>, r: ValueId, z: ValueId) -> Result<ValueId> {
    let (zero, one) = (cx.b.scalar(0.0, z)?, cx.b.scalar(1.0, z)?);
    let dead = cx.b.op(Binary::Equal, &[z, zero])?;
    let alive = cx.b.select(dead, zero, r)?;
    cx.b.assume_shape(alive, r);
    if !cx.vanishes {
        cx.absorb_rest(Class::Dead, r, alive)?;
    }
    let divisor = cx.b.select(dead, one, z)?;
    quotient(cx, alive, divisor)
}

/// `r / (max(z, 0) + eps)`: where `z <= 0`, `r` is 0. The rectified value is at hand, so that no sign needs to be found.
/// Nothing is booked.
///
/// # Errors
/// The graph can't be treated.
pub fn rectified(cx: &mut Context<'_, '_>, r: ValueId, z: ValueId, eps: f64) -> Result<ValueId> {
    let positive = cx.b.unary(Unary::Relu, z)?;
    let stable = cx.b.add_scalar(positive, eps)?;
    quotient(cx, r, stable)
}

/// Books `eps n` as the stabiliser's.
///
/// # Errors
/// The graph can't be treated.
pub fn absorb_constant(cx: &mut Context<'_, '_>, n: ValueId, eps: f64) -> Result<()> {
    if !cx.ledger.is_enabled() {
        return Ok(());
    }
    // Summed first: a factor on the sum costs no pass over `n`.
    let amount = cx.batch.row_sums(cx.b, n)?.unwrap_or(n);
    let kept = cx.b.mul_scalar(amount, eps)?;
    cx.absorb(Class::Stabiliser, kept)
}
