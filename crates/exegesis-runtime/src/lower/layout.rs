//! Movement, and products with vectors, by other operators.

use exegesis_graph::op::{Binary, Gather, Pad, PadMode, Reshape};
use exegesis_graph::{Builder, Error, Node, Op, Result, ValueId};

use super::normalization::fixed;
use super::{operand, windows};
use crate::table::{Context, full_pads, pads_by_index};

/// The value of a node, by operators that rten has.
pub(super) fn replace(b: &mut Builder, node: &Node) -> Result<ValueId> {
    let x = operand(node, 0)?;
    match &node.op {
        Op::SpaceToDepth(a) => {
            let block = b.ints(&[a.blocksize]);
            let mut parts = vec![windows::dims(b, x, &[0, 1])?];
            for axis in [2, 3] {
                let size = b.dim_of(x, axis)?;
                parts.push(b.op(Binary::Div, &[size, block])?);
                parts.push(block);
            }
            let shape = b.concat(&parts, 0)?;
            let blocks = b.op(Reshape::default(), &[x, shape])?;
            let moved = b.transpose(blocks, &[0, 3, 5, 1, 2, 4])?;
            let channels = windows::dim_product(b, moved, &[1, 2, 3])?;
            let (batch, size) = (b.dim_of(x, 0)?, windows::dims(b, moved, &[4, 5])?);
            let shape = b.concat(&[batch, channels, size], 0)?;
            b.reshape(moved, shape)
        }
        Op::Slice(_) => {
            let (starts, ends, steps) = (operand(node, 1)?, operand(node, 2)?, operand(node, 4)?);
            let count = b.shape(starts)?.first().cloned();
            let count = fixed(count.as_ref())?;
            let axes: Vec<i64> = (0..count).collect();
            let axes = b.ints(&axes);
            b.op(node.op.clone(), &[x, starts, ends, axes, steps])
        }
        Op::MatMul(_) => {
            let last = b.rank(x)? - 1;
            let column = b.unsqueeze(operand(node, 1)?, &[1])?;
            let product = b.matmul(x, column)?;
            b.squeeze(product, &[last])
        }
        Op::Squeeze(_) | Op::Unsqueeze(_) => {
            let axes = operand(node, 1)?;
            let axes = b.reshape_to(axes, &[1])?;
            b.op(node.op.clone(), &[x, axes])
        }
        Op::Transpose(_) => {
            let perm: Vec<usize> = (0..b.rank(x)?).rev().collect();
            b.transpose(x, &perm)
        }
        Op::Pad(a) => pad(b, node, x, a.mode),
        op => Err(Error::unsupported(format!("{} has no replacement", op.name()))),
    }
}

fn pad(b: &mut Builder, node: &Node, x: ValueId, mode: PadMode) -> Result<ValueId> {
    let rank = b.rank(x)?;
    let pads = full_pads(&Context::new(b.graph(), node), rank);
    let pads = pads.ok_or_else(|| Error::unsupported("the pads must be constants"))?;
    let changed = |axis: usize| pads.get(axis) != Some(&0) || pads.get(axis + rank) != Some(&0);
    let by_index = pads_by_index(&Context::new(b.graph(), node), rank, mode);
    if !by_index {
        let pads = b.ints(&pads);
        return b
            .op_with(Pad { mode }, vec![Some(x), Some(pads), node.input(2)], 1)?
            .first()
            .copied()
            .ok_or_else(|| Error::malformed("Pad has one result"));
    }
    let mut value = x;
    for axis in (0..rank).filter(|axis| changed(*axis)) {
        let size = fixed(b.shape(value)?.get(axis))?;
        let begin = pads.get(axis).copied().unwrap_or_default();
        let end = pads.get(axis + rank).copied().unwrap_or_default();
        if size == 0 {
            return Err(Error::malformed("an empty axis can't be padded with its own elements"));
        }
        let index: Vec<i64> = (-begin..size + end).map(|i| source(i, size, mode)).collect();
        let index = b.ints(&index);
        value = b.op(Gather { axis: axis as i64 }, &[value, index])?;
    }
    Ok(value)
}

/// The element of an axis of `size` that stands at position `i` outside it.
fn source(i: i64, size: i64, mode: PadMode) -> i64 {
    match mode {
        PadMode::Wrap => i.rem_euclid(size),
        PadMode::Reflect if size > 1 => {
            let period = 2 * (size - 1);
            let folded = i.rem_euclid(period);
            if folded < size { folded } else { period - folded }
        }
        _ => i.clamp(0, size - 1),
    }
}
