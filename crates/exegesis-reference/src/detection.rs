//! Operators of object detectors: non-maximum suppression and pooling of regions.

use exegesis_graph::op;
use exegesis_graph::{DType, Error, Result};

use crate::array::{Array, count, size};
use crate::operands::Operands;

/// A box by its corners: `y1, x1, y2, x2` with `y1 <= y2`, `x1 <= x2`.
type Corners = [f64; 4];

fn corners(values: &[f64], center_point: bool) -> Corners {
    let [a, b, c, d] = [values[0], values[1], values[2], values[3]];
    if center_point {
        // x centre, y centre, width, height.
        [b - d / 2.0, a - c / 2.0, b + d / 2.0, a + c / 2.0]
    } else {
        [a.min(c), b.min(d), a.max(c), b.max(d)]
    }
}

/// Area of the intersection over the area of the union; 0 if the union is empty.
fn overlap(a: &Corners, b: &Corners) -> f64 {
    let side = |low: f64, high: f64| (high - low).max(0.0);
    let area = |r: &Corners| side(r[0], r[2]) * side(r[1], r[3]);
    let common = side(a[0].max(b[0]), a[2].min(b[2])) * side(a[1].max(b[1]), a[3].min(b[3]));
    let union = area(a) + area(b) - common;
    if union > 0.0 { common / union } else { 0.0 }
}

/// Rows `batch, class, box` of the boxes that survive, per batch and class in order of their scores.
pub(crate) fn non_max_suppression(op: &op::NonMaxSuppression, operands: Operands) -> Result<Array> {
    let (boxes, scores) = (operands.get(0)?, operands.get(1)?);
    let (&[batch, n, 4], &[score_batch, classes, score_n]) = (&boxes.shape[..], &scores.shape[..]) else {
        let (b, s) = (&boxes.shape, &scores.shape);
        return Err(Error::malformed(format!(
            "boxes {b:?} and scores {s:?} are not [b, n, 4] and [b, c, n]"
        )));
    };
    if (batch, n) != (score_batch, score_n) {
        let (b, s) = (&boxes.shape, &scores.shape);
        return Err(Error::malformed(format!("boxes {b:?} and scores {s:?} don't fit")));
    }
    let limit = operands.optional(2).map_or(Ok(0.0), Array::single)?;
    let threshold = operands.optional(3).map_or(Ok(0.0), Array::single)?;
    let least = operands.optional(4).map_or(Ok(f64::NEG_INFINITY), Array::single)?;
    let mut rows = vec![];
    for b in 0..batch {
        let corners: Vec<Corners> = boxes.data[b * n * 4..(b + 1) * n * 4]
            .chunks(4)
            .map(|values| corners(values, op.center_point_box != 0))
            .collect();
        for c in 0..classes {
            let scores = &scores.data[(b * classes + c) * n..][..n];
            let mut order: Vec<usize> = (0..n).filter(|i| scores[*i] > least).collect();
            order.sort_by(|i, j| scores[*j].total_cmp(&scores[*i]));
            let mut kept: Vec<usize> = vec![];
            for i in order {
                if kept.len() as f64 >= limit {
                    break;
                }
                if kept.iter().all(|k| overlap(&corners[i], &corners[*k]) <= threshold) {
                    kept.push(i);
                }
            }
            rows.extend(kept.iter().flat_map(|i| [b as f64, c as f64, *i as f64]));
        }
    }
    Array::new(DType::I64, vec![rows.len() / 3, 3], rows)
}

/// Weighted pixels of bilinear interpolation at `(y, x)`; none if it is more than a pixel outside.
fn bilinear(y: f64, x: f64, height: usize, width: usize) -> Vec<(usize, f64)> {
    if y < -1.0 || y > height as f64 || x < -1.0 || x > width as f64 || y.is_nan() || x.is_nan() {
        return vec![];
    }
    let place = |v: f64, n: usize| {
        let v = v.max(0.0);
        let low = (v as usize).min(n - 1);
        let high = (low + 1).min(n - 1);
        // At the last pixel both neighbours are that pixel.
        let fraction = if low == n - 1 { 0.0 } else { v - low as f64 };
        [(low, 1.0 - fraction), (high, fraction)]
    };
    let mut taps = vec![];
    for (i, v) in place(y, height) {
        for (j, w) in place(x, width) {
            taps.push((i * width + j, v * w));
        }
    }
    taps
}

/// `X [n, c, h, w]`, `rois [r, 4]` as `x1, y1, x2, y2`, `batch_indices [r]` to `[r, c, output_height, output_width]`.
pub(crate) fn roi_align(op: &op::RoiAlign, operands: Operands) -> Result<Array> {
    let (x, rois, owners) = (operands.get(0)?, operands.get(1)?, operands.ints(2)?);
    let (&[batch, channels, height, width], &[regions, 4]) = (&x.shape[..], &rois.shape[..]) else {
        let (x, r) = (&x.shape, &rois.shape);
        return Err(Error::malformed(format!("the shapes {x:?} and {r:?} are not [n, c, h, w] and [r, 4]")));
    };
    let half_pixel = match op.coordinate_transformation_mode.as_str() {
        "half_pixel" => 0.5,
        "output_half_pixel" => 0.0,
        other => return Err(Error::malformed(format!("the coordinate mode is \"{other}\""))),
    };
    let maximum = match op.mode.as_str() {
        "avg" => false,
        "max" => true,
        other => return Err(Error::malformed(format!("`mode` is \"{other}\""))),
    };
    let (rows, columns) = (size(op.output_height, "output_height")?, size(op.output_width, "output_width")?);
    if owners.len() != regions || height == 0 || width == 0 {
        return Err(Error::malformed(format!("{regions} regions have {} batch indices", owners.len())));
    }
    let ratio = size(op.sampling_ratio, "sampling_ratio")?;
    let scale = f64::from(op.spatial_scale);
    let mut out = Array::filled(x.dtype, vec![regions, channels, rows, columns], 0.0)?;
    for (r, owner) in owners.iter().enumerate() {
        let owner = crate::array::index(*owner, batch)?;
        let [x1, y1, x2, y2] = [0, 1, 2, 3].map(|k| rois.data[r * 4 + k] * scale - half_pixel);
        let (mut roi_height, mut roi_width) = (y2 - y1, x2 - x1);
        if half_pixel == 0.0 {
            // The older convention makes every region at least a pixel large.
            (roi_height, roi_width) = (roi_height.max(1.0), roi_width.max(1.0));
        }
        let (bin_height, bin_width) = (roi_height / rows as f64, roi_width / columns as f64);
        let samples = |bin: f64| if ratio > 0 { ratio } else { bin.ceil().max(0.0) as usize };
        let (down, across) = (samples(bin_height), samples(bin_width));
        count(&[down, across])?;
        for i in 0..rows {
            for j in 0..columns {
                let mut points = vec![];
                for k in 0..down {
                    for l in 0..across {
                        let y = y1 + (i as f64 + (k as f64 + 0.5) / down as f64) * bin_height;
                        let x = x1 + (j as f64 + (l as f64 + 0.5) / across as f64) * bin_width;
                        points.push(bilinear(y, x, height, width));
                    }
                }
                for c in 0..channels {
                    let plane = &x.data[(owner * channels + c) * height * width..][..height * width];
                    let value = if maximum {
                        // The maximum of weighted pixels, not of interpolated values: so the operator is defined.
                        let weighted = points.iter().flatten().map(|(p, w)| w * plane[*p]);
                        weighted.reduce(f64::max).unwrap_or(0.0)
                    } else {
                        let sum: f64 = points.iter().flatten().map(|(p, w)| w * plane[*p]).sum();
                        sum / points.len().max(1) as f64
                    };
                    out.data[((r * channels + c) * rows + i) * columns + j] = value;
                }
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_boxes_lose_to_better_ones() {
        let data = vec![0.0, 0.0, 1.0, 1.0, 0.0, 0.1, 1.0, 1.1, 0.0, 5.0, 1.0, 6.0];
        let boxes = Array::floats([1, 3, 4], data).unwrap();
        let scores = Array::floats([1, 1, 3], vec![0.8, 0.9, 0.1]).unwrap();
        let number = |v| Array::scalar(DType::F32, v);
        let (limit, overlap, least) = (number(10.0), number(0.5), number(0.0));
        let list = [Some(&boxes), Some(&scores), Some(&limit), Some(&overlap), Some(&least)];
        let op = op::NonMaxSuppression::default();
        let kept = non_max_suppression(&op, Operands::new(&list)).unwrap();
        assert_eq!((kept.shape, kept.data), (vec![2, 3], vec![0.0, 0.0, 1.0, 0.0, 0.0, 2.0]));
        assert!(non_max_suppression(&op, Operands::new(&[Some(&boxes), Some(&boxes)])).is_err());
    }

    #[test]
    fn a_region_over_a_ramp_reads_its_middle() {
        let ramp = Array::floats([1, 1, 4, 4], (0..16).map(|i| f64::from(i % 4)).collect()).unwrap();
        let rois = Array::floats([1, 4], vec![1.0, 1.0, 3.0, 3.0]).unwrap();
        let owner = Array::int_vector(&[0]);
        let op = op::RoiAlign { sampling_ratio: 2, ..Default::default() };
        let y = roi_align(&op, Operands::new(&[Some(&ramp), Some(&rois), Some(&owner)])).unwrap();
        assert_eq!(y.data, [1.5]);
        let far = Array::int_vector(&[3]);
        assert!(roi_align(&op, Operands::new(&[Some(&ramp), Some(&rois), Some(&far)])).is_err());
    }
}
