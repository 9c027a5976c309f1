//! Pools over windows and over all spatial axes.

use exegesis_graph::op;
use exegesis_graph::{DType, Error, Result};

use crate::array::{Array, bounds, for_each_index};
use crate::operands::Operands;
use crate::window::{AxisWindows, Placement, Tap, per_axis, taps};

/// `(sum |x|^p)^(1/p)`.
pub(crate) fn lp_norm(values: &[f64], p: i64) -> f64 {
    values.iter().map(|x| x.abs().powf(p as f64)).sum::<f64>().powf(1.0 / p as f64)
}

/// Windows of a pool over `x [n, c, d...]`: the geometry and, per window, the cells in the input.
fn windows(x: &Array, kernel: &[i64], placement: &Placement) -> Result<(Vec<AxisWindows>, Vec<Vec<Tap>>)> {
    let rank = x.rank() - 2;
    if kernel.len() != rank {
        let shape = &x.shape;
        return Err(Error::malformed(format!("`kernel_shape` {kernel:?} does not fit the input {shape:?}")));
    }
    let kernel = per_axis(kernel, rank, 1, 1, "kernel_shape")?;
    let axes = placement.windows(&x.shape[2..], &kernel)?;
    let taps = taps(&axes)?;
    Ok((axes, taps))
}

/// Applies `f(plane, window number)` to every window of every channel; `plane` is the start of the channel in the data.
fn pool(x: &Array, axes: &[AxisWindows], mut f: impl FnMut(usize, usize) -> f64) -> Result<Array> {
    let mut shape = x.shape[..2].to_vec();
    shape.extend(axes.iter().map(|a| a.output));
    let mut out = Array::filled(x.dtype, shape, 0.0)?;
    let area: usize = x.shape[2..].iter().product();
    let count: usize = axes.iter().map(|a| a.output).product();
    for (i, value) in out.data.iter_mut().enumerate() {
        *value = f(i / count * area, i % count);
    }
    Ok(out)
}

pub(crate) fn max_pool(op: &op::MaxPool, operands: Operands) -> Result<Vec<Array>> {
    let x = operands.with_rank(0, 2)?;
    let placement = Placement {
        auto_pad: op.auto_pad,
        ceil_mode: op.ceil_mode,
        dilations: &op.dilations,
        pads: &op.pads,
        strides: &op.strides,
    };
    let (axes, taps) = windows(x, &op.kernel_shape, &placement)?;
    // Place of each spatial position in the second output's numbering: row-major, or column-major by attribute.
    let mut numbers = vec![];
    for_each_index(&x.shape[2..], |index| {
        let step = |number: usize, axis: usize| number * x.shape[2 + axis] + index[axis];
        let rank = index.len();
        numbers.push(if op.storage_order == 0 {
            (0..rank).fold(0, step)
        } else {
            (0..rank).rev().fold(0, step)
        });
    });
    let mut indices = vec![];
    let values = pool(x, &axes, |plane, window| {
        let mut best: Option<(f64, usize)> = None;
        for tap in &taps[window] {
            let value = x.data[plane + tap.input];
            if best.is_none_or(|(b, _)| value > b || (value.is_nan() && !b.is_nan())) {
                best = Some((value, tap.input));
            }
        }
        indices.push(best.map_or(-1.0, |(_, i)| (plane + numbers[i]) as f64));
        best.map_or(bounds(x.dtype).0, |(value, _)| value)
    })?;
    let indices = Array::new(DType::I64, values.shape.clone(), indices)?;
    Ok(vec![values, indices])
}

pub(crate) fn average_pool(op: &op::AveragePool, operands: Operands) -> Result<Array> {
    let x = operands.with_rank(0, 2)?;
    let placement = Placement {
        auto_pad: op.auto_pad,
        ceil_mode: op.ceil_mode,
        dilations: &op.dilations,
        pads: &op.pads,
        strides: &op.strides,
    };
    let (axes, taps) = windows(x, &op.kernel_shape, &placement)?;
    let output: Vec<usize> = axes.iter().map(|a| a.output).collect();
    let mut divisors = vec![];
    for_each_index(&output, |window| {
        // Padding counts by attribute; what a `ceil_mode` window covers beyond the padding never does.
        let cells =
            |(a, w): (&AxisWindows, &usize)| (0..a.kernel).filter(|k| a.within_padding(*w, *k)).count();
        let padded: usize = axes.iter().zip(window).map(cells).product();
        divisors.push(padded);
    });
    pool(x, &axes, |plane, window| {
        let sum: f64 = taps[window].iter().map(|t| x.data[plane + t.input]).sum();
        let divisor = if op.count_include_pad { divisors[window] } else { taps[window].len() };
        sum / divisor as f64
    })
}

pub(crate) fn lp_pool(op: &op::LpPool, operands: Operands) -> Result<Array> {
    let x = operands.with_rank(0, 2)?;
    let placement = Placement {
        auto_pad: op.auto_pad,
        ceil_mode: op.ceil_mode,
        dilations: &op.dilations,
        pads: &op.pads,
        strides: &op.strides,
    };
    let (axes, taps) = windows(x, &op.kernel_shape, &placement)?;
    pool(x, &axes, |plane, window| {
        let values: Vec<f64> = taps[window].iter().map(|t| x.data[plane + t.input]).collect();
        lp_norm(&values, op.p)
    })
}

/// `f` of all spatial positions of each channel; the spatial axes stay with size 1.
pub(crate) fn global(operands: Operands, f: impl Fn(&[f64]) -> f64) -> Result<Array> {
    let x = operands.with_rank(0, 2)?;
    let mut shape = x.shape.clone();
    shape[2..].fill(1);
    let area: usize = x.shape[2..].iter().product();
    let mut out = Array::filled(x.dtype, shape, 0.0)?;
    for (i, value) in out.data.iter_mut().enumerate() {
        *value = f(&x.data[i * area..(i + 1) * area]);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(data: &[f64]) -> Array {
        Array::floats([1, 1, data.len()], data.to_vec()).unwrap()
    }

    #[test]
    fn maximum_and_its_place() {
        let x = Array::floats([1, 2, 2, 2], vec![1.0, 4.0, 3.0, 2.0, 5.0, 5.0, 5.0, 5.0]).unwrap();
        let op = op::MaxPool { kernel_shape: vec![2, 2], ..Default::default() };
        let out = max_pool(&op, Operands::new(&[Some(&x)])).unwrap();
        assert_eq!(out[0].data, [4.0, 5.0]);
        assert_eq!(out[1].data, [1.0, 4.0]);
        let op = op::MaxPool { storage_order: 1, ..op };
        assert_eq!(max_pool(&op, Operands::new(&[Some(&x)])).unwrap()[1].data, [2.0, 4.0]);
    }

    #[test]
    fn padding_counts_only_if_asked_and_ceil_cells_never() {
        let x = line(&[2.0, 4.0, 6.0, 8.0, 10.0]);
        let run = |count_include_pad| {
            let op = op::AveragePool {
                kernel_shape: vec![3],
                strides: vec![2],
                pads: vec![1, 0],
                ceil_mode: true,
                count_include_pad,
                ..Default::default()
            };
            average_pool(&op, Operands::new(&[Some(&x)])).unwrap().data
        };
        assert_eq!(run(false), [3.0, 6.0, 9.0]);
        assert_eq!(run(true), [2.0, 6.0, 9.0]);
    }

    #[test]
    fn kernels_must_fit() {
        let x = line(&[1.0]);
        let op = op::MaxPool { kernel_shape: vec![2], ..Default::default() };
        assert!(max_pool(&op, Operands::new(&[Some(&x)])).is_err());
        assert!(max_pool(&op::MaxPool::default(), Operands::new(&[Some(&x)])).is_err());
    }
}
