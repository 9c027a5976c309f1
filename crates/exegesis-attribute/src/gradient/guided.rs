//! Guided backpropagation: the gradient, with positive signals through ReLU only (arXiv 1412.6806).

use exegesis_graph::op::Unary;
use exegesis_graph::{Node, Op, ValueId};

use super::Gradient;
use crate::Result;
use crate::rule::{Context, Outcome, RuleSet};

/// Rule set of guided backpropagation: at `y = relu(x)` the signal on `x` is `max(g, 0)` where `x > 0`, else 0.
pub struct GuidedBackprop;

impl RuleSet for GuidedBackprop {
    fn name(&self) -> &'static str {
        "guided-backprop"
    }

    fn is_relevance(&self) -> bool {
        false
    }

    fn backward(
        &self,
        cx: &mut Context<'_, '_>,
        node: &Node,
        signals: &[Option<ValueId>],
    ) -> Result<Outcome> {
        match (&node.op, signals.first().copied().flatten()) {
            (Op::Unary(Unary::Relu), Some(g)) => {
                let positive = cx.b.unary(Unary::Relu, g)?;
                cx.b.assume_shape(positive, g);
                Gradient.backward(cx, node, &[Some(positive)])
            }
            _ => Gradient.backward(cx, node, signals),
        }
    }
}
