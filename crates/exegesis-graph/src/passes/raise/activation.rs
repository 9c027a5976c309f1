//! GELU, Swish, HardSwish, `1 - sigmoid`, and clipped rectifiers.

use super::pattern::{Match, Operand, View, leaves_are};
use crate::op::{Binary, Clip, Gelu, GeluForm, OneMinusSigmoid, Op, Swish, Unary, Variadic};
use crate::{NodeId, Tensor, ValueId};

/// `0.5 x (1 + erf(x / sqrt 2))` or `0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`, multiplied in any order.
pub(super) fn gelu(view: &View<'_>, root: NodeId) -> Option<Match> {
    let y = product_root(view, root)?;
    // Without stops the product may fall apart further than wanted, but always shows the bracket.
    let brackets = view.product(y, &[]).leaves;
    brackets.into_iter().find_map(|bracket| {
        let (inner, one) = view.with_number(bracket, Binary::Add)?;
        if !view.near(bracket, one, 1.0) {
            return None;
        }
        let (x, approximate) = match view.unary(inner, Unary::Erf) {
            Some(argument) => (erf_argument(view, argument)?, GeluForm::Erf),
            None => (tanh_argument(view, view.unary(inner, Unary::Tanh)?)?, GeluForm::Tanh),
        };
        let product = view.product(y, &[x, bracket]);
        let equal = view.near(y, product.factor, 0.5) && leaves_are(view, &product.leaves, &[x, bracket]);
        equal.then(|| Match::unary(Gelu { approximate }, view.skip(x)))
    })
}

/// `x` of `x / sqrt 2`.
fn erf_argument(view: &View<'_>, value: ValueId) -> Option<ValueId> {
    let (x, factor) = scaled(view, value)?;
    view.near(value, factor, std::f64::consts::FRAC_1_SQRT_2).then_some(x)
}

/// `x` of `sqrt(2/pi) (x + 0.044715 x^3)` or `sqrt(2/pi) x (1 + 0.044715 x^2)`.
fn tanh_argument(view: &View<'_>, value: ValueId) -> Option<ValueId> {
    let scale = (2.0 / std::f64::consts::PI).sqrt();
    let whole = view.product(value, &[]);
    whole.leaves.iter().find_map(|sum| {
        view.both(*sum, Binary::Add).into_iter().find_map(|(x, term)| {
            let constant = view.number(x);
            let x = match constant {
                Some(one) if view.near(*sum, one, 1.0) => other(view, &whole.leaves, *sum)?,
                Some(_) => return None,
                None => x,
            };
            let expected: &[ValueId] = if constant.is_some() { &[x, *sum] } else { &[*sum] };
            let outer = view.product(value, expected);
            let power = if constant.is_some() { 2 } else { 3 };
            let equal = view.near(value, outer.factor, scale)
                && leaves_are(view, &outer.leaves, expected)
                && is_scaled_power(view, term, x, power, 0.044_715);
            equal.then_some(x)
        })
    })
}

/// The one leaf besides `known`.
fn other(view: &View<'_>, leaves: &[ValueId], known: ValueId) -> Option<ValueId> {
    match leaves {
        [a, b] if view.same(*b, known) => Some(*a),
        [a, b] if view.same(*a, known) => Some(*b),
        _ => None,
    }
}

/// True if the value is `factor x^power`.
fn is_scaled_power(view: &View<'_>, value: ValueId, x: ValueId, power: usize, factor: f64) -> bool {
    let product = view.product(value, &[x]);
    let mut found = 0;
    for leaf in &product.leaves {
        found += match view.binary(*leaf, Binary::Pow) {
            _ if view.same(*leaf, x) => 1,
            Some((base, exponent)) if view.same(base, x) => match view.number(exponent) {
                Some(2.0) => 2,
                Some(3.0) => 3,
                _ => return false,
            },
            _ => return false,
        };
    }
    found == power && view.near(value, product.factor, factor)
}

/// `x sigmoid(alpha x)`, or `x / (1 + exp(-alpha x))`.
pub(super) fn swish(view: &View<'_>, root: NodeId) -> Option<Match> {
    let y = product_root(view, root)?;
    if let Some((x, denominator)) = view.binary(y, Binary::Div) {
        let (exponential, one) = view.with_number(denominator, Binary::Add)?;
        let (argument, alpha) = negated(view, view.unary(exponential, Unary::Exp)?)?;
        let equal = view.near(denominator, one, 1.0) && view.same(x, argument);
        return equal.then(|| Match::unary(Swish { alpha: alpha as f32 }, view.skip(x)));
    }
    view.both(y, Binary::Mul).into_iter().find_map(|(x, gate)| {
        let argument = view.unary(gate, Unary::Sigmoid)?;
        if view.same(x, argument) {
            return Some(Match::unary(Swish { alpha: 1.0 }, view.skip(x)));
        }
        let (inner, alpha) = scaled(view, argument)?;
        view.same(x, inner).then(|| Match::unary(Swish { alpha: alpha as f32 }, view.skip(x)))
    })
}

/// `x` and `alpha` of `-alpha x`.
fn negated(view: &View<'_>, value: ValueId) -> Option<(ValueId, f64)> {
    if let Some(inner) = view.unary(value, Unary::Neg) {
        return Some(scaled(view, inner).unwrap_or((inner, 1.0)));
    }
    scaled(view, value).map(|(x, factor)| (x, -factor))
}

/// `x clip(x + 3, 0, 6) / 6` or `x HardSigmoid(x; 1/6, 1/2)`, multiplied in any order.
pub(super) fn hard_swish(view: &View<'_>, root: NodeId) -> Option<Match> {
    let y = product_root(view, root)?;
    let leaves = view.product(y, &[]).leaves;
    leaves.into_iter().find_map(|gate| {
        let node = view.node(gate)?;
        let (x, factor) = match &node.op {
            Op::HardSigmoid(op) => {
                let fits = view.near(gate, f64::from(op.alpha), 1.0 / 6.0)
                    && view.near(gate, f64::from(op.beta), 0.5);
                (if fits { node.input(0)? } else { return None }, 1.0)
            }
            _ => {
                let (argument, low, high) = clipped(view, gate)?;
                if low == 0.0 && high == 6.0 {
                    let (x, three) = view.with_number(argument, Binary::Add)?;
                    (if view.near(argument, three, 3.0) { x } else { return None }, 1.0 / 6.0)
                } else {
                    return None;
                }
            }
        };
        let product = view.product(y, &[x, gate]);
        let equal = view.near(y, product.factor, factor) && leaves_are(view, &product.leaves, &[x, gate]);
        equal.then(|| Match::unary(Unary::HardSwish, view.skip(x)))
    })
}

/// `1 - sigmoid(x)`.
pub(super) fn one_minus_sigmoid(view: &View<'_>, root: NodeId) -> Option<Match> {
    let node = view.graph.node(root);
    if node.op != Op::Binary(Binary::Sub) {
        return None;
    }
    let (one, sigmoid) = (node.input(0)?, node.input(1)?);
    let x = view.unary(sigmoid, Unary::Sigmoid)?;
    let mut found = Match::unary(OneMinusSigmoid {}, view.skip(x));
    // The gate itself is nearly always read as well; it is no interior of this pattern then, but stays.
    found.keep_shared = true;
    view.is_number(one, 1.0).then_some(found)
}

/// `min(max(x, low), high)` with numbers in either order, where a `Relu` is `max(x, 0)`; two bounds are needed.
pub(super) fn clip(view: &View<'_>, root: NodeId) -> Option<Match> {
    let node = view.graph.node(root);
    let eligible = match &node.op {
        Op::Variadic(Variadic::Min | Variadic::Max) | Op::Unary(Unary::Relu) => true,
        Op::Clip(_) => view.unary(node.input(0)?, Unary::Relu).is_some(),
        _ => false,
    };
    let y = node.output(0)?;
    let (x, low, high) = if eligible { clipped(view, y)? } else { return None };
    if !(low.is_finite() && high.is_finite() && low <= high) || x == node.input(0)? {
        return None;
    }
    let dtype = view.graph.value(y).dtype.or(view.graph.value(x).dtype)?;
    let bound =
        |part, value| Some(Operand::Constant(part, Tensor::from_f64(dtype, vec![], vec![value]).ok()?));
    let inputs = vec![Some(Operand::Value(x)), Some(bound("min", low)?), Some(bound("max", high)?)];
    Some(Match { inputs, ..Match::unary(Clip {}, x) })
}

/// The innermost value and the bounds of a chain of clips, rectifiers, minima and maxima.
fn clipped(view: &View<'_>, value: ValueId) -> Option<(ValueId, f64, f64)> {
    let node = view.node(value)?;
    let (inner, low, high) = match &node.op {
        Op::Unary(Unary::Relu) => (node.input(0)?, 0.0, f64::INFINITY),
        Op::Clip(_) => {
            let bound = |i: usize, default: f64| node.input(i).map_or(Some(default), |v| view.number(v));
            (node.input(0)?, bound(1, f64::NEG_INFINITY)?, bound(2, f64::INFINITY)?)
        }
        Op::Variadic(kind @ (Variadic::Min | Variadic::Max)) => {
            let [Some(a), Some(b)] = node.inputs[..] else { return None };
            let (x, bound) = match (view.number(a), view.number(b)) {
                (None, Some(bound)) => (a, bound),
                (Some(bound), None) => (b, bound),
                _ => return None,
            };
            match kind {
                Variadic::Min => (x, f64::NEG_INFINITY, bound),
                _ => (x, bound, f64::INFINITY),
            }
        }
        _ => return None,
    };
    if low > high {
        return None;
    }
    // Clipping a clipped value clips its bounds.
    match clipped(view, inner) {
        Some((x, l, h)) => Some((x, l.clamp(low, high), h.clamp(low, high))),
        None => Some((view.skip(inner), low, high)),
    }
}

/// `x` and `factor` of `factor x` or `x / divisor`.
fn scaled(view: &View<'_>, value: ValueId) -> Option<(ValueId, f64)> {
    if let Some(found) = view.with_number(value, Binary::Mul) {
        return Some(found);
    }
    let (x, divisor) = view.binary(value, Binary::Div)?;
    view.number(divisor).map(|d| (x, d.recip()))
}

/// The result of the root, if it is a product or quotient.
fn product_root(view: &View<'_>, root: NodeId) -> Option<ValueId> {
    let node = view.graph.node(root);
    if matches!(node.op, Op::Binary(Binary::Mul | Binary::Div)) { node.output(0) } else { None }
}
