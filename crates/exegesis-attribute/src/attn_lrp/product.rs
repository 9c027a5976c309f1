//! Sums and products of activations.

use std::cmp::Ordering;

use exegesis_graph::op::{Binary, Unary};
use exegesis_graph::{Dim, Node, Op, Role, ValueId};

use crate::Result;
use crate::ledger::Class;
use crate::linear::LinearMap;
use crate::movement;
use crate::rule::{Context, Outcome};

/// Who gets the relevance of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// Half to each factor (arXiv 2402.05602, equation 14); all to the one that depends on the input where only one does.
    Both,
    /// All to the factor at this position; the other is a constant.
    One(usize),
    /// The only factor that depends on the input is held constant: the product keeps everything.
    Nobody,
}

/// Nodes that are followed back from a factor to what it is made by.
const DEPTH: usize = 24;

/// How surely an operator makes gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Plain,
    Activation,
    Gate,
    Softmax,
}

/// What a value comes from, through movement, constant factors and normalisation of weights.
fn origin(cx: &Context<'_, '_>, mut value: ValueId) -> Origin {
    for _ in 0..DEPTH {
        let Some(node) = cx.b.graph().producer_node(value) else { return Origin::Plain };
        let carriers = cx.carrier_operands(node);
        let lone = if let [operand] = carriers.as_slice() { node.input(*operand) } else { None };
        let next = match &node.op {
            Op::Softmax(_) => return Origin::Softmax,
            Op::Unary(Unary::Sigmoid) | Op::HardSigmoid(_) | Op::OneMinusSigmoid(_) => return Origin::Gate,
            Op::Unary(
                Unary::Relu
                | Unary::Tanh
                | Unary::HardSwish
                | Unary::Mish
                | Unary::Softplus
                | Unary::Softsign
                | Unary::Exp,
            )
            | Op::Gelu(_)
            | Op::Swish(_)
            | Op::Elu(_)
            | Op::Celu(_)
            | Op::Selu(_)
            | Op::LeakyRelu(_) => return Origin::Activation,
            Op::Binary(Binary::Mul) => lone,
            Op::Binary(Binary::Div) => node.input(0),
            op if movement::handles(op) => lone,
            _ => None,
        };
        let Some(next) = next else { return Origin::Plain };
        value = next;
    }
    Origin::Plain
}

/// Who gets the relevance of a product with attention weights, or with the weights of experts: the other factor.
///
/// # Errors
/// The graph can't be treated.
pub fn with_attention_weights(cx: &Context<'_, '_>, node: &Node) -> Result<Option<Receiver>> {
    let is_matrix_product = matches!(node.op, Op::MatMul(_) | Op::Einsum(_));
    let [Some(a), Some(b)] = *node.inputs.as_slice() else { return Ok(None) };
    if !is_matrix_product && !matches!(node.op, Op::Binary(Binary::Mul)) {
        return Ok(None);
    }
    if node.role == Role::ExpertGate {
        // The gate is one number per token.
        let is_number = |v: ValueId| cx.b.shape(v).map(|s| s.last().is_none_or(|d| *d == Dim::Fixed(1)));
        match (is_number(a)?, is_number(b)?) {
            (true, false) if cx.carries(node, 1) => return Ok(Some(Receiver::One(1))),
            (false, true) if cx.carries(node, 0) => return Ok(Some(Receiver::One(0))),
            _ => {}
        }
    }
    let is_weights = |i: usize, v: ValueId| cx.carries(node, i) && origin(cx, v) == Origin::Softmax;
    let other = match (is_weights(0, a), is_weights(1, b)) {
        (true, false) => 1,
        (false, true) => 0,
        _ => return Ok(None),
    };
    if cx.carries(node, other) {
        return Ok(Some(Receiver::One(other)));
    }
    // A matrix of the model is a layer, not what is attended to.
    let value = if other == 0 { a } else { b };
    let attended = is_matrix_product && cx.b.graph().constant(value).is_none();
    Ok(attended.then_some(Receiver::Nobody))
}

/// Who gets the relevance of an element-wise product of two factors that depend on the input: the one that is less of a gate.
pub fn gated(cx: &Context<'_, '_>, node: &Node) -> Receiver {
    let (Some(a), Some(b)) = (node.input(0), node.input(1)) else { return Receiver::Both };
    match origin(cx, a).cmp(&origin(cx, b)) {
        Ordering::Greater => Receiver::One(1),
        Ordering::Less => Receiver::One(0),
        Ordering::Equal => Receiver::Both,
    }
}

/// Per unit, `g B^T` to `A` and `A^T g` to `B`, halved if both receive.
///
/// # Errors
/// The graph can't be treated.
pub fn backward(
    cx: &mut Context<'_, '_>,
    node: &Node,
    g: ValueId,
    receiver: Receiver,
) -> Result<Result<Vec<Option<ValueId>>, Outcome>> {
    let count = node.inputs.len();
    if receiver == Receiver::Nobody {
        if let Some(y) = node.output(0) {
            cx.absorb_difference(Class::Constant, &[(y, g)], &[])?;
        }
        return Ok(Ok(vec![None; count]));
    }
    if !matches!(node.op, Op::Binary(_))
        && let Some(bias) = LinearMap::in_operand(cx, node, 0)?.and_then(|map| map.bias)
    {
        let absorbed = cx.b.mul(g, bias)?;
        cx.absorb(Class::Bias, absorbed)?;
    }
    let both = receiver == Receiver::Both && cx.carries(node, 0) && cx.carries(node, 1);
    let g = if both { cx.b.mul_scalar(g, 0.5)? } else { g };
    let mut produced = super::gradient(cx, node, &[Some(g)])?;
    if let (Ok(signals), Receiver::One(kept)) = (&mut produced, receiver) {
        for (i, signal) in signals.iter_mut().enumerate() {
            *signal = signal.filter(|_| i == kept);
        }
    }
    Ok(produced)
}

/// Books the terms of a sum that do not depend on the explained input.
///
/// # Errors
/// The graph can't be treated.
pub fn book_terms(
    cx: &mut Context<'_, '_>,
    node: &Node,
    g: ValueId,
    signals: &[Option<ValueId>],
) -> Result<()> {
    let constant = |i: usize| !cx.carries(node, i) && node.input(i).is_some_and(|v| cx.b.dtype(v).is_float());
    if !(0..node.inputs.len()).any(constant) {
        return Ok(());
    }
    let Some(y) = node.output(0) else { return Ok(()) };
    let sent = super::sent(cx, node, signals);
    cx.absorb_difference(Class::of_term(node), &[(y, g)], &sent)
}
