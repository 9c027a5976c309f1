//! Recurrent layers with a known number of steps.

use super::emit::Emitter;
use crate::op::{Binary, Where};
use crate::passes::recurrent::{Layer, Lengths, number};
use crate::{DType, Dim, Error, Graph, NodeId, Result, Role, Tensor, ValueId};

/// Replaces the layer `id` by its steps.
pub(super) fn unroll(graph: &mut Graph, id: NodeId) -> Result<()> {
    let mut layer = Layer::read(graph, id)?;
    let steps = steps(graph, &layer)?;
    super::check_size(steps * layer.ways.len(), layer.cell.nodes_per_step())?;
    let time_axis = layer.time_axis;

    let mut e = Emitter::new(graph, id);
    let lengths = layer.lengths.take().map(|l| column(&mut e, l, time_axis));
    // States keep the time (or direction) axis with size 1, so that they are cut from and joined to tensors directly.
    let mut initial_parts = vec![];
    for (s, value) in layer.initial.iter().enumerate() {
        let name = format!("initial_{s}");
        initial_parts.push(value.map(|v| e.split(&name, v, time_axis, layer.ways.len(), 1)));
    }
    let mut stacks = vec![];
    let mut finals: Vec<Vec<ValueId>> = vec![vec![]; layer.cell.states()];
    for (d, (reverse, activations)) in layer.ways.iter().zip(layer.activations.clone()).enumerate() {
        let way = layer.way(d);
        e.set_part(way);
        let kept = layer.cell.keeps_recurrent_bias();
        let projection = layer.constants.projection(&mut e, layer.x, d, kept)?;
        let parts = e.split("steps", projection, time_axis, steps, 1);
        layer.cell.start(&mut e, &layer.constants.weights(d, activations))?;
        let mut states: Vec<Option<ValueId>> =
            initial_parts.iter().map(|parts| parts.as_ref().and_then(|p| p.get(d).copied())).collect();
        let mut run =
            Run { lengths: lengths.as_ref(), dtype: layer.constants.dtype, zero: None, rows: vec![] };
        let mut order: Vec<(usize, ValueId)> = parts.into_iter().enumerate().collect();
        if *reverse {
            order.reverse();
        }
        for (t, part) in order {
            e.set_part(&if way.is_empty() { format!("t{t}") } else { format!("{way}/t{t}") });
            let new = layer.cell.step(&mut e, part, &states)?;
            states = run.advance(&mut e, t, new, &states)?;
        }
        e.set_part(way);
        if *reverse {
            run.rows.reverse();
        }
        stacks.push(run.rows);
        for (list, state) in finals.iter_mut().zip(states) {
            list.extend(state);
        }
    }
    e.set_part("");
    let [y, states_used @ ..] = layer.uses;
    let mut results = vec![y.then(|| stack(&mut e, &stacks, time_axis))];
    for (s, (state, used)) in finals.iter().zip(states_used).enumerate() {
        results.push(used.then(|| e.concat(&format!("last_{s}"), state, time_axis)));
    }
    e.finish(id, &results)
}

/// `Y`: steps joined along time, directions along a new axis behind it.
fn stack(e: &mut Emitter<'_>, stacks: &[Vec<ValueId>], time_axis: i64) -> ValueId {
    let mut parts = vec![];
    for (d, rows) in stacks.iter().enumerate() {
        let joined = e.concat(&format!("Y_{d}"), rows, time_axis);
        parts.push(e.unsqueeze(&format!("Y_{d}_direction"), joined, time_axis + 1));
    }
    e.concat("Y", &parts, time_axis + 1)
}

/// Number of steps of the layer.
fn steps(graph: &Graph, layer: &Layer) -> Result<usize> {
    match &layer.steps {
        Some(Dim::Fixed(0)) => Err(Error::unsupported("has a sequence of length 0")),
        Some(Dim::Fixed(steps)) => Ok(*steps),
        Some(dim) => Err(Error::unsupported(format!(
            "runs over `{dim}` steps, a length that the model leaves open: fix the length"
        ))),
        None => Err(Error::unsupported(format!(
            "the length of its sequence \"{}\" is not known: fix the length",
            graph.value(layer.x).name
        ))),
    }
}

/// The lengths in the layout of the states.
fn column(e: &mut Emitter<'_>, lengths: Lengths, time_axis: i64) -> Lengths {
    let outer = e.unsqueeze("lengths", lengths.value, time_axis);
    Lengths { value: e.unsqueeze("lengths_column", outer, 2), ..lengths }
}

/// Progress through the steps of one direction.
struct Run<'a> {
    lengths: Option<&'a Lengths>,
    dtype: DType,
    zero: Option<ValueId>,
    /// Hidden states in the order they were made, zero beyond the length.
    rows: Vec<ValueId>,
}

impl Run<'_> {
    /// Takes the states of step `t`: samples that end before it keep theirs.
    fn advance(
        &mut self,
        e: &mut Emitter<'_>,
        t: usize,
        new: Vec<ValueId>,
        old: &[Option<ValueId>],
    ) -> Result<Vec<Option<ValueId>>> {
        let Some(lengths) = self.lengths.filter(|l| t >= l.always) else {
            self.rows.extend(new.first());
            return Ok(new.into_iter().map(Some).collect());
        };
        let zero = match self.zero {
            Some(zero) => zero,
            None => *self.zero.insert(e.constant("zero", number(self.dtype, 0.0)?)),
        };
        let index = e.constant("index", Tensor::from_f64(lengths.dtype, vec![], vec![t as f64])?);
        let valid = e.op("valid", Binary::Greater, &[lengths.value, index]);
        let mut states = vec![];
        for (s, (new, old)) in new.iter().zip(old).enumerate() {
            let state = e.op(&format!("state_{s}"), Where {}, &[valid, *new, old.unwrap_or(zero)]);
            if let Some(node) = e.graph.producer(state) {
                e.graph.node_mut(node).role = Role::RecurrentState;
            }
            states.push(Some(state));
        }
        self.rows.extend(new.first().map(|h| e.op("row", Where {}, &[valid, *h, zero])));
        Ok(states)
    }
}
