//! Adjoints of convolutions: as a convolution with the flipped kernel where the stride is 1, as one per phase where it is
//! not, and else as a transposed convolution brought to the size of the input.

use exegesis_graph::op::{self, AutoPad};
use exegesis_graph::{Dim, Error, Node, Op, ValueId};

use super::{Term, phases};
use crate::Result;
use crate::rule::Context;

/// Window parameters of a convolution or pool, one entry per spatial axis, padding made explicit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Window size.
    pub kernel: Vec<usize>,
    /// Distance of windows.
    pub strides: Vec<usize>,
    /// Distance of cells within a window.
    pub dilations: Vec<usize>,
    /// Cells added before the first.
    pub begins: Vec<i64>,
    /// Cells added after the last.
    pub ends: Vec<i64>,
}

impl Geometry {
    /// `pads` attribute: begins, then ends.
    pub fn pads(&self) -> Vec<i64> {
        self.begins.iter().chain(&self.ends).copied().collect()
    }

    /// Extent of a window along a spatial axis.
    pub fn extent(&self, axis: usize) -> i64 {
        (self.dilations[axis] * (self.kernel[axis] - 1) + 1) as i64
    }

    /// Strides as attribute.
    pub fn strides_attribute(&self) -> Vec<i64> {
        self.strides.iter().map(|s| *s as i64).collect()
    }

    /// Dilations as attribute.
    pub fn dilations_attribute(&self) -> Vec<i64> {
        self.dilations.iter().map(|s| *s as i64).collect()
    }
}

/// Attributes that convolutions and pools share.
pub struct Window<'a> {
    /// `auto_pad`.
    pub auto_pad: AutoPad,
    /// `kernel_shape`, or the spatial dimensions of the weights.
    pub kernel: Vec<usize>,
    /// `strides`.
    pub strides: &'a [i64],
    /// `dilations`.
    pub dilations: &'a [i64],
    /// `pads`.
    pub pads: &'a [i64],
}

/// Explicit geometry of windows over the input `x`.
///
/// # Errors
/// `SAME` padding over an axis of unknown size with a stride, or attributes of the wrong length.
pub fn geometry(cx: &Context<'_, '_>, window: &Window<'_>, x: ValueId) -> Result<Geometry> {
    let n = window.kernel.len();
    let positive = |values: &[i64]| -> Result<Vec<usize>> {
        let values = if values.is_empty() { vec![1; n] } else { values.to_vec() };
        let ok = values.len() == n && values.iter().all(|v| *v > 0);
        ok.then(|| values.iter().map(|v| *v as usize).collect()).ok_or_else(|| {
            Error::malformed(format!("strides or dilations {values:?} do not fit {n} spatial axes")).into()
        })
    };
    let strides = positive(window.strides)?;
    let dilations = positive(window.dilations)?;
    let shape = cx.b.shape(x)?;
    if shape.len() != n + 2 || window.kernel.contains(&0) {
        return Err(Error::malformed(format!(
            "a window of {n} axes does not fit an input of rank {}",
            shape.len()
        ))
        .into());
    }
    let (mut begins, mut ends) = (vec![0i64; n], vec![0i64; n]);
    match window.auto_pad {
        AutoPad::NotSet => {
            if !window.pads.is_empty() {
                if window.pads.len() != 2 * n {
                    return Err(Error::malformed("pads must have two entries per spatial axis").into());
                }
                begins.copy_from_slice(&window.pads[..n]);
                ends.copy_from_slice(&window.pads[n..]);
            }
        }
        AutoPad::Valid => {}
        AutoPad::SameUpper | AutoPad::SameLower => {
            for i in 0..n {
                let extent = (dilations[i] * (window.kernel[i] - 1) + 1) as i64;
                let total = match &shape[2 + i] {
                    _ if strides[i] == 1 => extent - 1,
                    Dim::Fixed(size) => {
                        let (size, stride) = (*size as i64, strides[i] as i64);
                        let out = (size + stride - 1) / stride;
                        ((out - 1) * stride + extent - size).max(0)
                    }
                    Dim::Symbol(_) => {
                        return Err(Error::unsupported(
                            "SAME padding with a stride over an axis of unknown size; fix the input's dimensions",
                        )
                        .into());
                    }
                };
                let small = total / 2;
                let upper = window.auto_pad == AutoPad::SameUpper;
                begins[i] = if upper { small } else { total - small };
                ends[i] = total - begins[i];
            }
        }
    }
    Ok(Geometry { kernel: window.kernel.clone(), strides, dilations, begins, ends })
}

/// Spatial sizes of a weight tensor `[m, c, k...]`.
fn kernel_of(cx: &Context<'_, '_>, w: ValueId) -> Result<Vec<usize>> {
    let shape = cx.b.static_shape(w).filter(|s| s.len() >= 3);
    Ok(shape.map(|s| s[2..].to_vec()).ok_or_else(|| Error::unsupported("the kernel size is not known"))?)
}

/// The sum of `W^T g` over the terms, for a convolution with weights `w`, of the shape of `x`.
///
/// # Errors
/// The graph can't be treated.
pub fn adjoint_of_conv(
    cx: &mut Context<'_, '_>,
    node: &Node,
    terms: &[Term],
    w: ValueId,
    x: ValueId,
) -> Result<ValueId> {
    let Op::Conv(conv) = &node.op else { unreachable!("called for convolutions") };
    let window = Window {
        auto_pad: conv.auto_pad,
        kernel: kernel_of(cx, w)?,
        strides: &conv.strides,
        dilations: &conv.dilations,
        pads: &conv.pads,
    };
    let geo = geometry(cx, &window, x)?;
    let n = geo.kernel.len();
    let fits =
        (0..n).all(|i| geo.strides[i] == 1 && geo.begins[i] < geo.extent(i) && geo.ends[i] < geo.extent(i));
    let constant = cx.b.graph().constant(w).cloned();
    if let (true, Some(tensor)) = (fits, constant.as_deref()) {
        let taps: Vec<Vec<usize>> = geo.kernel.iter().map(|k| (0..*k).rev().collect()).collect();
        let flipped = phases::part_of_kernel(cx, tensor, conv.group.max(1) as usize, &taps)?;
        let back = |i: usize, pad: i64| geo.extent(i) - 1 - pad;
        let begins = (0..n).map(|i| back(i, geo.begins[i]));
        let ends = (0..n).map(|i| back(i, geo.ends[i]));
        let reversed = op::Conv {
            group: conv.group,
            dilations: geo.dilations_attribute(),
            kernel_shape: geo.kernel.iter().map(|k| *k as i64).collect(),
            pads: begins.chain(ends).collect(),
            strides: vec![1; n],
            ..op::Conv::default()
        };
        let out = Term::sum(cx, terms, &mut |cx, term| {
            let flipped = term.form.of(cx.b, flipped)?;
            Ok(cx.b.op(reversed.clone(), &[term.g, flipped])?)
        })?;
        cx.b.assume_shape(out, x);
        return Ok(out);
    }
    if let Some(tensor) = constant.as_deref().filter(|_| geo.strides.iter().any(|s| *s > 1)) {
        let group = conv.group.max(1) as usize;
        if let Some(out) = phases::adjoint_of_strided(cx, terms, tensor, x, &geo, group)? {
            return Ok(out);
        }
    }
    Term::sum(cx, terms, &mut |cx, term| {
        let w = term.form.of(cx.b, w)?;
        adjoint_of_windows(cx, term.g, w, x, &geo, conv.group)
    })
}

/// Transposed convolution of `g` with `w [c_g, c_x / group, k...]`, cropped to the spatial size of `x`.
///
/// # Errors
/// The graph can't be treated.
pub fn adjoint_of_windows(
    cx: &mut Context<'_, '_>,
    g: ValueId,
    w: ValueId,
    x: ValueId,
    geo: &Geometry,
    group: i64,
) -> Result<ValueId> {
    let n = geo.kernel.len();
    let (x_shape, g_shape) = (cx.b.shape(x)?.clone(), cx.b.shape(g)?.clone());
    // Cells of the padded input behind the last window get nothing: they are added as output padding.
    let rest: Vec<Option<i64>> = (0..n)
        .map(|i| {
            let (size, out) = (x_shape[2 + i].fixed()? as i64, g_shape[2 + i].fixed()? as i64);
            let covered = (out - 1) * geo.strides[i] as i64 + geo.extent(i) - geo.begins[i] - geo.ends[i];
            Some(size - covered)
        })
        .collect();
    let limit = |i: usize| geo.strides[i].max(geo.dilations[i]) as i64;
    let exact = rest.iter().enumerate().all(|(i, r)| r.is_some_and(|r| 0 <= r && (r == 0 || r < limit(i))));
    let output_padding: Vec<i64> = (0..n)
        .map(|i| match rest[i] {
            Some(r) if exact => r,
            _ => geo.strides[i] as i64 - 1,
        })
        .collect();
    let transposed = op::ConvTranspose {
        group,
        dilations: geo.dilations_attribute(),
        kernel_shape: geo.kernel.iter().map(|k| *k as i64).collect(),
        pads: geo.pads(),
        strides: geo.strides_attribute(),
        output_padding: if output_padding.iter().all(|p| *p == 0) { vec![] } else { output_padding },
        ..op::ConvTranspose::default()
    };
    let mut out = cx.b.op(transposed, &[g, w])?;
    if !exact {
        // Sizes are only known when it runs: the result is at least as long as the input; cut it.
        for i in 0..n {
            let start = cx.b.ints(&[0]);
            let end = cx.b.dim_of(x, 2 + i)?;
            let axis = cx.b.ints(&[2 + i as i64]);
            out = cx.b.op(op::Slice {}, &[out, start, end, axis])?;
        }
    }
    Ok(out)
}

/// `W^T g` for a transposed convolution: a convolution with the same weights.
///
/// # Errors
/// The graph can't be treated.
pub fn adjoint_of_conv_transpose(
    cx: &mut Context<'_, '_>,
    node: &Node,
    g: ValueId,
    w: ValueId,
    x: ValueId,
) -> Result<ValueId> {
    let Op::ConvTranspose(conv) = &node.op else { unreachable!("called for transposed convolutions") };
    let kernel = kernel_of(cx, w)?;
    let n = kernel.len();
    let strides = if conv.strides.is_empty() { vec![1; n] } else { conv.strides.clone() };
    let dilations = if conv.dilations.is_empty() { vec![1; n] } else { conv.dilations.clone() };
    // Cells that the output has at its begin, and lacks at its end (output padding adds some), against what the windows
    // reach: the convolution reads the output with this padding.
    let (x_shape, g_shape) = (cx.b.shape(x)?, cx.b.shape(g)?);
    let (mut begins, mut ends) = (vec![], vec![]);
    for i in 0..n {
        let extent = dilations[i] * (kernel[i] as i64 - 1) + 1;
        let extra = conv.output_padding.get(i).copied().unwrap_or(0);
        let pad = |k: usize| conv.pads.get(k).copied().unwrap_or(0);
        let upper = conv.auto_pad == AutoPad::SameUpper;
        let begin_of = |total: i64| if upper { total / 2 } else { total - total / 2 };
        let (begin, end) = if !conv.output_shape.is_empty() {
            let (Some(size), Some(out)) = (x_shape[2 + i].fixed(), g_shape[2 + i].fixed()) else {
                return Err(Error::unsupported(
                    "an output shape over an axis of unknown size; fix the input's dimensions",
                )
                .into());
            };
            let reach = (size as i64 - 1) * strides[i] + extent;
            let begin = begin_of((reach + extra - out as i64).max(0));
            (begin, reach - begin - out as i64)
        } else {
            match conv.auto_pad {
                AutoPad::NotSet => (pad(i), pad(n + i) - extra),
                AutoPad::Valid => (0, -extra),
                // The output has the size of the input times the stride.
                AutoPad::SameUpper | AutoPad::SameLower => {
                    let begin = begin_of((extra + extent - strides[i]).max(0));
                    (begin, extent - strides[i] - begin)
                }
            }
        };
        begins.push(begin);
        ends.push(end);
    }
    let pads: Vec<i64> = begins.into_iter().chain(ends).collect();
    let mut g = g;
    let mut pads: Vec<i64> = pads;
    // A negative pad is a crop: cells of the output that no window of the convolution reads.
    if pads.iter().any(|p| *p < 0) {
        let rank = n + 2;
        let mut crop = vec![0i64; 2 * rank];
        for i in 0..n {
            crop[2 + i] = pads[i].min(0);
            crop[rank + 2 + i] = pads[n + i].min(0);
        }
        g = cx.b.pad(g, &crop, 0.0)?;
        for p in &mut pads {
            *p = (*p).max(0);
        }
    }
    let back = op::Conv {
        group: conv.group,
        dilations,
        kernel_shape: kernel.iter().map(|k| *k as i64).collect(),
        pads,
        strides,
        ..op::Conv::default()
    };
    let out = cx.b.op(back, &[g, w])?;
    cx.b.assume_shape(out, x);
    Ok(out)
}
