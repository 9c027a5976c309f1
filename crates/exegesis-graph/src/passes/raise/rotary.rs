//! Rotary position embedding.

use super::pattern::{Match, Operand, View};
use crate::op::{Binary, Op, RotaryEmbedding, Unary};
use crate::{Dim, Node, NodeId, ValueId};

/// `x cos + concat(-x[half..], x[..half]) sin` over the last of four axes.
pub(super) fn rotate_half(view: &View<'_>, root: NodeId) -> Option<Match> {
    let node = view.graph.node(root);
    if node.op != Op::Binary(Binary::Add) {
        return None;
    }
    view.both(node.output(0)?, Binary::Add).into_iter().find_map(|(straight, turned)| {
        view.both(turned, Binary::Mul).into_iter().find_map(|(rotated, sin)| {
            let x = rotated_half(view, rotated)?;
            let table = |(a, cos): (ValueId, ValueId)| view.same(a, x).then_some(cos);
            let cos = view.both(straight, Binary::Mul).into_iter().find_map(table)?;
            if !fits(view, cos, x) || !fits(view, sin, x) {
                return None;
            }
            let inputs = [x, cos, sin].into_iter().map(|v| Some(Operand::Value(v))).collect();
            let op = RotaryEmbedding { interleaved: false };
            Some(Match { op: op.into(), inputs, elementwise: true, keep_shared: false })
        })
    })
}

/// True if the table broadcasts to `x` without enlarging it.
fn fits(view: &View<'_>, table: ValueId, x: ValueId) -> bool {
    let (Some(table), Some(x)) = (view.dims(table), view.dims(x)) else { return false };
    x.len() == 4
        && table.len() <= 4
        && table.iter().rev().zip(x.iter().rev()).all(|(t, x)| match (t, x) {
            (Dim::Fixed(1), _) => true,
            (Dim::Fixed(t), Dim::Fixed(x)) => t == x,
            (_, Dim::Fixed(1)) => false,
            _ => true,
        })
}

/// `x` of `concat(-x[half..], x[..half])`.
fn rotated_half(view: &View<'_>, value: ValueId) -> Option<ValueId> {
    let concat = view.node(value)?;
    let Op::Concat(op) = &concat.op else { return None };
    let [Some(negative), Some(first)] = concat.inputs[..] else { return None };
    if op.axis != -1 && op.axis != 3 {
        return None;
    }
    let second = view.unary(negative, Unary::Neg)?;
    let (x, width, start, end) = part(view, second)?;
    let (y, _, other_start, other_end) = part(view, first)?;
    let halves =
        width % 2 == 0 && (start, end) == (width / 2, width) && (other_start, other_end) == (0, width / 2);
    (halves && view.same(x, y)).then(|| view.skip(x))
}

/// `x`, its last dimension, and the range of the last axis that a `Slice` or `Split` takes.
fn part(view: &View<'_>, value: ValueId) -> Option<(ValueId, usize, usize, usize)> {
    let value = view.skip(value);
    let node = view.graph.producer_node(value)?;
    let x = node.input(0)?;
    let dims = view.dims(x)?;
    let (width, rank) = (dims.last()?.fixed()?, dims.len() as i64);
    let is_last = |axis: i64| axis == -1 || axis == rank - 1;
    let (start, end) = match &node.op {
        Op::Slice(_) => {
            let single = |i: usize| {
                let list = view.graph.constant(node.input(i)?)?.to_i64()?;
                if let [one] = list[..] { Some(one) } else { None }
            };
            let step = if node.input(4).is_some() { single(4)? } else { 1 };
            if step != 1 || !is_last(single(3)?) {
                return None;
            }
            let at = |i: i64| {
                if i < 0 { i.saturating_add(width as i64) } else { i }.clamp(0, width as i64) as usize
            };
            (at(single(1)?), at(single(2)?))
        }
        Op::Split(split) if is_last(split.axis) => split_range(view, node, value, width)?,
        _ => return None,
    };
    Some((x, width, start, end))
}

/// The range of the axis that one output of a `Split` holds.
fn split_range(view: &View<'_>, node: &Node, value: ValueId, width: usize) -> Option<(usize, usize)> {
    let index = node.outputs.iter().position(|o| *o == Some(value))?;
    let sizes: Vec<usize> = match node.input(1) {
        Some(sizes) => {
            let list = view.graph.constant(sizes)?.to_i64()?;
            list.into_iter().map(usize::try_from).collect::<Result<_, _>>().ok()?
        }
        None => {
            let count = node.outputs.len();
            vec![width.div_ceil(count); count]
        }
    };
    let start: usize = sizes.iter().take(index).sum();
    let end = start.checked_add(*sizes.get(index)?)?;
    (end <= width).then_some((start, end))
}
