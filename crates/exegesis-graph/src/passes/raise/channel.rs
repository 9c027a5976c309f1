//! Constants that have one number per channel, and where a movement of axes takes the channels.

use crate::op::{Op, Unary};
use crate::{DType, Dim, Graph, NodeId, Tensor, ValueId};

/// A constant that differs along one axis at most of the value that it meets.
#[derive(Clone)]
pub(super) struct Constant {
    /// That axis, counted from the front; `None` for one number.
    pub(super) axis: Option<usize>,
    /// Its type.
    pub(super) dtype: DType,
    values: Vec<f64>,
}

impl Constant {
    /// Reads `constant` beside `value`; `None` if it adds axes to the value or stretches one, or varies along several.
    pub(super) fn read(graph: &Graph, value: ValueId, constant: ValueId) -> Option<Self> {
        let tensor = graph.constant(constant)?;
        let dims = graph.value(value).shape.as_ref()?;
        let missing = dims.len().checked_sub(tensor.rank())?;
        if !tensor.dtype().is_float() || tensor.is_empty() {
            return None;
        }
        let long: Vec<usize> = (0..tensor.rank()).filter(|a| tensor.shape().get(*a) != Some(&1)).collect();
        if long.iter().any(|a| dims.get(a + missing).and_then(Dim::fixed) != tensor.shape().get(*a).copied())
        {
            return None;
        }
        let dtype = tensor.dtype();
        match long[..] {
            [] => Some(Self { axis: None, dtype, values: tensor.to_f64()? }),
            [own] => Some(Self { axis: Some(own + missing), dtype, values: tensor.to_f64()? }),
            // Products with zero states are folded to rows that are all the same.
            [.., own] if tensor.len() <= MAX_REPEATED => {
                let values = tensor.to_f64()?;
                let width: usize = tensor.shape().get(own..)?.iter().product();
                let rows = values.chunks_exact(width);
                let first = values.get(..width)?.to_vec();
                let same = rows.into_iter().all(|row| row == first);
                same.then_some(Self { axis: Some(own + missing), dtype, values: first })
            }
            _ => None,
        }
    }

    /// The numbers of `count` channels.
    pub(super) fn vector(&self, count: usize) -> Option<Vec<f64>> {
        match self.values[..] {
            [single] => Some(vec![single; count]),
            _ if self.values.len() == count => Some(self.values.clone()),
            _ => None,
        }
    }
}

/// Most elements of a constant that are compared row by row.
const MAX_REPEATED: usize = 1 << 20;

/// The operand of a node that only moves or selects elements, and the axis of it that becomes `axis` of the result.
pub(super) fn through(graph: &Graph, id: NodeId, axis: Option<usize>) -> Option<(ValueId, Option<usize>)> {
    let node = graph.node(id);
    let x = node.input(0)?;
    let moves = matches!(
        node.op,
        Op::Transpose(_)
            | Op::Squeeze(_)
            | Op::Unsqueeze(_)
            | Op::Reshape(_)
            | Op::Flatten(_)
            | Op::Gather(_)
            | Op::Slice(_)
            | Op::Unary(Unary::Identity)
    );
    if !moves || graph.constant(x).is_some() {
        return None;
    }
    let Some(axis) = axis else { return Some((x, None)) };
    let (before, after) = (graph.value(x).shape.as_ref()?, graph.value(node.output(0)?).shape.as_ref()?);
    let from_front = |axes: Vec<i64>, rank: usize| -> Option<Vec<usize>> {
        let front = |a: i64| usize::try_from(if a < 0 { a + rank as i64 } else { a }).ok();
        axes.into_iter().map(front).collect()
    };
    let axes = |i: usize, rank: usize| from_front(graph.constant(node.input(i)?)?.to_i64()?, rank);
    let origin = match &node.op {
        Op::Transpose(op) if op.perm.is_empty() => before.len().checked_sub(axis + 1)?,
        Op::Transpose(op) => *from_front(op.perm.clone(), before.len())?.get(axis)?,
        Op::Squeeze(_) => {
            let gone = axes(1, before.len())?;
            (0..before.len()).filter(|a| !gone.contains(a)).nth(axis)?
        }
        Op::Unsqueeze(_) => {
            let new = axes(1, after.len())?;
            (!new.contains(&axis)).then(|| (0..axis).filter(|a| !new.contains(a)).count())?
        }
        Op::Reshape(_) | Op::Flatten(_) => regrouped(before, after, axis)?,
        Op::Gather(op) => {
            let at = *from_front(vec![op.axis], before.len())?.first()?;
            let width = (after.len() + 1).checked_sub(before.len())?;
            match axis {
                a if a < at => a,
                a if a >= at + width => a + 1 - width,
                _ => return None,
            }
        }
        Op::Slice(_) => {
            let cut = match node.input(3) {
                Some(_) => axes(3, before.len())?,
                None => (0..graph.constant(node.input(1)?)?.len()).collect(),
            };
            (!cut.contains(&axis)).then_some(axis)?
        }
        _ => axis,
    };
    Some((x, Some(origin)))
}

/// The axis of `before` that a regrouping of elements leaves as `axis` of `after`: all axes on one side of it are the same.
fn regrouped(before: &[Dim], after: &[Dim], axis: usize) -> Option<usize> {
    let from_back = after.len() - axis;
    let behind = before.len().checked_sub(from_back);
    match behind {
        Some(origin) if before[origin..] == after[axis..] => Some(origin),
        _ => (before.get(..=axis)? == after.get(..=axis)?).then_some(axis),
    }
}

/// A vector of type `dtype`.
pub(super) fn vector(dtype: DType, values: Vec<f64>) -> Option<Tensor> {
    Tensor::from_f64(dtype, vec![values.len()], values).ok()
}
