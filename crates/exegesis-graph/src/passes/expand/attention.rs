//! Scaled dot-product attention and rotary position embedding.

use super::emitter::Emitter;
use crate::op::{
    Attention, Binary, Cast, Concat, ConstantOfShape, Expand, MatMul, Reduce, ReduceKind, Reshape, Shape,
    Slice, Softmax, Split, Transpose, Trilu, Unary, Unsqueeze, Where,
};
use crate::{DType, Dim, Result, Role, Tensor, ValueId};

/// Causal masks up to this many elements become constants.
const MAX_MASK: usize = 1 << 16;

/// `softmax(softcap(Q K^T scale) + mask) V`; `softcap(s) = c tanh(s / c)`.
pub(super) fn attention(
    emit: &mut Emitter,
    [q, k, v]: [ValueId; 3],
    mask: Option<ValueId>,
    op: &Attention,
) -> Result<()> {
    let dtype = emit.dtype(q)?;
    let (k, v) = share_heads(emit, q, k, v)?;
    let k = emit.op(Transpose { perm: vec![0, 1, 3, 2] }, &[k])?;
    let mut scores = emit.op(MatMul {}, &[q, k])?;
    if op.scale != 1.0 {
        let scale = emit.scalar(dtype, f64::from(op.scale))?;
        scores = emit.op(Binary::Mul, &[scores, scale])?;
    }
    if op.softcap != 0.0 {
        let cap = emit.scalar(dtype, f64::from(op.softcap))?;
        let small = emit.op(Binary::Div, &[scores, cap])?;
        let bent = emit.op(Unary::Tanh, &[small])?;
        scores = emit.op(Binary::Mul, &[bent, cap])?;
    }
    if op.is_causal {
        let causal = causal_mask(emit, scores, dtype)?;
        scores = emit.op_with_role(Binary::Add, &[scores, causal], Role::AttentionMask)?;
    }
    if let Some(mask) = mask {
        let mask = additive(emit, mask, dtype)?;
        scores = emit.op_with_role(Binary::Add, &[scores, mask], Role::AttentionMask)?;
    }
    if !op.guard_nan {
        let weights = emit.op(Softmax { axis: -1 }, &[scores])?;
        return emit.finish(MatMul {}, &[weights, v]);
    }
    // Rows of minus infinities are left out before the softmax: NaN behind it would come back in every derivative.
    let axis = emit.ints(&[-1]);
    let largest = Reduce { kind: ReduceKind::Max, keepdims: true, noop_with_empty_axes: false };
    let largest = emit.op(largest, &[scores, axis])?;
    let hidden = emit.scalar(dtype, f64::NEG_INFINITY)?;
    let hidden = emit.op(Binary::Equal, &[largest, hidden])?;
    let zero = emit.scalar(dtype, 0.0)?;
    let scores = emit.op(Where {}, &[hidden, zero, scores])?;
    let weights = emit.op(Softmax { axis: -1 }, &[scores])?;
    let weights = emit.op(Where {}, &[hidden, zero, weights])?;
    emit.finish(MatMul {}, &[weights, v])
}

/// Repeats the heads of keys and values so that every query head has its own.
fn share_heads(emit: &mut Emitter, q: ValueId, k: ValueId, v: ValueId) -> Result<(ValueId, ValueId)> {
    let heads = |value| emit.shape(value).and_then(|s| s.get(1).cloned());
    match (heads(q), heads(k)) {
        (Some(a), Some(b)) if a == b => return Ok((k, v)),
        _ => {}
    }
    let heads = emit.fixed(q, 1, "the number of query heads")?;
    let shared = emit.fixed(k, 1, "the number of key heads")?;
    if shared == 0 || heads % shared != 0 {
        let message = format!("Attention: {heads} query heads can't share {shared} key heads evenly");
        return Err(crate::Error::malformed(message));
    }
    let mut repeat = |value: ValueId| -> Result<ValueId> {
        let depth = emit.fixed(value, 3, "the head size")?;
        let axis = emit.ints(&[2]);
        let apart = emit.op(Unsqueeze {}, &[value, axis])?;
        let copies = emit.ints(&[1, 1, (heads / shared) as i64, 1, 1]);
        let copied = emit.op(Expand {}, &[apart, copies])?;
        let joined = emit.ints(&[0, heads as i64, -1, depth as i64]);
        emit.op(Reshape::default(), &[copied, joined])
    };
    Ok((repeat(k)?, repeat(v)?))
}

/// 0 where the mask lets pass, minus infinity elsewhere.
fn additive(emit: &mut Emitter, mask: ValueId, dtype: DType) -> Result<ValueId> {
    match emit.dtype(mask)? {
        DType::Bool => {
            let pass = emit.scalar(dtype, 0.0)?;
            let stop = emit.scalar(dtype, f64::NEG_INFINITY)?;
            emit.op(Where {}, &[mask, pass, stop])
        }
        found if found == dtype => Ok(mask),
        _ => emit.op(Cast { to: dtype }, &[mask]),
    }
}

/// `[t, s]`: minus infinity above the main diagonal, 0 elsewhere.
fn causal_mask(emit: &mut Emitter, scores: ValueId, dtype: DType) -> Result<ValueId> {
    let shape = emit.shape(scores).unwrap_or_default();
    if let [_, _, Dim::Fixed(rows), Dim::Fixed(columns)] = shape.as_slice() {
        let (rows, columns) = (*rows, *columns);
        if rows.checked_mul(columns).is_some_and(|n| n <= MAX_MASK) {
            let element = |i: usize| if i % columns > i / columns { f64::NEG_INFINITY } else { 0.0 };
            let values = (0..rows * columns).map(element).collect();
            return Ok(emit.constant(Tensor::from_f64(dtype, [rows, columns], values)?));
        }
    }
    let size = emit.op(Shape { start: 2, end: Some(4) }, &[scores])?;
    let value = Tensor::from_f64(dtype, [1], vec![f64::NEG_INFINITY])?;
    let stop = emit.op(ConstantOfShape { value: Some(value.into()) }, &[size])?;
    let diagonal = emit.constant(Tensor::scalar(1i64));
    emit.op(Trilu { upper: true }, &[stop, diagonal])
}

/// Pairs `(a, b)` of the last axis become `(a cos - b sin, b cos + a sin)`: `a` and `b` are its halves, or its even and
/// odd elements if `interleaved`.
pub(super) fn rotary(
    emit: &mut Emitter,
    x: ValueId,
    cos: ValueId,
    sin: ValueId,
    interleaved: bool,
) -> Result<()> {
    if !interleaved {
        let split = Split { axis: -1, num_outputs: Some(2) };
        let (a, b) = match emit.shape(x).and_then(|s| s.last().and_then(Dim::fixed)) {
            Some(depth) => {
                let half = (depth / 2) as i64;
                let sizes = emit.ints(&[half, half]);
                emit.two(Split { num_outputs: None, ..split }, &[x, sizes])?
            }
            None => emit.two(split, &[x])?,
        };
        let minus = emit.op(Unary::Neg, &[b])?;
        let turned = emit.op(Concat { axis: -1 }, &[minus, a])?;
        let left = emit.op(Binary::Mul, &[x, cos])?;
        let right = emit.op(Binary::Mul, &[turned, sin])?;
        return emit.finish(Binary::Add, &[left, right]);
    }
    let (a, b) = (every_second(emit, x, 0)?, every_second(emit, x, 1)?);
    let (a_cos, b_sin) = (emit.op(Binary::Mul, &[a, cos])?, emit.op(Binary::Mul, &[b, sin])?);
    let (b_cos, a_sin) = (emit.op(Binary::Mul, &[b, cos])?, emit.op(Binary::Mul, &[a, sin])?);
    let first = emit.op(Binary::Sub, &[a_cos, b_sin])?;
    let second = emit.op(Binary::Add, &[b_cos, a_sin])?;
    let last = emit.ints(&[-1]);
    let (first, second) = (emit.op(Unsqueeze {}, &[first, last])?, emit.op(Unsqueeze {}, &[second, last])?);
    let pairs = emit.op(Concat { axis: -1 }, &[first, second])?;
    let shape = emit.ints(&[0, 0, 0, -1]);
    emit.finish(Reshape::default(), &[pairs, shape])
}

fn every_second(emit: &mut Emitter, x: ValueId, first: i64) -> Result<ValueId> {
    let [start, end, axis, step] = [first, i64::MAX, -1, 2].map(|n| emit.ints(&[n]));
    emit.op(Slice {}, &[x, start, end, axis, step])
}
