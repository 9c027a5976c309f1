//! `Slice`: bounds that are numbers, counted from either end, or sizes.

use super::context::Context;
use super::expression::Expr;
use super::fact::{Fact, positions, row_major};
use crate::Result;

pub(super) fn slice(cx: &mut Context) -> Result<Fact> {
    let input = cx.input(0)?;
    for i in 1..cx.inputs.len() {
        cx.expect_index(i)?;
    }
    let Some(shape) = &input.shape else { return Ok(Fact::new(input.dtype, None)) };
    let (starts, ends) = (cx.vector(1), cx.vector(2));
    let count = starts.as_ref().or(ends.as_ref()).map(Vec::len);
    let axes = match (cx.get(3), cx.integers(3)) {
        (None, _) => count.map(|n| (0..n as i64).collect()),
        (_, axes) => axes,
    };
    let Some(axes) = axes else {
        let dims = cx.fresh_shape(shape.len());
        return Ok(Fact::new(input.dtype, Some(dims)));
    };
    let count = axes.len();
    let steps = if cx.get(4).is_some() {
        cx.vector(4).unwrap_or_else(|| vec![None; count])
    } else {
        vec![Some(Expr::ONE); count]
    };
    let starts = starts.unwrap_or_else(|| vec![None; count]);
    let ends = ends.unwrap_or_else(|| vec![None; count]);
    if starts.len() != count || ends.len() != count || steps.len() != count {
        return Err(cx.error("starts, ends, axes and steps differ in length"));
    }
    let mut dims = shape.clone();
    let mut cut = Cut::whole(input);
    for (i, axis) in cx.axes(&axes, shape.len())?.iter().enumerate() {
        let at = |list: &[Option<Expr>]| list.get(i).cloned().flatten();
        let (Some(step), Some(dim)) = (at(&steps).and_then(|s| s.fixed()), dims.get(*axis).cloned()) else {
            cut = None;
            let size = cx.fresh();
            if let Some(slot) = dims.get_mut(*axis) {
                *slot = size;
            }
            continue;
        };
        if step == 0 {
            return Err(cx.error("a step is 0"));
        }
        let (start, end) = (at(&starts), at(&ends));
        let size = start.as_ref().zip(end.as_ref()).and_then(|(s, e)| slice_size(&dim, s, e, step));
        cut = cut.and_then(|c| c.along(*axis, start?.fixed()?, end?.fixed()?, step));
        let size = cx.or_fresh(size);
        if let Some(slot) = dims.get_mut(*axis) {
            *slot = size;
        }
    }
    let values = cut.and_then(|c| input.pick(positions(&c.shape, c.offset, &c.strides)));
    Ok(Fact::new(input.dtype, Some(dims)).with_values(values))
}

/// Which elements of a small tensor a slice takes.
struct Cut {
    shape: Vec<usize>,
    offset: i64,
    strides: Vec<i64>,
}

impl Cut {
    fn whole(input: &Fact) -> Option<Self> {
        input.values.as_ref()?;
        let shape = input.fixed_shape()?;
        Some(Self { offset: 0, strides: row_major(&shape)?, shape })
    }

    fn along(mut self, axis: usize, start: i64, end: i64, step: i64) -> Option<Self> {
        let (size, stride) = (self.shape.get_mut(axis)?, self.strides.get_mut(axis)?);
        let length = i64::try_from(*size).ok()?;
        *size = usize::try_from(fixed_size(start, end, length, step)).ok()?;
        self.offset = self.offset.checked_add(resolve(start, length, step).checked_mul(*stride)?)?;
        *stride = stride.checked_mul(step)?;
        Some(self)
    }
}

/// Clamped first position, or one past the last, of a slice with fixed numbers.
fn resolve(index: i64, size: i64, step: i64) -> i64 {
    let index = if index < 0 { index.saturating_add(size) } else { index };
    if step > 0 { index.clamp(0, size) } else { index.clamp(-1, size - 1) }
}

fn fixed_size(start: i64, end: i64, size: i64, step: i64) -> i64 {
    let (first, last) = (resolve(start, size, step), resolve(end, size, step));
    let (span, stride) = if step > 0 { (last - first, step) } else { (first - last, step.saturating_neg()) };
    if span <= 0 { 0 } else { (span - 1) / stride + 1 }
}

/// Length of `start..end` with `step` along an axis of size `dim`; `None` if it can't be expressed.
fn slice_size(dim: &Expr, start: &Expr, end: &Expr, step: i64) -> Option<Expr> {
    if let (Some(s), Some(e), Some(d)) = (start.fixed(), end.fixed(), dim.fixed()) {
        return Some(Expr::Fixed(fixed_size(s, e, d, step)));
    }
    let zero = Expr::Fixed(0);
    // Exporters write "to the end" as the largest number of some type.
    let far = |e: &Expr| e.fixed().is_some_and(|n| n >= i64::from(i32::MAX));
    let before = |e: &Expr| e.fixed().is_some_and(|n| n <= -i64::from(i32::MAX));
    if step < 0 {
        let whole = (far(start) || start.fixed() == Some(-1)) && before(end);
        return whole.then(|| dim.ceil_div(&Expr::Fixed(step.checked_neg()?))).flatten();
    }
    let bound = |e: &Expr| -> Option<Expr> {
        match e.fixed() {
            _ if far(e) => Some(dim.clone()),
            _ if before(e) || *e == zero => Some(zero.clone()),
            Some(n) if n < 0 => dim.add(e)?.larger(&zero),
            // The sign of a computed bound decides its meaning; only a certain one is followed.
            None if !e.is_nonnegative() => {
                let from_end = e.neg()?.is_nonnegative();
                if from_end { dim.add(e)?.larger(&zero) } else { sure_bound(dim, e) }
            }
            _ => e.smaller(dim),
        }
    };
    let span = match start.fixed().filter(|_| far(end)) {
        // The last few elements: as many as asked for, or all.
        Some(n) if n < 0 => Expr::Fixed(n.checked_neg()?).smaller(dim)?,
        Some(0) => dim.clone(),
        Some(n) => dim.sub(&Expr::Fixed(n))?.larger(&zero)?,
        None => bound(end)?.sub(&bound(start)?)?.larger(&zero)?,
    };
    span.ceil_div(&Expr::Fixed(step))
}

/// A bound such as `seq - 1` on an axis `seq`: taken to be a position, as programs that compute it mean it.
fn sure_bound(dim: &Expr, bound: &Expr) -> Option<Expr> {
    dim.at_least(bound).then(|| bound.clone())
}
