//! Maxima: pools, reductions and element-wise; all tied winners share equally.

use exegesis_graph::op::Binary;
use exegesis_graph::{Error, Node, Op, Tensor, ValueId};

use super::{keep_axes, max_pool, reduced_axes};
use crate::Result;
use crate::ledger::Class;
use crate::linear::{Geometry, adjoint_of_windows, pooling};
use crate::rule::{Context, Outcome};

/// Sends `g` to the tied extremes of the reduced axes.
///
/// # Errors
/// The axes are not constant.
pub fn reduction(cx: &mut Context<'_, '_>, node: &Node, g: ValueId, x: ValueId) -> Result<ValueId> {
    let axes = reduced_axes(cx, node, x)?;
    let y = node.output(0).ok_or_else(|| Error::malformed("a reduction without output"))?;
    let (y, g) = (keep_axes(cx, node, y, &axes)?, keep_axes(cx, node, g, &axes)?);
    to_winners(cx, g, x, y, &axes)
}

/// Most cells of a window that is taken apart by one-hot kernels, which hold the square of it.
const MAX_CELLS: usize = 2048;

fn to_winners(
    cx: &mut Context<'_, '_>,
    g: ValueId,
    x: ValueId,
    y: ValueId,
    axes: &[usize],
) -> Result<ValueId> {
    let is_winner = cx.b.op(Binary::Equal, &[x, y])?;
    cx.b.assume_shape(is_winner, x);
    let winners = cx.b.indicator(is_winner, g)?;
    let ties = cx.b.reduce_sum(winners, axes, true)?;
    let share = cx.b.div(g, ties)?;
    let out = cx.b.mul(winners, share)?;
    cx.b.assume_shape(out, x);
    Ok(out)
}

/// Sends `g` to the operands that equal the result.
///
/// # Errors
/// The graph can't be treated.
pub fn elementwise(cx: &mut Context<'_, '_>, node: &Node, g: ValueId) -> Result<Outcome> {
    let y = node.output(0).ok_or_else(|| Error::malformed("an operator without output"))?;
    let mut winners = vec![];
    let mut ties: Option<ValueId> = None;
    for operand in node.inputs.iter().flatten() {
        let equal = cx.b.op(Binary::Equal, &[*operand, y])?;
        cx.b.assume_shape(equal, y);
        let winner = cx.b.indicator(equal, g)?;
        winners.push((*operand, winner));
        ties = Some(match ties {
            None => winner,
            Some(before) => cx.b.add(before, winner)?,
        });
    }
    let Some(ties) = ties else { return Ok(Outcome::Signals(vec![])) };
    let share = cx.b.div(g, ties)?;
    let mut signals = vec![];
    for (i, (operand, winner)) in winners.into_iter().enumerate() {
        let part = cx.b.mul(winner, share)?;
        if cx.carries(node, i) {
            signals.push(Some(cx.b.sum_to(part, operand)?));
        } else {
            cx.absorb(Class::Constant, part)?;
            signals.push(None);
        }
    }
    Ok(Outcome::Signals(signals))
}

/// Sends `g` to the tied maxima of each window: tap by tap where the sizes are known, else the windows are taken apart by
/// a convolution with one-hot kernels, and put together again by its adjoint.
///
/// # Errors
/// The graph can't be treated.
pub fn pool(cx: &mut Context<'_, '_>, node: &Node, g: ValueId, x: ValueId) -> Result<ValueId> {
    let y = node.output(0).ok_or_else(|| Error::malformed("a pool without output"))?;
    let Op::MaxPool(pool) = &node.op else {
        let axes: Vec<usize> = (2..cx.b.rank(x)?).collect();
        return to_winners(cx, g, x, y, &axes);
    };
    let window = crate::linear::Window {
        auto_pad: pool.auto_pad,
        kernel: pool.kernel_shape.iter().map(|k| (*k).max(0) as usize).collect(),
        strides: &pool.strides,
        dilations: &pool.dilations,
        pads: &pool.pads,
    };
    let mut geo = crate::linear::geometry(cx, &window, x)?;
    // The windows taken apart would be fewer than those of the pool, and might broadcast to them.
    if pool.ceil_mode && cx.b.shape(x)?.iter().skip(2).any(|d| d.fixed().is_none()) {
        return Err(Error::unsupported(
            "a maximum pool in ceil mode over an axis of unknown size; fix the input's dimensions",
        )
        .into());
    }
    pooling::extend_for_ceil(cx, &mut geo, x, y)?;
    if let Some(out) = max_pool::by_taps(cx, &geo, [x, y], g)? {
        return Ok(out);
    }
    let n = geo.kernel.len();
    let (x_shape, y_shape) = (cx.b.shape(x)?.clone(), cx.b.shape(y)?.clone());
    let plane = pooling::spatial_only(cx, x, &x_shape)?;
    // Padding must never win: the lowest finite number, which a one-hot product keeps finite.
    let mut pads = vec![0i64; 2 * (n + 2)];
    for i in 0..n {
        pads[2 + i] = geo.begins[i];
        pads[n + 4 + i] = geo.ends[i];
    }
    let padded = cx.b.pad(plane, &pads, f64::from(f32::MIN))?;
    let unpadded = Geometry { begins: vec![0; n], ends: vec![0; n], ..geo.clone() };
    let cells = geo.kernel.iter().try_fold(1usize, |n, size| n.checked_mul(*size));
    let Some(cells) = cells.filter(|cells| *cells <= MAX_CELLS) else {
        return Err(Error::unsupported(format!(
            "a window of {:?} is too large to be taken apart",
            geo.kernel
        ))
        .into());
    };
    let mut one_hot = vec![0.0; cells * cells];
    for cell in 0..cells {
        one_hot[cell * cells + cell] = 1.0;
    }
    let mut kernel_shape = vec![cells, 1];
    kernel_shape.extend(&geo.kernel);
    let one_hot = cx.b.constant(Tensor::from_f64(cx.b.dtype(x), kernel_shape, one_hot)?);
    let take = exegesis_graph::op::Conv {
        kernel_shape: geo.kernel.iter().map(|k| *k as i64).collect(),
        strides: geo.strides_attribute(),
        dilations: geo.dilations_attribute(),
        pads: vec![0; 2 * n],
        ..Default::default()
    };
    let windows = cx.b.op(take, &[padded, one_hot])?;
    let maxima = pooling::spatial_only(cx, y, &y_shape)?;
    let incoming = pooling::spatial_only(cx, g, &y_shape)?;
    let shares = {
        let is_winner = cx.b.op(Binary::Equal, &[windows, maxima])?;
        cx.b.assume_shape(is_winner, windows);
        let winners = cx.b.indicator(is_winner, g)?;
        let ties = cx.b.reduce_sum(winners, &[1], true)?;
        // A window of NaN has no winner: its share stays NaN and shows.
        let share = cx.b.div(incoming, ties)?;
        cx.b.mul(winners, share)?
    };
    let spread = adjoint_of_windows(cx, shares, one_hot, padded, &unpadded, 1)?;
    let mut out = spread;
    for i in 0..n {
        let (begin, end) = (geo.begins[i], geo.ends[i]);
        if begin != 0 || end != 0 {
            let end = if end > 0 { -end } else { i64::MAX };
            out = cx.b.slice(out, 2 + i, begin, end, 1)?;
        }
    }
    Ok(cx.b.reshape_like(out, x)?)
}
