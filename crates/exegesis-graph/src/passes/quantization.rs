//! Marks steps that quantise a value and dequantise it again.
//!
//! What lives here: finding pairs of `QuantizeLinear` and `DequantizeLinear` with the same constant scale and zero point, as
//! quantisers put them around layers. They compute what they computed; walks pass through them. What does not: weights that
//! are stored as integers (constant folding makes them floats).

use crate::{Graph, NodeId, Op, Role, ValueId};

/// Marks every pair with [`Role::FakeQuantization`], also in the bodies of control flow; returns the number of
/// `DequantizeLinear` nodes that were marked.
pub fn mark(graph: &mut Graph) -> usize {
    let pairs: Vec<(NodeId, NodeId)> =
        graph.nodes().filter_map(|(id, _)| Some((quantizer_of(graph, id)?, id))).collect();
    for (quantize, dequantize) in &pairs {
        for id in [quantize, dequantize] {
            graph.node_mut(*id).role = Role::FakeQuantization;
        }
    }
    let mut count = pairs.len();
    let nested: Vec<NodeId> =
        graph.nodes().filter(|(_, n)| !n.op.subgraphs().is_empty()).map(|(id, _)| id).collect();
    for id in nested {
        for subgraph in graph.node_mut(id).op.subgraphs_mut() {
            count += mark(&mut subgraph.graph);
        }
    }
    count
}

/// The node that made the integers that the node `id` makes floats again, with the same parameters.
fn quantizer_of(graph: &Graph, id: NodeId) -> Option<NodeId> {
    let node = graph.node(id);
    let Op::DequantizeLinear(after) = &node.op else { return None };
    let quantizer = graph.producer(node.input(0)?)?;
    let before = graph.node(quantizer);
    let Op::QuantizeLinear(op) = &before.op else { return None };
    let equal = |i: usize| same(graph, before.input(i), node.input(i));
    let per_tensor = graph.constant(node.input(1)?)?.len() == 1;
    ((per_tensor || op.axis == after.axis) && equal(1) && equal(2)).then_some(quantizer)
}

/// True if both are one value or equal constants.
fn same(graph: &Graph, a: Option<ValueId>, b: Option<ValueId>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => {
            a == b || matches!((graph.constant(a), graph.constant(b)), (Some(a), Some(b)) if a == b)
        }
        (a, b) => a == b,
    }
}
