//! Where the places of an input (pixels, steps of a series, tokens) are in the values of a model.
//!
//! An input is followed forward through the graph: convolutions keep the axes of its places, a patch embedding merges
//! height and width into one axis of tokens, a class token comes before them, heads are split off and joined again. What
//! mixes places with each other so that none of them has an index of its own any more (a global pool, a matrix product
//! along the places) ends the trail; a residual addition finds it again. Maps of features and attention weights are
//! found in this way in any export, and a map of places is scaled up to the input ([`spread`]).

mod contraction;
mod movement;
mod reshape;
mod spread;

use exegesis_graph::op::{Binary, Unary};
use exegesis_graph::{Builder, Dim, Graph, Node, Op, ValueId};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::error::Result;
use crate::explained_input::ExplainedInput;
pub(crate) use spread::{by_row, only_places, spread};

/// Where the rows of the batch are in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// An axis of their own.
    Axis(usize),
    /// The outer factor of this axis (`batch * heads`).
    Outer(usize),
    /// Nowhere: the batch has one row, and no axis.
    Absent,
}

/// Where the places of an input are in a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Places {
    pub rows: Rows,
    /// The axes along which the places lie, in the order of the input (height, width).
    pub axes: Vec<usize>,
    /// Positions of a single axis before the first place: class tokens.
    pub before: usize,
    /// The same behind the last place.
    pub after: usize,
    /// The value and its axes that were merged into the single axis: the height and width of a grid of tokens.
    pub grid: Option<(ValueId, Vec<usize>)>,
}

impl Places {
    /// True if the places are tokens of a picture, or of a text.
    pub fn is_sequence(&self) -> bool {
        self.axes.len() == 1
    }

    /// True if rows and places are merged into one axis, rows first (`[batch * tokens, width]`).
    pub fn is_flat(&self) -> bool {
        matches!(self.rows, Rows::Axis(axis) if self.axes == [axis])
    }

    /// Sizes of the map that the places of `value` make.
    pub fn sizes(&self, b: &Builder<'_>, value: ValueId) -> Result<Vec<Dim>> {
        let (value, axes) = match &self.grid {
            Some((value, axes)) => (*value, axes),
            None => (value, &self.axes),
        };
        let shape = b.shape(value)?;
        Ok(axes.iter().map(|a| shape[*a].clone()).collect())
    }

    /// The same places on other axes; `None` if an axis with places is not among them.
    fn moved(&self, to: impl Fn(usize) -> Option<usize>) -> Option<Self> {
        let axes = self.axes.iter().map(|a| to(*a)).collect::<Option<_>>()?;
        let rows = match self.rows {
            Rows::Axis(a) => Rows::Axis(to(a)?),
            Rows::Outer(a) => Rows::Outer(to(a)?),
            Rows::Absent => Rows::Absent,
        };
        Some(Self { rows, axes, ..self.clone() })
    }
}

/// The trail of an input through a graph.
pub(crate) struct Trail {
    /// The values where its places have an index, in topological order.
    pub order: Vec<ValueId>,
    places: FxHashMap<ValueId, Places>,
}

impl Trail {
    /// Where the places are in `value`.
    pub fn at(&self, value: ValueId) -> Option<&Places> {
        self.places.get(&value)
    }

    /// The trail of `input` to `target`. Of the possible layouts of the input (channels first or last, a picture or a
    /// series) it is the one that leads farthest.
    pub fn of(b: &Builder<'_>, input: &ExplainedInput, target: ValueId) -> Result<Self> {
        let needed = b.graph().ancestors(&[target]);
        let order: Vec<ValueId> = b
            .graph()
            .topological_order()?
            .into_iter()
            .flat_map(|id| b.graph().node(id).outputs.clone())
            .flatten()
            .filter(|v| needed.contains(v))
            .collect();
        let mut best: Option<Self> = None;
        for axes in layouts(b, input)? {
            let mut places = FxHashMap::default();
            for entry in &input.entries {
                let rows = if axes.contains(&0) { Rows::Axis(1) } else { Rows::Axis(0) };
                let start = Places { rows, axes: axes.clone(), before: 0, after: 0, grid: None };
                places.insert(*entry, start);
            }
            let trail = follow(b, places, &order);
            if best.as_ref().is_none_or(|best| trail.order.len() > best.order.len()) {
                best = Some(trail);
            }
        }
        Ok(best.unwrap_or(Self { order: vec![], places: FxHashMap::default() }))
    }
}

/// The axes along which the places of an input may lie, likelier ones first.
fn layouts(b: &Builder<'_>, input: &ExplainedInput) -> Result<Vec<Vec<usize>>> {
    let Some(entry) = input.entries.first() else { return Ok(vec![]) };
    if input.is_tokens {
        // Ids may have been transposed before they were looked up.
        let batch = b.shape(input.input)?.first().cloned();
        let first = b.shape(*entry)?.first().cloned();
        let is_transposed =
            b.rank(*entry)? == 3 && batch != first && b.shape(*entry)?.get(1) == batch.as_ref();
        return Ok(match b.rank(*entry)? {
            0 | 1 => vec![],
            _ if is_transposed => vec![vec![0]],
            _ => vec![vec![1]],
        });
    }
    Ok(match b.rank(*entry)? {
        2 => vec![vec![1]],
        3 => vec![vec![2], vec![1], vec![1, 2]],
        4 => vec![vec![2, 3], vec![1, 2]],
        5 => vec![vec![2, 3, 4], vec![1, 2, 3]],
        _ => vec![],
    })
}

fn follow(b: &Builder<'_>, mut places: FxHashMap<ValueId, Places>, order: &[ValueId]) -> Trail {
    let mut found = vec![];
    for value in order {
        if places.contains_key(value) {
            found.push(*value);
            continue;
        }
        let Some(node) = b.graph().producer_node(*value) else { continue };
        if !node.inputs.iter().flatten().any(|v| places.contains_key(v)) {
            continue;
        }
        let of = Step { b, node, output: *value, places: &places };
        if let Some(arrived) = of.places() {
            places.insert(*value, arrived);
            found.push(*value);
        }
    }
    Trail { order: found, places }
}

/// One node on the trail.
struct Step<'a, 'g> {
    b: &'a Builder<'g>,
    node: &'a Node,
    output: ValueId,
    places: &'a FxHashMap<ValueId, Places>,
}

impl Step<'_, '_> {
    fn graph(&self) -> &Graph {
        self.b.graph()
    }

    fn shape(&self, value: ValueId) -> Option<&[Dim]> {
        self.graph().value(value).shape.as_deref()
    }

    /// An operand and where the places are in it.
    fn operand(&self, index: usize) -> Option<(ValueId, &Places)> {
        let value = self.node.input(index)?;
        Some((value, self.places.get(&value)?))
    }

    /// Where the places are in the output.
    fn places(&self) -> Option<Places> {
        match &self.node.op {
            Op::Conv(_)
            | Op::ConvTranspose(_)
            | Op::MaxPool(_)
            | Op::AveragePool(_)
            | Op::LpPool(_)
            | Op::SpaceToDepth(_)
            | Op::DepthToSpace(_) => self.windows(),
            Op::MatMul(_) => self.product(),
            Op::Linear(_) => self.along(|rank| rank.checked_sub(1)),
            Op::Gemm(gemm) if !gemm.transA => self.along(|rank| rank.checked_sub(1)),
            Op::Einsum(einsum) => self.einsum(&einsum.equation),
            Op::Reduce(_) => self.reduction(),
            Op::Transpose(transpose) => self.permutation(&transpose.perm),
            Op::Reshape(_) | Op::Flatten(_) => self.reshape(),
            Op::Squeeze(_) => self.squeeze(),
            Op::Unsqueeze(_) => self.unsqueeze(),
            Op::Slice(_) => self.slice(),
            Op::Split(split) => self.split(split.axis),
            Op::Gather(gather) => self.gather(gather.axis),
            Op::Concat(concat) => self.concat(concat.axis),
            Op::Pad(_) => self.pad(),
            Op::Resize(_) => self.operand(0).map(|(_, places)| places.clone()),
            Op::Binary(_) | Op::Variadic(_) | Op::Where(_) | Op::Expand(_) | Op::Mod(_) => self.broadcast(),
            // What reads across places, or is not known to leave them where they are.
            Op::If(_) | Op::Loop(_) | Op::Scan(_) | Op::Opaque(_) => None,
            Op::Lstm(_) | Op::Gru(_) | Op::Rnn(_) | Op::ReverseSequence(_) => None,
            Op::GatherElements(_) | Op::GatherND(_) | Op::Compress(_) | Op::TopK(_) | Op::GridSample(_) => {
                None
            }
            Op::GlobalAveragePool(_) | Op::GlobalMaxPool(_) | Op::GlobalLpPool(_) | Op::Tile(_) => None,
            Op::OneHot(_) | Op::RoiAlign(_) | Op::NonZero(_) | Op::NonMaxSuppression(_) => None,
            // Element by element, or normalisation and softmax along some axis.
            _ => {
                let (value, places) = self.operand(0)?;
                (self.shape(value)? == self.shape(self.output)?).then(|| places.clone())
            }
        }
    }

    /// The places of the first operand that is not broadcast along them.
    fn broadcast(&self) -> Option<Places> {
        let to = self.shape(self.output)?;
        (0..self.node.inputs.len()).find_map(|index| {
            let (value, places) = self.operand(index)?;
            let from = self.shape(value)?;
            let lead = to.len().checked_sub(from.len())?;
            let is_kept = |axis: &usize| from[*axis] == to[axis + lead] || from[*axis] != Dim::Fixed(1);
            places.axes.iter().all(is_kept).then(|| places.moved(|axis| Some(axis + lead)))?
        })
    }
}

/// Values that depend on `from`.
pub(crate) fn reached(graph: &Graph, from: &[ValueId]) -> Result<FxHashSet<ValueId>> {
    let mut reached: FxHashSet<ValueId> = from.iter().copied().collect();
    for id in graph.topological_order()? {
        let node = graph.node(id);
        if node.inputs.iter().flatten().any(|v| reached.contains(v)) {
            reached.extend(node.outputs.iter().flatten());
        }
    }
    Ok(reached)
}

/// True for nodes that hand on one operand with constant scales and offsets, or move it.
pub(crate) fn hands_on(op: &Op) -> bool {
    matches!(
        op,
        Op::Unary(Unary::Identity)
            | Op::Cast(_)
            | Op::Reshape(_)
            | Op::Transpose(_)
            | Op::Squeeze(_)
            | Op::Unsqueeze(_)
            | Op::Flatten(_)
            | Op::Expand(_)
            | Op::Slice(_)
            | Op::Split(_)
            | Op::Gather(_)
            | Op::Binary(Binary::Add | Binary::Mul | Binary::Sub | Binary::Div)
    )
}
