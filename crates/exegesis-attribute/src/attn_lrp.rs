//! LRP for transformers: AttnLRP (arXiv 2402.05602) and CP-LRP (arXiv 2202.07304).
//!
//! What flows is relevance per unit: the relevance of a value is the value times its signal. The epsilon rule,
//! `R = x * W^T (R' / z)`, then is `W^T` alone, the other rules are gradients that are changed a little, and nothing is divided
//! by a number that may be 0. Products of activations, softmax, norms and activations are what the methods differ in.

mod activation;
mod embedding;
mod norm;
pub mod options;
mod product;

use exegesis_graph::op::{Binary, ReduceKind, ScatterElements, ScatterND, ScatterReduction, Unary, Variadic};
use exegesis_graph::{Builder, Node, Op, Role, ValueId};

use crate::attributed::{Attributed, Situation};
use crate::error::Result;
use crate::gradient::Gradient;
use crate::ledger::Class;
use crate::linear::{Coefficients, LinearMap};
use crate::movement;
use crate::rule::{Context, Outcome, Quantity, RuleSet};
use options::{Activation, AttnLrp, CpLrp, Freeze};
use product::Receiver;

/// Rules of AttnLRP, CP-LRP and what CP-LRP is compared with in its paper.
#[derive(Clone, Debug)]
pub struct TransformerRules {
    name: &'static str,
    epsilon: f64,
    act: Activation,
    /// What is held constant; `None` for AttnLRP, where nothing but the deviation of norms is.
    freeze: Option<Freeze>,
}

impl From<&AttnLrp> for TransformerRules {
    fn from(options: &AttnLrp) -> Self {
        Self { name: "attn-lrp", epsilon: options.epsilon, act: Activation::Identity, freeze: None }
    }
}

impl From<&CpLrp> for TransformerRules {
    fn from(options: &CpLrp) -> Self {
        Self { name: "cp-lrp", epsilon: options.epsilon, act: options.act, freeze: Some(options.freeze) }
    }
}

/// Which rule a node gets.
enum Rule {
    /// Epsilon.
    Linear(Box<LinearMap>),
    /// Index maps, selections, maxima.
    Movement,
    /// The gradient, which conserves where the function is homogeneous of degree one.
    Homogeneous,
    /// The gradient of another function; what it leaves over is booked.
    FirstOrder,
    /// Epsilon on the terms.
    Sum,
    /// Relevance passes an activation.
    Identity,
    /// Norms with their deviation held constant, and their mean too if so.
    Norm { mean: bool },
    /// Products of activations.
    Product(Receiver),
    /// The denominator is held constant.
    Division,
    /// None, and why.
    None(&'static str),
}

impl Rule {
    fn name(&self) -> &'static str {
        match self {
            Self::Linear(_) | Self::Sum => "epsilon",
            Self::Movement => "index map",
            Self::Homogeneous => "gradient",
            Self::FirstOrder => "first order",
            Self::Identity => "identity",
            Self::Norm { .. } => "constant deviation",
            Self::Product(Receiver::Both) => "halves",
            Self::Product(_) => "constant factor",
            Self::Division => "constant denominator",
            Self::None(_) => "none",
        }
    }
}

impl TransformerRules {
    fn rule(&self, cx: &mut Context<'_, '_>, node: &Node) -> Result<Rule> {
        if let Some(freeze) = self.freeze
            && let Some(receiver) = product::with_attention_weights(cx, node)?
        {
            match (freeze.attention(), receiver) {
                (true, _) => return Ok(Rule::Product(receiver)),
                (false, Receiver::One(_)) => return Ok(Rule::FirstOrder),
                _ => {}
            }
        }
        if let Some(map) = LinearMap::of(cx, node)? {
            return Ok(Rule::Linear(Box::new(map)));
        }
        if let Op::ScatterElements(ScatterElements { reduction, .. })
        | Op::ScatterND(ScatterND { reduction }) = &node.op
        {
            return Ok(match reduction {
                ScatterReduction::None => Rule::Movement,
                ScatterReduction::Add => Rule::Sum,
                _ => Rule::None("only additive scatters have a rule"),
            });
        }
        if movement::handles(&node.op) {
            return Ok(Rule::Movement);
        }
        let carriers = cx.carrier_operands(node);
        let of_data = carriers == [0];
        Ok(match &node.op {
            Op::Binary(Binary::Add | Binary::Sub) | Op::Variadic(Variadic::Sum | Variadic::Mean) => Rule::Sum,
            Op::Binary(Binary::Mul) if carriers.len() < 2 => Rule::Homogeneous,
            Op::Binary(Binary::Mul) => self.product(product::gated(cx, node)),
            Op::MatMul(_) | Op::Einsum(_) | Op::Gemm(_) | Op::Conv(_) | Op::ConvTranspose(_) => {
                match (carriers.as_slice(), self.freeze) {
                    ([0, 1], Some(freeze)) if !freeze.attention() => Rule::FirstOrder,
                    ([0, 1], _) => self.product(Receiver::Both),
                    ([0] | [1], _) => Rule::Product(Receiver::Both),
                    _ => Rule::None("its bias or a third factor depends on the explained input"),
                }
            }
            Op::Binary(Binary::Div) if carriers.first() == Some(&0) => Rule::Division,
            Op::Binary(Binary::Div) if carriers == [1] => self.activation(),
            Op::Binary(Binary::Pow) if of_data => self.activation(),
            Op::Binary(Binary::PRelu) if of_data => Rule::Homogeneous,
            Op::Unary(kind) => match kind {
                Unary::Relu | Unary::Neg | Unary::Abs => Rule::Homogeneous,
                Unary::Ceil
                | Unary::Floor
                | Unary::Round
                | Unary::Sign
                | Unary::IsNaN
                | Unary::Not
                | Unary::BitwiseNot => Rule::None("it is piecewise constant"),
                _ => self.activation(),
            },
            Op::LeakyRelu(_) | Op::ThresholdedRelu(_) | Op::LpPool(_) | Op::GlobalLpPool(_) => {
                Rule::Homogeneous
            }
            Op::GridSample(_) | Op::RoiAlign(_) | Op::Compress(_) | Op::Unique(_) if of_data => {
                Rule::Homogeneous
            }
            Op::Reduce(reduce) if of_data => match reduce.kind {
                ReduceKind::L1 | ReduceKind::L2 => Rule::Homogeneous,
                ReduceKind::LogSum | ReduceKind::LogSumExp | ReduceKind::SumSquare => Rule::FirstOrder,
                _ => Rule::None("no rule for this reduction"),
            },
            Op::Gelu(_)
            | Op::Swish(_)
            | Op::Elu(_)
            | Op::Celu(_)
            | Op::Selu(_)
            | Op::Shrink(_)
            | Op::HardSigmoid(_)
            | Op::OneMinusSigmoid(_) => self.activation(),
            Op::Clip(_) if of_data => self.activation(),
            Op::Softmax(_) | Op::LogSoftmax(_) => Rule::FirstOrder,
            _ if norm::handles(&node.op) => match (of_data, self.freeze) {
                (false, _) => Rule::None("a parameter of the norm depends on the explained input"),
                (true, Some(freeze)) if !freeze.norms() => Rule::FirstOrder,
                (true, freeze) => Rule::Norm { mean: freeze == Some(Freeze::Mean) },
            },
            Op::BatchNormalization(_) if of_data => Rule::Norm { mean: false },
            _ => Rule::None("no relevance rule for this operator"),
        })
    }

    fn activation(&self) -> Rule {
        match self.act {
            Activation::Identity => Rule::Identity,
            Activation::Gradient => Rule::FirstOrder,
        }
    }

    /// Products of activations, of which the receiver would get the relevance.
    fn product(&self, receiver: Receiver) -> Rule {
        match (self.act, self.freeze) {
            (Activation::Gradient, _) => Rule::FirstOrder,
            (_, None) => Rule::Product(Receiver::Both),
            _ => Rule::Product(receiver),
        }
    }

    /// `g |z| / (|z| + eps)`: the stabilised share `g z / (z + eps sign z)`; books what the stabiliser takes.
    fn stabilised(&self, cx: &mut Context<'_, '_>, g: ValueId, z: ValueId) -> Result<ValueId> {
        if self.epsilon == 0.0 {
            return Ok(g);
        }
        let size = cx.b.abs(z)?;
        let whole = cx.b.add_scalar(size, self.epsilon)?;
        let share = cx.b.div(size, whole)?;
        let stable = cx.b.mul(g, share)?;
        cx.b.assume_shape(stable, z);
        cx.absorb_difference(Class::Stabiliser, &[(z, g)], &[(z, stable)])?;
        Ok(stable)
    }

    /// `W^T g`; the bias keeps `g b`.
    fn linear(&self, cx: &mut Context<'_, '_>, map: &LinearMap, g: ValueId) -> Result<ValueId> {
        if self.epsilon == 0.0
            && let Some(rows) = map.class_rows(cx)?
        {
            if let Some(bias) = rows.bias {
                let absorbed = cx.b.mul(rows.amount, bias)?;
                cx.absorb(Class::Bias, absorbed)?;
            }
            let signal = cx.b.mul(rows.weight, rows.amount)?;
            cx.b.assume_shape(signal, map.x);
            return Ok(signal);
        }
        let g = self.stabilised(cx, g, map.output()?)?;
        if let Some(bias) = map.bias {
            let absorbed = map.weigh_outputs(cx, g, bias)?;
            cx.absorb(Class::Bias, absorbed)?;
        }
        let signal = map.adjoint(cx, g, Coefficients::Signed)?;
        cx.b.assume_shape(signal, map.x);
        Ok(signal)
    }
}

/// All relevance of `node` to its only operand that depends on the explained input, per unit.
///
/// # Errors
/// The graph can't be treated.
pub(crate) fn pass(cx: &mut Context<'_, '_>, node: &Node, g: ValueId) -> Result<Outcome> {
    activation::backward(cx, node, g)
}

/// The gradient's signals, or what it says instead of them.
fn gradient(
    cx: &mut Context<'_, '_>,
    node: &Node,
    signals: &[Option<ValueId>],
) -> Result<Result<Vec<Option<ValueId>>, Outcome>> {
    Ok(match Gradient.backward(cx, node, signals)? {
        Outcome::Signals(signals) => Ok(signals),
        refused @ Outcome::NoRule(_) => Err(refused),
    })
}

/// Operands of `node` that receive, with their signals.
fn sent(cx: &Context<'_, '_>, node: &Node, signals: &[Option<ValueId>]) -> Vec<(ValueId, ValueId)> {
    let pairs = node.inputs.iter().zip(signals).enumerate();
    pairs.filter(|(i, _)| cx.carries(node, *i)).filter_map(|(_, (v, s))| Some(((*v)?, (*s)?))).collect()
}

impl RuleSet for TransformerRules {
    fn name(&self) -> &'static str {
        self.name
    }

    fn is_relevance(&self) -> bool {
        true
    }

    fn quantity(&self) -> Quantity {
        Quantity::PerUnit
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
        let arrived: Vec<(ValueId, ValueId)> =
            node.outputs.iter().zip(signals).filter_map(|(v, s)| Some(((*v)?, (*s)?))).collect();
        if let Rule::Movement = rule {
            return moved(cx, node, signals, &arrived);
        }
        let Some(g) = signals.first().copied().flatten() else {
            return Ok(match rule {
                Rule::Linear(_) => Outcome::Signals(vec![None; count]),
                _ => Outcome::NoRule("only its first output has a rule".into()),
            });
        };
        let produced = match rule {
            Rule::Linear(map) => {
                let signal = self.linear(cx, &map, g)?;
                return Ok(Outcome::at(map.operand, count, signal));
            }
            Rule::Homogeneous => gradient(cx, node, signals)?,
            Rule::FirstOrder => {
                let produced = gradient(cx, node, signals)?;
                if let Ok(signals) = &produced {
                    let sent = sent(cx, node, signals);
                    cx.absorb_difference(Class::Taylor, &arrived, &sent)?;
                }
                produced
            }
            Rule::Sum => {
                // What a mask hides is infinite, and needs no care.
                let g = match node.output(0).filter(|_| node.role != Role::AttentionMask) {
                    Some(z) => self.stabilised(cx, g, z)?,
                    None => g,
                };
                let produced = gradient(cx, node, &[Some(g)])?;
                if let Ok(signals) = &produced {
                    product::book_terms(cx, node, g, signals)?;
                }
                produced
            }
            Rule::Identity => return activation::backward(cx, node, g),
            Rule::Norm { mean } => return norm::backward(cx, node, g, mean),
            Rule::Product(receiver) => {
                let g = match (receiver, node.output(0)) {
                    (Receiver::Both, Some(z)) if self.epsilon != 0.0 => {
                        let twice = cx.b.mul_scalar(z, 2.0)?;
                        let half = cx.b.mul_scalar(g, 0.5)?;
                        let half = self.stabilised(cx, half, twice)?;
                        cx.b.mul_scalar(half, 2.0)?
                    }
                    (Receiver::One(_), Some(z)) => self.stabilised(cx, g, z)?,
                    _ => g,
                };
                product::backward(cx, node, g, receiver)?
            }
            Rule::Division => {
                let (Some(a), Some(b)) = (node.input(0), node.input(1)) else {
                    return Ok(Outcome::NoRule("an operand is missing".into()));
                };
                let over = cx.b.div(g, b)?;
                return Ok(Outcome::at(0, count, cx.b.sum_to(over, a)?));
            }
            Rule::None(reason) => Err(Outcome::NoRule(reason.into())),
            Rule::Movement => Err(Outcome::NoRule("it moves nothing".into())),
        };
        Ok(match produced {
            Ok(signals) => Outcome::Signals(signals),
            Err(refused) => refused,
        })
    }
}

/// What only moves or selects; constants that were put in keep what they stand for.
fn moved(
    cx: &mut Context<'_, '_>,
    node: &Node,
    signals: &[Option<ValueId>],
    arrived: &[(ValueId, ValueId)],
) -> Result<Outcome> {
    // The rules book amounts, these are per unit.
    cx.ledger.mute(true);
    let outcome = movement::backward(cx, node, signals);
    cx.ledger.mute(false);
    let Some(outcome) = outcome? else {
        return Ok(Outcome::NoRule("only its first output has a rule".into()));
    };
    let joins_constants = (0..node.inputs.len())
        .any(|i| !cx.carries(node, i) && node.input(i).is_some_and(|v| cx.b.dtype(v).is_float()));
    if let (Outcome::Signals(signals), true) = (&outcome, joins_constants) {
        let sent = sent(cx, node, signals);
        cx.absorb_difference(Class::of_term(node), arrived, &sent)?;
    }
    Ok(outcome)
}

/// Walks from the seed to where the embeddings are complete, and makes relevance of what arrives.
///
/// # Errors
/// Nodes without a rule, or a graph that can't be treated.
pub(crate) fn attribute(
    b: &mut Builder<'_>,
    situation: &mut Situation<'_>,
    rules: &dyn RuleSet,
) -> Result<Attributed> {
    let completed = embedding::completed(b.graph(), situation.roots, situation.seed.value)?;
    let ends: Vec<ValueId> = completed.iter().map(|(_, end)| *end).collect();
    let mut walked = situation.walk(b, rules, &ends)?;
    let total = situation.score(b, situation.seed.value)?;
    let everywhere = situation.request.nodes != crate::NodeSelection::None;
    for signals in &mut walked.channels {
        let mut relevance = rustc_hash::FxHashMap::default();
        for (value, signal) in signals.iter() {
            if everywhere || ends.contains(value) {
                relevance.insert(*value, rules.quantity().amount(b, *value, *signal)?);
            }
        }
        for (root, end) in &completed {
            if let Some(amount) = relevance.get(end).copied().filter(|_| root != end) {
                relevance.insert(*root, amount);
            }
        }
        *signals = relevance;
    }
    Ok(Attributed { walked, total, ..Attributed::default() })
}
