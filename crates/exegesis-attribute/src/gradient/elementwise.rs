//! Derivatives of element-wise functions of one operand.

use exegesis_graph::op::{Binary, GeluForm, HardSigmoid, Unary};
use exegesis_graph::{Node, Op, ValueId};

use crate::Result;
use crate::rule::{Context, Outcome};

/// `g * f'(x)`; piecewise constant functions give zero.
///
/// # Errors
/// The graph can't be treated.
pub fn backward(cx: &mut Context<'_, '_>, node: &Node, g: ValueId) -> Result<Outcome> {
    let (Some(x), Some(y)) = (node.input(0), node.output(0)) else {
        return Ok(Outcome::NoRule("an operand is missing".into()));
    };
    if cx.carrier_operands(node) != [0] {
        return Ok(Outcome::NoRule("an operand other than the data varies".into()));
    }
    let signal = match &node.op {
        Op::Unary(kind) => match unary(cx, *kind, x, y, g)? {
            Some(signal) => signal,
            None => return Ok(Outcome::NoRule("it has no derivative".into())),
        },
        Op::Clip(_) => clip(cx, node, [x, y], g)?,
        Op::Elu(op) => {
            // x > 0: 1, else alpha exp(x) = y + alpha.
            let negative = cx.b.add_scalar(y, f64::from(op.alpha))?;
            positive_or(cx, x, g, negative)?
        }
        Op::Celu(op) => {
            let scaled = cx.b.mul_scalar(x, 1.0 / f64::from(op.alpha))?;
            let negative = cx.b.unary(Unary::Exp, scaled)?;
            positive_or(cx, x, g, negative)?
        }
        Op::Selu(op) => {
            let gamma = f64::from(op.gamma);
            let exp = cx.b.unary(Unary::Exp, x)?;
            let negative = cx.b.mul_scalar(exp, gamma * f64::from(op.alpha))?;
            let positive = cx.b.scalar(gamma, x)?;
            let is_positive = greater(cx, x, 0.0)?;
            let derivative = cx.b.select(is_positive, positive, negative)?;
            cx.b.mul(g, derivative)?
        }
        Op::LeakyRelu(op) => {
            let negative = cx.b.scalar(f64::from(op.alpha), x)?;
            positive_or(cx, x, g, negative)?
        }
        Op::ThresholdedRelu(op) => {
            let above = greater(cx, x, f64::from(op.alpha))?;
            let zero = cx.b.scalar(0.0, g)?;
            cx.b.select(above, g, zero)?
        }
        Op::Shrink(op) => {
            let magnitude = cx.b.abs(x)?;
            let above = greater(cx, magnitude, f64::from(op.lambd))?;
            let zero = cx.b.scalar(0.0, g)?;
            cx.b.select(above, g, zero)?
        }
        Op::HardSigmoid(op) => {
            let (low, high) = (greater(cx, y, 0.0)?, less(cx, y, 1.0)?);
            let inside = cx.b.op(Binary::And, &[low, high])?;
            let zero = cx.b.scalar(0.0, g)?;
            let scaled = cx.b.mul_scalar(g, f64::from(op.alpha))?;
            cx.b.select(inside, scaled, zero)?
        }
        Op::Swish(op) => {
            // s + alpha x s (1 - s), s = sigmoid(alpha x): s + alpha y (1 - s).
            let alpha = f64::from(op.alpha);
            let scaled = cx.b.mul_scalar(x, alpha)?;
            let s = cx.b.unary(Unary::Sigmoid, scaled)?;
            let rest = one_minus(cx, s)?;
            let curve = cx.b.mul(y, rest)?;
            let curve = cx.b.mul_scalar(curve, alpha)?;
            let derivative = cx.b.add(s, curve)?;
            cx.b.mul(g, derivative)?
        }
        Op::Gelu(op) => {
            let derivative = match op.approximate {
                GeluForm::Erf => gelu_erf(cx, x)?,
                GeluForm::Tanh => gelu_tanh(cx, x)?,
            };
            cx.b.mul(g, derivative)?
        }
        Op::OneMinusSigmoid(_) => {
            let rest = one_minus(cx, y)?;
            let product = cx.b.mul(y, rest)?;
            let signal = cx.b.mul(g, product)?;
            cx.b.unary(Unary::Neg, signal)?
        }
        Op::Hardmax(_) => cx.b.zeros_like(x)?,
        _ => return Ok(Outcome::NoRule("no gradient rule for this operator".into())),
    };
    Ok(Outcome::at(0, node.inputs.len(), signal))
}

fn unary(
    cx: &mut Context<'_, '_>,
    kind: Unary,
    x: ValueId,
    y: ValueId,
    g: ValueId,
) -> Result<Option<ValueId>> {
    let derivative = match kind {
        Unary::Identity => return Ok(Some(g)),
        Unary::Neg => return Ok(Some(cx.b.unary(Unary::Neg, g)?)),
        Unary::Relu => {
            // The output says what the input says, and the input need not be kept for it.
            let mask = step(cx, y)?;
            return Ok(Some(cx.b.mul(mask, g)?));
        }
        Unary::Ceil | Unary::Floor | Unary::Round | Unary::Sign => return Ok(Some(cx.b.zeros_like(x)?)),
        Unary::Abs => cx.b.unary(Unary::Sign, x)?,
        Unary::Sigmoid => {
            let rest = one_minus(cx, y)?;
            cx.b.mul(y, rest)?
        }
        Unary::Tanh => {
            let square = cx.b.mul(y, y)?;
            one_minus(cx, square)?
        }
        Unary::Exp => y,
        Unary::Log => return Ok(Some(cx.b.div(g, x)?)),
        Unary::Sqrt => {
            let twice = cx.b.mul_scalar(y, 2.0)?;
            return Ok(Some(cx.b.div(g, twice)?));
        }
        Unary::Reciprocal => {
            let square = cx.b.mul(y, y)?;
            cx.b.unary(Unary::Neg, square)?
        }
        Unary::Erf => {
            let bell = gaussian(cx, x, 1.0)?;
            cx.b.mul_scalar(bell, std::f64::consts::FRAC_2_SQRT_PI)?
        }
        Unary::Softplus => cx.b.unary(Unary::Sigmoid, x)?,
        Unary::Softsign => {
            let magnitude = cx.b.abs(x)?;
            let base = cx.b.add_scalar(magnitude, 1.0)?;
            let square = cx.b.mul(base, base)?;
            return Ok(Some(cx.b.div(g, square)?));
        }
        Unary::HardSwish => {
            // x <= -3: 0, x >= 3: 1, between (2x + 3) / 6.
            let middle = cx.b.mul_scalar(x, 1.0 / 3.0)?;
            let middle = cx.b.add_scalar(middle, 0.5)?;
            let (low, high) = (greater(cx, x, -3.0)?, less(cx, x, 3.0)?);
            let (zero, one) = (cx.b.scalar(0.0, x)?, cx.b.scalar(1.0, x)?);
            let upper = cx.b.select(high, middle, one)?;
            cx.b.select(low, upper, zero)?
        }
        Unary::Mish => {
            // t = tanh(softplus x), s = sigmoid x: t + x s (1 - t^2).
            let softplus = cx.b.unary(Unary::Softplus, x)?;
            let t = cx.b.unary(Unary::Tanh, softplus)?;
            let s = cx.b.unary(Unary::Sigmoid, x)?;
            let square = cx.b.mul(t, t)?;
            let rest = one_minus(cx, square)?;
            let slope = cx.b.mul(s, rest)?;
            let slope = cx.b.mul(x, slope)?;
            cx.b.add(t, slope)?
        }
        Unary::Sin => cx.b.unary(Unary::Cos, x)?,
        Unary::Cos => {
            let sin = cx.b.unary(Unary::Sin, x)?;
            cx.b.unary(Unary::Neg, sin)?
        }
        Unary::Tan => {
            let square = cx.b.mul(y, y)?;
            cx.b.add_scalar(square, 1.0)?
        }
        Unary::Sinh => cx.b.unary(Unary::Cosh, x)?,
        Unary::Cosh => cx.b.unary(Unary::Sinh, x)?,
        Unary::Asin | Unary::Acos => {
            let square = cx.b.mul(x, x)?;
            let rest = one_minus(cx, square)?;
            let root = cx.b.unary(Unary::Sqrt, rest)?;
            let signal = cx.b.div(g, root)?;
            return Ok(Some(match kind {
                Unary::Acos => cx.b.unary(Unary::Neg, signal)?,
                _ => signal,
            }));
        }
        Unary::Atan => {
            let square = cx.b.mul(x, x)?;
            let base = cx.b.add_scalar(square, 1.0)?;
            return Ok(Some(cx.b.div(g, base)?));
        }
        Unary::Asinh | Unary::Acosh => {
            let square = cx.b.mul(x, x)?;
            let base = cx.b.add_scalar(square, if kind == Unary::Asinh { 1.0 } else { -1.0 })?;
            let root = cx.b.unary(Unary::Sqrt, base)?;
            return Ok(Some(cx.b.div(g, root)?));
        }
        Unary::Atanh => {
            let square = cx.b.mul(x, x)?;
            let base = one_minus(cx, square)?;
            return Ok(Some(cx.b.div(g, base)?));
        }
        Unary::BitwiseNot | Unary::IsNaN | Unary::Not => return Ok(None),
    };
    Ok(Some(cx.b.mul(g, derivative)?))
}

/// 1 where `x > 0`, else 0: `clip(x * 3.4e38, 0, 1)`, one vectorised pass in every runtime where a comparison and a
/// selection are two slow ones. Positive numbers below 3e-39 (deep in the denormal range) give a fraction.
fn step(cx: &mut Context<'_, '_>, x: ValueId) -> Result<ValueId> {
    Ok(cx.b.op(HardSigmoid { alpha: f32::MAX, beta: 0.0 }, &[x])?)
}

/// `g` inside the bounds, 0 at and beyond them: `x` is inside where `y` is.
fn clip(cx: &mut Context<'_, '_>, node: &Node, [x, y]: [ValueId; 2], g: ValueId) -> Result<ValueId> {
    let mut signal = g;
    for (index, bound) in [node.input(1), node.input(2)].into_iter().enumerate() {
        let Some(bound) = bound else { continue };
        let known = cx.b.graph().constant(bound).and_then(|t| t.single());
        let distance = match (index, known) {
            (0, Some(0.0)) => y,
            (0, _) => cx.b.sub(y, bound)?,
            _ => cx.b.sub(bound, y)?,
        };
        cx.b.assume_shape(distance, x);
        let inside = step(cx, distance)?;
        signal = cx.b.mul(inside, signal)?;
    }
    Ok(signal)
}

/// `g` where `x > 0`, else `g * slope`.
fn positive_or(cx: &mut Context<'_, '_>, x: ValueId, g: ValueId, slope: ValueId) -> Result<ValueId> {
    let positive = greater(cx, x, 0.0)?;
    let scaled = cx.b.mul(g, slope)?;
    Ok(cx.b.select(positive, g, scaled)?)
}

fn greater(cx: &mut Context<'_, '_>, x: ValueId, bound: f64) -> Result<ValueId> {
    let bound = cx.b.scalar(bound, x)?;
    Ok(cx.b.op(Binary::Greater, &[x, bound])?)
}

fn less(cx: &mut Context<'_, '_>, x: ValueId, bound: f64) -> Result<ValueId> {
    let bound = cx.b.scalar(bound, x)?;
    Ok(cx.b.op(Binary::Less, &[x, bound])?)
}

fn one_minus(cx: &mut Context<'_, '_>, x: ValueId) -> Result<ValueId> {
    let one = cx.b.scalar(1.0, x)?;
    Ok(cx.b.sub(one, x)?)
}

/// `exp(-c x^2)`.
fn gaussian(cx: &mut Context<'_, '_>, x: ValueId, c: f64) -> Result<ValueId> {
    let square = cx.b.mul(x, x)?;
    let scaled = cx.b.mul_scalar(square, -c)?;
    Ok(cx.b.unary(Unary::Exp, scaled)?)
}

/// `Phi(x) + x phi(x)`, as `(1 + erf u)/2 + u / exp(u^2 + ln sqrt(pi))` with `u = x / sqrt 2`: few passes over the data, and
/// the affine map in the vectorised form of a sigmoid that never clips.
fn gelu_erf(cx: &mut Context<'_, '_>, x: ValueId) -> Result<ValueId> {
    let u = cx.b.mul_scalar(x, std::f64::consts::FRAC_1_SQRT_2)?;
    let erf = cx.b.unary(Unary::Erf, u)?;
    let cdf = cx.b.op(HardSigmoid { alpha: 0.5, beta: 0.5 }, &[erf])?;
    let square = cx.b.mul(u, u)?;
    let exponent = cx.b.add_scalar(square, std::f64::consts::PI.ln() / 2.0)?;
    let growth = cx.b.unary(Unary::Exp, exponent)?;
    let slope = cx.b.div(u, growth)?;
    Ok(cx.b.add(cdf, slope)?)
}

/// `(1 + t)/2 + x/2 (1 - t^2) k (1 + 3 c x^2)`, `t = tanh(k (x + c x^3))`, `k = sqrt(2/pi)`, `c = 0.044715`.
fn gelu_tanh(cx: &mut Context<'_, '_>, x: ValueId) -> Result<ValueId> {
    let (k, c) = ((2.0 / std::f64::consts::PI).sqrt(), 0.044715);
    let square = cx.b.mul(x, x)?;
    let inner = cx.b.mul_scalar(square, k * c)?;
    let inner = cx.b.add_scalar(inner, k)?;
    let argument = cx.b.mul(x, inner)?;
    let t = cx.b.unary(Unary::Tanh, argument)?;
    let half = cx.b.mul_scalar(t, 0.5)?;
    let first = cx.b.add_scalar(half, 0.5)?;
    let t_square = cx.b.mul(t, t)?;
    let rest = one_minus(cx, t_square)?;
    let slope = cx.b.mul_scalar(square, 1.5 * k * c)?;
    let slope = cx.b.add_scalar(slope, 0.5 * k)?;
    let second = cx.b.mul(rest, slope)?;
    let second = cx.b.mul(x, second)?;
    Ok(cx.b.add(first, second)?)
}
