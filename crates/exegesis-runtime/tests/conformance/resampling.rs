//! `Resize`.

use exegesis_graph::op::{AspectPolicy, CoordinateMode, NearestMode, Resize, ResizeMode};

use crate::case::Verdict::{Lowered, Native, Refused};
use crate::case::*;

fn scales(factors: &[f32]) -> Operand {
    constant(values(&[factors.len()], factors.to_vec()))
}

/// Operands `X, roi, scales`.
fn by_scales(x: Operand, factors: &[f32]) -> [Operand; 3] {
    [x, Operand::Absent, scales(factors)]
}

/// Operands `X, roi, scales, sizes`.
fn by_sizes(x: Operand, sizes: &[i64]) -> [Operand; 4] {
    [x, Operand::Absent, Operand::Absent, vector(sizes)]
}

const NATIVE_MODES: [CoordinateMode; 4] = [
    CoordinateMode::HalfPixel,
    CoordinateMode::Asymmetric,
    CoordinateMode::AlignCorners,
    CoordinateMode::PytorchHalfPixel,
];

#[test]
fn modes_that_rten_has() {
    let image = || floats(&[2, 3, 4, 5]);
    for mode in [ResizeMode::Nearest, ResizeMode::Linear] {
        for coordinate_transformation_mode in NATIVE_MODES {
            let resize = Resize { mode, coordinate_transformation_mode, ..Resize::default() };
            check(Native, resize.clone(), &by_scales(image().symbolic(&[0, 2, 3]), &[1.0, 1.0, 2.0, 2.0]));
            let corners = coordinate_transformation_mode == CoordinateMode::AlignCorners;
            let verdict = if corners { Lowered } else { Native };
            check(verdict, resize.clone(), &by_scales(image(), &[1.0, 1.0, 0.6, 1.7]));
            check(Native, resize.clone(), &by_sizes(image(), &[2, 3, 7, 3]));
            check(Native, resize, &by_sizes(image(), &[2, 3, 1, 9]));
        }
    }
    for nearest_mode in NearestMode::ALL.iter().copied() {
        let resize = Resize { nearest_mode, ..Resize::default() };
        check(Native, resize, &by_sizes(image(), &[2, 3, 7, 3]));
    }
    let line = Resize { mode: ResizeMode::Linear, ..Resize::default() };
    check(Native, line.clone(), &by_scales(floats(&[2, 3, 5]), &[1.0, 1.0, 2.0]));
    // Without coordinates that move, nothing is to be done; with them, rten would copy.
    check(Native, line.clone(), &by_sizes(image(), &[2, 3, 4, 5]));
    check(Lowered, line, &by_scales(image(), &[1.0, 1.0, 1.2, 1.0]));
}

#[test]
fn modes_by_interpolation_matrices() {
    let image = || floats(&[2, 3, 4, 5]).symbolic(&[0]);
    let cubic = Resize { mode: ResizeMode::Cubic, ..Resize::default() };
    for exclude_outside in [false, true] {
        for coordinate_transformation_mode in NATIVE_MODES {
            let resize = Resize { coordinate_transformation_mode, exclude_outside, ..cubic.clone() };
            check(Lowered, resize.clone(), &by_scales(image(), &[1.0, 1.0, 2.0, 2.0]));
            check(Lowered, resize, &by_scales(image(), &[1.0, 1.0, 0.6, 1.7]));
        }
    }
    check(
        Lowered,
        Resize { cubic_coeff_a: -0.5, ..cubic.clone() },
        &by_scales(image(), &[1.0, 1.0, 2.0, 2.0]),
    );
    for mode in [ResizeMode::Linear, ResizeMode::Cubic] {
        for exclude_outside in [false, true] {
            let resize = Resize { mode, antialias: true, exclude_outside, ..Resize::default() };
            check(Lowered, resize.clone(), &by_scales(floats(&[1, 2, 8, 9]), &[1.0, 1.0, 0.4, 0.6]));
            check(Lowered, resize, &by_sizes(floats(&[1, 2, 8, 9]), &[1, 2, 3, 12]));
        }
    }
    for mode in [ResizeMode::Nearest, ResizeMode::Linear] {
        let symmetric = CoordinateMode::HalfPixelSymmetric;
        let resize = Resize { mode, coordinate_transformation_mode: symmetric, ..Resize::default() };
        check(Lowered, resize, &by_scales(image(), &[1.0, 1.0, 1.7, 0.6]));
    }
    // In f64 the second element would be at 2.99999991.
    let floor = Resize {
        mode: ResizeMode::Nearest,
        nearest_mode: NearestMode::Floor,
        coordinate_transformation_mode: CoordinateMode::Asymmetric,
        ..Resize::default()
    };
    check(Lowered, floor, &by_scales(floats(&[1, 6, 2, 1]), &[1.0, 1.0 / 3.0, 1.0, 1.0]));
    let linear = Resize { mode: ResizeMode::Linear, ..Resize::default() };
    check(Lowered, linear.clone(), &by_scales(floats(&[1, 2, 3, 4, 5]), &[1.0, 1.0, 2.0, 2.0, 2.0]));
    let axes = Resize { axes: Some(vec![2, 3]), ..linear.clone() };
    check(Lowered, axes, &by_scales(image(), &[2.0, 3.0]));
    for keep_aspect_ratio_policy in [AspectPolicy::NotLarger, AspectPolicy::NotSmaller] {
        let resize = Resize { keep_aspect_ratio_policy, axes: Some(vec![2, 3]), ..linear.clone() };
        check(Lowered, resize, &by_sizes(floats(&[2, 3, 4, 5]), &[7, 8]));
    }
    check(Refused, cubic, &by_scales(floats(&[2, 3, 4, 5]).symbolic(&[2]), &[1.0, 1.0, 2.0, 2.0]));
}
