//! What patterns are written in: reading a graph through no-ops, constants by value, products in any association, and
//! the check that a pattern is closed.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::op::{Binary, Op, ReduceKind, Unary};
use crate::{DType, Dim, Graph, Node, NodeId, Result, Shape, Tensor, ValueId};

/// A composite that stands for a pattern.
pub(super) struct Match {
    /// The composite.
    pub(super) op: Op,
    /// Its operands.
    pub(super) inputs: Vec<Option<Operand>>,
    /// The composite computes element by element: its result has the rank and type of its first operand.
    pub(super) elementwise: bool,
    /// Values inside may be read by others: the nodes that others need stay.
    pub(super) keep_shared: bool,
}

impl Match {
    /// An element-wise composite of one operand.
    pub(super) fn unary(op: impl Into<Op>, x: ValueId) -> Self {
        Self { op: op.into(), inputs: vec![Some(Operand::Value(x))], elementwise: true, keep_shared: false }
    }
}

/// An operand of a composite.
pub(super) enum Operand {
    /// A value of the graph.
    Value(ValueId),
    /// A new constant, and its name below the composite's.
    Constant(&'static str, Tensor),
    /// A new node.
    Node(NewNode),
}

/// A node that an operand needs.
pub(super) struct NewNode {
    /// Its name below the composite's.
    pub(super) part: &'static str,
    /// What it computes.
    pub(super) op: Op,
    /// Its operands; the last one of real numbers (without one, the last) has the type of the result.
    pub(super) inputs: Vec<Operand>,
    /// Dimensions of the result, if known.
    pub(super) shape: Option<Shape>,
}

impl Operand {
    fn values(&self, into: &mut FxHashSet<ValueId>) {
        match self {
            Self::Value(v) => {
                into.insert(*v);
            }
            Self::Constant(..) => {}
            Self::Node(node) => node.inputs.iter().for_each(|o| o.values(into)),
        }
    }
}

/// A product `factor * leaves[0] * leaves[1] * ...`.
pub(super) struct Product {
    pub(super) factor: f64,
    pub(super) leaves: Vec<ValueId>,
}

/// Most nodes of one pattern.
const MAX_INTERIOR: usize = 512;

/// A graph that does not change while patterns are sought.
pub(super) struct View<'g> {
    pub(super) graph: &'g Graph,
    consumers: Vec<Vec<NodeId>>,
    order: Vec<NodeId>,
    /// Values that depend on constants and shapes only.
    dataless: Vec<bool>,
}

impl<'g> View<'g> {
    /// A view of the graph.
    pub(super) fn new(graph: &'g Graph) -> Result<Self> {
        let order = graph.topological_order()?;
        let mut dataless: Vec<bool> = graph.values().map(|(_, v)| v.constant.is_some()).collect();
        for id in &order {
            let node = graph.node(*id);
            let shape_only = matches!(node.op, Op::Shape(_) | Op::Size(_));
            let inputs = || {
                node.inputs.iter().flatten().all(|v| dataless.get(v.index()) == Some(&true))
                    && node.op.subgraphs().is_empty()
            };
            if shape_only || inputs() {
                for output in node.outputs.iter().flatten() {
                    if let Some(flag) = dataless.get_mut(output.index()) {
                        *flag = true;
                    }
                }
            }
        }
        Ok(Self { graph, consumers: graph.consumers(), order, dataless })
    }

    /// Nodes after their operands.
    pub(super) fn order(&self) -> &[NodeId] {
        &self.order
    }

    /// The nodes that read a value.
    pub(super) fn readers(&self, value: ValueId) -> &[NodeId] {
        self.consumers.get(value.index()).map_or(&[], Vec::as_slice)
    }

    /// True if one node reads the value (but for its shape), and the graph does not return it.
    pub(super) fn read_once(&self, value: ValueId) -> bool {
        let reads = |id: &&NodeId| !matches!(self.graph.node(**id).op, Op::Shape(_) | Op::Size(_));
        self.readers(value).iter().filter(reads).count() == 1 && !self.graph.outputs.contains(&value)
    }

    /// The nodes that a composite at `root` makes superfluous, without `root`; `None` if the pattern depends on more
    /// than the operands of the composite, or something outside reads a value inside.
    pub(super) fn interior(&self, root: NodeId, found: &Match) -> Option<Vec<NodeId>> {
        let mut boundary = FxHashSet::default();
        found.inputs.iter().flatten().for_each(|o| o.values(&mut boundary));
        let root_node = self.graph.node(root);
        let mut inside = FxHashSet::default();
        inside.insert(root);
        let mut list = vec![];
        let mut stack: Vec<ValueId> = root_node.inputs.iter().flatten().copied().collect();
        while let Some(value) = stack.pop() {
            if boundary.contains(&value) || self.dataless.get(value.index()) == Some(&true) {
                continue;
            }
            let id = self.graph.producer(value)?;
            if inside.insert(id) {
                list.push(id);
                stack.extend(self.graph.node(id).inputs.iter().flatten());
            }
            if list.len() > MAX_INTERIOR {
                return None;
            }
        }
        for id in &list {
            for output in self.graph.node(*id).outputs.iter().flatten() {
                // An output that is also an operand (`y = split(x)`, part of which goes on) stays, and so does a no-op
                // on an operand, as where a norm and the residual path both read `cast(x)`.
                let own = boundary.contains(&self.skip(*output)) || self.only_read_by(*output, &inside);
                if !own && !found.keep_shared {
                    return None;
                }
            }
        }
        let closed = !found.elementwise || self.keeps_rank_and_type(root_node, found, &list);
        closed.then_some(list)
    }

    /// True if nothing outside of `nodes` reads more of the value than its shape.
    fn only_read_by(&self, value: ValueId, nodes: &FxHashSet<NodeId>) -> bool {
        let harmless =
            |id: &NodeId| nodes.contains(id) || matches!(self.graph.node(*id).op, Op::Shape(_) | Op::Size(_));
        !self.graph.outputs.contains(&value)
            && self.consumers.get(value.index()).is_some_and(|list| list.iter().all(harmless))
    }

    /// Constants of higher rank or a cast inside a pattern change what it returns.
    fn keeps_rank_and_type(&self, root: &Node, found: &Match, interior: &[NodeId]) -> bool {
        let (Some(Some(Operand::Value(x))), Some(y)) = (found.inputs.first(), root.output(0)) else {
            return false;
        };
        let (x, y) = (self.graph.value(*x), self.graph.value(y));
        let nodes = || interior.iter().map(|id| self.graph.node(*id)).chain([root]);
        let rank_kept = match (&x.shape, &y.shape) {
            (Some(a), Some(b)) => a.len() == b.len(),
            _ => nodes()
                .flat_map(|n| n.inputs.iter().flatten())
                .all(|v| self.graph.constant(*v).is_none_or(|t| t.rank() <= 1 || t.len() > 1)),
        };
        let type_kept = match (x.dtype, y.dtype) {
            (Some(a), Some(b)) => a == b,
            _ => nodes().all(|n| !matches!(n.op, Op::Cast(_) | Op::CastLike(_))),
        };
        rank_kept && type_kept
    }

    /// The value behind identities and casts between floating-point types.
    pub(super) fn skip(&self, mut value: ValueId) -> ValueId {
        while let Some(node) = self.graph.producer_node(value) {
            let float = |v: ValueId| self.graph.value(v).dtype.is_some_and(DType::is_float);
            let through = match &node.op {
                Op::Unary(Unary::Identity) => true,
                Op::Cast(cast) => cast.to.is_float() && node.input(0).is_some_and(float),
                _ => false,
            };
            match node.input(0) {
                Some(input) if through => value = input,
                _ => break,
            }
        }
        value
    }

    /// The node that computes a value, behind no-ops.
    pub(super) fn node(&self, value: ValueId) -> Option<&'g Node> {
        self.graph.producer_node(self.skip(value))
    }

    /// True if both are one value, behind no-ops.
    pub(super) fn same(&self, a: ValueId, b: ValueId) -> bool {
        self.skip(a) == self.skip(b)
    }

    /// Operand of the unary operator that computes the value.
    pub(super) fn unary(&self, value: ValueId, kind: Unary) -> Option<ValueId> {
        let node = self.node(value)?;
        if node.op == Op::Unary(kind) { node.input(0) } else { None }
    }

    /// Operands of the binary operator that computes the value. Variadic forms of two operands count.
    pub(super) fn binary(&self, value: ValueId, kind: Binary) -> Option<(ValueId, ValueId)> {
        let node = self.node(value)?;
        if !is_binary(node, kind) {
            return None;
        }
        Some((node.input(0)?, node.input(1)?))
    }

    /// Operands of a commutative operator in both orders.
    pub(super) fn both(&self, value: ValueId, kind: Binary) -> Vec<(ValueId, ValueId)> {
        self.binary(value, kind).map_or(vec![], |(a, b)| vec![(a, b), (b, a)])
    }

    /// The operand besides a number of a commutative operator, and the number.
    pub(super) fn with_number(&self, value: ValueId, kind: Binary) -> Option<(ValueId, f64)> {
        self.both(value, kind).into_iter().find_map(|(x, c)| Some((x, self.number(c)?)))
    }

    /// The value of a constant of one element, or of arithmetic on known dimensions.
    pub(super) fn number(&self, value: ValueId) -> Option<f64> {
        self.number_within(value, 12)
    }

    fn number_within(&self, value: ValueId, depth: usize) -> Option<f64> {
        if let Some(tensor) = self.graph.constant(value) {
            return tensor.single();
        }
        if depth == 0 || self.dataless.get(value.index()) != Some(&true) {
            return None;
        }
        let node = self.graph.producer_node(value)?;
        let float = || self.graph.value(value).dtype.is_some_and(DType::is_float);
        let operand = |i: usize| self.number_within(node.input(i)?, depth - 1);
        match &node.op {
            Op::Unary(Unary::Identity) | Op::Squeeze(_) | Op::Unsqueeze(_) | Op::Reshape(_) => operand(0),
            // Casts to integers would round.
            Op::Cast(cast) if cast.to.is_float() => operand(0),
            Op::Unary(Unary::Sqrt) => operand(0).map(f64::sqrt),
            Op::Unary(Unary::Reciprocal) => operand(0).map(f64::recip),
            Op::Binary(Binary::Mul) => Some(operand(0)? * operand(1)?),
            Op::Binary(Binary::Div) if float() => Some(operand(0)? / operand(1)?),
            Op::Binary(Binary::Pow) if float() => Some(operand(0)?.powf(operand(1)?)),
            Op::Gather(_) | Op::Slice(_) | Op::Shape(_) => self.dimension(node, value).map(|n| n as f64),
            _ => None,
        }
    }

    /// One known dimension of a value, read by `Shape` and then `Gather` or `Slice`.
    fn dimension(&self, node: &Node, value: ValueId) -> Option<usize> {
        let (shape_node, index) = match &node.op {
            Op::Shape(_) => (node, 0),
            Op::Gather(_) => (self.node(node.input(0)?)?, self.number(node.input(1)?)? as i64),
            Op::Slice(_) => {
                // Only a slice that leaves one element is a number.
                if !matches!(self.dims(value)?, [Dim::Fixed(1)]) {
                    return None;
                }
                (self.node(node.input(0)?)?, self.number(node.input(1)?)? as i64)
            }
            _ => return None,
        };
        let Op::Shape(shape) = &shape_node.op else { return None };
        let dims = self.dims(shape_node.input(0)?)?;
        let at = |i: i64| if i < 0 { i + dims.len() as i64 } else { i }.clamp(0, dims.len() as i64);
        let part = dims.get(at(shape.start) as usize..at(shape.end.unwrap_or(i64::MAX)) as usize)?;
        if matches!(node.op, Op::Shape(_)) && part.len() != 1 {
            return None;
        }
        let index = if index < 0 { index + part.len() as i64 } else { index };
        part.get(usize::try_from(index).ok()?)?.fixed()
    }

    /// True if the value is a constant of one element near `expected`.
    pub(super) fn is_number(&self, value: ValueId, expected: f64) -> bool {
        self.number(value).is_some_and(|x| self.near(value, x, expected))
    }

    /// True if both numbers are equal up to the rounding of `value`'s type.
    pub(super) fn near(&self, value: ValueId, x: f64, expected: f64) -> bool {
        let tolerance = match self.graph.value(value).dtype {
            Some(DType::BF16) => 1e-2,
            Some(DType::F16) => 2e-3,
            _ => 1e-5,
        };
        (x - expected).abs() <= tolerance * expected.abs().max(1e-30)
    }

    /// Takes a product apart, through divisions by numbers, down to `stop` values and what is not a product.
    pub(super) fn product(&self, value: ValueId, stop: &[ValueId]) -> Product {
        let mut product = Product { factor: 1.0, leaves: vec![] };
        self.multiply(value, stop, 8, &mut product);
        product
    }

    fn multiply(&self, value: ValueId, stop: &[ValueId], depth: usize, into: &mut Product) {
        if stop.iter().any(|s| self.same(*s, value)) || depth == 0 {
            into.leaves.push(value);
        } else if let Some(number) = self.number(value) {
            into.factor *= number;
        } else if let Some((a, b)) = self.binary(value, Binary::Mul) {
            self.multiply(a, stop, depth - 1, into);
            self.multiply(b, stop, depth - 1, into);
        } else if let Some((a, divisor)) =
            self.binary(value, Binary::Div).and_then(|(a, b)| Some((a, self.number(b)?)))
        {
            into.factor /= divisor;
            self.multiply(a, stop, depth - 1, into);
        } else {
            into.leaves.push(value);
        }
    }

    /// Dimensions of a value.
    pub(super) fn dims(&self, value: ValueId) -> Option<&'g [Dim]> {
        self.graph.value(value).shape.as_deref()
    }

    /// Operand and axes (counted from the back, as in `-1`) of a reduction of `kind` that keeps its axes.
    pub(super) fn reduction(&self, value: ValueId, kind: ReduceKind) -> Option<(ValueId, Vec<i64>)> {
        let node = self.node(value)?;
        let Op::Reduce(reduce) = &node.op else { return None };
        if reduce.kind != kind || !reduce.keepdims {
            return None;
        }
        let x = node.input(0)?;
        let axes = self.graph.constant(node.input(1)?)?.to_i64()?;
        let rank = self.dims(x).map(|d| d.len() as i64);
        let from_back = |axis: i64| if axis < 0 { Some(axis) } else { Some(axis - rank?) };
        let mut axes = axes.into_iter().map(from_back).collect::<Option<Vec<i64>>>()?;
        axes.sort_unstable();
        axes.dedup();
        (!axes.is_empty()).then_some((x, axes))
    }

    /// The first of several trailing axes, if `axes` (from the back, ascending) are just these.
    pub(super) fn trailing(axes: &[i64]) -> Option<i64> {
        let contiguous = axes.iter().rev().zip(1..).all(|(axis, i)| *axis == -i);
        if contiguous { axes.first().copied() } else { None }
    }
}

/// True if the node is this operator on two operands.
pub(super) fn is_binary(node: &Node, kind: Binary) -> bool {
    use crate::op::Variadic;
    match &node.op {
        Op::Binary(k) => *k == kind,
        Op::Variadic(Variadic::Sum) => kind == Binary::Add && node.inputs.len() == 2,
        _ => false,
    }
}

/// True if the leaves are these values in any order.
pub(super) fn leaves_are(view: &View<'_>, leaves: &[ValueId], expected: &[ValueId]) -> bool {
    let mut counts: FxHashMap<ValueId, i32> = FxHashMap::default();
    for value in leaves {
        *counts.entry(view.skip(*value)).or_default() += 1;
    }
    for value in expected {
        *counts.entry(view.skip(*value)).or_default() -= 1;
    }
    counts.values().all(|n| *n == 0)
}
