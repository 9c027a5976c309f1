//! The spellings of a product with a constant matrix.

use super::linear::per_channel;
use super::pattern::{Operand, View};
use crate::op::{Binary, Op, Reduce, ReduceKind};
use crate::{Dim, ValueId};

/// `x [..., k]` times a constant matrix.
pub(super) struct Contraction {
    x: ValueId,
    weight: ValueId,
    /// The matrix is `[n, k]` instead of `[k, n]`.
    pub(super) transposed: bool,
    /// `n`.
    columns: usize,
}

impl Contraction {
    /// Operands of a `Linear` with this bias.
    pub(super) fn operands(&self, view: &View<'_>, bias: ValueId) -> Option<[Operand; 3]> {
        let rank = view.dims(self.x)?.len();
        let bias = per_channel(view, bias, self.columns, rank, rank.checked_sub(1)?)?;
        (rank >= 2).then_some([Operand::Value(self.x), Operand::Value(self.weight), bias])
    }
}

/// Reads a value as `MatMul`, `Einsum` or product and sum with a constant matrix. Casts are not looked through: they
/// would round between product and bias.
pub(super) fn find(view: &View<'_>, product: ValueId) -> Option<Contraction> {
    let node = view.graph.producer_node(product)?;
    match &node.op {
        Op::MatMul(_) => matrix(view, node.input(0)?, node.input(1)?, false),
        Op::Einsum(op) => {
            let (a, b) = (node.input(0)?, node.input(1)?);
            if node.inputs.len() != 2 {
                return None;
            }
            let (left, right, result) = subscripts(&op.equation)?;
            if view.graph.constant(b).is_some() {
                matrix(view, a, b, is_transposed(&left, &right, &result)?)
            } else {
                matrix(view, b, a, is_transposed(&right, &left, &result)?)
            }
        }
        Op::Reduce(Reduce { kind: ReduceKind::Sum, keepdims: false, .. }) => {
            product_and_sum(view, node.input(0)?, node.input(1)?)
        }
        _ => None,
    }
}

fn matrix(view: &View<'_>, x: ValueId, weight: ValueId, transposed: bool) -> Option<Contraction> {
    let [rows, columns] = *view.graph.constant(weight)?.shape() else { return None };
    let columns = if transposed { rows } else { columns };
    view.graph.constant(x).is_none().then_some(Contraction { x, weight, transposed, columns })
}

/// Subscripts of the two operands and the result.
fn subscripts(equation: &str) -> Option<(String, String, String)> {
    let equation: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (operands, result) = equation.split_once("->")?;
    let (left, right) = operands.split_once(',')?;
    (!right.contains(',')).then(|| (left.to_string(), right.to_string(), result.to_string()))
}

/// Whether `x, weight -> result` is `..i, oi -> ..o` (true) or `..i, io -> ..o` (false); `None` if it is neither.
fn is_transposed(x: &str, weight: &str, result: &str) -> Option<bool> {
    let contracted = x.chars().last()?;
    let kept = result.chars().last()?;
    let leading = x.strip_suffix(contracted)?;
    let distinct = {
        let mut letters: Vec<char> = leading.replace("...", "").chars().chain([contracted, kept]).collect();
        let count = letters.len();
        letters.sort_unstable();
        letters.dedup();
        letters.len() == count && letters.iter().all(|c| c.is_ascii_alphabetic())
    };
    if !distinct || result.strip_suffix(kept)? != leading {
        return None;
    }
    match weight.chars().collect::<Vec<_>>()[..] {
        [a, b] if (a, b) == (kept, contracted) => Some(true),
        [a, b] if (a, b) == (contracted, kept) => Some(false),
        _ => None,
    }
}

/// `sum(unsqueeze(x, -2) * W, -1)` with `W [n, k]`.
fn product_and_sum(view: &View<'_>, product: ValueId, axes: ValueId) -> Option<Contraction> {
    let rank = view.dims(product)?.len() as i64;
    let [axis] = view.graph.constant(axes)?.to_i64()?[..] else { return None };
    if axis != -1 && axis != rank - 1 {
        return None;
    }
    view.both(product, Binary::Mul).into_iter().find_map(|(wide, weight)| {
        let unsqueeze = view.graph.producer_node(wide)?;
        let (x, inserted) = match unsqueeze.op {
            Op::Unsqueeze(_) => (unsqueeze.input(0)?, view.graph.constant(unsqueeze.input(1)?)?.to_i64()?),
            _ => return None,
        };
        let found = matrix(view, x, weight, true)?;
        let width = view.graph.constant(weight)?.shape().get(1).copied();
        let before_last = inserted == [-2] || inserted == [rank - 2];
        // Neither side of the product may be broadcast along the axis that is summed.
        let same_width = view.dims(x)?.last().and_then(Dim::fixed) == width;
        (before_last && same_width && view.dims(x)?.len() as i64 == rank - 1).then_some(found)
    })
}
