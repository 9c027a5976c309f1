//! Which layer gets which rule: a composite is a table from kinds of layers to rules, and names override it.

use exegesis_graph::op::{Binary, Unary};
use exegesis_graph::{Graph, Node, Op, ValueId};
use rustc_hash::FxHashSet;

use super::layer_rule::{LayerRule, Override};
use super::options::{Composite, Lrp};
use crate::error::{Error, Result};
use crate::linear::LinearMap;
use crate::operators::keeps_elements;
use crate::walk::carriers;

/// The rule per kind of layer.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Table {
    /// Layers before which there is no other.
    first: LayerRule,
    convolution: LayerRule,
    dense: LayerRule,
}

impl Table {
    fn of(composite: Composite, options: &Lrp) -> Self {
        let epsilon = LayerRule::Epsilon(options.epsilon);
        let of = |first, convolution, dense| Self { first, convolution, dense };
        let same = |rule| of(rule, rule, rule);
        match composite {
            Composite::Auto | Composite::Epsilon => same(epsilon),
            // The first layer is treated as its kind is.
            Composite::EpsilonPlus => of(LayerRule::Z_PLUS, LayerRule::Z_PLUS, epsilon),
            Composite::EpsilonPlusFlat => of(LayerRule::Flat, LayerRule::Z_PLUS, epsilon),
            Composite::EpsilonGammaBox => of(LayerRule::ZBox, LayerRule::Gamma(options.gamma), epsilon),
            Composite::Alpha2Beta1 => of(LayerRule::ALPHA_2_BETA_1, LayerRule::ALPHA_2_BETA_1, epsilon),
            Composite::Alpha2Beta1Flat => of(LayerRule::Flat, LayerRule::ALPHA_2_BETA_1, epsilon),
            Composite::ZPlus => same(LayerRule::Z_PLUS),
        }
    }
}

/// What is known of the nodes of a graph before a walk through it.
pub struct Plan {
    table: Table,
    /// Overrides with their rules.
    overrides: Vec<(Override, LayerRule)>,
    /// Names of layers with weights before which there is no other.
    first: FxHashSet<String>,
    /// Names of nodes whose output only rectifiers read.
    rectified: FxHashSet<String>,
}

impl Plan {
    /// The plan for `graph`, walked from `output` back to `roots`.
    ///
    /// # Errors
    /// A pattern that no layer fits, or a graph that is not acyclic.
    pub fn new(options: &Lrp, graph: &Graph, roots: &[ValueId], output: ValueId) -> Result<Self> {
        let carrying = carriers(graph, roots, &[output])?;
        let mut first = FxHashSet::default();
        let mut layers: Vec<&str> = vec![];
        let mut has_convolutions = false;
        let mut behind: FxHashSet<ValueId> = FxHashSet::default();
        for id in graph.topological_order()? {
            let node = graph.node(id);
            if !node.outputs.iter().flatten().any(|o| carrying.contains(o)) {
                continue;
            }
            let is_layer = has_weights(node, &carrying);
            let has_body = !node.op.subgraphs().is_empty();
            let is_behind = node.inputs.iter().flatten().any(|v| behind.contains(v));
            if is_layer {
                has_convolutions |= is_convolution(&node.op);
                layers.push(node.source_name());
                if !is_behind {
                    first.insert(node.name.clone());
                }
            }
            if is_layer || is_behind || has_body {
                behind.extend(node.outputs.iter().flatten());
            }
        }
        // What is known by name must not be mistaken for what has the same name in a body.
        let mut inner: Vec<&str> = vec![];
        for (_, node) in graph.nodes() {
            node.op.subgraphs().iter().for_each(|body| names(&body.graph, &mut inner));
        }
        let mut rectified = rectified(graph);
        for name in &inner {
            first.remove(*name);
            rectified.remove(*name);
        }
        let composite = match options.composite {
            Composite::Auto if has_convolutions => Composite::EpsilonPlus,
            other => other,
        };
        let mut overrides = vec![];
        for given in &options.rules {
            if !layers.iter().chain(&inner).any(|name| given.fits(name)) {
                return Err(Error::Request(format!(
                    "option rule={given}: no layer with weights between input and target has such a name; `exegesis inspect` \
                     lists the nodes"
                )));
            }
            overrides.push((given.clone(), LayerRule::parse(&given.rule, options.epsilon, options.gamma)?));
        }
        Ok(Self { table: Table::of(composite, options), overrides, first, rectified })
    }

    /// The rule of a layer with weights.
    pub fn rule(&self, node: &Node, map: &LinearMap) -> LayerRule {
        let named = |(given, rule): &(Override, LayerRule)| given.fits(node.source_name()).then_some(*rule);
        if let Some(rule) = self.overrides.iter().find_map(named) {
            return rule;
        }
        match (map.is_convolution(), self.first.contains(&node.name)) {
            (_, true) if self.treats_first_apart() => self.table.first,
            (true, _) => self.table.convolution,
            (false, _) => self.table.dense,
        }
    }

    fn treats_first_apart(&self) -> bool {
        matches!(self.table.first, LayerRule::Flat | LayerRule::ZBox)
    }

    /// True if only rectifiers read the output of `node`.
    pub fn is_rectified(&self, node: &Node) -> bool {
        self.rectified.contains(&node.name)
    }

    /// True if some layer may get the z-box rule.
    pub fn needs_bounds(&self) -> bool {
        self.table.first == LayerRule::ZBox || self.overrides.iter().any(|(_, rule)| *rule == LayerRule::ZBox)
    }
}

fn names<'a>(graph: &'a Graph, into: &mut Vec<&'a str>) {
    for (_, node) in graph.nodes() {
        into.extend([node.name.as_str(), node.source_name()]);
        for body in node.op.subgraphs() {
            names(&body.graph, into);
        }
    }
}

fn is_convolution(op: &Op) -> bool {
    matches!(op, Op::Conv(_) | Op::ConvTranspose(_))
}

/// True for a product of one carrier with weights.
fn has_weights(node: &Node, carrying: &FxHashSet<ValueId>) -> bool {
    let on: Vec<usize> =
        (0..node.inputs.len()).filter(|i| node.input(*i).is_some_and(|v| carrying.contains(&v))).collect();
    match &node.op {
        Op::Conv(_) | Op::ConvTranspose(_) | Op::Linear(_) => on == [0],
        Op::Gemm(_) | Op::MatMul(_) => on == [0] || on == [1],
        Op::Einsum(_) => on.len() == 1 && node.inputs.len() == 2,
        _ => false,
    }
}

/// Names of nodes with one output that is read by rectifiers only.
fn rectified(graph: &Graph) -> FxHashSet<String> {
    let consumers = graph.consumers();
    let rectifies = |node: &Node, value: ValueId| match &node.op {
        Op::Unary(Unary::Relu) => true,
        Op::Clip(_) => {
            let low = node.input(1).and_then(|low| graph.constant(low)).and_then(|t| t.single());
            node.input(0) == Some(value) && low == Some(0.0)
        }
        _ => false,
    };
    let mut names = FxHashSet::default();
    for (_, node) in graph.nodes() {
        let (Some(value), 1) = (node.output(0), node.outputs.len()) else { continue };
        let readers = &consumers[value.index()];
        if !readers.is_empty() && readers.iter().all(|id| rectifies(graph.node(*id), value)) {
            names.insert(node.name.clone());
        }
    }
    names
}

/// True if a product with `value` divides by it: what makes it ends in a reciprocal or a negative power.
pub fn is_divisor(graph: &Graph, mut value: ValueId) -> bool {
    while let Some(node) = graph.producer_node(value) {
        match (&node.op, node.input(0)) {
            (Op::Unary(Unary::Reciprocal), _) => return true,
            (Op::Binary(Binary::Div), Some(numerator)) => return graph.constant(numerator).is_some(),
            (Op::Binary(Binary::Pow), _) => {
                let exponent = node.input(1).and_then(|e| graph.constant(e)).and_then(|t| t.single());
                return exponent.is_some_and(|e| e < 0.0);
            }
            (op, Some(input)) if keeps_elements(op) || matches!(op, Op::Cast(_)) => value = input,
            _ => return false,
        }
    }
    false
}
