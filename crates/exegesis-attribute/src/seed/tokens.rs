//! Seeds of language models, whose output is `[batch, tokens, vocabulary]`.

use exegesis_graph::op::{self, Binary, ReduceKind};
use exegesis_graph::{Builder, DType, Tensor, ValueId};

use super::{Asked, Seed, classes};
use crate::error::{Error, Result};
use crate::request::Target;
use crate::rule::OneHot;

/// One token at the last position whose mask is 1 (without a mask the last). Contrastive: `p` of the token, and of the others
/// of that position.
///
/// # Errors
/// A token outside the vocabulary.
pub fn next(b: &mut Builder<'_>, asked: &Asked<'_>, mask: Option<ValueId>, result: &mut Seed) -> Result<()> {
    let value = asked.value;
    let dtype = b.dtype(value);
    let (positions, length) = positions(b, value)?;
    let one = b.constant(Tensor::scalar(1i64));
    // [1 or batch, tokens, 1]: 1 at the chosen position.
    let at_last = match mask {
        Some(mask) => {
            let shown = b.op(op::Cast { to: DType::I64 }, &[mask])?;
            let next = b.add(positions, one)?;
            let marked = b.mul(shown, next)?;
            let last = b.reduce(ReduceKind::Max, marked, &[1], true)?;
            let equal = b.op(Binary::Equal, &[next, last])?;
            let hot = b.op(op::Cast { to: dtype }, &[equal])?;
            b.unsqueeze(hot, &[2])?
        }
        None => {
            let last = b.sub(length, one)?;
            let equal = b.op(Binary::Equal, &[positions, last])?;
            let hot = b.op(op::Cast { to: dtype }, &[equal])?;
            b.unsqueeze(hot, &[0, 2])?
        }
    };
    let chosen = b.mul(value, at_last)?;
    let scores = b.reduce_sum(chosen, &[1], false)?;
    let place = |b: &mut Builder<'_>, row: ValueId, size: f64| -> Result<ValueId> {
        let row = b.unsqueeze(row, &[1])?;
        let signal = b.mul(row, at_last)?;
        let signal = b.mul_scalar(signal, size)?;
        b.assume_shape(signal, value);
        Ok(signal)
    };
    if let Target::Difference(first, second) = asked.request.target {
        let [plus, minus] = classes::difference(b, asked, scores, first, second)?;
        result.target = Some(plus.0);
        result.signals = match asked.contrastive {
            true => vec![place(b, plus.1, asked.total)?, place(b, minus.1, asked.total)?],
            false => {
                let row = b.sub(plus.1, minus.1)?;
                vec![place(b, row, 1.0)?]
            }
        };
        return Ok(());
    }
    let index = classes::class(b, asked, scores)?;
    result.target = Some(index);
    let hot = classes::one_hot(b, index, scores)?;
    if asked.contrastive || asked.by_probability {
        let p = asked.softmax(b, scores, 1)?;
        let rows = classes::at_and_beside(b, p, hot)?;
        for row in rows.into_iter().take(if asked.contrastive { 2 } else { 1 }) {
            result.signals.push(place(b, row, asked.total)?);
        }
        return Ok(());
    }
    result.signals = vec![place(b, hot, asked.total)?];
    let rows = classes::ones(b, index, value, 3)?;
    let rows = b.mul_scalar(rows, asked.total)?;
    result.one_hot = Some(OneHot { index, amount: b.mul(rows, at_last)? });
    Ok(())
}

/// `1/T` of the total at the token of each of `T` decoded positions, or all of it at one step. Contrastive: at each position
/// as for the next token, divided by `T`.
///
/// # Errors
/// A token outside the vocabulary, or a target that is no token.
pub fn decoded(b: &mut Builder<'_>, asked: &Asked<'_>, result: &mut Seed) -> Result<()> {
    let value = asked.value;
    let dtype = b.dtype(value);
    let (positions, length) = positions(b, value)?;
    // [1, tokens, 1]: the share of each position.
    let share = match asked.request.step {
        Some(step) => {
            if let Some(steps) = b.shape(value)?[1].fixed()
                && step >= steps
            {
                return Err(Error::Request(format!(
                    "step {step} is outside the {steps} decoded positions of \"{}\"",
                    asked.name
                )));
            }
            let step = b.constant(Tensor::scalar(step as i64));
            let equal = b.op(Binary::Equal, &[positions, step])?;
            let hot = b.op(op::Cast { to: dtype }, &[equal])?;
            b.unsqueeze(hot, &[0, 2])?
        }
        None => {
            let count = b.op(op::Cast { to: dtype }, &[length])?;
            let one = b.scalar(1.0, value)?;
            let share = b.div(one, count)?;
            b.reshape_to(share, &[1, 1, 1])?
        }
    };
    let tokens = match asked.request.target {
        Target::ArgMax => {
            b.op(op::ArgMax { axis: 2, keepdims: false, select_last_index: false }, &[value])?
        }
        Target::Class(token) => {
            let words = b.shape(value)?[2].fixed();
            classes::check_class(token, words, &asked.name)?;
            let lead = b.op(op::Shape { start: 0, end: Some(2) }, &[value])?;
            let token = Tensor::vector(vec![token as i64]);
            b.op(op::ConstantOfShape { value: Some(token.into()) }, &[lead])?
        }
        _ => {
            return Err(Error::Request(
                "the target of an encoder-decoder is argmax or a token, at every position or at --step T"
                    .into(),
            ));
        }
    };
    result.target = Some(tokens);
    let hot = classes::one_hot(b, tokens, value)?;
    let parts = match asked.contrastive || asked.by_probability {
        false => vec![hot],
        true => {
            let p = asked.softmax(b, value, 2)?;
            let mut parts = classes::at_and_beside(b, p, hot)?.to_vec();
            parts.truncate(if asked.contrastive { 2 } else { 1 });
            parts
        }
    };
    for part in parts {
        let signal = b.mul(part, share)?;
        let signal = b.mul_scalar(signal, asked.total)?;
        b.assume_shape(signal, value);
        result.signals.push(signal);
    }
    Ok(())
}

/// `0, 1, ...` along the token axis, and their number.
fn positions(b: &mut Builder<'_>, value: ValueId) -> Result<(ValueId, ValueId)> {
    let length = b.dim_of(value, 1)?;
    let length = b.squeeze(length, &[0])?;
    let (zero, one) = (b.constant(Tensor::scalar(0i64)), b.constant(Tensor::scalar(1i64)));
    Ok((b.op(op::Range {}, &[zero, length, one])?, length))
}
