//! The gamma rule (Montavon et al. 2019), in the form that also holds for operands and sums of both signs (Andeol et al.
//! 2021, arXiv 2106.04923): the terms that have the sign of the sum are raised.

use exegesis_graph::ValueId;
use exegesis_graph::op::{Binary, Unary};

use super::epsilon::fitting;
use super::layer::Layer;
use super::share::STABILISER;
use super::signs::{Parts, below_zero};
use crate::Result;
use crate::linear::Coefficients;
use crate::rule::Context;

/// For units with `z >= 0`: `R_i = sum_j (x_i w_ij + gamma (x_i w_ij)+) / (z_j + gamma z_j+) r_j`; for others the same with the
/// negative terms raised. Biases as terms.
///
/// # Errors
/// The graph can't be treated.
pub fn relevance(cx: &mut Context<'_, '_>, layer: &Layer<'_>, gamma: f64) -> Result<ValueId> {
    let parts = Parts::of(cx, layer.map.x)?;
    let (raised, lowered) = (Coefficients::Raised(gamma), Coefficients::Lowered(gamma));
    cx.sends_vanishing = true;
    if layer.is_rectified {
        let n = share(cx, layer, &parts, layer.r, [raised, lowered])?;
        return parts.back(cx, layer, [raised, lowered], n);
    }
    let zero = cx.b.scalar(0.0, layer.z)?;
    let is_negative = cx.b.op(Binary::Less, &[layer.z, zero])?;
    let nothing = cx.b.scalar(0.0, layer.r)?;
    let of_positive = cx.b.select(is_negative, nothing, layer.r)?;
    let of_negative = cx.b.select(is_negative, layer.r, nothing)?;
    let mut sum: Option<ValueId> = None;
    for (r, forms) in [(of_positive, [raised, lowered]), (of_negative, [lowered, raised])] {
        cx.b.assume_shape(r, layer.r);
        let n = share(cx, layer, &parts, r, forms)?;
        let part = parts.back(cx, layer, forms, n)?;
        sum = Some(match sum {
            None => part,
            Some(before) => cx.b.add(before, part)?,
        });
    }
    match sum {
        Some(sum) => Ok(sum),
        None => Ok(cx.b.zeros_like(layer.map.x)?),
    }
}

/// `r` over the sum with the terms of one sign raised, for units whose sum has that sign.
fn share(
    cx: &mut Context<'_, '_>,
    layer: &Layer<'_>,
    parts: &Parts,
    r: ValueId,
    forms: [Coefficients; 2],
) -> Result<ValueId> {
    let bias = match layer.bias {
        Some(bias) => Some(forms[0].of(cx.b, bias)?),
        None => None,
    };
    let d = parts.sum(cx, layer, forms, bias, 0.0)?;
    let size = fitting(cx.b, d, STABILISER);
    // Other units have no relevance, and may have a sum of any sign.
    let (d, eps) = match forms[0] {
        Coefficients::Raised(_) => (cx.b.unary(Unary::Relu, d)?, size),
        _ => (below_zero(cx, d)?, -size),
    };
    let stable = cx.b.add_scalar(d, eps)?;
    let n = cx.b.div(r, stable)?;
    cx.b.assume_shape(n, layer.r);
    layer.absorb(cx, n, bias, eps)?;
    Ok(n)
}
