//! RMS and group normalisation.

use super::emitter::Emitter;
use crate::op::{
    Binary, Cast, GroupNormalization, InstanceNormalization, Reduce, ReduceKind, Reshape, RmsNormalization,
    Shape, Unary,
};
use crate::{DType, Dim, Result, Tensor, ValueId};

/// `x / sqrt(mean(x^2) + epsilon) * scale` over axes `axis..`; halves are squared and averaged in 32-bit floats.
pub(super) fn rms(emit: &mut Emitter, x: ValueId, scale: ValueId, op: &RmsNormalization) -> Result<()> {
    let dtype = emit.dtype(x)?;
    let axes: Vec<i64> =
        if op.axis < 0 { (op.axis..0).collect() } else { (op.axis..emit.rank(x)? as i64).collect() };
    let narrow = matches!(dtype, DType::F16 | DType::BF16);
    let (wide, x) = if narrow { (DType::F32, emit.op(Cast { to: DType::F32 }, &[x])?) } else { (dtype, x) };
    let square = emit.op(Binary::Mul, &[x, x])?;
    let axes = emit.ints(&axes);
    let mean = Reduce { kind: ReduceKind::Mean, keepdims: true, noop_with_empty_axes: false };
    let mean = emit.op(mean, &[square, axes])?;
    let epsilon = emit.scalar(wide, f64::from(op.epsilon))?;
    let shifted = emit.op(Binary::Add, &[mean, epsilon])?;
    let root = emit.op(Unary::Sqrt, &[shifted])?;
    let mut normal = emit.op(Binary::Div, &[x, root])?;
    if narrow {
        normal = emit.op(Cast { to: dtype }, &[normal])?;
    }
    emit.finish(Binary::Mul, &[normal, scale])
}

/// Instance normalisation of the groups laid out as channels, `[n, groups, -1]`; then scale and bias per channel.
pub(super) fn group(
    emit: &mut Emitter,
    x: ValueId,
    scale: ValueId,
    bias: ValueId,
    op: &GroupNormalization,
) -> Result<()> {
    let dtype = emit.dtype(x)?;
    let rank = emit.rank(x)?;
    let groups = usize::try_from(op.num_groups).unwrap_or(0);
    let grouped = emit.ints(&[0, op.num_groups, -1]);
    let grouped = emit.op(Reshape::default(), &[x, grouped])?;
    let ones = emit.constant(Tensor::from_f64(dtype, [groups], vec![1.0; groups])?);
    let zeros = emit.constant(Tensor::from_f64(dtype, [groups], vec![0.0; groups])?);
    let normal = emit.op(InstanceNormalization { epsilon: op.epsilon }, &[grouped, ones, zeros])?;
    let shape = match shape_constant(&emit.shape(x).unwrap_or_default()) {
        Some(shape) => emit.ints(&shape),
        None => emit.op(Shape::default(), &[x])?,
    };
    let normal = emit.op(Reshape::default(), &[normal, shape])?;
    let channels: Vec<i64> =
        std::iter::once(-1).chain(std::iter::repeat_n(1, rank.saturating_sub(2))).collect();
    let channels = emit.ints(&channels);
    let scale = emit.op(Reshape::default(), &[scale, channels])?;
    let bias = emit.op(Reshape::default(), &[bias, channels])?;
    let scaled = emit.op(Binary::Mul, &[normal, scale])?;
    emit.finish(Binary::Add, &[scaled, bias])
}

/// A `Reshape` operand that restores a shape: the batch axis is copied, one unknown size may be inferred.
fn shape_constant(shape: &[Dim]) -> Option<Vec<i64>> {
    let mut inferred = false;
    let size = |(axis, dim): (usize, &Dim)| match dim.fixed() {
        _ if axis == 0 => Some(0),
        Some(n) => i64::try_from(n).ok().filter(|n| *n > 0),
        None if !inferred => {
            inferred = true;
            Some(-1)
        }
        None => None,
    };
    shape.iter().enumerate().map(size).collect()
}
