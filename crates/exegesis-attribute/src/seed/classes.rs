//! Seeds of one unit: a class, a label, the only number.

use exegesis_graph::op;
use exegesis_graph::{Builder, DType, Dim, Tensor, ValueId};

use super::{Asked, Ending, Seed, complement, constant_like};
use crate::error::{Error, Result};
use crate::request::{Target, Task};
use crate::rule::OneHot;

/// The only unit: the total; contrastive, for a probability `p`: `p` and `1 - p` of it.
///
/// # Errors
/// Contrast on a number that is no probability.
pub fn single(b: &mut Builder<'_>, asked: &Asked<'_>, result: &mut Seed) -> Result<()> {
    let value = asked.value;
    if asked.contrastive || asked.by_probability || asked.scaler.is_some() {
        if result.task != Task::Binary {
            asked.refuse_contrast("a regression of one number")?;
        }
        let p = match result.task {
            Task::Binary => Some(asked.sigmoid(b)?),
            _ => None,
        };
        let size = asked.scaler.unwrap_or(1.0) * asked.total;
        result.signals = match (p, asked.scaler) {
            (None, _) => vec![constant_like(b, value, size)?],
            (Some(p), None) => {
                let rest = complement(b, p)?;
                vec![b.mul_scalar(p, size)?, b.mul_scalar(rest, size)?]
            }
            (Some(_), Some(_)) => vec![constant_like(b, value, size)?, constant_like(b, value, size)?],
        };
        for signal in &result.signals {
            b.assume_shape(*signal, value);
        }
        result.signals.truncate(if asked.contrastive { 2 } else { 1 });
    } else {
        result.signals = vec![constant_like(b, value, asked.total)?];
    }
    if b.rank(value)? >= 1 {
        let rows = b.dim_of(value, 0)?;
        let zero = Tensor::vector(vec![0i64]);
        result.target = Some(b.op(op::ConstantOfShape { value: Some(zero.into()) }, &[rows])?);
    }
    Ok(())
}

/// One class or label of `[batch, classes]`.
///
/// Contrastive: `p_k` at the class and `p_j` at the others; for a label `p_k` and `1 - p_k` at the label.
///
/// # Errors
/// A class outside the output, or contrast on numbers that are no probabilities.
pub fn seed(b: &mut Builder<'_>, asked: &Asked<'_>, result: &mut Seed) -> Result<()> {
    let value = asked.value;
    if asked.contrastive && matches!(result.task, Task::Regression | Task::Embedding) {
        asked.refuse_contrast("one of several numbers")?;
    }
    if let Target::Difference(first, second) = asked.request.target {
        let [plus, minus] = difference(b, asked, value, first, second)?;
        result.target = Some(plus.0);
        result.signals = match asked.contrastive {
            true => vec![b.mul_scalar(plus.1, asked.total)?, b.mul_scalar(minus.1, asked.total)?],
            false => vec![b.sub(plus.1, minus.1)?],
        };
        return Ok(());
    }
    let index = class(b, asked, value)?;
    result.target = Some(index);
    let hot = one_hot(b, index, value)?;
    let labels = matches!(result.task, Task::MultiLabel | Task::Binary) || asked.ends == Ending::Sigmoid;
    if !asked.contrastive && !asked.by_probability {
        let size = asked.scaler.unwrap_or(1.0) * asked.total;
        result.signals = vec![b.mul_scalar(hot, size)?];
        let amount = ones(b, index, value, 2)?;
        result.one_hot = Some(OneHot { index, amount: b.mul_scalar(amount, size)? });
        return Ok(());
    }
    let p = match labels {
        true => asked.sigmoid(b)?,
        false => asked.softmax(b, value, 1)?,
    };
    let signals = match labels {
        true => {
            let rest = complement(b, p)?;
            [b.mul(p, hot)?, b.mul(rest, hot)?]
        }
        false => at_and_beside(b, p, hot)?,
    };
    result.signals = scaled(b, asked, signals, value)?;
    Ok(())
}

/// `p` at the hot cells, and at the others.
///
/// # Errors
/// The graph can't be treated.
pub fn at_and_beside(b: &mut Builder<'_>, p: ValueId, hot: ValueId) -> Result<[ValueId; 2]> {
    let at = b.mul(p, hot)?;
    let beside = complement(b, hot)?;
    Ok([at, b.mul(p, beside)?])
}

/// The channels that are asked for, times the total. With a scaler of the first version the first is that number at its
/// cells, the second sums to it.
///
/// # Errors
/// The graph can't be treated.
pub fn scaled(
    b: &mut Builder<'_>,
    asked: &Asked<'_>,
    signals: [ValueId; 2],
    like: ValueId,
) -> Result<Vec<ValueId>> {
    let mut out = vec![];
    for signal in signals.into_iter().take(if asked.contrastive { 2 } else { 1 }) {
        let sized = match asked.scaler {
            None => signal,
            Some(scaler) => {
                let all: Vec<usize> = (1..b.rank(like)?).collect();
                let sum = b.reduce_sum(signal, &all, true)?;
                let share = b.div(signal, sum)?;
                b.mul_scalar(share, scaler)?
            }
        };
        let sized = b.mul_scalar(sized, asked.total)?;
        b.assume_shape(sized, like);
        out.push(sized);
    }
    Ok(out)
}

/// The rows and seeds of two classes.
///
/// # Errors
/// A class outside the output, or a method that has no sign and one channel.
pub fn difference(
    b: &mut Builder<'_>,
    asked: &Asked<'_>,
    scores: ValueId,
    first: usize,
    second: usize,
) -> Result<[(ValueId, ValueId); 2]> {
    let count = classes(b, scores)?;
    check_class(first, count, &asked.name)?;
    check_class(second, count, &asked.name)?;
    if asked.request.method.flows_amounts() && !asked.contrastive {
        return Err(Error::Request(format!(
            "method `{}` traces one non-negative seed and can't explain a difference; use mode=contrastive, gradient or \
             input-x-gradient, or one class",
            asked.request.method.name()
        )));
    }
    let plus = rows(b, scores, first)?;
    let minus = rows(b, scores, second)?;
    Ok([(plus, one_hot(b, plus, scores)?), (minus, one_hot(b, minus, scores)?)])
}

/// The class per row of `scores [batch, classes]`.
///
/// # Errors
/// A class outside the output, or a target of another kind.
pub fn class(b: &mut Builder<'_>, asked: &Asked<'_>, scores: ValueId) -> Result<ValueId> {
    Ok(match &asked.request.target {
        Target::ArgMax => {
            b.op(op::ArgMax { axis: 1, keepdims: false, select_last_index: false }, &[scores])?
        }
        Target::Class(class) => {
            check_class(*class, classes(b, scores)?, &asked.name)?;
            rows(b, scores, *class)?
        }
        Target::Input => {
            let row_dim = b.shape(scores)?[0].clone();
            b.graph_mut().add_input("target", DType::I64, vec![row_dim])
        }
        Target::Difference(..) | Target::Position(_) | Target::Coordinates(_) | Target::Seed => {
            return Err(Error::Request("this target is not a class; give one class".into()));
        }
    })
}

fn classes(b: &Builder<'_>, scores: ValueId) -> Result<Option<usize>> {
    Ok(b.shape(scores)?.get(1).and_then(Dim::fixed))
}

/// The class for every row.
fn rows(b: &mut Builder<'_>, scores: ValueId, class: usize) -> Result<ValueId> {
    let rows = b.dim_of(scores, 0)?;
    let tensor = Tensor::vector(vec![class as i64]);
    Ok(b.op(op::ConstantOfShape { value: Some(tensor.into()) }, &[rows])?)
}

/// `class` checked against the number of classes.
///
/// # Errors
/// It is not below.
pub fn check_class(class: usize, count: Option<usize>, name: &str) -> Result<()> {
    match count {
        Some(count) if class >= count => Err(Error::Request(format!(
            "target {class} is outside output \"{name}\", which has classes 0 to {}",
            count.saturating_sub(1)
        ))),
        _ => Ok(()),
    }
}

/// 1 at `index` along the last axis of the shape of `scores [rows, classes]`.
///
/// # Errors
/// The graph can't be treated.
pub fn one_hot(b: &mut Builder<'_>, index: ValueId, scores: ValueId) -> Result<ValueId> {
    let last = b.rank(scores)? - 1;
    let depth = b.dim_of(scores, last)?;
    let values = Tensor::from_f64(b.dtype(scores), vec![2], vec![0.0, 1.0])?;
    let values = b.constant(values);
    let out = b.op(op::OneHot { axis: -1 }, &[index, depth, values])?;
    b.assume_shape(out, scores);
    Ok(out)
}

/// A 1 per row of `index [batch]` in the element type of `like`, `[batch, 1, ...]` of a rank.
///
/// # Errors
/// The graph can't be treated.
pub fn ones(b: &mut Builder<'_>, index: ValueId, like: ValueId, rank: usize) -> Result<ValueId> {
    let one = Tensor::from_f64(b.dtype(like), vec![1], vec![1.0])?;
    let shape = b.shape_of(index)?;
    let ones = b.op(op::ConstantOfShape { value: Some(one.into()) }, &[shape])?;
    b.assume_shape(ones, index);
    let mut dims = vec![1i64; rank];
    dims[0] = -1;
    Ok(b.reshape_to(ones, &dims)?)
}
