//! Layer-wise relevance propagation (Bach et al. 2015, PLOS ONE 10(7)): signed relevance, which starts as the score.
//!
//! A layer with weights gets one of several rules ([`layer_rule`]); a composite says which ([`plan`]). All else has one rule:
//! sums, pools and normalisations by epsilon, activations pass, selections and movement as in every method.

mod elementwise;
pub mod epsilon;
mod gamma;
mod input_free;
mod layer;
mod layer_rule;
mod normalization;
pub mod options;
mod plan;
mod share;
mod signs;
mod z_box;

use exegesis_graph::op::{Binary, ReduceKind, ResizeMode, ScatterReduction, Unary, Variadic};
use exegesis_graph::{Graph, Node, Op, Role, ValueId};

use crate::dlbacktrace::elementwise as shared;
use crate::error::{Error, Result};
use crate::linear::{Coefficients, LinearMap};
use crate::movement;
use crate::operators::is_activation;
use crate::rule::{Context, Outcome, RuleSet};
use layer::Layer;
pub use layer_rule::{LayerRule, Override};
use options::Lrp;
use plan::Plan;
use share::{STABILISER, Stabiliser};
pub use z_box::Bounds;

/// The rules of the composite for `graph`, walked from `output` back to `roots`. `bounds` are those of the input, where they are
/// known, per channel.
///
/// # Errors
/// A composite that does not fit the model, or one that needs bounds where there are none.
pub(crate) fn rules(
    options: &Lrp,
    graph: &Graph,
    roots: &[ValueId],
    output: ValueId,
    bounds: Option<&[(f64, f64)]>,
) -> Result<Box<dyn RuleSet>> {
    Ok(Box::new(LrpRules::new(options, graph, roots, output, bounds)?))
}

/// Rule set of LRP.
pub struct LrpRules {
    plan: Plan,
    is_relative: bool,
    zero_bias: bool,
    roots: Vec<ValueId>,
    bounds: Option<Bounds>,
}

/// Which rule a node gets.
enum Rule {
    /// That of its kind of layer.
    Layer(LinearMap, LayerRule),
    /// Linear without weights.
    Weightless(LinearMap),
    /// Each output is a copy of an input.
    Copy(LinearMap),
    /// Index maps, selections, maxima.
    Movement,
    /// All to the data, whose parameters take nothing.
    PassToData,
    /// All to the first operand that depends on the input.
    ToFirstCarrier,
    /// Epsilon on the operands.
    Sum,
    /// Products.
    Product,
    /// Sums of products of two values that vary.
    Bilinear,
    /// Epsilon by the operator's derivative.
    ByDerivative,
    /// Norms and products along axes.
    Reduction(ReduceKind),
    /// Batch normalisation.
    Diagonal,
    /// Other normalisations.
    Normalization,
    /// None, and why.
    None(&'static str),
}

impl Rule {
    fn name(&self) -> &'static str {
        match self {
            Self::Layer(_, rule) => rule.name(),
            Self::Copy(_) => "copy",
            Self::Movement => "index map",
            Self::PassToData | Self::ToFirstCarrier => "pass",
            Self::Product => "halves",
            Self::Bilinear => "bilinear",
            Self::Reduction(_) => "share of a reduction",
            Self::Normalization => "constant deviation",
            Self::Weightless(_) | Self::Sum | Self::ByDerivative | Self::Diagonal => "epsilon",
            Self::None(_) => "none",
        }
    }
}

impl LrpRules {
    /// The rules with these options for `graph`, walked from `output` back to `roots`. `bounds` are lowest and highest value
    /// of the input per channel, where they are known; options override them.
    ///
    /// # Errors
    /// A pattern that no layer fits, or a rule that needs bounds where there are none.
    pub fn new(
        options: &Lrp,
        graph: &Graph,
        roots: &[ValueId],
        output: ValueId,
        bounds: Option<&[(f64, f64)]>,
    ) -> Result<Self> {
        let plan = Plan::new(options, graph, roots, output)?;
        let given = bounds.map(|pairs| pairs.iter().copied().unzip::<f64, f64, Vec<_>, Vec<_>>());
        let (low, high) = given.unwrap_or_default();
        let own = |own: &[f64], given: Vec<f64>| if own.is_empty() { given } else { own.to_vec() };
        let bounds = Bounds { low: own(&options.low, low), high: own(&options.high, high) };
        let is_known = !bounds.low.is_empty() && !bounds.high.is_empty();
        if plan.needs_bounds() && !is_known {
            return Err(Error::Request(
                "the z-box rule needs the lowest and highest value of the input: give the preprocessing of pictures with \
                 --preprocess, or the options low= and high= (one number, or one per channel joined by `/`)"
                    .into(),
            ));
        }
        Ok(Self {
            plan,
            is_relative: options.relative,
            zero_bias: options.zero_bias,
            roots: roots.to_vec(),
            bounds: is_known.then_some(bounds),
        })
    }

    fn rule(&self, cx: &mut Context<'_, '_>, node: &Node) -> Result<Rule> {
        if let Some(map) = LinearMap::of(cx, node)? {
            return Ok(match &node.op {
                Op::Resize(resize) if resize.mode == ResizeMode::Nearest => Rule::Copy(map),
                _ if map.has_weights() => {
                    let rule = self.plan.rule(node, &map);
                    Rule::Layer(map, rule)
                }
                _ => Rule::Weightless(map),
            });
        }
        let adds = |reduction: ScatterReduction| reduction == ScatterReduction::Add;
        let lone = cx.carrier_operands(node).len() == 1;
        Ok(match &node.op {
            Op::ScatterElements(s) if adds(s.reduction) => Rule::ByDerivative,
            Op::ScatterND(s) if adds(s.reduction) => Rule::ByDerivative,
            op if movement::handles(op) => Rule::Movement,
            Op::Binary(Binary::Add) if node.role == Role::AttentionMask => Rule::ToFirstCarrier,
            Op::Binary(Binary::Add | Binary::Sub) | Op::Variadic(Variadic::Sum | Variadic::Mean) => Rule::Sum,
            Op::Binary(Binary::Mul) => Rule::Product,
            Op::Binary(Binary::Div | Binary::Pow | Binary::PRelu) => Rule::ToFirstCarrier,
            Op::MatMul(_) | Op::Einsum(_) | Op::Gemm(_) | Op::Conv(_) | Op::ConvTranspose(_) if lone => {
                Rule::ByDerivative
            }
            Op::Gemm(_) | Op::Conv(_) | Op::ConvTranspose(_) if cx.carries(node, 2) => {
                Rule::None("its bias and a factor both depend on the explained input")
            }
            Op::MatMul(_) | Op::Einsum(_) | Op::Gemm(_) | Op::Conv(_) | Op::ConvTranspose(_) => {
                Rule::Bilinear
            }
            Op::Resize(_) | Op::GridSample(_) | Op::RoiAlign(_) if cx.carrier_operands(node) == [0] => {
                Rule::ByDerivative
            }
            Op::Reduce(reduce) => Rule::Reduction(reduce.kind),
            Op::Unary(kind) if !matches!(kind, Unary::IsNaN | Unary::Not | Unary::BitwiseNot) => {
                Rule::PassToData
            }
            Op::BatchNormalization(_) => Rule::Diagonal,
            Op::LayerNormalization(_)
            | Op::RmsNormalization(_)
            | Op::InstanceNormalization(_)
            | Op::GroupNormalization(_)
            | Op::MeanVarianceNormalization(_) => Rule::Normalization,
            op if is_activation(op) => Rule::PassToData,
            _ => Rule::None("no relevance rule for this operator"),
        })
    }

    /// Relevance of the operand of a layer with weights.
    fn layer(
        &self,
        cx: &mut Context<'_, '_>,
        node: &Node,
        map: &LinearMap,
        rule: LayerRule,
        r: ValueId,
    ) -> Result<ValueId> {
        let mut layer = Layer { map, bias: map.bias, z: map.output()?, r, is_rectified: false, bounds: None };
        if self.zero_bias && map.bias.is_some() {
            layer.bias = None;
            if !matches!(rule, LayerRule::Flat | LayerRule::WSquare | LayerRule::ZBox) {
                layer.z = map.forward(cx, map.x, Coefficients::Signed)?;
                cx.b.assume_shape(layer.z, r);
            }
        } else {
            layer.is_rectified = cx.vanishes && self.plan.is_rectified(node);
        }
        if let (LayerRule::ZBox, Some(bounds)) = (rule, &self.bounds) {
            layer.bounds = Some(z_box::of_value(cx, map.x, &self.roots, bounds)?);
        }
        layer.apply(cx, rule, self.is_relative)
    }
}

impl RuleSet for LrpRules {
    fn name(&self) -> &'static str {
        "lrp"
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
        let rule = self.rule(cx, node)?;
        cx.rule = rule.name();
        if let Rule::Movement = rule
            && let Some(outcome) = movement::backward(cx, node, signals)?
        {
            // An operand that is 0 was copied to a 0, or won as one.
            cx.sends_vanishing = cx.vanishes;
            return Ok(outcome);
        }
        let Some(r) = signals.first().copied().flatten() else {
            return Ok(match rule {
                Rule::Layer(..) | Rule::Weightless(_) | Rule::Copy(_) => Outcome::Signals(vec![None; count]),
                _ => Outcome::NoRule("only its first output has a rule".into()),
            });
        };
        let is_rectified = cx.vanishes && self.plan.is_rectified(node);
        match rule {
            Rule::Layer(map, rule) => {
                let relevance = self.layer(cx, node, &map, rule, r)?;
                Ok(Outcome::at(map.operand, count, relevance))
            }
            Rule::Weightless(map) => {
                let layer =
                    Layer { map: &map, bias: map.bias, z: map.output()?, r, is_rectified, bounds: None };
                let relevance = epsilon::by_output(cx, &layer, Stabiliser::Absolute(STABILISER))?;
                Ok(Outcome::at(map.operand, count, relevance))
            }
            Rule::Copy(map) => {
                let relevance = map.adjoint(cx, r, Coefficients::Signed)?;
                cx.sends_vanishing = cx.vanishes;
                Ok(Outcome::at(map.operand, count, relevance))
            }
            Rule::PassToData => shared::pass_to_data(cx, node, r),
            Rule::ToFirstCarrier => shared::to_first_carrier(cx, node, r),
            Rule::Sum => elementwise::sum(cx, node, r, is_rectified),
            Rule::Product => elementwise::product(cx, node, r),
            Rule::Bilinear => elementwise::bilinear(cx, node, r),
            Rule::ByDerivative => elementwise::by_derivative(cx, node, r),
            Rule::Reduction(kind) => shared::reduction(cx, node, kind, r),
            Rule::Diagonal => normalization::batch(cx, node, r, is_rectified, self.zero_bias),
            Rule::Normalization => normalization::backward(cx, node, r, self.zero_bias),
            Rule::Movement => Ok(Outcome::NoRule("its operands do not fit the rule".into())),
            Rule::None(reason) => Ok(Outcome::NoRule(reason.into())),
        }
    }
}
