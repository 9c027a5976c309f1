//! Matrix products, affine maps and attention.

use exegesis_graph::op;
use exegesis_graph::{DType, Error, Result};

use crate::array::{Array, broadcast_shape, broadcast_strides, count, for_each_index, offset, wrap};
use crate::normalization;
use crate::operands::Operands;

/// `a [rows, inner] b [inner, columns]`.
fn product(a: &[f64], b: &[f64], rows: usize, inner: usize, columns: usize) -> Vec<f64> {
    let mut out = vec![0.0; rows * columns];
    for i in 0..rows {
        let row = &mut out[i * columns..(i + 1) * columns];
        for k in 0..inner {
            let factor = a[i * inner + k];
            for (o, v) in row.iter_mut().zip(&b[k * columns..(k + 1) * columns]) {
                *o += factor * v;
            }
        }
    }
    out
}

/// NumPy's `matmul`: leading axes broadcast, vectors count as a row (left) or a column (right).
pub(crate) fn matmul(a: &Array, b: &Array) -> Result<Array> {
    let error = || {
        Error::malformed(format!("matrices of shapes {:?} and {:?} can't be multiplied", a.shape, b.shape))
    };
    if a.rank() == 0 || b.rank() == 0 || a.dtype != b.dtype {
        return Err(error());
    }
    let mut left = a.shape.clone();
    let mut right = b.shape.clone();
    if a.rank() == 1 {
        left.insert(0, 1);
    }
    if b.rank() == 1 {
        right.push(1);
    }
    let (rows, inner) = (left[left.len() - 2], left[left.len() - 1]);
    let (inner_right, columns) = (right[right.len() - 2], right[right.len() - 1]);
    if inner != inner_right {
        return Err(error());
    }
    let (lead_left, lead_right) = (&left[..left.len() - 2], &right[..right.len() - 2]);
    let lead = broadcast_shape(lead_left, lead_right)?;
    let strides_left = broadcast_strides(lead_left, &lead)?;
    let strides_right = broadcast_strides(lead_right, &lead)?;
    let mut shape = lead.clone();
    if a.rank() > 1 {
        shape.push(rows);
    }
    if b.rank() > 1 {
        shape.push(columns);
    }
    let mut data = Vec::with_capacity(count(&shape)?);
    for_each_index(&lead, |index| {
        let from_left = offset(index, &strides_left) * rows * inner;
        let from_right = offset(index, &strides_right) * inner * columns;
        let a = &a.data[from_left..from_left + rows * inner];
        let b = &b.data[from_right..from_right + inner * columns];
        data.extend(product(a, b, rows, inner, columns));
    });
    data.iter_mut().for_each(|x| *x = wrap(*x, a.dtype));
    Array::new(a.dtype, shape, data)
}

/// The last two axes swapped.
fn transposed(x: &Array) -> Result<Array> {
    let rank = x.rank();
    if rank < 2 {
        return Err(Error::malformed(format!("a matrix is needed, not the shape {:?}", x.shape)));
    }
    let (rows, columns) = (x.shape[rank - 2], x.shape[rank - 1]);
    let mut shape = x.shape.clone();
    shape.swap(rank - 2, rank - 1);
    let mut data = Vec::with_capacity(x.len());
    if !x.is_empty() {
        for matrix in x.data.chunks(rows * columns) {
            for j in 0..columns {
                data.extend((0..rows).map(|i| matrix[i * columns + j]));
            }
        }
    }
    Array::new(x.dtype, shape, data)
}

/// `x + y`, where `y` is broadcast to `x`.
fn add(mut x: Array, y: &Array, factor: f64) -> Result<Array> {
    let y = y.broadcast_to(&x.shape)?;
    let dtype = x.dtype;
    x.data.iter_mut().zip(&y.data).for_each(|(a, b)| *a = wrap(*a + factor * b, dtype));
    Ok(x)
}

/// `alpha A' B' + beta C`.
pub(crate) fn gemm(op: &op::Gemm, operands: Operands) -> Result<Array> {
    let (a, b) = (operands.get(0)?, operands.get(1)?);
    if a.rank() != 2 || b.rank() != 2 {
        let (a, b) = (&a.shape, &b.shape);
        return Err(Error::malformed(format!("Gemm needs two matrices, not the shapes {a:?} and {b:?}")));
    }
    let left = if op.transA { transposed(a)? } else { a.clone() };
    let right = if op.transB { transposed(b)? } else { b.clone() };
    let result = matmul(&left, &right)?.map(|x| x * f64::from(op.alpha));
    match operands.optional(2) {
        Some(c) => add(result, c, f64::from(op.beta)),
        None => Ok(result),
    }
}

/// `x W + b`.
pub(crate) fn linear(op: &op::Linear, operands: Operands) -> Result<Array> {
    let (x, weight) = (operands.get(0)?, operands.get(1)?);
    let result = if op.transB { matmul(x, &transposed(weight)?)? } else { matmul(x, weight)? };
    match operands.optional(2) {
        Some(bias) => add(result, bias, 1.0),
        None => Ok(result),
    }
}

/// Each key/value head repeated for the query heads that share it: `[b, h_kv, s, d]` to `[b, h, s, d]`.
fn repeat_heads(x: &Array, heads: usize) -> Result<Array> {
    let [batch, own, steps, size] = x.shape[..] else {
        return Err(Error::malformed(format!("Attention needs four axes, not the shape {:?}", x.shape)));
    };
    if own == 0 || !heads.is_multiple_of(own) {
        return Err(Error::malformed(format!("{heads} query heads can't share {own} key or value heads")));
    }
    let block = steps * size;
    let mut data = Vec::with_capacity(count(&[batch, heads, steps, size])?);
    for b in 0..batch {
        for h in 0..heads {
            let source = (b * own + h / (heads / own)) * block;
            data.extend_from_slice(&x.data[source..source + block]);
        }
    }
    Array::new(x.dtype, vec![batch, heads, steps, size], data)
}

/// `softmax(softcap(scale Q K') + mask) V`.
pub(crate) fn attention(op: &op::Attention, operands: Operands) -> Result<Array> {
    let query = operands.get(0)?;
    let [_, heads, queries, _] = query.shape[..] else {
        return Err(Error::malformed(format!("Attention needs four axes, not the shape {:?}", query.shape)));
    };
    let key = repeat_heads(operands.get(1)?, heads)?;
    let value = repeat_heads(operands.get(2)?, heads)?;
    let keys = key.shape[2];
    let mut scores = matmul(query, &transposed(&key)?)?.map(|x| x * f64::from(op.scale));
    if op.softcap != 0.0 {
        let cap = f64::from(op.softcap);
        scores = scores.map(|x| cap * (x / cap).tanh());
    }
    if let Some(mask) = operands.optional(3) {
        let additive = if mask.dtype == DType::Bool {
            mask.map(|x| if x != 0.0 { 0.0 } else { f64::NEG_INFINITY })
        } else {
            mask.clone()
        };
        scores = add(scores, &additive, 1.0)?;
    }
    if op.is_causal {
        for (i, x) in scores.data.iter_mut().enumerate() {
            // Upper-left alignment, as the operator reference builds its mask: query `t` sees keys `0..=t`.
            let (t, s) = ((i / keys) % queries, i % keys);
            if s > t {
                *x = f64::NEG_INFINITY;
            }
        }
    }
    let mut weights = normalization::softmax_along(&scores, 3);
    if op.guard_nan {
        weights = weights.map(|w| if w.is_nan() { 0.0 } else { w });
    }
    matmul(&weights, &value)
}

/// Rotation of pairs of features by position: `(a, b) -> (a cos - b sin, a sin + b cos)`. Pairs are halves of the last axis
/// or, interleaved, neighbours.
pub(crate) fn rotary_embedding(op: &op::RotaryEmbedding, operands: Operands) -> Result<Array> {
    let x = operands.with_rank(0, 1)?;
    let size = x.shape[x.rank() - 1];
    if !size.is_multiple_of(2) {
        return Err(Error::malformed(format!("the last axis has the odd size {size}")));
    }
    let half = size / 2;
    let mut angles = x.shape.clone();
    if op.interleaved {
        angles[x.rank() - 1] = half;
    }
    let (cos, sin) = (operands.get(1)?.broadcast_to(&angles)?, operands.get(2)?.broadcast_to(&angles)?);
    let mut out = x.clone();
    for i in 0..x.len() {
        let (row, j) = (i / size, i % size);
        // Position of the partner, its sign, and of the angle.
        let (partner, sign, angle) = if op.interleaved {
            (i ^ 1, if j % 2 == 0 { -1.0 } else { 1.0 }, row * half + j / 2)
        } else if j < half {
            (i + half, -1.0, i)
        } else {
            (i - half, 1.0, i)
        };
        out.data[i] = x.data[i] * cos.data[angle] + sign * x.data[partner] * sin.data[angle];
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[usize], data: &[f64]) -> Array {
        Array::floats(shape, data.to_vec()).unwrap()
    }

    #[test]
    fn matmul_broadcasts_and_takes_vectors() {
        let a = array(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(matmul(&a, &a).unwrap().data, [7.0, 10.0, 15.0, 22.0]);
        let v = array(&[2], &[1.0, 10.0]);
        let left = matmul(&v, &a).unwrap();
        assert_eq!((left.shape, left.data), (vec![2], vec![31.0, 42.0]));
        let right = matmul(&a, &v).unwrap();
        assert_eq!((right.shape, right.data), (vec![2], vec![21.0, 43.0]));
        let dot = matmul(&v, &v).unwrap();
        assert_eq!((dot.shape, dot.data), (vec![], vec![101.0]));
        let batch = array(&[3, 1, 1, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        let result = matmul(&batch, &a).unwrap();
        assert_eq!((result.shape, result.data), (vec![3, 1, 1, 2], vec![1.0, 2.0, 3.0, 4.0, 4.0, 6.0]));
        assert!(matmul(&a, &array(&[3], &[0.0; 3])).is_err());
    }

    #[test]
    fn attention_of_equal_scores_is_the_mean_of_visible_values() {
        let q = array(&[1, 2, 2, 1], &[0.0; 4]);
        let k = array(&[1, 1, 2, 1], &[3.0, 5.0]);
        let v = array(&[1, 1, 2, 1], &[2.0, 4.0]);
        let run = |op: op::Attention, mask: Option<&Array>| {
            attention(&op, Operands::new(&[Some(&q), Some(&k), Some(&v), mask])).unwrap().data
        };
        assert_eq!(run(op::Attention::default(), None), [3.0; 4]);
        let causal = op::Attention { is_causal: true, ..Default::default() };
        assert_eq!(run(causal, None), [2.0, 3.0, 2.0, 3.0]);
        let guarded = op::Attention { guard_nan: true, ..Default::default() };
        let nothing = Array::new(DType::Bool, [1, 1, 1, 2], vec![0.0; 2]).unwrap();
        assert_eq!(run(guarded, Some(&nothing)), [0.0; 4]);
        assert!(run(op::Attention::default(), Some(&nothing)).iter().all(|x| x.is_nan()));
    }

    #[test]
    fn rotation_by_a_right_angle_swaps_the_pair() {
        let x = array(&[1, 1, 1, 4], &[1.0, 2.0, 3.0, 4.0]);
        let (zero, one) = (array(&[1], &[0.0]), array(&[1], &[1.0]));
        let run = |interleaved| {
            let op = op::RotaryEmbedding { interleaved };
            rotary_embedding(&op, Operands::new(&[Some(&x), Some(&zero), Some(&one)])).unwrap().data
        };
        assert_eq!(run(false), [-3.0, -4.0, 1.0, 2.0]);
        assert_eq!(run(true), [-2.0, 1.0, -4.0, 3.0]);
    }
}
