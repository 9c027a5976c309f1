//! Element-wise operators.

use exegesis_graph::op::{Binary, Unary, Variadic};
use exegesis_graph::{DType, Op};

use super::Support::{self, Lowered, Native};
use super::context::{Context, refuse};

/// Verdict on an operator of one operand.
pub(super) fn unary(kind: Unary, context: &Context) -> Support {
    match kind {
        Unary::Identity => Native,
        Unary::Not => context.typed(&[DType::I32], Native),
        Unary::Abs | Unary::Neg => context.numbers(Native),
        Unary::Sign if context.narrow(0) == Some(DType::I32) => Native,
        Unary::Sign => context.floats(Lowered("comparisons with zero")),
        Unary::Softplus => context.floats(Lowered("max(x, 0) + softplus(-|x|)")),
        Unary::Mish => context.floats(Lowered("x tanh(softplus(x))")),
        Unary::BitwiseNot if matches!(context.dtype(0), Some(DType::I32 | DType::I64)) => Lowered("-x - 1"),
        Unary::BitwiseNot => refuse("bits of this type can't be complemented"),
        Unary::Acos
        | Unary::Acosh
        | Unary::Asin
        | Unary::Asinh
        | Unary::Atan
        | Unary::Atanh
        | Unary::Ceil
        | Unary::Cos
        | Unary::Cosh
        | Unary::Erf
        | Unary::Exp
        | Unary::Floor
        | Unary::HardSwish
        | Unary::IsNaN
        | Unary::Log
        | Unary::Reciprocal
        | Unary::Relu
        | Unary::Round
        | Unary::Sigmoid
        | Unary::Sin
        | Unary::Sinh
        | Unary::Softsign
        | Unary::Sqrt
        | Unary::Tan
        | Unary::Tanh => context.floats(Native),
    }
}

/// Verdict on an operator of two operands.
pub(super) fn binary(kind: Binary, context: &Context) -> Support {
    match kind {
        Binary::And | Binary::Or | Binary::Xor => context.typed(&[DType::I32], Native),
        Binary::BitwiseAnd | Binary::BitwiseOr | Binary::BitwiseXor => {
            refuse("there are no bitwise operators")
        }
        Binary::PRelu => context.floats(Native),
        Binary::Pow if context.narrow(0) == Some(DType::F32) && context.narrow(1) == Some(DType::I32) => {
            Lowered("a float exponent")
        }
        Binary::Equal | Binary::Greater | Binary::GreaterOrEqual | Binary::Less | Binary::LessOrEqual
            if matches!(context.narrow(0), Some(DType::I8 | DType::U8)) =>
        {
            Lowered("a comparison of 32-bit integers")
        }
        Binary::Add
        | Binary::Div
        | Binary::Equal
        | Binary::Greater
        | Binary::GreaterOrEqual
        | Binary::Less
        | Binary::LessOrEqual
        | Binary::Mul
        | Binary::Pow
        | Binary::Sub => context.numbers(Native),
    }
}

/// Verdict on an operator of any number of operands.
pub(super) fn variadic(kind: Variadic, context: &Context) -> Support {
    match kind {
        Variadic::Max | Variadic::Min | Variadic::Sum => context.numbers(Native),
        Variadic::Mean => context.floats(Native),
    }
}

/// Verdict on an element-wise operator with attributes.
pub(super) fn other(op: &Op, context: &Context) -> Support {
    match op {
        Op::Celu(_) => context.floats(Lowered("alpha elu(x / alpha)")),
        Op::Selu(_) => context.floats(Lowered("gamma elu(x)")),
        Op::Shrink(_) | Op::ThresholdedRelu(_) => context.floats(Lowered("comparisons and Where")),
        Op::IsInf(a) if a.detect_negative && a.detect_positive => context.floats(Native),
        Op::IsInf(_) => context.floats(Lowered("IsInf of both signs and a comparison with zero")),
        Op::Clip(_) => context.numbers(Native),
        Op::Cast(a) => cast(a.to, context),
        Op::CastLike(_) => match context.dtype(1) {
            Some(to) => match cast(to, context) {
                Support::Refused(reason) => Support::Refused(reason),
                _ => Lowered("Cast"),
            },
            None => refuse("the type of its second operand is not known"),
        },
        Op::Mod(a) if !a.fmod && context.narrow(0) == Some(DType::F32) => {
            refuse("floats need the attribute `fmod`")
        }
        Op::Mod(_) => context.numbers(Native),
        Op::BitShift(_) => refuse("there are no bitwise operators"),
        Op::Where(_) => match context.wrong_type(0, &[DType::I32]) {
            Some(refusal) => refusal,
            None => context.numbers(Native),
        },
        _ => context.floats(Native),
    }
}

/// Verdict on a conversion to `to`. Types that are held in a wider one would not wrap as the standard says.
fn cast(to: DType, context: &Context) -> Support {
    let from = context.dtype(0);
    match to {
        DType::Bool if from == Some(DType::Bool) => Native,
        DType::Bool => Lowered("a comparison with zero"),
        DType::I16 | DType::U16 | DType::U32 | DType::U64 => match from {
            Some(DType::U8 | DType::Bool) => Native,
            Some(DType::I8) if to == DType::I16 => Native,
            Some(same) if same == to => Native,
            _ => Support::Refused(format!("there is no type {to}")),
        },
        DType::String => refuse("there are no strings"),
        _ => Native,
    }
}
