//! What unrolling and rolling of recurrent layers share: reading a layer, and its cells.
//!
//! A [`Cell`] appends the primitive operators of one step. What does not live here: where the steps go, one after the
//! other (`unroll`) or into the body of a loop (`roll`).

mod activation;
pub(super) mod emit;
mod gru;
mod lstm;
mod rnn;
mod weights;

use crate::op::{Direction, Op, Unary};
use crate::{DType, Dim, Error, Graph, Node, NodeId, Result, Tensor, ValueId};
use activation::Activation;
pub(super) use activation::number;
use emit::Emitter;
pub(super) use weights::{Constants, Weights};

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

/// True for the operators that [`Layer::read`] reads.
pub(super) fn is_layer(op: &Op) -> bool {
    matches!(op, Op::Lstm(_) | Op::Gru(_) | Op::Rnn(_))
}

/// Steps of a recurrent layer, where they are known; `None` for other nodes and open lengths.
pub(super) fn known_steps(graph: &Graph, node: &Node) -> Option<usize> {
    let layout = match &node.op {
        Op::Lstm(op) => op.layout,
        Op::Gru(op) => op.layout,
        Op::Rnn(op) => op.layout,
        _ => return None,
    };
    let shape = graph.value(node.input(0)?).shape.as_ref()?;
    shape.get(usize::try_from(layout).ok()?)?.fixed()
}

/// A recurrent layer, read and checked.
pub(super) struct Layer {
    /// What its steps compute.
    pub(super) cell: Box<dyn Cell>,
    /// Input `X`.
    pub(super) x: ValueId,
    /// Axis of the steps in `X`; also of the directions in the states.
    pub(super) time_axis: i64,
    /// Number of steps; `None` if the rank of `X` is unknown.
    pub(super) steps: Option<Dim>,
    /// Per direction, true if it runs backwards.
    pub(super) ways: &'static [bool],
    /// Weights of all directions.
    pub(super) constants: Constants,
    /// Activations per direction.
    pub(super) activations: Vec<Vec<Activation>>,
    /// Valid lengths of the samples; `None` if every sample has all steps.
    pub(super) lengths: Option<Lengths>,
    /// Initial states; `None` is zero.
    pub(super) initial: Vec<Option<ValueId>>,
    /// Which of the results are read.
    pub(super) uses: [bool; 3],
}

impl Layer {
    /// Reads the layer `id`.
    ///
    /// # Errors
    /// Another operator, clipping, unknown activations, weights that are not constant, operands that contradict each
    /// other.
    pub(super) fn read(graph: &Graph, id: NodeId) -> Result<Self> {
        let node = graph.node(id);
        match &node.op {
            Op::Lstm(op) => Self::of(graph, node, &attributes_of!(op), Box::new(lstm::Lstm::new(op))),
            Op::Gru(op) => Self::of(graph, node, &attributes_of!(op), Box::new(gru::Gru::new(op))),
            Op::Rnn(op) => Self::of(graph, node, &attributes_of!(op), Box::new(rnn::Rnn::default())),
            _ => Err(Error::unsupported("is not a recurrent layer")),
        }
    }

    fn of(graph: &Graph, node: &Node, attributes: &Attributes<'_>, cell: Box<dyn Cell>) -> Result<Self> {
        if attributes.clip.is_some() {
            return Err(Error::unsupported("clips its gates (attribute `clip`), which cannot be unrolled"));
        }
        let time_axis = match attributes.layout {
            0 | 1 => attributes.layout,
            other => return Err(Error::malformed(format!("has layout {other}, which must be 0 or 1"))),
        };
        let x = node.input(0).ok_or_else(|| Error::malformed("has no input X"))?;
        let steps = match &graph.value(x).shape {
            None => None,
            Some(shape) if shape.len() == 3 => shape.get(time_axis as usize).cloned(),
            Some(shape) => {
                let message = format!("has an input X of rank {}, which must be 3", shape.len());
                return Err(Error::malformed(message));
            }
        };
        let ways: &[bool] = match attributes.direction {
            Direction::Forward => &[false],
            Direction::Reverse => &[true],
            Direction::Bidirectional => &[false, true],
        };
        let constants =
            Constants::read(graph, &node.inputs, ways.len(), cell.gates(), attributes.hidden_size)?;
        let activations = activation::read(
            attributes.activations,
            attributes.alphas,
            attributes.betas,
            cell.default_activations(),
            ways.len(),
        )?;
        let fixed = steps.as_ref().and_then(Dim::fixed);
        let lengths = node.input(4).map(|v| Lengths::read(graph, v, fixed)).transpose()?.flatten();
        let initial =
            (0..cell.states()).map(|s| node.input(5 + s).filter(|v| !is_zero(graph, *v, 16))).collect();
        let uses = [0, 1, 2].map(|i| node.output(i).is_some());
        Ok(Self { cell, x, time_axis, steps, ways, constants, activations, lengths, initial, uses })
    }

    /// Name of direction `d` in the names of nodes; empty if there is one direction.
    pub(super) fn way(&self, d: usize) -> &'static str {
        match self.ways {
            [false, true] if d == 0 => "forward",
            [false, true] => "reverse",
            _ => "",
        }
    }
}

/// Attributes that the three layers have in common.
struct Attributes<'a> {
    alphas: &'a [f32],
    betas: &'a [f32],
    activations: &'a [String],
    clip: Option<f32>,
    direction: Direction,
    hidden_size: i64,
    layout: i64,
}

/// The common attributes of an operator struct.
macro_rules! attributes_of {
    ($op:expr) => {
        Attributes {
            alphas: &$op.activation_alpha,
            betas: &$op.activation_beta,
            activations: &$op.activations,
            clip: $op.clip,
            direction: $op.direction,
            hidden_size: $op.hidden_size,
            layout: $op.layout,
        }
    };
}
use attributes_of;

/// Valid lengths of the samples.
pub(super) struct Lengths {
    /// Integers `[batch]`.
    pub(super) value: ValueId,
    /// Their type.
    pub(super) dtype: DType,
    /// Steps that are valid for every sample.
    pub(super) always: usize,
}

impl Lengths {
    /// `None` if every sample surely has all steps.
    fn read(graph: &Graph, value: ValueId, steps: Option<usize>) -> Result<Option<Self>> {
        let dtype = graph.value(value).dtype.unwrap_or(DType::I32);
        let Some(tensor) = graph.constant(value) else { return Ok(Some(Self { value, dtype, always: 0 })) };
        let lengths =
            tensor.to_i64().ok_or_else(|| Error::malformed("its sequence lengths are not integers"))?;
        let all = steps.unwrap_or(usize::MAX);
        if let Some(bad) = lengths.iter().find(|n| usize::try_from(**n).map_or(true, |n| n > all)) {
            let of = steps.map_or_else(|| "an open number of".to_string(), |n| n.to_string());
            return Err(Error::malformed(format!("has a sequence length of {bad} with {of} steps")));
        }
        let always = lengths.iter().min().map_or(all, |n| *n as usize);
        Ok((always < all).then_some(Self { value, dtype, always }))
    }
}

/// True if the value is surely zero everywhere, as exporters write omitted initial states.
pub(super) fn is_zero(graph: &Graph, value: ValueId, depth: usize) -> bool {
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
