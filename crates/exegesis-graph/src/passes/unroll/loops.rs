//! `Loop` with a known number of trips.

use super::emit::Emitter;
use super::inline::Body;
use crate::op::Op;
use crate::{Dim, Error, Graph, NodeId, Result, Tensor, ValueId};

/// Replaces the loop `id` by one copy of its body per trip.
pub(super) fn unroll(graph: &mut Graph, id: NodeId) -> Result<()> {
    let node = graph.node(id);
    let Op::Loop(op) = &node.op else { return Ok(()) };
    let subgraph = op.body.clone();
    let inputs = node.inputs.clone();
    let used: Vec<bool> = node.outputs.iter().map(Option::is_some).collect();
    let formal = subgraph.graph.inputs.len();
    let (Some(carried), Some(own)) = (formal.checked_sub(2), inputs.get(..formal)) else {
        return Err(Error::malformed("has fewer operands than its body has parameters"));
    };
    let trips = trips(graph, own, &subgraph.graph)?;
    let scans = subgraph.graph.outputs.len().checked_sub(1 + carried).ok_or_else(|| {
        Error::malformed(format!("its body returns fewer than the {carried} values that it carries"))
    })?;
    let index = index_shape(&subgraph.graph);
    let mut state: Vec<ValueId> = own
        .iter()
        .skip(2)
        .copied()
        .collect::<Option<_>>()
        .ok_or_else(|| Error::malformed("a carried value has no initial value"))?;
    if trips == 0 && used.iter().skip(carried).any(|u| *u) {
        return Err(Error::unsupported("runs no trip but its collected output is used"));
    }

    let mut e = Emitter::new(graph, id);
    let body = Body::new(&mut e, subgraph, inputs.get(formal..).unwrap_or_default(), 2..formal)?;
    super::check_size(trips, body.node_count())?;
    let condition = e.constant("condition", Tensor::new(vec![], vec![true])?);
    let mut collected: Vec<Vec<ValueId>> = vec![vec![]; scans];
    for trip in 0..trips {
        e.set_part(&format!("t{trip}"));
        let count = e.constant("trip", Tensor::new(index.clone(), vec![trip as i64])?);
        let mut arguments = vec![count, condition];
        arguments.append(&mut state);
        let mut results = body.copy(&mut e, &arguments)?.into_iter().skip(1);
        state = results.by_ref().take(carried).collect();
        for (s, (list, value)) in collected.iter_mut().zip(results).enumerate() {
            if used.get(carried + s) == Some(&true) {
                list.push(e.unsqueeze(&format!("collected_{s}"), value, 0));
            }
        }
    }
    e.set_part("");
    let mut outputs: Vec<Option<ValueId>> = state.into_iter().map(Some).collect();
    for (s, list) in collected.iter().enumerate() {
        outputs.push((!list.is_empty()).then(|| e.concat(&format!("collected_{s}"), list, 0)));
    }
    e.finish(id, &outputs)
}

/// The number of trips.
fn trips(graph: &Graph, own: &[Option<ValueId>], body: &Graph) -> Result<usize> {
    let single = |v: ValueId| graph.constant(v).and_then(|t| t.single());
    match own.get(1).copied().flatten().map(single) {
        None | Some(Some(1.0)) => {}
        Some(Some(_)) => return Ok(0),
        Some(None) => {
            return Err(Error::unsupported(
                "starts under a condition that depends on the data: cannot be unrolled",
            ));
        }
    }
    let limit = match own.first().copied().flatten().map(single) {
        None => None,
        Some(Some(count)) => Some(if count >= 0.0 { count as usize } else { 0 }),
        Some(None) => {
            return Err(Error::unsupported(
                "runs a number of trips that the model leaves open: fix the sizes of the inputs",
            ));
        }
    };
    let initial = own.iter().skip(2).map(|v| single((*v)?)).collect();
    super::condition::trips(body, limit, initial)
}

/// Shape of the trip counter: exporters write a scalar or a vector of one.
fn index_shape(body: &Graph) -> Vec<usize> {
    let shape = body.inputs.first().and_then(|v| body.value(*v).shape.as_ref());
    match shape.map(Vec::as_slice) {
        Some([Dim::Fixed(1)]) => vec![1],
        _ => vec![],
    }
}
