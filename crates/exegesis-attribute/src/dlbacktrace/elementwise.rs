//! Sums, products, pass-through and the remaining reductions (specification 5.2, 5.3, 5.5, 5.6).

use exegesis_graph::op::{Binary, ReduceKind, Unary};
use exegesis_graph::{Error, Node, Op, Role, ValueId};

use super::linear_core::safe_share;
use crate::Result;
use crate::ledger::Class;
use crate::movement::{keep_axes, reduced_axes};
use crate::rule::{Context, Outcome};

/// Hands the relevance to one operand, summed over the axes along which it was broadcast.
///
/// # Errors
/// The graph can't be treated.
pub fn pass_to(cx: &mut Context<'_, '_>, node: &Node, operand: usize, r: ValueId) -> Result<Outcome> {
    if !cx.carries(node, operand) {
        return Ok(Outcome::NoRule(
            "the operand that would receive does not depend on the explained input".into(),
        ));
    }
    let Some(x) = node.input(operand) else { return Ok(Outcome::NoRule("an operand is missing".into())) };
    cx.sends_vanishing = cx.vanishes && keeps_zero(cx, node, operand);
    let r = cx.b.sum_to(r, x)?;
    Ok(Outcome::at(operand, node.inputs.len(), r))
}

/// Hands the relevance to the data, the first operand. Bounds, scales and statistics behind it get none, so that a node
/// where one of them depends on the explained input has no rule: its path would be lost without a trace.
///
/// # Errors
/// The graph can't be treated.
pub fn pass_to_data(cx: &mut Context<'_, '_>, node: &Node, r: ValueId) -> Result<Outcome> {
    match cx.carrier_operands(node).last() {
        Some(operand) if *operand > 0 => Ok(Outcome::NoRule(format!(
            "its parameter at position {operand} depends on the explained input, and the rule hands relevance to the data only"
        ))),
        _ => pass_to(cx, node, 0, r),
    }
}

/// True if the output of `node` is exactly 0 wherever its operand is.
fn keeps_zero(cx: &Context<'_, '_>, node: &Node, operand: usize) -> bool {
    match &node.op {
        Op::Unary(
            Unary::Abs
            | Unary::Asin
            | Unary::Asinh
            | Unary::Atan
            | Unary::Atanh
            | Unary::Erf
            | Unary::HardSwish
            | Unary::Identity
            | Unary::Mish
            | Unary::Neg
            | Unary::Relu
            | Unary::Sin
            | Unary::Sinh
            | Unary::Softsign
            | Unary::Sqrt
            | Unary::Tan
            | Unary::Tanh,
        )
        | Op::Celu(_)
        | Op::Elu(_)
        | Op::Gelu(_)
        | Op::LeakyRelu(_)
        | Op::Selu(_)
        | Op::Swish(_)
        | Op::Binary(Binary::Mul) => true,
        Op::Binary(Binary::Div | Binary::PRelu) => operand == 0,
        Op::Clip(_) => {
            let bound = |i: usize| match node.input(i) {
                None => Some(0.0),
                Some(bound) => cx.b.graph().constant(bound).and_then(|t| t.single()),
            };
            bound(1).is_some_and(|low| low <= 0.0) && bound(2).is_some_and(|high| high >= 0.0)
        }
        _ => false,
    }
}

/// Hands everything to the first operand that is a carrier (numerator, base).
///
/// # Errors
/// The graph can't be treated.
pub fn to_first_carrier(cx: &mut Context<'_, '_>, node: &Node, r: ValueId) -> Result<Outcome> {
    match cx.carrier_operands(node).first() {
        Some(operand) => pass_to(cx, node, *operand, r),
        None => Ok(Outcome::Signals(vec![None; node.inputs.len()])),
    }
}

/// Sums: operand `k` takes `|a_k| / sum_m |a_m|`; the part of constants is absorbed. Inside recurrent cells a bias takes
/// nothing here: it belongs to the input-side linear map.
///
/// # Errors
/// The graph can't be treated.
pub fn share(cx: &mut Context<'_, '_>, node: &Node, r: ValueId) -> Result<Outcome> {
    if node.role == Role::RecurrentBias {
        return to_first_carrier(cx, node, r);
    }
    let mut magnitudes = vec![];
    let mut total: Option<ValueId> = None;
    for operand in node.inputs.iter().flatten() {
        let magnitude = cx.b.abs(*operand)?;
        magnitudes.push((*operand, magnitude));
        total = Some(match total {
            None => magnitude,
            Some(before) => cx.b.add(before, magnitude)?,
        });
    }
    let Some(total) = total else { return Ok(Outcome::Signals(vec![])) };
    cx.b.assume_shape(total, r);
    let n = safe_share(cx, r, total)?;
    let mut signals = vec![];
    for (i, (operand, magnitude)) in magnitudes.into_iter().enumerate() {
        let part = cx.b.mul(n, magnitude)?;
        cx.b.assume_shape(part, r);
        if cx.carries(node, i) {
            signals.push(Some(cx.b.sum_to(part, operand)?));
        } else {
            cx.absorb(Class::Constant, part)?;
            signals.push(None);
        }
    }
    cx.sends_vanishing = true;
    Ok(Outcome::Signals(signals))
}

/// Products: all to the carrier, half to each of two; inside recurrent cells the gate rule.
///
/// # Errors
/// The graph can't be treated.
pub fn product(cx: &mut Context<'_, '_>, node: &Node, r: ValueId) -> Result<Outcome> {
    let carriers = cx.carrier_operands(node);
    let (Some(a), Some(b), Some(y)) = (node.input(0), node.input(1), node.output(0)) else {
        return Err(Error::malformed("a product without operands").into());
    };
    if node.role == Role::RecurrentGate {
        return gate(cx, node, r, [a, b], y);
    }
    if carriers.len() < 2 {
        return to_first_carrier(cx, node, r);
    }
    cx.sends_vanishing = cx.vanishes;
    let half = cx.b.mul_scalar(r, 0.5)?;
    Ok(Outcome::Signals(vec![Some(cx.b.sum_to(half, a)?), Some(cx.b.sum_to(half, b)?)]))
}

/// Gate rule: `d1 = |ab - a|`, `d2 = |ab - b|`; `R_a = r d1 / (d1 + d2)`, the rest to `b`; halves where both are 0. A state
/// that does not depend on the explained input, such as the initial one, keeps its part.
fn gate(
    cx: &mut Context<'_, '_>,
    node: &Node,
    r: ValueId,
    [a, b]: [ValueId; 2],
    y: ValueId,
) -> Result<Outcome> {
    let from_a = cx.b.sub(y, a)?;
    let from_b = cx.b.sub(y, b)?;
    let (d1, d2) = (cx.b.abs(from_a)?, cx.b.abs(from_b)?);
    cx.sends_vanishing = cx.vanishes;
    let sum = cx.b.add(d1, d2)?;
    let floor = cx.b.scalar(super::DEAD, sum)?;
    let differs = cx.b.op(Binary::Greater, &[sum, floor])?;
    let ratio = cx.b.div(d1, sum)?;
    let half = cx.b.scalar(0.5, sum)?;
    let fraction = cx.b.select(differs, ratio, half)?;
    let on_a = cx.b.mul(r, fraction)?;
    let on_b = cx.b.sub(r, on_a)?;
    let mut signals = vec![];
    for (i, (part, operand)) in [(on_a, a), (on_b, b)].into_iter().enumerate() {
        cx.b.assume_shape(part, r);
        if cx.carries(node, i) {
            signals.push(Some(cx.b.sum_to(part, operand)?));
        } else {
            cx.absorb(Class::Constant, part)?;
            signals.push(None);
        }
    }
    Ok(Outcome::Signals(signals))
}

/// Reductions by a norm share `|x|^p / sum |x|^p`, logarithms of sums what their sum shares (of `exp x` for
/// `ReduceLogSumExp`); products split equally.
///
/// # Errors
/// The axes are not constant.
pub fn reduction(cx: &mut Context<'_, '_>, node: &Node, kind: ReduceKind, r: ValueId) -> Result<Outcome> {
    let Some(x) = node.input(0).filter(|_| cx.carries(node, 0)) else {
        return Ok(Outcome::NoRule("an operand other than the data varies".into()));
    };
    let axes = reduced_axes(cx, node, x)?;
    if axes.is_empty() {
        // `noop_with_empty_axes`: the operand itself.
        return Ok(Outcome::at(0, node.inputs.len(), r));
    }
    let r = keep_axes(cx, node, r, &axes)?;
    let weights = match kind {
        ReduceKind::LogSumExp => {
            let y = node.output(0).ok_or_else(|| Error::malformed("a reduction without output"))?;
            let y = keep_axes(cx, node, y, &axes)?;
            let below = cx.b.sub(x, y)?;
            cx.b.unary(Unary::Exp, below)?
        }
        ReduceKind::L2 | ReduceKind::SumSquare => cx.b.mul(x, x)?,
        ReduceKind::Prod => {
            let equal = crate::linear::divide_by_count(cx, r, x, &axes)?;
            let signal = cx.b.expand_like(equal, x)?;
            return Ok(Outcome::at(0, node.inputs.len(), signal));
        }
        _ => cx.b.abs(x)?,
    };
    let total = cx.b.reduce_sum(weights, &axes, true)?;
    let n = safe_share(cx, r, total)?;
    let signal = cx.b.mul(weights, n)?;
    cx.b.assume_shape(signal, x);
    Ok(Outcome::at(0, node.inputs.len(), signal))
}
