//! Shapes and movement.

use exegesis_graph::op::PadMode;
use exegesis_graph::{DType, Op};

use super::Support::{self, Lowered, Native};
use super::context::{Context, refuse};

/// Verdict on an operator that moves elements or makes them from a shape.
pub(super) fn support(op: &Op, context: &Context) -> Support {
    match op {
        Op::Concat(_) => context.numbers(Native),
        Op::ConstantOfShape(a) if a.value.as_ref().is_some_and(|v| v.len() != 1) => {
            refuse("its value must be a single element")
        }
        Op::DepthToSpace(_) if context.rank(0).is_some_and(|rank| rank != 4) => {
            refuse("its input must be [n, c, h, w]")
        }
        Op::DepthToSpace(_) => context.floats(Native),
        Op::SpaceToDepth(_) if context.rank(0) != Some(4) => refuse("its input must be [n, c, h, w]"),
        Op::SpaceToDepth(_) => Lowered("Reshape and Transpose"),
        Op::EyeLike(_) if context.rank(0).is_some_and(|rank| rank != 2) => {
            refuse("its input must be a matrix")
        }
        Op::Pad(a) => pad(a.mode, context),
        Op::Range(_) if context.narrow(0) == Some(DType::F32) => {
            Lowered("start + i delta over an integer range")
        }
        Op::Range(_) => context.typed(&[DType::I32], Native),
        Op::Slice(_) if starts_before_front(context) => {
            refuse("a negative step from before the first element is not implemented")
        }
        Op::Slice(_) if context.has(4) && !context.has(3) => Lowered("explicit axes"),
        Op::Squeeze(_) | Op::Unsqueeze(_) if context.rank(1) == Some(0) => Lowered("axes as a vector"),
        Op::Transpose(a) if a.perm.is_empty() => match context.rank(0) {
            Some(_) => Lowered("an explicit permutation"),
            None => refuse("the rank of its input is not known"),
        },
        _ => Native,
    }
}

/// True if a slice walks backwards from before the front, where rten counts below zero.
fn starts_before_front(context: &Context) -> bool {
    let (Some(starts), Some(steps)) = (context.ints(1), context.ints(4)) else { return false };
    let axes = match (context.has(3), context.ints(3)) {
        (false, _) => (0..starts.len() as i64).collect(),
        (true, Some(axes)) => axes,
        (true, None) => return false,
    };
    let size = |axis: i64| {
        let rank = context.rank(0)? as i64;
        let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).ok()?;
        i64::try_from(context.size(0, axis)?).ok()
    };
    starts.iter().zip(&steps).zip(&axes).any(|((start, step), axis)| {
        *step < 0 && size(*axis).is_some_and(|size| start.checked_add(size).is_none_or(|at| at < 0))
    })
}

fn pad(mode: PadMode, context: &Context) -> Support {
    let rank = context.rank(0);
    if context.has(3) && (rank.is_none() || context.ints(1).is_none() || context.ints(3).is_none()) {
        return refuse("pads for some axes must be constants, on an input of known rank");
    }
    if mode == PadMode::Constant {
        return if context.has(3) { Lowered("pads for all axes") } else { Native };
    }
    let (Some(rank), Some(_)) = (rank, context.ints(1)) else {
        return if mode == PadMode::Wrap {
            refuse("wrapping needs constant pads and a known rank")
        } else {
            Native
        };
    };
    let padded = padded_axes(context, rank);
    let by_index = pads_by_index(context, rank, mode);
    if by_index && padded.iter().any(|axis| context.size(0, *axis).is_none()) {
        return refuse(
            "wrapping, cropping, or any mode but constant before the last two axes, needs known sizes",
        );
    }
    match (by_index, context.has(3)) {
        (true, _) => Lowered("Gather along each axis"),
        (false, true) => Lowered("pads for all axes"),
        (false, false) => Native,
    }
}

/// True for a `Pad` with elements of its own that rten does not have, or treats in another way: it repeats only along the
/// last two axes, takes a crop at the begin for none, and mirrors once only.
pub(crate) fn pads_by_index(context: &Context, rank: usize, mode: PadMode) -> bool {
    let Some(pads) = full_pads(context, rank) else { return false };
    let pad = |axis: usize| [axis, axis + rank].map(|i| pads.get(i).copied().unwrap_or_default());
    match mode {
        PadMode::Constant => false,
        PadMode::Wrap => true,
        PadMode::Edge | PadMode::Reflect => padded_axes(context, rank).into_iter().any(|axis| {
            let size = context.size(0, axis).and_then(|n| i64::try_from(n).ok());
            let twice = |p: i64| mode == PadMode::Reflect && size.is_some_and(|size| p >= size);
            axis + 2 < rank || pad(axis).into_iter().any(|p| p < 0 || twice(p))
        }),
    }
}

/// Axes that a `Pad` with constant pads changes.
pub(crate) fn padded_axes(context: &Context, rank: usize) -> Vec<usize> {
    let Some(pads) = full_pads(context, rank) else { return vec![] };
    (0..rank).filter(|axis| pads.get(*axis) != Some(&0) || pads.get(axis + rank) != Some(&0)).collect()
}

/// The pads of a `Pad` for all axes (begins, then ends), if they and their axes are constants.
pub(crate) fn full_pads(context: &Context, rank: usize) -> Option<Vec<i64>> {
    let pads = context.ints(1)?;
    if !context.has(3) {
        return Some(pads);
    }
    let axes = context.ints(3)?;
    let mut full = vec![0; 2 * rank];
    for (i, axis) in axes.iter().enumerate() {
        let axis = usize::try_from(if *axis < 0 { axis + rank as i64 } else { *axis }).ok()?;
        *full.get_mut(axis)? = *pads.get(i)?;
        *full.get_mut(axis + rank)? = *pads.get(i + axes.len())?;
    }
    Some(full)
}
