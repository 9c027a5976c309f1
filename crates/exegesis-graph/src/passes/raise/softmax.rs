//! Softmax and LogSoftmax.

use super::pattern::{Match, View};
use crate::op::{Binary, LogSoftmax, Op, ReduceKind, Softmax, Unary};
use crate::{NodeId, ValueId};

/// `exp(v) / sum(exp(v))` along one axis, where `v` is `x` or `x - max(x)`.
pub(super) fn softmax(view: &View<'_>, root: NodeId) -> Option<Match> {
    let node = view.graph.node(root);
    if matches!(node.op, Op::Reshape(_)) {
        return flattened(view, root);
    }
    if !matches!(node.op, Op::Binary(Binary::Div | Binary::Mul)) {
        return None;
    }
    let y = node.output(0)?;
    let mut readings: Vec<(ValueId, ValueId)> = view.binary(y, Binary::Div).into_iter().collect();
    for (numerator, inverse) in view.both(y, Binary::Mul) {
        readings.extend(view.unary(inverse, Unary::Reciprocal).map(|sum| (numerator, sum)));
    }
    readings.into_iter().find_map(|(numerator, sum)| {
        let (summed, axes) = view.reduction(sum, ReduceKind::Sum)?;
        let (a, b) = (view.unary(numerator, Unary::Exp)?, view.unary(summed, Unary::Exp)?);
        let [axis] = axes[..] else { return None };
        let x = shifted(view, a, axis);
        // Two shifts of the same input are equal whether or not they are one node.
        (x == shifted(view, b, axis)).then(|| Match::unary(Softmax { axis }, x))
    })
}

/// `v - log(sum(exp(v)))`, `x - logsumexp(x)` or `log(softmax(x))` along one axis.
pub(super) fn log_softmax(view: &View<'_>, root: NodeId) -> Option<Match> {
    let node = view.graph.node(root);
    let y = node.output(0)?;
    match node.op {
        Op::Unary(Unary::Log) => {
            let inner = view.node(node.input(0)?)?;
            let Op::Softmax(softmax) = &inner.op else { return None };
            Some(Match::unary(LogSoftmax { axis: softmax.axis }, view.skip(inner.input(0)?)))
        }
        Op::Binary(Binary::Sub) => {
            let (v, normaliser) = view.binary(y, Binary::Sub)?;
            if let Some((x, axes)) = view.reduction(normaliser, ReduceKind::LogSumExp) {
                let [axis] = axes[..] else { return None };
                return view.same(x, v).then(|| Match::unary(LogSoftmax { axis }, view.skip(v)));
            }
            let (summed, axes) = match view.unary(normaliser, Unary::Log) {
                Some(sum) => view.reduction(sum, ReduceKind::Sum)?,
                None => view.reduction(normaliser, ReduceKind::LogSum)?,
            };
            let [axis] = axes[..] else { return None };
            let exponent = view.unary(summed, Unary::Exp)?;
            // The shift must be the same on both sides: it does not cancel otherwise.
            let equal = view.same(v, exponent)
                || (max_shift(view, v, axis).is_some()
                    && max_shift(view, v, axis) == max_shift(view, exponent, axis));
            equal.then(|| Match::unary(LogSoftmax { axis }, shifted(view, v, axis)))
        }
        _ => None,
    }
}

/// `x` of `x - max(x)` along the axis.
fn max_shift(view: &View<'_>, value: ValueId, axis: i64) -> Option<ValueId> {
    let (x, max) = view.binary(value, Binary::Sub)?;
    let (of, axes) = view.reduction(max, ReduceKind::Max)?;
    (view.same(x, of) && axes == [axis]).then(|| view.skip(x))
}

/// The value without the subtraction of its maximum along the axis.
fn shifted(view: &View<'_>, value: ValueId, axis: i64) -> ValueId {
    max_shift(view, value, axis).unwrap_or_else(|| view.skip(value))
}

/// `reshape(softmax(flatten(x, rank - 1)), shape(x))`: what the softmax of opsets before 13 is read as when the rank is
/// not known yet.
fn flattened(view: &View<'_>, root: NodeId) -> Option<Match> {
    let node = view.graph.node(root);
    let (inner, y) = (view.node(node.input(0)?)?, node.output(0)?);
    let op: Op = match &inner.op {
        Op::Softmax(op) if op.axis == -1 || op.axis == 1 => Softmax { axis: -1 }.into(),
        Op::LogSoftmax(op) if op.axis == -1 || op.axis == 1 => LogSoftmax { axis: -1 }.into(),
        _ => return None,
    };
    let flatten = view.node(inner.input(0)?)?;
    let Op::Flatten(flat) = &flatten.op else { return None };
    let x = flatten.input(0)?;
    let dims = view.dims(x)?;
    let last = dims.len() as i64 - 1;
    let equal = (flat.axis == -1 || flat.axis == last) && Some(dims) == view.dims(y);
    equal.then(|| Match::unary(op, view.skip(x)))
}
