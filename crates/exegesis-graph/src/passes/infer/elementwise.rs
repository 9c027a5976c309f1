//! Element-wise operators: broadcasting, types, and arithmetic on followed elements.

use super::context::Context;
use super::expression::Expr;
use super::fact::{Fact, broadcast_positions};
use crate::op::{Binary, Unary, Variadic};
use crate::{DType, Result};

/// `f` of every known element.
fn map(fact: &Fact, f: impl Fn(&Expr) -> Option<Expr>) -> Option<Vec<Option<Expr>>> {
    Some(fact.values.as_ref()?.iter().map(|v| v.as_ref().and_then(&f)).collect())
}

pub(super) fn unary(cx: &mut Context, kind: Unary) -> Result<Fact> {
    let input = cx.input(0)?;
    match kind {
        Unary::Identity => return Ok(input.clone()),
        Unary::Not => cx.expect_bool(0)?,
        Unary::BitwiseNot => cx.expect_type(0, "an integer", DType::is_integer)?,
        Unary::Abs | Unary::Neg | Unary::Sign | Unary::Erf | Unary::Relu => {
            cx.expect_type(0, "a number", |t| t.is_float() || t.is_integer())?;
        }
        _ => cx.expect_float(0)?,
    }
    let dtype = if kind == Unary::IsNaN { Some(DType::Bool) } else { input.dtype };
    let values = match kind {
        Unary::Neg => map(input, Expr::neg),
        Unary::Not => map(input, |v| v.fixed().map(|n| Expr::Fixed(i64::from(n == 0)))),
        Unary::Abs | Unary::Relu => map(input, |v| v.is_nonnegative().then(|| v.clone())),
        // Followed floats are whole numbers.
        Unary::Floor | Unary::Ceil | Unary::Round => input.values.clone(),
        _ => None,
    };
    Ok(Fact::new(dtype, input.shape.clone()).with_values(values))
}

pub(super) fn binary(cx: &mut Context, kind: Binary) -> Result<Fact> {
    match kind {
        Binary::And | Binary::Or | Binary::Xor => {
            cx.expect_bool(0)?;
            cx.expect_bool(1)?;
        }
        Binary::BitwiseAnd | Binary::BitwiseOr | Binary::BitwiseXor => {
            cx.expect_type(0, "an integer", DType::is_integer)?;
        }
        Binary::Equal => {}
        _ => {
            for i in 0..2 {
                cx.expect_type(i, "a number", |t| t.is_float() || t.is_integer())?;
            }
        }
    }
    // The exponent of a power may be of another type.
    if kind != Binary::Pow {
        cx.expect_same_type(0, 1)?;
    }
    let (a, b) = (cx.input(0)?, cx.input(1)?);
    let shape = cx.broadcast(a.shape.as_deref(), b.shape.as_deref())?;
    if kind == Binary::PRelu && shape.is_some() && a.rank() < b.rank() {
        return Err(cx.error(format!("slope {} can't be broadcast to {}", cx.show(1), cx.show(0))));
    }
    let operand = if kind == Binary::Pow { a.dtype } else { a.dtype.or(b.dtype) };
    let dtype = if kind.is_comparison() { Some(DType::Bool) } else { operand };
    let result = Fact::new(dtype, shape);
    let float = operand.is_none_or(DType::is_float);
    let values = zip(&result, a, b, |x, y| calculate(kind, float, x, y));
    Ok(result.with_values(values))
}

/// `f` of the broadcast elements of two.
fn zip(
    result: &Fact,
    a: &Fact,
    b: &Fact,
    f: impl Fn(&Expr, &Expr) -> Option<Expr>,
) -> Option<Vec<Option<Expr>>> {
    let (x, y) = (a.values.as_ref()?, b.values.as_ref()?);
    let shape = result.fixed_shape()?;
    let left = broadcast_positions(&shape, &a.fixed_shape()?)?;
    let right = broadcast_positions(&shape, &b.fixed_shape()?)?;
    let element = |(i, j): (usize, usize)| f(x.get(i)?.as_ref()?, y.get(j)?.as_ref()?);
    Some(left.into_iter().zip(right).map(element).collect())
}

fn calculate(kind: Binary, float: bool, x: &Expr, y: &Expr) -> Option<Expr> {
    let truth = |t: bool| Some(Expr::Fixed(i64::from(t)));
    // One of two certain answers, or none.
    let decide = |yes: bool, no: bool| {
        if yes {
            truth(true)
        } else if no {
            truth(false)
        } else {
            None
        }
    };
    let above = |a: &Expr, b: &Expr| b.add(&Expr::ONE).is_some_and(|next| a.at_least(&next));
    match kind {
        Binary::Add => x.add(y),
        Binary::Sub => x.sub(y),
        Binary::Mul => x.mul(y),
        Binary::Div if float => match (x.fixed(), y.fixed()) {
            (_, Some(0)) => None,
            _ => x.exact_div(y),
        },
        Binary::Div => match (x.fixed(), y.fixed()) {
            (Some(a), Some(b)) => a.checked_div(b).map(Expr::Fixed),
            (_, Some(b)) if b <= 0 => None,
            _ => x.floor_div(y),
        },
        Binary::Pow => {
            let exponent = y.fixed().filter(|n| (0..=8).contains(n))?;
            (0..exponent).try_fold(Expr::ONE, |power, _| power.mul(x))
        }
        Binary::Equal => decide(x == y, x.differs(y) || above(x, y) || above(y, x)),
        Binary::Greater => decide(above(x, y), y.at_least(x)),
        Binary::Less => decide(above(y, x), x.at_least(y)),
        Binary::GreaterOrEqual => decide(x.at_least(y), above(y, x)),
        Binary::LessOrEqual => decide(y.at_least(x), above(x, y)),
        Binary::And => {
            decide(x.fixed() == Some(1) && y.fixed() == Some(1), x.fixed() == Some(0) || y.fixed() == Some(0))
        }
        Binary::Or => {
            decide(x.fixed() == Some(1) || y.fixed() == Some(1), x.fixed() == Some(0) && y.fixed() == Some(0))
        }
        _ => None,
    }
}

pub(super) fn variadic(cx: &mut Context, kind: Variadic) -> Result<Fact> {
    let first = cx.input(0)?;
    let mut result = first.clone();
    for i in 0..cx.inputs.len() {
        match kind {
            Variadic::Mean | Variadic::Sum => cx.expect_float(i)?,
            Variadic::Max | Variadic::Min => {
                cx.expect_type(i, "a number", |t| t.is_float() || t.is_integer())?;
            }
        }
        if i == 0 {
            continue;
        }
        cx.expect_same_type(0, i)?;
        let other = cx.input(i)?;
        let shape = cx.broadcast(result.shape.as_deref(), other.shape.as_deref())?;
        let next = Fact::new(result.dtype.or(other.dtype), shape);
        let values = zip(&next, &result, other, |x, y| match kind {
            Variadic::Max => x.larger(y),
            Variadic::Min => x.smaller(y),
            Variadic::Sum => x.add(y),
            Variadic::Mean => None,
        });
        result = next.with_values(values);
    }
    Ok(result)
}

pub(super) fn select(cx: &mut Context) -> Result<Fact> {
    cx.expect_bool(0)?;
    cx.expect_same_type(1, 2)?;
    let (condition, x, y) = (cx.input(0)?, cx.input(1)?, cx.input(2)?);
    let both = cx.broadcast(x.shape.as_deref(), y.shape.as_deref())?;
    let shape = cx.broadcast(condition.shape.as_deref(), both.as_deref())?;
    let result = Fact::new(x.dtype.or(y.dtype), shape);
    let values = (|| {
        let shape = result.fixed_shape()?;
        let at = |fact: &Fact| broadcast_positions(&shape, &fact.fixed_shape()?);
        let (c, a, b) = (at(condition)?, at(x)?, at(y)?);
        let (cs, xs, ys) = (condition.values.as_ref()?, x.values.as_ref()?, y.values.as_ref()?);
        let element = |((c, a), b): ((usize, usize), usize)| {
            let (x, y) = (xs.get(a)?.as_ref(), ys.get(b)?.as_ref());
            match cs.get(c)?.as_ref().and_then(Expr::fixed) {
                Some(0) => y.cloned(),
                Some(_) => x.cloned(),
                None => x.filter(|x| Some(*x) == y).cloned(),
            }
        };
        Some(c.into_iter().zip(a).zip(b).map(element).collect())
    })();
    Ok(result.with_values(values))
}

pub(super) fn cast(cx: &mut Context, to: Option<DType>) -> Result<Fact> {
    let input = cx.input(0)?;
    let bound = |limit: u64| {
        map(input, move |v| match v.fixed() {
            Some(n) => (n.unsigned_abs() <= limit).then(|| v.clone()),
            // Sizes are taken to be within every type that a graph casts them to but bytes.
            None => Some(v.clone()),
        })
    };
    let values = match to {
        Some(DType::I64 | DType::F64) => bound(1 << 53),
        Some(DType::I32) => bound(u64::from(i32::MAX.unsigned_abs())),
        Some(DType::F32) => bound(1 << 24),
        Some(DType::Bool) => map(input, |v| v.fixed().map(|n| Expr::Fixed(i64::from(n != 0)))),
        _ => None,
    };
    Ok(Fact::new(to, input.shape.clone()).with_values(values))
}

pub(super) fn remainder(cx: &mut Context) -> Result<Fact> {
    cx.expect_same_type(0, 1)?;
    let (a, b) = (cx.input(0)?, cx.input(1)?);
    let shape = cx.broadcast(a.shape.as_deref(), b.shape.as_deref())?;
    let result = Fact::new(a.dtype.or(b.dtype), shape);
    let values = zip(&result, a, b, |x, y| {
        // Signs decide between the two kinds of remainder; of sizes they are plus.
        if x.is_nonnegative() && y.fixed().is_none_or(|n| n > 0) {
            x.sub(&x.floor_div(y)?.mul(y)?)
        } else {
            None
        }
    });
    Ok(result.with_values(values))
}

pub(super) fn bit_shift(cx: &mut Context) -> Result<Fact> {
    cx.expect_type(0, "an integer", DType::is_integer)?;
    cx.expect_same_type(0, 1)?;
    let (a, b) = (cx.input(0)?, cx.input(1)?);
    let shape = cx.broadcast(a.shape.as_deref(), b.shape.as_deref())?;
    Ok(Fact::new(a.dtype.or(b.dtype), shape))
}

pub(super) fn clip(cx: &mut Context) -> Result<Fact> {
    cx.expect_type(0, "a number", |t| t.is_float() || t.is_integer())?;
    for i in [1, 2] {
        cx.expect_same_type(0, i)?;
        if cx.get(i).and_then(Fact::count).is_some_and(|n| n != 1) {
            return Err(cx.error(format!("bound of shape {} must be a scalar", cx.show(i))));
        }
    }
    let input = cx.input(0)?;
    let bound = |i: usize| match cx.get(i) {
        None => Some(None),
        Some(fact) => fact.values.as_ref()?.first()?.clone().map(Some),
    };
    let values = match (bound(1), bound(2)) {
        (Some(low), Some(high)) => map(input, |v| {
            let v = low.as_ref().map_or(Some(v.clone()), |low| v.larger(low))?;
            high.as_ref().map_or(Some(v.clone()), |high| v.smaller(high))
        }),
        _ => None,
    };
    Ok(Fact::new(input.dtype, input.shape.clone()).with_values(values))
}

/// Type and shape of the first operand, which must be floating-point; parameter vectors are checked against axis 1.
pub(super) fn same_as_input(cx: &mut Context) -> Result<Fact> {
    cx.expect_float(0)?;
    let input = cx.input(0)?;
    Ok(Fact::new(input.dtype, input.shape.clone()))
}

/// As [`same_as_input`], for normalisations with one parameter per channel in `parameters`.
pub(super) fn per_channel(cx: &mut Context, parameters: std::ops::Range<usize>) -> Result<Fact> {
    let fact = same_as_input(cx)?;
    let channels = fact.shape.as_ref().map(|s| s.get(1).cloned());
    if channels == Some(None) {
        return Err(cx.error(format!("operand 0 has shape {}, without a channel axis", cx.show(0))));
    }
    for i in parameters {
        cx.expect_rank(i, 1)?;
        cx.expect_float(i)?;
        if let (Some(Some(channels)), Some(Some(size))) = (&channels, cx.shape(i)?.map(<[Expr]>::first)) {
            cx.unify(channels, size, "the channels of the input and of a parameter")?;
        }
    }
    Ok(fact)
}

/// As [`same_as_input`], with parameters that broadcast over the axes from `axis` on.
pub(super) fn layer_norm(cx: &mut Context, axis: i64) -> Result<Fact> {
    let fact = same_as_input(cx)?;
    if let Some(shape) = &fact.shape {
        cx.axis(axis, shape.len())?;
        for i in 1..cx.inputs.len() {
            cx.expect_float(i)?;
            if let Some(parameter) = cx.get(i).and_then(|f| f.shape.as_deref()) {
                let both = cx.broadcast(Some(shape), Some(parameter))?;
                if both.is_some_and(|b| b.len() != shape.len()) {
                    return Err(cx.error(format!(
                        "parameter of shape {} does not fit {}",
                        cx.show(i),
                        cx.show(0)
                    )));
                }
            }
        }
    }
    Ok(fact)
}

/// As [`same_as_input`], for operators along one axis.
pub(super) fn along_axis(cx: &mut Context, axis: i64) -> Result<Fact> {
    let fact = same_as_input(cx)?;
    if let Some(rank) = fact.rank().filter(|r| *r > 0) {
        cx.axis(axis, rank)?;
    }
    Ok(fact)
}

/// `DequantizeLinear` and `QuantizeLinear`.
pub(super) fn quantise(cx: &mut Context, dequantise: bool) -> Result<Fact> {
    let input = cx.input(0)?;
    let dtype = if dequantise {
        cx.expect_type(0, "an integer", DType::is_integer)?;
        cx.expect_same_type(0, 2)?;
        cx.dtype(1)
    } else {
        cx.expect_type(0, "a number", |t| t.is_float() || t == DType::I32)?;
        // Without a zero point, ONNX quantises to uint8.
        if cx.get(2).is_some() { cx.dtype(2) } else { Some(DType::U8) }
    };
    Ok(Fact::new(dtype, input.shape.clone()))
}
