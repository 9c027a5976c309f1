//! Pools with dilation, of three axes, or of powers, by slices and pools that rten has.

use std::sync::Arc;

use exegesis_graph::op::{AutoPad, AveragePool, ConstantOfShape, MaxPool, Slice, Variadic};
use exegesis_graph::{Builder, Error, Node, Op, Result, Tensor, ValueId};

use super::{operand, windows};

/// The value of a pool.
pub(super) fn replace(b: &mut Builder, node: &Node) -> Result<ValueId> {
    let x = operand(node, 0)?;
    match &node.op {
        Op::MaxPool(a) if a.dilations.iter().all(|d| *d == 1) => separate(b, x, &|axes| {
            Op::MaxPool(MaxPool {
                auto_pad: a.auto_pad,
                ceil_mode: a.ceil_mode,
                dilations: vec![1, 1],
                kernel_shape: pick(&a.kernel_shape, axes, 1),
                pads: pick_pads(&a.pads, axes),
                storage_order: 0,
                strides: pick(&a.strides, axes, 1),
            })
        }),
        Op::AveragePool(a) if a.dilations.iter().all(|d| *d == 1) => separate(b, x, &|axes| {
            Op::AveragePool(AveragePool {
                auto_pad: a.auto_pad,
                ceil_mode: a.ceil_mode,
                count_include_pad: a.count_include_pad,
                dilations: vec![1, 1],
                kernel_shape: pick(&a.kernel_shape, axes, 1),
                pads: pick_pads(&a.pads, axes),
                strides: pick(&a.strides, axes, 1),
            })
        }),
        Op::MaxPool(a) => {
            let window =
                Sliding::new(a.auto_pad, &a.kernel_shape, &a.dilations, &a.strides, &a.pads, a.ceil_mode)?;
            let shifted = window.slices(b, x, f64::NEG_INFINITY, f64::NEG_INFINITY)?;
            b.op(Variadic::Max, &shifted)
        }
        Op::AveragePool(a) => {
            let window =
                Sliding::new(a.auto_pad, &a.kernel_shape, &a.dilations, &a.strides, &a.pads, a.ceil_mode)?;
            let shifted = window.slices(b, x, 0.0, 0.0)?;
            let sum = b.op(Variadic::Sum, &shifted)?;
            // The same windows over ones count what they cover; what `ceil_mode` adds beyond the pads never counts.
            let shape = b.shape_of(x)?;
            let value = Some(Arc::new(Tensor::from_f64(b.dtype(x), vec![1], vec![1.0])?));
            let ones = b.op(ConstantOfShape { value }, &[shape])?;
            b.assume_shape(ones, x);
            let padding = if a.count_include_pad { 1.0 } else { 0.0 };
            let counted = window.slices(b, ones, padding, 0.0)?;
            let count = b.op(Variadic::Sum, &counted)?;
            b.div(sum, count)
        }
        Op::LpPool(a) => {
            let window =
                Sliding::new(a.auto_pad, &a.kernel_shape, &a.dilations, &a.strides, &a.pads, a.ceil_mode)?;
            let powers = windows::powers(b, x, a.p)?;
            let shifted = window.slices(b, powers, 0.0, 0.0)?;
            let sum = b.op(Variadic::Sum, &shifted)?;
            windows::root(b, sum, a.p)
        }
        op => Err(Error::unsupported(format!("{} has no replacement", op.name()))),
    }
}

/// Values of `list` at the spatial axes `axes`; `None` stands for an axis that the pool leaves alone.
fn pick(list: &[i64], axes: [Option<usize>; 2], neutral: i64) -> Vec<i64> {
    axes.iter().map(|axis| axis.and_then(|axis| list.get(axis)).copied().unwrap_or(neutral)).collect()
}

fn pick_pads(pads: &[i64], axes: [Option<usize>; 2]) -> Vec<i64> {
    if pads.is_empty() {
        return vec![];
    }
    let (begins, ends) = pads.split_at(pads.len() / 2);
    let mut picked = pick(begins, axes, 0);
    picked.extend(pick(ends, axes, 0));
    picked
}

/// A pool over three axes as one over the last two and one over the first. Maxima separate; so do means, because the
/// number of elements in a window is a product over axes.
fn separate(b: &mut Builder, x: ValueId, pool: &dyn Fn([Option<usize>; 2]) -> Op) -> Result<ValueId> {
    let (batch, rest, size) = (b.dim_of(x, 0)?, b.ints(&[-1]), windows::dims(b, x, &[3, 4])?);
    let shape = b.concat(&[batch, rest, size], 0)?;
    let images = b.reshape(x, shape)?;
    let flat = b.op(pool([Some(1), Some(2)]), &[images])?;
    let (lead, size) = (windows::dims(b, x, &[0, 1, 2])?, b.ints(&[-1]));
    let shape = b.concat(&[lead, size], 0)?;
    let columns = b.reshape(flat, shape)?;
    let deep = b.op(pool([Some(0), None]), &[columns])?;
    let (lead, depth) = (windows::dims(b, x, &[0, 1])?, b.dim_of(deep, 2)?);
    let size = windows::dims(b, flat, &[2, 3])?;
    let shape = b.concat(&[lead, depth, size], 0)?;
    b.reshape(deep, shape)
}

/// A window that slides over the spatial axes, as the set of its shifted slices.
struct Sliding<'a> {
    kernel: &'a [i64],
    dilations: &'a [i64],
    strides: &'a [i64],
    pads: &'a [i64],
    ceil: bool,
}

impl<'a> Sliding<'a> {
    fn new(
        auto_pad: AutoPad,
        kernel: &'a [i64],
        dilations: &'a [i64],
        strides: &'a [i64],
        pads: &'a [i64],
        ceil: bool,
    ) -> Result<Self> {
        if matches!(auto_pad, AutoPad::SameUpper | AutoPad::SameLower) {
            return Err(Error::unsupported("its automatic padding can't be known before the run"));
        }
        Ok(Self { kernel, dilations, strides, pads, ceil })
    }

    /// For each position in the window, the elements that stand there, one per window: `[n, c, windows...]`. Pads hold
    /// `padding`; what `ceil_mode` adds behind them holds `beyond`.
    fn slices(&self, b: &mut Builder, x: ValueId, padding: f64, beyond: f64) -> Result<Vec<ValueId>> {
        let spatial = self.kernel.len();
        let (begins, ends) = self.pads.split_at(self.pads.len() / 2);
        let extra = (0..spatial).map(|axis| self.extra(b, x, axis)).collect::<Result<Vec<i64>>>()?;
        let full = |begins: &[i64], ends: &[i64]| [&[0, 0], begins, &[0, 0], ends].concat();
        let padded = b.pad(x, &full(begins, ends), padding)?;
        let padded = b.pad(padded, &full(&vec![0; spatial], &extra), beyond)?;
        let axes: Vec<i64> = (0..spatial).map(|axis| axis as i64 + 2).collect();
        let (axes, steps) = (b.ints(&axes), b.ints(self.strides));
        let mut slices = vec![];
        for position in positions(self.kernel) {
            let mut starts = vec![];
            let mut ends = vec![];
            for ((at, size), dilation) in position.iter().zip(self.kernel).zip(self.dilations) {
                starts.push(at * dilation);
                // Counted from the end, so that the size need not be known.
                let behind = (size - 1 - at) * dilation;
                ends.push(if behind == 0 { i64::MAX } else { -behind });
            }
            let (starts, ends) = (b.ints(&starts), b.ints(&ends));
            slices.push(b.op(Slice {}, &[padded, starts, ends, axes, steps])?);
        }
        Ok(slices)
    }

    /// Elements that `ceil_mode` needs behind the pads of a spatial axis.
    fn extra(&self, b: &Builder, x: ValueId, axis: usize) -> Result<i64> {
        if !self.ceil {
            return Ok(0);
        }
        let at = |list: &[i64], i: usize| list.get(i).copied().unwrap_or_default();
        let size = super::normalization::fixed(b.shape(x)?.get(axis + 2))?;
        let (begin, end) = (at(self.pads, axis), at(self.pads, axis + self.kernel.len()));
        let (stride, reach) =
            (at(self.strides, axis).max(1), (at(self.kernel, axis) - 1) * at(self.dilations, axis) + 1);
        let padded = begin + size + end;
        let mut count = (padded - reach + stride - 1).div_euclid(stride) + 1;
        if (count - 1) * stride >= size + begin {
            count -= 1;
        }
        Ok(((count - 1) * stride + reach - padded).max(0))
    }
}

/// All positions in a window, the last axis fastest.
fn positions(kernel: &[i64]) -> Vec<Vec<i64>> {
    let mut all = vec![vec![]];
    for size in kernel {
        all = all.iter().flat_map(|p| (0..*size).map(move |i| [p.as_slice(), &[i]].concat())).collect();
    }
    all
}
