//! Contractions: matrix products, `Gemm`, `Linear`, attention, rotary embedding, `Einsum`.

use super::context::{Context, show};
use super::expression::Expr;
use super::fact::Fact;
use crate::op::{Einsum, Gemm, RotaryEmbedding};
use crate::{DType, Result};

fn expect_numbers(cx: &Context) -> Result<Option<DType>> {
    for i in 0..cx.inputs.len() {
        cx.expect_type(i, "a number", |t| t.is_float() || t.is_integer())?;
        cx.expect_same_type(0, i)?;
    }
    Ok((0..cx.inputs.len()).find_map(|i| cx.dtype(i)))
}

pub(super) fn matmul(cx: &mut Context) -> Result<Fact> {
    let dtype = expect_numbers(cx)?;
    let (Some(a), Some(b)) = (cx.shape(0)?, cx.shape(1)?) else { return Ok(Fact::new(dtype, None)) };
    let (Some((k, a_lead)), Some((b_last, b_lead))) = (a.split_last(), b.split_last()) else {
        return Err(cx.error(format!("can't multiply {} by {}: a scalar is no matrix", show(a), show(b))));
    };
    // A vector on the right has its only axis contracted.
    let (contracted, b_batch, columns) = match b_lead.split_last() {
        Some((rows, batch)) => (rows, batch, Some(b_last)),
        None => (b_last, b_lead, None),
    };
    if k.differs(contracted) {
        return Err(cx.error(format!(
            "can't multiply {} by {}: the contracted sizes {k} and {contracted} differ",
            show(a),
            show(b)
        )));
    }
    let (a_batch, rows) = match a_lead.split_last() {
        Some((rows, batch)) => (batch, Some(rows)),
        None => (a_lead, None),
    };
    let mut shape = cx.broadcast(Some(a_batch), Some(b_batch))?.unwrap_or_default();
    shape.extend(rows.cloned());
    shape.extend(columns.cloned());
    Ok(Fact::new(dtype, Some(shape)))
}

pub(super) fn gemm(cx: &mut Context, op: &Gemm) -> Result<Fact> {
    let dtype = expect_numbers(cx)?;
    cx.expect_rank(0, 2)?;
    cx.expect_rank(1, 2)?;
    let side = |cx: &mut Context, i: usize, transposed: bool| -> Result<(Expr, Expr)> {
        Ok(match cx.shape(i)? {
            Some([rows, columns]) if transposed => (columns.clone(), rows.clone()),
            Some([rows, columns]) => (rows.clone(), columns.clone()),
            _ => (cx.fresh(), cx.fresh()),
        })
    };
    let (rows, k) = side(cx, 0, op.transA)?;
    let (other_k, columns) = side(cx, 1, op.transB)?;
    cx.unify(&k, &other_k, "the contracted sizes")?;
    let mut shape = vec![rows, columns];
    if let Some(c) = cx.get(2).and_then(|f| f.shape.as_deref()) {
        match cx.broadcast(Some(&shape), Some(c))? {
            Some(both) if both.len() == 2 => shape = both,
            _ => return Err(cx.error(format!("C of shape {} does not fit {}", show(c), show(&shape)))),
        }
    }
    Ok(Fact::new(dtype, Some(shape)))
}

pub(super) fn linear(cx: &mut Context, transposed: bool) -> Result<Fact> {
    let dtype = expect_numbers(cx)?;
    cx.expect_rank(1, 2)?;
    cx.expect_rank(2, 1)?;
    let (k, columns) = match cx.shape(1)? {
        Some([n, k]) if transposed => (k.clone(), n.clone()),
        Some([k, n]) => (k.clone(), n.clone()),
        _ => (cx.fresh(), cx.fresh()),
    };
    if let Some(Some(bias)) = cx.get(2).map(|f| f.shape.as_ref().and_then(|s| s.first())) {
        cx.unify(&columns, bias, "the columns of the weight and the size of the bias")?;
    }
    let Some(x) = cx.shape(0)? else { return Ok(Fact::new(dtype, None)) };
    let Some((last, lead)) = x.split_last() else { return Err(cx.error("the input is a scalar")) };
    cx.unify(last, &k, "the contracted sizes")?;
    Ok(Fact::new(dtype, Some([lead, &[columns]].concat())))
}

pub(super) fn attention(cx: &mut Context) -> Result<Fact> {
    for i in 0..3 {
        cx.expect_rank(i, 4)?;
        cx.expect_float(i)?;
        cx.expect_same_type(0, i)?;
    }
    cx.expect_type(3, "floating-point or bool", |t| t.is_float() || t == DType::Bool)?;
    let dtype = cx.dtype(0);
    let (Some([batch, heads, rows, depth]), Some([k_batch, k_heads, columns, k_depth])) =
        (cx.shape(0)?, cx.shape(1)?)
    else {
        return Ok(Fact::new(dtype, None));
    };
    let Some([v_batch, v_heads, v_columns, width]) = cx.shape(2)? else { return Ok(Fact::new(dtype, None)) };
    let batch = cx.unify(batch, k_batch, "the batch sizes")?;
    let batch = cx.unify(&batch, v_batch, "the batch sizes")?;
    cx.unify(k_heads, v_heads, "the heads of keys and values")?;
    cx.unify(columns, v_columns, "the numbers of keys and values")?;
    cx.unify(depth, k_depth, "the head sizes of queries and keys")?;
    if let (Some(h), Some(kv)) = (heads.fixed(), k_heads.fixed())
        && h.checked_rem(kv) != Some(0)
    {
        return Err(cx.error(format!("{h} query heads can't share {kv} key heads evenly")));
    }
    if let Some(mask) = cx.get(3).and_then(|f| f.shape.as_deref()) {
        let scores = [batch.clone(), heads.clone(), rows.clone(), columns.clone()];
        cx.broadcast(Some(&scores), Some(mask))?;
    }
    Ok(Fact::new(dtype, Some(vec![batch, heads.clone(), rows.clone(), width.clone()])))
}

pub(super) fn rotary(cx: &mut Context, op: &RotaryEmbedding) -> Result<Fact> {
    for i in 0..3 {
        cx.expect_float(i)?;
        cx.expect_same_type(0, i)?;
    }
    cx.expect_rank(0, 4)?;
    let input = cx.input(0)?;
    if let Some([.., depth]) = input.shape.as_deref() {
        if depth.fixed().is_some_and(|d| d % 2 != 0) {
            return Err(cx.error(format!("the head size {depth} is odd")));
        }
        let size = if op.interleaved { depth.exact_div(&Expr::Fixed(2)) } else { Some(depth.clone()) };
        for i in [1, 2] {
            if let (Some(size), Some([.., found])) = (&size, cx.shape(i)?)
                && found.fixed() != Some(1)
            {
                cx.unify(size, found, "the sizes of the rotated axis and of its angles")?;
            }
        }
    }
    Ok(Fact::new(input.dtype, input.shape.clone()))
}

/// Labels of one operand: letters, with the place of `...`.
struct Labels {
    before: Vec<char>,
    ellipsis: bool,
    after: Vec<char>,
}

fn labels(cx: &Context, text: &str) -> Result<Labels> {
    let (before, ellipsis, after) = match text.split_once("...") {
        Some((before, after)) => (before, true, after),
        None => (text, false, ""),
    };
    if !before.chars().chain(after.chars()).all(|c| c.is_ascii_alphabetic()) {
        return Err(cx.error(format!("the term \"{text}\" is not made of letters and one \"...\"")));
    }
    Ok(Labels { before: before.chars().collect(), ellipsis, after: after.chars().collect() })
}

pub(super) fn einsum(cx: &mut Context, op: &Einsum) -> Result<Fact> {
    let dtype = expect_numbers(cx)?;
    let equation: String = op.equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (equation.as_str(), None),
    };
    let terms = left.split(',').map(|t| labels(cx, t)).collect::<Result<Vec<_>>>()?;
    if terms.len() != cx.inputs.len() {
        return Err(cx.error(format!(
            "\"{equation}\" has {} terms for {} operands",
            terms.len(),
            cx.inputs.len()
        )));
    }
    let mut sizes: Vec<(char, Expr)> = vec![];
    let mut ellipsis: Option<Vec<Expr>> = Some(vec![]);
    for (i, term) in terms.iter().enumerate() {
        let named = term.before.len() + term.after.len();
        let Some(shape) = cx.shape(i)? else {
            ellipsis = ellipsis.filter(|_| !term.ellipsis);
            continue;
        };
        if shape.len() < named || (shape.len() > named && !term.ellipsis) {
            return Err(cx.error(format!("operand {i} of shape {} does not fit \"{equation}\"", show(shape))));
        }
        let (before, rest) = shape.split_at(term.before.len());
        let (middle, after) = rest.split_at(rest.len() - term.after.len());
        for (label, size) in term.before.iter().zip(before).chain(term.after.iter().zip(after)) {
            match sizes.iter_mut().find(|(l, _)| l == label) {
                None => sizes.push((*label, size.clone())),
                Some((_, known)) => match known.broadcast(size) {
                    Some(both) => *known = cx.or_fresh(both),
                    None => {
                        let message = format!("\"{label}\" of \"{equation}\" is both {known} and {size}");
                        return Err(cx.error(message));
                    }
                },
            }
        }
        if term.ellipsis {
            ellipsis = cx.broadcast(ellipsis.as_deref(), Some(middle))?;
        }
    }
    let output = match right {
        Some(right) => labels(cx, right)?,
        None => {
            // Without an output term: letters that occur once, in alphabetical order.
            let all: Vec<char> =
                terms.iter().flat_map(|t| t.before.iter().chain(&t.after)).copied().collect();
            let mut once: Vec<char> =
                all.iter().copied().filter(|c| all.iter().filter(|o| *o == c).count() == 1).collect();
            once.sort_unstable();
            Labels { before: vec![], ellipsis: terms.iter().any(|t| t.ellipsis), after: once }
        }
    };
    let size_of = |cx: &mut Context, label: &char| match sizes.iter().find(|(l, _)| l == label) {
        Some((_, size)) => size.clone(),
        None => cx.fresh(),
    };
    let mut shape: Vec<Expr> = output.before.iter().map(|l| size_of(cx, l)).collect();
    if output.ellipsis {
        let Some(middle) = ellipsis else { return Ok(Fact::new(dtype, None)) };
        shape.extend(middle);
    }
    for label in &output.after {
        shape.push(size_of(cx, label));
    }
    Ok(Fact::new(dtype, Some(shape)))
}
