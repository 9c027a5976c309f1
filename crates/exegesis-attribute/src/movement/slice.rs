//! Slices and constant padding.

use exegesis_graph::op;
use exegesis_graph::{Dim, Error, Node, Tensor, ValueId};

use crate::Result;
use crate::ledger::Class;
use crate::rule::Context;

/// One sliced axis with constant bounds, resolved against its size when that is known.
struct Cut {
    axis: usize,
    start: i64,
    end: i64,
    step: i64,
}

/// Zeros everywhere but in the cells that the slice took.
///
/// # Errors
/// Bounds that are neither constant nor expressible.
pub fn backward(cx: &mut Context<'_, '_>, node: &Node, g: ValueId, x: ValueId) -> Result<ValueId> {
    let rank = cx.b.rank(x)?;
    let starts = cx.b.const_ints(node.input(1));
    let ends = cx.b.const_ints(node.input(2));
    let axes = match node.input(3) {
        None => starts.as_ref().map(|s| (0..s.len() as i64).collect()),
        axes => cx.b.const_ints(axes),
    };
    let steps = match node.input(4) {
        None => starts.as_ref().map(|s| vec![1; s.len()]),
        steps => cx.b.const_ints(steps),
    };
    let (Some(starts), Some(ends), Some(axes), Some(steps)) = (starts, ends, axes, steps) else {
        return by_index(cx, node, g, x);
    };
    if starts.len() != ends.len() || starts.len() != axes.len() || starts.len() != steps.len() {
        return Err(Error::malformed("Slice has bounds of different lengths").into());
    }
    let shape = cx.b.shape(x)?.clone();
    let mut cuts = vec![];
    for i in 0..starts.len() {
        let axis = cx.b.axis(axes[i], rank)?;
        let whole = steps[i] == 1 && starts[i] == 0 && ends[i] >= i64::from(i32::MAX);
        if !whole {
            cuts.push(Cut { axis, start: starts[i], end: ends[i], step: steps[i] });
        }
    }
    let simple = cuts.iter().all(|c| c.step > 0 && matches!(shape[c.axis], Dim::Fixed(_)));
    if !simple {
        return by_index(cx, node, g, x);
    }
    let mut out = g;
    for cut in cuts {
        out = place(cx, out, x, &cut)?;
    }
    cx.b.assume_shape(out, x);
    Ok(out)
}

/// Puts `g` back along one axis of known size: interleaves zeros for a step, then pads.
fn place(cx: &mut Context<'_, '_>, g: ValueId, x: ValueId, cut: &Cut) -> Result<ValueId> {
    let size = cx.b.shape(x)?[cut.axis].fixed().unwrap_or(0) as i64;
    let clamp = |p: i64| (if p < 0 { p.saturating_add(size) } else { p }).clamp(0, size);
    let (start, end) = (clamp(cut.start), clamp(cut.end).max(clamp(cut.start)));
    let taken = (end - start + cut.step - 1) / cut.step;
    let rank = cx.b.rank(g)?;
    let mut out = g;
    let mut length = taken;
    if cut.step > 1 && taken > 0 {
        // [.., n, ..] -> [.., n, 1, ..] -> [.., n, step, ..] -> [.., n * step, ..].
        out = cx.b.unsqueeze(out, &[cut.axis + 1])?;
        let mut pads = vec![0; 2 * (rank + 1)];
        pads[rank + 1 + cut.axis + 1] = cut.step - 1;
        out = cx.b.pad(out, &pads, 0.0)?;
        let shape = cx.b.shape(g)?.clone();
        let merged = taken * cut.step;
        let unknown = shape.iter().enumerate().filter(|(a, d)| *a != cut.axis && d.fixed().is_none()).count();
        out = if unknown <= 1 {
            let dims: Vec<i64> = (0..rank)
                .map(|a| if a == cut.axis { merged } else { shape[a].fixed().map_or(-1, |n| n as i64) })
                .collect();
            cx.b.reshape_to(out, &dims)?
        } else {
            let before = cx.b.op(op::Shape { start: 0, end: Some(cut.axis as i64) }, &[g])?;
            let middle = cx.b.ints(&[merged]);
            let after = cx.b.op(op::Shape { start: cut.axis as i64 + 1, end: None }, &[g])?;
            let dims = cx.b.concat(&[before, middle, after], 0)?;
            cx.b.reshape(out, dims)?
        };
        length = merged;
    }
    let mut pads = vec![0; 2 * rank];
    pads[cut.axis] = start;
    pads[rank + cut.axis] = size - start - length;
    Ok(cx.b.pad(out, &pads, 0.0)?)
}

/// Padding by copies of cells (reflected, edge, wrapped): each copy adds back to the cell that it was taken from. The
/// cells are numbered, the numbers padded in the same way, and `g` is added up by number.
///
/// # Errors
/// The graph can't be treated.
pub fn unpad_copies(cx: &mut Context<'_, '_>, node: &Node, g: ValueId, x: ValueId) -> Result<ValueId> {
    let numbered = number_cells(cx, x)?;
    let mut operands = vec![Some(numbered)];
    operands.extend(node.inputs.iter().skip(1));
    let copied = cx.b.op_with(node.op.clone(), operands, 1)?[0];
    add_by_number(cx, g, copied, x, op::ScatterReduction::Add)
}

/// The flat indices of the cells of `x`, in its shape.
fn number_cells(cx: &mut Context<'_, '_>, x: ValueId) -> Result<ValueId> {
    let dims = cx.b.shape_of(x)?;
    let size = cx.b.op(op::Size {}, &[x])?;
    let (zero, one) = (cx.b.constant(Tensor::scalar(0i64)), cx.b.constant(Tensor::scalar(1i64)));
    let flat = cx.b.op(op::Range {}, &[zero, size, one])?;
    let numbered = cx.b.reshape(flat, dims)?;
    cx.b.assume_shape(numbered, x);
    Ok(numbered)
}

/// Zeros of the shape of `x` with `g` put at the flat indices `numbers` (of the shape of `g`).
fn add_by_number(
    cx: &mut Context<'_, '_>,
    g: ValueId,
    numbers: ValueId,
    x: ValueId,
    reduction: op::ScatterReduction,
) -> Result<ValueId> {
    let minus_one = cx.b.ints(&[-1]);
    let indices = cx.b.reshape(numbers, minus_one)?;
    let updates = cx.b.reshape(g, minus_one)?;
    let zeros = cx.b.zeros_like(x)?;
    let zeros = cx.b.reshape(zeros, minus_one)?;
    let out = cx.b.op(op::ScatterElements { axis: 0, reduction }, &[zeros, indices, updates])?;
    Ok(cx.b.reshape_like(out, x)?)
}

/// The general form: slices the flat indices of `x` in the same way and scatters `g` to them.
fn by_index(cx: &mut Context<'_, '_>, node: &Node, g: ValueId, x: ValueId) -> Result<ValueId> {
    let numbered = number_cells(cx, x)?;
    let mut operands = vec![Some(numbered)];
    operands.extend(node.inputs.iter().skip(1));
    let taken = cx.b.op_with(node.op.clone(), operands, 1)?[0];
    add_by_number(cx, g, taken, x, op::ScatterReduction::None)
}

/// The part of `g` that stands where `x` stood inside its padding.
///
/// # Errors
/// Pads that are not constant.
pub fn unpad(cx: &mut Context<'_, '_>, node: &Node, g: ValueId, x: ValueId) -> Result<ValueId> {
    let rank = cx.b.rank(x)?;
    let pads =
        cx.b.const_ints(node.input(1))
            .ok_or_else(|| Error::unsupported("the padding is not constant; fix the input's dimensions"))?;
    let axes: Vec<usize> = match node.input(3) {
        None => (0..rank).collect(),
        axes => {
            let axes =
                cx.b.const_ints(axes)
                    .ok_or_else(|| Error::unsupported("the padded axes are not constant"))?;
            axes.iter().map(|a| cx.b.axis(*a, rank)).collect::<Result<_, _>>()?
        }
    };
    if pads.len() != 2 * axes.len() {
        return Err(Error::malformed("pads must have two entries per axis").into());
    }
    let mut negative = vec![0; 2 * rank];
    for (i, axis) in axes.iter().enumerate() {
        negative[*axis] = -pads[i];
        negative[rank + axis] = -pads[axes.len() + i];
    }
    let mut out = g;
    // Crops are slices (runtimes that refuse negative pads run them); negative pads of the model grow again.
    for axis in 0..rank {
        let (begin, end) = (-negative[axis], -negative[rank + axis]);
        if begin > 0 || end > 0 {
            let end = if end > 0 { -end } else { i64::MAX };
            out = cx.b.slice(out, axis, begin.max(0), end, 1)?;
        }
    }
    let grow: Vec<i64> = negative.iter().map(|p| (*p).max(0)).collect();
    out = cx.b.pad(out, &grow, 0.0)?;
    cx.b.assume_shape(out, x);
    Ok(out)
}

/// Books what stands at padded cells: they are constants.
///
/// # Errors
/// The graph can't be treated.
pub fn absorb_padding(cx: &mut Context<'_, '_>, node: &Node, g: ValueId, x: ValueId) -> Result<()> {
    let grows = cx.b.const_ints(node.input(1)).is_none_or(|pads| pads.iter().any(|p| *p > 0));
    if !cx.ledger.is_enabled() || !grows {
        return Ok(());
    }
    let inside = cx.b.zeros_like(x)?;
    let one = cx.b.scalar(1.0, x)?;
    let operands = vec![Some(inside), node.input(1), Some(one), node.input(3)];
    let padding = cx.b.op_with(node.op.clone(), operands, 1)?[0];
    let lost = cx.b.mul(g, padding)?;
    cx.absorb(Class::Constant, lost)
}
