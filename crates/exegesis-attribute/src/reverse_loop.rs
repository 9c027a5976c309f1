//! The walk through a `Loop`: the forward loop also emits the states that enter each trip; a second loop runs the trips
//! backwards, recomputes each body from those states, and walks it with the same rules.
//!
//! Signals on carried states become carried values of the second loop; signals on captured values are added up over the
//! trips, except where a trip only takes a slice of one: slices are collected and put back once, behind the loop. What the rules absorb inside the body is summed per class and booked at the loop.

use exegesis_graph::op::{Gather, Loop, ScatterND, ScatterReduction, Unary};
use exegesis_graph::{Builder, DType, Dim, Error, Graph, Node, Op, Subgraph, Tensor, ValueId};

use crate::Result;
use crate::ledger::{Class, Ledger};
use crate::rule::{Context, Outcome, RuleSet, Within};
use crate::walk::{OnMissingRule, SeedOn, Start, propagate};

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
    signals: &[Vec<Option<ValueId>>],
    on_missing: OnMissingRule,
) -> Result<Vec<Outcome>> {
    let channels = signals.len();
    cx.rule = "loop";
    let refuse = |reason: &str| Ok(vec![Outcome::NoRule(reason.to_string())]);
    let Op::Loop(forward) = &node.op else {
        return refuse("it is not a Loop");
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
    let products = products(&body.graph);
    let entering = body.graph.inputs.iter().skip(OWN).take(states);
    let kept: Vec<ValueId> = entering.chain(&products).copied().collect();
    let stacks = emit_stacks(cx, node, &kept)?;
    let (entered, product_stacks) = stacks.split_at(states.min(stacks.len()));
    let Some(first) = entered.first().copied() else {
        return refuse("a Loop without carried values has no rule");
    };

    // The body of the reverse loop starts as a copy of the forward one.
    let mut reverse = body.graph.clone();
    let own_inputs = std::mem::take(&mut reverse.inputs);
    let own_outputs = std::mem::take(&mut reverse.outputs);
    let mut captures =
        Captures { outer: node.inputs[first_capture..].to_vec(), inner: body.captures.clone() };
    let trip = reverse.add_input("reverse_trip", DType::I64, vec![]);
    let condition = reverse.add_input("reverse_condition", DType::Bool, vec![]);
    // Carried values of the reverse loop: the signals on all states, then the sums of those on captured values, channel by
    // channel within each.
    let mut carried_in = vec![];
    let mut initial = vec![];
    for k in &real_states {
        let outer_final = node.output(*k);
        for (channel, signals) in signals.iter().enumerate() {
            let start = match (signals.get(*k).copied().flatten(), outer_final, node.input(OWN + k)) {
                (Some(signal), _, _) => signal,
                (None, Some(value), _) | (None, None, Some(value)) => cx.b.zeros_like(value)?,
                (None, None, None) => return refuse("a carried value is missing"),
            };
            initial.push(start);
            let value = cx.b.graph().value(start).clone();
            let dtype = value.dtype.unwrap_or(DType::F32);
            let shape =
                value.shape.ok_or_else(|| Error::unsupported("the rank of a carried value is unknown"))?;
            carried_in.push(reverse.add_input(&format!("signal{channel}_state{k}"), dtype, shape));
        }
    }
    let mut sums_in = vec![];
    for k in &summed {
        let Some(outer) = node.input(first_capture + k) else {
            return refuse("a captured value is missing");
        };
        for channel in 0..channels {
            let zero = cx.b.zeros_like(outer)?;
            initial.push(zero);
            let shape = cx.b.shape(outer)?.clone();
            let name = format!("signal{channel}_capture{k}");
            sums_in.push(reverse.add_input(&name, cx.b.dtype(outer), shape));
        }
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
    let mut seeds: Vec<SeedOn> = real_states
        .iter()
        .zip(carried_in.chunks(channels))
        .map(|(k, signals)| (own_outputs[1 + k], signals.to_vec()))
        .collect();
    for (j, output) in own_outputs.iter().enumerate().skip(1 + states) {
        let arrived: Vec<Option<ValueId>> =
            signals.iter().map(|signals| signals.get(j - 1).copied().flatten()).collect();
        let Some(like) = arrived.iter().flatten().next().copied() else { continue };
        let mut slices = vec![];
        for (channel, signal) in arrived.into_iter().enumerate() {
            let signal = match signal {
                Some(signal) => signal,
                None => cx.b.zeros_like(like)?,
            };
            let name = format!("signal{channel}_scan{j}");
            let stack = captures.add(cx.b, &mut reverse, &name, signal);
            slices.push(reverse.add_op(&format!("{name}_now"), Gather { axis: 0 }, &[stack, own_inputs[0]]));
        }
        seeds.push((*output, slices));
    }
    let roots: Vec<ValueId> = real_states
        .iter()
        .map(|k| own_inputs[OWN + k])
        .chain(summed.iter().map(|k| body.captures[*k]))
        .chain(slices.iter().map(|s| s.taken))
        .collect();

    let with_ledger = cx.ledger.is_enabled();
    // Slices whose signals are stacked, with the channel of each.
    let mut collected: Vec<(&Slice, usize)> = vec![];
    let totals = {
        let mut inner = Builder::new(&mut reverse, rules.name())?;
        let mut ledger = Ledger::with_channels(with_ledger, channels);
        let rows = cx.batch.in_body();
        let start = Start { seeds, one_hot: None };
        let walked = propagate(&mut inner, rules, start, &roots, &rows, &mut ledger, on_missing)?;
        cx.within = Within { rules: walked.rules, substitutions: walked.substitutions };
        let go_on = inner.unary(Unary::Identity, condition)?;
        let mut outputs = vec![go_on];
        let (state_roots, other_roots) = roots.split_at(real_states.len());
        for (root, carried) in state_roots.iter().zip(carried_in.chunks(channels)) {
            for (signals, carried) in walked.channels.iter().zip(carried) {
                let signal = match signals.get(root) {
                    Some(signal) => *signal,
                    None => inner.zeros_like(*carried)?,
                };
                outputs.push(inner.unary(Unary::Identity, signal)?);
            }
        }
        for (root, sums) in other_roots.iter().zip(sums_in.chunks(channels)) {
            for (signals, sum) in walked.channels.iter().zip(sums) {
                outputs.push(match signals.get(root) {
                    Some(signal) => inner.add(*sum, *signal)?,
                    None => inner.unary(Unary::Identity, *sum)?,
                });
            }
        }
        for slice in &slices {
            for (channel, signals) in walked.channels.iter().enumerate() {
                let Some(signal) = signals.get(&slice.taken) else { continue };
                let index = match inner.dtype(slice.index) {
                    DType::I64 => inner.unary(Unary::Identity, slice.index)?,
                    _ => inner.op(exegesis_graph::op::Cast { to: DType::I64 }, &[slice.index])?,
                };
                outputs.push(index);
                outputs.push(inner.unary(Unary::Identity, *signal)?);
                collected.push((slice, channel));
            }
        }
        let totals = ledger.totals(&mut inner)?;
        outputs.extend(totals.iter().map(|(_, _, total)| *total));
        inner.graph_mut().outputs = outputs;
        totals.into_iter().map(|(channel, class, _)| (channel, class)).collect::<Vec<_>>()
    };

    // The rules have seen the products; their results need not be computed a second time.
    for (product, stack) in products.iter().zip(product_stacks) {
        let stack = captures.add(cx.b, &mut reverse, "product_of_trips", *stack);
        if let Some(id) = reverse.producer(*product) {
            let node = reverse.node_mut(id);
            node.op = Gather { axis: 0 }.into();
            node.inputs = vec![Some(stack), Some(own_inputs[0])];
        }
    }
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
    for ((channel, class), stacked) in totals.iter().zip(&results[carried + stacked..]) {
        // [trips, batch, 1] -> [batch, 1].
        let total = cx.b.reduce_sum(*stacked, &[0], false)?;
        cx.b.set_shape(total, vec![cx.batch.size().clone(), Dim::Fixed(1)]);
        cx.enter(*channel);
        cx.absorb(*class, total)?;
    }
    let mut out = vec![vec![None; node.inputs.len()]; channels];
    let (of_states, of_captures) = results[..carried].split_at(real_states.len() * channels);
    for (k, results) in real_states.iter().zip(of_states.chunks(channels)) {
        for (channel, result) in results.iter().enumerate() {
            if cx.carries(node, OWN + k) {
                out[channel][OWN + k] = Some(*result);
            } else {
                cx.enter(channel);
                let state = node.input(OWN + k).unwrap_or(*result);
                let amount = cx.quantity.amount(cx.b, state, *result)?;
                cx.absorb(Class::InitialState, amount)?;
            }
        }
    }
    for (k, results) in summed.iter().zip(of_captures.chunks(channels)) {
        for (out, result) in out.iter_mut().zip(results) {
            out[first_capture + k] = Some(*result);
        }
    }
    for ((slice, channel), pair) in collected.iter().zip(results[carried..].chunks_exact(2)) {
        let operand = first_capture + slice.capture;
        let (Some(outer), [indices, signals]) = (node.input(operand), pair) else { continue };
        let whole = put_back(cx.b, outer, slice.axis, *indices, *signals)?;
        let sum = &mut out[*channel][operand];
        *sum = Some(match *sum {
            None => whole,
            Some(before) => cx.b.add(before, whole)?,
        });
    }
    Ok(out.into_iter().map(Outcome::Signals).collect())
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

/// Results of products with large constant matrices: cheaper to keep than to compute again.
fn products(body: &Graph) -> Vec<ValueId> {
    let large = |v: ValueId| {
        body.constant(v).is_some_and(|t| t.rank() == 2 && t.len() >= LARGE_MATRIX && t.dtype().is_float())
    };
    let of_matrix = |n: &Node| {
        matches!(n.op, Op::MatMul(_) | Op::Linear(_) | Op::Gemm(_)) && n.input(1).is_some_and(large)
    };
    let outputs = body.nodes().filter(|(_, n)| of_matrix(n)).filter_map(|(_, n)| n.output(0));
    outputs.filter(|v| body.value(*v).shape.is_some()).collect()
}

/// Elements of a matrix whose products are kept.
const LARGE_MATRIX: usize = 1 << 10;

/// Makes the forward loop also return values of its body (the states that enter a trip first), stacked over the trips.
fn emit_stacks(cx: &mut Context<'_, '_>, node: &Node, values: &[ValueId]) -> Result<Vec<ValueId>> {
    let Some(id) = node.outputs.iter().flatten().next().and_then(|v| cx.b.graph().producer(*v)) else {
        return Ok(vec![]);
    };
    let Op::Loop(forward) = &node.op else { return Ok(vec![]) };
    let mut stacks = vec![];
    let mut body = forward.body.clone();
    let trips = Dim::symbol(format!("trips_of_{}", node.name));
    for (k, inner) in values.iter().enumerate() {
        let name = format!("kept_of_trip{k}");
        let kept = body.graph.add_op(&name, Unary::Identity, &[*inner]);
        body.graph.outputs.push(kept);
        let value = body.graph.value(*inner).clone();
        body.graph.value_mut(kept).dtype = value.dtype;
        body.graph.value_mut(kept).shape.clone_from(&value.shape);
        // The outer graph may know more of a state than the body does.
        let is_state = body.graph.inputs.get(OWN + k) == Some(inner);
        let known = node.input(OWN + k).filter(|_| is_state);
        let shape = known
            .and_then(|v| cx.b.graph().value(v).shape.clone())
            .or(value.shape)
            .map(|s| std::iter::once(trips.clone()).chain(s).collect());
        stacks.push(cx.b.graph_mut().add_value(&format!("{}/{name}", node.name), value.dtype, shape));
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
