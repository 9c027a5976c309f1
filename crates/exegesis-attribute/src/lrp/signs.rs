//! Terms `x_i w_ij` taken apart by sign, and the alpha-beta rule (Bach et al. 2015, equation 60).

use exegesis_graph::ValueId;
use exegesis_graph::op::{Binary, Unary, Variadic};

use super::epsilon::fitting;
use super::layer::Layer;
use super::share::STABILISER;
use crate::Result;
use crate::ledger::Class;
use crate::linear::Coefficients;
use crate::rule::Context;

/// `max(x, 0)` and `min(x, 0)`; the second is `None` where `x` is never negative.
pub struct Parts {
    pub positive: ValueId,
    pub negative: Option<ValueId>,
}

impl Parts {
    /// The parts of `x`.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn of(cx: &mut Context<'_, '_>, x: ValueId) -> Result<Self> {
        if cx.b.is_non_negative(x) {
            return Ok(Self { positive: x, negative: None });
        }
        let positive = cx.b.unary(Unary::Relu, x)?;
        let negative = below_zero(cx, x)?;
        Ok(Self { positive, negative: Some(negative) })
    }

    /// `P x+ + Q x- + bias + floor`, with `P` and `Q` the two `forms` of the coefficients.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn sum(
        &self,
        cx: &mut Context<'_, '_>,
        layer: &Layer<'_>,
        forms: [Coefficients; 2],
        bias: Option<ValueId>,
        floor: f64,
    ) -> Result<ValueId> {
        let mut sum = layer.map.magnitude(cx, self.positive, bias, floor, forms[0])?;
        if let Some(negative) = self.negative {
            let other = layer.map.forward(cx, negative, forms[1])?;
            sum = cx.b.add(sum, other)?;
        }
        cx.b.assume_shape(sum, layer.r);
        Ok(sum)
    }

    /// `x+ (P^T n) + x- (Q^T n)`.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn back(
        &self,
        cx: &mut Context<'_, '_>,
        layer: &Layer<'_>,
        forms: [Coefficients; 2],
        n: ValueId,
    ) -> Result<ValueId> {
        let back = layer.map.adjoint(cx, n, forms[0])?;
        let mut relevance = cx.b.mul(self.positive, back)?;
        if let Some(negative) = self.negative {
            let back = layer.map.adjoint(cx, n, forms[1])?;
            let other = cx.b.mul(negative, back)?;
            relevance = cx.b.add(relevance, other)?;
        }
        cx.b.assume_shape(relevance, layer.map.x);
        Ok(relevance)
    }
}

/// `min(v, 0)`.
///
/// # Errors
/// The graph can't be treated.
pub fn below_zero(cx: &mut Context<'_, '_>, v: ValueId) -> Result<ValueId> {
    let zero = cx.b.scalar(0.0, v)?;
    let negative = cx.b.op(Variadic::Min, &[v, zero])?;
    cx.b.assume_shape(negative, v);
    Ok(negative)
}

/// A sign of terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Plus,
    Minus,
}

/// `R_i = sum_j (alpha (x_i w_ij)+ / z_j+ - beta (x_i w_ij)- / z_j-) r_j`, with `z+` and `z-` the sums of the terms of each
/// sign, the bias among them. A unit without terms of a sign leaves `alpha r`, or `-beta r`, which is booked as one-sided.
///
/// # Errors
/// The graph can't be treated.
pub fn alpha_beta(cx: &mut Context<'_, '_>, layer: &Layer<'_>, alpha: f64, beta: f64) -> Result<ValueId> {
    let parts = Parts::of(cx, layer.map.x)?;
    let mut relevance: Option<ValueId> = None;
    for (factor, sign) in [(alpha, Sign::Plus), (-beta, Sign::Minus)] {
        if factor == 0.0 {
            continue;
        }
        let part = one_sign(cx, layer, &parts, factor, sign)?;
        relevance = Some(match relevance {
            None => part,
            Some(before) => cx.b.add(before, part)?,
        });
    }
    cx.sends_vanishing = true;
    match relevance {
        Some(relevance) => Ok(relevance),
        None => Ok(cx.b.zeros_like(layer.map.x)?),
    }
}

/// `factor x w / z r` over the terms of one sign.
fn one_sign(
    cx: &mut Context<'_, '_>,
    layer: &Layer<'_>,
    parts: &Parts,
    factor: f64,
    sign: Sign,
) -> Result<ValueId> {
    let (plus, minus) = (Coefficients::Positive, Coefficients::Negative);
    let forms = if sign == Sign::Plus { [plus, minus] } else { [minus, plus] };
    let bias = match (layer.bias, sign) {
        (None, _) => None,
        (Some(bias), Sign::Plus) => Some(cx.b.unary(Unary::Relu, bias)?),
        (Some(bias), Sign::Minus) => Some(below_zero(cx, bias)?),
    };
    let size = fitting(cx.b, layer.z, STABILISER);
    let floor = if sign == Sign::Plus { size } else { -size };
    let d = parts.sum(cx, layer, forms, bias, floor)?;
    let mut r = layer.r;
    // Behind a rectifier a unit with relevance has a positive sum, and so positive terms.
    if sign == Sign::Minus || !layer.is_rectified {
        let bound = cx.b.scalar(floor, d)?;
        let beyond = if sign == Sign::Plus { Binary::Greater } else { Binary::Less };
        let has_terms = cx.b.op(beyond, &[d, bound])?;
        let zero = cx.b.scalar(0.0, r)?;
        let kept = cx.b.select(has_terms, r, zero)?;
        cx.b.assume_shape(kept, r);
        // The sums of both are scaled, not the values.
        let of = |cx: &mut Context<'_, '_>, v: ValueId| -> Result<ValueId> {
            let sum = cx.batch.row_sums(cx.b, v)?.unwrap_or(v);
            Ok(cx.b.mul_scalar(sum, factor)?)
        };
        if cx.ledger.is_enabled() {
            let (whole, part) = (of(cx, r)?, of(cx, kept)?);
            cx.absorb_rest(Class::OneSided, whole, part)?;
        }
        r = kept;
    }
    if factor != 1.0 {
        r = cx.b.mul_scalar(r, factor)?;
    }
    let n = cx.b.div(r, d)?;
    cx.b.assume_shape(n, layer.r);
    layer.absorb(cx, n, bias, floor)?;
    parts.back(cx, layer, forms, n)
}
