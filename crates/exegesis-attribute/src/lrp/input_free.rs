//! Rules that share by the connections alone, whatever the operand is: flat and w-square.

use exegesis_graph::op::Binary;
use exegesis_graph::{Dim, Tensor, ValueId};

use super::layer::Layer;
use crate::Result;
use crate::ledger::Class;
use crate::linear::Coefficients;
use crate::rule::Context;

/// `R_i = sum_j r_j / fan_in_j` over the operands that connect; cells of padding are none.
///
/// # Errors
/// The graph can't be treated.
pub fn flat(cx: &mut Context<'_, '_>, layer: &Layer<'_>) -> Result<ValueId> {
    share(cx, layer, Coefficients::One)
}

/// `R_i = sum_j w_ij^2 / sum_i w_ij^2 r_j`.
///
/// # Errors
/// The graph can't be treated.
pub fn w_square(cx: &mut Context<'_, '_>, layer: &Layer<'_>) -> Result<ValueId> {
    share(cx, layer, Coefficients::Squared)
}

/// `R = C^T (r / C 1)`; what units without connections had is booked as dead.
fn share(cx: &mut Context<'_, '_>, layer: &Layer<'_>, form: Coefficients) -> Result<ValueId> {
    let ones = ones(cx, layer)?;
    let total = layer.map.forward(cx, ones, form)?;
    let (zero, one) = (cx.b.scalar(0.0, total)?, cx.b.scalar(1.0, total)?);
    let connected = cx.b.op(Binary::Greater, &[total, zero])?;
    let divisor = cx.b.select(connected, total, one)?;
    let is_alive = cx.b.indicator(connected, layer.r)?;
    let alive = cx.b.mul(layer.r, is_alive)?;
    cx.b.assume_shape(alive, layer.r);
    cx.absorb_rest(Class::Dead, layer.r, alive)?;
    let n = cx.b.div(alive, divisor)?;
    cx.b.assume_shape(n, layer.r);
    let relevance = layer.map.adjoint(cx, n, form)?;
    cx.b.assume_shape(relevance, layer.map.x);
    Ok(relevance)
}

/// Ones of the shape of `x`: of one row where the other sizes are known, so that what is made of them is a constant.
fn ones(cx: &mut Context<'_, '_>, layer: &Layer<'_>) -> Result<ValueId> {
    let x = layer.map.x;
    let shape = cx.b.shape(x)?.clone();
    let row: Option<Vec<usize>> = shape.iter().skip(1).map(Dim::fixed).collect();
    if let (Some(row), true) = (row, layer.map.treats_rows_alike() && shape.len() >= 2) {
        let shape = [&[1], row.as_slice()].concat();
        let count = shape.iter().product();
        let ones = Tensor::from_f64(cx.b.dtype(x), shape, vec![1.0; count])?;
        return Ok(cx.b.constant(ones));
    }
    let zeros = cx.b.zeros_like(x)?;
    Ok(cx.b.add_scalar(zeros, 1.0)?)
}
