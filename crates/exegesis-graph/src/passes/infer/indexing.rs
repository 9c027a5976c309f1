//! Operators that pick, place, order or count elements.

use super::context::{Context, show};
use super::expression::Expr;
use super::fact::{Fact, MAX_VALUES};
use crate::op::{
    ArgMax, Compress, Gather, GatherND, OneHot, Reduce, ReduceKind, ReverseSequence, TopK, Unique,
};
use crate::{DType, Result};

pub(super) fn gather(cx: &mut Context, op: &Gather) -> Result<Fact> {
    cx.expect_index(1)?;
    let (data, indices) = (cx.input(0)?, cx.input(1)?);
    let (Some(shape), Some(index_shape)) = (&data.shape, &indices.shape) else {
        return Ok(Fact::new(data.dtype, None));
    };
    let axis = cx.axis(op.axis, shape.len())?;
    let (lead, rest) = shape.split_at(axis);
    let (size, tail) = rest.split_first().map_or((None, rest), |(s, t)| (Some(s), t));
    let known = indices.integers();
    if let (Some(size), Some(known)) = (size.and_then(Expr::fixed), &known)
        && let Some(bad) = known.iter().find(|i| **i >= size || **i < -size)
    {
        return Err(cx.error(format!("index {bad} is outside axis {axis} of {}", show(shape))));
    }
    let values = (|| {
        let values = data.values.as_ref().filter(|_| shape.len() == 1)?;
        let length = values.len() as i64;
        let pick = |i: i64| values.get(usize::try_from(if i < 0 { i + length } else { i }).ok()?).cloned();
        known?.into_iter().map(pick).collect()
    })();
    Ok(Fact::new(data.dtype, Some([lead, index_shape, tail].concat())).with_values(values))
}

pub(super) fn gather_elements(cx: &mut Context, axis: i64) -> Result<Fact> {
    cx.expect_index(1)?;
    let (data, indices) = (cx.input(0)?, cx.input(1)?);
    if let Some(rank) = data.rank() {
        cx.axis(axis, rank)?;
        cx.expect_rank(1, rank)?;
    }
    Ok(Fact::new(data.dtype, indices.shape.clone()))
}

pub(super) fn gather_nd(cx: &mut Context, op: &GatherND) -> Result<Fact> {
    cx.expect_index(1)?;
    let data = cx.input(0)?;
    let (Some(shape), Some(indices)) = (&data.shape, cx.shape(1)?) else {
        return Ok(Fact::new(data.dtype, None));
    };
    let Some((tuple, lead)) = indices.split_last() else { return Err(cx.error("the indices are a scalar")) };
    let Some(tuple) = tuple.fixed().and_then(|n| usize::try_from(n).ok()) else {
        return Ok(Fact::new(data.dtype, None));
    };
    let picked = usize::try_from(op.batch_dims).ok().and_then(|b| b.checked_add(tuple));
    match picked.and_then(|n| shape.get(n..)) {
        Some(tail) => Ok(Fact::new(data.dtype, Some([lead, tail].concat()))),
        None => Err(cx.error(format!("index tuples of {tuple} do not fit data of shape {}", show(shape)))),
    }
}

/// `ScatterElements` and `ScatterND`: the shape of the data.
pub(super) fn scatter(cx: &mut Context) -> Result<Fact> {
    cx.expect_index(1)?;
    cx.expect_same_type(0, 2)?;
    let data = cx.input(0)?;
    Ok(Fact::new(data.dtype, data.shape.clone()))
}

pub(super) fn one_hot(cx: &mut Context, op: &OneHot) -> Result<Fact> {
    let dtype = cx.dtype(2);
    let Some(shape) = cx.shape(0)? else { return Ok(Fact::new(dtype, None)) };
    let axis = cx.axis(op.axis, shape.len() + 1)?;
    let depth = cx.vector(1).and_then(|v| v.into_iter().next().flatten());
    let depth = cx.or_fresh(depth);
    let (lead, tail) = shape.split_at(axis);
    let fact = Fact::new(dtype, Some([lead, std::slice::from_ref(&depth), tail].concat()));
    let values = if tail.is_empty() { one_hot_values(cx, &depth) } else { None };
    Ok(fact.with_values(values))
}

/// Cells of a `OneHot` over the last axis, as in the repeats that an exporter makes of sizes.
fn one_hot_values(cx: &Context, depth: &Expr) -> Option<Vec<Option<Expr>>> {
    let (indices, choice) = (cx.get(0)?.values.as_ref()?, cx.get(2)?.values.as_ref()?);
    let [off, on] = choice.as_slice() else { return None };
    let depth = depth.fixed().filter(|d| (0..=MAX_VALUES as i64).contains(d))?;
    if indices.len().checked_mul(depth as usize)? > MAX_VALUES {
        return None;
    }
    let mut cells = vec![];
    for index in indices {
        let index = index.as_ref()?.fixed()?;
        let index = if index < 0 { index.checked_add(depth)? } else { index };
        cells.extend((0..depth).map(|i| if i == index { on.clone() } else { off.clone() }));
    }
    Some(cells)
}

pub(super) fn non_zero(cx: &mut Context) -> Result<Fact> {
    let rank = cx.input(0)?.rank();
    let rank = match rank {
        Some(rank) => Expr::from(rank.max(1)),
        None => cx.fresh(),
    };
    let count = cx.fresh();
    Ok(Fact::new(Some(DType::I64), Some(vec![rank, count])))
}

pub(super) fn compress(cx: &mut Context, op: &Compress) -> Result<Fact> {
    cx.expect_bool(1)?;
    let input = cx.input(0)?;
    let count = cx.fresh();
    let shape = match (op.axis, &input.shape) {
        (None, _) => Some(vec![count]),
        (Some(_), None) => None,
        (Some(axis), Some(shape)) => {
            let axis = cx.axis(axis, shape.len())?;
            Some(
                shape
                    .iter()
                    .enumerate()
                    .map(|(i, d)| if i == axis { count.clone() } else { d.clone() })
                    .collect(),
            )
        }
    };
    Ok(Fact::new(input.dtype, shape))
}

pub(super) fn unique(cx: &mut Context, op: &Unique) -> Result<Vec<Fact>> {
    let input = cx.input(0)?;
    let count = cx.fresh();
    let values = match (op.axis, &input.shape) {
        (None, _) => Some(vec![count.clone()]),
        (Some(_), None) => None,
        (Some(axis), Some(shape)) => {
            let axis = cx.axis(axis, shape.len())?;
            Some(
                shape
                    .iter()
                    .enumerate()
                    .map(|(i, d)| if i == axis { count.clone() } else { d.clone() })
                    .collect(),
            )
        }
    };
    let length = match (op.axis, &input.shape) {
        (None, Some(shape)) => Expr::product(shape),
        (Some(axis), Some(shape)) => shape.get(cx.axis(axis, shape.len())?).cloned(),
        _ => None,
    };
    let length = cx.or_fresh(length);
    let index = |n: Expr| Fact::new(Some(DType::I64), Some(vec![n]));
    Ok(vec![Fact::new(input.dtype, values), index(count.clone()), index(length), index(count)])
}

pub(super) fn non_max_suppression(cx: &mut Context) -> Result<Fact> {
    cx.expect_rank(0, 3)?;
    cx.expect_rank(1, 3)?;
    let count = cx.fresh();
    Ok(Fact::new(Some(DType::I64), Some(vec![count, Expr::Fixed(3)])))
}

pub(super) fn top_k(cx: &mut Context, op: &TopK) -> Result<Vec<Fact>> {
    cx.expect_type(0, "a number", |t| t.is_float() || t.is_integer())?;
    let input = cx.input(0)?;
    let shape = match &input.shape {
        None => None,
        Some(shape) => {
            let axis = cx.axis(op.axis, shape.len())?;
            let k = cx.vector(1).and_then(|v| v.into_iter().next().flatten());
            if let (Some(k), Some(size)) =
                (k.as_ref().and_then(Expr::fixed), shape.get(axis).and_then(Expr::fixed))
                && (k > size || k < 0)
            {
                return Err(cx.error(format!("can't take {k} of the {size} elements along axis {axis}")));
            }
            let k = cx.or_fresh(k);
            Some(
                shape
                    .iter()
                    .enumerate()
                    .map(|(i, d)| if i == axis { k.clone() } else { d.clone() })
                    .collect::<Vec<_>>(),
            )
        }
    };
    Ok(vec![Fact::new(input.dtype, shape.clone()), Fact::new(Some(DType::I64), shape)])
}

pub(super) fn arg_max(cx: &mut Context, op: &ArgMax) -> Result<Fact> {
    cx.expect_type(0, "a number", |t| t.is_float() || t.is_integer())?;
    let Some(shape) = cx.shape(0)? else { return Ok(Fact::new(Some(DType::I64), None)) };
    let axis = cx.axis(op.axis, shape.len())?;
    Ok(Fact::new(Some(DType::I64), Some(reduced(shape, &[axis], op.keepdims))))
}

fn reduced(shape: &[Expr], axes: &[usize], keepdims: bool) -> Vec<Expr> {
    shape
        .iter()
        .enumerate()
        .filter_map(|(i, d)| match axes.contains(&i) {
            false => Some(d.clone()),
            true => keepdims.then_some(Expr::ONE),
        })
        .collect()
}

pub(super) fn reduce(cx: &mut Context, op: &Reduce) -> Result<Fact> {
    let logical = matches!(op.kind, ReduceKind::Max | ReduceKind::Min);
    let allowed = |t: DType| t.is_float() || t.is_integer() || (logical && t == DType::Bool);
    cx.expect_type(0, "a number", allowed)?;
    let input = cx.input(0)?;
    let Some(shape) = &input.shape else { return Ok(Fact::new(input.dtype, None)) };
    let axes = if cx.get(1).is_none() { Some(vec![]) } else { cx.integers(1) };
    let Some(axes) = axes else {
        let rank = if op.keepdims {
            Some(shape.len())
        } else {
            cx.input(1)?.count().and_then(|n| shape.len().checked_sub(n))
        };
        let dims = rank.map(|r| cx.fresh_shape(r));
        return Ok(Fact::new(input.dtype, dims));
    };
    let axes = match (axes.is_empty(), op.noop_with_empty_axes) {
        (true, true) => vec![],
        (true, false) => (0..shape.len()).collect(),
        _ => cx.axes(&axes, shape.len())?,
    };
    let result = Fact::new(input.dtype, Some(reduced(shape, &axes, op.keepdims)));
    // The product of a shape vector is a number of elements.
    let values = match (op.kind, &input.values) {
        (ReduceKind::Prod, Some(values)) if axes.len() == shape.len() => {
            let factors: Option<Vec<Expr>> = values.iter().cloned().collect();
            Some(vec![factors.and_then(|f| Expr::product(&f))])
        }
        (ReduceKind::Sum, Some(values)) if axes.len() == shape.len() => {
            Some(vec![values.iter().try_fold(Expr::Fixed(0), |sum, v| sum.add(v.as_ref()?))])
        }
        _ => None,
    };
    Ok(result.with_values(values))
}

pub(super) fn cumulative_sum(cx: &mut Context) -> Result<Fact> {
    cx.expect_type(0, "a number", |t| t.is_float() || t.is_integer())?;
    let input = cx.input(0)?;
    if let (Some(rank), Some(axis)) = (input.rank(), cx.integers(1).and_then(|a| a.first().copied())) {
        cx.axis(axis, rank)?;
    }
    Ok(Fact::new(input.dtype, input.shape.clone()))
}

pub(super) fn reverse_sequence(cx: &mut Context, op: &ReverseSequence) -> Result<Fact> {
    let input = cx.input(0)?;
    if let Some(shape) = &input.shape {
        cx.axis(op.time_axis, shape.len())?;
        let batch = cx.axis(op.batch_axis, shape.len())?;
        if let (Some(batch), Some([lengths])) = (shape.get(batch), cx.shape(1)?) {
            cx.unify(batch, lengths, "the batch size and the number of lengths")?;
        }
    }
    Ok(Fact::new(input.dtype, input.shape.clone()))
}
