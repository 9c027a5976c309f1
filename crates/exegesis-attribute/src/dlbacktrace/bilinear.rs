//! Products of two activations (specification 5.4): every term `A_ik B_kj` takes its magnitude share, half of which goes
//! to each factor.

use exegesis_graph::op;
use exegesis_graph::{Error, Node, Op, ValueId};

use super::linear_core::safe_share;
use crate::Result;
use crate::linear::{einsum_adjoint, is_reversible_einsum, matmul_adjoint_left, matmul_adjoint_right};
use crate::rule::{Context, Outcome};

/// `n = r / (2 |A| |B|)`, `R_A = |A| * (n |B|^T)`, `R_B = |B| * (|A|^T n)`.
///
/// # Errors
/// The graph can't be treated.
pub fn default_mode(cx: &mut Context<'_, '_>, node: &Node, r: ValueId) -> Result<Outcome> {
    let operands: Vec<ValueId> = node.inputs.iter().flatten().copied().collect();
    let &[a, b] = operands.as_slice() else {
        return Ok(Outcome::NoRule("only products of two operands have a rule".into()));
    };
    if matches!(node.op, Op::Einsum(_)) && !(0..2).all(|i| is_reversible_einsum(node, i)) {
        return Ok(Outcome::NoRule("its equation can't be reversed".into()));
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
    let (back_a, back_b) = match &node.op {
        Op::MatMul(_) => {
            (matmul_adjoint_left(cx, half, abs_b, a)?, matmul_adjoint_right(cx, half, abs_a, b)?)
        }
        _ => {
            (einsum_adjoint(cx, node, half, &[abs_b], a, 0)?, einsum_adjoint(cx, node, half, &[abs_a], b, 1)?)
        }
    };
    let on_a = cx.b.mul(abs_a, back_a)?;
    let on_b = cx.b.mul(abs_b, back_b)?;
    cx.b.assume_shape(on_a, a);
    cx.b.assume_shape(on_b, b);
    cx.sends_vanishing = true;
    Ok(Outcome::Signals(vec![Some(on_a), Some(on_b)]))
}
