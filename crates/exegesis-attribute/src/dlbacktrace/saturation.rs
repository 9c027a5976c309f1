//! The saturation option (specification 4.1): a unit before a bounded activation that is beyond a bound shares its relevance
//! only among the side that could still move it.

use exegesis_graph::op::{self, Binary, Unary};
use exegesis_graph::{Graph, Op, ValueId};
use rustc_hash::FxHashMap;

use super::contrast::{Route, spread};
use super::options::Compat;
use crate::Result;
use crate::ledger::Class;
use crate::linear::{Coefficients, LinearMap};
use crate::rule::Context;

/// An activation with bounds behind which a unit counts as saturated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounded {
    /// -2 to 2.
    Tanh,
    /// -4 to 4.
    Sigmoid,
    /// -1 to 2.
    Softmax,
    /// From -6, and where a side alone gives the same value.
    Swish,
}

impl Bounded {
    fn lower(self) -> f64 {
        match self {
            Self::Tanh => -2.0,
            Self::Sigmoid => -4.0,
            Self::Softmax => -1.0,
            Self::Swish => -6.0,
        }
    }

    fn upper(self) -> Option<f64> {
        match self {
            Self::Tanh | Self::Softmax => Some(2.0),
            Self::Sigmoid => Some(4.0),
            Self::Swish => None,
        }
    }

    fn of(op: &Op) -> Option<Self> {
        match op {
            Op::Unary(Unary::Tanh) => Some(Self::Tanh),
            Op::Unary(Unary::Sigmoid) => Some(Self::Sigmoid),
            Op::Softmax(_) => Some(Self::Softmax),
            Op::Swish(_) => Some(Self::Swish),
            _ => None,
        }
    }
}

/// Layers whose only consumer is a bounded activation, by name.
pub fn bounded_layers(graph: &Graph) -> FxHashMap<String, Bounded> {
    let consumers = graph.consumers();
    let mut found = FxHashMap::default();
    for (_, node) in graph.nodes() {
        let is_layer = matches!(node.op, Op::Gemm(_) | Op::MatMul(_) | Op::Linear(_) | Op::Einsum(_))
            || matches!(node.op, Op::Conv(_) | Op::ConvTranspose(_));
        let Some(output) = node.output(0).filter(|o| is_layer && !graph.outputs.contains(o)) else {
            continue;
        };
        if let [only] = consumers[output.index()].as_slice()
            && let Some(bounded) = Bounded::of(&graph.node(*only).op)
        {
            found.insert(node.name.clone(), bounded);
        }
    }
    found
}

/// `D = keepP P + keepN N + |b|`, `R_j = r (keepP c_j+ + keepN c_j-) / D`. A unit of which nothing but the bias is left
/// keeps its relevance (class saturation).
///
/// With [`Compat::V1`] a convolution follows the first version: `D` is `P + N + |b|` whatever is dropped, sides are judged
/// by `P + N` in place of the unit's value, and what a dropped side had is lost (class compat).
///
/// # Errors
/// The graph can't be treated.
pub fn linear(
    cx: &mut Context<'_, '_>,
    map: &LinearMap,
    r: ValueId,
    bounded: Bounded,
    compat: Compat,
) -> Result<ValueId> {
    let unit = Sides::of(cx, map, r)?;
    if compat == Compat::V1 && map.is_convolution() {
        return first_version(cx, map, r, bounded, &unit);
    }
    let Sides { p, n, has_p, has_n, bias, .. } = unit;
    let t = map.output()?;
    let (mut keep_p, mut keep_n) = (has_p, has_n);
    let low = cx.b.scalar(bounded.lower(), t)?;
    keep_p = and_not(cx, keep_p, Binary::Less, [t, low])?;
    if let Some(upper) = bounded.upper() {
        let high = cx.b.scalar(upper, t)?;
        keep_n = and_not(cx, keep_n, Binary::Greater, [t, high])?;
    }
    if bounded == Bounded::Swish {
        let (with_p, with_n) = bias.sides(cx, p, n)?;
        let f = swish(cx, t)?;
        let (f_p, f_n) = (swish(cx, with_p)?, swish(cx, with_n)?);
        let both = cx.b.op(Binary::And, &[keep_p, keep_n])?;
        let by_p = cx.b.op(Binary::Equal, &[f, f_p])?;
        let by_p = cx.b.op(Binary::And, &[both, by_p])?;
        let by_n = cx.b.op(Binary::Equal, &[f, f_n])?;
        let by_n = cx.b.op(Binary::And, &[both, by_n])?;
        let not_by_p = cx.b.unary(Unary::Not, by_p)?;
        let by_n = cx.b.op(Binary::And, &[by_n, not_by_p])?;
        let not_by_n = cx.b.unary(Unary::Not, by_n)?;
        keep_n = cx.b.op(Binary::And, &[keep_n, not_by_p])?;
        keep_p = cx.b.op(Binary::And, &[keep_p, not_by_n])?;
    }
    let (kept_p, kept_n) = (cx.b.indicator(keep_p, r)?, cx.b.indicator(keep_n, r)?);
    // Nothing but the bias is left although there were terms.
    let any = cx.b.op(Binary::Or, &[has_p, has_n])?;
    let left = cx.b.op(Binary::Or, &[keep_p, keep_n])?;
    let none_left = cx.b.unary(Unary::Not, left)?;
    let dropped = cx.b.op(Binary::And, &[any, none_left])?;
    let zero = cx.b.scalar(0.0, r)?;
    let lost = cx.b.select(dropped, r, zero)?;
    cx.b.assume_shape(lost, r);
    cx.absorb(Class::Saturation, lost)?;
    let r = cx.b.sub(r, lost)?;

    let (p, n) = (cx.b.mul(kept_p, p)?, cx.b.mul(kept_n, n)?);
    let mut d = cx.b.add(p, n)?;
    if let Some(size) = bias.size {
        d = cx.b.add(d, size)?;
    }
    cx.b.assume_shape(d, r);
    // The relevance of saturated units is gone already: it is not dead.
    let vanishes = std::mem::replace(&mut cx.vanishes, false);
    let g = super::linear_core::safe_share(cx, r, d)?;
    cx.vanishes = vanishes;
    if let Some(size) = bias.size {
        let absorbed = cx.b.mul(g, size)?;
        cx.absorb(Class::Bias, absorbed)?;
    }
    back(cx, map, g, [kept_p, kept_n])
}

/// Convolutions of the first version.
fn first_version(
    cx: &mut Context<'_, '_>,
    map: &LinearMap,
    r: ValueId,
    bounded: Bounded,
    unit: &Sides,
) -> Result<ValueId> {
    let t = unit.total;
    let low = cx.b.scalar(bounded.lower(), t)?;
    let above = cx.b.op(Binary::Greater, &[t, low])?;
    let (keep_p, keep_n) = match bounded.upper() {
        Some(upper) => {
            let high = cx.b.scalar(upper, t)?;
            (above, cx.b.op(Binary::Less, &[t, high])?)
        }
        None => {
            let (with_p, with_n) = unit.bias.sides(cx, unit.p, unit.n)?;
            let f = swish(cx, t)?;
            let moves_from = |cx: &mut Context<'_, '_>, other: ValueId| -> Result<ValueId> {
                let other = swish(cx, other)?;
                let gap = cx.b.sub(f, other)?;
                let gap = cx.b.abs(gap)?;
                let least = cx.b.scalar(1e-5, gap)?;
                Ok(cx.b.op(Binary::Greater, &[gap, least])?)
            };
            let (p_moves, n_moves) = (moves_from(cx, with_n)?, moves_from(cx, with_p)?);
            let above = cx.b.op(Binary::And, &[above, unit.has_p])?;
            (cx.b.op(Binary::And, &[above, p_moves])?, cx.b.op(Binary::And, &[unit.has_n, n_moves])?)
        }
    };
    let (kept_p, kept_n) = (cx.b.indicator(keep_p, r)?, cx.b.indicator(keep_n, r)?);
    let mut d = unit.total;
    if let Some(size) = unit.bias.size {
        d = cx.b.add(d, size)?;
    }
    cx.b.assume_shape(d, r);
    let vanishes = std::mem::replace(&mut cx.vanishes, false);
    let g = super::linear_core::safe_share(cx, r, d)?;
    cx.vanishes = vanishes;
    if let Some(size) = unit.bias.size {
        let absorbed = cx.b.mul(g, size)?;
        cx.absorb(Class::Bias, absorbed)?;
    }
    for (kept, side) in [(kept_p, unit.p), (kept_n, unit.n)] {
        let whole = cx.b.mul(g, side)?;
        let part = cx.b.mul(whole, kept)?;
        cx.b.assume_shape(whole, r);
        cx.b.assume_shape(part, r);
        cx.absorb_rest(Class::Compat, whole, part)?;
    }
    back(cx, map, g, [kept_p, kept_n])
}

/// `R = g (keepP c+ + keepN c-)`.
fn back(cx: &mut Context<'_, '_>, map: &LinearMap, g: ValueId, kept: [ValueId; 2]) -> Result<ValueId> {
    let [to_p, to_n] = kept.map(|kept| cx.b.mul(g, kept));
    let (to_p, to_n) = (to_p?, to_n?);
    cx.sends_vanishing = true;
    let route = Route::of(cx, to_p, to_n)?;
    spread(cx, map, route)
}

/// `P` and `N` of the units of a layer, told apart exactly from 0.
pub struct Sides {
    /// Sum of the positive terms.
    pub p: ValueId,
    /// Sum of the magnitudes of the negative terms.
    pub n: ValueId,
    /// `P > 0`.
    pub has_p: ValueId,
    /// `N > 0`.
    pub has_n: ValueId,
    /// `P + N`.
    pub total: ValueId,
    /// The bias.
    pub bias: Bias,
}

/// A bias and its magnitude.
#[derive(Clone, Copy)]
pub struct Bias {
    value: Option<ValueId>,
    size: Option<ValueId>,
}

impl Sides {
    /// `P, N = (|W||x| +- W x) / 2`, 0 where below `tau |W||x|`.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn of(cx: &mut Context<'_, '_>, map: &LinearMap, like: ValueId) -> Result<Self> {
        let x = cx.b.abs(map.x)?;
        let total = map.forward(cx, x, Coefficients::Absolute)?;
        let sum = map.forward(cx, map.x, Coefficients::Signed)?;
        cx.b.assume_shape(total, like);
        cx.b.assume_shape(sum, like);
        let tau = 8.0 * (map.fan_in(cx)?.max(1) as f64).sqrt() * 2f64.powi(-24);
        let least = cx.b.mul_scalar(total, tau.min(0.1))?;
        let zero = cx.b.scalar(0.0, total)?;
        let side = |cx: &mut Context<'_, '_>, twice: ValueId| -> Result<(ValueId, ValueId)> {
            let size = cx.b.mul_scalar(twice, 0.5)?;
            let has = cx.b.op(Binary::Greater, &[size, least])?;
            let size = cx.b.select(has, size, zero)?;
            cx.b.assume_shape(size, like);
            Ok((size, has))
        };
        let (twice_p, twice_n) = (cx.b.add(total, sum)?, cx.b.sub(total, sum)?);
        let ((p, has_p), (n, has_n)) = (side(cx, twice_p)?, side(cx, twice_n)?);
        let size = match map.bias {
            Some(bias) => Some(cx.b.abs(bias)?),
            None => None,
        };
        Ok(Self { p, n, has_p, has_n, total, bias: Bias { value: map.bias, size } })
    }
}

impl Bias {
    /// `P + max(b, 0)` and `-(N + max(-b, 0))`.
    fn sides(self, cx: &mut Context<'_, '_>, p: ValueId, n: ValueId) -> Result<(ValueId, ValueId)> {
        let (mut with_p, mut with_n) = (p, n);
        if let Some(bias) = self.value {
            let positive = cx.b.unary(Unary::Relu, bias)?;
            with_p = cx.b.add(p, positive)?;
            let flipped = cx.b.unary(Unary::Neg, bias)?;
            let negative = cx.b.unary(Unary::Relu, flipped)?;
            with_n = cx.b.add(n, negative)?;
        }
        Ok((with_p, cx.b.unary(Unary::Neg, with_n)?))
    }
}

impl Route {
    /// From the coefficients of positive and of negative terms.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn of(cx: &mut Context<'_, '_>, positive: ValueId, negative: ValueId) -> Result<Self> {
        let (whole, difference) = (cx.b.add(positive, negative)?, cx.b.sub(positive, negative)?);
        Ok(Self { whole, odd: cx.b.mul_scalar(difference, 0.5)?, adds: true })
    }
}

/// `keep` where not `a compared with b`.
fn and_not(
    cx: &mut Context<'_, '_>,
    keep: ValueId,
    comparison: Binary,
    pair: [ValueId; 2],
) -> Result<ValueId> {
    let holds = cx.b.op(comparison, &pair)?;
    let fails = cx.b.unary(Unary::Not, holds)?;
    Ok(cx.b.op(Binary::And, &[keep, fails])?)
}

/// `v sigmoid(0.75 v)`, as the first version has it.
fn swish(cx: &mut Context<'_, '_>, v: ValueId) -> Result<ValueId> {
    Ok(cx.b.op(op::Swish { alpha: 0.75 }, &[v])?)
}
