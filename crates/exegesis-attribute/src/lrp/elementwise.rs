//! Sums and products of values: what has no weights, or several operands that vary.

use exegesis_graph::op::{Binary, Variadic};
use exegesis_graph::{Error, Node, Op, ValueId};

use super::plan::is_divisor;
use super::share::{STABILISER, Stabiliser};
use crate::Result;
use crate::dlbacktrace::elementwise::{halves, has_huge_constant, pass_to, to_first_carrier};
use crate::gradient::Gradient;
use crate::ledger::Class;
use crate::rule::{Context, Outcome, RuleSet};

const DIVISION: Stabiliser = Stabiliser::Absolute(STABILISER);

fn output(node: &Node) -> Result<ValueId> {
    Ok(node.output(0).ok_or_else(|| Error::malformed("a node without output"))?)
}

/// Sums by the epsilon rule on the operands, `R_k = a_k / st(z) r`; what does not depend on the explained input keeps its
/// share, but for constants that mask.
///
/// # Errors
/// The graph can't be treated.
pub fn sum(cx: &mut Context<'_, '_>, node: &Node, r: ValueId, is_rectified: bool) -> Result<Outcome> {
    if cx.carrier_operands(node).len() == 1 && has_huge_constant(cx, node) {
        cx.rule = "pass";
        return to_first_carrier(cx, node, r);
    }
    let mut n = DIVISION.share(cx, r, output(node)?, is_rectified)?;
    if matches!(node.op, Op::Variadic(Variadic::Mean)) {
        n = cx.b.mul_scalar(n, 1.0 / node.inputs.len().max(1) as f64)?;
    }
    let mut signals = vec![];
    for (i, operand) in node.inputs.iter().enumerate() {
        let Some(operand) = *operand else {
            signals.push(None);
            continue;
        };
        let mut part = cx.b.mul(operand, n)?;
        if i == 1 && matches!(node.op, Op::Binary(Binary::Sub)) {
            part = cx.b.unary(exegesis_graph::op::Unary::Neg, part)?;
        }
        cx.b.assume_shape(part, r);
        signals.push(match cx.carries(node, i) {
            true => Some(cx.b.sum_to(part, operand)?),
            false => {
                cx.absorb(Class::of_term(node), part)?;
                None
            }
        });
    }
    cx.sends_vanishing = true;
    Ok(Outcome::Signals(signals))
}

/// Products: of two that vary, half to each; a divisor gets nothing. A factor that does not vary scales: all goes to the other,
/// but where the factor is 0.
///
/// # Errors
/// The graph can't be treated.
pub fn product(cx: &mut Context<'_, '_>, node: &Node, r: ValueId) -> Result<Outcome> {
    let (Some(a), Some(b)) = (node.input(0), node.input(1)) else {
        return Err(Error::malformed("a product without operands").into());
    };
    let carriers = cx.carrier_operands(node);
    let &[operand] = carriers.as_slice() else {
        let (divides_a, divides_b) = (is_divisor(cx.b.graph(), a), is_divisor(cx.b.graph(), b));
        return match (divides_a, divides_b) {
            (true, false) => pass_to(cx, node, 1, r),
            (false, true) => pass_to(cx, node, 0, r),
            _ => halves(cx, node, r),
        };
    };
    let factor = if operand == 0 { b } else { a };
    let has_zeros = match cx.b.graph().constant(factor).and_then(|t| t.to_f64()) {
        Some(values) => values.contains(&0.0),
        None => true,
    };
    if cx.vanishes || !has_zeros {
        cx.rule = "pass";
        return pass_to(cx, node, operand, r);
    }
    cx.rule = "epsilon";
    let y = output(node)?;
    let n = DIVISION.share(cx, r, y, false)?;
    let part = cx.b.mul(n, y)?;
    cx.b.assume_shape(part, r);
    let signal = cx.b.sum_to(part, if operand == 0 { a } else { b })?;
    cx.sends_vanishing = true;
    Ok(Outcome::at(operand, node.inputs.len(), signal))
}

/// The epsilon rule for operators that are linear in all operands that vary, taken together: `R = x * J^T (r / st(z))` with the
/// operator's own derivative `J`. What operands that do not vary contribute is booked.
///
/// # Errors
/// The graph can't be treated.
pub fn by_derivative(cx: &mut Context<'_, '_>, node: &Node, r: ValueId) -> Result<Outcome> {
    let z = output(node)?;
    let n = DIVISION.share(cx, r, z, false)?;
    times_operands(cx, node, r, z, n, 1.0)
}

/// Products of two values that vary (sums of terms `a b`): half of each term's share to each factor (Achtibat et al. 2024,
/// arXiv 2402.05602, proposition 3.3): `R_A = A * (n B^T)`, `R_B = B * (A^T n)` with `n = r / (2 st(z))`.
///
/// # Errors
/// The graph can't be treated.
pub fn bilinear(cx: &mut Context<'_, '_>, node: &Node, r: ValueId) -> Result<Outcome> {
    let z = output(node)?;
    let n = DIVISION.share(cx, r, z, false)?;
    let half = cx.b.mul_scalar(n, 0.5)?;
    times_operands(cx, node, r, z, half, 2.0)
}

/// Each operand that varies times the derivative's adjoint of `n`. The terms sum to `degree n z`, but for what constants add.
fn times_operands(
    cx: &mut Context<'_, '_>,
    node: &Node,
    r: ValueId,
    z: ValueId,
    n: ValueId,
    degree: f64,
) -> Result<Outcome> {
    let signals = match Gradient.backward(cx, node, &[Some(n)])? {
        Outcome::Signals(signals) => signals,
        refused => return Ok(refused),
    };
    let mut parts = vec![None; node.inputs.len()];
    for (i, signal) in signals.into_iter().enumerate().take(node.inputs.len()) {
        let (Some(signal), Some(x), true) = (signal, node.input(i), cx.carries(node, i)) else { continue };
        let part = cx.b.mul(x, signal)?;
        cx.b.assume_shape(part, x);
        parts[i] = Some(part);
    }
    // Terms that do not vary: a bias, a product of constants, data that is scattered into.
    let has_constants = match &node.op {
        Op::Gemm(_) | Op::Conv(_) | Op::ConvTranspose(_) => node.input(2).is_some(),
        Op::ScatterElements(_) | Op::ScatterND(_) => !(cx.carries(node, 0) && cx.carries(node, 2)),
        Op::Resize(_) => true,
        _ => false,
    };
    if cx.ledger.is_enabled() && has_constants {
        let all = cx.b.mul(n, z)?;
        let mut all = cx.b.mul_scalar(all, degree)?;
        cx.b.assume_shape(all, r);
        for part in parts.iter().flatten() {
            let sum = cx.batch.row_sums(cx.b, *part)?;
            let whole = cx.batch.row_sums(cx.b, all)?;
            let (Some(sum), Some(whole)) = (sum, whole) else { break };
            all = cx.b.sub(whole, sum)?;
        }
        cx.absorb(Class::Constant, all)?;
    }
    cx.sends_vanishing = true;
    Ok(Outcome::Signals(parts))
}
