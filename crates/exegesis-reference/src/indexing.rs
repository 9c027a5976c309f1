//! Gathers and other selection by index or condition.

use exegesis_graph::op;
use exegesis_graph::{DType, Error, Result};

use crate::array::{Array, Lanes, axis, count, for_each_index, index, offset, size, strides};
use crate::operands::Operands;

pub(crate) fn gather(op: &op::Gather, operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let along = axis(op.axis, x.rank())?;
    let chosen = operands.get(1)?;
    let lanes = Lanes::new(&x.shape, along);
    let positions: Vec<usize> =
        chosen.to_ints()?.iter().map(|i| index(*i, lanes.size)).collect::<Result<_>>()?;
    let mut shape = x.shape[..along].to_vec();
    shape.extend(&chosen.shape);
    shape.extend(&x.shape[along + 1..]);
    let mut data = Vec::with_capacity(count(&shape)?);
    for o in 0..lanes.outer {
        for p in &positions {
            let start = (o * lanes.size + p) * lanes.inner;
            data.extend_from_slice(&x.data[start..start + lanes.inner]);
        }
    }
    Array::new(x.dtype, shape, data)
}

/// For every element of `indices`, the position in an array of shape `data` that it addresses along an axis that must
/// exist: the element's own index with that axis replaced by its value.
pub(crate) fn element_positions(data: &[usize], indices: &Array, along: usize) -> Result<Vec<usize>> {
    let fits =
        indices.rank() == data.len() && (0..data.len()).all(|a| a == along || indices.shape[a] <= data[a]);
    if !fits {
        let shape = &indices.shape;
        return Err(Error::malformed(format!("indices of shape {shape:?} don't fit the shape {data:?}")));
    }
    let values: Vec<usize> =
        indices.to_ints()?.iter().map(|i| index(*i, data[along])).collect::<Result<_>>()?;
    let own = strides(data);
    let mut positions = vec![];
    for_each_index(&indices.shape, |at| {
        let mut at = at.to_vec();
        at[along] = values[positions.len()];
        positions.push(offset(&at, &own));
    });
    Ok(positions)
}

pub(crate) fn gather_elements(op: &op::GatherElements, operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let indices = operands.get(1)?;
    let positions = element_positions(&x.shape, indices, axis(op.axis, x.rank())?)?;
    let data = positions.iter().map(|p| x.data[*p]).collect();
    Array::new(x.dtype, indices.shape.clone(), data)
}

/// For each coordinate tuple (last axis of `indices`), the start of the block it addresses in an array of shape `data`
/// after `batch` shared leading axes; and the shape of a block.
pub(crate) fn block_positions<'a>(
    data: &'a [usize],
    indices: &Array,
    batch: usize,
) -> Result<(Vec<usize>, &'a [usize])> {
    let error = || {
        let shape = &indices.shape;
        Error::malformed(format!("coordinates of shape {shape:?} don't fit the shape {data:?}"))
    };
    let (width, lead) = indices.shape.split_last().ok_or_else(error)?;
    let depth = batch.checked_add(*width).ok_or_else(error)?;
    if depth > data.len() || lead.len() < batch || lead[..batch] != data[..batch] {
        return Err(error());
    }
    let coordinates = indices.to_ints()?;
    let own = strides(data);
    let mut positions = vec![];
    let mut failure = None;
    for_each_index(lead, |at| {
        let mut start = offset(&at[..batch], &own);
        let tuple = positions.len() * width;
        for k in 0..*width {
            match index(coordinates[tuple + k], data[batch + k]) {
                Ok(i) => start += i * own[batch + k],
                Err(e) => failure = Some(e),
            }
        }
        positions.push(start);
    });
    match failure {
        Some(error) => Err(error),
        None => Ok((positions, &data[depth..])),
    }
}

pub(crate) fn gather_nd(op: &op::GatherND, operands: Operands) -> Result<Array> {
    let (x, indices) = (operands.get(0)?, operands.get(1)?);
    let (positions, block) = block_positions(&x.shape, indices, size(op.batch_dims, "batch_dims")?)?;
    let mut shape = indices.shape[..indices.rank() - 1].to_vec();
    shape.extend(block);
    let length: usize = block.iter().product();
    let mut data = Vec::with_capacity(count(&shape)?);
    for start in positions {
        // Blocks of an array without elements are empty, wherever they start.
        data.extend_from_slice(x.data.get(start..start + length).unwrap_or_default());
    }
    Array::new(x.dtype, shape, data)
}

pub(crate) fn compress(op: &op::Compress, operands: Operands) -> Result<Array> {
    let (x, condition) = (operands.get(0)?, operands.get(1)?);
    // Without an axis the data counts as one line.
    let (lined, along) = match op.axis {
        Some(a) => (x.clone(), axis(a, x.rank())?),
        None => (x.reshaped(vec![x.len()])?, 0),
    };
    let kept: Vec<i64> =
        (0..condition.len()).filter(|i| condition.data[*i] != 0.0).map(|i| i as i64).collect();
    let kept = Array::int_vector(&kept);
    gather(&op::Gather { axis: along as i64 }, Operands::new(&[Some(&lined), Some(&kept)]))
}

/// `on` where the class axis equals the index, else `off`; indices outside `-depth..depth` leave only `off`.
pub(crate) fn one_hot(op: &op::OneHot, operands: Operands) -> Result<Array> {
    let (indices, values) = (operands.get(0)?, operands.get(2)?);
    let depth = size(operands.get(1)?.single()? as i64, "depth")?;
    let [off, on] = values.data[..] else {
        return Err(Error::malformed(format!("two values are needed, there are {}", values.len())));
    };
    let along = axis(op.axis, indices.rank() + 1)?;
    let mut shape = indices.shape.clone();
    shape.insert(along, depth);
    let mut out = Array::filled(values.dtype, shape, off)?;
    let inner: usize = indices.shape[along..].iter().product();
    for (i, class) in indices.data.iter().enumerate() {
        let class = if *class < 0.0 { class + depth as f64 } else { *class }.trunc();
        if class >= 0.0 && class < depth as f64 {
            out.data[(i / inner * depth + class as usize) * inner + i % inner] = on;
        }
    }
    Ok(out)
}

/// The coordinates of elements that satisfy `f`, one column each: `[rank, n]`.
pub(crate) fn coordinates(x: &Array, f: impl Fn(f64) -> bool) -> Result<Array> {
    let own = strides(&x.shape);
    let mut columns = vec![];
    for_each_index(&x.shape, |at| {
        if f(x.data[offset(at, &own)]) {
            columns.push(at.to_vec());
        }
    });
    let data = (0..x.rank()).flat_map(|a| columns.iter().map(move |c| c[a] as f64)).collect();
    Array::new(DType::I64, vec![x.rank(), columns.len()], data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix() -> Array {
        Array::floats([2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap()
    }

    fn ints(shape: &[usize], values: &[i64]) -> Array {
        Array::int_vector(values).reshaped(shape.to_vec()).unwrap()
    }

    #[test]
    fn gathers() {
        let x = matrix();
        let run = |axis, i: &Array| gather(&op::Gather { axis }, Operands::new(&[Some(&x), Some(i)]));
        let columns = run(1, &ints(&[1, 2], &[-1, 0])).unwrap();
        assert_eq!((columns.shape, columns.data), (vec![2, 1, 2], vec![2.0, 0.0, 5.0, 3.0]));
        assert_eq!(run(0, &ints(&[], &[1])).unwrap().shape, [3]);
        assert!(run(0, &ints(&[1], &[2])).is_err());
        assert!(run(0, &ints(&[1], &[-3])).is_err());
    }

    #[test]
    fn gathers_by_element_and_coordinates() {
        let x = matrix();
        let i = ints(&[2, 1], &[2, -3]);
        let op = op::GatherElements { axis: 1 };
        assert_eq!(gather_elements(&op, Operands::new(&[Some(&x), Some(&i)])).unwrap().data, [2.0, 3.0]);
        let run = |batch_dims, i: &Array| {
            gather_nd(&op::GatherND { batch_dims }, Operands::new(&[Some(&x), Some(i)]))
        };
        assert_eq!(run(0, &ints(&[2, 2], &[0, 1, -1, -1])).unwrap().data, [1.0, 5.0]);
        assert_eq!(run(0, &ints(&[1, 1], &[1])).unwrap().data, [3.0, 4.0, 5.0]);
        assert_eq!(run(1, &ints(&[2, 1], &[1, 2])).unwrap().data, [1.0, 5.0]);
        assert!(run(0, &ints(&[1, 3], &[0, 0, 0])).is_err());
        assert!(run(0, &ints(&[1, 1], &[7])).is_err());
    }

    #[test]
    fn one_hot_classes() {
        let depth = Array::scalar(DType::I64, 3.0);
        let values = Array::floats([2], vec![0.0, 9.0]).unwrap();
        let i = ints(&[3], &[1, -1, 5]);
        let run = |axis| {
            one_hot(&op::OneHot { axis }, Operands::new(&[Some(&i), Some(&depth), Some(&values)])).unwrap()
        };
        assert_eq!(run(-1).data, [0.0, 9.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0]);
        assert_eq!(run(0).data, [0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 9.0, 0.0]);
    }
}
