//! Adjoints of matrix products.

use exegesis_graph::op;
use exegesis_graph::{Dim, ValueId};

use crate::Result;
use crate::rule::Context;

/// `v W` for a matrix `W`, rows being the last axis of `v`, or `v W^T`: through Gemm, so that no transposed copy of the weights
/// is made.
///
/// # Errors
/// The graph can't be treated.
pub fn rows_times(cx: &mut Context<'_, '_>, v: ValueId, w: ValueId, transposed: bool) -> Result<ValueId> {
    let rank = cx.b.rank(v)?;
    let gemm = op::Gemm { transB: transposed, ..op::Gemm::default() };
    if rank == 2 {
        return Ok(cx.b.op(gemm, &[v, w])?);
    }
    let w_shape = cx.b.shape(w)?.clone();
    let (k, n) = if transposed { (&w_shape[1], &w_shape[0]) } else { (&w_shape[0], &w_shape[1]) };
    let (Some(k), Some(n)) = (k.fixed(), n.fixed()) else {
        let w = if transposed { cx.b.transpose_last(w)? } else { w };
        return Ok(cx.b.matmul(v, w)?);
    };
    let v_shape = cx.b.shape(v)?.clone();
    let flat = cx.b.reshape_to(v, &[-1, k as i64])?;
    let product = cx.b.op(gemm, &[flat, w])?;
    let unknown = v_shape[..rank - 1].iter().filter(|d| d.fixed().is_none()).count();
    let out = if unknown <= 1 {
        let mut dims: Vec<i64> = v_shape.iter().map(|d| d.fixed().map_or(-1, |n| n as i64)).collect();
        dims[rank - 1] = n as i64;
        cx.b.reshape_to(product, &dims)?
    } else {
        let lead = cx.b.op(op::Shape { start: 0, end: Some(-1) }, &[v])?;
        let n = cx.b.ints(&[n as i64]);
        let shape = cx.b.concat(&[lead, n], 0)?;
        cx.b.reshape(product, shape)?
    };
    let mut shape = v_shape;
    shape[rank - 1] = Dim::Fixed(n);
    cx.b.set_shape(out, shape);
    Ok(out)
}

/// Gradient of `a b` with respect to `a`: `g b^T`, summed over broadcast axes.
///
/// # Errors
/// The graph can't be treated.
pub fn matmul_adjoint_left(cx: &mut Context<'_, '_>, g: ValueId, b: ValueId, a: ValueId) -> Result<ValueId> {
    let (rank_a, rank_b, rank_g) = (cx.b.rank(a)?, cx.b.rank(b)?, cx.b.rank(g)?);
    if rank_b == 1 {
        // [.., k] . [k] -> [..]: every row of a gets its g times b.
        let g = cx.b.unsqueeze(g, &[rank_g])?;
        return Ok(cx.b.mul(g, b)?);
    }
    if rank_a == 1 {
        // [k] . [.., k, n] -> [.., n].
        let g = cx.b.unsqueeze(g, &[rank_g - 1])?;
        let bt = cx.b.transpose_last(b)?;
        let r = cx.b.matmul(g, bt)?;
        let r = cx.b.squeeze(r, &[rank_g - 1])?;
        return Ok(cx.b.sum_to(r, a)?);
    }
    if rank_b == 2 && is_constant(cx, b, FOLDED) {
        let r = rows_times(cx, g, b, true)?;
        cx.b.assume_shape(r, a);
        return Ok(r);
    }
    let bt = cx.b.transpose_last(b)?;
    let r = cx.b.matmul(g, bt)?;
    Ok(cx.b.sum_to(r, a)?)
}

/// Nodes between a constant and a form of it that coefficients take.
const FOLDED: usize = 3;

/// True if the value is a constant, or made of constants by few nodes, and so becomes one.
fn is_constant(cx: &Context<'_, '_>, v: ValueId, nodes: usize) -> bool {
    let graph = cx.b.graph();
    graph.constant(v).is_some()
        || (nodes > 0
            && graph
                .producer_node(v)
                .is_some_and(|n| n.inputs.iter().flatten().all(|i| is_constant(cx, *i, nodes - 1))))
}

/// Gradient of `a b` with respect to `b`: `a^T g`, summed over broadcast axes.
///
/// # Errors
/// The graph can't be treated.
pub fn matmul_adjoint_right(cx: &mut Context<'_, '_>, g: ValueId, a: ValueId, b: ValueId) -> Result<ValueId> {
    let (rank_a, rank_b, rank_g) = (cx.b.rank(a)?, cx.b.rank(b)?, cx.b.rank(g)?);
    if rank_b == 1 {
        // [.., m, k] . [k] -> [.., m].
        let g = cx.b.unsqueeze(g, &[rank_g])?;
        let at = if rank_a == 1 { a } else { cx.b.transpose_last(a)? };
        let r = if rank_a == 1 { cx.b.mul(g, at)? } else { cx.b.matmul(at, g)? };
        let r = if rank_a == 1 { r } else { cx.b.squeeze(r, &[rank_g])? };
        return Ok(cx.b.sum_to(r, b)?);
    }
    if rank_a == 1 {
        // [k] . [.., k, n] -> [.., n]: outer product.
        let g = cx.b.unsqueeze(g, &[rank_g - 1])?;
        let a = cx.b.unsqueeze(a, &[1])?;
        let r = cx.b.mul(a, g)?;
        return Ok(cx.b.sum_to(r, b)?);
    }
    let at = cx.b.transpose_last(a)?;
    let r = cx.b.matmul(at, g)?;
    Ok(cx.b.sum_to(r, b)?)
}

/// Gradient of `alpha A' B'` with respect to A or B, given the other matrix `w`.
///
/// # Errors
/// The graph can't be treated.
pub fn gemm_adjoint(
    cx: &mut Context<'_, '_>,
    g: ValueId,
    w: ValueId,
    alpha: f32,
    (trans_a, trans_b): (bool, bool),
    carrier_is_a: bool,
) -> Result<ValueId> {
    let product = |cx: &mut Context<'_, '_>, p: ValueId, q: ValueId, ta: bool, tb: bool| {
        cx.b.op(op::Gemm { alpha, beta: 1.0, transA: ta, transB: tb }, &[p, q])
    };
    Ok(match (carrier_is_a, trans_a, trans_b) {
        (true, false, _) => product(cx, g, w, false, !trans_b)?,
        (true, true, _) => product(cx, w, g, trans_b, true)?,
        (false, _, false) => product(cx, w, g, !trans_a, false)?,
        (false, _, true) => product(cx, g, w, true, trans_a)?,
    })
}
