//! The epsilon rule for everything that is linear in its carrier operand (Bach et al. 2015, equation 58).

use exegesis_graph::op::Binary;
use exegesis_graph::{Builder, ValueId};

use crate::Result;
use crate::ledger::Class;
use crate::linear::{Coefficients, LinearMap};
use crate::rule::Context;

/// `z + eps sign(z)`, with `sign(0) = 1`.
///
/// # Errors
/// The graph can't be treated.
pub fn stabilised(b: &mut Builder<'_>, z: ValueId, eps: f64) -> Result<ValueId> {
    if eps == 0.0 {
        return Ok(z);
    }
    let (zero, plus, minus) = (b.scalar(0.0, z)?, b.scalar(eps, z)?, b.scalar(-eps, z)?);
    let negative = b.op(Binary::Less, &[z, zero])?;
    let eps = b.select(negative, minus, plus)?;
    let out = b.add(z, eps)?;
    b.assume_shape(out, z);
    Ok(out)
}

/// `R = x * W^T ( r / st(z) )` with `z` the output of the node, bias included, whose share is booked.
///
/// # Errors
/// The graph can't be treated.
pub fn linear(cx: &mut Context<'_, '_>, map: &LinearMap, r: ValueId, eps: f64) -> Result<ValueId> {
    let z = map.output()?;
    let stable = stabilised(cx.b, z, eps)?;
    let n = cx.b.div(r, stable)?;
    cx.b.assume_shape(n, r);
    if let Some(bias) = map.bias {
        let absorbed = map.weigh_outputs(cx, n, bias)?;
        cx.absorb(Class::Bias, absorbed)?;
    }
    let back = map.adjoint(cx, n, Coefficients::Signed)?;
    let relevance = cx.b.mul(map.x, back)?;
    cx.b.assume_shape(relevance, map.x);
    Ok(relevance)
}
