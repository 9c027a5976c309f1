//! Derivatives of Lp pools over windows and over whole planes.

use exegesis_graph::op::{Binary, LpPool, Unary};
use exegesis_graph::{Error, Node, Op, Tensor, ValueId};

use crate::Result;
use crate::linear::{Window, adjoint_of_windows, geometry, pooling};
use crate::rule::{Context, Outcome};

/// Lp pools, `y = (sum |x_i|^p)^(1/p)`: `dy/dx_i = sign(x_i) |x_i|^(p-1) y^(1-p)`, and 0 in a window of zeros, where the
/// norm has no derivative (ONNX operator reference, `LpPool` version 18).
///
/// # Errors
/// The graph can't be treated.
pub fn backward(cx: &mut Context<'_, '_>, node: &Node, g: ValueId) -> Result<Outcome> {
    let (Some(x), Some(y)) = (node.input(0), node.output(0)) else {
        return Err(Error::malformed("a pool without operand or output").into());
    };
    let p = match &node.op {
        Op::LpPool(op) => op.p,
        Op::GlobalLpPool(op) => op.p,
        _ => unreachable!("called for Lp pools"),
    };
    if p < 1 {
        return Ok(Outcome::NoRule(format!("`p` is {p}, a norm needs 1 or more")));
    }
    let scaled = over_norm(cx, g, y, p)?;
    let spread = match &node.op {
        Op::LpPool(pool) => windows(cx, pool, scaled, x, y)?,
        // Broadcast over the plane by the product below.
        _ => scaled,
    };
    let slope = slope(cx, x, p)?;
    let signal = cx.b.mul(slope, spread)?;
    cx.b.assume_shape(signal, x);
    Ok(Outcome::at(0, node.inputs.len(), signal))
}

/// `g y^(1-p)`, 0 where `y` is 0.
fn over_norm(cx: &mut Context<'_, '_>, g: ValueId, y: ValueId, p: i64) -> Result<ValueId> {
    if p == 1 {
        return Ok(g);
    }
    let (zero, one) = (cx.b.scalar(0.0, y)?, cx.b.scalar(1.0, y)?);
    let positive = cx.b.op(Binary::Greater, &[y, zero])?;
    let norm = cx.b.select(positive, y, one)?;
    let power = match p {
        2 => norm,
        _ => {
            let exponent = cx.b.scalar((p - 1) as f64, y)?;
            cx.b.pow(norm, exponent)?
        }
    };
    let quotient = cx.b.div(g, power)?;
    Ok(cx.b.select(positive, quotient, zero)?)
}

/// `sign(x) |x|^(p-1)`.
fn slope(cx: &mut Context<'_, '_>, x: ValueId, p: i64) -> Result<ValueId> {
    if p == 2 {
        return Ok(x);
    }
    let sign = cx.b.unary(Unary::Sign, x)?;
    if p == 1 {
        return Ok(sign);
    }
    let magnitude = cx.b.abs(x)?;
    let exponent = cx.b.scalar((p - 1) as f64, x)?;
    let power = cx.b.pow(magnitude, exponent)?;
    Ok(cx.b.mul(sign, power)?)
}

/// For every cell of `x`, the sum of `v` over the windows that contain it.
fn windows(cx: &mut Context<'_, '_>, pool: &LpPool, v: ValueId, x: ValueId, y: ValueId) -> Result<ValueId> {
    let window = Window {
        auto_pad: pool.auto_pad,
        kernel: pool.kernel_shape.iter().map(|k| (*k).max(0) as usize).collect(),
        strides: &pool.strides,
        dilations: &pool.dilations,
        pads: &pool.pads,
    };
    let mut geo = geometry(cx, &window, x)?;
    pooling::extend_for_ceil(cx, &mut geo, x, y)?;
    let (x_shape, y_shape) = (cx.b.shape(x)?.clone(), cx.b.shape(y)?.clone());
    let single = pooling::spatial_only(cx, v, &y_shape)?;
    let plane = pooling::spatial_only(cx, x, &x_shape)?;
    let kernel_shape: Vec<usize> = [1, 1].into_iter().chain(geo.kernel.iter().copied()).collect();
    let ones = vec![1.0; geo.kernel.iter().product()];
    let ones = Tensor::from_f64(cx.b.dtype(v), kernel_shape, ones)?;
    let ones = cx.b.constant(ones);
    let spread = adjoint_of_windows(cx, single, ones, plane, &geo, 1)?;
    Ok(cx.b.reshape_like(spread, x)?)
}
