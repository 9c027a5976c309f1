//! `If`, `Loop` and `Scan`: inference of their bodies.

use super::ShapeInference;
use super::expression::Expr;
use super::fact::Fact;
use crate::op::{Attribute, Attributes};
use crate::{DType, Error, Graph, NodeId, Op, Result, Subgraph};

/// Bodies nested deeper than this are inferred once only, with nothing assumed of carried sizes.
const MAX_PRECISE_DEPTH: usize = 3;

/// Facts of the outputs of a node with subgraphs, whose values are inferred on the way.
pub(super) fn infer(inference: &mut ShapeInference, graph: &mut Graph, id: NodeId) -> Result<Vec<Fact>> {
    // The operator is taken out while its bodies change, since they are inferred from facts of the graph around it.
    let placeholder = Op::Unary(crate::op::Unary::Identity);
    let mut op = std::mem::replace(&mut graph.node_mut(id).op, placeholder);
    let inputs: Vec<Option<Fact>> = {
        let operands = graph.node(id).inputs.clone();
        operands.into_iter().map(|v| v.map(|v| inference.fact(graph, v).clone())).collect()
    };
    let result = match &mut op {
        Op::If(op) => {
            let then_count = op.then_branch.captures.len();
            let captured = inputs.get(1..).unwrap_or_default();
            let (for_then, for_else) = captured.split_at(then_count.min(captured.len()));
            let a = run(inference, &mut op.then_branch, &[], for_then);
            let b = run(inference, &mut op.else_branch, &[], for_else);
            let condition = inputs.first().and_then(Option::as_ref).and_then(Fact::integers);
            match (condition.and_then(|c| c.first().copied()), a, b) {
                (Some(0), _, taken) | (Some(_), taken, _) => taken,
                (None, Ok(a), Ok(b)) => merge(inference, &a, &b),
                // Exporters guard operations by the sizes that they need: what can't run is the branch not taken.
                (None, Ok(taken), Err(_)) | (None, Err(_), Ok(taken)) => Ok(taken),
                (None, Err(error), Err(_)) => Err(error),
            }
        }
        Op::Loop(op) => repeat(inference, &mut op.body, &inputs),
        Op::Scan(op) => scan(inference, &mut op.body, &op.attributes, &inputs),
        _ => Ok(vec![]),
    };
    graph.node_mut(id).op = op;
    result
}

/// Infers a body; returns the facts of its outputs.
fn run(
    inference: &mut ShapeInference,
    body: &mut Subgraph,
    inputs: &[Fact],
    captured: &[Option<Fact>],
) -> Result<Vec<Fact>> {
    let mut inner = inference.nested();
    let bound = body.graph.inputs.clone().into_iter().zip(inputs.iter().cloned().map(Some));
    let captures = body.captures.clone().into_iter().zip(captured.iter().cloned());
    for (value, fact) in bound.chain(captures) {
        if let Some(fact) = fact {
            inner.set(&mut body.graph, value, fact);
        }
    }
    let result = inner.run_all(&mut body.graph);
    let facts = body.graph.outputs.clone().into_iter().map(|v| inner.fact(&body.graph, v).clone()).collect();
    inference.join(inner);
    result.map(|()| facts)
}

/// What holds of a value that is one of two.
fn merge(inference: &mut ShapeInference, a: &[Fact], b: &[Fact]) -> Result<Vec<Fact>> {
    let mut facts = vec![];
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        if let (Some(x), Some(y)) = (a.dtype, b.dtype)
            && x != y
        {
            let message = format!("If: output {i} has type {x} in one branch and {y} in the other");
            return Err(Error::malformed(message));
        }
        facts.push(generalise(inference, a, b));
    }
    Ok(facts)
}

fn generalise(inference: &mut ShapeInference, a: &Fact, b: &Fact) -> Fact {
    let shape = match (&a.shape, &b.shape) {
        (Some(x), Some(y)) if x.len() == y.len() => Some(
            x.iter()
                .zip(y)
                .map(|(x, y)| if x == y { x.clone() } else { inference.symbols.fresh() })
                .collect(),
        ),
        _ => None,
    };
    let values = match (&a.values, &b.values) {
        (Some(x), Some(y)) if a.shape == b.shape => {
            Some(x.iter().zip(y).map(|(x, y)| if x == y { x.clone() } else { None }).collect())
        }
        _ => None,
    };
    Fact::new(a.dtype.or(b.dtype), shape).with_values(values)
}

/// Forgets shapes of an earlier inference under other assumptions.
fn forget(body: &mut Subgraph) {
    for (_, node) in body.graph.nodes().map(|(i, n)| (i, n.outputs.clone())).collect::<Vec<_>>() {
        for output in node.into_iter().flatten() {
            body.graph.value_mut(output).shape = None;
        }
    }
}

/// Infers a body that hands `initial` states from one iteration to the next, until what is assumed of their sizes holds
/// for all iterations. Returns the states after the loop and the remaining results of an iteration.
fn carried(
    inference: &mut ShapeInference,
    body: &mut Subgraph,
    lead: &[Fact],
    initial: Vec<Fact>,
    slices: &[Fact],
    captured: &[Option<Fact>],
) -> Result<(Vec<Fact>, Vec<Fact>)> {
    let skipped = lead.len().min(1);
    let count = initial.len();
    // A carried value changes from one iteration to the next, so none of its elements is known.
    let mut states: Vec<Fact> = initial.into_iter().map(|f| Fact::new(f.dtype, f.shape)).collect();
    if inference.depth >= MAX_PRECISE_DEPTH {
        for state in &mut states {
            *state = Fact::new(state.dtype, state.shape.as_ref().map(|s| inference.symbols.many(s.len())));
        }
    }
    // Axes of which nothing is assumed any more, because an iteration changes them.
    let mut free: Vec<Vec<bool>> = states.iter().map(|s| vec![false; s.rank().unwrap_or(0)]).collect();
    loop {
        let inputs = [lead, &states, slices].concat();
        let outputs = run(inference, body, &inputs, captured)?;
        let results = outputs.get(skipped..).unwrap_or_default();
        let (next, rest) = results.split_at(count.min(results.len()));
        // Every round frees an axis or a rank, so there is an end.
        let mut stable = true;
        for ((state, next), free) in states.iter_mut().zip(next).zip(&mut free) {
            state.dtype = state.dtype.or(next.dtype);
            let Some(shape) = &mut state.shape else { continue };
            match &next.shape {
                Some(next) if next.len() == shape.len() => {
                    for ((dim, next), free) in shape.iter_mut().zip(next).zip(free) {
                        if !*free && dim != next {
                            (*dim, *free, stable) = (inference.symbols.fresh(), true, false);
                        }
                    }
                }
                _ => (state.shape, stable) = (None, false),
            }
        }
        if stable {
            // A size that changes is another one after the last iteration than during them.
            for (state, free) in states.iter_mut().zip(&free) {
                for (dim, _) in state.shape.iter_mut().flatten().zip(free).filter(|(_, free)| **free) {
                    *dim = inference.symbols.fresh();
                }
            }
            return Ok((states, rest.to_vec()));
        }
        forget(body);
    }
}

fn repeat(inference: &mut ShapeInference, body: &mut Subgraph, inputs: &[Option<Fact>]) -> Result<Vec<Fact>> {
    let count = body.graph.inputs.len().saturating_sub(2);
    let Some(initial) = inputs.get(2..2 + count) else {
        return Err(Error::malformed("Loop: the body has more operands than the node"));
    };
    let captured = inputs.get(2 + count..).unwrap_or_default();
    let lead = [Fact::new(Some(DType::I64), Some(vec![])), Fact::new(Some(DType::Bool), Some(vec![]))];
    let initial = initial.iter().map(|f| f.clone().unwrap_or_default()).collect();
    let (mut outputs, scanned) = carried(inference, body, &lead, initial, &[], captured)?;
    let known = |i: usize| inputs.get(i).and_then(Option::as_ref).and_then(Fact::integers)?.first().copied();
    let endless = inputs.get(1).is_none_or(|c| c.is_none() || known(1) == Some(1)) && keeps_going(body);
    let trips = known(0).filter(|_| endless).map(|n| Expr::Fixed(n.max(0)));
    let trips = trips.unwrap_or_else(|| inference.symbols.fresh());
    outputs.extend(scanned.into_iter().map(|f| stacked(f, trips.clone(), 0)));
    Ok(outputs)
}

/// True if the body of a loop never asks to stop: its condition is constant true or the one it was given.
pub fn keeps_going(body: &Subgraph) -> bool {
    let graph = &body.graph;
    let Some(mut condition) = graph.outputs.first().copied() else { return false };
    while let Some(node) = graph.producer_node(condition) {
        match (&node.op, node.input(0)) {
            (Op::Unary(crate::op::Unary::Identity), Some(input)) => condition = input,
            _ => return false,
        }
    }
    graph.inputs.get(1) == Some(&condition) || graph.constant(condition).and_then(|t| t.single()) == Some(1.0)
}

fn stacked(fact: Fact, size: Expr, axis: usize) -> Fact {
    let shape = fact.shape.map(|mut s| {
        s.insert(axis.min(s.len()), size);
        s
    });
    Fact::new(fact.dtype, shape)
}

fn scan(
    inference: &mut ShapeInference,
    body: &mut Subgraph,
    attributes: &Attributes,
    inputs: &[Option<Fact>],
) -> Result<Vec<Fact>> {
    let scanned = match attributes.get("num_scan_inputs") {
        Some(Attribute::Int(n)) => usize::try_from(*n).unwrap_or(0),
        _ => 0,
    };
    let total = body.graph.inputs.len();
    let (Some(states), Some(own)) = (total.checked_sub(scanned), inputs.get(..total)) else {
        return Err(Error::malformed("Scan: `num_scan_inputs` or the operands do not fit the body"));
    };
    let axes = |name: &str, i: usize, rank: usize| -> Result<usize> {
        let axis = match attributes.get(name) {
            Some(Attribute::Ints(list)) => list.get(i).copied().unwrap_or(0),
            _ => 0,
        };
        let position = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
        position.and_then(|p| usize::try_from(p).ok()).filter(|p| *p < rank).ok_or_else(|| {
            Error::malformed(format!("Scan: axis {axis} does not exist in a tensor of rank {rank}"))
        })
    };
    let (initial, sequences) = own.split_at(states);
    let initial = initial.iter().map(|f| f.clone().unwrap_or_default()).collect();
    let (mut length, mut slices): (Option<Expr>, Vec<Fact>) = (None, vec![]);
    for (i, sequence) in sequences.iter().enumerate() {
        let Fact { dtype, shape, .. } = sequence.clone().unwrap_or_default();
        let shape = match shape {
            None => None,
            Some(mut shape) => {
                let size = shape.remove(axes("scan_input_axes", i, shape.len())?);
                length = match length {
                    Some(l) if l.differs(&size) => {
                        return Err(Error::malformed(format!("Scan: sequences have lengths {l} and {size}")));
                    }
                    Some(l) if l.fixed().is_some() => Some(l),
                    _ => Some(size),
                };
                Some(shape)
            }
        };
        slices.push(Fact::new(dtype, shape));
    }
    let captured = inputs.get(total..).unwrap_or_default();
    let (mut outputs, results) = carried(inference, body, &[], initial, &slices, captured)?;
    let length = length.unwrap_or_else(|| inference.symbols.fresh());
    for (i, fact) in results.into_iter().enumerate() {
        let axis = match fact.rank() {
            Some(rank) => axes("scan_output_axes", i, rank + 1)?,
            None => 0,
        };
        outputs.push(stacked(fact, length.clone(), axis));
    }
    Ok(outputs)
}
