//! Guided backpropagation: the gradient, with positive signals through ReLU only (Springenberg et al. 2014, arXiv 1412.6806).

use exegesis_graph::op::{Unary, Variadic};
use exegesis_graph::{Graph, Node, Op, ValueId};

use super::Gradient;
use crate::Result;
use crate::rule::{Context, Outcome, RuleSet};
use crate::walk::AppliedRule;

/// Rule set of guided backpropagation: at `y = relu(x)` the signal on `x` is `max(g, 0)` where `x > 0`, else 0. What
/// computes the same is a ReLU too, and so is one that is cut off above: `Max(x, 0)`, `Clip(x, 0)`, `Clip(x, 0, 6)`.
pub struct GuidedBackprop;

/// Name of the rule at a ReLU.
const GUIDED: &str = "guided";

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
        let (Some(operand), Some(g)) = (rectified(cx.b.graph(), node), signals.first().copied().flatten())
        else {
            return Gradient.backward(cx, node, signals);
        };
        let positive = cx.b.unary(Unary::Relu, g)?;
        cx.b.assume_shape(positive, g);
        cx.rule = GUIDED;
        let (Op::Variadic(_), Some(x), Some(y)) = (&node.op, node.input(operand), node.output(0)) else {
            return Gradient.backward(cx, node, &[Some(positive)]);
        };
        if !cx.carries(node, operand) || cx.b.shape(x)? != cx.b.shape(y)? {
            return Gradient.backward(cx, node, &[Some(positive)]);
        }
        // A maximum would share a tie at 0 with the constant.
        let mut relu = node.clone();
        relu.op = Unary::Relu.into();
        relu.inputs = vec![Some(x)];
        Ok(match Gradient.backward(cx, &relu, &[Some(positive)])? {
            Outcome::Signals(found) => {
                let mut all = vec![None; node.inputs.len()];
                all[operand] = found.first().copied().flatten();
                Outcome::Signals(all)
            }
            refused => refused,
        })
    }
}

/// What a user should know whose model has no ReLU on the way.
pub fn note(rules: &[AppliedRule]) -> Option<String> {
    (!rules.iter().any(|r| r.rule == GUIDED)).then(|| {
        "no ReLU lies between input and target: guided backpropagation is the plain gradient here".to_string()
    })
}

/// The operand that is rectified, if the node is a ReLU in some spelling.
fn rectified(graph: &Graph, node: &Node) -> Option<usize> {
    let is_zero = |v: Option<ValueId>| {
        let values = v.and_then(|v| graph.constant(v)).and_then(|t| t.to_f64());
        values.is_some_and(|values| !values.is_empty() && values.iter().all(|v| *v == 0.0))
    };
    match &node.op {
        Op::Unary(Unary::Relu) => Some(0),
        Op::Clip(_) => is_zero(node.input(1)).then_some(0),
        Op::Variadic(Variadic::Max) if node.inputs.len() == 2 => {
            (0..2).find(|operand| is_zero(node.input(1 - operand)))
        }
        _ => None,
    }
}
