//! Derivatives of convolutions whose weights or bias depend on the explained input.

use exegesis_graph::op::{self, AutoPad};
use exegesis_graph::{Dim, Error, Node, Op, ValueId};

use crate::Result;
use crate::linear::{Coefficients, Geometry, LinearMap, Window, geometry};
use crate::rule::{Context, Outcome};

/// Convolution `y = x * w + b` with respect to every operand that varies:
/// `x`: the adjoint of the convolution, as for constant weights;
/// `w`: `dL/dw[m, c, k] = sum_{n, o} g[n, m, o] x[n, c, o stride + k dilation - pad]`, which is a convolution of the input
/// with `g` as kernel, channels and batch exchanged, stride and dilation exchanged (Goodfellow, Bengio and Courville, Deep
/// Learning, section 9.5); of a transposed convolution the same with `x` and `g` exchanged;
/// `b`: the sum of `g` over batch and space.
///
/// # Errors
/// The sizes are not known well enough.
pub fn backward(cx: &mut Context<'_, '_>, node: &Node, g: ValueId) -> Result<Outcome> {
    let (Some(x), Some(w)) = (node.input(0), node.input(1)) else {
        return Err(Error::malformed("a convolution lacks an operand").into());
    };
    let mut signals = vec![None; node.inputs.len()];
    for i in cx.carrier_operands(node) {
        signals[i] = Some(match (i, &node.op) {
            (0, _) => match LinearMap::in_operand(cx, node, 0)? {
                Some(map) => map.adjoint(cx, g, Coefficients::Signed)?,
                None => return Ok(Outcome::NoRule("it is not linear in its input".into())),
            },
            (1, Op::Conv(conv)) => {
                let window = Window {
                    auto_pad: conv.auto_pad,
                    kernel: kernel_of(cx, w)?,
                    strides: &conv.strides,
                    dilations: &conv.dilations,
                    pads: &conv.pads,
                };
                let geo = geometry(cx, &window, x)?;
                of_kernel(cx, x, g, w, &geo, conv.group.max(1))?
            }
            (1, Op::ConvTranspose(conv)) => {
                let geo = transposed_geometry(cx, conv, x, g, w)?;
                of_kernel(cx, g, x, w, &geo, conv.group.max(1))?
            }
            _ => {
                let axes: Vec<usize> = (0..cx.b.rank(g)?).filter(|a| *a != 1).collect();
                cx.b.reduce_sum(g, &axes, false)?
            }
        });
    }
    Ok(Outcome::Signals(signals))
}

/// Spatial sizes of a weight tensor `[m, c, k...]`.
fn kernel_of(cx: &Context<'_, '_>, w: ValueId) -> Result<Vec<usize>> {
    let sizes: Option<Vec<usize>> = cx.b.shape(w)?.iter().skip(2).map(Dim::fixed).collect();
    Ok(sizes.ok_or_else(|| Error::unsupported("the kernel size is not known"))?)
}

/// Windows over the output of a transposed convolution that its input cells are spread to.
fn transposed_geometry(
    cx: &Context<'_, '_>,
    conv: &op::ConvTranspose,
    x: ValueId,
    g: ValueId,
    w: ValueId,
) -> Result<Geometry> {
    let explicit = conv.auto_pad == AutoPad::NotSet && conv.output_shape.is_empty();
    let window = Window {
        auto_pad: AutoPad::NotSet,
        kernel: kernel_of(cx, w)?,
        strides: &conv.strides,
        dilations: &conv.dilations,
        pads: if explicit { &conv.pads } else { &[] },
    };
    let mut geo = geometry(cx, &window, g)?;
    let (x_shape, g_shape) = (cx.b.shape(x)?, cx.b.shape(g)?);
    for i in 0..geo.kernel.len() {
        let extra = conv.output_padding.get(i).copied().unwrap_or(0);
        if explicit {
            // Output padding are cells behind the last window.
            geo.ends[i] = (geo.ends[i] - extra).max(0);
            continue;
        }
        let (Some(size), Some(out)) = (x_shape[2 + i].fixed(), g_shape[2 + i].fixed()) else {
            return Err(Error::unsupported(
                "an automatic output shape over an axis of unknown size; fix the input's dimensions",
            )
            .into());
        };
        let reach = (size as i64 - 1) * geo.strides[i] as i64 + geo.extent(i);
        let cut = (reach + extra - out as i64).max(0);
        geo.begins[i] = match conv.auto_pad {
            AutoPad::Valid => 0,
            AutoPad::SameUpper => cut / 2,
            AutoPad::SameLower | AutoPad::NotSet => cut - cut / 2,
        };
        geo.ends[i] = (reach - geo.begins[i] - out as i64).max(0);
    }
    Ok(geo)
}

/// The signal on the weights `w [m, c/group, k...]` of a convolution that reads `input [n, c, d...]` and whose output
/// `[n, m, o...]` has the signal `outgoing`.
fn of_kernel(
    cx: &mut Context<'_, '_>,
    input: ValueId,
    outgoing: ValueId,
    w: ValueId,
    geo: &Geometry,
    group: i64,
) -> Result<ValueId> {
    let spatial = geo.kernel.len();
    let mut swap: Vec<usize> = (0..spatial + 2).collect();
    swap.swap(0, 1);
    let images = channels_as_batch(cx, input, group, &swap)?;
    let kernel = cx.b.transpose(outgoing, &swap)?;
    let back = op::Conv {
        group,
        dilations: geo.strides_attribute(),
        strides: geo.dilations_attribute(),
        pads: geo.pads(),
        ..op::Conv::default()
    };
    let mut sum = cx.b.op(back, &[images, kernel])?;
    for i in 0..spatial {
        // Cells behind the last window look like further cells of the kernel.
        if geo.strides[i] > 1 {
            sum = cx.b.slice(sum, 2 + i, 0, geo.kernel[i] as i64, 1)?;
        }
    }
    let out = cx.b.transpose(sum, &swap)?;
    cx.b.assume_shape(out, w);
    Ok(out)
}

/// `v [n, c, d...]` as `[c / group, group n, d...]`: the rows become the channels that a convolution sums over.
fn channels_as_batch(cx: &mut Context<'_, '_>, v: ValueId, group: i64, swap: &[usize]) -> Result<ValueId> {
    let swapped = cx.b.transpose(v, swap)?;
    if group == 1 {
        return Ok(swapped);
    }
    let channels =
        cx.b.shape(v)?[1].fixed().ok_or_else(|| Error::unsupported("the number of channels is not known"))?;
    // [c, n, d...] -> [group, c / group, n, d...] -> [c / group, group, n, d...] -> [c / group, group n, d...].
    let each = channels as i64 / group;
    let rest = cx.b.op(op::Shape { start: 1, end: None }, &[swapped])?;
    let lead = cx.b.ints(&[group, each]);
    let apart = cx.b.concat(&[lead, rest], 0)?;
    let apart = cx.b.reshape(swapped, apart)?;
    let mut order: Vec<usize> = (0..swap.len() + 1).collect();
    order.swap(0, 1);
    let moved = cx.b.transpose(apart, &order)?;
    let lead = cx.b.ints(&[each, -1]);
    let spatial = cx.b.op(op::Shape { start: 2, end: None }, &[v])?;
    let together = cx.b.concat(&[lead, spatial], 0)?;
    Ok(cx.b.reshape(moved, together)?)
}
