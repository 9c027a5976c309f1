//! Element-wise operators by others.

use exegesis_graph::op::{Binary, Cast, Elu, IsInf, Unary};
use exegesis_graph::{Builder, DType, Error, Node, Op, Result, ValueId};

use super::operand;

/// The value of an element-wise node, by operators that rten has.
pub(super) fn replace(b: &mut Builder, node: &Node) -> Result<ValueId> {
    let x = operand(node, 0)?;
    match &node.op {
        Op::Unary(Unary::Sign) => {
            let zero = b.scalar(0.0, x)?;
            let (above, below) = (b.op(Binary::Greater, &[x, zero])?, b.op(Binary::Less, &[x, zero])?);
            let (above, below) = (b.indicator(above, x)?, b.indicator(below, x)?);
            b.sub(above, below)
        }
        Op::Unary(Unary::Softplus) => softplus(b, x),
        Op::Unary(Unary::Mish) => {
            let inner = softplus(b, x)?;
            let inner = b.unary(Unary::Tanh, inner)?;
            b.mul(x, inner)
        }
        Op::Unary(Unary::BitwiseNot) => {
            let negative = b.unary(Unary::Neg, x)?;
            b.add_scalar(negative, -1.0)
        }
        Op::Binary(Binary::Pow) => {
            let exponent = operand(node, 1)?;
            let exponent = b.indicator(exponent, x)?;
            b.pow(x, exponent)
        }
        Op::Binary(kind) => {
            let other = operand(node, 1)?;
            let a = b.op(Cast { to: DType::I32 }, &[x])?;
            let other = b.op(Cast { to: DType::I32 }, &[other])?;
            b.op(*kind, &[a, other])
        }
        Op::Celu(a) => {
            let alpha = f64::from(a.alpha);
            let scaled = b.mul_scalar(x, 1.0 / alpha)?;
            let inner = b.op(Elu { alpha: 1.0 }, &[scaled])?;
            b.mul_scalar(inner, alpha)
        }
        Op::Selu(a) => {
            let inner = b.op(Elu { alpha: a.alpha }, &[x])?;
            b.mul_scalar(inner, f64::from(a.gamma))
        }
        Op::Shrink(a) => {
            let (bias, threshold) = (f64::from(a.bias), f64::from(a.lambd));
            let (high, low, zero) = (b.scalar(threshold, x)?, b.scalar(-threshold, x)?, b.scalar(0.0, x)?);
            let (above, below) = (b.op(Binary::Greater, &[x, high])?, b.op(Binary::Less, &[x, low])?);
            let (less, more) = (b.add_scalar(x, -bias)?, b.add_scalar(x, bias)?);
            let inner = b.select(above, less, zero)?;
            b.select(below, more, inner)
        }
        Op::ThresholdedRelu(a) => {
            let (threshold, zero) = (b.scalar(f64::from(a.alpha), x)?, b.scalar(0.0, x)?);
            let above = b.op(Binary::Greater, &[x, threshold])?;
            b.select(above, x, zero)
        }
        Op::IsInf(a) => {
            let zero = b.scalar(0.0, x)?;
            let side = match (a.detect_negative, a.detect_positive) {
                (true, _) => b.op(Binary::Less, &[x, zero])?,
                (_, true) => b.op(Binary::Greater, &[x, zero])?,
                // Neither sign counts: nothing is less than itself.
                _ => return b.op(Binary::Less, &[x, x]),
            };
            let infinite = b.op(IsInf::default(), &[x])?;
            b.op(Binary::And, &[infinite, side])
        }
        Op::Cast(a) => cast(b, x, a.to),
        Op::CastLike(_) => {
            let to = b.dtype(operand(node, 1)?);
            cast(b, x, to)
        }
        op => Err(Error::unsupported(format!("{} has no replacement", op.name()))),
    }
}

/// `max(x, 0) + softplus(-|x|)`: rten's own exponentiates its operand, which overflows above 88 but never here.
fn softplus(b: &mut Builder, x: ValueId) -> Result<ValueId> {
    let absolute = b.op(Unary::Abs, &[x])?;
    let negative = b.unary(Unary::Neg, absolute)?;
    let tail = b.unary(Unary::Softplus, negative)?;
    let positive = b.unary(Unary::Relu, x)?;
    b.add(positive, tail)
}

fn cast(b: &mut Builder, x: ValueId, to: DType) -> Result<ValueId> {
    if to != DType::Bool || b.dtype(x) == DType::Bool {
        return b.op(Cast { to }, &[x]);
    }
    // rten's Cast to bool would keep the number.
    let narrow = matches!(b.dtype(x), DType::I8 | DType::U8);
    let x = if narrow { b.op(Cast { to: DType::I32 }, &[x])? } else { x };
    let zero = b.scalar(0.0, x)?;
    let equal = b.op(Binary::Equal, &[x, zero])?;
    b.unary(Unary::Not, equal)
}
