//! Maxima, and operators whose other operands differ at the baseline.

use exegesis_graph::op::{Binary, ReduceKind, Unary, Variadic};
use exegesis_graph::{Error, Node, Op, ValueId};

use super::{DeepLift, gradient_for};
use crate::Result;
use crate::gradient::Gradient;
use crate::rule::{Context, Outcome, RuleSet};

/// A maximum `y = max_i x_i`: where `y >= y'` the difference goes to the winner among `x`, else to the winner among `x'`;
/// that cell differs by `y - y'` at least, so `m_x = m (y - y') / (x - x')` is at most `m`. Of minima the other way round.
/// Tied winners share equally. Cells that do not differ have the multiplier of the gradient.
///
/// # Errors
/// The graph can't be treated.
pub fn extreme(rules: &DeepLift, cx: &mut Context<'_, '_>, node: &Node, m: ValueId) -> Result<Outcome> {
    let y = node.output(0).ok_or_else(|| Error::malformed("a maximum without output"))?;
    let is_minimum = match &node.op {
        Op::Variadic(kind) => *kind == Variadic::Min,
        Op::Reduce(reduce) => reduce.kind == ReduceKind::Min,
        Op::TopK(top) => !top.largest,
        _ => false,
    };
    let dy = rules.difference(cx, y)?;
    let zero = cx.b.scalar(0.0, dy)?;
    let side = if is_minimum { Binary::LessOrEqual } else { Binary::GreaterOrEqual };
    let is_here = cx.b.op(side, &[dy, zero])?;
    let amount = cx.b.mul(m, dy)?;
    let here = cx.b.select(is_here, amount, zero)?;
    let there = cx.b.select(is_here, zero, amount)?;
    for part in [here, there] {
        cx.b.assume_shape(part, m);
    }
    let far_node = rules.counterpart_node(node);
    let receives: Vec<ValueId> =
        cx.carrier_operands(node).into_iter().filter_map(|i| far_node.input(i)).collect();
    let outcomes = [
        Gradient.backward(cx, node, &[Some(here)])?,
        gradient_for(cx, &far_node, receives, there)?,
        Gradient.backward(cx, node, &[Some(m)])?,
    ];
    let mut parts = vec![];
    for outcome in outcomes {
        match outcome {
            Outcome::Signals(signals) => parts.push(signals),
            refused => return Ok(refused),
        }
    }
    let mut signals = vec![None; node.inputs.len()];
    for i in cx.carrier_operands(node) {
        let part = |p: usize| parts[p].get(i).copied().flatten();
        let (Some(x), Some(here), Some(there), Some(slope)) = (node.input(i), part(0), part(1), part(2))
        else {
            continue;
        };
        let amount = cx.b.add(here, there)?;
        let dx = rules.difference(cx, x)?;
        signals[i] = Some(quotient(cx, amount, dx, slope)?);
    }
    Ok(Outcome::Signals(signals))
}

/// `TopK` of one element, which is a maximum. Of more, a cell can leave the order without being replaced by a larger one,
/// and no cell need differ by as much as the result.
///
/// # Errors
/// The graph can't be treated.
pub fn top(rules: &DeepLift, cx: &mut Context<'_, '_>, node: &Node, m: ValueId) -> Result<Outcome> {
    if cx.b.const_ints(node.input(1)) != Some(vec![1]) {
        return Ok(Outcome::NoRule(
            "the order of the largest elements may be another one at the baseline; there is a rule for one element only"
                .into(),
        ));
    }
    extreme(rules, cx, node, m)
}

/// Operators with an operand that depends on an input through a comparison or integers, such as the condition of `Where`,
/// and is another one at the baseline. Where the condition of `Where` switches, the branches that carry share the difference
/// in proportion to their own: `m_a = m (y - y') sign(a - a') / (|a - a'| + |b - b'|)`, so that
/// `relu(x) = Where(x > 0, x, 0)` is like `Relu`. Of other element-wise operators with one operand that carries, it gets all.
///
/// # Errors
/// The graph can't be treated.
pub fn steered(
    rules: &DeepLift,
    cx: &mut Context<'_, '_>,
    node: &Node,
    which: &[usize],
    m: ValueId,
) -> Result<Outcome> {
    let elementwise = matches!(
        node.op,
        Op::Where(_)
            | Op::Clip(_)
            | Op::Variadic(_)
            | Op::Binary(Binary::Add | Binary::Sub | Binary::Mul | Binary::Div | Binary::Pow | Binary::PRelu)
    );
    match (elementwise, &cx.carrier_operands(node)[..], which, &node.op) {
        (true, _, [0], Op::Where(_)) => switched(rules, cx, node, m),
        (true, [operand], _, _) => sole(rules, cx, node, *operand, m),
        _ => Ok(Outcome::NoRule(format!(
            "its operand {} depends on the explained input through comparisons or integers and is another one at the \
             baseline",
            which[0]
        ))),
    }
}

/// All of the difference to the only operand that carries.
fn sole(
    rules: &DeepLift,
    cx: &mut Context<'_, '_>,
    node: &Node,
    operand: usize,
    m: ValueId,
) -> Result<Outcome> {
    let (Some(x), Some(y)) = (node.input(operand), node.output(0)) else {
        return Err(Error::malformed("an operator lacks an operand").into());
    };
    let slope = match Gradient.backward(cx, node, &[Some(m)])? {
        Outcome::Signals(signals) => signals.get(operand).copied().flatten(),
        refused => return Ok(refused),
    };
    let Some(slope) = slope else { return Ok(Outcome::NoRule("it has no derivative".into())) };
    let dy = rules.difference(cx, y)?;
    let amount = cx.b.mul(m, dy)?;
    let amount = cx.b.sum_to(amount, x)?;
    let dx = rules.difference(cx, x)?;
    let signal = quotient(cx, amount, dx, slope)?;
    Ok(Outcome::at(operand, node.inputs.len(), signal))
}

/// `Where` with another condition at the baseline. Where the condition is the same, all goes to the branch that it takes.
fn switched(rules: &DeepLift, cx: &mut Context<'_, '_>, node: &Node, m: ValueId) -> Result<Outcome> {
    let (Some(condition), Some(y)) = (node.input(0), node.output(0)) else {
        return Err(Error::malformed("Where lacks an operand").into());
    };
    let far = rules.counterpart(condition);
    let other = cx.b.op(Binary::Xor, &[condition, far])?;
    let dy = rules.difference(cx, y)?;
    let amount = cx.b.mul(m, dy)?;
    let mut size: Option<ValueId> = None;
    let mut differences = vec![];
    for i in cx.carrier_operands(node) {
        let Some(x) = node.input(i) else { continue };
        let dx = rules.difference(cx, x)?;
        let length = cx.b.abs(dx)?;
        differences.push((i, x, dx));
        size = Some(match size {
            None => length,
            Some(before) => cx.b.add(before, length)?,
        });
    }
    let Some(size) = size else { return Ok(Outcome::Signals(vec![None; node.inputs.len()])) };
    let zero = cx.b.scalar(0.0, m)?;
    let nothing = cx.b.op(Binary::Equal, &[size, zero])?;
    let share = cx.b.div(amount, size)?;
    let share = cx.b.select(nothing, zero, share)?;
    let mut signals = vec![None; node.inputs.len()];
    for (i, x, dx) in differences {
        let sign = cx.b.unary(Unary::Sign, dx)?;
        let switched = cx.b.mul(share, sign)?;
        let same = match i {
            1 => cx.b.select(condition, m, zero)?,
            _ => cx.b.select(condition, zero, m)?,
        };
        let signal = cx.b.select(other, switched, same)?;
        cx.b.assume_shape(signal, y);
        signals[i] = Some(cx.b.sum_to(signal, x)?);
    }
    Ok(Outcome::Signals(signals))
}

/// `amount / dx`, and `slope` where nothing differs.
fn quotient(cx: &mut Context<'_, '_>, amount: ValueId, dx: ValueId, slope: ValueId) -> Result<ValueId> {
    let zero = cx.b.scalar(0.0, dx)?;
    let same = cx.b.op(Binary::Equal, &[dx, zero])?;
    let ratio = cx.b.div(amount, dx)?;
    let signal = cx.b.select(same, slope, ratio)?;
    cx.b.assume_shape(signal, dx);
    Ok(signal)
}
