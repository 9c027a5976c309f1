//! Derivatives with respect to operands that are parameters in most models: bounds, divisors, fill values.

use std::sync::Arc;

use exegesis_graph::op::{self, Binary, Unary};
use exegesis_graph::{Error, Node, Tensor, ValueId};

use crate::rule::{Context, Outcome};
use crate::{Result, movement};

/// `Clip`, `y = min(max(x, low), high)`: the signal goes to the operand that `y` is; at a bound, to the bound.
///
/// # Errors
/// The graph can't be treated.
pub fn clip(cx: &mut Context<'_, '_>, node: &Node, g: ValueId) -> Result<Outcome> {
    let x = node.input(0).ok_or_else(|| Error::malformed("Clip without operand"))?;
    let (low, high) = (node.input(1), node.input(2));
    let zero = cx.b.scalar(0.0, g)?;
    let raised = match low {
        Some(low) => cx.b.op(op::Clip {}, &[x, low])?,
        None => x,
    };
    let at_high = match high {
        Some(high) => Some(cx.b.op(Binary::GreaterOrEqual, &[raised, high])?),
        None => None,
    };
    let below_high = match at_high {
        Some(at_high) => cx.b.select(at_high, zero, g)?,
        None => g,
    };
    let mut signals = vec![None; node.inputs.len()];
    let at_low = match low {
        Some(low) => Some(cx.b.op(Binary::LessOrEqual, &[x, low])?),
        None => None,
    };
    if cx.carries(node, 0) {
        signals[0] = Some(match at_low {
            Some(at_low) => cx.b.select(at_low, zero, below_high)?,
            None => below_high,
        });
    }
    if let (Some(low), Some(at_low), true) = (low, at_low, cx.carries(node, 1)) {
        let signal = cx.b.select(at_low, below_high, zero)?;
        signals[1] = Some(cx.b.sum_to(signal, low)?);
    }
    if let (Some(high), Some(at_high), true) = (high, at_high, cx.carries(node, 2)) {
        let signal = cx.b.select(at_high, g, zero)?;
        signals[2] = Some(cx.b.sum_to(signal, high)?);
    }
    Ok(Outcome::Signals(signals))
}

/// `Mod` with `fmod`, `y = a - trunc(a / b) b`: `dy/da = 1`, `dy/db = -trunc(a / b) = (y - a) / b`.
///
/// # Errors
/// The graph can't be treated.
pub fn modulo(cx: &mut Context<'_, '_>, node: &Node, g: ValueId) -> Result<Outcome> {
    let (Some(a), Some(b), Some(y)) = (node.input(0), node.input(1), node.output(0)) else {
        return Err(Error::malformed("Mod lacks an operand").into());
    };
    let mut signals = vec![None; 2];
    if cx.carries(node, 0) {
        signals[0] = Some(cx.b.sum_to(g, a)?);
    }
    if cx.carries(node, 1) {
        let multiple = cx.b.sub(y, a)?;
        let factor = cx.b.div(multiple, b)?;
        // A whole number, but for rounding.
        let factor = cx.b.unary(Unary::Round, factor)?;
        let signal = cx.b.mul(g, factor)?;
        signals[1] = Some(cx.b.sum_to(signal, b)?);
    }
    Ok(Outcome::Signals(signals))
}

/// `Pad` whose fill value varies: the value gets the sum of the signal on padded cells, the data the rest.
///
/// # Errors
/// Pads that are not constant.
pub fn pad(cx: &mut Context<'_, '_>, node: &Node, g: ValueId) -> Result<Outcome> {
    let (Some(x), Some(value)) = (node.input(0), node.input(2)) else {
        return Err(Error::malformed("Pad lacks an operand").into());
    };
    let mut signals = vec![None; node.inputs.len()];
    if cx.carries(node, 0) {
        let mut filled = node.clone();
        filled.inputs[2] = Some(cx.b.scalar(0.0, x)?);
        let Some(Outcome::Signals(own)) = movement::backward(cx, &filled, &[Some(g)])? else {
            return Ok(Outcome::NoRule("its data can't be told from its padding".into()));
        };
        signals[0] = own.first().copied().flatten();
    }
    let inside = cx.b.zeros_like(x)?;
    let one = cx.b.scalar(1.0, x)?;
    let operands = vec![Some(inside), node.input(1), Some(one), node.input(3)];
    let padding = cx.b.op_with(node.op.clone(), operands, 1)?[0];
    cx.b.assume_shape(padding, g);
    let outside = cx.b.mul(g, padding)?;
    let sum = total(cx, outside)?;
    signals[2] = Some(cx.b.reshape_like(sum, value)?);
    Ok(Outcome::Signals(signals))
}

/// `OneHot` whose values `[off, on]` vary: `y = off + (on - off) hot`, so `on` gets `sum(g hot)` and `off` the rest.
///
/// # Errors
/// The graph can't be treated.
pub fn one_hot(cx: &mut Context<'_, '_>, node: &Node, g: ValueId) -> Result<Outcome> {
    let Some(values) = node.input(2) else { return Err(Error::malformed("OneHot lacks an operand").into()) };
    let zero_one = Tensor::from_f64(cx.b.dtype(values), vec![2], vec![0.0, 1.0])?;
    let zero_one = cx.b.constant(zero_one);
    let hot = cx.b.op_with(node.op.clone(), vec![node.input(0), node.input(1), Some(zero_one)], 1)?[0];
    cx.b.assume_shape(hot, g);
    let chosen = cx.b.mul(g, hot)?;
    let (all, on) = (total(cx, g)?, total(cx, chosen)?);
    let off = cx.b.sub(all, on)?;
    let (off, on) = (cx.b.unsqueeze(off, &[0])?, cx.b.unsqueeze(on, &[0])?);
    let signal = cx.b.concat(&[off, on], 0)?;
    Ok(Outcome::at(2, node.inputs.len(), signal))
}

/// `Range`, `y_i = start + i delta`: `start` gets `sum(g)`, `delta` gets `sum(i g_i)`, the limit nothing.
///
/// # Errors
/// The graph can't be treated.
pub fn range(cx: &mut Context<'_, '_>, node: &Node, g: ValueId) -> Result<Outcome> {
    let mut signals = vec![None; node.inputs.len()];
    for i in cx.carrier_operands(node) {
        signals[i] = match i {
            0 => Some(total(cx, g)?),
            1 => None,
            _ => {
                let one = Tensor::from_f64(cx.b.dtype(g), vec![1], vec![1.0])?;
                let shape = cx.b.shape_of(g)?;
                let ones = cx.b.op(op::ConstantOfShape { value: Some(Arc::new(one)) }, &[shape])?;
                cx.b.assume_shape(ones, g);
                let axis = cx.b.constant(Tensor::scalar(0i64));
                let steps = cx.b.op(op::CumSum { exclusive: true, reverse: false }, &[ones, axis])?;
                let weighted = cx.b.mul(g, steps)?;
                Some(total(cx, weighted)?)
            }
        };
    }
    Ok(Outcome::Signals(signals))
}

/// The sum of all elements, of rank 0.
fn total(cx: &mut Context<'_, '_>, v: ValueId) -> Result<ValueId> {
    let axes: Vec<usize> = (0..cx.b.rank(v)?).collect();
    Ok(cx.b.reduce_sum(v, &axes, false)?)
}
