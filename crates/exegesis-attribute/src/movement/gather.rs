//! Gather along an axis, and scatters.

use exegesis_graph::op::{self, ScatterReduction};
use exegesis_graph::{DType, Error, Node, Op, Tensor, ValueId};

use crate::Result;
use crate::ledger::Class;
use crate::rule::{Context, Outcome};

/// Adds `g` back to the slices of `x` that were taken.
///
/// # Errors
/// The node is ill-formed.
pub fn gather(cx: &mut Context<'_, '_>, node: &Node, g: ValueId, x: ValueId, axis: i64) -> Result<ValueId> {
    let rank = cx.b.rank(x)?;
    let axis = cx.b.axis(axis, rank)?;
    let indices = node.input(1).ok_or_else(|| Error::malformed("Gather without indices"))?;
    let index_rank = cx.b.rank(indices)?;
    let size = cx.b.shape(x)?[axis].fixed();
    let single = cx.b.const_ints(Some(indices)).filter(|i| i.len() == 1).map(|i| i[0]);
    if let (Some(index), Some(size)) = (single, size) {
        // One slice: put the axis back and pad.
        let size = size as i64;
        let index = if index < 0 { index + size } else { index };
        if !(0..size).contains(&index) {
            return Err(Error::malformed(format!("index {index} is outside an axis of size {size}")).into());
        }
        let slice = match index_rank {
            0 => cx.b.unsqueeze(g, &[axis])?,
            1 => g,
            n => {
                let extra: Vec<usize> = (axis..axis + n - 1).collect();
                cx.b.squeeze(g, &extra)?
            }
        };
        let mut pads = vec![0; 2 * rank];
        pads[axis] = index;
        pads[rank + axis] = size - 1 - index;
        let out = cx.b.pad(slice, &pads, 0.0)?;
        cx.b.assume_shape(out, x);
        return Ok(out);
    }
    // Bring the gathered axes of g to the front and add whole slices: zeros[index] += g.
    let g_rank = cx.b.rank(g)?;
    let mut perm: Vec<usize> = (axis..axis + index_rank).collect();
    perm.extend(0..axis);
    perm.extend(axis + index_rank..g_rank);
    let updates = cx.b.transpose(g, &perm)?;
    let mut to_front = vec![axis];
    to_front.extend((0..rank).filter(|a| *a != axis));
    let mut back = vec![0; rank];
    for (i, p) in to_front.iter().enumerate() {
        back[*p] = i;
    }
    let zeros = cx.b.zeros_like(x)?;
    let zeros = cx.b.transpose(zeros, &to_front)?;
    // Gather accepts int32 indices, ScatterND does not.
    let indices = as_int64(cx, indices)?;
    let coordinates = cx.b.unsqueeze(indices, &[index_rank])?;
    let sum = cx.b.op(op::ScatterND { reduction: ScatterReduction::Add }, &[zeros, coordinates, updates])?;
    let out = cx.b.transpose(sum, &back)?;
    cx.b.assume_shape(out, x);
    Ok(out)
}

/// Adds `g` back to the slices of `x` that were taken by coordinates. `ScatterND` has no batch axes: the index along each
/// becomes a coordinate.
///
/// # Errors
/// The node is ill-formed.
pub fn gather_nd(
    cx: &mut Context<'_, '_>,
    node: &Node,
    g: ValueId,
    x: ValueId,
    batch_dims: i64,
) -> Result<ValueId> {
    let indices = node.input(1).ok_or_else(|| Error::malformed("GatherND without indices"))?;
    let rank = cx.b.rank(indices)?;
    let batch = usize::try_from(batch_dims).ok().filter(|b| *b < rank);
    let batch = batch.ok_or_else(|| Error::malformed(format!("`batch_dims` is {batch_dims}")))?;
    let mut coordinates = as_int64(cx, indices)?;
    if batch > 0 {
        let first = cx.b.slice(coordinates, rank - 1, 0, 1, 1)?;
        let zero = cx.b.constant(Tensor::scalar(0i64));
        let blank = cx.b.mul(first, zero)?;
        let mut parts = vec![];
        for axis in 0..batch {
            let mut dims = vec![1; rank];
            dims[axis] = -1;
            let steps = count_up(cx, x, axis)?;
            let steps = cx.b.reshape_to(steps, &dims)?;
            parts.push(cx.b.add(blank, steps)?);
        }
        parts.push(coordinates);
        coordinates = cx.b.concat(&parts, rank - 1)?;
    }
    let zeros = cx.b.zeros_like(x)?;
    Ok(cx.b.op(op::ScatterND { reduction: ScatterReduction::Add }, &[zeros, coordinates, g])?)
}

/// `0, 1, ...` up to the size of `axis` of `x`.
///
/// # Errors
/// The graph can't be treated.
pub fn count_up(cx: &mut Context<'_, '_>, x: ValueId, axis: usize) -> Result<ValueId> {
    if let Some(n) = cx.b.shape(x)?[axis].fixed() {
        let all: Vec<i64> = (0..n as i64).collect();
        return Ok(cx.b.ints(&all));
    }
    let size = cx.b.dim_of(x, axis)?;
    let size = cx.b.squeeze(size, &[0])?;
    let (zero, one) = (cx.b.constant(Tensor::scalar(0i64)), cx.b.constant(Tensor::scalar(1i64)));
    Ok(cx.b.op(op::Range {}, &[zero, size, one])?)
}

/// Scatter with replacement: overwritten cells of the data get nothing, updates get what stands in their cells.
///
/// # Errors
/// The node is ill-formed.
pub fn scatter(cx: &mut Context<'_, '_>, node: &Node, g: ValueId) -> Result<Outcome> {
    let (Some(indices), Some(updates)) = (node.input(1), node.input(2)) else {
        return Err(Error::malformed("a scatter without indices or updates").into());
    };
    let reduction = match &node.op {
        Op::ScatterElements(s) => s.reduction,
        Op::ScatterND(s) => s.reduction,
        _ => unreachable!("called for scatters"),
    };
    if reduction != ScatterReduction::None {
        return Ok(Outcome::NoRule(format!("reduction {} has no rule", reduction.as_str())));
    }
    let taken = match &node.op {
        Op::ScatterElements(s) => cx.b.op(op::GatherElements { axis: s.axis }, &[g, indices])?,
        _ => cx.b.op(op::GatherND::default(), &[g, indices])?,
    };
    let mut signals = vec![None; 3];
    let zeros = cx.b.zeros_like(updates)?;
    let kept = cx.b.op(node.op.clone(), &[g, indices, zeros])?;
    if cx.carries(node, 0) {
        signals[0] = Some(kept);
    } else {
        cx.absorb(Class::Constant, kept)?;
    }
    if cx.carries(node, 2) {
        signals[2] = Some(taken);
    } else {
        cx.absorb(Class::Constant, taken)?;
    }
    Ok(Outcome::Signals(signals))
}

/// Indices as int64.
///
/// # Errors
/// The graph can't be treated.
pub fn as_int64(cx: &mut Context<'_, '_>, indices: ValueId) -> Result<ValueId> {
    match cx.b.dtype(indices) {
        DType::I64 => Ok(indices),
        _ => Ok(cx.b.op(op::Cast { to: DType::I64 }, &[indices])?),
    }
}
