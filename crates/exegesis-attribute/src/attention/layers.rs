//! Attention layers: softmax over products of queries and keys, whose result multiplies values.

use exegesis_graph::op::Unary;
use exegesis_graph::{Builder, Graph, Node, NodeId, Op, ValueId};
use rustc_hash::FxHashSet;

use crate::error::Result;
use crate::places::reached;

/// One attention layer.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// Name of the user's node that makes the weights.
    pub name: String,
    /// The weights `[..., queries, keys]`.
    pub weights: ValueId,
    /// What is multiplied to scores: queries by keys.
    pub scores: NodeId,
    /// What the weights multiply.
    pub values: ValueId,
}

/// The attention layers that `target` needs and that depend on `roots` through queries and keys, in topological order.
///
/// # Errors
/// A cycle.
pub(crate) fn find(b: &Builder<'_>, roots: &[ValueId], target: ValueId) -> Result<Vec<Layer>> {
    let graph = b.graph();
    let needed = graph.ancestors(&[target]);
    let dependent = reached(graph, roots)?;
    let consumers = graph.consumers();
    let mut layers = vec![];
    for id in graph.topological_order()? {
        let node = graph.node(id);
        let (Op::Softmax(softmax), Some(weights), Some(masked)) = (&node.op, node.output(0), node.input(0))
        else {
            continue;
        };
        let rank = b.rank(weights)?;
        let is_last = b.axis(softmax.axis, rank).is_ok_and(|axis| axis + 1 == rank);
        if !needed.contains(&weights) || !is_last || rank < 3 {
            continue;
        }
        let Some(scores) = product_below(graph, masked, &dependent) else { continue };
        let Some(values) = values(graph, &consumers, weights, &dependent) else { continue };
        layers.push(Layer { name: node.source_name().to_string(), weights, scores, values });
    }
    Ok(layers)
}

/// The product of two values that both depend on the inputs, below scales, masks and biases.
fn product_below(graph: &Graph, masked: ValueId, dependent: &FxHashSet<ValueId>) -> Option<NodeId> {
    let mut stack = vec![masked];
    let mut seen = FxHashSet::default();
    while let Some(value) = stack.pop() {
        if !seen.insert(value) || !dependent.contains(&value) {
            continue;
        }
        let Some(id) = graph.producer(value) else { continue };
        let node = graph.node(id);
        match &node.op {
            Op::MatMul(_) | Op::Einsum(_)
                if node.inputs.len() == 2 && node.inputs.iter().flatten().all(|v| dependent.contains(v)) =>
            {
                return Some(id);
            }
            Op::Unary(Unary::Identity | Unary::Tanh | Unary::Neg)
            | Op::Binary(_)
            | Op::Where(_)
            | Op::Variadic(_)
            | Op::Cast(_)
            | Op::Clip(_)
            | Op::Reshape(_)
            | Op::Squeeze(_)
            | Op::Unsqueeze(_) => stack.extend(node.inputs.iter().flatten()),
            // A scale and a bias per head may have been read as this.
            Op::Transpose(_) | Op::BatchNormalization(_) => stack.extend(node.input(0)),
            _ => {}
        }
    }
    None
}

/// What the weights multiply, behind movement and the guard of wholly masked rows.
fn values(
    graph: &Graph,
    consumers: &[Vec<NodeId>],
    weights: ValueId,
    dependent: &FxHashSet<ValueId>,
) -> Option<ValueId> {
    let mut stack = vec![weights];
    let mut seen = FxHashSet::default();
    while let Some(value) = stack.pop() {
        if !seen.insert(value) {
            continue;
        }
        for id in &consumers[value.index()] {
            let node: &Node = graph.node(*id);
            match &node.op {
                Op::MatMul(_) | Op::Einsum(_) if node.inputs.len() == 2 => {
                    let other = node.inputs.iter().flatten().copied().find(|v| *v != value);
                    if let Some(other) = other.filter(|v| dependent.contains(v)) {
                        return Some(other);
                    }
                }
                Op::Unary(Unary::Identity | Unary::IsNaN)
                | Op::Where(_)
                | Op::Cast(_)
                | Op::Reshape(_)
                | Op::Squeeze(_)
                | Op::Unsqueeze(_)
                | Op::Binary(exegesis_graph::op::Binary::Mul) => stack.extend(node.output(0)),
                _ => {}
            }
        }
    }
    None
}
