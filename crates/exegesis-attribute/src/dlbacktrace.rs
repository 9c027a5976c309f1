//! DLBacktrace, default mode: the relevance of a unit is shared among the terms that formed its value, in proportion to
//! their magnitude; the bias keeps its share (arXiv 2411.12643, first version; corrections are stated at the rules).

mod bilinear;
mod elementwise;
mod linear_core;

use exegesis_graph::op::{Binary, ResizeMode, Unary, Variadic};
use exegesis_graph::{Node, Op, ValueId};
use rustc_hash::FxHashSet;

use crate::linear::{Coefficients, LinearMap};
use crate::rule::{Context, Outcome, RuleSet};
use crate::{Result, movement};

/// Below this a magnitude counts as zero in f32: the unit is dead.
pub(crate) const DEAD: f64 = 1e-30;

/// Rule set of DLBacktrace in default mode.
#[derive(Clone, Debug, Default)]
pub struct DlBacktraceRules {
    /// Nodes (by name) that add a constant to a token embedding before the first other layer: relevance passes to the
    /// tokens (`[ours]`, specification 5.2).
    pub embedding_adds: FxHashSet<String>,
}

impl RuleSet for DlBacktraceRules {
    fn name(&self) -> &'static str {
        "dlbacktrace"
    }

    fn is_relevance(&self) -> bool {
        true
    }

    fn backward(
        &self,
        cx: &mut Context<'_, '_>,
        node: &Node,
        signals: &[Option<ValueId>],
    ) -> Result<Outcome> {
        let count = node.inputs.len();
        let first = signals.first().copied().flatten();
        if let Some(map) = LinearMap::of(cx, node)? {
            let Some(r) = first else { return Ok(Outcome::Signals(vec![None; count])) };
            if matches!(&node.op, Op::Resize(resize) if resize.mode == ResizeMode::Nearest) {
                // Each cell goes to the one that it was copied from.
                let relevance = map.adjoint(cx, r, Coefficients::Signed)?;
                cx.sends_vanishing = cx.vanishes;
                return Ok(Outcome::at(map.operand, count, relevance));
            }
            let relevance = linear_core::default_mode(cx, &map, r)?;
            return Ok(Outcome::at(map.operand, count, relevance));
        }
        if let Some(outcome) = movement::backward(cx, node, signals)? {
            // An operand that is 0 was copied to a 0, or won as one.
            cx.sends_vanishing = cx.vanishes;
            return Ok(outcome);
        }
        let Some(r) = first else {
            return Ok(Outcome::NoRule("only its first output has a rule".into()));
        };
        match &node.op {
            Op::Binary(Binary::Add) if self.embedding_adds.contains(&node.name) => {
                let carriers = cx.carrier_operands(node);
                elementwise::pass_to(cx, node, carriers.first().copied().unwrap_or(0), r)
            }
            Op::Binary(Binary::Add) if node.role == exegesis_graph::Role::AttentionMask => {
                elementwise::to_first_carrier(cx, node, r)
            }
            Op::Binary(Binary::Add | Binary::Sub) | Op::Variadic(Variadic::Sum | Variadic::Mean) => {
                elementwise::share(cx, node, r)
            }
            Op::Binary(Binary::Mul) => elementwise::product(cx, node, r),
            Op::Binary(Binary::Div | Binary::Pow | Binary::PRelu) => {
                elementwise::to_first_carrier(cx, node, r)
            }
            Op::MatMul(_) | Op::Einsum(_) => bilinear::default_mode(cx, node, r),
            Op::Reduce(reduce) => elementwise::reduction(cx, node, reduce.kind, r),
            Op::Unary(kind) if !matches!(kind, Unary::IsNaN | Unary::Not | Unary::BitwiseNot) => {
                elementwise::pass_to(cx, node, 0, r)
            }
            Op::Clip(_)
            | Op::Elu(_)
            | Op::Celu(_)
            | Op::Selu(_)
            | Op::LeakyRelu(_)
            | Op::ThresholdedRelu(_)
            | Op::Shrink(_)
            | Op::HardSigmoid(_)
            | Op::Swish(_)
            | Op::Gelu(_)
            | Op::OneMinusSigmoid(_)
            | Op::Softmax(_)
            | Op::LogSoftmax(_)
            | Op::BatchNormalization(_)
            | Op::LayerNormalization(_)
            | Op::RmsNormalization(_)
            | Op::InstanceNormalization(_)
            | Op::GroupNormalization(_)
            | Op::LpNormalization(_)
            | Op::Lrn(_) => elementwise::pass_to_data(cx, node, r),
            _ => Ok(Outcome::NoRule("no relevance rule for this operator".into())),
        }
    }
}
