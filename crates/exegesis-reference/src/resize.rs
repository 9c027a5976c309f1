//! Resampling along every axis in turn (nearest, linear and cubic interpolation are separable).

use exegesis_graph::op::{self, AspectPolicy, CoordinateMode, NearestMode, ResizeMode};
use exegesis_graph::{Error, Result};

use crate::array::{Array, Lanes, axes, count, for_each_index};
use crate::movement::dimensions;
use crate::operands::Operands;

/// How one axis is resampled.
#[derive(Clone, Copy)]
struct AxisPlan {
    input: usize,
    output: usize,
    scale: f64,
    /// Part of the input that `tf_crop_and_resize` reads, as fractions of it.
    region: (f64, f64),
}

/// Weighted input positions of one output position; `None` is outside the region that is read.
type Taps = Option<Vec<(usize, f64)>>;

/// Values of the cubic kernel with parameter `a` at distance `x` from its centre.
pub(crate) fn cubic_kernel(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x <= 1.0 {
        (a + 2.0) * x.powi(3) - (a + 3.0) * x.powi(2) + 1.0
    } else if x < 2.0 {
        a * x.powi(3) - 5.0 * a * x.powi(2) + 8.0 * a * x - 4.0 * a
    } else {
        0.0
    }
}

impl AxisPlan {
    /// Position in the input that output position `x` corresponds to.
    fn coordinate(&self, x: usize, mode: CoordinateMode) -> f64 {
        let (x, input, scale) = (x as f64, self.input as f64, self.scale);
        // The length before rounding, as the operator's reference and its node tests take it.
        let resized = scale * input;
        match mode {
            CoordinateMode::HalfPixel => (x + 0.5) / scale - 0.5,
            CoordinateMode::HalfPixelSymmetric => {
                let adjustment = self.output as f64 / resized;
                input / 2.0 * (1.0 - adjustment) + (x + 0.5) / scale - 0.5
            }
            CoordinateMode::PytorchHalfPixel if self.output <= 1 => 0.0,
            CoordinateMode::PytorchHalfPixel => (x + 0.5) / scale - 0.5,
            CoordinateMode::AlignCorners if self.output == 1 => 0.0,
            CoordinateMode::AlignCorners => x * (input - 1.0) / (resized - 1.0),
            CoordinateMode::Asymmetric => x / scale,
            CoordinateMode::TfHalfPixelForNn => (x + 0.5) / scale,
            CoordinateMode::TfCropAndResize => {
                let (start, end) = self.region;
                let inside = if self.output == 1 {
                    (end - start) * (input - 1.0) / 2.0
                } else {
                    x * (end - start) * (input - 1.0) / (resized - 1.0)
                };
                inside + start * (input - 1.0)
            }
        }
    }

    /// Taps of output position `x`.
    fn taps(&self, op: &op::Resize, x: usize) -> Taps {
        let at = self.coordinate(x, op.coordinate_transformation_mode);
        let last = self.input as i64 - 1;
        let crops = op.coordinate_transformation_mode == CoordinateMode::TfCropAndResize;
        if crops && (at < 0.0 || at > last as f64) {
            return None;
        }
        // Runtimes compute coordinates in f32; where a step decides, `2.9999999` must be their `3`.
        let snapped = f64::from(at as f32);
        let (first, weights) = match op.mode {
            ResizeMode::Nearest => {
                let nearest = match op.nearest_mode {
                    NearestMode::RoundPreferFloor => (snapped - 0.5).ceil(),
                    NearestMode::RoundPreferCeil => (snapped + 0.5).floor(),
                    NearestMode::Floor => snapped.floor(),
                    NearestMode::Ceil => snapped.ceil(),
                };
                (nearest, vec![1.0])
            }
            ResizeMode::Linear => self.kernel(at, op.antialias, 1.0, |d| (1.0 - d.abs()).max(0.0)),
            ResizeMode::Cubic => {
                let a = f64::from(op.cubic_coeff_a);
                self.kernel(at, op.antialias, 2.0, |d| cubic_kernel(d, a))
            }
        };
        let first = first.clamp(-1e9, 1e9) as i64;
        let outside = |k: usize| !(0..=last).contains(&(first + k as i64));
        let mut taps: Vec<(usize, f64)> = weights
            .iter()
            .enumerate()
            .map(|(k, w)| {
                let weight = if op.exclude_outside && outside(k) { 0.0 } else { *w };
                ((first + k as i64).clamp(0, last) as usize, weight)
            })
            .collect();
        let sum: f64 = taps.iter().map(|(_, w)| w).sum();
        taps.iter_mut().for_each(|(_, w)| *w /= sum);
        Some(taps)
    }

    /// First position and weights of a kernel of half-width `reach` around `at`; when an antialiased axis shrinks, the
    /// kernel is stretched to cover all pixels that fall into one.
    fn kernel(&self, at: f64, antialias: bool, reach: f64, f: impl Fn(f64) -> f64) -> (f64, Vec<f64>) {
        let stretch = if antialias { self.scale.min(1.0) } else { 1.0 };
        // Left neighbour; a whole coordinate counts as the right end of its interval.
        let base = at.ceil() - 1.0;
        let start = (-reach / stretch).floor() + 1.0;
        let taps = (2.0 - 2.0 * start).clamp(1.0, 1e6) as usize;
        let weights = (0..taps).map(|k| f((base + start + k as f64 - at) * stretch)).collect();
        (base + start, weights)
    }
}

/// Plans of all axes out of scales or sizes.
fn plans(op: &op::Resize, operands: Operands, x: &Array) -> Result<Vec<AxisPlan>> {
    let over = match &op.axes {
        Some(list) => axes(list, x.rank())?,
        None => (0..x.rank()).collect(),
    };
    let given = |i: usize| operands.optional(i).filter(|a| !a.is_empty());
    let mut plans: Vec<AxisPlan> =
        x.shape.iter().map(|d| AxisPlan { input: *d, output: *d, scale: 1.0, region: (0.0, 1.0) }).collect();
    let length = |list: &Array, n: usize| match list.len() == n {
        true => Ok(()),
        false => Err(Error::malformed(format!("{n} values are needed, there are {}", list.len()))),
    };
    match (given(2), given(3)) {
        (Some(scales), None) => {
            length(scales, over.len())?;
            for (a, scale) in over.iter().zip(&scales.data) {
                let plan = &mut plans[*a];
                // In f32 as runtimes do: 10 * 0.7 is 7.
                let output = (plan.input as f32 * *scale as f32).floor();
                if *scale <= 0.0 || !(0.0..1e9).contains(&output) {
                    return Err(Error::malformed(format!("a scale is {scale}")));
                }
                (plan.scale, plan.output) = (*scale, output as usize);
            }
        }
        (None, Some(sizes)) => {
            length(sizes, over.len())?;
            let wanted = dimensions(&sizes.to_ints()?)?;
            let ratio = |(a, n): (&usize, &usize)| *n as f64 / x.shape[*a] as f64;
            let ratios: Vec<f64> = over.iter().zip(&wanted).map(ratio).collect();
            let common = match op.keep_aspect_ratio_policy {
                AspectPolicy::Stretch => None,
                AspectPolicy::NotLarger => ratios.iter().copied().reduce(f64::min),
                AspectPolicy::NotSmaller => ratios.iter().copied().reduce(f64::max),
            };
            for (i, a) in over.iter().enumerate() {
                let plan = &mut plans[*a];
                plan.scale = common.unwrap_or(ratios[i]);
                plan.output = match common {
                    None => wanted[i],
                    Some(scale) => (scale * plan.input as f64 + 0.5).floor().min(1e9) as usize,
                };
            }
        }
        _ => return Err(Error::malformed("exactly one of `scales` and `sizes` must be given")),
    }
    if op.coordinate_transformation_mode == CoordinateMode::TfCropAndResize {
        let roi = given(1).ok_or_else(|| Error::malformed("tf_crop_and_resize needs a region"))?;
        length(roi, 2 * over.len())?;
        for (i, a) in over.iter().enumerate() {
            plans[*a].region = (roi.data[i], roi.data[over.len() + i]);
        }
    }
    if plans.iter().any(|p| p.input == 0 && p.output > 0) {
        return Err(Error::malformed("an empty axis can't be resized"));
    }
    Ok(plans)
}

pub(crate) fn resize(op: &op::Resize, operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let plans = plans(op, operands, x)?;
    count(&plans.iter().map(|p| p.output).collect::<Vec<_>>())?;
    let mut current = x.clone();
    let mut outside = vec![];
    for (axis, plan) in plans.iter().enumerate() {
        let taps: Vec<Taps> = (0..plan.output).map(|o| plan.taps(op, o)).collect();
        outside.push(taps.iter().map(Option::is_none).collect::<Vec<bool>>());
        if plan.scale == 1.0 && plan.output == plan.input && plan.region == (0.0, 1.0) {
            continue;
        }
        let mut shape = current.shape.clone();
        shape[axis] = plan.output;
        let mut next = Array::filled(x.dtype, shape.clone(), 0.0)?;
        for (source, target) in Lanes::new(&current.shape, axis).iter().zip(Lanes::new(&shape, axis).iter()) {
            for (t, taps) in target.iter().zip(&taps) {
                let taps = taps.as_deref().unwrap_or_default();
                next.data[*t] = taps.iter().map(|(i, w)| w * current.data[source[*i]]).sum();
            }
        }
        current = next;
    }
    // A point that is outside along any axis takes the given value.
    let mut i = 0;
    let shape = current.shape.clone();
    for_each_index(&shape, |index| {
        if index.iter().zip(&outside).any(|(k, outside)| outside[*k]) {
            current.data[i] = f64::from(op.extrapolation_value);
        }
        i += 1;
    });
    Ok(current)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(op: &op::Resize, data: &[f64], scale: f64) -> Vec<f64> {
        let x = Array::floats([1, data.len()], data.to_vec()).unwrap();
        let scales = Array::floats([2], vec![1.0, scale]).unwrap();
        resize(op, Operands::new(&[Some(&x), None, Some(&scales)])).unwrap().data
    }

    #[test]
    fn linear_by_hand() {
        let op = op::Resize { mode: ResizeMode::Linear, ..Default::default() };
        assert_eq!(run(&op, &[1.0, 2.0], 2.0), [1.0, 1.25, 1.75, 2.0]);
        let corners = op::Resize { coordinate_transformation_mode: CoordinateMode::AlignCorners, ..op };
        let y = run(&corners, &[0.0, 3.0], 2.0);
        assert!(y.iter().zip([0.0, 1.0, 2.0, 3.0]).all(|(a, b)| (a - b).abs() < 1e-12));
    }

    #[test]
    fn nearest_by_hand() {
        let op = op::Resize {
            coordinate_transformation_mode: CoordinateMode::Asymmetric,
            nearest_mode: NearestMode::Floor,
            ..Default::default()
        };
        assert_eq!(run(&op, &[1.0, 2.0], 2.0), [1.0, 1.0, 2.0, 2.0]);
        assert_eq!(run(&op, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], f64::from(1f32 / 3.0)), [1.0, 4.0]);
    }

    #[test]
    fn cubic_keeps_constants_and_lines() {
        let op = op::Resize { mode: ResizeMode::Cubic, ..Default::default() };
        assert!(run(&op, &[2.0; 5], 1.7).iter().all(|v| (v - 2.0).abs() < 1e-12));
        assert!(cubic_kernel(0.0, -0.75) == 1.0 && cubic_kernel(1.0, -0.75) == 0.0);
        // A kernel with a = -0.5 reproduces straight lines inside.
        let exact = op::Resize { cubic_coeff_a: -0.5, ..op };
        let y = run(&exact, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 2.0);
        assert!((y[8] - 3.75).abs() < 1e-12, "{y:?}");
    }

    #[test]
    fn shrinking_with_antialias_averages() {
        let op = op::Resize { mode: ResizeMode::Linear, antialias: true, ..Default::default() };
        let y = run(&op, &[0.0, 0.0, 4.0, 4.0, 0.0, 0.0], 0.5);
        assert!((y.iter().sum::<f64>() - 4.0).abs() < 1e-12, "{y:?}");
    }
}
