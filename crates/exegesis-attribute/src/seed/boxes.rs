//! Seeds of coordinates.

use exegesis_graph::op::{Binary, ReduceKind};
use exegesis_graph::{Builder, Dim, Error as GraphError, Tensor, ValueId};

use super::classes::check_class;
use super::{Asked, Seed, complement, constant_like, units};
use crate::error::Result;
use crate::request::Target;

/// `1/n` of the total at each of `n` chosen coordinates (all by default). Contrastive: `|y_j| / sum |y|` at the chosen ones
/// and at the others.
///
/// The first version: with a scaler, its share at every coordinate that is not 0; without, the largest coordinate at its
/// place (contrastive: at all places, and every other coordinate by itself).
///
/// # Errors
/// A coordinate outside the output, or coordinates whose number is not known.
pub fn seed(b: &mut Builder<'_>, asked: &Asked<'_>, result: &mut Seed) -> Result<()> {
    let value = asked.value;
    let shape = b.shape(value)?.clone();
    if asked.first_version {
        result.signals = first_version(b, asked)?;
        return Ok(());
    }
    let chosen = match &asked.request.target {
        Target::Class(one) => Some(vec![*one]),
        Target::Coordinates(many) => Some(many.clone()),
        _ => None,
    };
    let hot = match chosen {
        None => {
            let count = units(&shape).ok_or_else(|| {
                GraphError::unsupported(
                    "the number of coordinates is not known; choose some with --target I,J,...",
                )
            })?;
            (constant_like(b, value, 1.0)?, count)
        }
        Some(chosen) => {
            let axis = shape.len() - 1;
            let count = shape[axis].fixed().ok_or_else(|| {
                GraphError::unsupported("the number of coordinates is not known; fix the model's dimensions")
            })?;
            for coordinate in &chosen {
                check_class(*coordinate, Some(count), &asked.name)?;
            }
            let row = (0..count).map(|i| f64::from(u8::from(chosen.contains(&i)))).collect();
            let row = b.constant(Tensor::from_f64(b.dtype(value), vec![count], row)?);
            let cells: usize = shape[1..axis].iter().filter_map(Dim::fixed).product();
            let mut distinct = chosen.clone();
            distinct.sort_unstable();
            distinct.dedup();
            (b.expand_like(row, value)?, distinct.len() * cells.max(1))
        }
    };
    let (hot, count) = hot;
    result.signals = if asked.contrastive {
        let all: Vec<usize> = (1..shape.len()).collect();
        let size = b.abs(value)?;
        let sum = b.reduce_sum(size, &all, true)?;
        let sum = b.add_scalar(sum, 1e-30)?;
        let share = b.div(size, sum)?;
        let others = complement(b, hot)?;
        let parts = [b.mul(share, hot)?, b.mul(share, others)?];
        parts.into_iter().map(|part| b.mul_scalar(part, asked.total)).collect::<Result<_, _>>()?
    } else {
        vec![b.mul_scalar(hot, asked.total / count.max(1) as f64)?]
    };
    for signal in &result.signals {
        b.assume_shape(*signal, value);
    }
    Ok(())
}

fn first_version(b: &mut Builder<'_>, asked: &Asked<'_>) -> Result<Vec<ValueId>> {
    let value = asked.value;
    let all: Vec<usize> = (1..b.rank(value)?).collect();
    let zero = b.scalar(0.0, value)?;
    let sized = |b: &mut Builder<'_>, v: ValueId| -> Result<ValueId> {
        let v = b.mul_scalar(v, asked.total)?;
        b.assume_shape(v, value);
        Ok(v)
    };
    if let (Some(scaler), false) = (asked.scaler, asked.contrastive) {
        let is_zero = b.op(Binary::Equal, &[value, zero])?;
        let zeros = b.indicator(is_zero, value)?;
        let other = complement(b, zeros)?;
        let count = b.reduce_sum(other, &all, true)?;
        let ones = constant_like(b, value, scaler)?;
        let share = b.div(ones, count)?;
        return Ok(vec![sized(b, share)?]);
    }
    let largest = b.reduce(ReduceKind::Max, value, &all, true)?;
    let is_largest = b.op(Binary::Equal, &[value, largest])?;
    let hot = b.indicator(is_largest, value)?;
    if !asked.contrastive {
        let at = b.mul(value, hot)?;
        return Ok(vec![sized(b, at)?]);
    }
    let everywhere = b.expand_like(largest, value)?;
    let others = complement(b, hot)?;
    let rest = b.mul(value, others)?;
    Ok(vec![sized(b, everywhere)?, sized(b, rest)?])
}
