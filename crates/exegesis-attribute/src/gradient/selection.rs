//! Derivatives of operators that pick elements, the number of which depends on the run.

use exegesis_graph::op::{self, Gather};
use exegesis_graph::{Error, Node, Op, ValueId};

use crate::rule::{Context, Outcome};
use crate::{Result, movement};

/// `Compress`: the signal goes back to the slices that were kept, as of a `Gather` of their indices.
///
/// # Errors
/// The graph can't be treated.
pub fn compress(cx: &mut Context<'_, '_>, node: &Node, g: ValueId) -> Result<Outcome> {
    let (Op::Compress(op), Some(x), Some(condition)) = (&node.op, node.input(0), node.input(1)) else {
        return Err(Error::malformed("Compress lacks an operand").into());
    };
    let found = cx.b.op(op::NonZero {}, &[condition])?;
    let kept = cx.b.squeeze(found, &[0])?;
    // Without an axis the data counts as one line.
    let (line, axis) = match op.axis {
        Some(axis) => (x, axis),
        None => (cx.b.reshape_to(x, &[-1])?, 0),
    };
    let mut gather = node.clone();
    gather.op = Gather { axis }.into();
    gather.inputs = vec![Some(line), Some(kept)];
    let Some(Outcome::Signals(signals)) = movement::backward(cx, &gather, &[Some(g)])? else {
        return Ok(Outcome::NoRule("its slices can't be put back".into()));
    };
    let signal =
        signals.first().copied().flatten().ok_or_else(|| Error::malformed("Gather sends no signal"))?;
    let signal = cx.b.reshape_like(signal, x)?;
    Ok(Outcome::at(0, node.inputs.len(), signal))
}

/// `Unique`: each distinct value (or slice) gets its signal back; equal ones share it equally.
///
/// # Errors
/// The graph can't be treated.
pub fn unique(cx: &mut Context<'_, '_>, node: &Node, g: ValueId) -> Result<Outcome> {
    let (Op::Unique(op), Some(x)) = (&node.op, node.input(0)) else {
        return Err(Error::malformed("Unique without operand").into());
    };
    let (inverse, counts) = match (node.output(2), node.output(3)) {
        (Some(inverse), Some(counts)) => (inverse, counts),
        _ => {
            let outputs = cx.b.op_with(node.op.clone(), node.inputs.clone(), 4)?;
            (outputs[2], outputs[3])
        }
    };
    let axis = match op.axis {
        Some(axis) => cx.b.axis(axis, cx.b.rank(x)?)?,
        None => 0,
    };
    let counts = cx.b.op(op::Cast { to: cx.b.dtype(g) }, &[counts])?;
    let behind: Vec<usize> = (1..cx.b.rank(g)? - axis).collect();
    let counts = cx.b.unsqueeze(counts, &behind)?;
    let share = cx.b.div(g, counts)?;
    let signal = cx.b.op(Gather { axis: axis as i64 }, &[share, inverse])?;
    let signal = match op.axis {
        Some(_) => signal,
        None => cx.b.reshape_like(signal, x)?,
    };
    cx.b.assume_shape(signal, x);
    Ok(Outcome::at(0, node.inputs.len(), signal))
}

/// The signal on an operand of which only the shape matters: none.
///
/// # Errors
/// The graph can't be treated.
pub fn nothing(cx: &mut Context<'_, '_>, node: &Node, x: ValueId) -> Result<Outcome> {
    let zeros = cx.b.zeros_like(x)?;
    Ok(Outcome::at(0, node.inputs.len(), zeros))
}
