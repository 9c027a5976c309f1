//! The walk through a `Loop`: the forward loop also emits the states that enter each trip; a second loop runs the trips
//! backwards, recomputes each body from those states, and walks it with the same rules.
//!
//! Signals on carried states become carried values of the second loop; signals on captured values are added up over the
//! trips, except where a trip only takes a slice of one: slices are collected and put back once, behind the loop. What the rules absorb inside the body is summed per class and booked at the loop.

use exegesis_graph::op::{Gather, Loop, ScatterND, ScatterReduction, Unary};
use exegesis_graph::{Builder, DType, Dim, Error, Graph, Node, Op, Subgraph, Tensor, ValueId};

use crate::Result;
use crate::ledger::{Class, Ledger};
use crate::rule::{Context, Outcome, RuleSet};
use crate::walk::{OnMissingRule, propagate};

/// Own operands of a Loop before its carried values: trip count and condition.
const OWN: usize = 2;

/// A value of the outer graph that the reverse body reads, with the inner value that stands for it.
struct Captures {
    outer: Vec<Option<ValueId>>,
    inner: Vec<ValueId>,
}

impl Captures {
    /// Makes `outer` readable inside `body` under `name`.
    fn add(&mut self, b: &Builder<'_>, body: &mut Graph, name: &str, outer: ValueId) -> ValueId {
        let value = b.graph().value(outer).clone();
        let inner = body.add_value(name, value.dtype, value.shape);
        self.outer.push(Some(outer));
        self.inner.push(inner);
        inner
    }
}

/// Signals on the operands of a `Loop` node.
///
/// # Errors
/// Nodes of the body without a rule, or states whose rank is unknown.
pub fn backward(
    rules: &dyn RuleSet,
    cx: &mut Context<'_, '_>,
    node: &Node,
    signals: &[Option<ValueId>],
    on_missing: OnMissingRule,
) -> Result<Outcome> {
    let Op::Loop(forward) = &node.op else {
        return Ok(Outcome::NoRule("it is not a Loop".into()));
    };
    let body = &forward.body;
    let states = body.graph.inputs.len().saturating_sub(OWN);
    let first_capture = OWN + states;
    if node.inputs.len() != first_capture + body.captures.len() || body.graph.outputs.len() < 1 + states {
        return Err(Error::malformed("the Loop's operands do not match its body").into());
    }
    let is_float = |graph: &Graph, v: ValueId| graph.value(v).dtype.is_some_and(|t| t.is_float());
    let real_states: Vec<usize> =
        (0..states).filter(|k| is_float(&body.graph, body.graph.inputs[OWN + k])).collect();
    let real_captures: Vec<usize> =
        (0..body.captures.len()).filter(|k| cx.carries(node, first_capture + k)).collect();
    let slices = slices(&body.graph, &body.captures, &real_captures);
    let summed: Vec<usize> = real_captures
        .iter()
        .copied()
        .filter(|k| reads(&body.graph, body.captures[*k]) > slices.iter().filter(|s| s.capture == *k).count())
        .collect();
    let entered = emit_entering_states(cx, node, states)?;
    let Some(first) = entered.first().copied() else {
        return Ok(Outcome::NoRule("a Loop without carried values has no rule".into()));
    };

    // The body of the reverse loop starts as a copy of the forward one.
    let mut reverse = body.graph.clone();
    let own_inputs = std::mem::take(&mut reverse.inputs);
    let own_outputs = std::mem::take(&mut reverse.outputs);
    let mut captures =
        Captures { outer: node.inputs[first_capture..].to_vec(), inner: body.captures.clone() };
    let trip = reverse.add_input("reverse_trip", DType::I64, vec![]);
    let condition = reverse.add_input("reverse_condition", DType::Bool, vec![]);
    let mut carried_in = vec![];
    let mut initial = vec![];
    for k in &real_states {
        let outer_final = node.output(*k);
        let start = match (signals.get(*k).copied().flatten(), outer_final, node.input(OWN + k)) {
            (Some(signal), _, _) => signal,
            (None, Some(value), _) | (None, None, Some(value)) => cx.b.zeros_like(value)?,
            (None, None, None) => return Ok(Outcome::NoRule("a carried value is missing".into())),
        };
        initial.push(start);
        let value = cx.b.graph().value(start).clone();
        let dtype = value.dtype.unwrap_or(DType::F32);
        let shape =
            value.shape.ok_or_else(|| Error::unsupported("the rank of a carried value is unknown"))?;
        carried_in.push(reverse.add_input(&format!("signal_state{k}"), dtype, shape));
    }
    let mut sums_in = vec![];
    for k in &summed {
        let Some(outer) = node.input(first_capture + k) else { continue };
        let zero = cx.b.zeros_like(outer)?;
        initial.push(zero);
        let shape = cx.b.shape(outer)?.clone();
        sums_in.push(reverse.add_input(&format!("signal_capture{k}"), cx.b.dtype(outer), shape));
    }
    let trips = trip_count(cx.b, first)?;
    let one = cx.b.constant(Tensor::scalar(1i64));
    let last = cx.b.sub(trips, one)?;
    let last = captures.add(cx.b, &mut reverse, "last_trip", last);
    // Trip number, condition and states of the forward trip.
    reverse.add_node_with_outputs(
        "forward_trip",
        exegesis_graph::op::Binary::Sub,
        vec![Some(last), Some(trip)],
        vec![Some(own_inputs[0])],
    )?;
    reverse.set_constant(own_inputs[1], Tensor::scalar(true));
    for (k, stack) in entered.iter().enumerate() {
        let stack = captures.add(cx.b, &mut reverse, &format!("entering_state{k}"), *stack);
        reverse.add_node_with_outputs(
            &format!("state{k}"),
            Gather { axis: 0 },
            vec![Some(stack), Some(own_inputs[0])],
            vec![Some(own_inputs[OWN + k])],
        )?;
    }
    let mut seeds: Vec<(ValueId, ValueId)> =
        real_states.iter().zip(&carried_in).map(|(k, signal)| (own_outputs[1 + k], *signal)).collect();
    for (j, output) in own_outputs.iter().enumerate().skip(1 + states) {
        if let Some(signal) = signals.get(j - 1).copied().flatten() {
            let stack = captures.add(cx.b, &mut reverse, &format!("signal_scan{j}"), signal);
            let slice =
                reverse.add_op(&format!("signal_of_scan{j}"), Gather { axis: 0 }, &[stack, own_inputs[0]]);
            seeds.push((*output, slice));
        }
    }
    let roots: Vec<ValueId> = real_states
        .iter()
        .map(|k| own_inputs[OWN + k])
        .chain(summed.iter().map(|k| body.captures[*k]))
        .chain(slices.iter().map(|s| s.taken))
        .collect();

    let with_ledger = cx.ledger.is_enabled();
    let mut collected = vec![];
    let totals = {
        let mut inner = Builder::new(&mut reverse, rules.name())?;
        let mut ledger = Ledger::new(with_ledger);
        let rows = cx.batch.in_body();
        let walked =
            propagate(&mut inner, rules, seeds.as_slice().into(), &roots, &rows, &mut ledger, on_missing)?;
        let go_on = inner.unary(Unary::Identity, condition)?;
        let mut outputs = vec![go_on];
        for (root, carried) in roots.iter().zip(carried_in.iter().chain(&sums_in)).take(real_states.len()) {
            let signal = match walked.signals.get(root) {
                Some(signal) => *signal,
                None => inner.zeros_like(*carried)?,
            };
            let signal = inner.unary(Unary::Identity, signal)?;
            outputs.push(signal);
        }
        for slice in &slices {
            if let Some(signal) = walked.signals.get(&slice.taken) {
                collected.push((slice, *signal));
            }
        }
        for (root, sum) in roots.iter().skip(real_states.len()).zip(&sums_in) {
            outputs.push(match walked.signals.get(root) {
                Some(signal) => inner.add(*sum, *signal)?,
                None => inner.unary(Unary::Identity, *sum)?,
            });
        }
        for (slice, signal) in &collected {
            let index = match inner.dtype(slice.index) {
                DType::I64 => inner.unary(Unary::Identity, slice.index)?,
                _ => inner.op(exegesis_graph::op::Cast { to: DType::I64 }, &[slice.index])?,
            };
            outputs.push(index);
            outputs.push(inner.unary(Unary::Identity, *signal)?);
        }
        let totals = ledger.totals(&mut inner)?;
        outputs.extend(totals.iter().map(|(_, total)| *total));
        inner.graph_mut().outputs = outputs;
        totals.into_iter().map(|(class, _)| class).collect::<Vec<Class>>()
    };

    let carried = initial.len();
    let yes = cx.b.constant(Tensor::scalar(true));
    let mut operands = vec![Some(trips), Some(yes)];
    operands.extend(initial.iter().copied().map(Some));
    operands.extend(captures.outer);
    let reverse_loop = Loop { body: Subgraph { graph: reverse, captures: captures.inner } };
    let stacked = 2 * collected.len();
    let count = carried + stacked + totals.len();
    let results = cx.b.op_with(Op::Loop(Box::new(reverse_loop)), operands, count)?;
    for (result, start) in results.iter().zip(&initial) {
        cx.b.assume_shape(*result, *start);
    }
    for (class, stacked) in totals.iter().zip(&results[carried + stacked..]) {
        // [trips, batch, 1] -> [batch, 1].
        let total = cx.b.reduce_sum(*stacked, &[0], false)?;
        cx.b.set_shape(total, vec![cx.batch.size().clone(), Dim::Fixed(1)]);
        cx.absorb(*class, total)?;
    }
    let mut out = vec![None; node.inputs.len()];
    for (k, result) in real_states.iter().zip(&results) {
        if cx.carries(node, OWN + k) {
            out[OWN + k] = Some(*result);
        } else {
            cx.absorb(Class::InitialState, *result)?;
        }
    }
    for (k, result) in summed.iter().zip(&results[real_states.len()..carried]) {
        out[first_capture + k] = Some(*result);
    }
    for ((slice, _), pair) in collected.iter().zip(results[carried..].chunks_exact(2)) {
        let operand = first_capture + slice.capture;
        let (Some(outer), [indices, signals]) = (node.input(operand), pair) else { continue };
        let whole = put_back(cx.b, outer, slice.axis, *indices, *signals)?;
        out[operand] = Some(match out[operand] {
            None => whole,
            Some(before) => cx.b.add(before, whole)?,
        });
    }
    Ok(Outcome::Signals(out))
}

/// A slice that each trip takes of a captured value: `Gather` at a scalar index.
struct Slice {
    /// Which capture.
    capture: usize,
    /// Axis from the front.
    axis: usize,
    /// The index, in the body.
    index: ValueId,
    /// The slice, in the body.
    taken: ValueId,
}

/// The slices that a body takes of the captures `of`.
fn slices(body: &Graph, captures: &[ValueId], of: &[usize]) -> Vec<Slice> {
    let mut slices = vec![];
    for (_, node) in body.nodes() {
        let (Op::Gather(gather), Some(data), Some(index), Some(taken)) =
            (&node.op, node.input(0), node.input(1), node.output(0))
        else {
            continue;
        };
        let (Some(capture), Some(shape)) =
            (of.iter().copied().find(|k| captures[*k] == data), body.value(data).shape.as_ref())
        else {
            continue;
        };
        let axis = if gather.axis < 0 { gather.axis + shape.len() as i64 } else { gather.axis };
        let scalar = body.value(index).shape.as_ref().is_some_and(Vec::is_empty);
        match usize::try_from(axis) {
            Ok(axis) if scalar && axis < shape.len() => slices.push(Slice { capture, axis, index, taken }),
            _ => {}
        }
    }
    slices
}

/// How often the nodes and outputs of a body read a value.
fn reads(body: &Graph, value: ValueId) -> usize {
    let operands = body.nodes().flat_map(|(_, n)| n.inputs.iter().flatten());
    operands.chain(&body.outputs).filter(|v| **v == value).count()
}

/// The signal on `whole` of the slices along `axis` whose signals are stacked in `signals` `[trips, ..]`, taken at
/// `indices` `[trips]`.
fn put_back(
    b: &mut Builder<'_>,
    whole: ValueId,
    axis: usize,
    indices: ValueId,
    signals: ValueId,
) -> Result<ValueId> {
    let rank = b.rank(whole)?;
    let mut to_front: Vec<usize> = vec![axis];
    to_front.extend((0..rank).filter(|a| *a != axis));
    let mut back = vec![0; rank];
    for (position, from) in to_front.iter().enumerate() {
        back[*from] = position;
    }
    let zeros = b.zeros_like(whole)?;
    let zeros = b.transpose(zeros, &to_front)?;
    let coordinates = b.unsqueeze(indices, &[1])?;
    let scatter = ScatterND { reduction: ScatterReduction::Add };
    let sum = b.op(scatter, &[zeros, coordinates, signals])?;
    let out = b.transpose(sum, &back)?;
    b.assume_shape(out, whole);
    Ok(out)
}

/// Makes the forward loop also return, stacked over the trips, the states that entered each.
fn emit_entering_states(cx: &mut Context<'_, '_>, node: &Node, states: usize) -> Result<Vec<ValueId>> {
    let Some(id) = node.outputs.iter().flatten().next().and_then(|v| cx.b.graph().producer(*v)) else {
        return Ok(vec![]);
    };
    let Op::Loop(forward) = &node.op else { return Ok(vec![]) };
    let mut stacks = vec![];
    let mut body = forward.body.clone();
    let trips = Dim::symbol(format!("trips_of_{}", node.name));
    for k in 0..states {
        let state = body.graph.inputs[OWN + k];
        let entering = body.graph.add_op(&format!("entering_state{k}"), Unary::Identity, &[state]);
        body.graph.outputs.push(entering);
        let value = body.graph.value(state).clone();
        body.graph.value_mut(entering).dtype = value.dtype;
        body.graph.value_mut(entering).shape.clone_from(&value.shape);
        let shape = node
            .input(OWN + k)
            .and_then(|v| cx.b.graph().value(v).shape.clone())
            .or(value.shape)
            .map(|s| std::iter::once(trips.clone()).chain(s).collect());
        let stack =
            cx.b.graph_mut().add_value(&format!("{}/entering_state{k}", node.name), value.dtype, shape);
        stacks.push(stack);
    }
    cx.b.graph_mut().replace_op(id, Op::Loop(Box::new(Loop { body })), &stacks)?;
    Ok(stacks)
}

/// Number of trips that ran, as an int64 scalar: the length of a stack.
fn trip_count(b: &mut Builder<'_>, stack: ValueId) -> Result<ValueId> {
    let length = b.op(exegesis_graph::op::Shape { start: 0, end: Some(1) }, &[stack])?;
    Ok(b.squeeze(length, &[0])?)
}

/// True for operators that this module walks through.
#[must_use]
pub fn handles(op: &Op) -> bool {
    matches!(op, Op::Loop(_))
}
