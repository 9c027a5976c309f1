//! Products of two activations in contrastive mode (specification 5.4): the terms of an output are `A_ik B_kj`, half of a term's
//! relevance goes to each factor. Factors are taken apart by sign, so that only numbers of one sign are added: by differences,
//! as in layers, a side of few and small terms would be as large as its rounding, which short sums often have.

use exegesis_graph::op::{self, HardSigmoid, Unary};
use exegesis_graph::{Error, Node, Op, ValueId};

use crate::Result;
use crate::dlbacktrace::{DEAD, linear_core};
use crate::linear::{einsum_adjoint, is_reversible_einsum, matmul_adjoint_left, matmul_adjoint_right};
use crate::rule::{Context, Outcome};

/// A factor's values of one sign, by magnitude.
#[derive(Clone, Copy)]
struct Part {
    positive: bool,
    values: ValueId,
}

/// `P` and `N`, the sums of the positive terms and of the magnitudes of the negative ones.
struct Sides {
    p: ValueId,
    n: ValueId,
}

/// With `P = A+ B+ + A- B-` and `N = A+ B- + A- B+`, a channel that takes the positive terms has `a = r / 2P` and `e = 0`, one
/// that takes the negative ones `a = 0` and `e = r / 2N`; `R_A = A+ (a B+^T + e B-^T) + A- (a B-^T + e B+^T)`, and `R_B` alike.
/// Where one of `P` and `N` is 0, both channels take the other side. `None` where no term can be negative.
///
/// # Errors
/// The graph can't be treated.
pub fn bilinear(cx: &mut Context<'_, '_>, node: &Node, r: [ValueId; 2]) -> Result<Option<Vec<Outcome>>> {
    let refuse = |reason: &str| Ok(Some(vec![Outcome::NoRule(reason.to_string())]));
    let operands: Vec<ValueId> = node.inputs.iter().flatten().copied().collect();
    let &[a, b] = operands.as_slice() else {
        return refuse("only products of two operands have a rule");
    };
    if matches!(node.op, Op::Einsum(_)) && !(0..2).all(|i| is_reversible_einsum(node, i)) {
        return refuse("its equation can't be reversed");
    }
    let parts = [parts(cx, a)?, parts(cx, b)?];
    let Some(sides) = sides(cx, node, &parts, r[0])? else { return Ok(None) };
    let takes = takes_positive(cx, node, r, &sides)?;
    let terms = cx.b.add(sides.p, sides.n)?;
    let floored = cx.b.add_scalar(terms, DEAD)?;
    cx.b.assume_shape(floored, r[0]);
    let mut outcomes = vec![];
    for (channel, (r, takes)) in r.into_iter().zip(takes).enumerate() {
        cx.enter(channel);
        cx.b.assume_shape(takes, r);
        let other = cx.b.op(HardSigmoid { alpha: -1.0, beta: 1.0 }, &[takes])?;
        let (of_p, of_n) = (cx.b.mul(takes, sides.p)?, cx.b.mul(other, sides.n)?);
        let side = cx.b.add(of_p, of_n)?;
        let side = cx.b.add_scalar(side, DEAD)?;
        let alive = if cx.vanishes { r } else { linear_core::alive(cx, r, floored)? };
        let share = cx.b.div(alive, side)?;
        let half = cx.b.mul_scalar(share, 0.5)?;
        cx.b.assume_shape(half, r);
        let positive = cx.b.mul(half, takes)?;
        let negative = cx.b.sub(half, positive)?;
        let mut signals = vec![];
        for (index, operand) in [a, b].into_iter().enumerate() {
            let mut signal: Option<ValueId> = None;
            for own in &parts[index] {
                let mut back: Option<ValueId> = None;
                for other in &parts[1 - index] {
                    let g = if own.positive == other.positive { positive } else { negative };
                    let part = adjoint(cx, node, index, g, other.values, operand)?;
                    back = Some(plus(cx, back, part)?);
                }
                let Some(back) = back else { continue };
                let part = cx.b.mul(own.values, back)?;
                signal = Some(plus(cx, signal, part)?);
            }
            if let Some(signal) = signal {
                cx.b.assume_shape(signal, operand);
            }
            signals.push(signal);
        }
        cx.sends_vanishing = true;
        outcomes.push(Outcome::Signals(signals));
    }
    cx.enter(0);
    Ok(Some(outcomes))
}

/// A factor taken apart by sign.
fn parts(cx: &mut Context<'_, '_>, v: ValueId) -> Result<Vec<Part>> {
    if cx.b.is_non_negative(v) {
        return Ok(vec![Part { positive: true, values: v }]);
    }
    let positive = cx.b.unary(Unary::Relu, v)?;
    let flipped = cx.b.unary(Unary::Neg, v)?;
    let negative = cx.b.unary(Unary::Relu, flipped)?;
    Ok(vec![Part { positive: true, values: positive }, Part { positive: false, values: negative }])
}

/// Both sides, or `None` where there is no negative term.
fn sides(
    cx: &mut Context<'_, '_>,
    node: &Node,
    [of_a, of_b]: &[Vec<Part>; 2],
    like: ValueId,
) -> Result<Option<Sides>> {
    let (mut p, mut n) = (None, None);
    for a in of_a {
        for b in of_b {
            let product = match &node.op {
                Op::Einsum(einsum) => cx.b.op(einsum.clone(), &[a.values, b.values])?,
                Op::MatMul(_) => cx.b.op(op::MatMul {}, &[a.values, b.values])?,
                _ => return Err(Error::unsupported("a product of another kind").into()),
            };
            cx.b.assume_shape(product, like);
            let side = if a.positive == b.positive { &mut p } else { &mut n };
            *side = Some(plus(cx, *side, product)?);
        }
    }
    Ok(p.zip(n).map(|(p, n)| Sides { p, n }))
}

/// Per channel, 1 where it takes the positive terms and 0 where it takes the negative ones.
fn takes_positive(
    cx: &mut Context<'_, '_>,
    node: &Node,
    r: [ValueId; 2],
    sides: &Sides,
) -> Result<[ValueId; 2]> {
    let output = node.output(0).ok_or_else(|| Error::malformed("a product without output"))?;
    let step = HardSigmoid { alpha: f32::MAX, beta: 0.0 };
    let difference = cx.b.sub(r[0], r[1])?;
    let agreement = cx.b.mul(difference, output)?;
    let agrees = cx.b.op(step.clone(), &[agreement])?;
    let has_p = cx.b.op(step.clone(), &[sides.p])?;
    let has_n = cx.b.op(step, &[sides.n])?;
    // 1 where there are only positive terms, -1 where there are only negative ones.
    let lone = cx.b.sub(has_p, has_n)?;
    let (sum, difference) = (cx.b.add(lone, agrees)?, cx.b.sub(lone, agrees)?);
    Ok([
        cx.b.op(HardSigmoid { alpha: 1.0, beta: 0.0 }, &[sum])?,
        cx.b.op(HardSigmoid { alpha: 1.0, beta: 1.0 }, &[difference])?,
    ])
}

/// The signal on factor `index` of a signal on the product, given the other factor.
fn adjoint(
    cx: &mut Context<'_, '_>,
    node: &Node,
    index: usize,
    g: ValueId,
    other: ValueId,
    operand: ValueId,
) -> Result<ValueId> {
    match (&node.op, index) {
        (Op::Einsum(_), _) => einsum_adjoint(cx, node, g, &[other], operand, index),
        (_, 0) => matmul_adjoint_left(cx, g, other, operand),
        _ => matmul_adjoint_right(cx, g, other, operand),
    }
}

fn plus(cx: &mut Context<'_, '_>, sum: Option<ValueId>, next: ValueId) -> Result<ValueId> {
    Ok(match sum {
        None => next,
        Some(before) => cx.b.add(before, next)?,
    })
}
