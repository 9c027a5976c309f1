//! Convolutions of any rank.

use exegesis_graph::op::{self, AutoPad};
use exegesis_graph::{Error, Result};

use crate::array::{Array, count, for_each_index, offset, size, strides};
use crate::operands::Operands;
use crate::window::{Placement, per_axis, taps};

/// Data, weight and group count, of one rank and with the declared kernel.
fn checked<'a>(operands: Operands<'a>, group: i64, kernel: &[i64]) -> Result<(&'a Array, &'a Array, usize)> {
    let (x, w) = (operands.with_rank(0, 2)?, operands.with_rank(1, 2)?);
    let group = size(group, "group")?;
    let given: Vec<i64> = w.shape[2..].iter().map(|d| *d as i64).collect();
    if x.rank() != w.rank()
        || group == 0
        || group > x.shape[1].max(1)
        || (!kernel.is_empty() && kernel != given)
    {
        return Err(Error::malformed(format!(
            "the weight {:?} does not fit the input {:?} with `group` {group} and `kernel_shape` {kernel:?}",
            w.shape, x.shape
        )));
    }
    Ok((x, w, group))
}

/// The bias, one per output channel, zeros if omitted.
fn bias(operands: Operands, channels: usize) -> Result<Vec<f64>> {
    match operands.optional(2) {
        None => Ok(vec![0.0; channels]),
        Some(b) if b.shape == [channels] => Ok(b.data.clone()),
        Some(b) => Err(Error::malformed(format!("the bias {:?} does not fit {channels} channels", b.shape))),
    }
}

/// `Y[n, m, o] = B[m] + sum over c, k of X[n, c, o stride + k dilation - pad] W[m, c, k]`, channels within the group.
pub(crate) fn conv(op: &op::Conv, operands: Operands) -> Result<Array> {
    let (x, w, group) = checked(operands, op.group, &op.kernel_shape)?;
    let (batch, channels, filters) = (x.shape[0], x.shape[1], w.shape[0]);
    if channels != w.shape[1] * group || !filters.is_multiple_of(group) {
        return Err(Error::malformed(format!(
            "the weight {:?} does not fit {channels} channels in {group} groups",
            w.shape
        )));
    }
    let placement = Placement {
        auto_pad: op.auto_pad,
        ceil_mode: false,
        dilations: &op.dilations,
        pads: &op.pads,
        strides: &op.strides,
    };
    let axes = placement.windows(&x.shape[2..], &w.shape[2..])?;
    let bias = bias(operands, filters)?;
    let mut shape = vec![batch, filters];
    shape.extend(axes.iter().map(|a| a.output));
    let mut out = Array::filled(x.dtype, shape, 0.0)?;
    let windows = taps(&axes)?;
    let (area, cells): (usize, usize) = (x.shape[2..].iter().product(), w.shape[2..].iter().product());
    // For every kernel cell, the pairs of input and output position that it connects. Walking cell by cell keeps the
    // innermost loop long, so that networks for images take seconds.
    let mut pairs = vec![vec![]; cells];
    for (o, window) in windows.iter().enumerate() {
        window.iter().for_each(|tap| pairs[tap.kernel].push((tap.input, o)));
    }
    let per_group = channels / group;
    for n in 0..batch {
        for (m, b) in bias.iter().enumerate() {
            let first_channel = m / (filters / group) * per_group;
            let target = &mut out.data[(n * filters + m) * windows.len()..][..windows.len()];
            target.fill(*b);
            for c in 0..per_group {
                let input = &x.data[(n * channels + first_channel + c) * area..][..area];
                let kernel = &w.data[(m * per_group + c) * cells..][..cells];
                for (weight, pairs) in kernel.iter().zip(&pairs) {
                    pairs.iter().for_each(|(i, o)| target[*o] += weight * input[*i]);
                }
            }
        }
    }
    Ok(out)
}

/// Output size and first padding of one axis of a transposed convolution.
struct TransposedAxis {
    output: usize,
    pad_begin: usize,
    stride: usize,
    dilation: usize,
}

fn transposed_axes(op: &op::ConvTranspose, input: &[usize], kernel: &[usize]) -> Result<Vec<TransposedAxis>> {
    let rank = input.len();
    let stride = per_axis(&op.strides, rank, 1, 1, "strides")?;
    let dilation = per_axis(&op.dilations, rank, 1, 1, "dilations")?;
    let extra = per_axis(&op.output_padding, rank, 0, 0, "output_padding")?;
    let pads = per_axis(&op.pads, 2 * rank, 0, 0, "pads")?;
    let wanted = match &op.output_shape[..] {
        // Some exporters write batch and channels too.
        list if list.len() == rank + 2 => per_axis(&list[2..], rank, 0, 1, "output_shape")?,
        list => per_axis(list, rank, 0, 1, "output_shape")?,
    };
    (0..rank)
        .map(|i| {
            let error = || Error::malformed(format!("spatial axis {i} has no output"));
            let steps = input[i].checked_sub(1).ok_or_else(error)?;
            let reach = kernel[i].checked_sub(1).ok_or_else(error)? * dilation[i] + 1;
            let full = stride[i] * steps + reach + extra[i];
            let same = matches!(op.auto_pad, AutoPad::SameUpper | AutoPad::SameLower);
            let target = match wanted[i] {
                0 if same => Some(input[i] * stride[i]),
                0 => None,
                n => Some(n),
            };
            let (output, pad_begin) = match target {
                // The reference splits the total padding so; an output beyond the reach of any input is bias only.
                Some(output) => {
                    let total = full.saturating_sub(output);
                    let small = total / 2;
                    (output, if op.auto_pad == AutoPad::SameUpper { small } else { total - small })
                }
                None if op.auto_pad == AutoPad::Valid => (full, 0),
                None => (full.checked_sub(pads[i] + pads[rank + i]).ok_or_else(error)?, pads[i]),
            };
            Ok(TransposedAxis { output, pad_begin, stride: stride[i], dilation: dilation[i] })
        })
        .collect()
}

/// The transpose of [`conv`] as a linear map: input cell `i` adds `X W[k]` to output cell `i stride + k dilation - pad`.
pub(crate) fn conv_transpose(op: &op::ConvTranspose, operands: Operands) -> Result<Array> {
    let (x, w, group) = checked(operands, op.group, &op.kernel_shape)?;
    let (batch, channels) = (x.shape[0], x.shape[1]);
    if channels != w.shape[0] || !channels.is_multiple_of(group) {
        return Err(Error::malformed(format!(
            "the weight {:?} does not fit {channels} channels in {group} groups",
            w.shape
        )));
    }
    let per_group = w.shape[1];
    let filters = per_group * group;
    let axes = transposed_axes(op, &x.shape[2..], &w.shape[2..])?;
    let bias = bias(operands, filters)?;
    let output: Vec<usize> = axes.iter().map(|a| a.output).collect();
    let output_strides = strides(&output);
    let out_area = count(&output)?;
    let (area, cells): (usize, usize) = (x.shape[2..].iter().product(), w.shape[2..].iter().product());
    // Triples of input position, kernel position and the output position they meet at.
    let mut meetings = vec![];
    let mut position = 0;
    for_each_index(&x.shape[2..], |input| {
        let mut cell = 0;
        for_each_index(&w.shape[2..], |kernel| {
            let place = |(a, (i, k)): (&TransposedAxis, (&usize, &usize))| {
                (i * a.stride + k * a.dilation).checked_sub(a.pad_begin).filter(|o| *o < a.output)
            };
            let place: Option<Vec<usize>> = axes.iter().zip(input.iter().zip(kernel)).map(place).collect();
            if let Some(place) = place {
                meetings.push((position, cell, offset(&place, &output_strides)));
            }
            cell += 1;
        });
        position += 1;
    });
    let mut shape = vec![batch, filters];
    shape.extend(output);
    let mut out = Array::filled(x.dtype, shape, 0.0)?;
    for n in 0..batch {
        for (m, b) in bias.iter().enumerate() {
            let target = &mut out.data[(n * filters + m) * out_area..][..out_area];
            target.fill(*b);
            let first = m / per_group * (channels / group);
            for c in first..first + channels / group {
                let input = &x.data[(n * channels + c) * area..][..area];
                let kernel = &w.data[(c * per_group + m % per_group) * cells..][..cells];
                for (i, k, o) in &meetings {
                    target[*o] += input[*i] * kernel[*k];
                }
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[usize], data: &[f64]) -> Array {
        Array::floats(shape, data.to_vec()).unwrap()
    }

    #[test]
    fn a_line_is_correlated_with_the_kernel() {
        let x = array(&[1, 1, 4], &[1.0, 2.0, 3.0, 4.0]);
        let w = array(&[1, 1, 2], &[1.0, 10.0]);
        let b = array(&[1], &[100.0]);
        let run = |op: op::Conv| conv(&op, Operands::new(&[Some(&x), Some(&w), Some(&b)])).unwrap().data;
        assert_eq!(run(op::Conv::default()), [121.0, 132.0, 143.0]);
        let padded = op::Conv { pads: vec![1, 0], strides: vec![2], ..Default::default() };
        assert_eq!(run(padded), [110.0, 132.0]);
        let dilated = op::Conv { dilations: vec![3], ..Default::default() };
        assert_eq!(run(dilated), [141.0]);
    }

    #[test]
    fn groups_see_their_own_channels() {
        let x = array(&[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let w = array(&[2, 1, 1], &[1.0, 10.0]);
        let op = op::Conv { group: 2, ..Default::default() };
        let y = conv(&op, Operands::new(&[Some(&x), Some(&w)])).unwrap();
        assert_eq!(y.data, [1.0, 2.0, 30.0, 40.0]);
        let op = op::ConvTranspose { group: 2, ..Default::default() };
        let y = conv_transpose(&op, Operands::new(&[Some(&x), Some(&w)])).unwrap();
        assert_eq!(y.data, [1.0, 2.0, 30.0, 40.0]);
    }

    #[test]
    fn transposed_is_the_adjoint() {
        // <conv(x), y> = <x, conv_transpose(y)> for any numbers.
        let number = |i: usize| ((i * 37 + 11) % 19) as f64 - 9.0;
        let random =
            |shape: &[usize]| array(shape, &(0..shape.iter().product()).map(number).collect::<Vec<_>>());
        let (x, w) = (random(&[2, 4, 5, 6]), random(&[6, 2, 3, 2]));
        let (strides, dilations, pads) = (vec![2, 1], vec![1, 2], vec![1, 1, 1, 0]);
        let forward = op::Conv {
            group: 2,
            strides: strides.clone(),
            dilations: dilations.clone(),
            pads: pads.clone(),
            ..Default::default()
        };
        let y = conv(&forward, Operands::new(&[Some(&x), Some(&w)])).unwrap();
        let back = op::ConvTranspose { group: 2, strides, dilations, pads, ..Default::default() };
        let probe = random(&y.shape);
        let z = conv_transpose(&back, Operands::new(&[Some(&probe), Some(&w)])).unwrap();
        assert_eq!(z.shape, x.shape);
        let dot = |a: &Array, b: &Array| a.data.iter().zip(&b.data).map(|(a, b)| a * b).sum::<f64>();
        assert_eq!(dot(&y, &probe), dot(&x, &z));
    }

    #[test]
    fn wrong_shapes_are_errors() {
        let (x, w) = (array(&[1, 2, 3], &[0.0; 6]), array(&[1, 1, 2], &[0.0; 2]));
        assert!(conv(&op::Conv::default(), Operands::new(&[Some(&x), Some(&w)])).is_err());
        let op = op::Conv { group: 0, ..Default::default() };
        assert!(conv(&op, Operands::new(&[Some(&x), Some(&w)])).is_err());
        assert!(conv_transpose(&op::ConvTranspose::default(), Operands::new(&[Some(&x), Some(&w)])).is_err());
    }
}
