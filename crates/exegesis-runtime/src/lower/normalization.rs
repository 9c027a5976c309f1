//! Normalisation and norms by others.

use exegesis_graph::op::{AveragePool, OneHot, ReduceKind, Unary};
use exegesis_graph::{Builder, Dim, Error, Node, Op, Result, Tensor, ValueId};

use super::{indexing, operand, windows};

/// Added to the deviation by the standard's definition of `MeanVarianceNormalization`.
const DEVIATION_FLOOR: f64 = 1e-9;

/// The value of a normalisation node, by operators that rten has.
pub(super) fn replace(b: &mut Builder, node: &Node) -> Result<ValueId> {
    let x = operand(node, 0)?;
    let rank = b.rank(x)?;
    match &node.op {
        Op::Hardmax(a) => {
            let axis = b.axis(a.axis, rank)?;
            let index = indexing::first_extreme(b, x, axis as i64, false, true)?;
            let depth = b.dim_of(x, axis)?;
            let values = b.constant(Tensor::from_f64(b.dtype(x), vec![2], vec![0.0, 1.0])?);
            b.op(OneHot { axis: axis as i64 }, &[index, depth, values])
        }
        Op::Lrn(a) => {
            // x / (bias + alpha mean(x^2 over the window of channels))^beta; absent channels count as zeros.
            let squares = b.mul(x, x)?;
            let flat = windows::flatten_tail(b, squares, 2)?;
            let single = b.unsqueeze(flat, &[1])?;
            let (before, after) = ((a.size - 1) / 2, a.size - 1 - (a.size - 1) / 2);
            let pool = AveragePool {
                kernel_shape: vec![a.size, 1],
                pads: vec![before, 0, after, 0],
                strides: vec![1, 1],
                dilations: vec![1, 1],
                count_include_pad: true,
                ..AveragePool::default()
            };
            let mean = b.op(pool, &[single])?;
            let mean = b.squeeze(mean, &[1])?;
            let mean = b.reshape_like(mean, x)?;
            let scaled = b.mul_scalar(mean, f64::from(a.alpha))?;
            let base = b.add_scalar(scaled, f64::from(a.bias))?;
            let exponent = b.scalar(f64::from(a.beta), x)?;
            let divisor = b.pow(base, exponent)?;
            b.div(x, divisor)
        }
        Op::MeanVarianceNormalization(a) => {
            let axes = a.axes.iter().map(|axis| b.axis(*axis, rank)).collect::<Result<Vec<_>>>()?;
            let mean = b.reduce(ReduceKind::Mean, x, &axes, true)?;
            let centred = b.sub(x, mean)?;
            let squares = b.mul(centred, centred)?;
            let variance = b.reduce(ReduceKind::Mean, squares, &axes, true)?;
            let deviation = b.unary(Unary::Sqrt, variance)?;
            let deviation = b.add_scalar(deviation, DEVIATION_FLOOR)?;
            b.div(centred, deviation)
        }
        Op::GlobalLpPool(a) => {
            let axes: Vec<usize> = (2..rank).collect();
            let powers = windows::powers(b, x, a.p)?;
            let sum = b.reduce_sum(powers, &axes, true)?;
            windows::root(b, sum, a.p)
        }
        op => Err(Error::unsupported(format!("{} has no replacement", op.name()))),
    }
}

/// The size of `dim` if it is a number.
pub(super) fn fixed(dim: Option<&Dim>) -> Result<i64> {
    let size = dim.and_then(Dim::fixed).and_then(|n| i64::try_from(n).ok());
    size.ok_or_else(|| Error::unsupported("the size of an axis must be known before the run"))
}
