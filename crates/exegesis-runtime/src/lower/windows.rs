//! Reshapes and powers that several replacements of sliding windows share.

use exegesis_graph::op::{ReduceKind, Unary};
use exegesis_graph::{Builder, Result, ValueId};

/// `x` with its first `kept` axes, and all others made one.
pub(super) fn flatten_tail(b: &mut Builder, x: ValueId, kept: usize) -> Result<ValueId> {
    let kept: Vec<usize> = (0..kept).collect();
    let (lead, tail) = (dims(b, x, &kept)?, b.ints(&[-1]));
    let shape = b.concat(&[lead, tail], 0)?;
    b.reshape(x, shape)
}

/// `|x|^p`.
pub(super) fn powers(b: &mut Builder, x: ValueId, p: i64) -> Result<ValueId> {
    match p {
        1 => b.unary(Unary::Abs, x),
        2 => b.mul(x, x),
        _ => {
            let absolute = b.abs(x)?;
            let exponent = b.scalar(p as f64, x)?;
            b.pow(absolute, exponent)
        }
    }
}

/// `x^(1/p)` of a sum of powers.
pub(super) fn root(b: &mut Builder, x: ValueId, p: i64) -> Result<ValueId> {
    match p {
        1 => Ok(x),
        2 => b.unary(Unary::Sqrt, x),
        _ => {
            let exponent = b.scalar(1.0 / p as f64, x)?;
            b.pow(x, exponent)
        }
    }
}

/// The dimensions `axes` of `x` as an int64 vector.
pub(super) fn dims(b: &mut Builder, x: ValueId, axes: &[usize]) -> Result<ValueId> {
    let parts = axes.iter().map(|axis| b.dim_of(x, *axis)).collect::<Result<Vec<_>>>()?;
    b.concat(&parts, 0)
}

/// The product of dimensions of `x` as an int64 vector of length 1.
pub(super) fn dim_product(b: &mut Builder, x: ValueId, axes: &[usize]) -> Result<ValueId> {
    let all = dims(b, x, axes)?;
    b.reduce(ReduceKind::Prod, all, &[0], true)
}
