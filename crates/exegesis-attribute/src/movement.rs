//! Operators that select or move elements: every method sends the signal back where the value came from. Ties among
//! maxima share equally.

mod gather;
mod max_pool;
mod maximum;
mod slice;

use exegesis_graph::op::{self, DepthOrder, PadMode, ReduceKind, ScatterReduction, Variadic};
use exegesis_graph::{Error, Node, Op, ValueId};

use crate::rule::{Context, Outcome};
use crate::{Result, linear};

/// True for operators whose rule [`backward`] has.
pub fn handles(op: &Op) -> bool {
    match op {
        Op::Unary(op::Unary::Identity)
        | Op::Cast(_)
        | Op::CastLike(_)
        | Op::Concat(_)
        | Op::DepthToSpace(_)
        | Op::Expand(_)
        | Op::Flatten(_)
        | Op::Gather(_)
        | Op::GatherElements(_)
        | Op::GatherND(_)
        | Op::GlobalMaxPool(_)
        | Op::MaxPool(_)
        | Op::Pad(_)
        | Op::Reshape(_)
        | Op::ReverseSequence(_)
        | Op::ScatterElements(_)
        | Op::ScatterND(_)
        | Op::Slice(_)
        | Op::SpaceToDepth(_)
        | Op::Split(_)
        | Op::Squeeze(_)
        | Op::Tile(_)
        | Op::TopK(_)
        | Op::Transpose(_)
        | Op::Trilu(_)
        | Op::Unsqueeze(_)
        | Op::Variadic(Variadic::Max | Variadic::Min)
        | Op::Where(_) => true,
        Op::Reduce(reduce) => matches!(reduce.kind, ReduceKind::Max | ReduceKind::Min),
        _ => false,
    }
}

/// The rule of a selecting or moving operator, or `None` if the operator is of another kind.
///
/// # Errors
/// The node is ill-formed, or its dimensions are not known well enough.
pub fn backward(
    cx: &mut Context<'_, '_>,
    node: &Node,
    signals: &[Option<ValueId>],
) -> Result<Option<Outcome>> {
    let first = signals.first().copied().flatten();
    let count = node.inputs.len();
    if let Op::Split(split) = &node.op {
        return split_backward(cx, node, split.axis, signals).map(Some);
    }
    let (Some(g), Some(x)) = (first, node.input(0)) else { return Ok(None) };
    let to_first = |signal: ValueId| Ok(Some(Outcome::at(0, count, signal)));
    match &node.op {
        Op::Unary(op::Unary::Identity) => to_first(g),
        Op::Cast(_) | Op::CastLike(_) => {
            let (from, to) = (cx.b.dtype(x), cx.b.dtype(g));
            if !from.is_float() {
                return Ok(Some(Outcome::Signals(vec![None; count])));
            }
            to_first(if from == to { g } else { cx.b.op(op::Cast { to: from }, &[g])? })
        }
        Op::Reshape(_) | Op::Flatten(_) | Op::Squeeze(_) | Op::Unsqueeze(_) => {
            let r = cx.b.reshape_like(g, x)?;
            to_first(r)
        }
        Op::Transpose(t) => {
            let rank = cx.b.rank(x)?;
            let perm: Vec<usize> = if t.perm.is_empty() {
                (0..rank).rev().collect()
            } else {
                t.perm.iter().map(|p| cx.b.axis(*p, rank)).collect::<Result<_, _>>()?
            };
            let mut inverse = vec![0; rank];
            for (i, p) in perm.iter().enumerate() {
                inverse[*p] = i;
            }
            let r = cx.b.transpose(g, &inverse)?;
            to_first(r)
        }
        Op::Expand(_) => {
            let r = cx.b.sum_to(g, x)?;
            to_first(r)
        }
        Op::Tile(_) => tile(cx, node, g, x).map(Some),
        Op::Concat(concat) => concat_backward(cx, node, concat.axis, g).map(Some),
        Op::Slice(_) => {
            let r = slice::backward(cx, node, g, x)?;
            to_first(r)
        }
        Op::Pad(pad) => match pad.mode {
            PadMode::Constant if cx.carries(node, 2) => {
                Ok(Some(Outcome::NoRule("the padded value varies".into())))
            }
            PadMode::Constant => {
                let r = slice::unpad(cx, node, g, x)?;
                slice::absorb_padding(cx, node, g, x)?;
                to_first(r)
            }
            _ => {
                let r = slice::unpad_copies(cx, node, g, x)?;
                to_first(r)
            }
        },
        Op::Gather(gather) => {
            let r = gather::gather(cx, node, g, x, gather.axis)?;
            to_first(r)
        }
        Op::GatherElements(gather) => {
            let Some(indices) = node.input(1) else { return Ok(None) };
            let zeros = cx.b.zeros_like(x)?;
            let scatter = op::ScatterElements { axis: gather.axis, reduction: ScatterReduction::Add };
            let r = cx.b.op(scatter, &[zeros, indices, g])?;
            to_first(r)
        }
        Op::GatherND(gather) => {
            let r = gather::gather_nd(cx, node, g, x, gather.batch_dims)?;
            to_first(r)
        }
        Op::ScatterElements(_) | Op::ScatterND(_) => gather::scatter(cx, node, g).map(Some),
        Op::TopK(topk) => {
            let indices = match node.output(1) {
                Some(indices) => indices,
                None => {
                    let outputs = cx.b.op_with(node.op.clone(), node.inputs.clone(), 2)?;
                    outputs[1]
                }
            };
            let zeros = cx.b.zeros_like(x)?;
            let scatter = op::ScatterElements { axis: topk.axis, reduction: ScatterReduction::Add };
            let r = cx.b.op(scatter, &[zeros, indices, g])?;
            to_first(r)
        }
        Op::DepthToSpace(d) => {
            let r = depth_to_space(cx, g, x, d.blocksize, d.mode)?;
            to_first(r)
        }
        Op::SpaceToDepth(s) => {
            let r = cx.b.op(op::DepthToSpace { blocksize: s.blocksize, mode: DepthOrder::Dcr }, &[g])?;
            to_first(r)
        }
        Op::Trilu(_) => {
            let mut operands = vec![Some(g)];
            operands.extend(node.inputs.iter().skip(1));
            let r = cx.b.op_with(node.op.clone(), operands, 1)?[0];
            let cut = cx.b.sub(g, r)?;
            cx.absorb(crate::ledger::Class::Dead, cut)?;
            to_first(r)
        }
        Op::ReverseSequence(_) => {
            let r = cx.b.op_with(node.op.clone(), vec![Some(g), node.input(1)], 1)?[0];
            to_first(r)
        }
        Op::Where(_) => where_backward(cx, node, g).map(Some),
        Op::MaxPool(_) | Op::GlobalMaxPool(_) => {
            let r = maximum::pool(cx, node, g, x)?;
            to_first(r)
        }
        Op::Reduce(r) if matches!(r.kind, ReduceKind::Max | ReduceKind::Min) => {
            let r = maximum::reduction(cx, node, g, x)?;
            to_first(r)
        }
        Op::Variadic(Variadic::Max | Variadic::Min) => maximum::elementwise(cx, node, g).map(Some),
        _ => Ok(None),
    }
}

fn concat_backward(cx: &mut Context<'_, '_>, node: &Node, axis: i64, g: ValueId) -> Result<Outcome> {
    let axis = cx.b.axis(axis, cx.b.rank(g)?)?;
    let operands: Vec<ValueId> = node.inputs.iter().flatten().copied().collect();
    let sizes: Option<Vec<i64>> =
        operands.iter().map(|o| Some(cx.b.shape(*o).ok()?.get(axis)?.fixed()? as i64)).collect();
    let parts = match sizes {
        Some(sizes) => {
            let mut start = 0;
            let mut parts = Vec::with_capacity(sizes.len());
            for size in &sizes {
                parts.push(Some(cx.b.slice(g, axis, start, start + size, 1)?));
                start += size;
            }
            parts
        }
        None => {
            let dims: Result<Vec<ValueId>, _> = operands.iter().map(|o| cx.b.dim_of(*o, axis)).collect();
            let sizes = cx.b.concat(&dims?, 0)?;
            let split = op::Split { axis: axis as i64, num_outputs: None };
            let parts = cx.b.op_with(split, vec![Some(g), Some(sizes)], operands.len())?;
            parts.into_iter().map(Some).collect()
        }
    };
    for (i, (part, operand)) in parts.iter().zip(&operands).enumerate() {
        if let Some(part) = part {
            cx.b.assume_shape(*part, *operand);
            if !cx.carries(node, i) {
                cx.absorb(crate::ledger::Class::Constant, *part)?;
            }
        }
    }
    Ok(Outcome::Signals(parts))
}

fn split_backward(
    cx: &mut Context<'_, '_>,
    node: &Node,
    axis: i64,
    signals: &[Option<ValueId>],
) -> Result<Outcome> {
    let x = node.input(0).ok_or_else(|| Error::malformed("Split without input"))?;
    let axis = cx.b.axis(axis, cx.b.rank(x)?)?;
    let mut parts = vec![];
    for (signal, output) in signals.iter().zip(&node.outputs) {
        parts.push(match (signal, output) {
            (Some(signal), _) => *signal,
            (None, Some(output)) => cx.b.zeros_like(*output)?,
            (None, None) => return Ok(Outcome::NoRule("an unused part has no known size".into())),
        });
    }
    let r = cx.b.concat(&parts, axis)?;
    cx.b.assume_shape(r, x);
    Ok(Outcome::at(0, node.inputs.len(), r))
}

fn tile(cx: &mut Context<'_, '_>, node: &Node, g: ValueId, x: ValueId) -> Result<Outcome> {
    let Some(repeats) = cx.b.const_ints(node.input(1)) else {
        return Ok(Outcome::NoRule("its repeats are not constant".into()));
    };
    // [r0, d0, r1, d1, ...], summed over the repeats.
    let mut dims = vec![];
    for (axis, repeat) in repeats.iter().enumerate() {
        dims.push(cx.b.ints(&[*repeat]));
        dims.push(cx.b.dim_of(x, axis)?);
    }
    let shape = match cx.b.static_shape(x) {
        Some(shape) => {
            let dims: Vec<i64> = repeats.iter().zip(&shape).flat_map(|(r, d)| [*r, *d as i64]).collect();
            cx.b.ints(&dims)
        }
        None => cx.b.concat(&dims, 0)?,
    };
    let split = cx.b.reshape(g, shape)?;
    let axes: Vec<usize> = (0..repeats.len()).map(|i| 2 * i).collect();
    let r = cx.b.reduce_sum(split, &axes, false)?;
    cx.b.assume_shape(r, x);
    Ok(Outcome::at(0, node.inputs.len(), r))
}

fn where_backward(cx: &mut Context<'_, '_>, node: &Node, g: ValueId) -> Result<Outcome> {
    let condition = node.input(0).ok_or_else(|| Error::malformed("Where without condition"))?;
    let zero = cx.b.scalar(0.0, g)?;
    let mut signals = vec![None; node.inputs.len()];
    for i in [1, 2] {
        if let (true, Some(x)) = (cx.carries(node, i), node.input(i)) {
            let chosen =
                if i == 1 { cx.b.select(condition, g, zero)? } else { cx.b.select(condition, zero, g)? };
            cx.b.assume_shape(chosen, g);
            signals[i] = Some(cx.b.sum_to(chosen, x)?);
        }
    }
    // What went to a constant branch is absorbed there.
    for i in [1, 2] {
        if !cx.carries(node, i) {
            let lost =
                if i == 1 { cx.b.select(condition, g, zero)? } else { cx.b.select(condition, zero, g)? };
            cx.b.assume_shape(lost, g);
            cx.absorb(crate::ledger::Class::of_term(node), lost)?;
        }
    }
    Ok(Outcome::Signals(signals))
}

fn depth_to_space(
    cx: &mut Context<'_, '_>,
    g: ValueId,
    x: ValueId,
    block: i64,
    mode: DepthOrder,
) -> Result<ValueId> {
    let shape = cx.b.shape(x)?.clone();
    let (Some(c), Some(h), Some(w)) = (shape[1].fixed(), shape[2].fixed(), shape[3].fixed()) else {
        return Err(
            Error::unsupported("DepthToSpace over axes of unknown size; fix the input's dimensions").into()
        );
    };
    let depth = c as i64 / (block * block);
    let cells = cx.b.reshape_to(g, &[-1, depth, h as i64, block, w as i64, block])?;
    let moved = match mode {
        DepthOrder::Dcr => cx.b.transpose(cells, &[0, 3, 5, 1, 2, 4])?,
        DepthOrder::Crd => cx.b.transpose(cells, &[0, 1, 3, 5, 2, 4])?,
    };
    Ok(cx.b.reshape_like(moved, x)?)
}

pub(crate) use gather::count_up;
pub(crate) use linear::{keep_axes, reduced_axes};
