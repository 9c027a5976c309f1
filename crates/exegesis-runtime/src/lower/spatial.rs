//! Convolutions over three spatial axes by those over two.

use exegesis_graph::op::{Conv, ConvTranspose};
use exegesis_graph::{Builder, Error, Node, Result, Tensor, ValueId};

use super::normalization::fixed;
use super::{operand, windows};

/// A convolution of `X [n, c, d, h, w]`: each output plane convolves `kernel depth` input planes, stacked as channels.
pub(super) fn convolution(b: &mut Builder, node: &Node, a: &Conv) -> Result<ValueId> {
    let (x, weights) = (operand(node, 0)?, operand(node, 1)?);
    let Plan { kernel, strides, dilations, pads } =
        Plan::new(&a.kernel_shape, &a.strides, &a.dilations, &a.pads)?;
    let planes = b.transpose(x, &[0, 2, 1, 3, 4])?;
    let planes = b.pad(planes, &[0, pads[0], 0, 0, 0, 0, pads[3], 0, 0, 0], 0.0)?;
    let mut stack = vec![];
    for k in 0..kernel[0] {
        let behind = (kernel[0] - 1 - k) * dilations[0];
        let end = if behind == 0 { i64::MAX } else { -behind };
        let slice = b.slice(planes, 1, k * dilations[0], end, strides[0])?;
        stack.push(b.unsqueeze(slice, &[3])?);
    }
    let stacked = b.concat(&stack, 3)?;
    let depth = b.dim_of(stacked, 1)?;
    let images = merge_planes(b, stacked)?;
    let flat = merge_depth(b, weights)?;
    let flat_conv = Conv {
        kernel_shape: kernel[1..].to_vec(),
        strides: strides[1..].to_vec(),
        dilations: dilations[1..].to_vec(),
        pads: vec![pads[1], pads[2], pads[4], pads[5]],
        group: a.group,
        ..Conv::default()
    };
    let y = b.op_with(flat_conv, vec![Some(images), Some(flat), node.input(2)], 1)?;
    let y = y.first().copied().ok_or_else(|| Error::malformed("Conv has one result"))?;
    let (batch, rest) = (b.dim_of(x, 0)?, windows::dims(b, y, &[1, 2, 3])?);
    let shape = b.concat(&[batch, depth, rest], 0)?;
    let y = b.reshape(y, shape)?;
    b.transpose(y, &[0, 2, 1, 3, 4])
}

/// Most elements of the matrix that puts the planes of a transposed convolution in their places.
const MAX_SCATTER: i64 = 1 << 26;

/// A transposed convolution of `X [n, c, d, h, w]`: each input plane gives `kernel depth` output planes, which are added
/// where they fall by a product with a constant matrix of zeros and ones.
pub(super) fn transposed(b: &mut Builder, node: &Node, a: &ConvTranspose) -> Result<ValueId> {
    let (x, weights) = (operand(node, 0)?, operand(node, 1)?);
    let Plan { kernel, strides, dilations, pads } =
        Plan::new(&a.kernel_shape, &a.strides, &a.dilations, &a.pads)?;
    let depth = fixed(b.shape(x)?.get(2))?;
    let extra = a.output_padding.first().copied().unwrap_or_default();
    let reach = (kernel[0] - 1) * dilations[0] + 1;
    let (rows, columns) = (depth - 1)
        .checked_mul(strides[0])
        .and_then(|n| n.checked_add(extra)?.checked_add(reach)?.checked_sub(pads[0])?.checked_sub(pads[3]))
        .zip(depth.checked_mul(kernel[0]))
        .filter(|(rows, columns)| rows.checked_mul(*columns).is_some_and(|n| n <= MAX_SCATTER))
        .ok_or_else(|| {
            Error::too_large(format!(
                "a transposed convolution over {depth} planes is too deep for the runtime"
            ))
        })?;
    let size =
        |n: i64| usize::try_from(n).map_err(|_| Error::malformed("the result would have a negative size"));
    let mut scatter = vec![0.0; size(rows)? * size(columns)?];
    for plane in 0..depth {
        for k in 0..kernel[0] {
            let row = plane * strides[0] + k * dilations[0] - pads[0];
            let cell = usize::try_from(row * columns + plane * kernel[0] + k)
                .ok()
                .filter(|_| row < rows && row >= 0);
            if let Some(cell) = cell.and_then(|i| scatter.get_mut(i)) {
                *cell = 1.0;
            }
        }
    }
    let scatter = Tensor::from_f64(b.dtype(x), vec![size(rows)?, size(columns)?], scatter)?;
    let scatter = b.constant(scatter);
    let planes = b.transpose(x, &[0, 2, 1, 3, 4])?;
    let (rest, image) = (b.ints(&[-1]), windows::dims(b, planes, &[2, 3, 4])?);
    let shape = b.concat(&[rest, image], 0)?;
    let images = b.reshape(planes, shape)?;
    let flat = merge_depth(b, weights)?;
    let flat_conv = ConvTranspose {
        kernel_shape: kernel[1..].to_vec(),
        strides: strides[1..].to_vec(),
        dilations: dilations[1..].to_vec(),
        pads: vec![pads[1], pads[2], pads[4], pads[5]],
        output_padding: a.output_padding.get(1..).unwrap_or_default().to_vec(),
        group: a.group,
        ..ConvTranspose::default()
    };
    let y = b.op(flat_conv, &[images, flat])?;
    let (batch, depths, size) =
        (b.dim_of(x, 0)?, b.ints(&[depth, -1, kernel[0]]), windows::dims(b, y, &[2, 3])?);
    let shape = b.concat(&[batch, depths, size], 0)?;
    let y6 = b.reshape(y, shape)?;
    let y6 = b.transpose(y6, &[0, 2, 1, 3, 4, 5])?;
    let (lead, merged) = (windows::dims(b, y6, &[0, 1])?, b.ints(&[columns, -1]));
    let shape = b.concat(&[lead, merged], 0)?;
    let columns = b.reshape(y6, shape)?;
    let added = b.matmul(scatter, columns)?;
    let rows = b.ints(&[rows]);
    let shape = b.concat(&[lead, rows, size], 0)?;
    let y = b.reshape(added, shape)?;
    match node.input(2) {
        None => Ok(y),
        Some(bias) => {
            let bias = b.unsqueeze(bias, &[0, 2, 3, 4])?;
            b.add(y, bias)
        }
    }
}

/// Attributes over three axes, of the right lengths.
struct Plan {
    kernel: [i64; 3],
    strides: [i64; 3],
    dilations: [i64; 3],
    pads: [i64; 6],
}

impl Plan {
    fn new(kernel: &[i64], strides: &[i64], dilations: &[i64], pads: &[i64]) -> Result<Self> {
        let three = |list: &[i64], name: &str| {
            <[i64; 3]>::try_from(list)
                .map_err(|_| Error::unsupported(format!("`{name}` must be known for three axes")))
        };
        let pads = <[i64; 6]>::try_from(pads)
            .map_err(|_| Error::unsupported("its pads can't be known before the run"))?;
        Ok(Self {
            kernel: three(kernel, "kernel_shape")?,
            strides: three(strides, "strides")?,
            dilations: three(dilations, "dilations")?,
            pads,
        })
    }
}

/// `[n, d, c, k, h, w]` as images `[n d, c k, h, w]`.
fn merge_planes(b: &mut Builder, x: ValueId) -> Result<ValueId> {
    let (rest, channels) = (b.ints(&[-1]), windows::dim_product(b, x, &[2, 3])?);
    let size = windows::dims(b, x, &[4, 5])?;
    let shape = b.concat(&[rest, channels, size], 0)?;
    b.reshape(x, shape)
}

/// Weights `[a, b, k, h, w]` as `[a, b k, h, w]`.
fn merge_depth(b: &mut Builder, weights: ValueId) -> Result<ValueId> {
    let (first, rest, size) = (b.dim_of(weights, 0)?, b.ints(&[-1]), windows::dims(b, weights, &[3, 4])?);
    let shape = b.concat(&[first, rest, size], 0)?;
    b.reshape(weights, shape)
}
