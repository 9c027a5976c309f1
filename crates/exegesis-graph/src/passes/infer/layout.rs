//! Operators that move elements without looking at them: reshaping, transposing, joining, cutting.

use super::context::{Context, show};
use super::expression::Expr;
use super::fact::{Fact, broadcast_positions, positions, row_major};
use crate::op::{Concat, Flatten, Pad, Reshape, Shape, Split, Transpose};
use crate::{DType, Result};

pub(super) fn reshape(cx: &mut Context, op: &Reshape) -> Result<Fact> {
    cx.expect_type(1, "int64", |t| t == DType::I64)?;
    let input = cx.input(0)?;
    let Some(target) = cx.vector(1) else { return Ok(Fact::new(input.dtype, None)) };
    let mut dims: Vec<Option<Expr>> = Vec::with_capacity(target.len());
    let mut inferred = None;
    for (i, size) in target.into_iter().enumerate() {
        let dim = match size.as_ref().map(Expr::fixed) {
            Some(Some(-1)) => {
                if inferred.replace(i).is_some() {
                    return Err(cx.error("the new shape holds -1 twice"));
                }
                None
            }
            Some(Some(0)) if !op.allowzero => match &input.shape {
                Some(shape) => match shape.get(i) {
                    Some(dim) => Some(dim.clone()),
                    None => {
                        return Err(
                            cx.error(format!("size 0 at axis {i} copies an axis that {} lacks", cx.show(0)))
                        );
                    }
                },
                None => None,
            },
            Some(Some(n)) if n < 0 => return Err(cx.error(format!("the new shape holds {n}"))),
            _ => size,
        };
        dims.push(dim);
    }
    let total = input.shape.as_ref().and_then(Expr::product);
    let known = dims.iter().flatten();
    let unknown: Vec<usize> = (0..dims.len()).filter(|i| dims.get(*i).is_some_and(Option::is_none)).collect();
    match (unknown.as_slice(), total, Expr::product(known)) {
        ([], Some(total), Some(product)) if total.differs(&product) => {
            return Err(cx.error(format!(
                "can't make {total} elements of shape {} into {product} elements",
                cx.show(0)
            )));
        }
        // A single unknown size follows from the number of elements, whether or not it was written as -1.
        ([i], Some(total), Some(product)) if product != Expr::Fixed(0) => {
            let size = total.exact_div(&product);
            if let (None, Some(t), Some(p)) = (&size, total.fixed(), product.fixed()) {
                return Err(
                    cx.error(format!("can't divide {t} elements of shape {} into rows of {p}", cx.show(0)))
                );
            }
            let size = size.or_else(|| total.floor_div(&product));
            if let Some(slot) = dims.get_mut(*i) {
                *slot = size;
            }
        }
        _ => {}
    }
    let shape = dims.into_iter().map(|d| cx.or_fresh(d)).collect();
    Ok(Fact::new(input.dtype, Some(shape)).with_values(input.values.clone()))
}

pub(super) fn flatten(cx: &mut Context, op: &Flatten) -> Result<Fact> {
    let input = cx.input(0)?;
    let Some(shape) = &input.shape else {
        let shape = cx.fresh_shape(2);
        return Ok(Fact::new(input.dtype, Some(shape)));
    };
    let split = if op.axis == shape.len() as i64 { shape.len() } else { cx.axis(op.axis, shape.len())? };
    let (rows, columns) = shape.split_at(split);
    let dims = vec![cx.or_fresh(Expr::product(rows)), cx.or_fresh(Expr::product(columns))];
    Ok(Fact::new(input.dtype, Some(dims)).with_values(input.values.clone()))
}

pub(super) fn transpose(cx: &mut Context, op: &Transpose) -> Result<Fact> {
    let input = cx.input(0)?;
    let Some(shape) = &input.shape else { return Ok(Fact::new(input.dtype, None)) };
    let perm: Vec<usize> =
        if op.perm.is_empty() { (0..shape.len()).rev().collect() } else { cx.axes(&op.perm, shape.len())? };
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..shape.len()) {
        return Err(cx.error(format!("{:?} is no permutation of the axes of {}", op.perm, show(shape))));
    }
    let dims = perm.iter().filter_map(|i| shape.get(*i).cloned()).collect();
    let result = Fact::new(input.dtype, Some(dims));
    let values = result.fixed_shape().and_then(|turned| {
        let strides = row_major(&input.fixed_shape()?)?;
        let strides: Vec<i64> = perm.iter().filter_map(|i| strides.get(*i).copied()).collect();
        input.pick(positions(&turned, 0, &strides))
    });
    Ok(result.with_values(values))
}

pub(super) fn squeeze(cx: &mut Context) -> Result<Fact> {
    let input = cx.input(0)?;
    let Some(shape) = &input.shape else { return Ok(Fact::new(input.dtype, None)) };
    let axes = match (cx.get(1), cx.integers(1)) {
        (None, _) => {
            // Which axes go depends on their sizes, so all must be known.
            if shape.iter().any(|d| d.fixed().is_none()) {
                return Ok(Fact::new(input.dtype, None));
            }
            (0..shape.len()).filter(|i| shape.get(*i) == Some(&Expr::ONE)).collect()
        }
        (_, Some(axes)) => cx.axes(&axes, shape.len())?,
        (Some(axes), None) => {
            let rank = axes.count().and_then(|n| shape.len().checked_sub(n));
            let shape = rank.map(|r| cx.fresh_shape(r));
            return Ok(Fact::new(input.dtype, shape));
        }
    };
    let mut dims = vec![];
    for (i, dim) in shape.iter().enumerate() {
        if !axes.contains(&i) {
            dims.push(dim.clone());
        } else if dim.differs(&Expr::ONE) {
            return Err(cx.error(format!("axis {i} of {} has size {dim}, not 1", show(shape))));
        }
    }
    Ok(Fact::new(input.dtype, Some(dims)).with_values(input.values.clone()))
}

pub(super) fn unsqueeze(cx: &mut Context) -> Result<Fact> {
    let input = cx.input(0)?;
    let Some(shape) = &input.shape else { return Ok(Fact::new(input.dtype, None)) };
    let Some(axes) = cx.integers(1) else {
        let rank = cx.input(1)?.count().filter(|n| *n <= 16).map(|n| n + shape.len());
        let shape = rank.map(|r| cx.fresh_shape(r));
        return Ok(Fact::new(input.dtype, shape));
    };
    let rank = shape.len() + axes.len();
    let mut positions = cx.axes(&axes, rank)?;
    positions.sort_unstable();
    positions.dedup();
    if positions.len() != axes.len() {
        return Err(cx.error(format!("the axes {axes:?} name one axis twice")));
    }
    let mut rest = shape.iter();
    let dims = (0..rank)
        .filter_map(|i| if positions.contains(&i) { Some(Expr::ONE) } else { rest.next().cloned() })
        .collect();
    Ok(Fact::new(input.dtype, Some(dims)).with_values(input.values.clone()))
}

pub(super) fn expand(cx: &mut Context) -> Result<Fact> {
    cx.expect_type(1, "int64", |t| t == DType::I64)?;
    let input = cx.input(0)?;
    let (Some(shape), Some(target)) = (&input.shape, cx.vector(1)) else {
        return Ok(Fact::new(input.dtype, None));
    };
    if let Some(n) = target.iter().flatten().filter_map(Expr::fixed).find(|n| *n < 0) {
        return Err(cx.error(format!("the new shape holds {n}")));
    }
    // An unknown size leaves an axis that is not 1 as it is.
    let rank = target.len();
    let target: Vec<Expr> = target
        .into_iter()
        .enumerate()
        .map(|(i, t)| match t {
            Some(t) => t,
            None => match (shape.len() + i).checked_sub(rank).and_then(|j| shape.get(j)) {
                Some(dim) if dim.fixed().is_some_and(|n| n != 1) => dim.clone(),
                _ => cx.fresh(),
            },
        })
        .collect();
    let dims = cx.broadcast(Some(shape), Some(&target))?;
    let result = Fact::new(input.dtype, dims);
    let places =
        result.fixed_shape().zip(input.fixed_shape()).and_then(|(to, from)| broadcast_positions(&to, &from));
    let values = input.pick(places);
    Ok(result.with_values(values))
}

pub(super) fn tile(cx: &mut Context) -> Result<Fact> {
    let input = cx.input(0)?;
    let Some(shape) = &input.shape else { return Ok(Fact::new(input.dtype, None)) };
    let repeats = cx.vector(1).unwrap_or_else(|| vec![None; shape.len()]);
    if repeats.len() != shape.len() {
        return Err(cx.error(format!("{} repeats are given for shape {}", repeats.len(), show(shape))));
    }
    if repeats.iter().flatten().filter_map(Expr::fixed).any(|n| n < 0) {
        return Err(cx.error("a number of repeats is negative"));
    }
    let dims =
        shape.iter().zip(&repeats).map(|(d, r)| cx.or_fresh(r.as_ref().and_then(|r| d.mul(r)))).collect();
    Ok(Fact::new(input.dtype, Some(dims)))
}

pub(super) fn concat(cx: &mut Context, op: &Concat) -> Result<Fact> {
    let mut dtype = None;
    let mut shape: Option<Vec<Expr>> = None;
    let mut known = true;
    let mut position = None;
    let mut sum: Option<Expr> = Some(Expr::Fixed(0));
    cx.input(0)?;
    for i in 0..cx.inputs.len() {
        let input = cx.input(i)?;
        cx.expect_same_type(0, i)?;
        dtype = dtype.or(input.dtype);
        let Some(dims) = &input.shape else {
            known = false;
            continue;
        };
        let axis = cx.axis(op.axis, dims.len())?;
        position = Some(axis);
        sum = sum.and_then(|s| s.add(dims.get(axis)?));
        match &mut shape {
            None => shape = Some(dims.clone()),
            Some(common) if common.len() != dims.len() => {
                return Err(cx.error(format!(
                    "shapes {} and {} have different ranks",
                    show(common),
                    show(dims)
                )));
            }
            Some(common) => {
                for (j, (c, d)) in common.iter_mut().zip(dims).enumerate() {
                    if j != axis {
                        *c = cx.unify(c, d, "sizes of an axis that is not joined")?;
                    }
                }
            }
        }
    }
    if let (Some(shape), Some(axis)) = (&mut shape, position) {
        let size = cx.or_fresh(sum.filter(|_| known));
        if let Some(slot) = shape.get_mut(axis) {
            *slot = size;
        }
    }
    let values = (|| {
        let mut all = vec![];
        for input in cx.inputs.iter().flatten() {
            if input.rank() != Some(1) {
                return None;
            }
            match &input.values {
                Some(values) => all.extend(values.iter().cloned()),
                // A part that can't be followed leaves the others followed.
                None => all.extend(vec![None; input.count().filter(|n| *n <= 64)?]),
            }
        }
        Some(all)
    })();
    Ok(Fact::new(dtype, shape).with_values(values))
}

pub(super) fn split(cx: &mut Context, op: &Split) -> Result<Vec<Fact>> {
    let input = cx.input(0)?;
    let count = cx.node.outputs.len();
    let Some(shape) = &input.shape else { return Ok(vec![Fact::new(input.dtype, None); count]) };
    let axis = cx.axis(op.axis, shape.len())?;
    let total = shape.get(axis).cloned().unwrap_or(Expr::ONE);
    let sizes: Vec<Option<Expr>> = if cx.get(1).is_some() {
        let sizes = cx.vector(1).unwrap_or_else(|| vec![None; count]);
        if sizes.len() != count {
            return Err(cx.error(format!("{} sizes are given for {count} outputs", sizes.len())));
        }
        let sum = sizes.iter().try_fold(Expr::Fixed(0), |s, d| s.add(d.as_ref()?));
        if sum.is_some_and(|s| s.differs(&total))
            || sizes.iter().flatten().filter_map(Expr::fixed).any(|n| n < 0)
        {
            return Err(cx.error(format!("the sizes do not make up axis {axis} of {}", show(shape))));
        }
        sizes
    } else {
        let parts = Expr::from(op.num_outputs.and_then(|n| usize::try_from(n).ok()).unwrap_or(count));
        let part = total.ceil_div(&parts);
        // All parts are equal but the last, which takes what is left.
        let last = part.as_ref().and_then(|p| total.sub(&p.mul(&Expr::from(count).sub(&Expr::ONE)?)?));
        (0..count).map(|i| if i + 1 == count { last.clone() } else { part.clone() }).collect()
    };
    let mut start = Some(Expr::Fixed(0));
    let mut outputs = vec![];
    for size in sizes {
        let values = slice_of(input, &start, &size);
        start = start.and_then(|s| s.add(size.as_ref()?));
        let mut dims = shape.clone();
        let size = cx.or_fresh(size);
        if let Some(slot) = dims.get_mut(axis) {
            *slot = size;
        }
        outputs.push(Fact::new(input.dtype, Some(dims)).with_values(values));
    }
    Ok(outputs)
}

fn slice_of(input: &Fact, start: &Option<Expr>, size: &Option<Expr>) -> Option<Vec<Option<Expr>>> {
    let start = usize::try_from(start.as_ref()?.fixed()?).ok()?;
    let size = usize::try_from(size.as_ref()?.fixed()?).ok()?;
    let values = input.values.as_ref().filter(|_| input.rank() == Some(1))?;
    values.get(start..start.checked_add(size)?).map(<[_]>::to_vec)
}

pub(super) fn shape_of(cx: &mut Context, op: &Shape) -> Result<Fact> {
    let Some(shape) = cx.shape(0)? else {
        let length = cx.fresh();
        return Ok(Fact::new(Some(DType::I64), Some(vec![length])));
    };
    let rank = shape.len() as i64;
    let clamp = |n: i64| (if n < 0 { n.saturating_add(rank) } else { n }).clamp(0, rank) as usize;
    let (start, end) = (clamp(op.start), clamp(op.end.unwrap_or(rank)));
    let dims = shape.get(start..end.max(start)).unwrap_or_default();
    let values = dims.iter().cloned().map(Some).collect();
    Ok(Fact::new(Some(DType::I64), Some(vec![Expr::from(dims.len())])).with_values(Some(values)))
}

pub(super) fn size_of(cx: &mut Context) -> Result<Fact> {
    let size = cx.shape(0)?.and_then(Expr::product);
    Ok(Fact::new(Some(DType::I64), Some(vec![])).with_values(Some(vec![size])))
}

pub(super) fn pad(cx: &mut Context, _op: &Pad) -> Result<Fact> {
    cx.expect_same_type(0, 2)?;
    let input = cx.input(0)?;
    let Some(shape) = &input.shape else { return Ok(Fact::new(input.dtype, None)) };
    let axes = match (cx.get(3), cx.integers(3)) {
        (None, _) => (0..shape.len()).collect(),
        (_, Some(axes)) => cx.axes(&axes, shape.len())?,
        _ => {
            let dims = cx.fresh_shape(shape.len());
            return Ok(Fact::new(input.dtype, Some(dims)));
        }
    };
    let pads = cx.vector(1).unwrap_or_else(|| vec![None; 2 * axes.len()]);
    if pads.len() != 2 * axes.len() {
        return Err(cx.error(format!("{} pads are given for {} axes", pads.len(), axes.len())));
    }
    let mut dims = shape.clone();
    for (i, axis) in axes.iter().enumerate() {
        let at = |j: usize| pads.get(j).and_then(Option::as_ref);
        let size = match (dims.get(*axis), at(i), at(axes.len() + i)) {
            (Some(dim), Some(begin), Some(end)) => dim.add(begin).and_then(|d| d.add(end)),
            _ => None,
        };
        let size = cx.or_fresh(size);
        if let Some(slot) = dims.get_mut(*axis) {
            *slot = size;
        }
    }
    Ok(Fact::new(input.dtype, Some(dims)))
}

/// `DepthToSpace`, or `SpaceToDepth` with `inverse`.
pub(super) fn depth_to_space(cx: &mut Context, block: i64, inverse: bool) -> Result<Fact> {
    cx.expect_rank(0, 4)?;
    if !(1..=1 << 20).contains(&block) {
        return Err(cx.error(format!("`blocksize` is {block}")));
    }
    let input = cx.input(0)?;
    let Some([batch, channels, height, width]) = input.shape.as_deref() else {
        return Ok(Fact::new(input.dtype, None));
    };
    let (side, area) = (Expr::Fixed(block), Expr::Fixed(block * block));
    let shrink = |d: &Expr, by: &Expr| match (d.exact_div(by), d.fixed()) {
        (None, Some(n)) => {
            Err(cx.error(format!("{n} can't be divided by {by}; the input is {}", cx.show(0))))
        }
        (quotient, _) => Ok(quotient.or_else(|| d.floor_div(by))),
    };
    let dims = if inverse {
        [channels.mul(&area), shrink(height, &side)?, shrink(width, &side)?]
    } else {
        [shrink(channels, &area)?, height.mul(&side), width.mul(&side)]
    };
    let mut shape = vec![batch.clone()];
    for dim in dims {
        shape.push(cx.or_fresh(dim));
    }
    Ok(Fact::new(input.dtype, Some(shape)))
}
