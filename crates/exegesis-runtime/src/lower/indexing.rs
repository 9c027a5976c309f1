//! Selections and orders by others.

use exegesis_graph::op::{
    ArgMax, ArgMin, Cast, Gather, GatherElements, NonZero, Range, ScatterElements, Size, Squeeze, TopK, Unary,
};
use exegesis_graph::{Builder, DType, Error, Node, Op, Result, Tensor, ValueId};

use super::operand;

/// The value of a selecting node, by operators that rten has.
pub(super) fn replace(b: &mut Builder, node: &Node) -> Result<ValueId> {
    let x = operand(node, 0)?;
    match &node.op {
        // Of equals rten takes the last, which is what `select_last_index` asks for; it refuses the attribute.
        Op::ArgMax(a) if a.select_last_index => b.op(ArgMax { select_last_index: false, ..a.clone() }, &[x]),
        Op::ArgMin(a) if a.select_last_index => b.op(ArgMin { select_last_index: false, ..a.clone() }, &[x]),
        Op::ArgMax(a) => first_extreme(b, x, a.axis, a.keepdims, true),
        Op::ArgMin(a) => first_extreme(b, x, a.axis, a.keepdims, false),
        Op::Compress(a) => {
            let condition = operand(node, 1)?;
            let rows = b.op(NonZero {}, &[condition])?;
            let axes = b.ints(&[0]);
            let rows = b.op(Squeeze {}, &[rows, axes])?;
            match a.axis {
                Some(axis) => b.op(Gather { axis }, &[x, rows]),
                None => {
                    let flat = b.reshape_to(x, &[-1])?;
                    b.op(Gather { axis: 0 }, &[flat, rows])
                }
            }
        }
        Op::ScatterElements(a) => {
            let (indices, updates) = (operand(node, 1)?, operand(node, 2)?);
            // The cells are numbered; the number of the cell that an update is for is gathered as the cell would be.
            let size = b.op(Size {}, &[x])?;
            let (zero, one) = (b.constant(Tensor::scalar(0i64)), b.constant(Tensor::scalar(1i64)));
            let numbers = b.op(Range {}, &[zero, size, one])?;
            let shape = b.shape_of(x)?;
            let numbers = b.reshape(numbers, shape)?;
            b.assume_shape(numbers, x);
            let places = b.op(GatherElements { axis: a.axis }, &[numbers, indices])?;
            let (flat, places, updates) =
                (b.reshape_to(x, &[-1])?, b.reshape_to(places, &[-1])?, b.reshape_to(updates, &[-1])?);
            let written =
                b.op(ScatterElements { axis: 0, reduction: a.reduction }, &[flat, places, updates])?;
            b.reshape(written, shape)
        }
        Op::OneHot(_) => {
            let (depth, values) = (operand(node, 1)?, operand(node, 2)?);
            let index = b.op(Cast { to: DType::I64 }, &[x])?;
            let depth = b.op(Cast { to: DType::I64 }, &[depth])?;
            b.op(node.op.clone(), &[index, depth, values])
        }
        Op::Range(a) => {
            // n = max(0, ceil((limit - start) / delta)); start + i delta does not accumulate rounding.
            let (limit, delta) = (operand(node, 1)?, operand(node, 2)?);
            let span = b.sub(limit, x)?;
            let count = b.div(span, delta)?;
            let count = b.unary(Unary::Ceil, count)?;
            let count = b.unary(Unary::Relu, count)?;
            let count = b.op(Cast { to: DType::I64 }, &[count])?;
            let (zero, one) = (b.scalar(0.0, count)?, b.scalar(1.0, count)?);
            let steps = b.op(a.clone(), &[zero, count, one])?;
            let steps = b.indicator(steps, x)?;
            let steps = b.mul(steps, delta)?;
            b.add(steps, x)
        }
        op => Err(Error::unsupported(format!("{} has no replacement", op.name()))),
    }
}

/// Index of the first maximum (or minimum) along `axis`: `TopK` orders equals by index.
pub(super) fn first_extreme(
    b: &mut Builder,
    x: ValueId,
    axis: i64,
    keepdims: bool,
    largest: bool,
) -> Result<ValueId> {
    let axis = b.axis(axis, b.rank(x)?)?;
    let one = b.ints(&[1]);
    let found = b.op_with(TopK { axis: axis as i64, largest, sorted: true }, vec![Some(x), Some(one)], 2)?;
    let index = found.get(1).copied().ok_or_else(|| Error::malformed("TopK has two results"))?;
    if keepdims { Ok(index) } else { b.squeeze(index, &[axis]) }
}
