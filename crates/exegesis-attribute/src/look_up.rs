//! From where token ids are looked up back to the ids: a signal arrives at the output of a look-up, whose ids may be some
//! columns of the input, or have been transposed or reshaped.

use exegesis_graph::op::{Cast, Shape};
use exegesis_graph::{Builder, Graph, Node, Op, ValueId};
use rustc_hash::FxHashSet;

use crate::batch::BatchAxis;
use crate::error::{Error, Result};
use crate::explained_input::ExplainedInput;
use crate::ledger::Ledger;
use crate::movement;
use crate::rule::{Context, Flow, Outcome, Quantity, Within};

/// Axes of the look-up `root` that its table adds to those of the ids.
///
/// # Errors
/// Numbers of axes are not known.
pub fn embedding_axes(b: &Builder<'_>, root: ValueId) -> Result<Vec<usize>> {
    let ids = b.graph().producer_node(root).and_then(|n| n.input(1));
    let first = ids.map_or(Ok(0), |ids| b.rank(ids))?;
    Ok((first..b.rank(root)?).collect())
}

/// A signal on the look-up `root`, summed over the axes of its table or (`with_embedding`) not, as one on the ids of
/// `input`. Ids that were not looked up here have 0.
///
/// # Errors
/// Selected ids together with an embedding axis, or a graph that can't be treated.
pub fn onto_ids(
    b: &mut Builder<'_>,
    input: &ExplainedInput,
    root: ValueId,
    mut signal: ValueId,
    with_embedding: bool,
) -> Result<ValueId> {
    for node in steps(b.graph(), input.input, root) {
        let Some(ids) = varying_operand(b.graph(), &node) else { break };
        signal = match &node.op {
            Op::Slice(_) | Op::Gather(_) | Op::Expand(_) if with_embedding => {
                return Err(Error::Request(format!(
                    "parts of \"{}\" are looked up apart: the axis of the embedding can't be kept",
                    input.name
                )));
            }
            Op::Transpose(_) if with_embedding => {
                // A last axis that stays where it is.
                let rank = b.rank(ids)?;
                let Op::Transpose(transpose) = &node.op else { unreachable!("matched above") };
                let mut inverse: Vec<usize> = (0..=rank).collect();
                for (i, p) in transpose.perm.iter().enumerate() {
                    inverse[b.axis(*p, rank)?] = i;
                }
                if transpose.perm.is_empty() {
                    inverse[..rank].reverse();
                }
                b.transpose(signal, &inverse)?
            }
            Op::Reshape(_) | Op::Flatten(_) | Op::Squeeze(_) | Op::Unsqueeze(_) if with_embedding => {
                let last = b.rank(signal)? - 1;
                let mut shape = b.shape(ids)?.clone();
                shape.push(b.shape(signal)?[last].clone());
                let dims = b.op(Shape { start: 0, end: None }, &[ids])?;
                let width = b.dim_of(signal, last)?;
                let dims = b.concat(&[dims, width], 0)?;
                let out = b.reshape(signal, dims)?;
                b.set_shape(out, shape);
                out
            }
            Op::Slice(_)
            | Op::Gather(_)
            | Op::Expand(_)
            | Op::Transpose(_)
            | Op::Reshape(_)
            | Op::Flatten(_)
            | Op::Squeeze(_)
            | Op::Unsqueeze(_) => moved_back(b, &node, ids, signal)?,
            _ => signal,
        };
    }
    Ok(signal)
}

/// Nodes between the ids of a look-up and the graph input, from the look-up on.
fn steps(graph: &Graph, input: ValueId, root: ValueId) -> Vec<Node> {
    let mut steps = vec![];
    let mut ids = graph.producer_node(root).and_then(|n| n.input(1));
    while let Some(node) = ids.filter(|v| *v != input).and_then(|v| graph.producer_node(v)) {
        steps.push(node.clone());
        ids = varying_operand(graph, node);
    }
    steps
}

/// The operand that holds the ids: the first that is no constant.
fn varying_operand(graph: &Graph, node: &Node) -> Option<ValueId> {
    node.inputs.iter().flatten().copied().find(|v| graph.constant(*v).is_none())
}

/// The signal before a node that moves or selects ids.
fn moved_back(b: &mut Builder<'_>, node: &Node, ids: ValueId, signal: ValueId) -> Result<ValueId> {
    // Signals are real numbers: so is what takes the place of the ids.
    let to = b.dtype(signal);
    let stand_in = b.op(Cast { to }, &[ids])?;
    b.assume_shape(stand_in, ids);
    let mut moved = node.clone();
    if let Some(first) = moved.inputs.first_mut() {
        *first = Some(stand_in);
    }
    let batch = BatchAxis::of(b, ids)?;
    let mut cx = Context {
        b,
        carriers: &FxHashSet::default(),
        ledger: &mut Ledger::new(false),
        batch: &batch,
        vanishes: false,
        one_hot: None,
        sends_vanishing: false,
        channel: 0,
        rule: "",
        flows: vec![Flow::default()],
        within: Within::default(),
        quantity: Quantity::Amount,
    };
    match movement::backward(&mut cx, &moved, &[Some(signal)])? {
        Some(Outcome::Signals(signals)) => {
            signals.first().copied().flatten().ok_or_else(|| Error::Request("ids without a signal".into()))
        }
        _ => Err(Error::Request(format!("token ids behind {} can't be explained", node.op.name()))),
    }
}
