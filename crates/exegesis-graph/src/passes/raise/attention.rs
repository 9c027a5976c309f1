//! Scaled dot-product attention.

use super::pattern::{Match, NewNode, Operand, View};
use crate::op::{Attention, Binary, Op, Transpose, Unary, Where};
use crate::{DType, Dim, Node, NodeId, Tensor, ValueId};

/// A fill value below this leaves no weight, and no trace of the score under it, in float32 and float64.
const HUGE_FILL: f64 = -1e30;

/// `softmax(scale q k^T + mask) v` on values of four axes. The scale may stand on the scores or on `q` and `k`, the mask
/// may be an addition or a `Where` that fills with minus infinity (or a number that is as good), and NaN weights of
/// wholly masked rows may be replaced by zero.
pub(super) fn attention(view: &View<'_>, root: NodeId) -> Option<Match> {
    let node = view.graph.node(root);
    if !matches!(node.op, Op::MatMul(_)) {
        return None;
    }
    let (weights, v) = (node.input(0)?, node.input(1)?);
    let (softmax, guard_nan) = unguarded(view, weights)?;
    let Op::Softmax(op) = &softmax.op else { return None };
    let masked = softmax.input(0)?;
    if op.axis != -1 && op.axis != 3 {
        return None;
    }
    let readings = [plain(view, masked), added(view, masked), filled(view, masked)];
    readings.into_iter().flatten().find_map(|(scores, mask)| {
        let (q, k, scale) = products(view, scores)?;
        heads_agree(view, q, &k, v)?;
        let mut inputs = vec![Some(Operand::Value(q)), Some(k.operand(view)), Some(Operand::Value(v))];
        if let Some(mask) = mask {
            inputs.push(Some(mask.checked(view, scores)?));
        }
        let op = Attention { scale: scale as f32, is_causal: false, softcap: 0.0, guard_nan };
        Some(Match { op: op.into(), inputs, elementwise: false, keep_shared: false })
    })
}

/// The softmax below an optional `Where(IsNaN(w), 0, w)`.
fn unguarded<'g>(view: &View<'g>, weights: ValueId) -> Option<(&'g Node, bool)> {
    let node = view.node(weights)?;
    if !matches!(node.op, Op::Where(_)) {
        return Some((node, false));
    }
    let (condition, zero, kept) = (node.input(0)?, node.input(1)?, node.input(2)?);
    let tested = view.unary(condition, Unary::IsNaN)?;
    let guard = view.number(zero) == Some(0.0) && view.same(tested, kept);
    if guard { Some((view.node(kept)?, true)) } else { None }
}

/// A mask as it stands in the graph.
enum Mask {
    /// Added to the scores.
    Added(ValueId),
    /// True where the score is kept.
    Keep(ValueId),
    /// True where the score is replaced by minus infinity.
    Drop(ValueId),
    /// The score is replaced by a huge negative number, where the condition is as given.
    Filled { condition: ValueId, keep: bool, fill: ValueId },
}

impl Mask {
    /// The operand of the composite, if the mask does not enlarge the scores.
    fn checked(self, view: &View<'_>, scores: ValueId) -> Option<Operand> {
        let value = match self {
            Self::Added(v) | Self::Keep(v) | Self::Drop(v) | Self::Filled { condition: v, .. } => v,
        };
        let shape = view.graph.value(value).shape.clone();
        let (mask, scores) = (view.dims(value)?, view.dims(scores)?);
        // From the last axis on: a size of 1 broadcasts, symbols may be equal.
        let fits = mask.len() <= scores.len()
            && mask.iter().rev().zip(scores.iter().rev()).all(|(m, s)| match (m, s) {
                (Dim::Fixed(1), _) => true,
                (Dim::Fixed(m), Dim::Fixed(s)) => m == s,
                (_, Dim::Fixed(1)) => false,
                _ => true,
            });
        if !fits {
            return None;
        }
        Some(match self {
            Self::Added(v) | Self::Keep(v) => Operand::Value(v),
            Self::Drop(v) => Operand::Node(NewNode {
                part: "keep",
                op: Unary::Not.into(),
                inputs: vec![Operand::Value(v)],
                shape,
            }),
            Self::Filled { condition, keep, fill } => {
                let dtype = view.graph.value(fill).dtype?;
                let zero = Operand::Constant("zero", Tensor::from_f64(dtype, vec![], vec![0.0]).ok()?);
                let fill = Operand::Value(fill);
                let (yes, no) = if keep { (zero, fill) } else { (fill, zero) };
                let inputs = vec![Operand::Value(condition), yes, no];
                Operand::Node(NewNode { part: "mask", op: Where {}.into(), inputs, shape })
            }
        })
    }
}

type Reading = Option<(ValueId, Option<Mask>)>;

/// Scores without a mask.
fn plain(view: &View<'_>, value: ValueId) -> Reading {
    products(view, value).map(|_| (value, None))
}

/// Scores to which a mask is added.
fn added(view: &View<'_>, value: ValueId) -> Reading {
    let additive = |mask: ValueId| view.graph.value(mask).dtype.is_none_or(DType::is_float);
    let reading = |(scores, mask): (ValueId, ValueId)| {
        (additive(mask) && products(view, scores).is_some()).then_some((scores, Some(Mask::Added(mask))))
    };
    view.both(value, Binary::Add).into_iter().find_map(reading)
}

/// Scores that a `Where` fills.
fn filled(view: &View<'_>, value: ValueId) -> Reading {
    let node = view.node(value)?;
    let (condition, yes, no) = match node.op {
        Op::Where(_) => (node.input(0)?, node.input(1)?, node.input(2)?),
        _ => return None,
    };
    let (scores, fill, keep) = match (view.number(yes), view.number(no)) {
        (None, Some(_)) => (yes, no, true),
        (Some(_), None) => (no, yes, false),
        _ => return None,
    };
    products(view, scores)?;
    let mask = match view.number(fill)? {
        f64::NEG_INFINITY if keep => Mask::Keep(condition),
        f64::NEG_INFINITY => Mask::Drop(condition),
        // Added to a score, such a number gives itself: rows that are wholly masked stay uniform.
        number if number <= HUGE_FILL => Mask::Filled { condition, keep, fill },
        _ => return None,
    };
    Some((scores, Some(mask)))
}

/// The keys `[b, h, s, d]`.
enum Keys {
    /// A value of the graph.
    Plain(ValueId),
    /// To be permuted first.
    Permuted(ValueId, Vec<i64>),
}

impl Keys {
    fn operand(self, view: &View<'_>) -> Operand {
        let shape = (0..4).map(|axis| self.dim(view, axis).cloned()).collect();
        match self {
            Self::Plain(k) => Operand::Value(k),
            Self::Permuted(k, perm) => {
                let (op, inputs) = (Transpose { perm }.into(), vec![Operand::Value(k)]);
                Operand::Node(NewNode { part: "key", op, inputs, shape })
            }
        }
    }

    /// Dimension of the keys.
    fn dim<'g>(&self, view: &View<'g>, axis: usize) -> Option<&'g Dim> {
        match self {
            Self::Plain(k) => view.dims(*k)?.get(axis),
            Self::Permuted(k, perm) => view.dims(*k)?.get(usize::try_from(*perm.get(axis)?).ok()?),
        }
    }
}

/// `q`, `k` and the scale of scores `scale q k^T`.
fn products(view: &View<'_>, scores: ValueId) -> Option<(ValueId, Keys, f64)> {
    let (product, outer) = unscaled(view, scores);
    let node = view.node(product)?;
    if !matches!(node.op, Op::MatMul(_)) {
        return None;
    }
    let (q, of_q) = unscaled(view, node.input(0)?);
    let (transposed, of_t) = unscaled(view, node.input(1)?);
    let (k, of_k) = keys(view, transposed)?;
    let scale = outer * of_q * of_t * of_k;
    (rank(view, q) == Some(4) && scale.is_finite() && scale as f32 != 0.0).then_some((q, k, scale))
}

/// A value without multiplication or division by numbers, and their product.
fn unscaled(view: &View<'_>, value: ValueId) -> (ValueId, f64) {
    let product = view.product(value, &[]);
    match product.leaves[..] {
        [inner] => (view.skip(inner), product.factor),
        _ => (view.skip(value), 1.0),
    }
}

/// The keys below a transposition of their last two axes, and the scale between.
fn keys(view: &View<'_>, transposed: ValueId) -> Option<(Keys, f64)> {
    let node = view.node(transposed)?;
    match &node.op {
        Op::Transpose(op) => {
            let [a, b, c, d] = op.perm[..] else { return None };
            let source = node.input(0)?;
            if [a, b, c, d] == [0, 1, 3, 2] {
                let (k, scale) = unscaled(view, source);
                return Some((Keys::Plain(k), scale));
            }
            // Several transpositions in one, as in [b, s, h, d] to [b, h, d, s].
            Some((Keys::Permuted(view.skip(source), vec![a, b, d, c]), 1.0))
        }
        Op::Reshape(_) => Some((Keys::Plain(view.skip(flat_transposed(view, transposed)?)), 1.0)),
        _ => None,
    }
}

/// `k` of `reshape(transpose(reshape(k, [b h, s, d])), [b, h, d, s])`, as exporters transpose the last two axes of a
/// value of any rank.
fn flat_transposed(view: &View<'_>, value: ValueId) -> Option<ValueId> {
    let transpose = view.node(view.node(value)?.input(0)?)?;
    let Op::Transpose(op) = &transpose.op else { return None };
    let flat = transpose.input(0)?;
    let reshape = view.node(flat)?;
    let k = match reshape.op {
        Op::Reshape(_) if op.perm == [0, 2, 1] => reshape.input(0)?,
        _ => return None,
    };
    let ([b, h, s, d], [_, flat_s, flat_d], [out_b, out_h, out_d, out_s]) =
        (view.dims(k)?, view.dims(flat)?, view.dims(value)?)
    else {
        return None;
    };
    let equal = [(b, out_b), (h, out_h), (s, out_s), (d, out_d), (s, flat_s), (d, flat_d)];
    equal.iter().all(|(x, y)| x == y).then_some(k)
}

/// Number of axes of a value; a transposition knows it without inference.
fn rank(view: &View<'_>, value: ValueId) -> Option<usize> {
    view.dims(value).map(<[Dim]>::len).or_else(|| match &view.node(value)?.op {
        Op::Transpose(op) => Some(op.perm.len()),
        _ => None,
    })
}

/// Checks that the product broadcasts heads and batches only as the composite does: equal batches, equal numbers of
/// key and value heads, and these equal to the query heads or 1.
fn heads_agree(view: &View<'_>, q: ValueId, k: &Keys, v: ValueId) -> Option<()> {
    let (q, v) = (view.dims(q)?, view.dims(v)?);
    let ([q_batch, q_heads, ..], [v_batch, v_heads, ..]) = (q, v) else { return None };
    let (k_batch, k_heads) = (k.dim(view, 0)?, k.dim(view, 1)?);
    let same = |a: &Dim, b: &Dim| match (a, b) {
        (Dim::Fixed(a), Dim::Fixed(b)) => a == b,
        // A symbol could be any size but is not surely broadcast unless it meets a 1.
        (Dim::Fixed(1), _) | (_, Dim::Fixed(1)) => false,
        _ => true,
    };
    let batches = same(q_batch, k_batch) && same(q_batch, v_batch);
    let heads = same(k_heads, v_heads) && (same(q_heads, k_heads) || *k_heads == Dim::Fixed(1));
    (q.len() == 4 && v.len() == 4 && batches && heads).then_some(())
}
