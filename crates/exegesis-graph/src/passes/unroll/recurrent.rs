//! What the three recurrent layers share: their operands, the order of steps, lengths, and stacking of results.

use super::activation::number;
use super::emit::Emitter;
use super::weights::{Constants, Weights};
use crate::op::{Binary, Direction, Op, Unary, Where};
use crate::{DType, Error, Graph, NodeId, Result, Tensor, ValueId};

/// Attributes that the three layers have in common.
pub(super) struct Attributes {
    pub(super) alphas: Vec<f32>,
    pub(super) betas: Vec<f32>,
    pub(super) activations: Vec<String>,
    pub(super) clip: Option<f32>,
    pub(super) direction: Direction,
    pub(super) hidden_size: i64,
    pub(super) layout: i64,
}

/// Copies the common attributes out of an operator struct.
macro_rules! attributes_of {
    ($op:expr) => {
        super::recurrent::Attributes {
            alphas: $op.activation_alpha.clone(),
            betas: $op.activation_beta.clone(),
            activations: $op.activations.clone(),
            clip: $op.clip,
            direction: $op.direction,
            hidden_size: $op.hidden_size,
            layout: $op.layout,
        }
    };
}
pub(super) use attributes_of;

/// One kind of recurrent cell.
pub(super) trait Cell {
    /// Number of gates, in the order of the stored blocks.
    fn gates(&self) -> usize;
    /// Number of states: the hidden state, and for an LSTM the cell state.
    fn states(&self) -> usize;
    /// Activations of one direction when none are named.
    fn default_activations(&self) -> &'static [Unary];
    /// Gate whose recurrent bias is not added on the input side.
    fn keeps_recurrent_bias(&self) -> Option<usize> {
        None
    }
    /// Bound of the nodes of one step, for the size check.
    fn nodes_per_step(&self) -> usize {
        30
    }
    /// Adds the constants of one direction.
    fn start(&mut self, e: &mut Emitter<'_>, weights: &Weights) -> Result<()>;
    /// Appends one step: `x` is `W x + b` of all gates `[.., gates * hidden]`; `None` is a zero state. Returns the new
    /// states, the hidden state first.
    fn step(&self, e: &mut Emitter<'_>, x: ValueId, states: &[Option<ValueId>]) -> Result<Vec<ValueId>>;
}

/// Replaces the layer `id` by its steps.
pub(super) fn unroll(
    graph: &mut Graph,
    id: NodeId,
    attributes: &Attributes,
    cell: &mut dyn Cell,
) -> Result<()> {
    let node = graph.node(id);
    let inputs: Vec<Option<ValueId>> = (0..8).map(|i| node.input(i)).collect();
    let uses: Vec<bool> = (0..3).map(|i| node.output(i).is_some()).collect();
    let input = |i: usize| inputs.get(i).copied().flatten();
    if attributes.clip.is_some() {
        return Err(Error::unsupported("clips its gates (attribute `clip`), which cannot be unrolled"));
    }
    let time_axis = match attributes.layout {
        0 | 1 => attributes.layout,
        other => return Err(Error::malformed(format!("has layout {other}, which must be 0 or 1"))),
    };
    let x = input(0).ok_or_else(|| Error::malformed("has no input X"))?;
    let steps = steps(graph, x, time_axis as usize)?;
    let ways: &[bool] = match attributes.direction {
        Direction::Forward => &[false],
        Direction::Reverse => &[true],
        Direction::Bidirectional => &[false, true],
    };
    super::check_size(steps * ways.len(), cell.nodes_per_step())?;
    let constants = Constants::read(graph, &inputs, ways.len(), cell.gates(), attributes.hidden_size)?;
    let activations = super::activation::read(
        &attributes.activations,
        &attributes.alphas,
        &attributes.betas,
        cell.default_activations(),
        ways.len(),
    )?;
    let lengths = input(4).map(|v| Lengths::new(graph, v, steps)).transpose()?.flatten();
    let initial: Vec<Option<ValueId>> =
        (0..cell.states()).map(|s| input(5 + s).filter(|v| !is_zero(graph, *v, 16))).collect();

    let mut e = Emitter::new(graph, id);
    let lengths = lengths.map(|l| l.unsqueezed(&mut e, time_axis));
    // States keep the time (or direction) axis with size 1, so that they are cut from and joined to tensors directly.
    let mut initial_parts = vec![];
    for (s, value) in initial.iter().enumerate() {
        let name = format!("initial_{s}");
        initial_parts.push(value.map(|v| e.split(&name, v, time_axis, ways.len(), 1)));
    }
    let mut stacks = vec![];
    let mut finals: Vec<Vec<ValueId>> = vec![vec![]; cell.states()];
    for (d, (reverse, activations)) in ways.iter().zip(activations).enumerate() {
        let way = match (ways.len(), reverse) {
            (1, _) => "",
            (_, false) => "forward",
            (_, true) => "reverse",
        };
        e.set_part(way);
        let projection = constants.projection(&mut e, x, d, cell.keeps_recurrent_bias())?;
        let parts = e.split("steps", projection, time_axis, steps, 1);
        cell.start(&mut e, &constants.weights(d, activations))?;
        let mut states: Vec<Option<ValueId>> =
            initial_parts.iter().map(|parts| parts.as_ref().and_then(|p| p.get(d).copied())).collect();
        let mut run = Run { lengths: lengths.as_ref(), dtype: constants.dtype, zero: None, rows: vec![] };
        let mut order: Vec<(usize, ValueId)> = parts.into_iter().enumerate().collect();
        if *reverse {
            order.reverse();
        }
        for (t, part) in order {
            e.set_part(&if way.is_empty() { format!("t{t}") } else { format!("{way}/t{t}") });
            let new = cell.step(&mut e, part, &states)?;
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
    let mut results = vec![];
    results.push(match uses.first() {
        Some(true) => Some(stack(&mut e, &stacks, time_axis)),
        _ => None,
    });
    for (s, state) in finals.iter().enumerate() {
        let used = uses.get(s + 1) == Some(&true);
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

/// Number of steps of `x`.
fn steps(graph: &Graph, x: ValueId, axis: usize) -> Result<usize> {
    let value = graph.value(x);
    let shape = value.shape.as_ref().ok_or_else(|| {
        Error::unsupported(format!(
            "the length of its sequence \"{}\" is not known: fix the length",
            value.name
        ))
    })?;
    match shape.get(axis) {
        Some(dim) if shape.len() == 3 => match dim.fixed() {
            Some(0) => Err(Error::unsupported("has a sequence of length 0")),
            Some(steps) => Ok(steps),
            None => Err(Error::unsupported(format!(
                "runs over `{dim}` steps, a length that the model leaves open: fix the length"
            ))),
        },
        _ => Err(Error::malformed(format!("has an input X of rank {}, which must be 3", shape.len()))),
    }
}

/// Valid lengths of the samples.
struct Lengths {
    value: ValueId,
    dtype: DType,
    /// Steps that are valid for every sample.
    always: usize,
}

impl Lengths {
    /// `None` if every sample has all steps.
    fn new(graph: &Graph, value: ValueId, steps: usize) -> Result<Option<Self>> {
        let dtype = graph.value(value).dtype.unwrap_or(DType::I32);
        let Some(tensor) = graph.constant(value) else { return Ok(Some(Self { value, dtype, always: 0 })) };
        let lengths =
            tensor.to_i64().ok_or_else(|| Error::malformed("its sequence lengths are not integers"))?;
        if let Some(bad) = lengths.iter().find(|n| usize::try_from(**n).map_or(true, |n| n > steps)) {
            return Err(Error::malformed(format!("has a sequence length of {bad} with {steps} steps")));
        }
        let always = lengths.iter().min().map_or(steps, |n| *n as usize);
        Ok((always < steps).then_some(Self { value, dtype, always }))
    }

    /// The lengths in the layout of the states.
    fn unsqueezed(self, e: &mut Emitter<'_>, time_axis: i64) -> Self {
        let outer = e.unsqueeze("lengths", self.value, time_axis);
        Self { value: e.unsqueeze("lengths_column", outer, 2), ..self }
    }
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
            states.push(Some(e.op(&format!("state_{s}"), Where {}, &[valid, *new, old.unwrap_or(zero)])));
        }
        self.rows.extend(new.first().map(|h| e.op("row", Where {}, &[valid, *h, zero])));
        Ok(states)
    }
}

/// True if the value is surely zero everywhere, as exporters write omitted initial states.
fn is_zero(graph: &Graph, value: ValueId, depth: usize) -> bool {
    let all_zero = |t: &Tensor| t.to_f64().is_some_and(|v| v.iter().all(|x| *x == 0.0));
    if let Some(tensor) = graph.constant(value) {
        return all_zero(tensor);
    }
    let (Some(node), true) = (graph.producer_node(value), depth > 0) else { return false };
    let first = || node.input(0).is_some_and(|v| is_zero(graph, v, depth - 1));
    match &node.op {
        Op::ConstantOfShape(op) => op.value.as_ref().is_none_or(|t| all_zero(t)),
        Op::Expand(_)
        | Op::Cast(_)
        | Op::Reshape(_)
        | Op::Squeeze(_)
        | Op::Unsqueeze(_)
        | Op::Transpose(_)
        | Op::Slice(_)
        | Op::Gather(_)
        | Op::Tile(_)
        | Op::Unary(Unary::Identity) => first(),
        Op::Concat(_) => node.inputs.iter().flatten().all(|v| is_zero(graph, *v, depth - 1)),
        _ => false,
    }
}
