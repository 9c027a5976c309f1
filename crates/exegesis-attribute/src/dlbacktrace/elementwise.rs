//! Sums, products, pass-through and the remaining reductions (specification 5.2, 5.3, 5.5, 5.6).

use exegesis_graph::op::{Binary, HardSigmoid, ReduceKind, Unary};
use exegesis_graph::{Error, Node, Op, Role, ValueId};

use super::linear_core::safe_share;
use super::options::{Compat, DlBacktrace, GateRule, Mode, MulRule};
use crate::Result;
use crate::ledger::Class;
use crate::linear::{Diagonal, diagonal};
use crate::movement::{keep_axes, reduced_axes};
use crate::operators::keeps_elements;
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

/// True if an operand that is a constant has cells that are not finite or beyond 1e9: it masks.
pub fn has_huge_constant(cx: &Context<'_, '_>, node: &Node) -> bool {
    let constants = node.inputs.iter().flatten().filter_map(|v| cx.b.graph().constant(*v));
    constants.filter_map(|t| t.to_f64()).any(|cells| cells.iter().any(|v| !v.is_finite() || v.abs() > 1e9))
}

/// Half to each of two operands.
///
/// # Errors
/// The graph can't be treated.
pub fn halves(cx: &mut Context<'_, '_>, node: &Node, r: ValueId) -> Result<Outcome> {
    cx.rule = "halves";
    cx.sends_vanishing = cx.vanishes && matches!(node.op, Op::Binary(Binary::Mul));
    fractions(cx, node, r, 0.5)
}

/// `fraction` of the relevance to the first of two operands, the rest to the second.
fn fractions(cx: &mut Context<'_, '_>, node: &Node, r: ValueId, fraction: f64) -> Result<Outcome> {
    let (Some(a), Some(b)) = (node.input(0), node.input(1)) else {
        return Ok(Outcome::NoRule("an operand is missing".into()));
    };
    let first = cx.b.mul_scalar(r, fraction)?;
    let second = if fraction == 0.5 { first } else { cx.b.mul_scalar(r, 1.0 - fraction)? };
    Ok(Outcome::Signals(vec![Some(cx.b.sum_to(first, a)?), Some(cx.b.sum_to(second, b)?)]))
}

/// Batch normalisation as a linear layer of one term per unit: `w = gamma / sqrt(var + eps)`, `b = beta - w mean`. The term
/// takes `|w x| / (|w x| + |b|)`, the rest is bias. In contrastive mode a lone term carries both channels.
///
/// # Errors
/// Parameters that are not constant, or a graph that can't be treated.
pub fn affine_norm(cx: &mut Context<'_, '_>, node: &Node, r: ValueId) -> Result<Outcome> {
    let Diagonal { x, w, bias } = match diagonal(cx, node)? {
        Ok(map) => map,
        Err(reason) => return Ok(Outcome::NoRule(reason.into())),
    };
    let (w, bias) = (cx.b.abs(w)?, cx.b.abs(bias)?);
    let magnitude = cx.b.abs(x)?;
    let term = cx.b.mul(magnitude, w)?;
    cx.b.assume_shape(term, x);
    if cx.flows.len() > 1 {
        let floored = cx.b.add_scalar(term, super::DEAD)?;
        let alive = super::linear_core::alive(cx, r, floored)?;
        return Ok(Outcome::at(0, node.inputs.len(), alive));
    }
    let d = cx.b.add(term, bias)?;
    cx.b.assume_shape(d, x);
    let n = safe_share(cx, r, d)?;
    let absorbed = cx.b.mul(n, bias)?;
    cx.b.assume_shape(absorbed, x);
    cx.absorb(Class::Bias, absorbed)?;
    let signal = cx.b.mul(n, term)?;
    cx.b.assume_shape(signal, x);
    cx.sends_vanishing = true;
    Ok(Outcome::at(0, node.inputs.len(), signal))
}

/// Sums: operand `k` takes `|a_k| / sum_m |a_m|`; the part of constants is absorbed.
///
/// # Errors
/// The graph can't be treated.
pub fn share(cx: &mut Context<'_, '_>, node: &Node, r: ValueId) -> Result<Outcome> {
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
            cx.absorb(Class::of_term(node), part)?;
            signals.push(None);
        }
    }
    cx.sends_vanishing = true;
    Ok(Outcome::Signals(signals))
}

/// Products: all to the carrier; of two carriers half to each, or as the options say; inside recurrent cells the gate rule.
///
/// # Errors
/// The graph can't be treated.
pub fn product(cx: &mut Context<'_, '_>, node: &Node, r: ValueId, options: &DlBacktrace) -> Result<Outcome> {
    let (Some(a), Some(b), Some(y)) = (node.input(0), node.input(1), node.output(0)) else {
        return Err(Error::malformed("a product without operands").into());
    };
    if node.role == Role::RecurrentGate {
        return match options.gate {
            GateRule::Gate => {
                cx.rule = "gate";
                gate(cx, node, r, [a, b], y, options)
            }
            GateRule::Half => {
                cx.rule = "half gate";
                cx.sends_vanishing = cx.vanishes;
                let half = cx.b.mul_scalar(r, 0.5)?;
                to_gate_and_state(cx, node, r, [(half, a), (half, b)])
            }
        };
    }
    if cx.carrier_operands(node).len() < 2 {
        cx.rule = "pass";
        return to_first_carrier(cx, node, r);
    }
    if node.role == Role::ExpertGate {
        cx.rule = "expert";
        cx.sends_vanishing = cx.vanishes;
        // The gate is one number per token.
        let is_number = |cx: &Context<'_, '_>, v: ValueId| -> Result<bool> {
            Ok(cx.b.shape(v)?.last().is_none_or(|d| *d == exegesis_graph::Dim::Fixed(1)))
        };
        let first = is_number(cx, a)? && !is_number(cx, b)?;
        return fractions(cx, node, r, if first { options.router } else { 1.0 - options.router });
    }
    match options.mul {
        MulRule::Gate if node.role == Role::Plain => {
            cx.rule = "gate";
            gate(cx, node, r, [a, b], y, options)
        }
        MulRule::Value => match (is_gate(cx, a), is_gate(cx, b)) {
            (true, false) => pass_to(cx, node, 1, r),
            (false, true) => pass_to(cx, node, 0, r),
            _ => halves(cx, node, r),
        },
        _ => halves(cx, node, r),
    }
}

/// True if the value is what a sigmoid or softmax says, whatever its layout.
fn is_gate(cx: &Context<'_, '_>, mut value: ValueId) -> bool {
    let graph = cx.b.graph();
    while let Some(node) = graph.producer_node(value) {
        match (&node.op, node.input(0)) {
            (Op::Unary(Unary::Sigmoid) | Op::HardSigmoid(_) | Op::OneMinusSigmoid(_) | Op::Softmax(_), _) => {
                return true;
            }
            (op, Some(input)) if keeps_elements(op) => value = input,
            _ => return false,
        }
    }
    false
}

/// Gate rule, default: `d1 = |ab - a|`, `d2 = |ab - b|`, `R_a = r d1 / (d1 + d2)`; per channel in contrastive mode:
/// `R_a = r |b| / (|a| + |b|)`. The rest to `b`; halves where the divisor is 0.
fn gate(
    cx: &mut Context<'_, '_>,
    node: &Node,
    r: ValueId,
    [a, b]: [ValueId; 2],
    y: ValueId,
    options: &DlBacktrace,
) -> Result<Outcome> {
    cx.sends_vanishing = cx.vanishes;
    let contrastive = options.mode == Mode::Contrastive;
    let (d1, d2) = match contrastive {
        true => (cx.b.abs(b)?, cx.b.abs(a)?),
        false => {
            let (from_a, from_b) = (cx.b.sub(y, a)?, cx.b.sub(y, b)?);
            (cx.b.abs(from_a)?, cx.b.abs(from_b)?)
        }
    };
    let sum = cx.b.add(d1, d2)?;
    // 1 where the sum is 0, 0 from the floor on: cheaper than a comparison and a choice.
    let neither = cx.b.op(HardSigmoid { alpha: (-1.0 / super::DEAD) as f32, beta: 1.0 }, &[sum])?;
    let halves = cx.b.mul_scalar(neither, 0.5)?;
    let floored = cx.b.add_scalar(sum, super::DEAD)?;
    let ratio = cx.b.div(d1, floored)?;
    let fraction = cx.b.add(ratio, halves)?;
    let mut r = r;
    if contrastive && options.compat == Compat::V1 {
        let zero = cx.b.scalar(0.0, y)?;
        let is_zero = cx.b.op(Binary::Equal, &[y, zero])?;
        let nothing = cx.b.scalar(0.0, r)?;
        let kept = cx.b.select(is_zero, nothing, r)?;
        cx.b.assume_shape(kept, r);
        cx.absorb_rest(Class::Compat, r, kept)?;
        r = kept;
    }
    let on_a = cx.b.mul(r, fraction)?;
    let on_b = cx.b.sub(r, on_a)?;
    to_gate_and_state(cx, node, r, [(on_a, a), (on_b, b)])
}

/// Hands each part of `r` to its operand. A state that does not depend on the explained input keeps its part.
fn to_gate_and_state(
    cx: &mut Context<'_, '_>,
    node: &Node,
    r: ValueId,
    parts: [(ValueId, ValueId); 2],
) -> Result<Outcome> {
    let mut signals = vec![];
    for (i, (part, operand)) in parts.into_iter().enumerate() {
        cx.b.assume_shape(part, r);
        if cx.carries(node, i) {
            signals.push(Some(cx.b.sum_to(part, operand)?));
        } else {
            // A vector is what is left of a product with a zero state: its bias.
            let is_bias = cx.b.graph().constant(operand).is_some_and(|t| t.rank() <= 1);
            cx.absorb(if is_bias { Class::Bias } else { Class::InitialState }, part)?;
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
