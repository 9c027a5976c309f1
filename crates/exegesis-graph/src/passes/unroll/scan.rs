//! `Scan` over an axis of known length.

use super::emit::Emitter;
use super::inline::Body;
use crate::op::{Attributes, Op, attribute};
use crate::{Error, Graph, NodeId, Result, ValueId};

/// How a scanned tensor is walked.
#[derive(Clone, Copy)]
struct Walk {
    axis: i64,
    reverse: bool,
}

/// Replaces the scan `id` by one copy of its body per slice.
pub(super) fn unroll(graph: &mut Graph, id: NodeId) -> Result<()> {
    let node = graph.node(id);
    let Op::Scan(op) = &node.op else { return Ok(()) };
    let mut attributes = op.attributes.clone();
    let subgraph = op.body.clone();
    let formal = subgraph.graph.inputs.len();
    let scanned = usize::try_from(attribute::take(&mut attributes, "num_scan_inputs", 0)?).unwrap_or(0);
    let (Some(states), true) = (formal.checked_sub(scanned), scanned > 0) else {
        return Err(Error::malformed("its number of scanned inputs does not fit its body"));
    };
    let operands: Option<Vec<ValueId>> = (0..formal).map(|i| node.input(i)).collect();
    let operands = operands.ok_or_else(|| Error::malformed("lacks an operand of its body"))?;
    let captured = node.inputs.get(formal..).unwrap_or_default().to_vec();
    let used: Vec<bool> = node.outputs.iter().map(Option::is_some).collect();
    let collected =
        subgraph.graph.outputs.len().checked_sub(states).ok_or_else(|| {
            Error::malformed(format!("its body returns fewer values than its {states} states"))
        })?;
    let ins = walks(&mut attributes, "scan_input_axes", "scan_input_directions", scanned)?;
    let outs = walks(&mut attributes, "scan_output_axes", "scan_output_directions", collected)?;
    let (state, scanned) = operands.split_at(states);
    let (mut state, scanned) = (state.to_vec(), scanned.to_vec());
    let mut axes = vec![];
    let mut trips = None;
    for (value, walk) in scanned.iter().zip(&ins) {
        let (axis, length) = length(graph, *value, walk.axis)?;
        axes.push(axis);
        if *trips.get_or_insert(length) != length {
            return Err(Error::malformed("scans tensors of different lengths"));
        }
    }
    let trips = trips.unwrap_or(0);
    if trips == 0 {
        return Err(Error::unsupported("scans tensors of length 0"));
    }

    let mut e = Emitter::new(graph, id);
    let body = Body::new(&mut e, subgraph, &captured, 0..states)?;
    super::check_size(trips, body.node_count() + ins.len() + outs.len())?;
    let mut slices = vec![];
    for (i, ((value, walk), axis)) in scanned.iter().zip(&ins).zip(&axes).enumerate() {
        let mut parts = e.split(&format!("scanned_{i}"), *value, *axis, trips, 1);
        if walk.reverse {
            parts.reverse();
        }
        slices.push(parts);
    }
    let mut rows: Vec<Vec<ValueId>> = vec![vec![]; collected];
    for trip in 0..trips {
        e.set_part(&format!("t{trip}"));
        let mut arguments = state;
        for (i, (parts, axis)) in slices.iter().zip(&axes).enumerate() {
            let slice = parts.get(trip).copied().ok_or_else(|| Error::malformed("a slice is missing"))?;
            arguments.push(e.squeeze(&format!("slice_{i}"), slice, *axis));
        }
        let mut results = body.copy(&mut e, &arguments)?.into_iter();
        state = results.by_ref().take(states).collect();
        for (s, ((list, value), walk)) in rows.iter_mut().zip(results).zip(&outs).enumerate() {
            if used.get(states + s) == Some(&true) {
                list.push(e.unsqueeze(&format!("collected_{s}"), value, walk.axis));
            }
        }
    }
    e.set_part("");
    let mut outputs: Vec<Option<ValueId>> = state.into_iter().map(Some).collect();
    for (s, (mut list, walk)) in rows.into_iter().zip(&outs).enumerate() {
        if walk.reverse {
            list.reverse();
        }
        outputs.push((!list.is_empty()).then(|| e.concat(&format!("collected_{s}"), &list, walk.axis)));
    }
    e.finish(id, &outputs)
}

/// Axes and directions of `count` tensors; absent lists are axis 0, forward.
fn walks(attributes: &mut Attributes, axes: &str, directions: &str, count: usize) -> Result<Vec<Walk>> {
    let axes: Vec<i64> = attribute::take(attributes, axes, vec![])?;
    let directions: Vec<i64> = attribute::take(attributes, directions, vec![])?;
    if [axes.len(), directions.len()].iter().any(|n| *n != 0 && *n != count) {
        return Err(Error::malformed(format!("names axes or directions for other than its {count} tensors")));
    }
    Ok((0..count)
        .map(|i| Walk {
            axis: axes.get(i).copied().unwrap_or(0),
            reverse: directions.get(i).copied().unwrap_or(0) != 0,
        })
        .collect())
}

/// The axis counted from the front, and the length along it.
fn length(graph: &Graph, value: ValueId, axis: i64) -> Result<(i64, usize)> {
    let value = graph.value(value);
    let open = || {
        Error::unsupported(format!(
            "scans \"{}\" along an axis of unknown length: fix the length",
            value.name
        ))
    };
    let shape = value.shape.as_ref().ok_or_else(open)?;
    let from_front = if axis < 0 { axis + shape.len() as i64 } else { axis };
    let dim = usize::try_from(from_front).ok().and_then(|a| shape.get(a));
    let dim = dim.ok_or_else(|| Error::malformed(format!("scans axis {axis} of \"{}\"", value.name)))?;
    Ok((from_front, dim.fixed().ok_or_else(open)?))
}
