//! Replaces recurrent layers by loops over their steps, whatever their number.
//!
//! What lives here: `LSTM`, `GRU` and `RNN` become one input projection of all steps and, per direction, a `Loop` whose
//! body is one step in primitive operators. Relevance rules then see every gate, and one graph serves all lengths. What
//! does not: layers as copies of their steps, which runtimes execute faster where they are few (`unroll`).

use crate::op::{Binary, Cast, Concat, ConstantOfShape, Gather, Loop, Shape, Slice, Transpose, Unary, Where};
use crate::{DType, Dim, Error, Graph, Node, NodeId, Op, Result, Subgraph, Tensor, ValueId};

use super::recurrent::emit::Emitter;
use super::recurrent::{self, Layer, number};

/// Rolls every `LSTM`, `GRU` and `RNN` for which `only` holds, also those in a branch of `If`; returns how many were
/// rolled. New nodes are named `<source>/loop/...`, those of a body `<source>/loop/step/...` (with the direction
/// before, if there are two), and have the layer as [`crate::Origin::Rewritten`]; gate products have
/// [`crate::Role::RecurrentGate`].
///
/// As in [`super::unroll::unroll`], `W x + b` of all steps is one `Linear` per direction in front of the loop. The body
/// carries the states `[batch, hidden]` and holds the recurrent weights as constants; it captures the projection, and
/// the lengths of the samples if there are any. Initial states that are omitted are zeros of the batch's size.
///
/// # Errors
/// A chosen node that cannot be rolled, by name: clipping, unknown activations, weights that are not constant
/// ([`crate::ErrorKind::Unsupported`]); operands that contradict each other ([`crate::ErrorKind::Malformed`]).
pub fn roll(graph: &mut Graph, only: &dyn Fn(&Node) -> bool) -> Result<usize> {
    let mut count = 0;
    let candidates: Vec<NodeId> = graph
        .nodes()
        .filter(|(_, n)| matches!(n.op, Op::If(_)) || recurrent::is_layer(&n.op))
        .map(|(id, _)| id)
        .collect();
    for id in candidates {
        let node = graph.node(id);
        let name = node.name.clone();
        if matches!(node.op, Op::If(_)) {
            for subgraph in graph.node_mut(id).op.subgraphs_mut() {
                count += roll(&mut subgraph.graph, only).map_err(|e| e.at(&name))?;
            }
        } else if only(node) {
            roll_one(graph, id).map_err(|e| e.at(name))?;
            count += 1;
        }
    }
    Ok(count)
}

/// True for the operators that [`roll`] replaces.
#[must_use]
pub fn is_layer(op: &Op) -> bool {
    recurrent::is_layer(op)
}

/// Number of steps of an `LSTM`, `GRU` or `RNN`, where the graph knows it.
#[must_use]
pub fn known_steps(graph: &Graph, node: &Node) -> Option<usize> {
    recurrent::known_steps(graph, node)
}

fn roll_one(graph: &mut Graph, id: NodeId) -> Result<()> {
    let mut layer = Layer::read(graph, id)?;
    let shape = graph.value(layer.x).shape.clone();
    let batch = shape.as_ref().and_then(|s| s.get(1 - layer.time_axis as usize)).cloned();
    let (time_axis, hidden, dtype) = (layer.time_axis, layer.constants.hidden, layer.constants.dtype);
    let way_count = layer.ways.len();

    let mut e = Emitter::new(graph, id);
    e.set_part("loop");
    let trips = match layer.steps.as_ref().and_then(Dim::fixed) {
        Some(steps) => e.constant("trips", Tensor::scalar(steps as i64)),
        None => {
            let shape = Shape { start: time_axis, end: Some(time_axis + 1) };
            let length = e.op("length", shape, &[layer.x]);
            let trips = e.squeeze("trips", length, 0);
            integers(e.graph, &[length, trips]);
            trips
        }
    };
    let lengths = layer.lengths.take().map(|l| {
        // The trip number, with which they are compared, is an int64.
        let wide = match l.dtype {
            DType::I64 => l.value,
            _ => e.op("lengths", Cast { to: DType::I64 }, &[l.value]),
        };
        let column = e.unsqueeze("lengths_column", wide, 1);
        integers(e.graph, &[wide, column]);
        column
    });
    let mut zeros = None;
    let mut initial = vec![];
    for (s, value) in layer.initial.clone().into_iter().enumerate() {
        let mut parts = vec![];
        match value {
            Some(value) => {
                for part in e.split(&format!("initial_{s}"), value, time_axis, way_count, 1) {
                    parts.push(e.squeeze(&format!("initial_{s}_state"), part, time_axis));
                }
            }
            None => {
                let zero = match zeros {
                    Some(zero) => zero,
                    None => *zeros.insert(zero_state(&mut e, layer.x, 1 - time_axis, hidden, dtype)?),
                };
                parts.resize(way_count, zero);
            }
        }
        initial.push(parts);
    }
    let mut rows = vec![];
    let mut finals: Vec<Vec<ValueId>> = vec![vec![]; layer.cell.states()];
    for d in 0..way_count {
        let way = layer.way(d);
        e.set_part(&if way.is_empty() { "loop".to_string() } else { format!("loop/{way}") });
        let states = initial.iter().filter_map(|parts| parts.get(d).copied()).collect();
        let direction = Direction { d, trips, lengths, states, batch: batch.clone() };
        let results = direction.emit(&mut e, &mut layer)?;
        let mut results = results.into_iter();
        for (list, state) in finals.iter_mut().zip(results.by_ref()) {
            list.push(e.unsqueeze("last", state, time_axis));
        }
        rows.extend(results.next());
    }
    e.set_part("loop");
    let [y, states_used @ ..] = layer.uses;
    let mut results = vec![y.then(|| e.concat("Y", &rows, time_axis + 1))];
    for (s, (state, used)) in finals.iter().zip(states_used).enumerate() {
        results.push(used.then(|| e.concat(&format!("last_{s}"), state, time_axis)));
    }
    e.finish(id, &results)
}

/// Zeros `[batch, hidden]`.
fn zero_state(
    e: &mut Emitter<'_>,
    x: ValueId,
    batch_axis: i64,
    hidden: usize,
    dtype: DType,
) -> Result<ValueId> {
    let batch = e.op("batch", Shape { start: batch_axis, end: Some(batch_axis + 1) }, &[x]);
    let hidden = e.constant("hidden", Tensor::vector(vec![hidden as i64]));
    let shape = e.op("state_shape", Concat { axis: 0 }, &[batch, hidden]);
    integers(e.graph, &[batch, shape]);
    let zero = Tensor::from_f64(dtype, vec![1], vec![0.0])?;
    Ok(e.op("zero_state", ConstantOfShape { value: Some(zero.into()) }, &[shape]))
}

/// One direction of a layer.
struct Direction {
    d: usize,
    /// Number of steps, a scalar.
    trips: ValueId,
    /// Valid lengths `[batch, 1]`, int64.
    lengths: Option<ValueId>,
    /// Initial states `[batch, hidden]`.
    states: Vec<ValueId>,
    batch: Option<Dim>,
}

/// The body under construction, with the values of the outer graph that it reads.
struct Body {
    graph: Graph,
    outer: Vec<ValueId>,
    inner: Vec<ValueId>,
}

impl Body {
    /// Makes `outer` readable in the body.
    fn capture(&mut self, from: &Graph, name: &str, outer: ValueId) -> ValueId {
        let value = from.value(outer);
        let inner = self.graph.add_value(name, value.dtype, value.shape.clone());
        self.outer.push(outer);
        self.inner.push(inner);
        inner
    }
}

impl Direction {
    /// Appends the projection and the loop; returns the last states `[batch, hidden]` and, if they are read, the hidden
    /// states of all steps with an axis for the direction behind the time axis.
    fn emit(self, e: &mut Emitter<'_>, layer: &mut Layer) -> Result<Vec<ValueId>> {
        let reverse = layer.ways.get(self.d).copied().unwrap_or(false);
        let Some(activations) = layer.activations.get(self.d).cloned() else {
            return Err(Error::malformed("has fewer activations than directions"));
        };
        let kept = layer.cell.keeps_recurrent_bias();
        let projection = layer.constants.projection(e, layer.x, self.d, kept)?;
        let (dtype, time_axis) = (layer.constants.dtype, layer.time_axis);
        let shape = projection_shape(e.graph, layer);
        declare(e, projection, dtype, shape);
        let state_shape = self.batch.clone().map(|batch| vec![batch, Dim::Fixed(layer.constants.hidden)]);

        let mut body = Body { graph: Graph::new(e.name("body")), outer: vec![], inner: vec![] };
        let trip = body.graph.add_input(&e.name("trip"), DType::I64, vec![]);
        let condition = body.graph.add_input(&e.name("condition"), DType::Bool, vec![]);
        let mut states = vec![];
        for s in 0..self.states.len() {
            let name = e.name(&format!("entering_{s}"));
            let state = body.graph.add_value(&name, Some(dtype), state_shape.clone());
            body.graph.inputs.push(state);
            states.push(Some(state));
        }
        let all_steps = body.capture(e.graph, &e.name("steps"), projection);
        let lengths = self.lengths.map(|l| body.capture(e.graph, &e.name("valid_lengths"), l));
        let last = if reverse {
            let one = e.constant("one", Tensor::scalar(1i64));
            let last = e.op("last_trip", Binary::Sub, &[self.trips, one]);
            integers(e.graph, &[last]);
            Some(body.capture(e.graph, &e.name("last_step"), last))
        } else {
            None
        };

        let mut inner = e.nested(&mut body.graph, "step");
        let step = match last {
            Some(last) => inner.op("index", Binary::Sub, &[last, trip]),
            None => trip,
        };
        let x = inner.op("x", Gather { axis: time_axis }, &[all_steps, step]);
        layer.cell.start(&mut inner, &layer.constants.weights(self.d, activations))?;
        let mut new = layer.cell.step(&mut inner, x, &states)?;
        let mut row = new.first().copied();
        if let Some(lengths) = lengths {
            // Samples that end before this step keep their states.
            let zero = inner.constant("zero", number(dtype, 0.0)?);
            let valid = inner.op("valid", Binary::Greater, &[lengths, step]);
            row = row.map(|h| inner.op("row", Where {}, &[valid, h, zero]));
            for (s, (new, old)) in new.iter_mut().zip(&states).enumerate() {
                *new = inner.op(&format!("state_{s}"), Where {}, &[valid, *new, old.unwrap_or(zero)]);
            }
        }
        let mut outputs = vec![inner.op("go_on", Unary::Identity, &[condition])];
        outputs.extend(&new);
        let y = layer.uses.first() == Some(&true);
        if let (Some(row), true) = (row, y) {
            // A body must not return the same value twice.
            outputs.push(inner.op("hidden", Unary::Identity, &[row]));
        }
        body.graph.outputs = outputs;

        let start = e.constant("start", Tensor::scalar(true));
        let operands: Vec<ValueId> =
            [self.trips, start].into_iter().chain(self.states).chain(body.outer).collect();
        let subgraph = Subgraph { graph: body.graph, captures: body.inner };
        let count = new.len() + usize::from(y);
        let mut results = e.ops("steps", Op::Loop(Box::new(Loop { body: subgraph })), &operands, count);
        for state in results.iter().take(new.len()) {
            declare(e, *state, dtype, state_shape.clone());
        }
        if y {
            let mut rows = results.pop().ok_or_else(|| Error::malformed("a loop has no result"))?;
            // One row per step: inference does not follow an open number of trips.
            let rows_shape = layer.steps.clone().zip(state_shape).map(|(steps, mut shape)| {
                shape.insert(0, steps);
                shape
            });
            declare(e, rows, dtype, rows_shape.clone());
            if reverse {
                let mut bound = |name: &str, value: i64| e.constant(name, Tensor::vector(vec![value]));
                let bounds = [
                    bound("from_last", -1),
                    bound("past_first", i64::MIN),
                    bound("time_axis", 0),
                    bound("backwards", -1),
                ];
                rows = e.op("in_order", Slice {}, &[&[rows][..], &bounds].concat());
                declare(e, rows, dtype, rows_shape);
            }
            if time_axis == 1 {
                rows = e.op("batch_first", Transpose { perm: vec![1, 0, 2] }, &[rows]);
            }
            results.push(e.unsqueeze("Y_direction", rows, time_axis + 1));
        }
        Ok(results)
    }
}

/// Dimensions of the projection: those of X, but for the gates of all units.
fn projection_shape(graph: &Graph, layer: &Layer) -> Option<crate::Shape> {
    let mut shape = graph.value(layer.x).shape.clone()?;
    *shape.last_mut()? = Dim::Fixed(layer.cell.gates() * layer.constants.hidden);
    Some(shape)
}

/// States the type of a value, and its dimensions where they are known.
fn declare(e: &mut Emitter<'_>, value: ValueId, dtype: DType, shape: Option<crate::Shape>) {
    let value = e.graph.value_mut(value);
    (value.dtype, value.shape) = (Some(dtype), shape);
}

/// States that values are int64: a walk does not follow integers.
fn integers(graph: &mut Graph, values: &[ValueId]) {
    for value in values {
        graph.value_mut(*value).dtype = Some(DType::I64);
    }
}
