//! Reductions, orders, and reading or writing by index.

use exegesis_graph::op::{self, Reduce, ReduceKind, ScatterReduction};
use exegesis_graph::{DType, Tensor};

use crate::case::Verdict::{Lowered, Native, Refused};
use crate::case::*;

#[test]
fn reductions() {
    for kind in ReduceKind::ALL {
        for keepdims in [false, true] {
            let reduce = Reduce { kind: *kind, keepdims, noop_with_empty_axes: false };
            let x = || floats_in(0.2, 2.0, &[2, 3, 4]).symbolic(&[0]);
            check(Native, reduce.clone(), &[x()]);
            check(Native, reduce.clone(), &[x(), vector(&[1])]);
            check(Native, reduce.clone(), &[x(), vector(&[-1, 0])]);
            check(Native, reduce.clone(), &[x(), vector(&[1, 2])]);
        }
        let none = Reduce { kind: *kind, keepdims: true, noop_with_empty_axes: true };
        check(Lowered, none, &[floats_in(0.2, 2.0, &[2, 3])]);
        let verdict = match kind {
            ReduceKind::L2 | ReduceKind::LogSum | ReduceKind::LogSumExp | ReduceKind::Mean => Refused,
            _ => Native,
        };
        let reduce = Reduce { kind: *kind, keepdims: false, noop_with_empty_axes: false };
        check(verdict, reduce, &[ints(1, 4, &[2, 3]), vector(&[1])]);
    }
}

#[test]
fn first_and_last_of_equals() {
    let ties = || values(&[2, 4], vec![1.0f32, 3.0, 3.0, 0.0, 2.0, 0.0, 2.0, 0.0]);
    for (axis, keepdims) in [(1, true), (1, false), (0, true), (-1, false)] {
        for select_last_index in [false, true] {
            check(Lowered, op::ArgMax { axis, keepdims, select_last_index }, &[ties()]);
            check(Lowered, op::ArgMin { axis, keepdims, select_last_index }, &[ties()]);
        }
    }
    check(Lowered, op::ArgMax { axis: 1, ..Default::default() }, &[ints(0, 3, &[3, 9])]);
}

#[test]
fn orders() {
    for (largest, axis) in [(true, -1), (false, -1), (true, 0)] {
        let op = op::TopK { axis, largest, sorted: true };
        check_outputs(Native, op, &[floats(&[4, 5]), vector(&[3])], 2);
    }
    for (exclusive, reverse) in [(false, false), (true, false), (false, true), (true, true)] {
        let axis = Operand::Constant(Tensor::scalar(1i64));
        check(Native, op::CumSum { exclusive, reverse }, &[floats(&[2, 5]), axis.clone()]);
        check(Native, op::CumSum { exclusive, reverse }, &[ints(0, 5, &[2, 5]), axis]);
    }
    check(Native, op::NonZero {}, &[ints(0, 2, &[3, 4])]);
    check(Native, op::NonZero {}, &[bools(&[3, 4])]);
    check(Refused, op::Unique::default(), &[floats(&[4])]);
    let condition = || values(&[4], vec![true, false, true, true]);
    check(Lowered, op::Compress { axis: Some(1) }, &[floats(&[2, 4]), condition()]);
    check(Lowered, op::Compress { axis: None }, &[floats(&[2, 4]), condition()]);
}

#[test]
fn gathers() {
    check(Native, op::Gather { axis: 0 }, &[floats(&[5, 3]), ints(-5, 5, &[2, 2])]);
    check(Native, op::Gather { axis: 1 }, &[floats(&[5, 3]).symbolic(&[0]), ints(0, 3, &[])]);
    check(Native, op::Gather { axis: -1 }, &[ints(0, 9, &[5, 3]), ints(0, 3, &[4])]);
    check(Native, op::GatherElements { axis: 1 }, &[floats(&[3, 4]), ints(0, 4, &[3, 2])]);
    check(Native, op::GatherElements { axis: 0 }, &[floats(&[3, 4]), ints(-3, 3, &[2, 3])]);
    check(Native, op::GatherND { batch_dims: 0 }, &[floats(&[3, 4, 2]), ints(0, 3, &[5, 2])]);
    check(Native, op::GatherND { batch_dims: 1 }, &[floats(&[3, 4, 2]), ints(0, 4, &[3, 2, 1])]);
}

#[test]
fn scatters() {
    for reduction in ScatterReduction::ALL.iter().copied() {
        let index = values(&[3, 2], vec![0i64, 3, 1, 1, -1, 2]);
        let unique = values(&[3, 2], vec![0i64, 3, 1, 2, -1, 2]);
        let index = if reduction == ScatterReduction::None { unique } else { index };
        check(Native, op::ScatterElements { axis: 1, reduction }, &[floats(&[3, 4]), index, floats(&[3, 2])]);
        let places = values(&[2, 1], vec![2i64, 0]);
        check(Native, op::ScatterND { reduction }, &[floats(&[4, 3]), places, floats(&[2, 3])]);
    }
    // rten would pair the rows of a smaller index with the wrong rows of the data.
    for reduction in [ScatterReduction::None, ScatterReduction::Add] {
        let smaller =
            [floats(&[2, 3, 4]), values(&[1, 2, 3], vec![0i64, 1, 1, 1, -1, 0]), floats(&[1, 2, 3])];
        check(Lowered, op::ScatterElements { axis: 0, reduction }, &smaller);
        let index = values(&[2, 2], vec![0i64, 3, -1, 1]);
        let rows = [floats(&[2, 4]).symbolic(&[0]), index, floats(&[2, 2])];
        check(Lowered, op::ScatterElements { axis: 1, reduction }, &rows);
    }
}

#[test]
fn one_hot_and_sampling() {
    let on_off = || constant(values(&[2], vec![-1.0f32, 2.0]));
    let depth = || Operand::Constant(Tensor::scalar(4i64));
    for axis in [-1, 0, 1] {
        check(Native, op::OneHot { axis }, &[ints(-4, 4, &[2, 3]), depth(), on_off()]);
    }
    let index = values(&[3], vec![0.0f32, 2.0, 3.0]);
    check(Lowered, op::OneHot { axis: -1 }, &[index, depth(), on_off()]);
    for align_corners in [false, true] {
        let sample = op::GridSample { align_corners, ..Default::default() };
        check(Native, sample, &[floats(&[2, 3, 4, 5]), floats_in(-1.2, 1.2, &[2, 3, 2, 2])]);
    }
    let nearest = op::GridSample { mode: "nearest".into(), ..Default::default() };
    check(Refused, nearest, &[floats(&[2, 3, 4, 5]), floats(&[2, 3, 2, 2])]);
    let border = op::GridSample { padding_mode: "border".into(), ..Default::default() };
    check(Refused, border, &[floats(&[2, 3, 4, 5]), floats(&[2, 3, 2, 2])]);
    let lengths = values(&[3], vec![2i64, 4, 1]);
    let reverse = op::ReverseSequence { batch_axis: 1, time_axis: 0 };
    check(Native, reverse, &[floats(&[4, 3, 2]), lengths.clone()]);
    let reverse = op::ReverseSequence { batch_axis: 0, time_axis: 1 };
    check(Native, reverse, &[floats(&[3, 4, 2]), lengths]);
    check(Refused, op::NonMaxSuppression::default(), &[floats(&[1, 6, 4]), floats(&[1, 1, 6])]);
    let boxes = [floats(&[1, 2, 4, 4]), floats_in(0.0, 3.0, &[1, 4]), ints_of(DType::I64, 0, 1, &[1])];
    check(Refused, op::RoiAlign::default(), &boxes);
}
