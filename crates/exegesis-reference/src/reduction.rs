//! Reductions over axes.

use exegesis_graph::op::{Reduce, ReduceKind};
use exegesis_graph::{Error, Result};

use crate::array::{Array, axes, bounds, for_each_index, offset, strides, wrap};
use crate::elementwise::{maximum, minimum};
use crate::operands::Operands;

/// `x` grouped by the axes that stay: the shape with reduced axes of size 1, and each group's elements in order.
pub(crate) fn groups(x: &Array, reduced: &[usize]) -> Result<(Vec<usize>, Vec<Vec<f64>>)> {
    let mut kept = x.shape.clone();
    let mut over = vec![1; x.rank()];
    for axis in reduced {
        over[*axis] = kept[*axis];
        kept[*axis] = 1;
    }
    let own = strides(&x.shape);
    let mut result = vec![];
    for_each_index(&kept, |start| {
        let mut group = vec![];
        for_each_index(&over, |step| group.push(x.data[offset(start, &own) + offset(step, &own)]));
        result.push(group);
    });
    Ok((kept, result))
}

/// `shape` without the given axes.
pub(crate) fn without(shape: &[usize], removed: &[usize]) -> Vec<usize> {
    shape.iter().enumerate().filter(|(i, _)| !removed.contains(i)).map(|(_, d)| *d).collect()
}

/// `log(sum(exp))`, shifted by the maximum.
pub(crate) fn log_sum_exp(values: &[f64]) -> f64 {
    let top = values.iter().copied().fold(f64::NEG_INFINITY, maximum);
    if top.is_infinite() || top.is_nan() {
        return top;
    }
    top + values.iter().map(|x| (x - top).exp()).sum::<f64>().ln()
}

pub(crate) fn reduce(op: &Reduce, operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let given = operands.optional_ints(1)?.unwrap_or_default();
    if given.is_empty() && op.noop_with_empty_axes {
        return Ok(x.clone());
    }
    let reduced = if given.is_empty() { (0..x.rank()).collect() } else { axes(&given, x.rank())? };
    let (kept, groups) = groups(x, &reduced)?;
    let (low, high) = bounds(x.dtype);
    if !x.dtype.is_float() && matches!(op.kind, ReduceKind::Mean) && groups.iter().any(Vec::is_empty) {
        return Err(Error::malformed("the mean of no integers is not defined"));
    }
    let f = |g: &Vec<f64>| -> f64 {
        let sum = |f: fn(f64) -> f64| g.iter().map(|x| f(*x)).sum::<f64>();
        let result = match op.kind {
            ReduceKind::L1 => sum(f64::abs),
            ReduceKind::L2 => sum(|x| x * x).sqrt(),
            ReduceKind::LogSum => sum(|x| x).ln(),
            ReduceKind::LogSumExp => log_sum_exp(g),
            ReduceKind::Max => g.iter().copied().fold(low, maximum),
            ReduceKind::Mean => sum(|x| x) / g.len() as f64,
            ReduceKind::Min => g.iter().copied().fold(high, minimum),
            ReduceKind::Prod => g.iter().product(),
            ReduceKind::Sum => sum(|x| x),
            ReduceKind::SumSquare => sum(|x| x * x),
        };
        if x.dtype.is_integer() { wrap(result.trunc(), x.dtype) } else { result }
    };
    let data = groups.iter().map(f).collect();
    let shape = if op.keepdims { kept } else { without(&kept, &reduced) };
    Array::new(x.dtype, shape, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(kind: ReduceKind, x: &Array, axes: Option<&[i64]>, keepdims: bool) -> Array {
        let axes = axes.map(Array::int_vector);
        let op = Reduce { kind, keepdims, noop_with_empty_axes: false };
        reduce(&op, Operands::new(&[Some(x), axes.as_ref()])).unwrap()
    }

    #[test]
    fn axes_and_kinds() {
        let x = Array::floats([2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let rows = run(ReduceKind::Sum, &x, Some(&[-1]), true);
        assert_eq!((rows.shape, rows.data), (vec![2, 1], vec![6.0, 15.0]));
        let columns = run(ReduceKind::Max, &x, Some(&[0]), false);
        assert_eq!((columns.shape, columns.data), (vec![3], vec![4.0, 5.0, 6.0]));
        let all = run(ReduceKind::SumSquare, &x, None, false);
        assert_eq!((all.shape, all.data), (vec![], vec![91.0]));
        assert_eq!(run(ReduceKind::Prod, &x, None, false).data, [720.0]);
    }

    #[test]
    fn nothing_reduces_to_the_neutral_element() {
        let x = Array::floats([2, 0], vec![]).unwrap();
        assert_eq!(run(ReduceKind::Sum, &x, Some(&[1]), false).data, [0.0, 0.0]);
        assert_eq!(run(ReduceKind::Max, &x, Some(&[1]), false).data, [f64::NEG_INFINITY; 2]);
        assert_eq!(run(ReduceKind::LogSumExp, &x, Some(&[1]), false).data, [f64::NEG_INFINITY; 2]);
    }

    #[test]
    fn log_sum_exp_does_not_overflow() {
        let value = log_sum_exp(&[1000.0, 1000.0]);
        assert!((value - 1000.0 - 2f64.ln()).abs() < 1e-12);
    }
}
