//! `Resize` between known sizes as products with constant matrices, one per axis.
//!
//! Formulas: the ONNX operator reference, `Resize` version 18.

use exegesis_graph::op::{AspectPolicy, CoordinateMode, NearestMode, Resize, ResizeMode};
use exegesis_graph::{Builder, Error, Node, Result, Tensor, ValueId};

use super::operand;
use crate::table::{Context, resized_axes};

/// The value of a `Resize`.
pub(super) fn replace(b: &mut Builder, node: &Node, a: &Resize) -> Result<ValueId> {
    let mut x = operand(node, 0)?;
    let rank = b.rank(x)?;
    let axes = resized_axes(&Context::new(b.graph(), node));
    let axes = axes.ok_or_else(|| Error::unsupported("sizes before and after must be known"))?;
    for axis in axes {
        let line = Line::new(b, node, a, axis, rank)?;
        let matrix = line.matrix(a);
        let transposed = axis + 1 == rank || axis + 2 != rank;
        let matrix = constant(b, x, &matrix, &line, transposed)?;
        x = if axis + 1 == rank {
            b.matmul(x, matrix)?
        } else if axis + 2 == rank {
            b.matmul(matrix, x)?
        } else {
            let mut perm: Vec<usize> = (0..rank).collect();
            perm.swap(axis, rank - 1);
            let moved = b.transpose(x, &perm)?;
            let product = b.matmul(moved, matrix)?;
            b.transpose(product, &perm)?
        };
    }
    Ok(x)
}

/// The matrix, or its transpose, in the element type of `x`.
fn constant(b: &mut Builder, x: ValueId, matrix: &[f64], line: &Line, transposed: bool) -> Result<ValueId> {
    let (rows, columns) = (line.after, line.before);
    let tensor = if transposed {
        let flipped = (0..columns).flat_map(|j| (0..rows).map(move |i| i * columns + j));
        let values = flipped.filter_map(|i| matrix.get(i).copied()).collect();
        Tensor::from_f64(b.dtype(x), vec![columns, rows], values)?
    } else {
        Tensor::from_f64(b.dtype(x), vec![rows, columns], matrix.to_vec())?
    };
    Ok(b.constant(tensor))
}

/// One axis that is resampled.
struct Line {
    before: usize,
    after: usize,
    /// Size after by size before, as the operator states it.
    scale: f64,
}

impl Line {
    fn new(b: &Builder, node: &Node, a: &Resize, axis: usize, rank: usize) -> Result<Self> {
        let context = Context::new(b.graph(), node);
        let unknown = || Error::unsupported("sizes before and after must be known");
        let before = context.size(0, axis).ok_or_else(unknown)?;
        let after = context.output_shape(0).and_then(|s| s.get(axis)?.fixed()).ok_or_else(unknown)?;
        // Position of the axis among the scales or sizes that are given.
        let position = match &a.axes {
            None => Some(axis),
            Some(axes) => axes.iter().position(|x| *x == axis as i64 || *x + rank as i64 == axis as i64),
        };
        let ratio = after as f64 / before as f64;
        let scales = context.constant(2).and_then(|s| s.to_f64()).filter(|s| !s.is_empty());
        let scale = match (scales, a.keep_aspect_ratio_policy) {
            (Some(scales), _) => position.and_then(|i| scales.get(i).copied()).unwrap_or(ratio),
            (None, AspectPolicy::Stretch) => ratio,
            (None, policy) => {
                let sizes = context.ints(3).ok_or_else(unknown)?;
                let mut ratios = vec![];
                for (i, size) in sizes.iter().enumerate() {
                    let axis = match &a.axes {
                        None => i,
                        Some(axes) => b.axis(axes.get(i).copied().ok_or_else(unknown)?, rank)?,
                    };
                    ratios.push(*size as f64 / context.size(0, axis).ok_or_else(unknown)? as f64);
                }
                let pick = if policy == AspectPolicy::NotLarger { f64::min } else { f64::max };
                ratios.into_iter().reduce(pick).unwrap_or(ratio)
            }
        };
        if before == 0 || after == 0 || !(scale.is_finite() && scale > 0.0) {
            return Err(Error::malformed("an axis can't be resampled from or to nothing"));
        }
        Ok(Self { before, after, scale })
    }

    /// Coordinate in the input of output element `i`.
    fn coordinate(&self, i: usize, mode: CoordinateMode) -> f64 {
        let (before, after, i) = (self.before as f64, self.after as f64, i as f64);
        // The standard's own arithmetic keeps the fraction of an element that a scale leaves.
        let unrounded = self.scale * before;
        match mode {
            CoordinateMode::AlignCorners if unrounded == 1.0 || self.after == 1 => 0.0,
            CoordinateMode::AlignCorners => i * (before - 1.0) / (unrounded - 1.0),
            CoordinateMode::Asymmetric => i / self.scale,
            CoordinateMode::PytorchHalfPixel if self.after == 1 => 0.0,
            CoordinateMode::HalfPixelSymmetric => {
                let adjustment = after / unrounded;
                before / 2.0 * (1.0 - adjustment) + (i + 0.5) / self.scale - 0.5
            }
            CoordinateMode::TfHalfPixelForNn => (i + 0.5) / self.scale,
            _ => (i + 0.5) / self.scale - 0.5,
        }
    }

    /// Weights `[after, before]`.
    fn matrix(&self, a: &Resize) -> Vec<f64> {
        let mut matrix = vec![0.0; self.after * self.before];
        for (i, row) in matrix.chunks_mut(self.before).enumerate() {
            let x = self.coordinate(i, a.coordinate_transformation_mode);
            if a.mode == ResizeMode::Nearest {
                // Runtimes compute in f32; where a step decides, `2.9999999` must be their `3`.
                let x = f64::from(x as f32);
                let nearest = match a.nearest_mode {
                    NearestMode::RoundPreferFloor => (x - 0.5).ceil(),
                    NearestMode::RoundPreferCeil => (x + 0.5).floor(),
                    NearestMode::Floor => x.floor(),
                    NearestMode::Ceil => x.ceil(),
                };
                add(row, nearest as i64, 1.0);
                continue;
            }
            let mut taps = self.taps(x, a);
            if a.exclude_outside {
                taps.retain(|(index, _)| usize::try_from(*index).is_ok_and(|i| i < self.before));
                let sum: f64 = taps.iter().map(|(_, w)| w).sum();
                taps.iter_mut().for_each(|(_, w)| *w /= sum);
            }
            for (index, weight) in taps {
                add(row, index, weight);
            }
        }
        matrix
    }

    /// Input elements around `x` and their weights. A coordinate that is an integer counts from the element before it.
    fn taps(&self, x: f64, a: &Resize) -> Vec<(i64, f64)> {
        let floor = x.floor();
        let base = if floor == x { floor - 1.0 } else { floor };
        let ratio = x - base;
        // Shrinking with antialias widens the kernel by the scale.
        let squeeze = if a.antialias { self.scale.min(1.0) } else { 1.0 };
        let half = if a.mode == ResizeMode::Cubic { 2.0 } else { 1.0 };
        let first = (-half / squeeze).floor() as i64 + 1;
        let kernel = |t: f64| {
            if a.mode == ResizeMode::Cubic {
                cubic(t, f64::from(a.cubic_coeff_a))
            } else {
                (1.0 - t.abs()).max(0.0)
            }
        };
        let mut taps: Vec<(i64, f64)> =
            (first..2 - first).map(|k| (base as i64 + k, kernel((k as f64 - ratio) * squeeze))).collect();
        if a.antialias {
            let sum: f64 = taps.iter().map(|(_, w)| w).sum();
            taps.iter_mut().for_each(|(_, w)| *w /= sum);
        }
        taps
    }
}

/// Keys' cubic kernel with parameter `a`.
fn cubic(t: f64, a: f64) -> f64 {
    let t = t.abs();
    if t <= 1.0 {
        ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0
    } else if t < 2.0 {
        ((a * t - 5.0 * a) * t + 8.0 * a) * t - 4.0 * a
    } else {
        0.0
    }
}

/// Adds `weight` at `index`; elements outside are the nearest inside.
fn add(row: &mut [f64], index: i64, weight: f64) {
    let last = row.len().saturating_sub(1) as i64;
    if let Some(cell) = usize::try_from(index.clamp(0, last)).ok().and_then(|i| row.get_mut(i)) {
        *cell += weight;
    }
}
