//! Expansion of composites into standard operators of the canonical opset.

mod activation;
mod attention;
mod emitter;
mod linear;
mod normalization;

use super::infer::ShapeInference;
use crate::{Error, Graph, NodeId, Op, Result};
use emitter::Emitter;

/// Replaces every composite for which `only` holds, also inside bodies, by standard operators that compute the same (see
/// the operators' own descriptions). Their nodes are named after the composite and remember it; the last one writes the
/// composite's output, which keeps its name. Types and ranks must be inferred. Returns the number expanded.
///
/// # Errors
/// A composite whose expansion needs a type, a rank or a head size that is not known.
pub fn expand(graph: &mut Graph, only: &dyn Fn(&Op) -> bool) -> Result<usize> {
    let mut inference = ShapeInference::new();
    let mut count = 0;
    for id in graph.topological_order()? {
        for body in graph.node_mut(id).op.subgraphs_mut() {
            count += expand(&mut body.graph, only)?;
        }
        let node = graph.node(id);
        if node.op.is_composite() && only(&node.op) {
            let name = node.source_name().to_string();
            expand_one(graph, &mut inference, id).map_err(|e| e.at(name))?;
            count += 1;
        }
    }
    Ok(count)
}

fn expand_one(graph: &mut Graph, inference: &mut ShapeInference, id: NodeId) -> Result<()> {
    let node = graph.node(id).clone();
    let Some(output) = node.output(0) else {
        graph.remove_node(id);
        return Ok(());
    };
    let missing = || Error::malformed(format!("{}: an operand is missing", node.op.name()));
    let operand = |i: usize| node.input(i).ok_or_else(missing);
    graph.remove_node(id);
    let mut emit = Emitter::new(graph, inference, &node, output);
    match &node.op {
        Op::Gelu(op) => activation::gelu(&mut emit, operand(0)?, op.approximate),
        Op::Swish(op) => activation::swish(&mut emit, operand(0)?, op.alpha),
        Op::OneMinusSigmoid(_) => activation::one_minus_sigmoid(&mut emit, operand(0)?),
        Op::RmsNormalization(op) => normalization::rms(&mut emit, operand(0)?, operand(1)?, op),
        Op::GroupNormalization(op) => {
            normalization::group(&mut emit, operand(0)?, operand(1)?, operand(2)?, op)
        }
        Op::Linear(op) => linear::linear(&mut emit, operand(0)?, operand(1)?, node.input(2), op.transB),
        Op::Attention(op) => {
            attention::attention(&mut emit, [operand(0)?, operand(1)?, operand(2)?], node.input(3), op)
        }
        Op::RotaryEmbedding(op) => {
            attention::rotary(&mut emit, operand(0)?, operand(1)?, operand(2)?, op.interleaved)
        }
        _ => Ok(()),
    }
}
