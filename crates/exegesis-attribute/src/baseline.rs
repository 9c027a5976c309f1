//! What an input is compared with.

use std::fmt;
use std::str::FromStr;

use exegesis_graph::op::{ConstantOfShape, ReduceKind};
use exegesis_graph::{Builder, Tensor, ValueId, instance};
use rustc_hash::FxHashMap;

use crate::error::{Error, Result};
use crate::explained_input::ExplainedInput;

/// What an input is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum Baseline {
    /// Zeros; of token ids, zero at their embeddings.
    #[default]
    Zeros,
    /// This number everywhere; of token ids, the token of this index everywhere.
    Number(f64),
    /// The mean of each row's own values, per channel of a picture.
    Mean,
    /// The row itself, blurred: a picture by a Gaussian of a twentieth of its width.
    Blur,
    /// Given as an additional graph input `baseline/<input>` of the input's shape.
    Input,
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zeros => f.write_str("zeros"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Mean => f.write_str("mean"),
            Self::Blur => f.write_str("blur"),
            Self::Input => f.write_str("input"),
        }
    }
}

impl FromStr for Baseline {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "zeros" => Ok(Self::Zeros),
            "mean" => Ok(Self::Mean),
            "blur" => Ok(Self::Blur),
            "input" => Ok(Self::Input),
            _ => text.parse().ok().filter(|n: &f64| n.is_finite()).map(Self::Number).ok_or_else(|| {
                Error::Request(format!("baseline `{text}` is none of zeros, mean, blur, a number, or input"))
            }),
        }
    }
}

/// The values that stand for the roots of `inputs` at the baseline, in the order of the roots.
///
/// # Errors
/// A baseline that does not fit an input, or a graph that can't be treated.
pub(crate) fn values(
    b: &mut Builder<'_>,
    baseline: Baseline,
    inputs: &[ExplainedInput],
) -> Result<FxHashMap<ValueId, ValueId>> {
    let mut found = FxHashMap::default();
    for input in inputs {
        let given = match baseline {
            Baseline::Input => {
                let (shape, dtype) = (b.shape(input.input)?.clone(), b.dtype(input.input));
                Some(b.graph_mut().add_input(&format!("baseline/{}", input.name), dtype, shape))
            }
            Baseline::Number(number) if input.is_tokens => Some(token(b, input, number)?),
            _ => None,
        };
        for root in &input.roots {
            let value = match (given, baseline) {
                (Some(given), _) if !input.is_tokens => given,
                (Some(given), _) => {
                    let at = FxHashMap::from_iter([(input.input, given)]);
                    let counterparts = instance(b.graph_mut(), &[*root], &at)?;
                    counterparts.get(root).copied().unwrap_or(*root)
                }
                (None, Baseline::Number(number)) => constant_like(b, *root, number)?,
                (None, Baseline::Mean) => mean(b, *root, input)?,
                (None, Baseline::Blur) => blur(b, *root, input)?,
                (None, Baseline::Zeros | Baseline::Input) => constant_like(b, *root, 0.0)?,
            };
            found.insert(*root, value);
        }
    }
    Ok(found)
}

/// The token of an index, at every position.
fn token(b: &mut Builder<'_>, input: &ExplainedInput, number: f64) -> Result<ValueId> {
    if number.fract() != 0.0 || number < 0.0 {
        return Err(Error::Request(format!(
            "baseline {number} is no token id, which \"{}\" holds; give a whole number, zeros, or a file",
            input.name
        )));
    }
    let tensor = Tensor::from_f64(b.dtype(input.input), vec![1], vec![number])?;
    let shape = b.shape_of(input.input)?;
    let filled = b.op(ConstantOfShape { value: Some(tensor.into()) }, &[shape])?;
    b.assume_shape(filled, input.input);
    Ok(filled)
}

/// The mean over all axes behind the batch, of pictures (rank 4) over height and width.
fn mean(b: &mut Builder<'_>, root: ValueId, input: &ExplainedInput) -> Result<ValueId> {
    let rank = b.rank(root)?;
    let axes: Vec<usize> = match (rank, input.is_tokens) {
        (4, false) => spatial_axes(b, root)?,
        // Of tokens: over the tokens.
        (3, true) => vec![1],
        _ => (1..rank).collect(),
    };
    let mean = if axes.is_empty() { root } else { b.reduce(ReduceKind::Mean, root, &axes, true)? };
    Ok(b.expand_like(mean, root)?)
}

/// Height and width: the last two axes, or the middle ones where the last is a small number of channels.
pub(crate) fn spatial_axes(b: &Builder<'_>, picture: ValueId) -> Result<Vec<usize>> {
    let shape = b.shape(picture)?;
    let channels = |axis: usize| shape[axis].fixed().is_some_and(|n| n <= 4);
    Ok(if channels(3) && !channels(1) { vec![1, 2] } else { vec![2, 3] })
}

/// A picture blurred by a Gaussian, edges repeated.
fn blur(b: &mut Builder<'_>, root: ValueId, input: &ExplainedInput) -> Result<ValueId> {
    let refusal = || {
        Error::Request(format!(
            "baseline blur is for pictures of known size, and \"{}\" is none; give zeros, mean, a number or a file",
            input.name
        ))
    };
    if input.is_tokens || b.rank(root)? != 4 {
        return Err(refusal());
    }
    let mut blurred = root;
    for axis in spatial_axes(b, root)? {
        let size = b.shape(root)?[axis].fixed().ok_or_else(refusal)?;
        let matrix = blur_matrix(size);
        let tensor = Tensor::from_f64(b.dtype(root), vec![size, size], matrix)?;
        let matrix = b.constant(tensor);
        // A matrix on the last axis; the axis goes there and back.
        let mut to_last: Vec<usize> = (0..4).filter(|a| *a != axis).collect();
        to_last.push(axis);
        let moved = if axis == 3 { blurred } else { b.transpose(blurred, &to_last)? };
        let product = b.matmul(moved, matrix)?;
        let mut back = vec![0; 4];
        for (place, from) in to_last.iter().enumerate() {
            back[*from] = place;
        }
        blurred = if axis == 3 { product } else { b.transpose(product, &back)? };
    }
    b.assume_shape(blurred, root);
    Ok(blurred)
}

/// `[from, to]` weights of a Gaussian with a standard deviation of a twentieth of `size` (at least 1), edges repeated.
pub fn blur_matrix(size: usize) -> Vec<f64> {
    let sigma = (size as f64 / 20.0).max(1.0);
    let reach = (3.0 * sigma).ceil() as i64;
    let weight = |d: i64| (-0.5 * (d as f64 / sigma).powi(2)).exp();
    let total: f64 = (-reach..=reach).map(weight).sum();
    let mut matrix = vec![0.0; size * size];
    for to in 0..size as i64 {
        for d in -reach..=reach {
            let from = (to + d).clamp(0, size as i64 - 1);
            matrix[from as usize * size + to as usize] += weight(d) / total;
        }
    }
    matrix
}

/// A constant of the shape of `like`.
fn constant_like(b: &mut Builder<'_>, like: ValueId, number: f64) -> Result<ValueId> {
    let tensor = Tensor::from_f64(b.dtype(like), vec![1], vec![number])?;
    let shape = b.shape_of(like)?;
    let filled = b.op(ConstantOfShape { value: Some(tensor.into()) }, &[shape])?;
    b.assume_shape(filled, like);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches weights that leak at the edges: a constant picture must stay what it is.
    #[test]
    fn every_blurred_cell_is_a_mean() {
        for size in [1, 2, 7, 224] {
            let matrix = blur_matrix(size);
            for to in 0..size {
                let sum: f64 = (0..size).map(|from| matrix[from * size + to]).sum();
                assert!((sum - 1.0).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn baselines_are_read_as_they_are_written() {
        for text in ["zeros", "mean", "blur", "input", "-0.5"] {
            assert_eq!(text.parse::<Baseline>().unwrap().to_string(), text);
        }
        assert!("nan".parse::<Baseline>().is_err() && "black".parse::<Baseline>().is_err());
    }
}
