//! Element-wise operators: unary, binary and variadic families, activations with parameters, conversions.

use exegesis_graph::op::{self, Binary, GeluForm, Op, Unary, Variadic};
use exegesis_graph::{DType, Error, Result};

use crate::array::{Array, bounds, broadcast_shape, wrap};
use crate::operands::Operands;

/// The logistic function, without overflow on either side.
pub(crate) fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

/// `log(1 + exp x)`, without overflow.
pub(crate) fn softplus(x: f64) -> f64 {
    if x.is_nan() { x } else { x.max(0.0) + (-x.abs()).exp().ln_1p() }
}

/// The larger one; NaN if either is.
pub(crate) fn maximum(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// The smaller one; NaN if either is.
pub(crate) fn minimum(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

fn truth(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn unary_function(kind: Unary) -> fn(f64) -> f64 {
    match kind {
        Unary::Abs => f64::abs,
        Unary::Acos => f64::acos,
        Unary::Acosh => f64::acosh,
        Unary::Asin => f64::asin,
        Unary::Asinh => f64::asinh,
        Unary::Atan => f64::atan,
        Unary::Atanh => f64::atanh,
        // The result for signed types; unsigned ones wrap to `max - x`.
        Unary::BitwiseNot => |x| -x - 1.0,
        Unary::Ceil => f64::ceil,
        Unary::Cos => f64::cos,
        Unary::Cosh => f64::cosh,
        Unary::Erf => libm::erf,
        Unary::Exp => f64::exp,
        Unary::Floor => f64::floor,
        Unary::HardSwish => |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Unary::Identity => |x| x,
        Unary::IsNaN => |x| truth(x.is_nan()),
        Unary::Log => f64::ln,
        Unary::Mish => |x| x * softplus(x).tanh(),
        Unary::Neg => |x| -x,
        Unary::Not => |x| truth(x == 0.0),
        Unary::Reciprocal => |x| 1.0 / x,
        Unary::Relu => |x| if x < 0.0 { 0.0 } else { x },
        Unary::Round => f64::round_ties_even,
        Unary::Sigmoid => sigmoid,
        Unary::Sign => |x| if x == 0.0 || x.is_nan() { x } else { x.signum() },
        Unary::Sin => f64::sin,
        Unary::Sinh => f64::sinh,
        Unary::Softplus => softplus,
        Unary::Softsign => |x| x / (1.0 + x.abs()),
        Unary::Sqrt => f64::sqrt,
        Unary::Tan => f64::tan,
        Unary::Tanh => f64::tanh,
    }
}

pub(crate) fn unary(kind: Unary, x: Operands) -> Result<Array> {
    let x = x.get(0)?;
    let allowed = match kind {
        Unary::Not => x.dtype == DType::Bool,
        Unary::BitwiseNot => x.dtype.is_integer(),
        Unary::Identity => true,
        Unary::Abs | Unary::Neg | Unary::Relu | Unary::Sign => x.dtype != DType::Bool,
        _ => x.dtype.is_float(),
    };
    if !allowed {
        return Err(Error::malformed(format!("{} of {} is not defined", kind.as_str(), x.dtype)));
    }
    let f = unary_function(kind);
    let dtype = if kind == Unary::IsNaN { DType::Bool } else { x.dtype };
    Ok(x.map(|v| wrap(f(v), dtype)).typed(dtype))
}

/// `f` over both operands broadcast together.
fn zip(a: &Array, b: &Array, dtype: DType, mut f: impl FnMut(f64, f64) -> Result<f64>) -> Result<Array> {
    let shape = broadcast_shape(&a.shape, &b.shape)?;
    let (a, b) = (a.broadcast_to(&shape)?, b.broadcast_to(&shape)?);
    let data: Result<Vec<f64>> = a.data.iter().zip(&b.data).map(|(x, y)| f(*x, *y)).collect();
    Array::new(dtype, shape, data?)
}

/// Operands of one type; only `Pow` mixes types.
fn same_type(a: &Array, b: &Array) -> Result<()> {
    if a.dtype != b.dtype {
        return Err(Error::malformed(format!("the operands are {} and {}", a.dtype, b.dtype)));
    }
    Ok(())
}

fn integer_quotient(x: f64, y: f64) -> Result<f64> {
    if y == 0.0 {
        return Err(Error::malformed("an integer is divided by zero"));
    }
    Ok((x / y).trunc())
}

pub(crate) fn binary(kind: Binary, operands: Operands) -> Result<Array> {
    let (a, b) = (operands.get(0)?, operands.get(1)?);
    if kind != Binary::Pow {
        same_type(a, b)?;
    }
    let allowed = match kind {
        Binary::And | Binary::Or | Binary::Xor => a.dtype == DType::Bool,
        Binary::BitwiseAnd | Binary::BitwiseOr | Binary::BitwiseXor => a.dtype.is_integer(),
        Binary::Equal => true,
        _ => a.dtype != DType::Bool,
    };
    if !allowed {
        return Err(Error::malformed(format!("{} of {} is not defined", kind.as_str(), a.dtype)));
    }
    if kind == Binary::PRelu {
        // The slope is broadcast to the input, never the other way round.
        let slope = b.broadcast_to(&a.shape)?;
        return zip(a, &slope, a.dtype, |x, s| Ok(if x < 0.0 { s * x } else { x }));
    }
    let integer = a.dtype.is_integer();
    let bits = |x: f64, y: f64, f: fn(i128, i128) -> i128| f(x as i128, y as i128) as f64;
    let dtype = if kind.is_comparison() { DType::Bool } else { a.dtype };
    zip(a, b, dtype, |x, y| {
        let result = match kind {
            Binary::Add => x + y,
            Binary::Sub => x - y,
            Binary::Mul => x * y,
            Binary::Div if integer => integer_quotient(x, y)?,
            Binary::Div => x / y,
            Binary::Pow if integer => x.powf(y).trunc(),
            Binary::Pow => x.powf(y),
            Binary::And => x * y,
            Binary::Or => x.max(y),
            Binary::Xor => truth(x != y),
            Binary::BitwiseAnd => bits(x, y, |x, y| x & y),
            Binary::BitwiseOr => bits(x, y, |x, y| x | y),
            Binary::BitwiseXor => bits(x, y, |x, y| x ^ y),
            Binary::Equal => truth(x == y),
            Binary::Greater => truth(x > y),
            Binary::GreaterOrEqual => truth(x >= y),
            Binary::Less => truth(x < y),
            Binary::LessOrEqual => truth(x <= y),
            Binary::PRelu => unreachable!("treated above"),
        };
        Ok(wrap(result, dtype))
    })
}

pub(crate) fn variadic(kind: Variadic, operands: Operands) -> Result<Array> {
    let list = operands.all()?;
    let mut total = operands.get(0)?.clone();
    let dtype = total.dtype;
    for next in &list[1..] {
        same_type(&total, next)?;
        total = zip(&total, next, dtype, |a, b| {
            Ok(match kind {
                Variadic::Max => maximum(a, b),
                Variadic::Min => minimum(a, b),
                Variadic::Sum | Variadic::Mean => wrap(a + b, dtype),
            })
        })?;
    }
    if kind == Variadic::Mean {
        total = total.map(|x| x / list.len() as f64);
    }
    Ok(total)
}

/// `x` above 0, else `alpha (exp x - 1)`.
pub(crate) fn elu(x: f64, alpha: f64) -> f64 {
    if x < 0.0 { alpha * x.exp_m1() } else { x }
}

pub(crate) fn hard_sigmoid(x: f64, alpha: f64, beta: f64) -> f64 {
    (alpha * x + beta).clamp(0.0, 1.0)
}

fn gelu(x: f64, form: GeluForm) -> f64 {
    match form {
        GeluForm::Erf => 0.5 * x * (1.0 + libm::erf(x / 2f64.sqrt())),
        GeluForm::Tanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            0.5 * x * (1.0 + inner.tanh())
        }
    }
}

pub(crate) fn activation(op: &Op, operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    // Shrink is the only one defined on integers.
    if !x.dtype.is_float() && !matches!(op, Op::Shrink(_)) {
        return Err(Error::malformed(format!("{} of {} is not defined", op.name(), x.dtype)));
    }
    let wide = f64::from;
    Ok(match op {
        Op::Celu(p) => x.map(|v| elu(v / wide(p.alpha), 1.0) * wide(p.alpha)),
        Op::Elu(p) => x.map(|v| elu(v, wide(p.alpha))),
        Op::Gelu(p) => x.map(|v| gelu(v, p.approximate)),
        Op::HardSigmoid(p) => x.map(|v| hard_sigmoid(v, wide(p.alpha), wide(p.beta))),
        Op::LeakyRelu(p) => x.map(|v| if v < 0.0 { wide(p.alpha) * v } else { v }),
        Op::OneMinusSigmoid(_) => x.map(|v| sigmoid(-v)),
        Op::Selu(p) => x.map(|v| wide(p.gamma) * elu(v, wide(p.alpha))),
        Op::Shrink(p) => x.map(|v| {
            let (bias, lambd) = (wide(p.bias), wide(p.lambd));
            let result = if v < -lambd {
                v + bias
            } else if v > lambd {
                v - bias
            } else {
                0.0
            };
            if x.dtype.is_integer() { wrap(result.trunc(), x.dtype) } else { result }
        }),
        Op::Swish(p) => x.map(|v| v * sigmoid(wide(p.alpha) * v)),
        Op::ThresholdedRelu(p) => x.map(|v| if v > wide(p.alpha) { v } else { 0.0 }),
        other => return Err(Error::unsupported(format!("{} is not an activation", other.name()))),
    })
}

pub(crate) fn clip(operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let low = operands.optional(1).map(Array::single).transpose()?;
    let high = operands.optional(2).map(Array::single).transpose()?;
    // With `min > max` everything becomes `max`.
    Ok(x.map(|v| {
        let v = low.map_or(v, |low| maximum(v, low));
        high.map_or(v, |high| minimum(v, high))
    }))
}

pub(crate) fn is_inf(op: &op::IsInf, operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let found =
        |v: f64| (op.detect_positive && v == f64::INFINITY) || (op.detect_negative && v == f64::NEG_INFINITY);
    Ok(x.map(|v| truth(found(v))).typed(DType::Bool))
}

/// Conversion: floats to integers truncate and saturate (NaN becomes 0), integers wrap, to bool means "is not 0". Between
/// floats nothing is rounded.
pub(crate) fn cast(x: &Array, to: DType) -> Result<Array> {
    if to == DType::String {
        return Err(Error::unsupported("string tensors can't be evaluated"));
    }
    let (low, high) = bounds(to);
    let convert = |v: f64| {
        if to == DType::Bool {
            truth(v != 0.0)
        } else if to.is_float() {
            v
        } else if x.dtype.is_float() {
            if v.is_nan() { 0.0 } else { v.trunc().clamp(low, high) }
        } else {
            wrap(v, to)
        }
    };
    Ok(x.map(convert).typed(to))
}

pub(crate) fn modulo(op: &op::Mod, operands: Operands) -> Result<Array> {
    let (a, b) = (operands.get(0)?, operands.get(1)?);
    same_type(a, b)?;
    if !op.fmod && a.dtype.is_float() {
        return Err(Error::malformed("Mod of floats needs `fmod` = 1"));
    }
    zip(a, b, a.dtype, |x, y| {
        if y == 0.0 && a.dtype.is_integer() {
            return Err(Error::malformed("an integer is divided by zero"));
        }
        // Rust's remainder has the dividend's sign; the integer Mod has the divisor's.
        let remainder = x % y;
        Ok(if !op.fmod && remainder != 0.0 && (remainder < 0.0) != (y < 0.0) {
            remainder + y
        } else {
            remainder
        })
    })
}

pub(crate) fn bit_shift(op: &op::BitShift, operands: Operands) -> Result<Array> {
    let (a, b) = (operands.get(0)?, operands.get(1)?);
    same_type(a, b)?;
    if !matches!(a.dtype, DType::U8 | DType::U16 | DType::U32 | DType::U64) {
        return Err(Error::malformed(format!("BitShift of {} is not defined", a.dtype)));
    }
    let left = match op.direction.as_str() {
        "LEFT" => true,
        "RIGHT" => false,
        other => return Err(Error::malformed(format!("the direction of BitShift is \"{other}\""))),
    };
    zip(a, b, a.dtype, |x, y| {
        if y >= 64.0 {
            return Ok(0.0);
        }
        let (x, y) = (x as u128, y as u32);
        Ok(wrap((if left { x << y } else { x >> y }) as f64, a.dtype))
    })
}

pub(crate) fn choose(operands: Operands) -> Result<Array> {
    let (condition, a, b) = (operands.get(0)?, operands.get(1)?, operands.get(2)?);
    same_type(a, b)?;
    let shape = broadcast_shape(&condition.shape, &broadcast_shape(&a.shape, &b.shape)?)?;
    let (c, a, b) = (condition.broadcast_to(&shape)?, a.broadcast_to(&shape)?, b.broadcast_to(&shape)?);
    let data = (0..c.len()).map(|i| if c.data[i] != 0.0 { a.data[i] } else { b.data[i] }).collect();
    Array::new(a.dtype, shape, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(values: &[f64]) -> Array {
        Array::new(DType::I32, [values.len()], values.to_vec()).unwrap()
    }

    fn on(kind: Binary, a: &Array, b: &Array) -> Result<Array> {
        binary(kind, Operands::new(&[Some(a), Some(b)]))
    }

    #[test]
    fn integer_division_truncates_and_refuses_zero() {
        let (a, b) = (ints(&[7.0, -7.0, 7.0]), ints(&[2.0, 2.0, -2.0]));
        assert_eq!(on(Binary::Div, &a, &b).unwrap().data, [3.0, -3.0, -3.0]);
        assert!(on(Binary::Div, &a, &ints(&[0.0])).is_err());
    }

    #[test]
    fn modulo_signs_follow_fmod() {
        let (a, b) = (ints(&[-4.0, 7.0, 5.0]), ints(&[3.0, -3.0, 5.0]));
        let with = |fmod| modulo(&op::Mod { fmod }, Operands::new(&[Some(&a), Some(&b)])).unwrap().data;
        assert_eq!(with(false), [2.0, -2.0, 0.0]);
        assert_eq!(with(true), [-1.0, 1.0, 0.0]);
    }

    #[test]
    fn casts_truncate_and_wrap() {
        let x = Array::floats([4], vec![-1.9, 1.9, 1e20, f64::NAN]).unwrap();
        assert_eq!(cast(&x, DType::I32).unwrap().data, [-1.0, 1.0, f64::from(i32::MAX), 0.0]);
        assert_eq!(cast(&ints(&[-1.0, 257.0]), DType::U8).unwrap().data, [255.0, 1.0]);
        assert_eq!(cast(&x, DType::Bool).unwrap().data, [1.0; 4]);
        assert!(cast(&x, DType::String).is_err());
    }

    #[test]
    fn types_are_checked() {
        let x = Array::floats([1], vec![1.0]).unwrap();
        assert!(on(Binary::Add, &x, &ints(&[1.0])).is_err());
        assert!(on(Binary::And, &x, &x).is_err());
        assert!(unary(Unary::Exp, Operands::new(&[Some(&ints(&[1.0]))])).is_err());
        assert!(unary(Unary::Exp, Operands::new(&[])).is_err());
    }

    #[test]
    fn activations_stay_finite_far_out() {
        for x in [-1e4, -40.0, 0.0, 40.0, 1e4] {
            assert!(sigmoid(x).is_finite() && softplus(x).is_finite());
            assert!((sigmoid(x) + sigmoid(-x) - 1.0).abs() < 1e-15);
        }
        assert!((softplus(0.0) - 2f64.ln()).abs() < 1e-15);
        assert!((gelu(1.0, GeluForm::Erf) - 0.841_344_746_068_543).abs() < 1e-12);
        assert!((gelu(1.0, GeluForm::Tanh) - 0.841_191_990_608_276).abs() < 1e-12);
    }
}
