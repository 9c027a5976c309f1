//! Batch normalisation at inference as a linear map of one term per unit.

use exegesis_graph::op::Unary;
use exegesis_graph::{Error, Node, Op, ValueId};

use crate::Result;
use crate::rule::Context;

/// `y = w x + b` with `w = scale / sqrt(var + eps)` and `b = shift - w mean`, both in shapes that broadcast to `x`.
pub struct Diagonal {
    /// The operand.
    pub x: ValueId,
    /// Its factor, per channel.
    pub w: ValueId,
    /// What is added, per channel.
    pub bias: ValueId,
}

/// The node as such a map, or why it is none.
///
/// # Errors
/// A batch normalisation without its parameters, or a graph that can't be treated.
pub fn diagonal(
    cx: &mut Context<'_, '_>,
    node: &Node,
) -> Result<std::result::Result<Diagonal, &'static str>> {
    let Op::BatchNormalization(norm) = &node.op else { return Ok(Err("it is no batch normalisation")) };
    let [Some(x), Some(gamma), Some(beta), Some(mean), Some(variance)] =
        [0, 1, 2, 3, 4].map(|i| node.input(i))
    else {
        return Err(Error::malformed("a batch normalisation without its parameters").into());
    };
    if cx.carrier_operands(node) != [0] {
        return Ok(Err("its parameters depend on the explained input"));
    }
    let variance = cx.b.add_scalar(variance, f64::from(norm.epsilon))?;
    let deviation = cx.b.unary(Unary::Sqrt, variance)?;
    let w = cx.b.div(gamma, deviation)?;
    let shift = cx.b.mul(w, mean)?;
    let bias = cx.b.sub(beta, shift)?;
    let mut dims = vec![1i64; cx.b.rank(x)?];
    if let Some(channels) = dims.get_mut(1) {
        *channels = -1;
    }
    let (w, bias) = (cx.b.reshape_to(w, &dims)?, cx.b.reshape_to(bias, &dims)?);
    Ok(Ok(Diagonal { x, w, bias }))
}
