//! Operators that make tensors out of sizes and bounds.

use super::context::Context;
use super::expression::Expr;
use super::fact::{Fact, MAX_VALUES};
use crate::op::{ConstantOfShape, EyeLike};
use crate::{DType, Result};

pub(super) fn constant_of_shape(cx: &mut Context, op: &ConstantOfShape) -> Result<Fact> {
    cx.expect_type(0, "int64", |t| t == DType::I64)?;
    let dtype = op.value.as_ref().map_or(DType::F32, |v| v.dtype());
    let Some(sizes) = cx.vector(0) else { return Ok(Fact::new(Some(dtype), None)) };
    if let Some(n) = sizes.iter().flatten().filter_map(Expr::fixed).find(|n| *n < 0) {
        return Err(cx.error(format!("the shape holds {n}")));
    }
    let shape = sizes.into_iter().map(|d| cx.or_fresh(d)).collect();
    let fact = Fact::new(Some(dtype), Some(shape));
    let element = match &op.value {
        None => Some(Expr::Fixed(0)),
        Some(value) => Fact::of_tensor(value).values.and_then(|v| v.into_iter().next().flatten()),
    };
    let count = fact.count().filter(|n| *n <= MAX_VALUES);
    let values = count.map(|n| vec![element; n]);
    Ok(fact.with_values(values))
}

pub(super) fn eye_like(cx: &mut Context, op: &EyeLike) -> Result<Fact> {
    cx.expect_rank(0, 2)?;
    let input = cx.input(0)?;
    Ok(Fact::new(op.dtype.or(input.dtype), input.shape.clone()))
}

pub(super) fn range(cx: &mut Context) -> Result<Fact> {
    cx.expect_same_type(0, 1)?;
    cx.expect_same_type(0, 2)?;
    for i in 0..3 {
        if cx.input(i)?.count().is_some_and(|n| n != 1) {
            return Err(cx.error(format!("operand {i} of shape {} must be a scalar", cx.show(i))));
        }
    }
    let dtype = cx.dtype(0).or(cx.dtype(1));
    // Whole numbers that are followed, sizes among them, are exact in floats too.
    if dtype.is_some_and(DType::is_float) && (0..3).all(|i| cx.floats(i).is_some()) {
        return float_range(cx, dtype);
    }
    let scalar = |i: usize| cx.get(i)?.values.as_ref()?.first()?.clone();
    let (Some(start), Some(limit), Some(Some(step))) = (scalar(0), scalar(1), scalar(2).map(|s| s.fixed()))
    else {
        let count = cx.fresh();
        return Ok(Fact::new(dtype, Some(vec![count])));
    };
    if step == 0 {
        return Err(cx.error(format!("can't go from {start} to {limit} in steps of 0")));
    }
    let span = if step > 0 { limit.sub(&start) } else { start.sub(&limit) };
    let stride = step.checked_abs().map(Expr::Fixed);
    let count = span.zip(stride).and_then(|(span, stride)| span.ceil_div(&stride)?.larger(&Expr::Fixed(0)));
    let count = cx.or_fresh(count);
    let values = count.fixed().and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= MAX_VALUES).map(|n| {
        let element = |i: usize| start.add(&Expr::Fixed(step.checked_mul(i as i64)?));
        (0..n).map(element).collect()
    });
    Ok(Fact::new(dtype, Some(vec![count])).with_values(values))
}

fn float_range(cx: &mut Context, dtype: Option<DType>) -> Result<Fact> {
    let scalar = |i: usize| cx.floats(i)?.first().copied();
    let (Some(start), Some(limit), Some(step)) = (scalar(0), scalar(1), scalar(2)) else {
        let count = cx.fresh();
        return Ok(Fact::new(dtype, Some(vec![count])));
    };
    let count = ((limit - start) / step).ceil().max(0.0);
    if step == 0.0 || !count.is_finite() {
        return Err(cx.error(format!("can't go from {start} to {limit} in steps of {step}")));
    }
    if count >= 9e15 {
        return Err(crate::Error::too_large(format!("Range: {count} elements are too many")));
    }
    Ok(Fact::new(dtype, Some(vec![Expr::Fixed(count as i64)])))
}
