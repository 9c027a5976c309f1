//! Activations pass relevance: `R_x = R_y`, per unit `g f(x) / x`.

use exegesis_graph::op::{Binary, GeluForm, HardSigmoid, Unary};
use exegesis_graph::{Error, Node, Op, ValueId};

use crate::Result;
use crate::ledger::Class;
use crate::rule::{Context, Outcome};

/// Keeps quotients at 0 finite; lost in rounding elsewhere.
const TINY: f64 = 1e-30;

/// Where `f(0)` is not 0, `f(x) / x` has no limit there: below this size of `x` the relevance fades out.
const NEAR_ZERO: f64 = 1e-6;

/// `g f(x) / x`, in a form without a division where there is one. At 0 it is `f'(0)`, the limit, where `f(0) = 0`; a function
/// with another value there passes `x^2 / (x^2 + 1e-12)` of the relevance, and the rest is booked.
///
/// # Errors
/// The graph can't be treated.
pub fn backward(cx: &mut Context<'_, '_>, node: &Node, g: ValueId) -> Result<Outcome> {
    let &[operand] = cx.carrier_operands(node).as_slice() else {
        return Ok(Outcome::NoRule("an operand other than the data varies".into()));
    };
    let (Some(x), Some(y)) = (node.input(operand), node.output(0)) else {
        return Err(Error::malformed("an activation without operand or output").into());
    };
    let signal = match quotient(cx, node, x, y)? {
        Some(quotient) => cx.b.mul(g, quotient)?,
        None => {
            let square = cx.b.mul(x, x)?;
            let positive = cx.b.add_scalar(square, NEAR_ZERO * NEAR_ZERO)?;
            let inverse = cx.b.div(x, positive)?;
            let quotient = cx.b.mul(y, inverse)?;
            let signal = cx.b.mul(g, quotient)?;
            cx.b.assume_shape(signal, y);
            let signal = cx.b.sum_to(signal, x)?;
            cx.absorb_difference(Class::Stabiliser, &[(y, g)], &[(x, signal)])?;
            signal
        }
    };
    cx.b.assume_shape(signal, y);
    let signal = cx.b.sum_to(signal, x)?;
    Ok(Outcome::at(operand, node.inputs.len(), signal))
}

/// `f(x) / x`, continued to 0 by its limit; `None` where it has none.
fn quotient(cx: &mut Context<'_, '_>, node: &Node, x: ValueId, y: ValueId) -> Result<Option<ValueId>> {
    Ok(Some(match &node.op {
        Op::Gelu(op) => {
            let bell = match op.approximate {
                GeluForm::Erf => {
                    let root = cx.b.scalar(std::f64::consts::SQRT_2, x)?;
                    let scaled = cx.b.div(x, root)?;
                    cx.b.unary(Unary::Erf, scaled)?
                }
                GeluForm::Tanh => {
                    let square = cx.b.mul(x, x)?;
                    let cube = cx.b.mul(square, x)?;
                    let small = cx.b.mul_scalar(cube, 0.044_715)?;
                    let sum = cx.b.add(x, small)?;
                    let scaled = cx.b.mul_scalar(sum, (2.0 / std::f64::consts::PI).sqrt())?;
                    cx.b.unary(Unary::Tanh, scaled)?
                }
            };
            affine(cx, bell, 0.5, 0.5)?
        }
        Op::Swish(op) => {
            let scaled = cx.b.mul_scalar(x, f64::from(op.alpha))?;
            cx.b.unary(Unary::Sigmoid, scaled)?
        }
        Op::Unary(Unary::HardSwish) => affine(cx, x, 1.0 / 6.0, 0.5)?,
        Op::Unary(Unary::Mish) => {
            let softplus = cx.b.unary(Unary::Softplus, x)?;
            cx.b.unary(Unary::Tanh, softplus)?
        }
        Op::Unary(Unary::Softsign) => {
            let size = cx.b.abs(x)?;
            let whole = cx.b.add_scalar(size, 1.0)?;
            let one = cx.b.scalar(1.0, x)?;
            cx.b.div(one, whole)?
        }
        Op::Unary(
            Unary::Tanh | Unary::Erf | Unary::Asin | Unary::Asinh | Unary::Atan | Unary::Atanh | Unary::Sinh,
        ) => {
            let slope =
                if matches!(node.op, Op::Unary(Unary::Erf)) { std::f64::consts::FRAC_2_SQRT_PI } else { 1.0 };
            of_one_sign(cx, [x, y], slope)?
        }
        // These change their sign elsewhere too, and the product of numerator and denominator keeps it.
        Op::Unary(Unary::Sin | Unary::Tan) => {
            let (over, under) = (cx.b.mul(y, x)?, cx.b.mul(x, x)?);
            let (over, under) = (cx.b.add_scalar(over, TINY)?, cx.b.add_scalar(under, TINY)?);
            cx.b.div(over, under)?
        }
        Op::Elu(op) => of_one_sign(cx, [x, y], f64::from(op.alpha).abs())?,
        Op::Celu(_) => of_one_sign(cx, [x, y], 1.0)?,
        Op::Selu(op) => of_one_sign(cx, [x, y], f64::from(op.gamma))?,
        Op::Unary(Unary::Sqrt) => of_one_sign(cx, [x, y], 0.0)?,
        Op::Shrink(op) if op.bias <= op.lambd && op.bias >= 0.0 => of_one_sign(cx, [x, y], 0.0)?,
        Op::Clip(_) => {
            let bound = |i: usize, open: f64| match node.input(i) {
                None => Some(open),
                Some(bound) => cx.b.graph().constant(bound).and_then(|t| t.single()),
            };
            match (bound(1, f64::NEG_INFINITY), bound(2, f64::INFINITY)) {
                // One-sided at 0 as ReLU, whose slope there is 0.
                (Some(low), Some(high)) if low <= 0.0 && high >= 0.0 => {
                    of_one_sign(cx, [x, y], if low < 0.0 && high > 0.0 { 1.0 } else { 0.0 })?
                }
                _ => return Ok(None),
            }
        }
        Op::Binary(Binary::Pow) => {
            let exponent = node.input(1).and_then(|e| cx.b.graph().constant(e)).and_then(|t| t.single());
            match exponent {
                Some(2.0) => x,
                Some(e) if e > 1.0 => {
                    let less = cx.b.scalar(e - 1.0, x)?;
                    cx.b.pow(x, less)?
                }
                _ => return Ok(None),
            }
        }
        _ => return Ok(None),
    }))
}

/// `clip(a x + b, 0, 1)`: one vectorised pass in every runtime.
fn affine(cx: &mut Context<'_, '_>, x: ValueId, a: f32, b: f32) -> Result<ValueId> {
    Ok(cx.b.op(HardSigmoid { alpha: a, beta: b }, &[x])?)
}

/// `|y| / |x|` for a function whose value has the sign of its operand; `slope` at 0.
fn of_one_sign(cx: &mut Context<'_, '_>, [x, y]: [ValueId; 2], slope: f64) -> Result<ValueId> {
    let (over, under) = (cx.b.abs(y)?, cx.b.abs(x)?);
    let (over, under) = (cx.b.add_scalar(over, slope * TINY)?, cx.b.add_scalar(under, TINY)?);
    Ok(cx.b.div(over, under)?)
}
