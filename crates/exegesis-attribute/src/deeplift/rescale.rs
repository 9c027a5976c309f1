//! The rescale rule for functions of one element: `m_x = m_y (y - y') / (x - x')`.

use exegesis_graph::op::{Binary, Unary, Variadic};
use exegesis_graph::{DType, Node, Op, ValueId};

use super::{DeepLift, gradient_for};
use crate::Result;
use crate::rule::{Context, Outcome};

/// How the quotient of differences is computed where they are small.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Straight pieces: the quotient is exact down to the smallest difference.
    Pieces,
    /// Curved alike everywhere, with a scale of 1: near `x'` the derivative in the middle.
    Curved,
    /// Curved around 0, straight or level far from it: the nearness grows with `x`, as the rounding of `y` does.
    Straightening,
    /// Curved, the same at every scale: nearness is relative to `x`.
    ScaleFree,
}

/// The multiplier of the data of an element-wise function.
///
/// # Errors
/// The graph can't be treated.
pub fn backward(rules: &DeepLift, cx: &mut Context<'_, '_>, node: &Node, m: ValueId) -> Result<Outcome> {
    let (Some(x), Some(y)) = (node.input(0), node.output(0)) else {
        return Ok(Outcome::NoRule("an operand is missing".into()));
    };
    if cx.carrier_operands(node) != [0] {
        return Ok(Outcome::NoRule("an operand other than the data varies".into()));
    }
    let count = node.inputs.len();
    let form = match &node.op {
        Op::Unary(kind) => match kind {
            Unary::Identity | Unary::Neg => return gradient_for(cx, node, [x], m),
            Unary::Reciprocal => {
                // 1/x - 1/x' = -(x - x') / (x x').
                let product = cx.b.mul(y, rules.counterpart(y))?;
                let signal = cx.b.mul(m, product)?;
                return Ok(Outcome::at(0, count, cx.b.unary(Unary::Neg, signal)?));
            }
            Unary::Sqrt => return Ok(Outcome::at(0, count, root(rules, cx, y, m)?)),
            Unary::Relu | Unary::Abs | Unary::Ceil | Unary::Floor | Unary::Round | Unary::Sign => {
                Form::Pieces
            }
            Unary::Log => Form::ScaleFree,
            Unary::BitwiseNot | Unary::IsNaN | Unary::Not => {
                return Ok(Outcome::NoRule("it gives no real number".into()));
            }
            Unary::Exp | Unary::Sin | Unary::Cos | Unary::Tan | Unary::Sinh | Unary::Cosh => Form::Curved,
            _ => Form::Straightening,
        },
        Op::LeakyRelu(_)
        | Op::Clip(_)
        | Op::ThresholdedRelu(_)
        | Op::Shrink(_)
        | Op::HardSigmoid(_)
        | Op::Binary(Binary::PRelu) => Form::Pieces,
        Op::Elu(_) | Op::Celu(_) | Op::Selu(_) | Op::Swish(_) | Op::Gelu(_) | Op::OneMinusSigmoid(_) => {
            Form::Straightening
        }
        _ => return Ok(Outcome::NoRule("no DeepLIFT rule for this operator".into())),
    };
    quotient(rules, cx, node, 0, form, m)
}

/// `sqrt(x) - sqrt(x') = (x - x') / (y + y')`; nothing where both are 0.
///
/// # Errors
/// The graph can't be treated.
pub fn root(rules: &DeepLift, cx: &mut Context<'_, '_>, y: ValueId, m: ValueId) -> Result<ValueId> {
    let sum = cx.b.add(y, rules.counterpart(y))?;
    cx.b.assume_shape(sum, y);
    let zero = cx.b.scalar(0.0, sum)?;
    let positive = cx.b.op(Binary::Greater, &[sum, zero])?;
    let signal = cx.b.div(m, sum)?;
    Ok(cx.b.select(positive, signal, zero)?)
}

/// A power with a given exponent, or a given base with a varying exponent.
///
/// # Errors
/// The graph can't be treated.
pub fn power(
    rules: &DeepLift,
    cx: &mut Context<'_, '_>,
    node: &Node,
    operand: usize,
    m: ValueId,
) -> Result<Outcome> {
    let form = if operand == 0 { Form::ScaleFree } else { Form::Curved };
    quotient(rules, cx, node, operand, form, m)
}

/// `m (y - y') / (x - x')`, and `m` times the derivative where the difference is too small for the quotient.
///
/// The quotient is off by `eps / |dx|` (rounding of `y`), the derivative in the middle by `dx^2 / 24` (its Taylor series);
/// they meet at `|dx| = (24 eps)^(1/3)`, where both are about `1e-5` in single and `1e-11` in double precision.
fn quotient(
    rules: &DeepLift,
    cx: &mut Context<'_, '_>,
    node: &Node,
    operand: usize,
    form: Form,
    m: ValueId,
) -> Result<Outcome> {
    let (Some(x), Some(y)) = (node.input(operand), node.output(0)) else {
        return Ok(Outcome::NoRule("an operand is missing".into()));
    };
    let dx = rules.difference(cx, x)?;
    let dy = rules.difference(cx, y)?;
    let (point, near) = match form {
        Form::Pieces => {
            let zero = cx.b.scalar(0.0, dx)?;
            (None, cx.b.op(Binary::Equal, &[dx, zero])?)
        }
        Form::Curved | Form::Straightening | Form::ScaleFree => {
            let middle = rules.mean(cx, x)?;
            let narrow = narrow(cx.b.dtype(x));
            let bound = match form {
                Form::Curved => cx.b.scalar(narrow, dx)?,
                _ => {
                    let size = cx.b.abs(middle)?;
                    let one = cx.b.scalar(1.0, size)?;
                    let size = match form {
                        Form::Straightening => cx.b.op(Variadic::Max, &[size, one])?,
                        _ => size,
                    };
                    cx.b.mul_scalar(size, narrow)?
                }
            };
            let distance = cx.b.abs(dx)?;
            (Some(middle), cx.b.op(Binary::LessOrEqual, &[distance, bound])?)
        }
    };
    let at = match point {
        None => node.clone(),
        Some(middle) => {
            let mut at = node.clone();
            at.inputs[operand] = Some(middle);
            let output = cx.b.op_with(at.op.clone(), at.inputs.clone(), 1)?[0];
            cx.b.assume_shape(output, y);
            at.outputs = vec![Some(output)];
            at
        }
    };
    let slope = match gradient_for(cx, &at, at.input(operand), m)? {
        Outcome::Signals(signals) => signals.get(operand).copied().flatten(),
        refused => return Ok(refused),
    };
    let Some(slope) = slope else { return Ok(Outcome::NoRule("it has no derivative".into())) };
    let contribution = cx.b.mul(m, dy)?;
    let contribution = cx.b.sum_to(contribution, x)?;
    let ratio = cx.b.div(contribution, dx)?;
    let signal = cx.b.select(near, slope, ratio)?;
    cx.b.assume_shape(signal, x);
    Ok(Outcome::at(operand, node.inputs.len(), signal))
}

/// `(24 eps)^(1/3)`, the difference below which a derivative is closer than a quotient.
pub fn narrow(dtype: DType) -> f64 {
    let epsilon = match dtype {
        DType::F64 => f64::EPSILON,
        DType::F16 => 9.77e-4,
        DType::BF16 => 7.81e-3,
        _ => f64::from(f32::EPSILON),
    };
    (24.0 * epsilon).cbrt()
}
