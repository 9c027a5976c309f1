//! Mixtures of experts: the sum over experts as one operator, with shared experts among its terms.
//!
//! `y = sum_e g_e E_e(x) + E_shared(x)` is written as a chain of additions or of additive scatters, as a reduction of
//! stacked experts, or as a product with the gates, and shared experts are added afterwards. A rule that shares out what
//! arrives at a sum sees all terms alike only where they meet in one node.

use super::pattern::{Match, NewNode, Operand, View};
use crate::op::{
    Binary, Concat, Op, Reduce, ReduceKind, ScatterND, ScatterReduction, Tile, Unsqueeze, Variadic,
};
use crate::{Dim, Node, NodeId, Tensor, ValueId};

/// Most terms of a sum.
const MAX_TERMS: usize = 512;

/// Most nodes between a gate and the choice of experts.
const MAX_GATE: usize = 64;

/// `base + scatter(0, expand(index), expand(updates))` over rows of a matrix: how an exporter without additive scatters
/// writes that rows are added.
pub(super) fn added_rows(view: &View<'_>, root: NodeId) -> Option<Match> {
    let y = view.graph.node(root).output(0)?;
    view.both(y, Binary::Add).into_iter().find_map(|(base, scattered)| {
        let node = view.node(scattered)?;
        let Op::ScatterElements(scatter) = &node.op else { return None };
        let [data, indices, wide] = operands(node)?;
        let (base_dims, data_dims) = (view.dims(base)?, view.dims(data)?);
        let [_, Dim::Fixed(width)] = base_dims else { return None };
        let plain = scatter.axis == 0 && scatter.reduction == ScatterReduction::None;
        if !plain || base_dims != data_dims || !is_zero(view, data) {
            return None;
        }
        let (index, updates) = (expanded(view, indices)?, expanded(view, wide)?);
        let ([rows, Dim::Fixed(1)], [count, Dim::Fixed(n)]) = (view.dims(index)?, view.dims(updates)?) else {
            return None;
        };
        let fits = rows == count && n == width && routed_update(view, updates);
        let op = ScatterND { reduction: ScatterReduction::Add };
        let inputs = [base, index, updates].map(|v| Some(Operand::Value(v))).into();
        fits.then(|| Match { op: op.into(), inputs, elementwise: false, keep_shared: false })
    })
}

/// Additive scatters of several experts, one into the result of the other, as a single one.
pub(super) fn joined_scatters(view: &View<'_>, root: NodeId) -> Option<Match> {
    let mut node = view.graph.node(root);
    let mut parts = vec![];
    let mut base = None;
    while let Some([data, index, updates]) = additive_rows(node).filter(|o| routed_update(view, o[2])) {
        parts.push((index, updates));
        base = Some(data);
        match view.node(data) {
            Some(before) if view.read_once(data) => node = before,
            _ => break,
        }
    }
    parts.reverse();
    let (base, [(index, updates), _, ..]) = (base?, parts.as_slice()) else { return None };
    let concat = |part, first: ValueId, all: Vec<ValueId>| {
        let width = view.dims(first)?.get(1)?.clone();
        let equal = all.iter().all(|v| view.dims(*v).is_some_and(|d| d.len() == 2 && d[1] == width));
        let rows: Vec<String> =
            all.iter().filter_map(|v| Some(view.dims(*v)?.first()?.to_string())).collect();
        let node = NewNode {
            part,
            op: Concat { axis: 0 }.into(),
            inputs: all.into_iter().map(Operand::Value).collect(),
            shape: Some(vec![Dim::symbol(rows.join(" + ")), width]),
        };
        equal.then_some(Operand::Node(node))
    };
    let indices = concat("indices", *index, parts.iter().map(|p| p.0).collect())?;
    let updates = concat("updates", *updates, parts.iter().map(|p| p.1).collect())?;
    let op = ScatterND { reduction: ScatterReduction::Add };
    let inputs = vec![Some(Operand::Value(base)), Some(indices), Some(updates)];
    Some(Match { op: op.into(), inputs, elementwise: false, keep_shared: false })
}

/// Additions of experts, or of shared experts to the sum of the others, as one sum.
pub(super) fn experts(view: &View<'_>, root: NodeId) -> Option<Match> {
    let y = view.graph.node(root).output(0)?;
    let dims = view.dims(y)?;
    let (mut routed, mut sums, mut shared) = (vec![], vec![], vec![]);
    let (a, b) = view.binary(y, Binary::Add)?;
    // What is added last first, single terms before chains: most additions are given up at their first term.
    let mut chains = vec![];
    let mut pending = vec![b, a];
    while let Some(value) = pending.pop().or_else(|| chains.pop()) {
        if view.dims(value)? != dims || routed.len() + shared.len() > MAX_TERMS {
            return None;
        }
        match view.binary(value, Binary::Add).filter(|_| view.read_once(value)) {
            Some(_) if !pending.is_empty() => chains.push(value),
            Some((a, b)) => pending.extend([b, a]),
            None if is_zero(view, value) => {}
            None if is_gated(view, value, true) => routed.push(value),
            None => match Sum::of(view, value) {
                Some(sum) => sums.push(sum),
                None if is_shared(view, value) => shared.push(value),
                None => return None,
            },
        }
    }
    match (routed.len(), sums.as_slice(), shared.len()) {
        (2.., [], _) | (1, [], 2..) if routed.len() + shared.len() > 2 => {
            let inputs = routed.into_iter().rev().chain(shared).map(|v| Some(Operand::Value(v))).collect();
            Some(Match { op: Op::Variadic(Variadic::Sum), inputs, elementwise: false, keep_shared: false })
        }
        (0, [sum], 1..) => sum.with(view, &shared),
        _ => None,
    }
}

/// A sum over experts in one node.
enum Sum<'g> {
    /// A reduction over the axis of experts of stacked, gated experts.
    Reduced { experts: ValueId, axis: usize },
    /// `gates [p..., e]` times `experts [p..., e, o]`, summed over `e`.
    Product { gates: ValueId, experts: ValueId },
    /// Additive scatter of experts into zeros.
    Scattered(&'g Node),
}

impl<'g> Sum<'g> {
    fn of(view: &View<'g>, value: ValueId) -> Option<Self> {
        let node = view.node(value)?;
        if !view.read_once(value) {
            return None;
        }
        match &node.op {
            Op::Reduce(Reduce { kind: ReduceKind::Sum, keepdims: false, .. }) => {
                let experts = node.input(0)?;
                let rank = view.dims(experts)?.len() as i64;
                let [axis] = view.graph.constant(node.input(1)?)?.to_i64()?[..] else { return None };
                let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).ok()?;
                is_gated(view, experts, true).then_some(Self::Reduced { experts, axis })
            }
            Op::Einsum(einsum) => {
                let (gates, experts) = (node.input(0)?, node.input(1)?);
                let product = node.inputs.len() == 2
                    && is_weighted_sum(&einsum.equation, view.dims(experts)?.len())
                    && view.dims(gates)?.len() + 1 == view.dims(experts)?.len();
                (product && is_routed(view, gates)).then_some(Self::Product { gates, experts })
            }
            Op::ScatterND(_) => {
                let [data, _, updates] = additive_rows(node)?;
                (is_zero(view, data) && routed_update(view, updates)).then_some(Self::Scattered(node))
            }
            _ => None,
        }
    }

    /// The sum with more terms.
    fn with(&self, view: &View<'_>, shared: &[ValueId]) -> Option<Match> {
        let composite = |op: Op, inputs| Some(Match { op, inputs, elementwise: false, keep_shared: false });
        let (experts, axis, stacked) = match self {
            Self::Scattered(node) => {
                let [base] = shared else { return None };
                let inputs = [Some(*base), node.input(1), node.input(2)];
                return composite(
                    node.op.clone(),
                    inputs.into_iter().map(|v| v.map(Operand::Value)).collect(),
                );
            }
            Self::Reduced { experts, axis } => (*experts, *axis, Operand::Value(*experts)),
            Self::Product { gates, experts } => {
                let axis = view.dims(*gates)?.len().checked_sub(1)?;
                let mut shape = view.dims(*gates)?.to_vec();
                shape.push(Dim::Fixed(1));
                let gates = new_axis("gates", *gates, axis + 1, shape);
                let gated = NewNode {
                    part: "gated",
                    op: Op::Binary(Binary::Mul),
                    inputs: vec![gates, Operand::Value(*experts)],
                    shape: Some(view.dims(*experts)?.to_vec()),
                };
                (*experts, axis, Operand::Node(gated))
            }
        };
        let dims = view.dims(experts)?;
        let mut all = vec![stacked];
        for term in shared {
            let mut shape = view.dims(*term)?.to_vec();
            if shape.len() + 1 != dims.len() {
                return None;
            }
            shape.insert(axis, Dim::Fixed(1));
            all.push(new_axis("shared", *term, axis, shape));
        }
        let mut shape = dims.to_vec();
        let count = shape.get(axis)?.fixed()?;
        shape[axis] = Dim::Fixed(count + shared.len());
        let op = Concat { axis: axis as i64 }.into();
        let joined = Operand::Node(NewNode { part: "terms", op, inputs: all, shape: Some(shape) });
        let axes = Operand::Constant("axis", Tensor::vector(vec![axis as i64]));
        let sum = Reduce { kind: ReduceKind::Sum, keepdims: false, noop_with_empty_axes: false };
        composite(sum.into(), vec![Some(joined), Some(axes)])
    }
}

/// The value with an axis of size 1 inserted.
fn new_axis(part: &'static str, value: ValueId, axis: usize, shape: Vec<Dim>) -> Operand {
    let axes = Operand::Constant("axis", Tensor::vector(vec![axis as i64]));
    let inputs = vec![Operand::Value(value), axes];
    Operand::Node(NewNode { part, op: Unsqueeze {}.into(), inputs, shape: Some(shape) })
}

/// True for `pe,peo->po`: `p` any letters, `e` and `o` one each.
fn is_weighted_sum(equation: &str, rank: usize) -> bool {
    let equation: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let Some((operands, result)) = equation.split_once("->") else { return false };
    let Some((gates, experts)) = operands.split_once(',') else { return false };
    let letters: Vec<char> = experts.chars().collect();
    let mut distinct = letters.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let [p @ .., e, o] = letters.as_slice() else { return false };
    let join = |tail: &[char]| p.iter().chain(tail).collect::<String>();
    letters.len() == rank
        && distinct.len() == rank
        && letters.iter().all(char::is_ascii_alphabetic)
        && gates == join(&[*e])
        && result == join(&[*o])
}

/// Data, indices and updates of an additive `ScatterND`.
fn additive_rows(node: &Node) -> Option<[ValueId; 3]> {
    let additive = matches!(&node.op, Op::ScatterND(s) if s.reduction == ScatterReduction::Add);
    if additive { operands(node) } else { None }
}

fn operands(node: &Node) -> Option<[ValueId; 3]> {
    Some([node.input(0)?, node.input(1)?, node.input(2)?])
}

/// True for a constant of zeros, or zeros of any shape.
fn is_zero(view: &View<'_>, value: ValueId) -> bool {
    let zeros = |t: &Tensor| t.to_f64().is_some_and(|values| values.iter().all(|v| *v == 0.0));
    if let Some(constant) = view.graph.constant(value) {
        return zeros(constant);
    }
    let Some(node) = view.node(value) else { return false };
    match &node.op {
        Op::ConstantOfShape(op) => op.value.as_ref().is_none_or(|t| zeros(t)),
        Op::Expand(_) => node.input(0).is_some_and(|v| is_zero(view, v)),
        _ => false,
    }
}

/// The value that an `Expand` or `Tile` repeats, or the value itself.
fn expanded(view: &View<'_>, value: ValueId) -> Option<ValueId> {
    match view.node(value) {
        Some(node) if matches!(node.op, Op::Expand(_) | Op::Tile(Tile {})) => node.input(0),
        _ => Some(value),
    }
}

/// The value before it was reshaped.
fn before_movement(view: &View<'_>, mut value: ValueId) -> ValueId {
    while let Some(node) = view.node(value) {
        match (&node.op, node.input(0)) {
            (Op::Reshape(_) | Op::Squeeze(_) | Op::Unsqueeze(_) | Op::Flatten(_), Some(input)) => {
                value = input
            }
            _ => break,
        }
    }
    value
}

/// True for what is written by an additive scatter of an expert: one gated expert, or several.
fn routed_update(view: &View<'_>, updates: ValueId) -> bool {
    match view.node(updates) {
        Some(node) if matches!(node.op, Op::Concat(_)) => {
            node.inputs.iter().flatten().all(|part| is_gated(view, *part, true))
        }
        _ => is_gated(view, updates, true),
    }
}

/// True for a product with a gate of one value per token, which has been chosen if it must be `routed`.
fn is_gated(view: &View<'_>, value: ValueId, routed: bool) -> bool {
    view.both(before_movement(view, value), Binary::Mul).into_iter().any(|(gate, expert)| {
        let last = |v: ValueId| view.dims(v).and_then(<[Dim]>::last);
        let per_token = last(gate) == Some(&Dim::Fixed(1)) && last(expert) != Some(&Dim::Fixed(1));
        per_token && (!routed || is_routed(view, gate))
    })
}

/// True for the result of a layer that nothing else reads, with or without a gate: a residual is read by a norm as well,
/// and ends in a sum.
fn is_shared(view: &View<'_>, value: ValueId) -> bool {
    let inner = before_movement(view, value);
    let layer = |v: ValueId| {
        let node = view.node(before_movement(view, v));
        node.is_some_and(|n| matches!(n.op, Op::MatMul(_) | Op::Gemm(_) | Op::Linear(_)))
    };
    let gated = || {
        is_gated(view, inner, false)
            && view.both(inner, Binary::Mul).into_iter().any(|(_, expert)| layer(expert))
    };
    view.read_once(value) && view.read_once(inner) && (layer(inner) || gated())
}

/// True if the value follows from a `TopK` by arithmetic and movement only.
fn is_routed(view: &View<'_>, gate: ValueId) -> bool {
    let mut stack = vec![gate];
    let mut seen = vec![];
    while let Some(value) = stack.pop() {
        let Some(node) = view.node(value) else { continue };
        if seen.contains(&value) {
            continue;
        }
        seen.push(value);
        if seen.len() > MAX_GATE {
            return false;
        }
        match &node.op {
            Op::TopK(_) => return true,
            Op::Binary(_)
            | Op::Cast(_)
            | Op::Clip(_)
            | Op::Concat(_)
            | Op::Expand(_)
            | Op::Flatten(_)
            | Op::Gather(_)
            | Op::GatherElements(_)
            | Op::GatherND(_)
            | Op::Reduce(_)
            | Op::Reshape(_)
            | Op::ScatterElements(_)
            | Op::ScatterND(_)
            | Op::Slice(_)
            | Op::Softmax(_)
            | Op::Split(_)
            | Op::Squeeze(_)
            | Op::Transpose(_)
            | Op::Unary(_)
            | Op::Unsqueeze(_)
            | Op::Where(_) => stack.extend(node.inputs.iter().flatten()),
            _ => {}
        }
    }
    false
}
