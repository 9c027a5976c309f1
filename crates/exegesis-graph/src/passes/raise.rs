//! Recognises composites in decomposed exports.
//!
//! What lives here: one file per family of patterns, each a function from a node that may end the pattern to the
//! composite that it stands for, and the sweep that applies them. What does not: folding constants and inferring
//! shapes. Both run before: patterns look only at constants, dimensions and producers, and a pattern that is not surely
//! equal to its composite does not match.

mod activation;
mod affine;
mod attention;
mod bias;
mod cell;
mod channel;
mod contraction;
mod heads;
mod linear;
mod mixture;
mod normalization;
mod pattern;
mod rotary;
mod softmax;

use std::collections::BTreeMap;
use std::fmt;

use rustc_hash::FxHashSet;

use crate::{Graph, NodeId, Op, Origin, Result, ValueId};
use pattern::{Match, Operand, View};

/// What was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pattern {
    /// Maximum, subtraction, exponential, sum, division.
    Softmax,
    /// Its logarithm.
    LogSoftmax,
    /// Mean and variance over trailing axes, with or without scale and bias.
    LayerNormalization,
    /// Mean square over trailing axes, with or without scale.
    RmsNormalization,
    /// Error function or tanh form.
    Gelu,
    /// `x sigmoid(alpha x)`.
    Swish,
    /// `x clip(x + 3, 0, 6) / 6`.
    HardSwish,
    /// `1 - sigmoid(x)`.
    OneMinusSigmoid,
    /// `min(relu(x), c)` and the like as one `Clip`.
    Clip,
    /// Product with a constant matrix, in any spelling, and addition of a constant vector; `Gemm` with constants.
    Linear,
    /// Addition of a constant per channel after a convolution.
    ConvBias,
    /// Addition of a constant per channel behind a movement of axes, or to a map that has a bias.
    MovedBias,
    /// Products and sums with one number per channel.
    BatchNormalization,
    /// One step of an LSTM or GRU that is not in the standard form.
    RecurrentCell,
    /// Scores, scale, mask, softmax, product with the values.
    Attention,
    /// Repetition of key and value heads before an attention.
    GroupedHeads,
    /// `x cos + rotate_half(x) sin`.
    RotaryEmbedding,
    /// Rows added by a scatter into zeros and an addition.
    AddedRows,
    /// The sum over the experts of a mixture.
    Mixture,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// How often each pattern was recognised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RaiseReport {
    counts: BTreeMap<Pattern, usize>,
}

impl RaiseReport {
    /// Number of times `pattern` was recognised.
    pub fn count(&self, pattern: Pattern) -> usize {
        self.counts.get(&pattern).copied().unwrap_or(0)
    }

    /// The patterns that were found, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (Pattern, usize)> + '_ {
        self.counts.iter().map(|(p, n)| (*p, *n))
    }

    fn add(&mut self, pattern: Pattern, count: usize) {
        if count > 0 {
            *self.counts.entry(pattern).or_default() += count;
        }
    }
}

/// Finds the composite that ends at a node.
type Finder = fn(&View<'_>, NodeId) -> Option<Match>;

/// The patterns in the order in which they are sought: what others contain comes first.
const PATTERNS: &[(Pattern, Finder)] = &[
    (Pattern::Softmax, softmax::softmax),
    (Pattern::LogSoftmax, softmax::log_softmax),
    (Pattern::LayerNormalization, normalization::layer),
    (Pattern::RmsNormalization, normalization::rms),
    (Pattern::Clip, activation::clip),
    (Pattern::Gelu, activation::gelu),
    (Pattern::Swish, activation::swish),
    (Pattern::HardSwish, activation::hard_swish),
    (Pattern::OneMinusSigmoid, activation::one_minus_sigmoid),
    (Pattern::Linear, linear::linear),
    (Pattern::ConvBias, linear::conv_bias),
    (Pattern::RotaryEmbedding, rotary::rotate_half),
    (Pattern::Attention, attention::attention),
    (Pattern::GroupedHeads, heads::grouped),
    (Pattern::AddedRows, mixture::added_rows),
    (Pattern::Mixture, mixture::joined_scatters),
    (Pattern::Mixture, mixture::experts),
];

/// Replaces decomposed composites by single nodes, also in the bodies of control flow. A composite takes the place of
/// the pattern's last node and keeps its name (as [`Origin::Rewritten`]); the nodes before it are removed.
///
/// A value inside a pattern must not be read by anything else, except to ask for its shape.
///
/// # Errors
/// A cyclic graph.
pub fn raise(graph: &mut Graph) -> Result<RaiseReport> {
    raise_in(graph, false)
}

/// Raises a graph, or the body of a loop.
fn raise_in(graph: &mut Graph, is_body: bool) -> Result<RaiseReport> {
    let mut report = RaiseReport::default();
    for (pattern, find) in PATTERNS {
        report.add(*pattern, sweep(graph, *find)?);
    }
    report.add(Pattern::MovedBias, bias::absorb(graph)?);
    report.add(Pattern::RecurrentCell, cell::normalise(graph, is_body)?);
    // What is left of constants per channel is no bias.
    report.add(Pattern::BatchNormalization, sweep(graph, affine::batch_normalization)?);
    let nested: Vec<NodeId> =
        graph.nodes().filter(|(_, n)| !n.op.subgraphs().is_empty()).map(|(id, _)| id).collect();
    for id in nested {
        let is_body = matches!(graph.node(id).op, Op::Loop(_) | Op::Scan(_));
        for subgraph in graph.node_mut(id).op.subgraphs_mut() {
            for (pattern, count) in raise_in(&mut subgraph.graph, is_body)?.iter() {
                report.add(pattern, count);
            }
        }
    }
    Ok(report)
}

/// Applies one pattern everywhere; returns how often.
fn sweep(graph: &mut Graph, find: Finder) -> Result<usize> {
    let view = View::new(graph)?;
    let mut taken: FxHashSet<NodeId> = FxHashSet::default();
    let mut found = vec![];
    // From the outputs up, so that the longest form of a pattern is seen before its parts.
    for root in view.order().iter().rev() {
        if taken.contains(root) {
            continue;
        }
        let Some(candidate) = find(&view, *root) else { continue };
        let Some(interior) = view.interior(*root, &candidate) else { continue };
        if interior.iter().any(|n| taken.contains(n)) {
            continue;
        }
        taken.insert(*root);
        taken.extend(&interior);
        found.push((*root, candidate, interior));
    }
    drop(view);
    let count = found.len();
    let mut replaced = vec![];
    for (root, candidate, interior) in found {
        apply(graph, root, candidate);
        replaced.extend(interior);
    }
    remove_dead(graph, &replaced);
    Ok(count)
}

/// Turns the node `root` into the composite.
fn apply(graph: &mut Graph, root: NodeId, found: Match) {
    let node = graph.node(root);
    let (name, source) = (node.name.clone(), node.source_name().into());
    let origin = Origin::Rewritten(source);
    let mut inputs = vec![];
    for operand in found.inputs {
        inputs.push(operand.map(|o| build(graph, &name, &origin, o)));
    }
    let node = graph.node_mut(root);
    node.op = found.op;
    node.inputs = inputs;
    node.origin = origin;
}

/// Adds what an operand needs beyond the values of the graph.
fn build(graph: &mut Graph, name: &str, origin: &Origin, operand: Operand) -> ValueId {
    match operand {
        Operand::Value(value) => value,
        Operand::Constant(part, tensor) => graph.add_constant(&format!("{name}/{part}"), tensor),
        Operand::Node(node) => {
            let inputs: Vec<ValueId> =
                node.inputs.into_iter().map(|o| build(graph, name, origin, o)).collect();
            let mut dtypes = inputs.iter().rev().filter_map(|v| graph.value(*v).dtype);
            let dtype = dtypes.clone().find(|t| t.is_float()).or_else(|| dtypes.next());
            let value = graph.add_op(&format!("{name}/{}", node.part), node.op, &inputs);
            if let Some(producer) = graph.producer(value) {
                graph.node_mut(producer).origin = origin.clone();
            }
            let new = graph.value_mut(value);
            new.shape = node.shape;
            new.dtype = dtype;
            value
        }
    }
}

/// Removes those of `candidates` that nothing reads any more.
fn remove_dead(graph: &mut Graph, candidates: &[NodeId]) {
    let consumers = graph.consumers();
    let mut uses: Vec<usize> = consumers.iter().map(Vec::len).collect();
    for output in &graph.outputs {
        if let Some(count) = uses.get_mut(output.index()) {
            *count += 1;
        }
    }
    let candidates: FxHashSet<NodeId> = candidates.iter().copied().collect();
    let mut stack: Vec<NodeId> = candidates.iter().copied().collect();
    while let Some(id) = stack.pop() {
        let Some(node) = graph.get_node(id) else { continue };
        let used = |v: &ValueId| uses.get(v.index()).is_some_and(|n| *n > 0);
        if node.outputs.iter().flatten().any(used) {
            continue;
        }
        let inputs: FxHashSet<ValueId> = node.inputs.iter().flatten().copied().collect();
        for input in inputs {
            if let Some(count) = uses.get_mut(input.index()) {
                *count = count.saturating_sub(1);
            }
            stack.extend(graph.producer(input).filter(|n| candidates.contains(n)));
        }
        graph.remove_node(id);
    }
}
