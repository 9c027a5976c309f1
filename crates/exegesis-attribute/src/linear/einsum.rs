//! Adjoint of Einstein sums.

use exegesis_graph::{Dim, Error, Node, Op, ValueId, op};

use crate::Result;
use crate::rule::Context;

/// Splits `"ab,bc->ac"` into operand and result subscripts, an implicit result written out; `None` for an index that
/// stands twice in one term.
fn einsum_terms(equation: &str) -> Option<(Vec<String>, String)> {
    let equation: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (operands, result) = match equation.split_once("->") {
        Some((operands, result)) => (operands, result.to_string()),
        None => {
            let mut once: Vec<char> = equation.chars().filter(|c| c.is_alphabetic()).collect();
            once.sort_unstable();
            let letters = once.clone();
            once.retain(|c| letters.iter().filter(|l| *l == c).count() == 1);
            let lead = if equation.contains(ELLIPSIS) { ELLIPSIS } else { "" };
            (equation.as_str(), format!("{lead}{}", once.into_iter().collect::<String>()))
        }
    };
    let operands: Vec<String> = operands.split(',').map(str::to_string).collect();
    let plain = |s: &str| {
        let mut seen: Vec<char> = s.replacen(ELLIPSIS, "", 1).chars().collect();
        seen.sort_unstable();
        seen.windows(2).all(|w| w[0] != w[1]) && seen.iter().all(|c| c.is_alphabetic())
    };
    (operands.iter().all(|o| plain(o)) && plain(&result)).then_some((operands, result))
}

const ELLIPSIS: &str = "...";

/// False for an equation that takes a diagonal, sums over its ellipsis, or has it behind other indices of `operand`.
pub fn is_reversible_einsum(node: &Node, operand: usize) -> bool {
    reversible_einsum(node, operand).is_some()
}

fn reversible_einsum(node: &Node, operand: usize) -> Option<(Vec<String>, String)> {
    let Op::Einsum(einsum) = &node.op else { return None };
    einsum_terms(&einsum.equation).filter(|(operands, result)| {
        operands.len() == node.inputs.len()
            && operands[operand].find(ELLIPSIS).is_none_or(|at| at == 0)
            && (result.contains(ELLIPSIS) || operands.iter().all(|o| !o.contains(ELLIPSIS)))
    })
}

/// Gradient of an einsum with respect to `x` (its operand `operand`): the einsum of `g` with `others`, the other operands
/// in order. Along an index that only `x` has, a plain sum, the gradient is repeated.
///
/// # Errors
/// The equation can't be reversed ([`is_reversible_einsum`]).
pub fn einsum_adjoint(
    cx: &mut Context<'_, '_>,
    node: &Node,
    g: ValueId,
    others: &[ValueId],
    x: ValueId,
    operand: usize,
) -> Result<ValueId> {
    let Some((mut operands, result)) = reversible_einsum(node, operand) else {
        return Err(Error::unsupported("this einsum can't be reversed").into());
    };
    let own = operands.remove(operand);
    // The ellipsis of the result may stand for axes that x lacks or has with size 1: they are summed at the end.
    let bare = own.replacen(ELLIPSIS, "", 1);
    let known = |c: &char| result.contains(*c) || operands.iter().any(|o| o.contains(*c));
    let lonely: Vec<char> = bare.chars().filter(|c| !known(c)).collect();
    let lead = if result.contains(ELLIPSIS) { ELLIPSIS } else { "" };
    let kept: String = bare.chars().filter(known).collect();
    operands.insert(0, result.clone());
    let equation = format!("{}->{lead}{kept}", operands.join(","));
    let mut values = vec![g];
    values.extend(others);
    let mut out = cx.b.op(op::Einsum { equation }, &values)?;
    if !lonely.is_empty() {
        let rank = cx.b.rank(out)? + lonely.len();
        let first = rank - bare.len();
        let axes: Vec<usize> =
            bare.chars().enumerate().filter(|(_, c)| lonely.contains(c)).map(|(i, _)| first + i).collect();
        out = cx.b.unsqueeze(out, &axes)?;
    }
    if !lead.is_empty() {
        out = sum_ellipsis(cx, out, x, bare.len())?;
    }
    match lonely.is_empty() {
        true => cx.b.assume_shape(out, x),
        false => out = cx.b.expand_like(out, x)?,
    }
    Ok(out)
}

/// Sums `v` over the axes before its last `own` that `x` lacks or has with size 1.
fn sum_ellipsis(cx: &mut Context<'_, '_>, v: ValueId, x: ValueId, own: usize) -> Result<ValueId> {
    let (from, to) = (cx.b.shape(v)?.clone(), cx.b.shape(x)?.clone());
    let extra = from.len() - to.len();
    let ones: Vec<usize> = (extra..from.len() - own).filter(|i| to[i - extra] == Dim::Fixed(1)).collect();
    let out = cx.b.reduce_sum(v, &ones, true)?;
    let leading: Vec<usize> = (0..extra).collect();
    Ok(cx.b.reduce_sum(out, &leading, false)?)
}
