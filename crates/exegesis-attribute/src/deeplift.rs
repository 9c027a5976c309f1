//! DeepLIFT (Shrikumar, Greenside and Kundaje 2017, arXiv 1704.02685): multipliers between differences from a baseline.
//!
//! The graph gets a second instance of the model at the baseline. What flows back is, for each value, the contribution per
//! unit of its difference: the multiplier `m`. Every rule shares `m_y (y - y')` among the operands without a remainder, so the
//! attributions `(x - x') m_x` sum to `f(x) - f(x')`; where `x` comes close to `x'` every multiplier tends to the gradient.
//!
//! | operators | file |
//! |---|---|
//! | functions of one element | `rescale` |
//! | products, quotients, powers | `products` |
//! | softmax and its relatives | `softmax` |
//! | normalisations | `normalization` |
//! | reductions to norms | `reduction` |
//! | maxima, selections by a condition | `selection` |
//! | pairs that quantise | `quantized` |
//!
//! Linear maps, sums and movement have the rules of the gradient.

mod normalization;
pub mod options;
mod products;
mod quantized;
mod reduction;
mod rescale;
mod selection;
mod softmax;

use exegesis_graph::op::{Binary, ReduceKind, ScatterReduction, Variadic};
use exegesis_graph::{Builder, Node, Op, ValueId, instance};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::attributed::{Attributed, Situation};
use crate::error::Result;
use crate::gradient::Gradient;
use crate::linear::LinearMap;
use crate::request::NodeSelection;
use crate::rule::{Context, Outcome, Quantity, RuleSet, Within};
use crate::{baseline, movement, quantization, reverse_loop};

/// Attributions by the rescale rule, against the baseline of the request.
///
/// # Errors
/// A node without a rule, or a baseline that does not fit.
pub(crate) fn attribute(b: &mut Builder<'_>, situation: &mut Situation<'_>) -> Result<Attributed> {
    let baselines = baseline::values(b, situation.request.baseline, situation.inputs)?;
    let value = situation.seed.value;
    let reference = instance(b.graph_mut(), &[value], &baselines)?;
    let rules = DeepLift::new(reference);
    let mut walked = situation.walk(b, &rules, situation.roots)?;
    let keeps_inner = situation.request.nodes != NodeSelection::None;
    for signals in &mut walked.channels {
        let mut values: Vec<ValueId> = signals.keys().copied().collect();
        values.sort();
        for value in values {
            let (true, Some(signal)) =
                (keeps_inner || situation.roots.contains(&value), signals.get(&value).copied())
            else {
                continue;
            };
            // Integers of a quantised value have no difference in its unit.
            if !b.dtype(value).is_float() {
                continue;
            }
            let difference = b.sub(value, rules.counterpart(value))?;
            let contribution = b.mul(difference, signal)?;
            b.assume_shape(contribution, value);
            signals.insert(value, contribution);
        }
    }
    let total = match (situation.score(b, value)?, situation.score(b, rules.counterpart(value))?) {
        (Some(here), Some(there)) => Some(b.sub(here, there)?),
        _ => None,
    };
    Ok(Attributed { walked, total, ..Attributed::default() })
}

/// Rule set of DeepLIFT: for `y = f(x)` with multiplier `m_y`, multipliers with `sum m_x (x - x') = sum m_y (y - y')`.
pub struct DeepLift {
    /// The value at the baseline, for every value that differs there.
    reference: FxHashMap<ValueId, ValueId>,
}

impl DeepLift {
    /// Rules for a graph with a second instance of itself at the baseline; `reference` maps values to their counterparts
    /// ([`exegesis_graph::instance`]).
    #[must_use]
    pub fn new(reference: FxHashMap<ValueId, ValueId>) -> Self {
        Self { reference }
    }

    /// The value at the baseline that stands for `value`: itself if it does not depend on an input.
    fn counterpart(&self, value: ValueId) -> ValueId {
        self.reference.get(&value).copied().unwrap_or(value)
    }

    /// The node at the baseline.
    fn counterpart_node(&self, node: &Node) -> Node {
        let mut other = node.clone();
        for value in other.inputs.iter_mut().chain(&mut other.outputs).flatten() {
            *value = self.counterpart(*value);
        }
        other
    }

    /// `v - v'`.
    fn difference(&self, cx: &mut Context<'_, '_>, value: ValueId) -> Result<ValueId> {
        let difference = cx.b.sub(value, self.counterpart(value))?;
        cx.b.assume_shape(difference, value);
        Ok(difference)
    }

    /// `(v + v') / 2`; the value itself where it does not differ.
    fn mean(&self, cx: &mut Context<'_, '_>, value: ValueId) -> Result<ValueId> {
        let other = self.counterpart(value);
        if other == value {
            return Ok(value);
        }
        let sum = cx.b.add(value, other)?;
        let mean = cx.b.mul_scalar(sum, 0.5)?;
        cx.b.assume_shape(mean, value);
        Ok(mean)
    }

    /// True if an operand that receives nothing is another one at the baseline: it depends on an input through a
    /// comparison or integers.
    fn is_steered(&self, cx: &Context<'_, '_>, node: &Node, index: usize) -> bool {
        !cx.carries(node, index) && node.input(index).is_some_and(|v| self.counterpart(v) != v)
    }
}

impl RuleSet for DeepLift {
    fn name(&self) -> &'static str {
        "deeplift"
    }

    fn is_relevance(&self) -> bool {
        false
    }

    fn treats_every_node(&self) -> bool {
        true
    }

    fn backward(
        &self,
        cx: &mut Context<'_, '_>,
        node: &Node,
        signals: &[Option<ValueId>],
    ) -> Result<Outcome> {
        if reverse_loop::handles(&node.op) {
            return Ok(Outcome::NoRule(
                "a loop that stays one has no DeepLIFT rule; recurrent layers of at most 64 steps, whose number follows from \
                 the sizes of the inputs, are unrolled and have rules"
                    .into(),
            ));
        }
        if quantization::handles(node) {
            return quantized::backward(self, cx, node, signals);
        }
        // Splits have one signal per output and are linear.
        if matches!(node.op, Op::Split(_)) {
            return Gradient.backward(cx, node, signals);
        }
        let Some(m) = signals.first().copied().flatten() else {
            return Ok(Outcome::NoRule("only its first output has a DeepLIFT rule".into()));
        };
        let steered: Vec<usize> = (0..node.inputs.len()).filter(|i| self.is_steered(cx, node, *i)).collect();
        if !steered.is_empty() {
            return selection::steered(self, cx, node, &steered, m);
        }
        let carriers = cx.carrier_operands(node);
        if is_linear(&node.op, &carriers) || LinearMap::of(cx, node)?.is_some() {
            return Gradient.backward(cx, node, signals);
        }
        match &node.op {
            Op::Binary(Binary::Div) => products::division(self, cx, node, m),
            Op::Binary(Binary::Pow) => products::power(self, cx, node, m),
            Op::Binary(Binary::Mul) | Op::MatMul(_) | Op::Gemm(_) | Op::Conv(_) | Op::ConvTranspose(_) => {
                products::bilinear(self, cx, node, m)
            }
            Op::Einsum(_) if carriers.len() <= 2 => products::bilinear(self, cx, node, m),
            Op::Softmax(_) | Op::LogSoftmax(_) => softmax::backward(self, cx, node, m),
            Op::LayerNormalization(_)
            | Op::RmsNormalization(_)
            | Op::InstanceNormalization(_)
            | Op::GroupNormalization(_)
            | Op::LpNormalization(_)
            | Op::MeanVarianceNormalization(_) => normalization::backward(self, cx, node, m),
            Op::Lrn(_) => normalization::local_response(self, cx, node, m),
            Op::Reduce(reduce) if matches!(reduce.kind, ReduceKind::Max | ReduceKind::Min) => {
                selection::extreme(self, cx, node, m)
            }
            Op::Reduce(reduce) => reduction::backward(self, cx, node, reduce.kind, m),
            Op::MaxPool(_) | Op::GlobalMaxPool(_) | Op::Variadic(Variadic::Max | Variadic::Min) => {
                selection::extreme(self, cx, node, m)
            }
            Op::TopK(_) => selection::top(self, cx, node, m),
            _ if movement::handles(&node.op) => {
                Ok(Outcome::NoRule("no DeepLIFT rule for this form of it".into()))
            }
            _ => rescale::backward(self, cx, node, m),
        }
    }
}

/// True for operators that are linear (or affine) in the operands that carry, so that the adjoint shares differences
/// exactly.
fn is_linear(op: &Op, carriers: &[usize]) -> bool {
    match op {
        Op::Binary(Binary::Add | Binary::Sub) | Op::Variadic(Variadic::Sum | Variadic::Mean) => true,
        Op::Binary(Binary::Mul) => carriers.len() == 1,
        Op::Binary(Binary::Div) | Op::BatchNormalization(_) | Op::GridSample(_) | Op::Resize(_) => {
            carriers == [0]
        }
        Op::RoiAlign(op) => carriers == [0] && op.mode == "avg",
        Op::Compress(_) => carriers == [0],
        Op::Range(_) | Op::EyeLike(_) => true,
        Op::OneHot(_) => carriers == [2],
        Op::ScatterElements(s) => matches!(s.reduction, ScatterReduction::None | ScatterReduction::Add),
        Op::ScatterND(s) => matches!(s.reduction, ScatterReduction::None | ScatterReduction::Add),
        Op::Reduce(reduce) => matches!(reduce.kind, ReduceKind::Sum | ReduceKind::Mean),
        Op::Variadic(_) | Op::MaxPool(_) | Op::GlobalMaxPool(_) | Op::TopK(_) => false,
        _ => movement::handles(op),
    }
}

/// The signals that the gradient gives for `node` if `carriers` are what receives.
///
/// # Errors
/// As [`RuleSet::backward`].
fn gradient_for(
    cx: &mut Context<'_, '_>,
    node: &Node,
    carriers: impl IntoIterator<Item = ValueId>,
    g: ValueId,
) -> Result<Outcome> {
    let carriers: FxHashSet<ValueId> = carriers.into_iter().collect();
    let mut inner = Context {
        b: &mut *cx.b,
        carriers: &carriers,
        ledger: &mut *cx.ledger,
        batch: cx.batch,
        vanishes: false,
        one_hot: None,
        sends_vanishing: false,
        channel: cx.channel,
        rule: "",
        flows: cx.flows.clone(),
        within: Within::default(),
        quantity: Quantity::Amount,
    };
    Gradient.backward(&mut inner, node, &[Some(g)])
}
