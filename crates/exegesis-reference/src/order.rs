//! Operators about order: arg-reductions, running sums, sorting, distinct and non-zero elements.

use std::cmp::Ordering;

use exegesis_graph::op;
use exegesis_graph::{DType, Error, Result};

use crate::array::{Array, Lanes, axis, size, wrap};
use crate::indexing::coordinates;
use crate::operands::Operands;
use crate::reduction::without;

/// A total order in which both zeros are equal and NaN is last.
fn compare(a: f64, b: f64) -> Ordering {
    (a + 0.0).total_cmp(&(b + 0.0))
}

/// Position of the element that no other one precedes by `better`; the first or the last of equals.
fn arg(x: &Array, along: i64, keep: bool, last: bool, better: fn(f64, f64) -> bool) -> Result<Array> {
    let along = axis(along, x.rank())?;
    if x.shape[along] == 0 {
        return Err(Error::malformed(format!("axis {along} of the shape {:?} is empty", x.shape)));
    }
    let place = |lane: Vec<usize>| {
        let mut best = 0;
        for k in 1..lane.len() {
            let (value, top) = (x.data[lane[k]], x.data[lane[best]]);
            if better(value, top) || (last && value == top) {
                best = k;
            }
        }
        best as f64
    };
    let data = Lanes::new(&x.shape, along).iter().map(place).collect();
    let mut shape = x.shape.clone();
    shape[along] = 1;
    let shape = if keep { shape } else { without(&shape, &[along]) };
    Array::new(DType::I64, shape, data)
}

pub(crate) fn arg_max(op: &op::ArgMax, operands: Operands) -> Result<Array> {
    arg(operands.get(0)?, op.axis, op.keepdims, op.select_last_index, |a, b| a > b)
}

pub(crate) fn arg_min(op: &op::ArgMin, operands: Operands) -> Result<Array> {
    arg(operands.get(0)?, op.axis, op.keepdims, op.select_last_index, |a, b| a < b)
}

pub(crate) fn cumulative_sum(op: &op::CumSum, operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let along = axis(operands.int(1)?, x.rank())?;
    let mut out = x.clone();
    for mut lane in Lanes::new(&x.shape, along).iter() {
        if op.reverse {
            lane.reverse();
        }
        let mut sum = 0.0;
        for i in lane {
            let before = sum;
            sum = wrap(sum + x.data[i], x.dtype);
            out.data[i] = if op.exclusive { before } else { sum };
        }
    }
    Ok(out)
}

/// Values and indices of the `k` first in order, equal ones by index; also when order is not asked for.
pub(crate) fn top_k(op: &op::TopK, operands: Operands) -> Result<Vec<Array>> {
    let x = operands.get(0)?;
    let along = axis(op.axis, x.rank())?;
    let k = size(operands.int(1)?, "k")?;
    let lanes = Lanes::new(&x.shape, along);
    if k > lanes.size {
        return Err(Error::malformed(format!("k is {k} for an axis of size {}", lanes.size)));
    }
    let mut shape = x.shape.clone();
    shape[along] = k;
    let mut values = Array::filled(x.dtype, shape.clone(), 0.0)?;
    let mut indices = Array::filled(DType::I64, shape.clone(), 0.0)?;
    for (source, target) in lanes.iter().zip(Lanes::new(&shape, along).iter()) {
        let mut order: Vec<usize> = (0..lanes.size).collect();
        order.sort_by(|a, b| {
            let ordering = compare(x.data[source[*a]], x.data[source[*b]]);
            if op.largest { ordering.reverse() } else { ordering }
        });
        for (t, from) in target.iter().zip(order) {
            values.data[*t] = x.data[source[from]];
            indices.data[*t] = from as f64;
        }
    }
    Ok(vec![values, indices])
}

pub(crate) fn non_zero(operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    // A scalar counts as a vector of one element.
    let line = if x.rank() == 0 { x.reshaped(vec![1])? } else { x.clone() };
    coordinates(&line, |v| v != 0.0)
}

/// Distinct values (or slices along the axis), the index of each one's first occurrence, for every element the index of
/// its value, and counts.
pub(crate) fn unique(op: &op::Unique, operands: Operands) -> Result<Vec<Array>> {
    let x = operands.get(0)?;
    let (lined, along) = match op.axis {
        Some(a) => (x.clone(), axis(a, x.rank())?),
        None => (x.reshaped(vec![x.len()])?, 0),
    };
    let lanes = Lanes::new(&lined.shape, along);
    // Slices are compared in row-major order of their elements.
    let slice = |k: usize| -> Vec<f64> {
        let at = |(o, i): (usize, usize)| lined.data[(o * lanes.size + k) * lanes.inner + i];
        (0..lanes.outer).flat_map(|o| (0..lanes.inner).map(move |i| (o, i))).map(at).collect()
    };
    let slices: Vec<Vec<f64>> = (0..lanes.size).map(slice).collect();
    let compare_slices = |a: &[f64], b: &[f64]| {
        let different = a.iter().zip(b).map(|(x, y)| compare(*x, *y)).find(|o| o.is_ne());
        different.unwrap_or(Ordering::Equal)
    };
    let mut first: Vec<usize> = vec![];
    for k in 0..lanes.size {
        if !first.iter().any(|f| slices[*f] == slices[k]) {
            first.push(k);
        }
    }
    if op.sorted {
        first.sort_by(|a, b| compare_slices(&slices[*a], &slices[*b]));
    }
    let place = |k: usize| first.iter().position(|f| slices[*f] == slices[k] || *f == k).unwrap_or(0);
    let inverse: Vec<i64> = (0..lanes.size).map(|k| place(k) as i64).collect();
    let mut counts = vec![0; first.len()];
    inverse.iter().for_each(|i| counts[*i as usize] += 1);
    let first: Vec<i64> = first.iter().map(|f| *f as i64).collect();
    let first = Array::int_vector(&first);
    let chosen = op::Gather { axis: along as i64 };
    let values = crate::indexing::gather(&chosen, Operands::new(&[Some(&lined), Some(&first)]))?;
    Ok(vec![values, first, Array::int_vector(&inverse), Array::int_vector(&counts)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arg_of_equals() {
        let x = Array::floats([1, 4], vec![1.0, 3.0, 3.0, 0.0]).unwrap();
        let run = |last| {
            let op = op::ArgMax { axis: 1, keepdims: false, select_last_index: last };
            arg_max(&op, Operands::new(&[Some(&x)])).unwrap()
        };
        assert_eq!((run(false).shape, run(false).data), (vec![1], vec![1.0]));
        assert_eq!(run(true).data, [2.0]);
    }

    #[test]
    fn running_sums() {
        let x = Array::floats([3], vec![1.0, 2.0, 3.0]).unwrap();
        let zero = Array::scalar(DType::I64, 0.0);
        let run = |exclusive, reverse| {
            let op = op::CumSum { exclusive, reverse };
            cumulative_sum(&op, Operands::new(&[Some(&x), Some(&zero)])).unwrap().data
        };
        assert_eq!(run(false, false), [1.0, 3.0, 6.0]);
        assert_eq!(run(true, false), [0.0, 1.0, 3.0]);
        assert_eq!(run(true, true), [5.0, 3.0, 0.0]);
    }

    #[test]
    fn the_first_of_equals_comes_first() {
        let x = Array::floats([5], vec![1.0, 4.0, 4.0, 2.0, 1.0]).unwrap();
        let k = Array::int_vector(&[3]);
        let run = |largest| {
            let op = op::TopK { axis: 0, largest, sorted: true };
            top_k(&op, Operands::new(&[Some(&x), Some(&k)])).unwrap()[1].data.clone()
        };
        assert_eq!(run(true), [1.0, 2.0, 3.0]);
        assert_eq!(run(false), [0.0, 4.0, 3.0]);
        let many = Array::int_vector(&[6]);
        assert!(top_k(&op::TopK::default(), Operands::new(&[Some(&x), Some(&many)])).is_err());
    }

    #[test]
    fn distinct_values() {
        let x = Array::floats([5], vec![2.0, 1.0, 1.0, 3.0, 2.0]).unwrap();
        let run = |sorted| {
            let out = unique(&op::Unique { axis: None, sorted }, Operands::new(&[Some(&x)])).unwrap();
            out.into_iter().map(|a| a.data).collect::<Vec<_>>()
        };
        assert_eq!(run(true)[0], [1.0, 2.0, 3.0]);
        assert_eq!(run(true)[2], [1.0, 0.0, 0.0, 2.0, 1.0]);
        assert_eq!(run(false)[0], [2.0, 1.0, 3.0]);
        assert_eq!(run(false)[1], [0.0, 1.0, 3.0]);
        assert_eq!(run(false)[3], [2.0, 2.0, 1.0]);
    }
}
