//! DLBacktrace: the relevance of a unit is shared among the terms that formed its value, in proportion to their magnitude;
//! the bias keeps its share (arXiv 2411.12643, first version; corrections are stated at the rules). In contrastive mode two
//! channels flow together.

mod bilinear;
mod compat;
mod contrast;
pub(crate) mod elementwise;
mod linear_core;
pub mod options;
mod saturation;
mod scatter;

use exegesis_graph::op::{Binary, ResizeMode, Unary, Variadic};
use exegesis_graph::{Graph, Node, Op, Role, ValueId};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::linear::{Coefficients, LinearMap};
use crate::operators::is_activation;
use crate::rule::{Context, Outcome, RuleSet, each_channel};
use crate::{Result, movement};
pub(crate) use contrast::MANY_TERMS;
use options::{Compat, ConstAdd, DivRule, DlBacktrace, Mode, Norm, ScoreBias};
use saturation::Bounded;

/// Below this a magnitude counts as zero in f32: the unit is dead.
pub(crate) const DEAD: f64 = 1e-30;

/// Rule set of DLBacktrace.
#[derive(Clone, Debug, Default)]
pub struct DlBacktraceRules {
    options: DlBacktrace,
    /// Nodes (by name) that add a constant to a token embedding before the first other layer: relevance passes to the
    /// tokens (`[ours]`, specification 5.2).
    embedding_adds: FxHashSet<String>,
    /// Layers before a bounded activation, where saturation counts.
    bounded: FxHashMap<String, Bounded>,
}

/// Which rule of the specification a node gets.
enum Rule {
    /// Section 4.
    Linear(LinearMap),
    /// Each output is a copy of an input.
    Copy(LinearMap),
    /// Index maps, selections, maxima.
    Movement,
    /// All to one operand.
    PassTo(usize),
    /// All to the data, whose parameters take nothing.
    PassToData,
    /// All to the first operand that depends on the input.
    ToFirstCarrier,
    /// Half to each of two operands.
    Halves,
    /// By magnitude.
    Share,
    /// Products.
    Product,
    /// Sums of products of two activations.
    Bilinear,
    /// Additive scatters.
    Scatter,
    /// Norms and products along axes.
    Reduction(exegesis_graph::op::ReduceKind),
    /// Batch normalisation as a linear layer.
    Affine,
    /// None, and why.
    None(&'static str),
}

impl Rule {
    fn name(&self) -> &'static str {
        match self {
            Self::Linear(_) => "linear core",
            Self::Copy(_) => "copy",
            Self::Movement => "index map",
            Self::PassTo(_) | Self::PassToData | Self::ToFirstCarrier => "pass",
            Self::Halves => "halves",
            Self::Share | Self::Scatter => "share",
            Self::Product => "product",
            Self::Bilinear => "bilinear",
            Self::Reduction(_) => "share of a reduction",
            Self::Affine => "affine norm",
            Self::None(_) => "none",
        }
    }
}

impl DlBacktraceRules {
    /// The rules with these options. `embedding_adds` names the nodes that add constants to token embeddings; `graph` is what
    /// will be walked.
    pub fn new(options: DlBacktrace, embedding_adds: FxHashSet<String>, graph: &Graph) -> Self {
        let bounded = match options.saturation || options.compat == Compat::V1 {
            true => saturation::bounded_layers(graph),
            false => FxHashMap::default(),
        };
        Self { options, embedding_adds, bounded }
    }

    fn rule(&self, cx: &mut Context<'_, '_>, node: &Node) -> Result<Rule> {
        if let Some(map) = LinearMap::of(cx, node)? {
            return Ok(match &node.op {
                Op::Resize(resize) if resize.mode == ResizeMode::Nearest => Rule::Copy(map),
                _ => Rule::Linear(map),
            });
        }
        if scatter::is_addition(&node.op) {
            return Ok(Rule::Scatter);
        }
        if movement::handles(&node.op) {
            return Ok(Rule::Movement);
        }
        let lone = || cx.carrier_operands(node).len() == 1;
        Ok(match &node.op {
            Op::Binary(Binary::Add) if self.embedding_adds.contains(&node.name) => {
                Rule::PassTo(cx.carrier_operands(node).first().copied().unwrap_or(0))
            }
            Op::Binary(Binary::Add) if node.role == Role::AttentionMask => match self.options.score_bias {
                ScoreBias::Pass => Rule::ToFirstCarrier,
                ScoreBias::Share if elementwise::has_huge_constant(cx, node) => {
                    Rule::None("score_bias=share needs biases that are finite and below 1e9; this one masks")
                }
                ScoreBias::Share => Rule::Share,
            },
            Op::Binary(Binary::Add | Binary::Sub) | Op::Variadic(Variadic::Sum | Variadic::Mean) => {
                match (node.role, self.options.const_add) {
                    // Biases are in the map of the input here; what is no carrier is an initial state.
                    (Role::RecurrentSum, _) => Rule::Share,
                    (_, ConstAdd::Pass) if lone() => Rule::ToFirstCarrier,
                    _ => Rule::Share,
                }
            }
            Op::Binary(Binary::Mul) => Rule::Product,
            Op::Binary(Binary::Div) if self.options.div == DivRule::Half && !lone() => Rule::Halves,
            Op::Binary(Binary::Div | Binary::Pow | Binary::PRelu) => Rule::ToFirstCarrier,
            Op::MatMul(_) | Op::Einsum(_) => Rule::Bilinear,
            Op::Reduce(reduce) => Rule::Reduction(reduce.kind),
            Op::Unary(kind) if !matches!(kind, Unary::IsNaN | Unary::Not | Unary::BitwiseNot) => {
                Rule::PassTo(0)
            }
            Op::BatchNormalization(_) if self.options.norm == Norm::Affine => Rule::Affine,
            op if is_activation(op) => Rule::PassToData,
            Op::BatchNormalization(_)
            | Op::LayerNormalization(_)
            | Op::RmsNormalization(_)
            | Op::InstanceNormalization(_)
            | Op::GroupNormalization(_) => Rule::PassToData,
            _ => Rule::None("no relevance rule for this operator"),
        })
    }

    /// Contrastive rules that need both channels together; `None` where each channel goes by itself.
    fn together(
        &self,
        cx: &mut Context<'_, '_>,
        node: &Node,
        r: [ValueId; 2],
    ) -> Result<Option<Vec<Outcome>>> {
        let count = node.inputs.len();
        Ok(match self.rule(cx, node)? {
            // Terms of one sign carry both channels alike, as in default mode.
            Rule::Linear(map) if map.is_non_negative() && cx.b.is_non_negative(map.x) => None,
            Rule::Linear(map) => {
                cx.rule = "linear core";
                let signals = match self.options.compat {
                    Compat::V1 => compat::contrast(cx, &map, r)?,
                    Compat::None => contrast::linear(cx, &map, r)?,
                };
                Some(signals.map(|signal| Outcome::at(map.operand, count, signal)).into())
            }
            Rule::Share => {
                cx.rule = "share";
                let second = if matches!(node.op, Op::Binary(Binary::Sub)) { -1.0 } else { 1.0 };
                Some(contrast::sum(cx, node, r, &[1.0, second])?.map(Outcome::Signals).into())
            }
            Rule::Bilinear => {
                cx.rule = "bilinear";
                contrast::bilinear(cx, node, r)?
            }
            Rule::Scatter => {
                cx.rule = "share";
                Some(scatter::contrastive(cx, node, r)?)
            }
            _ => None,
        })
    }
}

impl RuleSet for DlBacktraceRules {
    fn name(&self) -> &'static str {
        "dlbacktrace"
    }

    fn is_relevance(&self) -> bool {
        true
    }

    fn channels(&self) -> usize {
        self.options.channels()
    }

    fn backward(
        &self,
        cx: &mut Context<'_, '_>,
        node: &Node,
        signals: &[Option<ValueId>],
    ) -> Result<Outcome> {
        let count = node.inputs.len();
        let rule = self.rule(cx, node)?;
        cx.rule = rule.name();
        if let Rule::Movement = rule {
            if let (Mode::Contrastive, Compat::V1, Op::MaxPool(_), Some(r)) =
                (self.options.mode, self.options.compat, &node.op, signals.first().copied().flatten())
            {
                return compat::max_pool(cx, node, r);
            }
            if let Some(outcome) = movement::backward(cx, node, signals)? {
                // An operand that is 0 was copied to a 0, or won as one.
                cx.sends_vanishing = cx.vanishes;
                return Ok(outcome);
            }
        }
        let Some(r) = signals.first().copied().flatten() else {
            return Ok(match rule {
                Rule::Linear(_) | Rule::Copy(_) => Outcome::Signals(vec![None; count]),
                _ => Outcome::NoRule("only its first output has a rule".into()),
            });
        };
        match rule {
            Rule::Linear(map) => {
                let relevance = match self.bounded.get(&node.name) {
                    Some(bounded) if self.options.mode == Mode::Default => {
                        saturation::linear(cx, &map, r, *bounded, self.options.compat)?
                    }
                    _ => linear_core::default_mode(cx, &map, r)?,
                };
                Ok(Outcome::at(map.operand, count, relevance))
            }
            Rule::Copy(map) => {
                let relevance = map.adjoint(cx, r, Coefficients::Signed)?;
                cx.sends_vanishing = cx.vanishes;
                Ok(Outcome::at(map.operand, count, relevance))
            }
            Rule::PassTo(operand) => elementwise::pass_to(cx, node, operand, r),
            Rule::PassToData => elementwise::pass_to_data(cx, node, r),
            Rule::ToFirstCarrier => elementwise::to_first_carrier(cx, node, r),
            Rule::Halves => elementwise::halves(cx, node, r),
            Rule::Share => elementwise::share(cx, node, r),
            Rule::Product => elementwise::product(cx, node, r, &self.options),
            Rule::Bilinear => bilinear::default_mode(cx, node, r, self.options.bilinear),
            Rule::Scatter => scatter::default_mode(cx, node, r),
            Rule::Reduction(kind) => elementwise::reduction(cx, node, kind, r),
            Rule::Affine => elementwise::affine_norm(cx, node, r),
            Rule::Movement => Ok(Outcome::NoRule("only its first output has a rule".into())),
            Rule::None(reason) => Ok(Outcome::NoRule(reason.into())),
        }
    }

    fn backward_channels(
        &self,
        cx: &mut Context<'_, '_>,
        node: &Node,
        signals: &[Vec<Option<ValueId>>],
    ) -> Result<Vec<Outcome>> {
        if let [positive, negative] = signals {
            let arrived = [positive, negative].map(|s| s.first().copied().flatten());
            let r = match arrived {
                [Some(positive), Some(negative)] => Some([positive, negative]),
                [Some(positive), None] => Some([positive, cx.b.zeros_like(positive)?]),
                [None, Some(negative)] => Some([cx.b.zeros_like(negative)?, negative]),
                [None, None] => None,
            };
            if let Some(r) = r
                && let Some(outcomes) = self.together(cx, node, r)?
            {
                return Ok(outcomes);
            }
        }
        each_channel(|cx, signals| self.backward(cx, node, signals), cx, node, signals)
    }
}
