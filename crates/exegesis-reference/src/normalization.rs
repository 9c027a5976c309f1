//! Normalisations and the softmax family.

use exegesis_graph::op;
use exegesis_graph::{Error, Result};

use crate::array::{Array, Lanes, axes, axis, size};
use crate::operands::Operands;
use crate::pooling::lp_norm;
use crate::reduction::{groups, log_sum_exp};

/// Replaces every lane along an axis that must exist by `f` of it.
fn along(x: &Array, axis: usize, f: impl Fn(&[f64]) -> Vec<f64>) -> Array {
    let mut out = x.clone();
    for lane in Lanes::new(&x.shape, axis).iter() {
        let values: Vec<f64> = lane.iter().map(|i| x.data[*i]).collect();
        for (i, v) in lane.iter().zip(f(&values)) {
            out.data[*i] = v;
        }
    }
    out
}

/// Softmax along an axis that must exist; a lane of only `-inf` becomes NaN.
pub(crate) fn softmax_along(x: &Array, axis: usize) -> Array {
    along(x, axis, |values| {
        let top = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = values.iter().map(|v| (v - top).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.iter().map(|p| p / sum).collect()
    })
}

pub(crate) fn softmax(operands: Operands, along_axis: i64) -> Result<Array> {
    let x = operands.get(0)?;
    Ok(softmax_along(x, axis(along_axis, x.rank())?))
}

pub(crate) fn log_softmax(operands: Operands, along_axis: i64) -> Result<Array> {
    let x = operands.get(0)?;
    Ok(along(x, axis(along_axis, x.rank())?, |values| {
        let total = log_sum_exp(values);
        values.iter().map(|v| v - total).collect()
    }))
}

pub(crate) fn hardmax(operands: Operands, along_axis: i64) -> Result<Array> {
    let x = operands.get(0)?;
    Ok(along(x, axis(along_axis, x.rank())?, |values| {
        let mut out = vec![0.0; values.len()];
        let best = (0..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best });
        out.iter_mut().skip(best).take(1).for_each(|v| *v = 1.0);
        out
    }))
}

/// Operand `i` as one value per channel of `x [n, c, ...]`.
fn per_channel(operands: Operands, i: usize, x: &Array) -> Result<Vec<f64>> {
    let (array, channels) = (operands.get(i)?, x.shape[1]);
    if array.shape != [channels] {
        let shape = &array.shape;
        return Err(Error::malformed(format!("operand {i} has the shape {shape:?} for {channels} channels")));
    }
    Ok(array.data.clone())
}

/// `f(element, channel)` of every element of `x [n, c, ...]`.
fn map_channels(x: &Array, f: impl Fn(f64, usize) -> f64) -> Array {
    let mut out = x.clone();
    let area: usize = x.shape[2..].iter().product();
    for (i, v) in out.data.iter_mut().enumerate() {
        *v = f(*v, i / area % x.shape[1]);
    }
    out
}

/// `scale (x - mean) / sqrt(var + epsilon) + B`.
pub(crate) fn batch(op: &op::BatchNormalization, operands: Operands) -> Result<Array> {
    let x = operands.with_rank(0, 2)?;
    let [scale, bias, mean, var] = [1, 2, 3, 4].map(|i| per_channel(operands, i, x));
    let (scale, bias, mean, var) = (scale?, bias?, mean?, var?);
    let epsilon = f64::from(op.epsilon);
    Ok(map_channels(x, |v, c| scale[c] * (v - mean[c]) / (var[c] + epsilon).sqrt() + bias[c]))
}

/// `(x - mean) / sqrt(var + epsilon)` within consecutive blocks of the data.
fn standardise_blocks(x: &Array, block: usize, epsilon: f64) -> Array {
    let mut out = x.clone();
    for values in out.data.chunks_mut(block.max(1)) {
        let (mean, variance) = moments(values);
        values.iter_mut().for_each(|v| *v = (*v - mean) / (variance + epsilon).sqrt());
    }
    out
}

/// Mean and population variance.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n)
}

/// Statistics over each group of channels of each row; scale and bias per channel.
pub(crate) fn group(op: &op::GroupNormalization, operands: Operands) -> Result<Array> {
    let x = operands.with_rank(0, 2)?;
    let (scale, bias) = (per_channel(operands, 1, x)?, per_channel(operands, 2, x)?);
    let count = size(op.num_groups, "num_groups")?;
    if count == 0 || !x.shape[1].is_multiple_of(count) {
        return Err(Error::malformed(format!("{} channels don't divide into {count} groups", x.shape[1])));
    }
    let block = x.shape[1] / count * x.shape[2..].iter().product::<usize>();
    let normal = standardise_blocks(x, block, f64::from(op.epsilon));
    Ok(map_channels(&normal, |v, c| scale[c] * v + bias[c]))
}

/// Statistics over the spatial axes of each channel of each row.
pub(crate) fn instance(op: &op::InstanceNormalization, operands: Operands) -> Result<Array> {
    let x = operands.with_rank(0, 2)?;
    let (scale, bias) = (per_channel(operands, 1, x)?, per_channel(operands, 2, x)?);
    let normal = standardise_blocks(x, x.shape[2..].iter().product(), f64::from(op.epsilon));
    Ok(map_channels(&normal, |v, c| scale[c] * v + bias[c]))
}

/// Statistics over axes `axis..`; also mean and inverse standard deviation, as the operator's optional outputs.
pub(crate) fn layer(op: &op::LayerNormalization, operands: Operands) -> Result<Vec<Array>> {
    let x = operands.get(0)?;
    let first = axis(op.axis, x.rank())?;
    let block: usize = x.shape[first..].iter().product();
    let epsilon = f64::from(op.epsilon);
    let normal = standardise_blocks(x, block, epsilon);
    let scale = operands.get(1)?.broadcast_to(&x.shape)?;
    let bias = operands.optional(2).map(|b| b.broadcast_to(&x.shape)).transpose()?;
    let mut out = normal;
    for (i, v) in out.data.iter_mut().enumerate() {
        *v = *v * scale.data[i] + bias.as_ref().map_or(0.0, |b| b.data[i]);
    }
    let mut shape = x.shape.clone();
    shape[first..].fill(1);
    let statistics: Vec<(f64, f64)> = x.data.chunks(block.max(1)).map(moments).collect();
    let mean = statistics.iter().map(|(mean, _)| *mean).collect();
    let deviation = statistics.iter().map(|(_, var)| 1.0 / (var + epsilon).sqrt()).collect();
    if block == 0 {
        return Ok(vec![out]);
    }
    Ok(vec![out, Array::new(x.dtype, shape.clone(), mean)?, Array::new(x.dtype, shape, deviation)?])
}

/// `x / sqrt(mean(x^2) + epsilon) scale` over axes `axis..`.
pub(crate) fn rms(op: &op::RmsNormalization, operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let first = axis(op.axis, x.rank())?;
    let block: usize = x.shape[first..].iter().product();
    let scale = operands.get(1)?.broadcast_to(&x.shape)?;
    let mut out = x.clone();
    for values in out.data.chunks_mut(block.max(1)) {
        let square = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64;
        values.iter_mut().for_each(|v| *v /= (square + f64::from(op.epsilon)).sqrt());
    }
    out.data.iter_mut().zip(&scale.data).for_each(|(v, s)| *v *= s);
    Ok(out)
}

/// Division by the Lp norm; a lane of zeros stays zeros.
pub(crate) fn lp(op: &op::LpNormalization, operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    if !matches!(op.p, 1 | 2) {
        return Err(Error::malformed(format!("`p` is {}, it must be 1 or 2", op.p)));
    }
    Ok(along(x, axis(op.axis, x.rank())?, |values| {
        let norm = lp_norm(values, op.p);
        values.iter().map(|v| if norm == 0.0 { 0.0 } else { v / norm }).collect()
    }))
}

/// `x / (bias + alpha / size * sum of squares of the neighbouring channels)^beta`.
pub(crate) fn local_response(op: &op::Lrn, operands: Operands) -> Result<Array> {
    let x = operands.with_rank(0, 2)?;
    let reach = size(op.size, "size")?;
    if reach == 0 {
        return Err(Error::malformed("`size` is 0"));
    }
    let (before, after) = ((reach - 1) / 2, reach / 2);
    let (alpha, beta, bias) = (f64::from(op.alpha), f64::from(op.beta), f64::from(op.bias));
    Ok(along(x, 1, |values| {
        (0..values.len())
            .map(|c| {
                let last = (c + after).min(values.len() - 1);
                let square: f64 = values[c.saturating_sub(before)..=last].iter().map(|v| v * v).sum();
                values[c] / (bias + alpha / reach as f64 * square).powf(beta)
            })
            .collect()
    }))
}

/// `(x - mean) / (deviation + 1e-9)` over the axes, as the operator's function body says.
pub(crate) fn mean_variance(op: &op::MeanVarianceNormalization, operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let over = axes(&op.axes, x.rank())?;
    let (kept, groups) = groups(x, &over)?;
    let statistics: Vec<(f64, f64)> = groups.iter().map(|g| moments(g)).collect();
    let spread = |f: fn(&(f64, f64)) -> f64| {
        Array::new(x.dtype, kept.clone(), statistics.iter().map(f).collect())?.broadcast_to(&x.shape)
    };
    let (mean, deviation) = (spread(|s| s.0)?, spread(|s| s.1.sqrt())?);
    let data = (0..x.len()).map(|i| (x.data[i] - mean.data[i]) / (deviation.data[i] + 1e-9)).collect();
    Array::new(x.dtype, x.shape.clone(), data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: &[f64], b: &[f64]) {
        assert_eq!(a.len(), b.len());
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9), "{a:?} is not {b:?}");
    }

    #[test]
    fn softmax_of_two_is_a_sigmoid() {
        let x = Array::floats([2, 2], vec![0.0, 3f64.ln(), 1000.0, 1000.0]).unwrap();
        close(&softmax(Operands::new(&[Some(&x)]), -1).unwrap().data, &[0.25, 0.75, 0.5, 0.5]);
        let log = log_softmax(Operands::new(&[Some(&x)]), 1).unwrap();
        close(&log.data, &[0.25f64.ln(), 0.75f64.ln(), 0.5f64.ln(), 0.5f64.ln()]);
        assert_eq!(hardmax(Operands::new(&[Some(&x)]), 1).unwrap().data, [0.0, 1.0, 1.0, 0.0]);
        assert!(softmax(Operands::new(&[Some(&x)]), 2).is_err());
    }

    #[test]
    fn layer_and_rms() {
        let x = Array::floats([1, 2], vec![1.0, 3.0]).unwrap();
        let scale = Array::floats([2], vec![1.0, 10.0]).unwrap();
        let op = op::LayerNormalization { epsilon: 0.0, ..Default::default() };
        let y = layer(&op, Operands::new(&[Some(&x), Some(&scale)])).unwrap();
        close(&y[0].data, &[-1.0, 10.0]);
        close(&y[1].data, &[2.0]);
        let op = op::RmsNormalization { epsilon: 0.0, ..Default::default() };
        let y = rms(&op, Operands::new(&[Some(&x), Some(&scale)])).unwrap();
        close(&y.data, &[1.0 / 5f64.sqrt(), 30.0 / 5f64.sqrt()]);
    }

    #[test]
    fn channels() {
        let x = Array::floats([1, 2, 2], vec![1.0, 3.0, 5.0, 5.0]).unwrap();
        let vector = |a: f64, b: f64| Array::floats([2], vec![a, b]).unwrap();
        let (one, zero, mean, var) = (vector(1.0, 2.0), vector(0.0, 1.0), vector(1.0, 4.0), vector(4.0, 1.0));
        let list = [Some(&x), Some(&one), Some(&zero), Some(&mean), Some(&var)];
        let op = op::BatchNormalization { epsilon: 0.0 };
        close(&batch(&op, Operands::new(&list)).unwrap().data, &[0.0, 1.0, 3.0, 3.0]);
        let op = op::InstanceNormalization { epsilon: 1e-5 };
        let y = instance(&op, Operands::new(&list)).unwrap().data;
        assert!((y[1] - 1.0).abs() < 1e-4 && y[2] == 1.0);
        let op = op::GroupNormalization { epsilon: 0.0, num_groups: 1 };
        let y = group(&op, Operands::new(&list)).unwrap().data;
        let deviation = (11f64 / 4.0).sqrt();
        close(&y, &[-2.5 / deviation, -0.5 / deviation, 3.0 / deviation + 1.0, 3.0 / deviation + 1.0]);
        let op = op::GroupNormalization { epsilon: 0.0, num_groups: 3 };
        assert!(group(&op, Operands::new(&list)).is_err());
    }
}
