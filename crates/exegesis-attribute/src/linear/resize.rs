//! Resize as one small matrix per axis, so that its forward map, its absolute map and their adjoints are matrix products.

use exegesis_graph::op::{AspectPolicy, CoordinateMode, NearestMode, Resize, ResizeMode};
use exegesis_graph::{Dim, Error, Node, Op, Tensor, ValueId};

use super::Coefficients;
use crate::Result;
use crate::rule::Context;

/// Weights that the matrix of one axis may have: 4096 cells from 8192.
const MAX_WEIGHTS: usize = 1 << 25;

/// Applies the interpolation of `node` (whose input is `x`) to `v`, or its adjoint to a `v` of the output's shape.
///
/// # Errors
/// A form of Resize that is not separable with known sizes.
pub fn apply(
    cx: &mut Context<'_, '_>,
    node: &Node,
    x: ValueId,
    v: ValueId,
    form: Coefficients,
    adjoint: bool,
) -> Result<ValueId> {
    let Op::Resize(resize) = &node.op else { unreachable!("called for Resize") };
    let rank = cx.b.rank(x)?;
    let out_value = node.output(0).ok_or_else(|| Error::malformed("Resize without output"))?;
    let (from, to) = (cx.b.shape(x)?.clone(), cx.b.shape(out_value)?.clone());
    let plans = plans(cx, node, resize, &from, &to)?;
    let mut out = v;
    for (axis, plan) in plans.iter().enumerate() {
        let Some(plan) = plan else { continue };
        let (size, resized) = (plan.size, plan.resized);
        let mut matrix = plan.matrix(resize);
        if form == Coefficients::Absolute {
            matrix.iter_mut().for_each(|c| *c = c.abs());
        }
        // `matrix` is [resized, size]; along the last axis y = x M^T, and its adjoint x = y M.
        let last = axis + 1 == rank;
        let (rows, columns, data) = match (last, adjoint) {
            (true, false) | (false, true) => (size, resized, transposed(&matrix, resized, size)),
            _ => (resized, size, matrix),
        };
        let tensor = Tensor::from_f64(cx.b.dtype(v), vec![rows, columns], data)?;
        let m = cx.b.constant(tensor);
        if last {
            out = cx.b.matmul(out, m)?;
        } else {
            let mut perm: Vec<usize> = (0..rank).collect();
            perm.swap(axis, rank - 2);
            out = cx.b.transpose(out, &perm)?;
            out = cx.b.matmul(m, out)?;
            out = cx.b.transpose(out, &perm)?;
        }
    }
    Ok(out)
}

fn transposed(matrix: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| matrix[r * columns + c])).collect()
}

/// How one axis is resampled.
struct Plan {
    size: usize,
    resized: usize,
    /// As the operator states it, which a whole number of cells may not keep.
    scale: f64,
    /// Part of the input that `tf_crop_and_resize` reads, as fractions of it.
    region: Option<(f64, f64)>,
}

/// Per axis, how it is resampled; `None` for axes that stay as they are.
fn plans(
    cx: &Context<'_, '_>,
    node: &Node,
    resize: &Resize,
    from: &[Dim],
    to: &[Dim],
) -> Result<Vec<Option<Plan>>> {
    let rank = from.len();
    let axes: Vec<usize> = match &resize.axes {
        None => (0..rank).collect(),
        Some(axes) => axes.iter().map(|a| cx.b.axis(*a, rank)).collect::<Result<_, _>>()?,
    };
    let scales = given_scales(cx, node, axes.len())?;
    let kept = match &scales {
        None => kept_ratio(cx, node, resize, &axes, from)?,
        Some(_) => None,
    };
    let regions = regions(cx, node, resize, axes.len())?;
    let mut plans: Vec<Option<Plan>> = (0..rank).map(|_| None).collect();
    for (i, axis) in axes.into_iter().enumerate() {
        let given = scales.as_ref().map(|s| s[i]).or(kept);
        let region = regions.as_ref().map(|r| r[i]).filter(|r| *r != (0.0, 1.0));
        if from[axis] == to[axis] && given.is_none_or(|s| s == 1.0) && region.is_none() {
            continue;
        }
        let (Some(size), Some(resized)) = (from[axis].fixed(), to[axis].fixed()) else {
            return Err(Error::unsupported(
                "Resize along an axis of unknown size; fix the input's dimensions",
            )
            .into());
        };
        if size == 0 {
            return Err(Error::malformed("an empty axis can't be resized").into());
        }
        if size.checked_mul(resized).is_none_or(|weights| weights > MAX_WEIGHTS) {
            let message =
                format!("an axis of {size} cells can't be explained when it is resized to {resized}");
            return Err(Error::too_large(message).at(node.source_name()).into());
        }
        let scale = given.unwrap_or(resized as f64 / size as f64);
        plans[axis] = Some(Plan { size, resized, scale, region: regions.as_ref().map(|r| r[i]) });
    }
    Ok(plans)
}

/// The scales of the `count` axes that are resized, if scales are given.
fn given_scales(cx: &Context<'_, '_>, node: &Node, count: usize) -> Result<Option<Vec<f64>>> {
    let Some(scales) = node.input(2).and_then(|s| cx.b.graph().constant(s)) else { return Ok(None) };
    let given = scales.to_f64().unwrap_or_default();
    match given.len() {
        0 => Ok(None),
        n if n == count => Ok(Some(given)),
        _ => Err(Error::malformed("Resize has a wrong number of scales").into()),
    }
}

/// Start and end of the region that is read, per resized axis, where the coordinates are those of a crop.
fn regions(
    cx: &Context<'_, '_>,
    node: &Node,
    resize: &Resize,
    count: usize,
) -> Result<Option<Vec<(f64, f64)>>> {
    if resize.coordinate_transformation_mode != CoordinateMode::TfCropAndResize {
        return Ok(None);
    }
    let region = node.input(1).and_then(|r| cx.b.graph().constant(r)).and_then(|t| t.to_f64());
    let region = region.ok_or_else(|| Error::unsupported("the region of this Resize is not constant"))?;
    if region.len() != 2 * count {
        return Err(Error::malformed("the region of Resize must have two entries per axis").into());
    }
    Ok(Some((0..count).map(|i| (region[i], region[count + i])).collect()))
}

/// The common scale of the resized `axes` when sizes are given and the aspect ratio is kept.
fn kept_ratio(
    cx: &Context<'_, '_>,
    node: &Node,
    resize: &Resize,
    axes: &[usize],
    from: &[Dim],
) -> Result<Option<f64>> {
    if resize.keep_aspect_ratio_policy == AspectPolicy::Stretch {
        return Ok(None);
    }
    let unknown =
        || Error::unsupported("the sizes of this Resize are not constant; fix the input's dimensions");
    let sizes = cx.b.const_ints(node.input(3)).ok_or_else(unknown)?;
    let mut common: Option<f64> = None;
    for (axis, wanted) in axes.iter().zip(sizes) {
        let ratio = wanted as f64 / from[*axis].fixed().ok_or_else(unknown)? as f64;
        common = Some(match common {
            None => ratio,
            Some(other) if resize.keep_aspect_ratio_policy == AspectPolicy::NotLarger => other.min(ratio),
            Some(other) => other.max(ratio),
        });
    }
    Ok(common)
}

impl Plan {
    /// Position in the input of output cell `o` (ONNX definition of the coordinate modes).
    fn coordinate(&self, o: usize, mode: CoordinateMode) -> f64 {
        let (at, size) = (o as f64, self.size as f64);
        // The length before rounding, as the standard's own arithmetic takes it.
        let unrounded = self.scale * size;
        match mode {
            CoordinateMode::Asymmetric => at / self.scale,
            CoordinateMode::AlignCorners if self.resized == 1 => 0.0,
            CoordinateMode::AlignCorners => at * (size - 1.0) / (unrounded - 1.0),
            CoordinateMode::PytorchHalfPixel if self.resized == 1 => 0.0,
            CoordinateMode::TfHalfPixelForNn => (at + 0.5) / self.scale,
            CoordinateMode::HalfPixelSymmetric => {
                let adjustment = self.resized as f64 / unrounded;
                let center = size / 2.0;
                center * (1.0 - adjustment) + (at + 0.5) / self.scale - 0.5
            }
            CoordinateMode::TfCropAndResize => {
                let (start, end) = self.region.unwrap_or((0.0, 1.0));
                let length = (end - start) * (size - 1.0);
                let inside = if self.resized == 1 { length / 2.0 } else { at * length / (unrounded - 1.0) };
                inside + start * (size - 1.0)
            }
            CoordinateMode::HalfPixel | CoordinateMode::PytorchHalfPixel => (at + 0.5) / self.scale - 0.5,
        }
    }

    /// Cells around position `p` and their weights. When an antialiased axis shrinks, the kernel is stretched to cover all
    /// cells that fall into one, and its weights are divided by their sum.
    fn taps(&self, resize: &Resize, p: f64) -> Vec<(i64, f64)> {
        let stretch = if resize.antialias { self.scale.min(1.0) } else { 1.0 };
        let reach = if resize.mode == ResizeMode::Cubic { 2.0 } else { 1.0 };
        let kernel = |distance: f64| match resize.mode {
            ResizeMode::Cubic => cubic(distance.abs(), f64::from(resize.cubic_coeff_a)),
            _ => (1.0 - distance.abs()).max(0.0),
        };
        // A whole position counts as the right end of its interval.
        let base = p.ceil() as i64 - 1;
        let first = (-reach / stretch).floor() as i64 + 1;
        let taps = (first..2 - first).map(|k| base + k);
        let mut taps: Vec<(i64, f64)> = taps.map(|c| (c, kernel((c as f64 - p) * stretch))).collect();
        if resize.antialias {
            let sum: f64 = taps.iter().map(|(_, w)| w).sum();
            taps.iter_mut().for_each(|(_, w)| *w /= sum);
        }
        taps
    }

    /// Interpolation weights `[resized, size]`. A cell of the output that is outside a cropped region reads nothing.
    fn matrix(&self, resize: &Resize) -> Vec<f64> {
        let mut matrix = vec![0.0; self.resized * self.size];
        let last = self.size as i64 - 1;
        for (o, row) in matrix.chunks_mut(self.size).enumerate() {
            let p = self.coordinate(o, resize.coordinate_transformation_mode);
            if self.region.is_some() && !(0.0..=last as f64).contains(&p) {
                continue;
            }
            if resize.mode == ResizeMode::Nearest {
                // Runtimes compute in f32; where a step decides, `2.9999999` must be their `3`.
                let p = f64::from(p as f32);
                let cell = match resize.nearest_mode {
                    NearestMode::Floor => p.floor(),
                    NearestMode::Ceil => p.ceil(),
                    NearestMode::RoundPreferFloor => (p - 0.5).ceil(),
                    NearestMode::RoundPreferCeil => (p + 0.5).floor(),
                };
                row[(cell as i64).clamp(0, last) as usize] = 1.0;
                continue;
            }
            for (cell, weight) in self.taps(resize, p) {
                if (0..=last).contains(&cell) || !resize.exclude_outside {
                    row[cell.clamp(0, last) as usize] += weight;
                }
            }
            if resize.exclude_outside {
                let sum: f64 = row.iter().sum();
                if sum != 0.0 {
                    row.iter_mut().for_each(|w| *w /= sum);
                }
            }
        }
        matrix
    }
}

/// Keys' cubic kernel with parameter `a` (Keys 1981, equation 4) at a distance `d` of 0 or more.
fn cubic(d: f64, a: f64) -> f64 {
    if d <= 1.0 {
        ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0
    } else if d < 2.0 {
        ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a
    } else {
        0.0
    }
}
