//! The epsilon rule for everything that is linear in its carrier operand (Bach et al. 2015, equation 58).

use exegesis_graph::op::Binary;
use exegesis_graph::{Builder, DType, ValueId};

use crate::Result;
use crate::ledger::Class;
use crate::linear::Coefficients;
use crate::lrp::layer::Layer;
use crate::lrp::share::{self, Stabiliser};
use crate::rule::Context;

/// Smallest stabiliser in half precision, whose quotients by less would overflow.
const LEAST_IN_HALF: f64 = 1e-4;

/// The stabiliser `eps`, or the least that the element type of `like` bears.
pub(crate) fn fitting(b: &Builder<'_>, like: ValueId, eps: f64) -> f64 {
    if b.dtype(like) == DType::F16 { eps.max(LEAST_IN_HALF) } else { eps }
}

/// `eps sign(z)`, with `sign(0) = 1`.
///
/// # Errors
/// The graph can't be treated.
pub(crate) fn signed(b: &mut Builder<'_>, z: ValueId, eps: f64) -> Result<ValueId> {
    let eps = fitting(b, z, eps);
    let (zero, plus, minus) = (b.scalar(0.0, z)?, b.scalar(eps, z)?, b.scalar(-eps, z)?);
    let negative = b.op(Binary::Less, &[z, zero])?;
    let signed = b.select(negative, minus, plus)?;
    b.assume_shape(signed, z);
    Ok(signed)
}

/// `R = x * W^T ( r / st(z) )` with `z` the output of the layer, bias included. The shares of bias and stabiliser are booked.
///
/// # Errors
/// The graph can't be treated.
pub(crate) fn by_output(
    cx: &mut Context<'_, '_>,
    layer: &Layer<'_>,
    stabiliser: Stabiliser,
) -> Result<ValueId> {
    let n = match stabiliser {
        Stabiliser::Absolute(eps) if layer.is_rectified => {
            let eps = fitting(cx.b, layer.z, eps);
            let n = share::rectified(cx, layer.r, layer.z, eps)?;
            layer.absorb(cx, n, layer.bias, eps)?;
            n
        }
        _ => {
            let n = stabiliser.share(cx, layer.r, layer.z, false)?;
            if let Some(bias) = layer.bias {
                let absorbed = layer.map.weigh_outputs(cx, n, bias)?;
                cx.absorb(Class::Bias, absorbed)?;
            }
            n
        }
    };
    let back = layer.map.adjoint(cx, n, Coefficients::Signed)?;
    let relevance = cx.b.mul(layer.map.x, back)?;
    cx.b.assume_shape(relevance, layer.map.x);
    cx.sends_vanishing = true;
    Ok(relevance)
}
