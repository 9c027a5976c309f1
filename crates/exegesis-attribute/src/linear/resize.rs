//! Resize as one small matrix per axis, so that its forward map, its absolute map and their adjoints are matrix products.

use exegesis_graph::op::{AspectPolicy, CoordinateMode, NearestMode, Resize, ResizeMode};
use exegesis_graph::{Dim, Error, Node, Op, Tensor, ValueId};

use super::Coefficients;
use crate::Result;
use crate::rule::Context;

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
    if resize.antialias || resize.coordinate_transformation_mode == CoordinateMode::TfCropAndResize {
        return Err(Error::unsupported(
            "Resize with antialias or tf_crop_and_resize has no linear form here",
        )
        .into());
    }
    let scales = given_scales(cx, node, resize, rank)?;
    let kept = match &scales {
        None => kept_ratio(cx, node, resize, &from)?,
        Some(_) => None,
    };
    let mut out = v;
    for axis in 0..rank {
        if from[axis] == to[axis] {
            continue;
        }
        let (Some(size), Some(resized)) = (from[axis].fixed(), to[axis].fixed()) else {
            return Err(Error::unsupported(
                "Resize along an axis of unknown size; fix the input's dimensions",
            )
            .into());
        };
        let scale = match (&scales, kept) {
            (Some(scales), _) => scales[axis],
            (None, Some(ratio)) => ratio,
            (None, None) => resized as f64 / size as f64,
        };
        let mut matrix = interpolation(resize, size, resized, scale);
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

fn given_scales(cx: &Context<'_, '_>, node: &Node, resize: &Resize, rank: usize) -> Result<Option<Vec<f64>>> {
    let Some(scales) = node.input(2).and_then(|s| cx.b.graph().constant(s)) else { return Ok(None) };
    let given = scales.to_f64().unwrap_or_default();
    if given.is_empty() {
        return Ok(None);
    }
    let mut all = vec![1.0; rank];
    match &resize.axes {
        None if given.len() == rank => all = given,
        Some(axes) if axes.len() == given.len() => {
            for (axis, scale) in axes.iter().zip(given) {
                all[cx.b.axis(*axis, rank)?] = scale;
            }
        }
        _ => return Err(Error::malformed("Resize has a wrong number of scales").into()),
    }
    Ok(Some(all))
}

/// The common scale of all axes when sizes are given and the aspect ratio is kept.
fn kept_ratio(cx: &Context<'_, '_>, node: &Node, resize: &Resize, from: &[Dim]) -> Result<Option<f64>> {
    if resize.keep_aspect_ratio_policy == AspectPolicy::Stretch {
        return Ok(None);
    }
    let unknown =
        || Error::unsupported("the sizes of this Resize are not constant; fix the input's dimensions");
    let sizes = cx.b.const_ints(node.input(3)).ok_or_else(unknown)?;
    let axes: Vec<usize> = match &resize.axes {
        None => (0..from.len()).collect(),
        Some(axes) => axes.iter().map(|a| cx.b.axis(*a, from.len())).collect::<Result<_, _>>()?,
    };
    let mut common: Option<f64> = None;
    for (axis, wanted) in axes.into_iter().zip(sizes) {
        let ratio = wanted as f64 / from[axis].fixed().ok_or_else(unknown)? as f64;
        common = Some(match common {
            None => ratio,
            Some(other) if resize.keep_aspect_ratio_policy == AspectPolicy::NotLarger => other.min(ratio),
            Some(other) => other.max(ratio),
        });
    }
    Ok(common)
}

/// Interpolation weights `[resized, size]` along one axis (ONNX definition of the coordinate modes).
fn interpolation(resize: &Resize, size: usize, resized: usize, scale: f64) -> Vec<f64> {
    let mut matrix = vec![0.0; resized * size];
    let last = size as i64 - 1;
    for o in 0..resized {
        let at = o as f64;
        let p = match resize.coordinate_transformation_mode {
            CoordinateMode::Asymmetric => at / scale,
            CoordinateMode::AlignCorners if resized > 1 => at * (size as f64 - 1.0) / (resized as f64 - 1.0),
            CoordinateMode::AlignCorners => 0.0,
            CoordinateMode::PytorchHalfPixel if resized == 1 => 0.0,
            CoordinateMode::TfHalfPixelForNn => (at + 0.5) / scale,
            CoordinateMode::HalfPixelSymmetric => {
                let adjustment = resized as f64 / (scale * size as f64);
                let center = size as f64 / 2.0;
                center * (1.0 - adjustment) + (at + 0.5) / scale - 0.5
            }
            _ => (at + 0.5) / scale - 0.5,
        };
        let mut put = |cell: i64, weight: f64| {
            let inside = (0..=last).contains(&cell);
            if inside || !resize.exclude_outside {
                matrix[o * size + cell.clamp(0, last) as usize] += weight;
            }
        };
        match resize.mode {
            ResizeMode::Nearest => {
                // Runtimes compute in f32; where a step decides, `2.9999999` must be their `3`.
                let p = f64::from(p as f32);
                let cell = match resize.nearest_mode {
                    NearestMode::Floor => p.floor(),
                    NearestMode::Ceil => p.ceil(),
                    NearestMode::RoundPreferFloor => (p - 0.5).ceil(),
                    NearestMode::RoundPreferCeil => (p + 0.5).floor(),
                };
                matrix[o * size + (cell as i64).clamp(0, last) as usize] = 1.0;
            }
            ResizeMode::Linear => {
                let base = p.floor();
                let t = p - base;
                put(base as i64, 1.0 - t);
                if t > 0.0 {
                    put(base as i64 + 1, t);
                }
            }
            ResizeMode::Cubic => {
                let a = f64::from(resize.cubic_coeff_a);
                let base = p.floor();
                for k in -1..=2 {
                    let d = (p - (base + k as f64)).abs();
                    let weight = if d <= 1.0 {
                        ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0
                    } else if d < 2.0 {
                        ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a
                    } else {
                        0.0
                    };
                    put(base as i64 + k, weight);
                }
            }
        }
        if resize.exclude_outside {
            let row = &mut matrix[o * size..(o + 1) * size];
            let sum: f64 = row.iter().sum();
            if sum != 0.0 {
                row.iter_mut().for_each(|w| *w /= sum);
            }
        }
    }
    matrix
}
