//! Shapes and movement.

use std::sync::Arc;

use exegesis_graph::op::{self, DepthOrder, PadMode};
use exegesis_graph::{DType, Tensor};

use crate::case::Verdict::{Lowered, Native, Refused};
use crate::case::*;

#[test]
fn shapes() {
    let x = || floats(&[2, 3, 4]).symbolic(&[0, 2]);
    check(Native, op::Shape::default(), &[x()]);
    check(Native, op::Shape { start: 1, end: Some(-1) }, &[x()]);
    check(Native, op::Size {}, &[x()]);
    for axis in [0, 1, 2, 3, -1] {
        check(Native, op::Flatten { axis }, &[x()]);
    }
    check(Native, op::Reshape::default(), &[x(), vector(&[0, -1])]);
    check(Native, op::Reshape::default(), &[ints(0, 9, &[2, 3]), vector(&[3, 2])]);
    check(Native, op::Expand {}, &[floats(&[3, 1]), vector(&[2, 1, 4])]);
    check(Native, op::Unsqueeze {}, &[x(), vector(&[0, -1])]);
    check(Native, op::Squeeze {}, &[floats(&[1, 3, 1]), vector(&[0])]);
    check(Native, op::Squeeze {}, &[floats(&[1, 3, 1])]);
    check(Native, op::Transpose { perm: vec![2, 0, 1] }, &[x()]);
    check(Lowered, op::Transpose { perm: vec![] }, &[x()]);
    check(Native, op::Tile {}, &[floats(&[2, 3]), vector(&[2, 1])]);
}

#[test]
fn constants_by_shape() {
    let value = |v: Tensor| Some(Arc::new(v));
    check(Native, op::ConstantOfShape { value: None }, &[vector(&[2, 3])]);
    check(Native, op::ConstantOfShape { value: value(Tensor::vector(vec![7i64])) }, &[vector(&[2, 3])]);
    check(Native, op::ConstantOfShape { value: value(Tensor::vector(vec![1.5f64])) }, &[vector(&[2])]);
    check(Native, op::EyeLike { dtype: Some(DType::F32), k: 1 }, &[ints(0, 2, &[3, 4])]);
    check(Native, op::EyeLike { dtype: None, k: -1 }, &[floats(&[3, 4])]);
    for (start, limit, delta) in [(0i64, 7, 2), (5, -3, -2), (3, 3, 1)] {
        let bounds = [start, limit, delta].map(|x| values(&[], vec![x]));
        check(Native, op::Range {}, &bounds);
    }
    for (start, limit, delta) in [(0.0f32, 1.0, 0.1), (1.0, -1.0, -0.3), (2.0, 1.0, 0.5)] {
        let bounds = [start, limit, delta].map(|x| values(&[], vec![x]));
        check(Lowered, op::Range {}, &bounds);
    }
    for upper in [false, true] {
        check(Native, op::Trilu { upper }, &[floats(&[2, 3, 4])]);
        check(Native, op::Trilu { upper }, &[ints(0, 9, &[3, 4]), Operand::Constant(Tensor::scalar(1i64))]);
    }
}

#[test]
fn slices_and_pieces() {
    let x = || floats(&[5, 6]).symbolic(&[0]);
    let slice = |starts: &[i64], ends: &[i64]| vec![x(), vector(starts), vector(ends)];
    check(Native, op::Slice {}, &slice(&[1, -4], &[i64::MAX, -1]));
    let mut stepped = slice(&[0, 1], &[i64::MAX, 6]);
    stepped.extend([vector(&[0, 1]), vector(&[2, 2])]);
    check(Native, op::Slice {}, &stepped);
    let mut backward = slice(&[-1], &[i64::MIN]);
    backward.extend([vector(&[1]), vector(&[-2])]);
    check(Native, op::Slice {}, &backward);
    let mut no_axes = slice(&[0, 1], &[5, 6]);
    no_axes.extend([Operand::Absent, vector(&[2, 3])]);
    check(Lowered, op::Slice {}, &no_axes);
    check_outputs(Native, op::Split { axis: 1, num_outputs: None }, &[x(), vector(&[1, 3, 2])], 3);
    check_outputs(Native, op::Split { axis: 0, num_outputs: Some(2) }, &[floats(&[5, 2])], 2);
    check(Native, op::Concat { axis: 1 }, &[floats(&[2, 3]), floats(&[2, 1]), floats(&[2, 2])]);
    check(Native, op::Concat { axis: -1 }, &[ints(0, 3, &[2, 3]), ints(0, 3, &[2, 1])]);
}

#[test]
fn depth_and_space() {
    for mode in [DepthOrder::Dcr, DepthOrder::Crd] {
        check(Native, op::DepthToSpace { blocksize: 2, mode }, &[floats(&[2, 8, 3, 2])]);
    }
    let x = || floats(&[2, 3, 4, 6]);
    check(Lowered, op::SpaceToDepth { blocksize: 2 }, &[x()]);
    check(Lowered, op::SpaceToDepth { blocksize: 2 }, &[x().symbolic(&[0, 2, 3])]);
}

#[test]
fn pads() {
    let x = || floats(&[2, 3, 4]);
    let pads = || vector(&[1, 0, 2, 0, 1, 1]);
    check(Native, op::Pad { mode: PadMode::Constant }, &[x(), pads(), scalar(0.5)]);
    check(Native, op::Pad { mode: PadMode::Constant }, &[x(), vector(&[0, -1, 1, 0, 0, -2])]);
    let some = [x().symbolic(&[0]), vector(&[1, 2]), scalar(0.5), vector(&[-1])];
    check(Lowered, op::Pad { mode: PadMode::Constant }, &some);
    for mode in [PadMode::Reflect, PadMode::Edge] {
        check(Native, op::Pad { mode }, &[x(), vector(&[0, 1, 2, 0, 1, 1])]);
        check(Lowered, op::Pad { mode }, &[floats(&[4, 3, 4]), pads()]);
        check(Refused, op::Pad { mode }, &[x().symbolic(&[0]), pads()]);
    }
    // rten ignores a crop at the begin, and mirrors once only.
    for mode in [PadMode::Reflect, PadMode::Edge] {
        check(Lowered, op::Pad { mode }, &[x(), vector(&[0, 1, -1, 0, 0, 2])]);
        check(Lowered, op::Pad { mode }, &[x(), vector(&[0, 0, 1, 0, -1, 0])]);
        check(Refused, op::Pad { mode }, &[x().symbolic(&[2]), vector(&[0, 0, -1, 0, 0, 0])]);
    }
    check(Lowered, op::Pad { mode: PadMode::Reflect }, &[floats(&[2, 2, 3]), vector(&[0, 4, 3, 0, 0, 7])]);
    check(Lowered, op::Pad { mode: PadMode::Wrap }, &[x(), pads()]);
    check(Lowered, op::Pad { mode: PadMode::Wrap }, &[x(), vector(&[0, 0, 2, 0, 0, 1])]);
    check(Refused, op::Pad { mode: PadMode::Wrap }, &[x().symbolic(&[2]), vector(&[0, 0, 2, 0, 0, 1])]);
}
