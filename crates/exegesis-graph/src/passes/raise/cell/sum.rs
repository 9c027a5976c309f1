//! The sum in front of a gate: linear maps of input and state, biases, peepholes.

use std::ops::Range;

use super::super::channel::Constant;
use super::super::pattern::View;
use crate::op::{Binary, Op};
use crate::{Dim, NodeId, ValueId};

/// A sum, taken apart.
pub(super) struct Sum {
    /// Units of the sum.
    pub(super) width: usize,
    /// Columns of products with constant matrices.
    pub(super) linears: Vec<Linear>,
    /// Additions of a constant: the node, and what it adds to what.
    pub(super) constants: Vec<Addition>,
    /// Other terms.
    pub(super) others: Vec<ValueId>,
    /// Additions of terms that are no constants.
    pub(super) joins: Vec<NodeId>,
}

/// Columns of a product with a constant matrix.
#[derive(Clone)]
pub(super) struct Linear {
    pub(super) node: NodeId,
    pub(super) input: ValueId,
    pub(super) columns: Range<usize>,
    /// Nothing but the sum reads these columns.
    pub(super) alone: bool,
}

/// The addition of a constant.
#[derive(Clone)]
pub(super) struct Addition {
    pub(super) node: NodeId,
    pub(super) constant: Constant,
}

/// Biases of a sum that belong to its map of the input.
pub(super) struct Transfer {
    pub(super) width: usize,
    /// Additions of constants, which vanish.
    pub(super) constants: Vec<Addition>,
    /// The map of the state, whose bias moves.
    pub(super) from: Option<Linear>,
    /// The map of the input.
    pub(super) to: Linear,
    /// The additions of both.
    pub(super) joins: Vec<NodeId>,
}

impl Sum {
    /// Takes the sum apart of which `value` is a part of the columns, or all.
    pub(super) fn of(view: &View<'_>, value: ValueId) -> Option<Self> {
        let (root, _) = strip(view, value)?;
        let width = view.dims(root)?.last().and_then(Dim::fixed)?;
        let mut sum = Self { width, linears: vec![], constants: vec![], others: vec![], joins: vec![] };
        sum.collect(view, root, 0..width, true, true, 0)?;
        Some(sum)
    }

    /// Adds the terms of columns of `value`. `outer`: no selection of columns lies between this value and the sum.
    fn collect(
        &mut self,
        view: &View<'_>,
        value: ValueId,
        columns: Range<usize>,
        outer: bool,
        alone: bool,
        depth: usize,
    ) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        let value = view.skip(value);
        let Some(id) = view.graph.producer(value) else {
            self.others.push(value);
            return Some(());
        };
        let node = view.graph.node(id);
        if let Some((before, start)) = selection(view, value) {
            let columns = columns.start + start..columns.end + start;
            let alone = alone && read_by_one(view, before, id, &columns);
            return self.collect(view, before, columns, false, alone, depth + 1);
        }
        if let Some((a, b)) = view.binary(value, Binary::Add) {
            let width = |v: ValueId| view.dims(v).and_then(|d| d.last()?.fixed());
            for (term, constant) in [(a, b), (b, a)] {
                if view.graph.constant(constant).is_none() {
                    continue;
                }
                let constant = Constant::read(view.graph, term, constant)?;
                let of_columns =
                    constant.axis.is_none_or(|axis| Some(axis + 1) == view.dims(term).map(<[Dim]>::len));
                if !of_columns {
                    return None;
                }
                if outer && alone {
                    self.constants.push(Addition { node: id, constant });
                }
                let alone = alone && read_by_one(view, term, id, &columns);
                return self.collect(view, term, columns, outer, alone, depth + 1);
            }
            if width(a).is_none() || width(a) != width(b) {
                return None;
            }
            self.joins.push(id);
            for term in [a, b] {
                let alone = alone && read_by_one(view, term, id, &columns);
                self.collect(view, term, columns.clone(), outer, alone, depth + 1)?;
            }
            return Some(());
        }
        match &node.op {
            Op::Linear(_) => self.linears.push(Linear { node: id, input: node.input(0)?, columns, alone }),
            Op::MatMul(_)
                if is_matrix(view, node.input(1)?) && view.graph.constant(node.input(0)?).is_none() =>
            {
                self.linears.push(Linear { node: id, input: node.input(0)?, columns, alone });
            }
            _ => self.others.push(value),
        }
        Some(())
    }

    /// The distinct operands of the linear maps.
    pub(super) fn inputs(&self, view: &View<'_>) -> Vec<ValueId> {
        let mut found: Vec<ValueId> = vec![];
        for part in &self.linears {
            if !found.iter().any(|v| same_elements(view, *v, part.input)) {
                found.push(part.input);
            }
        }
        found
    }

    /// The weights of the linear maps of `input`.
    pub(super) fn weights_of(&self, view: &View<'_>, input: ValueId) -> Vec<ValueId> {
        let of_input = self.linears.iter().filter(|p| same_elements(view, p.input, input));
        of_input.filter_map(|p| view.graph.node(p.node).input(1)).collect()
    }

    /// What moves to the map of the input, if `state` is the other operand. `None` if there is no such map, or others
    /// read it too.
    pub(super) fn transfer(&self, view: &View<'_>, state: ValueId) -> Option<Transfer> {
        let (mut states, mut inputs): (Vec<_>, Vec<_>) =
            self.linears.iter().cloned().partition(|p| same_elements(view, p.input, state));
        if states.len() > 1 || inputs.len() != 1 {
            return None;
        }
        let from = states.pop().filter(|part| part.alone);
        let to = inputs.pop().filter(|part| part.alone)?;
        let (constants, joins) = (self.constants.clone(), self.joins.clone());
        Some(Transfer { width: self.width, constants, from, to, joins })
    }
}

/// Deepest nesting of a sum.
const MAX_DEPTH: usize = 12;

/// True if both are one value, behind no-ops and changes of shape.
pub(super) fn same_elements(view: &View<'_>, a: ValueId, b: ValueId) -> bool {
    bare(view, a) == bare(view, b)
}

fn bare(view: &View<'_>, value: ValueId) -> ValueId {
    let mut value = view.skip(value);
    while let Some(node) = view.graph.producer_node(value) {
        let reshapes = matches!(node.op, Op::Squeeze(_) | Op::Unsqueeze(_) | Op::Reshape(_));
        match node.input(0).filter(|_| reshapes) {
            Some(before) => value = view.skip(before),
            None => break,
        }
    }
    value
}

fn is_matrix(view: &View<'_>, weight: ValueId) -> bool {
    view.graph.constant(weight).is_some_and(|w| w.rank() == 2)
}

/// The value behind selections of columns, and the first column.
fn strip(view: &View<'_>, value: ValueId) -> Option<(ValueId, usize)> {
    let (mut value, mut first) = (view.skip(value), 0);
    while let Some((before, start)) = selection(view, value) {
        (value, first) = (view.skip(before), first + start);
    }
    view.dims(value).map(|_| (value, first))
}

/// The operand of a selection of columns, and the first column that it takes.
fn selection(view: &View<'_>, value: ValueId) -> Option<(ValueId, usize)> {
    let node = view.graph.producer_node(value)?;
    let x = node.input(0)?;
    let dims = view.dims(x)?;
    let last = dims.len().checked_sub(1)?;
    let from_front = |a: i64| usize::try_from(if a < 0 { a + dims.len() as i64 } else { a }).ok();
    match &node.op {
        Op::Split(op) if from_front(op.axis) == Some(last) => {
            let place = node.outputs.iter().position(|o| *o == Some(value))?;
            let sizes = match node.input(1) {
                Some(sizes) => view.graph.constant(sizes)?.to_i64()?,
                None => {
                    let width = dims.get(last)?.fixed()? as i64;
                    let parts = op.num_outputs.unwrap_or(node.outputs.len() as i64).max(1);
                    vec![(width + parts - 1) / parts; node.outputs.len()]
                }
            };
            let start: i64 = sizes.get(..place)?.iter().sum();
            Some((x, usize::try_from(start).ok()?))
        }
        Op::Slice(_) => {
            let read = |i: usize| view.graph.constant(node.input(i)?)?.to_i64();
            let (starts, ends) = (read(1)?, read(2)?);
            let axes = match node.input(3) {
                Some(_) => read(3)?,
                None => (0..starts.len() as i64).collect(),
            };
            if node.input(4).is_some() && read(4)?.iter().any(|step| *step != 1) {
                return None;
            }
            let mut first = 0;
            for ((axis, start), end) in axes.into_iter().zip(starts).zip(ends) {
                let axis = from_front(axis)?;
                let size = dims.get(axis)?;
                if axis == last {
                    let width = size.fixed()? as i64;
                    let start = if start < 0 { start + width } else { start };
                    first = usize::try_from(start.clamp(0, width)).ok()?;
                } else if start != 0 || end < size.fixed().map_or(i64::from(i32::MAX), |n| n as i64) {
                    return None;
                }
            }
            Some((x, first))
        }
        _ => None,
    }
}

/// True if of the readers of `value` only the node `reader` reads any of the columns.
fn read_by_one(view: &View<'_>, value: ValueId, reader: NodeId, columns: &Range<usize>) -> bool {
    let apart = |id: NodeId| {
        let node = view.graph.node(id);
        let mut parts = node.outputs.iter().flatten();
        matches!(node.op, Op::Split(_) | Op::Slice(_))
            && parts.all(|part| {
                let width = view.dims(*part).and_then(|d| d.last()?.fixed());
                match (selection(view, *part), width) {
                    (Some((_, start)), Some(width)) => start >= columns.end || start + width <= columns.start,
                    _ => false,
                }
            })
    };
    let value = view.skip(value);
    !view.graph.outputs.contains(&value)
        && view.readers(value).iter().all(|id| {
            *id == reader || apart(*id) || matches!(view.graph.node(*id).op, Op::Shape(_) | Op::Size(_))
        })
}
