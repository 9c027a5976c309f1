//! An end for loops that might have none.
//!
//! A loop whose trips follow from constants or sizes is counted before it runs ([`crate::sizes`]). One that the data end
//! may never end, and rten can't be interrupted; so its body gets a look-up that fails at a trip that no loop in earnest
//! reaches: `condition and [true][trip / limit]`.

use exegesis_graph::op::{Binary, Gather};
use exegesis_graph::passes::infer::ShapeInference;
use exegesis_graph::{DType, Graph, Node, NodeId, Op, Tensor, ValueId};

use super::Guard;
use crate::{Result, sizes};

/// Bounds every open loop of `graph`, those in bodies included.
///
/// # Errors
/// A graph that is not well-formed.
pub(crate) fn bound(graph: &mut Graph) -> Result<Vec<Guard>> {
    let mut bounded = vec![];
    let has_loops = graph.nodes().any(|(_, node)| !node.op.subgraphs().is_empty());
    if has_loops {
        let mut inference = ShapeInference::new();
        inference.run(graph)?;
        let whole = graph.clone();
        bound_in(graph, &mut inference, &whole, &mut bounded)?;
    }
    Ok(bounded)
}

fn bound_in(
    graph: &mut Graph,
    inference: &mut ShapeInference,
    whole: &Graph,
    bounded: &mut Vec<Guard>,
) -> Result<()> {
    for id in graph.nodes().map(|(id, _)| id).collect::<Vec<NodeId>>() {
        let node = graph.node(id);
        let name = node.source_name().to_string();
        let open = matches!(&node.op, Op::Loop(_)) && is_open(graph, node, inference);
        for body in graph.node_mut(id).op.subgraphs_mut() {
            if open {
                let limit = sizes::open_trips(whole, &body.graph);
                bounded.extend(guard(&mut body.graph, &name, limit)?);
            }
            // Values of a body are not followed here; its loops count as open unless their count is constant.
            bound_in(&mut body.graph, &mut ShapeInference::new(), whole, bounded)?;
        }
    }
    Ok(())
}

/// True unless constants or sizes tell the number of trips, or bound it.
fn is_open(graph: &Graph, node: &Node, inference: &mut ShapeInference) -> bool {
    sizes::known_trips(graph, node, inference).is_none()
}

/// Lets the condition of `body` fail from trip `limit` on.
fn guard(body: &mut Graph, name: &str, limit: i64) -> Result<Option<Guard>> {
    let (Some(trip), Some(condition)) = (body.inputs.first().copied(), body.outputs.first().copied()) else {
        return Ok(None);
    };
    let typed = |graph: &mut Graph, id: ValueId, dtype, like: ValueId| {
        let shape = graph.value(like).shape.clone();
        let value = graph.value_mut(id);
        (value.dtype, value.shape) = (Some(dtype), shape);
    };
    let most = body.add_constant("trip_limit", Tensor::scalar(limit));
    let turn = body.add_op("trip_turn", Binary::Div, &[trip, most]);
    typed(body, turn, DType::I64, trip);
    let allowed = body.add_constant("trip_allowed", Tensor::new([1], vec![true])?);
    let within = body.add_op(&format!("{name}/trip_guard"), Gather { axis: 0 }, &[allowed, turn]);
    typed(body, within, DType::Bool, trip);
    let both = body.add_op("trip_condition", Binary::And, &[condition, within]);
    typed(body, both, DType::Bool, condition);
    if let Some(first) = body.outputs.first_mut() {
        *first = both;
    }
    let guard = body.producer_node(within).map(|node| node.name.clone()).unwrap_or_default();
    let message = format!("the loop has not ended after {limit} trips");
    Ok(Some(Guard { name: name.to_string(), guard, message }))
}
