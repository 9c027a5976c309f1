//! Axes of reductions.

use exegesis_graph::op;
use exegesis_graph::{Node, Op, ValueId};

use crate::Result;
use crate::rule::Context;

/// Axes that a reduction node reduces, counted from the front.
///
/// # Errors
/// The axes are not constant.
pub fn reduced_axes(cx: &Context<'_, '_>, node: &Node, x: ValueId) -> Result<Vec<usize>> {
    let rank = cx.b.rank(x)?;
    let Op::Reduce(reduce) = &node.op else { unreachable!("called for reductions") };
    let axes = match node.input(1) {
        None => vec![],
        Some(axes) => cx.b.const_ints(Some(axes)).ok_or_else(|| {
            exegesis_graph::Error::unsupported("the axes of this reduction are not constant")
        })?,
    };
    if axes.is_empty() {
        return Ok(if reduce.noop_with_empty_axes { vec![] } else { (0..rank).collect() });
    }
    let mut axes = axes.iter().map(|a| cx.b.axis(*a, rank)).collect::<Result<Vec<_>, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    Ok(axes)
}

/// `g` of a reduction with its reduced axes present as size 1.
///
/// # Errors
/// The graph can't be treated.
pub fn keep_axes(cx: &mut Context<'_, '_>, node: &Node, g: ValueId, axes: &[usize]) -> Result<ValueId> {
    match &node.op {
        Op::Reduce(reduce) if !reduce.keepdims => Ok(cx.b.unsqueeze(g, axes)?),
        _ => Ok(g),
    }
}

/// `g` divided by the number of elements of `x` along `axes`.
///
/// # Errors
/// The graph can't be treated.
pub fn divide_by_count(cx: &mut Context<'_, '_>, g: ValueId, x: ValueId, axes: &[usize]) -> Result<ValueId> {
    let shape = cx.b.shape(x)?.clone();
    let fixed: Option<usize> = axes.iter().map(|a| shape[*a].fixed()).product();
    match fixed {
        Some(n) => {
            // A factor 1/n would be rounded.
            let n = cx.b.scalar(n.max(1) as f64, g)?;
            Ok(cx.b.div(g, n)?)
        }
        None => {
            let mut count = None;
            for axis in axes {
                let dim = cx.b.dim_of(x, *axis)?;
                count = Some(match count {
                    None => dim,
                    Some(before) => cx.b.mul(before, dim)?,
                });
            }
            let Some(count) = count else { return Ok(g) };
            let to = cx.b.dtype(g);
            let count = cx.b.op(op::Cast { to }, &[count])?;
            Ok(cx.b.div(g, count)?)
        }
    }
}
