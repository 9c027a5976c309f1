//! Element-wise operators.

use exegesis_graph::op::{self, Binary, Unary, Variadic};
use exegesis_graph::{DType, Tensor};

use crate::case::Verdict::{Lowered, Native, Refused};
use crate::case::*;

#[test]
fn unary_operators() {
    let shape: &[usize] = &[2, 3, 4];
    for kind in Unary::ALL {
        let (verdict, operand) = match kind {
            Unary::Not => (Native, bools(shape)),
            Unary::BitwiseNot => (Lowered, ints(-9, 9, shape)),
            Unary::Acos | Unary::Asin | Unary::Atanh => (Native, floats_in(-0.9, 0.9, shape)),
            Unary::Acosh => (Native, floats_in(1.1, 4.0, shape)),
            Unary::Log | Unary::Sqrt | Unary::Reciprocal => (Native, floats_in(0.1, 4.0, shape)),
            Unary::Mish | Unary::Sign | Unary::Softplus => (Lowered, floats(shape)),
            _ => (Native, floats(shape)),
        };
        check(verdict, *kind, &[operand]);
    }
}

#[test]
fn unary_operators_at_the_values_where_rten_differs() {
    let edge = || values(&[6], vec![0.0f32, -0.0, 1.5, -1.5, 100.0, -100.0]);
    check(Lowered, Unary::Sign, &[edge()]);
    check(Lowered, Unary::Softplus, &[edge()]);
    check(Lowered, Unary::Mish, &[edge()]);
    check(Native, Unary::Round, &[values(&[5], vec![0.5f32, 1.5, 2.5, -0.5, -1.5])]);
    check(Native, Unary::Sign, &[ints(-3, 3, &[9])]);
    check(Native, Unary::Abs, &[ints(-3, 3, &[9])]);
    check(Native, Unary::Neg, &[ints(-3, 3, &[9])]);
    check(Native, Unary::Identity, &[bools(&[4])]);
}

#[test]
fn binary_operators() {
    for kind in Binary::ALL {
        let operands = |a: &[usize], b: &[usize]| match kind {
            Binary::And | Binary::Or | Binary::Xor => [bools(a), bools(b)],
            Binary::BitwiseAnd | Binary::BitwiseOr | Binary::BitwiseXor => [ints(0, 9, a), ints(0, 9, b)],
            Binary::Pow => [floats_in(0.1, 3.0, a), floats(b)],
            Binary::Div => [floats(a), floats_in(0.5, 2.0, b)],
            _ => [floats(a), floats(b)],
        };
        let verdict = match kind {
            Binary::BitwiseAnd | Binary::BitwiseOr | Binary::BitwiseXor => Refused,
            _ => Native,
        };
        check(verdict, *kind, &operands(&[2, 3, 4], &[2, 3, 4]));
        check(verdict, *kind, &operands(&[2, 3, 4], &[3, 1]));
        check(verdict, *kind, &operands(&[2, 3, 4], &[]));
        if *kind != Binary::PRelu {
            check(verdict, *kind, &operands(&[4], &[2, 3, 1]));
        }
    }
}

#[test]
fn integer_arithmetic() {
    for kind in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Equal, Binary::Less, Binary::GreaterOrEqual] {
        check(Native, kind, &[ints(-9, 9, &[3, 4]), ints(-9, 9, &[4])]);
    }
    check(Native, Binary::Div, &[ints(-9, 9, &[3, 4]), ints(1, 5, &[4])]);
    check(Native, Binary::Pow, &[ints(0, 5, &[3, 4]), ints(0, 4, &[4])]);
    check(Lowered, Binary::Pow, &[floats(&[3, 4]), ints(0, 4, &[4])]);
    check(Native, op::Mod { fmod: false }, &[ints(-9, 9, &[12]), ints(1, 4, &[12])]);
    check(Native, op::Mod { fmod: true }, &[ints(-9, 9, &[12]), ints(1, 4, &[12])]);
    check(Native, op::Mod { fmod: true }, &[floats(&[12]), floats_in(0.5, 1.0, &[12])]);
    check(Lowered, Binary::Equal, &[ints_of(DType::U8, 0, 3, &[9]), ints_of(DType::U8, 0, 4, &[9])]);
    check(Refused, Binary::Add, &[ints_of(DType::U8, 0, 3, &[9]), ints_of(DType::U8, 0, 4, &[9])]);
    check(
        Refused,
        op::BitShift { direction: "LEFT".into() },
        &[ints_of(DType::U8, 0, 3, &[9]), ints_of(DType::U8, 0, 4, &[9])],
    );
}

#[test]
fn variadic_operators() {
    for kind in Variadic::ALL {
        check(Native, *kind, &[floats(&[2, 3]), floats_in(-1.0, 1.0, &[3]), floats_in(0.0, 1.0, &[2, 1])]);
        check(Native, *kind, &[floats(&[2, 3])]);
    }
    check(Native, Variadic::Max, &[ints(0, 9, &[4]), ints(1, 8, &[4])]);
}

#[test]
fn parametrised_activations() {
    let x = || floats(&[2, 3, 4]);
    check(Lowered, op::Celu { alpha: 0.7 }, &[x()]);
    check(Native, op::Elu { alpha: 0.7 }, &[x()]);
    check(Lowered, op::Gelu { approximate: op::GeluForm::Erf }, &[x()]);
    check(Lowered, op::Gelu { approximate: op::GeluForm::Tanh }, &[x()]);
    check(Native, op::HardSigmoid { alpha: 0.3, beta: 0.4 }, &[x()]);
    check(Native, op::LeakyRelu { alpha: 0.2 }, &[x()]);
    check(Lowered, op::Selu::default(), &[x()]);
    check(Lowered, op::Shrink { bias: 0.2, lambd: 0.6 }, &[x()]);
    check(Lowered, op::Swish { alpha: 1.0 }, &[x()]);
    check(Lowered, op::Swish { alpha: 1.7 }, &[x()]);
    check(Lowered, op::ThresholdedRelu { alpha: 0.6 }, &[x()]);
    check(Lowered, op::OneMinusSigmoid {}, &[x()]);
}

#[test]
fn clip_and_where() {
    check(Native, op::Clip {}, &[floats(&[3, 4]), scalar(-0.5), scalar(0.5)]);
    check(Native, op::Clip {}, &[floats(&[3, 4]), Operand::Absent, scalar(0.5)]);
    check(Native, op::Clip {}, &[ints(-9, 9, &[9]), Operand::Constant(Tensor::scalar(-2i64))]);
    let beyond = Operand::Constant(Tensor::scalar(i64::MAX));
    check(Native, op::Clip {}, &[ints(-9, 9, &[9]), Operand::Constant(Tensor::scalar(0i64)), beyond]);
    check(Native, op::Where {}, &[bools(&[2, 1, 4]), floats(&[3, 4]), floats_in(5.0, 6.0, &[1])]);
    check(Native, op::Where {}, &[bools(&[4]), ints(0, 9, &[3, 4]), ints(10, 20, &[4])]);
}

#[test]
fn infinities_and_not_a_number() {
    let x = || Operand::Constant(Tensor::vector(vec![1.0f32, f32::INFINITY, f32::NEG_INFINITY, f32::NAN]));
    for (negative, positive) in [(true, true), (true, false), (false, true), (false, false)] {
        let verdict = if negative && positive { Native } else { Lowered };
        check(verdict, op::IsInf { detect_negative: negative, detect_positive: positive }, &[x()]);
    }
    check(Native, Unary::IsNaN, &[x()]);
}

#[test]
fn casts() {
    let fraction = || values(&[6], vec![0.0f32, 0.5, -0.5, 2.0, -3.7, 1e-9]);
    check(Lowered, op::Cast { to: DType::Bool }, &[fraction()]);
    check(Lowered, op::Cast { to: DType::Bool }, &[ints(-2, 3, &[9])]);
    check(Lowered, op::Cast { to: DType::Bool }, &[ints_of(DType::U8, 0, 3, &[9])]);
    check(Native, op::Cast { to: DType::I64 }, &[fraction()]);
    check(Native, op::Cast { to: DType::I32 }, &[fraction()]);
    check(Native, op::Cast { to: DType::F32 }, &[ints(-9, 9, &[9])]);
    check(Native, op::Cast { to: DType::F32 }, &[bools(&[9])]);
    check(Native, op::Cast { to: DType::F64 }, &[fraction()]);
    check(Native, op::Cast { to: DType::F32 }, &[ints_of(DType::U8, 0, 255, &[9])]);
    check(Native, op::Cast { to: DType::I64 }, &[bools(&[9])]);
    check(Refused, op::Cast { to: DType::U16 }, &[ints(0, 9, &[9])]);
    check(Lowered, op::CastLike {}, &[ints(0, 9, &[9]), floats(&[1])]);
    check(Lowered, op::CastLike {}, &[floats(&[9]), bools(&[1])]);
}
