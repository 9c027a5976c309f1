//! Products of values that both vary: the midpoint rule, `m_a = m (b + b')/2` and `m_b = m (a + a')/2`, which is exact as
//! `a b - a' b' = (a - a') (b + b')/2 + (b - b') (a + a')/2`.

use exegesis_graph::op::{Binary, Unary};
use exegesis_graph::{Node, ValueId};

use super::{DeepLift, gradient_for, rescale};
use crate::Result;
use crate::rule::{Context, Outcome};

/// Operators that are linear in each of two operands: the adjoints of the gradient, with the other operand in the middle.
///
/// # Errors
/// The graph can't be treated.
pub fn bilinear(rules: &DeepLift, cx: &mut Context<'_, '_>, node: &Node, m: ValueId) -> Result<Outcome> {
    let mut middle = node.clone();
    let mut carriers = vec![];
    for i in cx.carrier_operands(node) {
        if let Some(value) = node.input(i) {
            let mean = rules.mean(cx, value)?;
            middle.inputs[i] = Some(mean);
            carriers.push(mean);
        }
    }
    gradient_for(cx, &middle, carriers, m)
}

/// `y = a / b`: with `L` the side of the larger `|b|` and `S` the other,
/// `y - y' = (a - a') / b_L - (b - b') a_S / (b b')`.
///
/// The midpoint rule would average `1/b`, which is huge where one side is nearly 0, as the deviation of a flat baseline is.
///
/// # Errors
/// The graph can't be treated.
pub fn division(rules: &DeepLift, cx: &mut Context<'_, '_>, node: &Node, m: ValueId) -> Result<Outcome> {
    let (Some(a), Some(b)) = (node.input(0), node.input(1)) else {
        return Ok(Outcome::NoRule("an operand is missing".into()));
    };
    let (far_a, far_b) = (rules.counterpart(a), rules.counterpart(b));
    let larger = is_larger(cx, b, far_b)?;
    let mut signals = vec![None, None];
    if cx.carries(node, 0) {
        let divisor = cx.b.select(larger, b, far_b)?;
        let signal = cx.b.div(m, divisor)?;
        signals[0] = Some(cx.b.sum_to(signal, a)?);
    }
    if cx.carries(node, 1) {
        let dividend = cx.b.select(larger, far_a, a)?;
        let signal = cx.b.mul(m, dividend)?;
        let signal = cx.b.div(signal, b)?;
        let signal = cx.b.div(signal, far_b)?;
        let signal = cx.b.unary(Unary::Neg, signal)?;
        signals[1] = Some(cx.b.sum_to(signal, b)?);
    }
    Ok(Outcome::Signals(signals))
}

/// `|v| >= |v'|`.
///
/// # Errors
/// The graph can't be treated.
pub fn is_larger(cx: &mut Context<'_, '_>, v: ValueId, far: ValueId) -> Result<ValueId> {
    let (size, far) = (cx.b.abs(v)?, cx.b.abs(far)?);
    Ok(cx.b.op(Binary::GreaterOrEqual, &[size, far])?)
}

/// `y = a^e`: for common exponents the quotient of differences has a form without cancellation, `a + a'` for 2,
/// `1 / (y + y')` for 1/2, `-y y'` for -1, `-(y y')^2 / (y + y')` for -1/2.
///
/// # Errors
/// The graph can't be treated.
pub fn power(rules: &DeepLift, cx: &mut Context<'_, '_>, node: &Node, m: ValueId) -> Result<Outcome> {
    let (Some(a), Some(b), Some(y)) = (node.input(0), node.input(1), node.output(0)) else {
        return Ok(Outcome::NoRule("an operand is missing".into()));
    };
    let operand = match cx.carrier_operands(node)[..] {
        [operand] => operand,
        _ => return Ok(Outcome::NoRule("base and exponent both vary".into())),
    };
    let exponent = cx.b.graph().constant(b).and_then(|t| t.single());
    let far = rules.counterpart(y);
    let signal = match exponent {
        Some(1.0) => m,
        Some(2.0) => {
            let sum = cx.b.add(a, rules.counterpart(a))?;
            cx.b.mul(m, sum)?
        }
        Some(0.5) => rescale::root(rules, cx, y, m)?,
        Some(-1.0) => {
            let product = cx.b.mul(y, far)?;
            let signal = cx.b.mul(m, product)?;
            cx.b.unary(Unary::Neg, signal)?
        }
        Some(-0.5) => {
            let product = cx.b.mul(y, far)?;
            let square = cx.b.mul(product, product)?;
            let sum = cx.b.add(y, far)?;
            let slope = cx.b.div(square, sum)?;
            let signal = cx.b.mul(m, slope)?;
            cx.b.unary(Unary::Neg, signal)?
        }
        _ => return rescale::power(rules, cx, node, operand, m),
    };
    let signal = cx.b.sum_to(signal, a)?;
    Ok(Outcome::at(0, node.inputs.len(), signal))
}
