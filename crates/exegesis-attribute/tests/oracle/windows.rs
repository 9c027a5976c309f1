//! Specification 5.5: maxima over windows, and reductions other than sums.

use exegesis_graph::Op;
use exegesis_graph::op::{AutoPad, MaxPool, ReduceKind};
use exegesis_reference::Array;

use super::{Expected, Single, flat, for_each_index};

/// Shares `r` among `cells` by `weights`.
fn share(result: &mut Expected, x: usize, cells: &[usize], weights: &[f64], r: f64) {
    let total: f64 = weights.iter().sum();
    if total == 0.0 {
        result.dead += r;
        return;
    }
    for (cell, weight) in cells.iter().zip(weights) {
        result.relevance[x][*cell] += weight / total * r;
    }
}

/// `1` for the cells that hold the largest value.
fn winners(values: &[f64]) -> Vec<f64> {
    let best = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    values.iter().map(|v| f64::from(u8::from(*v == best))).collect()
}

/// All tied maxima of a window share equally; padding takes no part.
pub fn maximum(single: &Single<'_>, r: &Array) -> Expected {
    let mut result = Expected::none(single.net);
    let (x, index_of) = (single.operand(0), single.explained(0).unwrap());
    for_each_index(&r.shape, |at, out| {
        let mut cells = vec![];
        match &single.node.op {
            Op::MaxPool(pool) => for_each_index(&sizes(&pool.kernel_shape), |_, k| {
                let place: Option<Vec<usize>> =
                    (0..k.len()).map(|i| position(pool, &x.shape, i, out[2 + i], k[i])).collect();
                if let Some(place) = place {
                    cells.push(flat(&x.shape, &[&out[..2], &place].concat()));
                }
            }),
            _ => for_each_index(&x.shape[2..], |_, place| {
                cells.push(flat(&x.shape, &[&out[..2], place].concat()));
            }),
        }
        let values: Vec<f64> = cells.iter().map(|c| x.data[*c]).collect();
        share(&mut result, index_of, &cells, &winners(&values), r.data[at]);
    });
    result
}

fn sizes(values: &[i64]) -> Vec<usize> {
    values.iter().map(|v| *v as usize).collect()
}

/// Cell of the input along spatial axis `i` under tap `k` of window `o`, unless it is padding.
fn position(pool: &MaxPool, shape: &[usize], i: usize, o: usize, k: usize) -> Option<usize> {
    let or = |list: &[i64], default: i64| list.get(i).copied().unwrap_or(default);
    let (stride, dilation, size) = (or(&pool.strides, 1), or(&pool.dilations, 1), shape[2 + i] as i64);
    let begin = match pool.auto_pad {
        AutoPad::NotSet => or(&pool.pads, 0),
        AutoPad::Valid => 0,
        same => {
            let windows = (size + stride - 1) / stride;
            let total = ((windows - 1) * stride + dilation * (pool.kernel_shape[i] - 1) + 1 - size).max(0);
            if same == AutoPad::SameUpper { total / 2 } else { total - total / 2 }
        }
    };
    let cell = o as i64 * stride - begin + k as i64 * dilation;
    usize::try_from(cell).ok().filter(|c| *c < shape[2 + i])
}

/// Norms share `|x|^p / sum |x|^p`, logarithms of sums by the summed terms, extremes among ties, products equally.
pub fn reduction(single: &Single<'_>, kind: ReduceKind, r: &Array) -> Expected {
    let Op::Reduce(op) = &single.node.op else { unreachable!("called for reductions") };
    let mut result = Expected::none(single.net);
    let (x, index_of) = (single.operand(0), single.explained(0).unwrap());
    let rank = x.shape.len();
    let mut axes: Vec<usize> = match single.node.inputs.len() {
        1 => vec![],
        _ => single.operand(1).data.iter().map(|a| a.rem_euclid(rank as f64) as usize).collect(),
    };
    if axes.is_empty() {
        if op.noop_with_empty_axes {
            result.relevance[index_of].clone_from(&r.data);
            return result;
        }
        axes = (0..rank).collect();
    }
    let kept: Vec<usize> =
        (0..rank).map(|axis| if axes.contains(&axis) { 1 } else { x.shape[axis] }).collect();
    let mut cells = vec![vec![]; kept.iter().product()];
    for_each_index(&x.shape, |at, index| {
        let group: Vec<usize> = (0..rank).map(|a| if axes.contains(&a) { 0 } else { index[a] }).collect();
        cells[flat(&kept, &group)].push(at);
    });
    for (cells, r) in cells.iter().zip(&r.data) {
        let values: Vec<f64> = cells.iter().map(|c| x.data[*c]).collect();
        let weights: Vec<f64> = match kind {
            ReduceKind::Max => winners(&values),
            ReduceKind::Min => winners(&values.iter().map(|v| -v).collect::<Vec<_>>()),
            ReduceKind::L1 | ReduceKind::LogSum => values.iter().map(|v| v.abs()).collect(),
            ReduceKind::L2 | ReduceKind::SumSquare => values.iter().map(|v| v * v).collect(),
            ReduceKind::LogSumExp => values.iter().map(|v| v.exp()).collect(),
            ReduceKind::Prod => vec![1.0; values.len()],
            ReduceKind::Sum | ReduceKind::Mean => unreachable!("linear"),
        };
        share(&mut result, index_of, cells, &weights, *r);
    }
    result
}
