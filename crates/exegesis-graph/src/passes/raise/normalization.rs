//! LayerNormalization and RMSNormalization.

use super::pattern::{Match, Operand, View};
use crate::op::{Binary, LayerNormalization, Op, ReduceKind, RmsNormalization, Unary};
use crate::{DType, Dim, NodeId, Tensor, ValueId};

/// `(x - mean) / sqrt(var + eps)` over trailing axes, then optional constant scale and bias; also the form
/// `x (gamma rsqrt) + (beta - mean (gamma rsqrt))` of TensorFlow.
pub(super) fn layer(view: &View<'_>, root: NodeId) -> Option<Match> {
    let y = result(view, root, &[Binary::Add, Binary::Mul, Binary::Div])?;
    let biased = |(sum, beta)| layer_without_bias(view, sum, Some(beta));
    with_constant(view, y, Binary::Add)
        .find_map(biased)
        .or_else(|| factored(view, y))
        .or_else(|| layer_without_bias(view, y, None))
}

fn layer_without_bias(view: &View<'_>, y: ValueId, beta: Option<ValueId>) -> Option<Match> {
    let scaled = |(normal, gamma)| Normal::layer(view, normal)?.layer_match(view, Some(gamma), beta);
    with_constant(view, y, Binary::Mul)
        .find_map(scaled)
        .or_else(|| Normal::layer(view, y)?.layer_match(view, None, beta))
}

/// `x / sqrt(mean(x^2) + eps)` over trailing axes, then an optional constant scale.
pub(super) fn rms(view: &View<'_>, root: NodeId) -> Option<Match> {
    let y = result(view, root, &[Binary::Mul, Binary::Div])?;
    let scaled = |(normal, gamma)| Normal::rms(view, normal)?.rms_match(view, Some(gamma));
    with_constant(view, y, Binary::Mul)
        .find_map(scaled)
        .or_else(|| Normal::rms(view, y)?.rms_match(view, None))
}

/// Operands of a commutative operator the second of which is a constant.
fn with_constant(view: &View<'_>, y: ValueId, kind: Binary) -> impl Iterator<Item = (ValueId, ValueId)> {
    view.both(y, kind).into_iter().filter(|(_, c)| view.graph.constant(*c).is_some())
}

/// The result of the root, if it is one of these operators.
fn result(view: &View<'_>, root: NodeId, kinds: &[Binary]) -> Option<ValueId> {
    let node = view.graph.node(root);
    let fits = kinds.iter().any(|k| node.op == Op::Binary(*k));
    if fits { node.output(0) } else { None }
}

/// A value over its root mean square.
struct Normal {
    x: ValueId,
    /// First of the trailing axes, from the back.
    axis: i64,
    epsilon: f64,
}

impl Normal {
    fn layer(view: &View<'_>, value: ValueId) -> Option<Self> {
        quotients(view, value).into_iter().find_map(|(numerator, square)| {
            let (x, axes) = centred(view, numerator)?;
            let (squared, axis, epsilon) = mean_square(view, square)?;
            let (other, other_axes) = centred(view, squared)?;
            let equal = view.same(x, other) && axes == other_axes && View::trailing(&axes)? == axis;
            equal.then_some(Self { x, axis, epsilon })
        })
    }

    fn rms(view: &View<'_>, value: ValueId) -> Option<Self> {
        quotients(view, value).into_iter().find_map(|(numerator, square)| {
            let (x, axis, epsilon) = mean_square(view, square)?;
            view.same(numerator, x).then(|| Self { x: view.skip(x), axis, epsilon })
        })
    }

    fn layer_match(self, view: &View<'_>, gamma: Option<ValueId>, beta: Option<ValueId>) -> Option<Match> {
        let scale = self.affine(view, "scale", gamma)?;
        let mut inputs = vec![Some(Operand::Value(self.x)), Some(scale)];
        if beta.is_some() {
            inputs.push(Some(self.affine(view, "bias", beta)?));
        }
        let op = LayerNormalization { axis: self.axis, epsilon: self.epsilon as f32, stash_type: 1 };
        Some(Match { op: op.into(), inputs, elementwise: true, keep_shared: false })
    }

    fn rms_match(self, view: &View<'_>, gamma: Option<ValueId>) -> Option<Match> {
        let scale = self.affine(view, "scale", gamma)?;
        let inputs = vec![Some(Operand::Value(self.x)), Some(scale)];
        let op = RmsNormalization { axis: self.axis, epsilon: self.epsilon as f32 };
        Some(Match { op: op.into(), inputs, elementwise: true, keep_shared: false })
    }

    /// The constant in the shape of the normalised axes; ones if it is absent.
    fn affine(&self, view: &View<'_>, part: &'static str, constant: Option<ValueId>) -> Option<Operand> {
        let dims = view.dims(self.x)?;
        let first = dims.len().checked_sub(usize::try_from(-self.axis).ok()?)?;
        let shape: Vec<usize> = dims.get(first..)?.iter().map(Dim::fixed).collect::<Option<_>>()?;
        let count = shape.iter().product();
        let Some(constant) = constant else {
            let dtype = view.graph.value(self.x).dtype.unwrap_or(DType::F32);
            return Some(Operand::Constant(part, Tensor::from_f64(dtype, shape, vec![1.0; count]).ok()?));
        };
        let tensor = view.graph.constant(constant)?;
        if tensor.rank() > dims.len() {
            return None;
        }
        if tensor.shape() == shape {
            return Some(Operand::Value(constant));
        }
        if let Some(single) = tensor.single() {
            let filled = Tensor::from_f64(tensor.dtype(), shape, vec![single; count]).ok()?;
            return Some(Operand::Constant(part, filled));
        }
        // Axes of size 1 may stand before the normalised ones, nothing else.
        let leading = tensor.rank().checked_sub(shape.len())?;
        let (before, own) = tensor.shape().split_at_checked(leading)?;
        let fits = before.iter().all(|d| *d == 1) && own == shape;
        let reshaped = || Tensor::clone(tensor).reshaped(shape).ok();
        if fits { Some(Operand::Constant(part, reshaped()?)) } else { None }
    }
}

/// `x` and axes of `x - mean(x)`.
fn centred(view: &View<'_>, value: ValueId) -> Option<(ValueId, Vec<i64>)> {
    let (x, mean) = view.binary(value, Binary::Sub)?;
    let (averaged, axes) = view.reduction(mean, ReduceKind::Mean)?;
    view.same(x, averaged).then(|| (view.skip(x), axes))
}

/// `v`, first trailing axis and `eps` of `mean(v^2) + eps`.
fn mean_square(view: &View<'_>, value: ValueId) -> Option<(ValueId, i64, f64)> {
    let (mean, epsilon) = view.with_number(value, Binary::Add)?;
    let (square, axes) = view.reduction(mean, ReduceKind::Mean)?;
    let axis = View::trailing(&axes)?;
    // A negative epsilon is not a norm; an attribute keeps it as f32.
    let valid = epsilon >= 0.0 && (epsilon == 0.0 || (epsilon as f32) > 0.0);
    let base = squared(view, square)?;
    valid.then_some((base, axis, epsilon))
}

/// `v` of `v v` or `v^2`.
fn squared(view: &View<'_>, value: ValueId) -> Option<ValueId> {
    if let Some((base, exponent)) = view.binary(value, Binary::Pow) {
        return view.is_number(exponent, 2.0).then_some(base);
    }
    let (a, b) = view.binary(value, Binary::Mul)?;
    view.same(a, b).then_some(a)
}

/// Readings of a value as `numerator / sqrt(square)`.
fn quotients(view: &View<'_>, value: ValueId) -> Vec<(ValueId, ValueId)> {
    let mut readings = vec![];
    if let Some((numerator, denominator)) = view.binary(value, Binary::Div) {
        readings.extend(root_of(view, denominator).map(|square| (numerator, square)));
    }
    for (numerator, factor) in view.both(value, Binary::Mul) {
        readings.extend(inverse_root_of(view, factor).map(|square| (numerator, square)));
    }
    readings
}

/// `t` of `sqrt(t)`.
fn root_of(view: &View<'_>, value: ValueId) -> Option<ValueId> {
    view.unary(value, Unary::Sqrt).or_else(|| {
        let (base, exponent) = view.binary(value, Binary::Pow)?;
        view.is_number(exponent, 0.5).then_some(base)
    })
}

/// `t` of `1 / sqrt(t)`.
fn inverse_root_of(view: &View<'_>, value: ValueId) -> Option<ValueId> {
    if let Some(root) = view.unary(value, Unary::Reciprocal) {
        return root_of(view, root);
    }
    if let Some((one, root)) = view.binary(value, Binary::Div) {
        return if view.is_number(one, 1.0) { root_of(view, root) } else { None };
    }
    let (base, exponent) = view.binary(value, Binary::Pow)?;
    view.is_number(exponent, -0.5).then_some(base)
}

/// `x (gamma r) + (beta - mean (gamma r))` with `r = rsqrt(var + eps)`; also without `gamma`.
fn factored(view: &View<'_>, y: ValueId) -> Option<Match> {
    view.both(y, Binary::Add).into_iter().find_map(|(scaled, rest)| {
        let (beta, shift) = view.binary(rest, Binary::Sub)?;
        view.graph.constant(beta)?;
        view.both(scaled, Binary::Mul).into_iter().find_map(|(x, inverse)| {
            let shifted = |(mean, factor): (ValueId, ValueId)| {
                let (averaged, axes) = view.reduction(mean, ReduceKind::Mean)?;
                (view.same(factor, inverse) && view.same(averaged, x)).then_some(axes)
            };
            let axes = view.both(shift, Binary::Mul).into_iter().find_map(shifted)?;
            let (square, gamma) = inverse_with_scale(view, inverse)?;
            let (difference, axis, epsilon) = mean_square(view, square)?;
            let (other, other_axes) = centred(view, difference)?;
            let equal = view.same(x, other) && axes == other_axes && View::trailing(&axes)? == axis;
            let normal = Normal { x: view.skip(x), axis, epsilon };
            if equal { normal.layer_match(view, gamma, Some(beta)) } else { None }
        })
    })
}

/// `t` and `gamma` of `gamma / sqrt(t)`.
fn inverse_with_scale(view: &View<'_>, value: ValueId) -> Option<(ValueId, Option<ValueId>)> {
    if let Some(square) = inverse_root_of(view, value) {
        return Some((square, None));
    }
    view.both(value, Binary::Mul).into_iter().find_map(|(inverse, gamma)| {
        view.graph.constant(gamma)?;
        Some((inverse_root_of(view, inverse)?, Some(gamma)))
    })
}
