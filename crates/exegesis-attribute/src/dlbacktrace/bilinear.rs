//! Products of two activations (specification 5.4): every term `A_ik B_kj` takes its magnitude share, half of which goes
//! to each factor.

use exegesis_graph::op;
use exegesis_graph::{Error, Node, Op, ValueId};

use super::linear_core::safe_share;
use super::options::Bilinear;
use crate::Result;
use crate::linear::{einsum_adjoint, is_reversible_einsum, matmul_adjoint_left, matmul_adjoint_right};
use crate::rule::{Context, Outcome};

/// `n = r / (2 |A| |B|)`, `R_A = |A| * (n |B|^T)`, `R_B = |B| * (|A|^T n)`; with [`Bilinear::Ratio`] of the signed values,
/// `n = r / st(2 A B)` with `st(z)` at least 1e-9 in size.
///
/// # Errors
/// The graph can't be treated.
pub fn default_mode(cx: &mut Context<'_, '_>, node: &Node, r: ValueId, form: Bilinear) -> Result<Outcome> {
    let operands: Vec<ValueId> = node.inputs.iter().flatten().copied().collect();
    let &[a, b] = operands.as_slice() else {
        return Ok(Outcome::NoRule("only products of two operands have a rule".into()));
    };
    if matches!(node.op, Op::Einsum(_)) && !(0..2).all(|i| is_reversible_einsum(node, i)) {
        return Ok(Outcome::NoRule("its equation can't be reversed".into()));
    }
    if form == Bilinear::Ratio {
        return ratio(cx, node, r, [a, b]);
    }
    let (abs_a, abs_b) = (cx.b.abs(a)?, cx.b.abs(b)?);
    let d = match &node.op {
        Op::MatMul(_) => cx.b.op(op::MatMul {}, &[abs_a, abs_b])?,
        Op::Einsum(einsum) => cx.b.op(einsum.clone(), &[abs_a, abs_b])?,
        _ => return Err(Error::unsupported("a product of another kind").into()),
    };
    cx.b.assume_shape(d, r);
    let n = safe_share(cx, r, d)?;
    let half = cx.b.mul_scalar(n, 0.5)?;
    let (back_a, back_b) = adjoints(cx, node, half, [a, b], [abs_a, abs_b])?;
    let on_a = cx.b.mul(abs_a, back_a)?;
    let on_b = cx.b.mul(abs_b, back_b)?;
    cx.b.assume_shape(on_a, a);
    cx.b.assume_shape(on_b, b);
    cx.sends_vanishing = true;
    Ok(Outcome::Signals(vec![Some(on_a), Some(on_b)]))
}

/// `n B'^T` and `A'^T n` for factors `A'`, `B'` of the shapes of the operands `[a, b]`.
fn adjoints(
    cx: &mut Context<'_, '_>,
    node: &Node,
    n: ValueId,
    [a, b]: [ValueId; 2],
    factors: [ValueId; 2],
) -> Result<(ValueId, ValueId)> {
    Ok(match &node.op {
        Op::MatMul(_) => {
            (matmul_adjoint_left(cx, n, factors[1], a)?, matmul_adjoint_right(cx, n, factors[0], b)?)
        }
        _ => (
            einsum_adjoint(cx, node, n, &[factors[1]], a, 0)?,
            einsum_adjoint(cx, node, n, &[factors[0]], b, 1)?,
        ),
    })
}

/// The form of the original family: shares of the signed sum.
fn ratio(cx: &mut Context<'_, '_>, node: &Node, r: ValueId, [a, b]: [ValueId; 2]) -> Result<Outcome> {
    let output = node.output(0).ok_or_else(|| Error::malformed("a product without output"))?;
    let twice = cx.b.mul_scalar(output, 2.0)?;
    let size = cx.b.abs(twice)?;
    let least = cx.b.scalar(1e-9, size)?;
    let small = cx.b.op(op::Binary::Less, &[size, least])?;
    let zero = cx.b.scalar(0.0, twice)?;
    let negative = cx.b.op(op::Binary::Less, &[twice, zero])?;
    let minus = cx.b.scalar(-1e-9, size)?;
    let signed = cx.b.select(negative, minus, least)?;
    let divisor = cx.b.select(small, signed, twice)?;
    let n = cx.b.div(r, divisor)?;
    cx.b.assume_shape(n, r);
    let (back_a, back_b) = adjoints(cx, node, n, [a, b], [a, b])?;
    let (on_a, on_b) = (cx.b.mul(a, back_a)?, cx.b.mul(b, back_b)?);
    cx.b.assume_shape(on_a, a);
    cx.b.assume_shape(on_b, b);
    Ok(Outcome::Signals(vec![Some(on_a), Some(on_b)]))
}
