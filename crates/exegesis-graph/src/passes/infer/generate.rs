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
    let scalar = |i: usize| cx.get(i)?.values.as_ref()?.first()?.clone();
    let bounds = (scalar(0), scalar(1), scalar(2));
    if let (Some(a), Some(b), Some(d)) = (cx.floats(0), cx.floats(1), cx.floats(2))
        && let (Some(a), Some(b), Some(d)) = (a.first(), b.first(), d.first())
    {
        let count = ((b - a) / d).ceil().max(0.0);
        if count.is_nan() || *d == 0.0 {
            return Err(cx.error(format!("can't go from {a} to {b} in steps of {d}")));
        }
        if count >= 9e15 {
            return Err(crate::Error::too_large(format!("Range: {count} elements are too many")));
        }
        let fact = Fact::new(dtype, Some(vec![Expr::Fixed(count as i64)]));
        let steps = count as usize;
        let values = (steps <= MAX_VALUES).then(|| {
            let element = |i: usize| {
                let x = a + i as f64 * d;
                (x.fract() == 0.0 && x.abs() < 9e15).then_some(Expr::Fixed(x as i64))
            };
            (0..steps).map(element).collect()
        });
        return Ok(fact.with_values(values));
    }
    let count = match bounds {
        (Some(start), Some(limit), Some(delta)) => match delta.fixed() {
            Some(0) => return Err(cx.error("the step is 0")),
            Some(d) => {
                let (span, step) =
                    if d > 0 { (limit.sub(&start), d) } else { (start.sub(&limit), d.saturating_neg()) };
                let count = span.and_then(|s| s.ceil_div(&Expr::Fixed(step)));
                count.and_then(|c| c.larger(&Expr::Fixed(0)))
            }
            None => None,
        },
        _ => None,
    };
    let count = cx.or_fresh(count);
    Ok(Fact::new(dtype, Some(vec![count])))
}
