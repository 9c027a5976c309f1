//! Convolutions and pools.

use exegesis_graph::op::{self, AutoPad, Conv, ConvTranspose};

use crate::case::Verdict::{Lowered, Native, Refused};
use crate::case::*;

const AUTO: [AutoPad; 3] = [AutoPad::Valid, AutoPad::SameUpper, AutoPad::SameLower];

#[test]
fn convolutions() {
    let image = || floats(&[2, 4, 7, 6]).symbolic(&[0]);
    let kernel = |group: usize| constant(floats_in(-1.0, 1.0, &[6, 4 / group, 3, 2]));
    check(Native, Conv::default(), &[image(), kernel(1)]);
    check(Native, Conv { group: 2, ..Conv::default() }, &[image(), kernel(2), constant(floats(&[6]))]);
    let padded =
        Conv { pads: vec![2, 0, 1, 1], strides: vec![2, 1], dilations: vec![1, 2], ..Conv::default() };
    check(Native, padded.clone(), &[image(), kernel(1), constant(floats(&[6]))]);
    check(Native, padded, &[floats(&[2, 4, 7, 6]).symbolic(&[0, 2, 3]), floats_in(-1.0, 1.0, &[6, 4, 3, 2])]);
    let depthwise = Conv { group: 4, pads: vec![1, 1, 1, 1], ..Conv::default() };
    check(Native, depthwise, &[image(), constant(floats(&[4, 1, 3, 3]))]);
    check(Native, Conv::default(), &[image(), constant(floats(&[6, 4, 1, 1]))]);
    let line = Conv { pads: vec![1, 2], strides: vec![2], dilations: vec![2], ..Conv::default() };
    check(Native, line, &[floats(&[2, 4, 9]), constant(floats(&[3, 4, 3])), constant(floats(&[3]))]);
    for auto_pad in AUTO {
        for stride in [1, 2] {
            let conv = Conv { auto_pad, strides: vec![stride, stride], ..Conv::default() };
            check(Native, conv, &[image(), kernel(1)]);
        }
        let conv = Conv { auto_pad, ..Conv::default() };
        check(Native, conv, &[floats(&[2, 4, 7, 6]).symbolic(&[0, 2, 3]), kernel(1)]);
    }
    let unknown = Conv { auto_pad: AutoPad::SameLower, strides: vec![2, 2], ..Conv::default() };
    check(Refused, unknown, &[floats(&[2, 4, 7, 6]).symbolic(&[2, 3]), kernel(1)]);
    check(Refused, Conv::default(), &[floats(&[1, 2, 3, 3, 3, 3]), constant(floats(&[2, 2, 1, 1, 1, 1]))]);
}

#[test]
fn convolutions_over_three_axes() {
    let volume = || floats(&[2, 4, 5, 6, 7]);
    let kernel = |group: usize| constant(floats_in(-1.0, 1.0, &[6, 4 / group, 3, 2, 3]));
    let bias = || constant(floats(&[6]));
    let plain = Conv::default();
    check(Lowered, plain.clone(), &[volume(), kernel(1)]);
    check(Lowered, plain, &[volume().symbolic(&[0, 2, 3, 4]), kernel(1), bias()]);
    let full = Conv {
        pads: vec![1, 0, 2, 2, 1, 0],
        strides: vec![2, 1, 2],
        dilations: vec![2, 1, 1],
        group: 2,
        ..Conv::default()
    };
    check(Lowered, full.clone(), &[volume().symbolic(&[0]), kernel(2), bias()]);
    check(Lowered, full, &[volume(), floats_in(-1.0, 1.0, &[6, 2, 3, 2, 3])]);
    for auto_pad in AUTO {
        check(Lowered, Conv { auto_pad, strides: vec![2, 2, 1], ..Conv::default() }, &[volume(), kernel(1)]);
    }
}

#[test]
fn transposed_convolutions() {
    let image = || floats(&[2, 4, 5, 6]).symbolic(&[0]);
    let kernel = |group: usize| constant(floats_in(-1.0, 1.0, &[4, 6 / group, 3, 2]));
    check(Native, ConvTranspose::default(), &[image(), kernel(1)]);
    let full = ConvTranspose {
        pads: vec![2, 0, 1, 1],
        strides: vec![2, 3],
        dilations: vec![1, 2],
        output_padding: vec![1, 2],
        group: 2,
        ..ConvTranspose::default()
    };
    check(Native, full, &[image(), kernel(2), constant(floats(&[6]))]);
    let line = ConvTranspose { pads: vec![1, 0], strides: vec![2], ..ConvTranspose::default() };
    check(Native, line, &[floats(&[2, 4, 5]), constant(floats(&[4, 3, 3]))]);
    for auto_pad in [AutoPad::SameUpper, AutoPad::SameLower] {
        let conv = ConvTranspose { auto_pad, strides: vec![2, 2], ..ConvTranspose::default() };
        check(Native, conv, &[image(), kernel(1)]);
    }
    let sized = ConvTranspose { output_shape: vec![10, 12], strides: vec![2, 2], ..ConvTranspose::default() };
    check(Native, sized, &[image(), kernel(1)]);
}

#[test]
fn transposed_convolutions_over_three_axes() {
    let volume = || floats(&[2, 4, 3, 4, 5]);
    let kernel = |group: usize| constant(floats_in(-1.0, 1.0, &[4, 6 / group, 3, 2, 3]));
    check(Lowered, ConvTranspose::default(), &[volume().symbolic(&[0, 3, 4]), kernel(1)]);
    let full = ConvTranspose {
        pads: vec![1, 0, 2, 0, 1, 0],
        strides: vec![2, 1, 3],
        dilations: vec![2, 1, 1],
        output_padding: vec![1, 0, 1],
        group: 2,
        ..ConvTranspose::default()
    };
    check(Lowered, full, &[volume(), kernel(2), constant(floats(&[6]))]);
}

#[test]
fn maximum_pools() {
    let image = || floats(&[2, 5, 7, 6]).symbolic(&[0]);
    let pool = op::MaxPool { kernel_shape: vec![3, 2], ..Default::default() };
    check(Native, pool.clone(), &[image()]);
    let strided = op::MaxPool { strides: vec![2, 2], pads: vec![1, 0, 1, 1], ..pool.clone() };
    check(Native, strided.clone(), &[image()]);
    check(Native, op::MaxPool { ceil_mode: true, ..strided.clone() }, &[image()]);
    for auto_pad in AUTO {
        check(Native, op::MaxPool { auto_pad, strides: vec![2, 1], ..pool.clone() }, &[image()]);
    }
    let line = op::MaxPool { kernel_shape: vec![3], strides: vec![2], ..Default::default() };
    check(Native, line, &[floats(&[2, 5, 9])]);
    let dilated = op::MaxPool { dilations: vec![2, 2], ..strided.clone() };
    check(Lowered, dilated.clone(), &[floats(&[2, 5, 7, 6]).symbolic(&[0, 2, 3])]);
    check(Lowered, op::MaxPool { ceil_mode: true, ..dilated.clone() }, &[image()]);
    check(Refused, op::MaxPool { ceil_mode: true, ..dilated }, &[floats(&[2, 5, 7, 6]).symbolic(&[2])]);
    let (graph, _) = graph(strided, &[image()], 2);
    let error = exegesis_runtime::Runtime::load(&exegesis_runtime::RtenRuntime, graph, &Default::default());
    assert_eq!(error.unwrap_err().node(), Some("node"));
    let volume = || floats(&[2, 3, 5, 6, 7]);
    let deep = op::MaxPool { kernel_shape: vec![2, 3, 2], ..Default::default() };
    check(Lowered, deep.clone(), &[volume().symbolic(&[0, 2, 3, 4])]);
    let deep = op::MaxPool { strides: vec![2, 1, 2], pads: vec![1, 0, 1, 0, 1, 0], ..deep };
    check(Lowered, deep.clone(), &[volume()]);
    check(Lowered, op::MaxPool { ceil_mode: true, ..deep }, &[volume()]);
}

#[test]
fn average_pools() {
    let image = || floats(&[2, 5, 7, 6]).symbolic(&[0]);
    for count_include_pad in [false, true] {
        let pool = op::AveragePool { kernel_shape: vec![3, 2], count_include_pad, ..Default::default() };
        check(Native, pool.clone(), &[image()]);
        let strided = op::AveragePool { strides: vec![2, 2], pads: vec![1, 0, 1, 1], ..pool.clone() };
        check(Native, strided.clone(), &[image()]);
        check(Native, op::AveragePool { ceil_mode: true, ..strided.clone() }, &[image()]);
        for auto_pad in AUTO {
            check(Native, op::AveragePool { auto_pad, strides: vec![2, 1], ..pool.clone() }, &[image()]);
        }
        let dilated = op::AveragePool { dilations: vec![2, 2], ..strided };
        check(Lowered, dilated.clone(), &[floats(&[2, 5, 7, 6]).symbolic(&[0, 2, 3])]);
        check(Lowered, op::AveragePool { ceil_mode: true, ..dilated }, &[image()]);
        let deep = op::AveragePool {
            kernel_shape: vec![2, 3, 2],
            strides: vec![2, 1, 2],
            pads: vec![1, 0, 1, 0, 1, 0],
            count_include_pad,
            ..Default::default()
        };
        check(Lowered, deep.clone(), &[floats(&[2, 3, 5, 6, 7]).symbolic(&[0, 2])]);
        check(Lowered, op::AveragePool { ceil_mode: true, ..deep }, &[floats(&[2, 3, 5, 6, 7])]);
    }
}

#[test]
fn norm_pools_and_global_pools() {
    let image = || floats(&[2, 5, 7, 6]).symbolic(&[0]);
    for p in [1, 2, 3] {
        let pool = op::LpPool { kernel_shape: vec![3, 2], p, ..Default::default() };
        check(Lowered, pool.clone(), &[image()]);
        check(Lowered, op::LpPool { strides: vec![2, 2], pads: vec![1, 0, 1, 1], ..pool }, &[image()]);
        check(Lowered, op::GlobalLpPool { p }, &[image()]);
    }
    for x in [floats(&[2, 3, 5]), image(), floats(&[2, 3, 2, 3, 4])] {
        check(Native, op::GlobalAveragePool {}, std::slice::from_ref(&x));
        check(Native, op::GlobalMaxPool {}, &[x]);
    }
}
