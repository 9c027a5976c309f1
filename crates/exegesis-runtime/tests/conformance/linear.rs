//! Matrix products, normalisation, composites and quantisation.

use exegesis_graph::op;
use exegesis_graph::{DType, Tensor};

use crate::case::Verdict::{Lowered, Native, Refused};
use crate::case::*;

#[test]
fn products() {
    for (a, b) in [(vec![3, 4], vec![4, 5]), (vec![2, 3, 4], vec![4, 5]), (vec![2, 1, 3, 4], vec![5, 4, 2])] {
        check(Native, op::MatMul {}, &[floats(&a), floats(&b)]);
        check(Native, op::MatMul {}, &[floats(&a).symbolic(&[0]), constant(floats(&b))]);
    }
    check(Native, op::MatMul {}, &[floats(&[4]), floats(&[4, 5])]);
    check(Native, op::MatMul {}, &[floats(&[3, 4]), floats(&[4])]);
    check(Refused, op::MatMul {}, &[ints(0, 3, &[3, 4]), ints(0, 3, &[4, 2])]);
    for (trans_a, trans_b) in [(false, false), (true, false), (false, true), (true, true)] {
        let gemm = op::Gemm { alpha: 0.5, beta: 2.0, transA: trans_a, transB: trans_b };
        let a = if trans_a { [4, 3] } else { [3, 4] };
        let b = if trans_b { [5, 4] } else { [4, 5] };
        check(Native, gemm.clone(), &[floats(&a), floats(&b), floats(&[5])]);
        check(Native, gemm.clone(), &[floats(&a), constant(floats(&b)), floats(&[3, 1])]);
        check(Native, gemm, &[floats(&a), floats(&b)]);
    }
    for (trans_b, weights) in [(false, [4, 5]), (true, [5, 4])] {
        let linear = op::Linear { transB: trans_b };
        for x in [vec![3, 4], vec![2, 3, 4]] {
            check(Lowered, linear.clone(), &[floats(&x), constant(floats(&weights)), constant(floats(&[5]))]);
        }
    }
}

#[test]
fn einsum() {
    for (equation, shapes) in [
        ("ij,jk->ik", vec![vec![3, 4], vec![4, 5]]),
        ("bij,bjk->bik", vec![vec![2, 3, 4], vec![2, 4, 5]]),
        ("bhid,bhjd->bhij", vec![vec![2, 2, 3, 4], vec![2, 2, 5, 4]]),
        ("ij->ji", vec![vec![3, 4]]),
        ("ij->i", vec![vec![3, 4]]),
        ("...ij,...jk->...ik", vec![vec![2, 3, 4], vec![2, 4, 5]]),
        ("i,j->ij", vec![vec![3], vec![4]]),
        ("ij,ij->", vec![vec![3, 4], vec![3, 4]]),
    ] {
        let operands: Vec<Operand> = shapes.iter().map(|s| floats(s)).collect();
        check(Native, op::Einsum { equation: equation.to_string() }, &operands);
    }
    for equation in ["...ij,...jk->...ik", "...ij,...jk"] {
        let operands = [floats(&[2, 5, 3, 4]), floats(&[5, 4, 2])];
        check(Lowered, op::Einsum { equation: equation.to_string() }, &operands);
    }
    check(Refused, op::Einsum { equation: "ii->i".to_string() }, &[floats(&[3, 3])]);
}

#[test]
fn softmax_family() {
    for axis in [-1, 0, 1] {
        let x = || floats(&[3, 4, 5]).symbolic(&[0]);
        check(Native, op::Softmax { axis }, &[x()]);
        check(Native, op::LogSoftmax { axis }, &[x()]);
        check(Lowered, op::Hardmax { axis }, &[x()]);
    }
    check(Lowered, op::Hardmax { axis: 1 }, &[values(&[2, 3], vec![1.0f32, 1.0, 0.0, 2.0, 5.0, 5.0])]);
}

#[test]
fn normalisation() {
    let vector = |low: f64| constant(floats_in(low, 2.0, &[4]));
    let x = || floats(&[2, 4, 3, 3]).symbolic(&[0]);
    let batch = op::BatchNormalization { epsilon: 1e-3 };
    check(Native, batch, &[x(), vector(0.5), vector(-1.0), vector(-0.5), vector(0.1)]);
    check(Native, op::InstanceNormalization { epsilon: 1e-3 }, &[x(), vector(0.5), vector(-1.0)]);
    let group = op::GroupNormalization { epsilon: 1e-3, num_groups: 2 };
    check(Lowered, group, &[x(), vector(0.5), vector(-1.0)]);
    let tail = |low: f64| constant(floats_in(low, 2.0, &[3]));
    let layer = op::LayerNormalization { epsilon: 1e-3, ..Default::default() };
    check(Native, layer.clone(), &[x(), tail(0.5), tail(-1.0)]);
    check(Native, layer, &[x(), tail(0.5)]);
    let layer = op::LayerNormalization { axis: 2, ..Default::default() };
    check(Native, layer, &[x(), constant(floats(&[3, 3])), constant(floats(&[3, 3]))]);
    check(Lowered, op::LayerNormalization { stash_type: 11, ..Default::default() }, &[x(), tail(0.5)]);
    check(Lowered, op::RmsNormalization { axis: -1, epsilon: 1e-3 }, &[x(), tail(0.5)]);
    for p in [1, 2] {
        check(Native, op::LpNormalization { axis: 1, p }, &[x()]);
    }
    check(Refused, op::LpNormalization { axis: 1, p: 3 }, &[x()]);
    for size in [1, 2, 3] {
        check(Lowered, op::Lrn { alpha: 0.3, beta: 0.7, bias: 1.5, size }, &[x()]);
    }
    check(Lowered, op::MeanVarianceNormalization::default(), &[x()]);
}

#[test]
fn attention() {
    let (q, k, v) = (|| floats(&[2, 4, 3, 8]), || floats(&[2, 2, 5, 8]), || floats(&[2, 2, 5, 6]));
    let plain = op::Attention { scale: 0.3, ..Default::default() };
    check(Lowered, plain.clone(), &[q(), k(), v()]);
    check(Lowered, plain.clone(), &[q(), k(), v(), floats(&[2, 1, 3, 5])]);
    check(Lowered, plain.clone(), &[q(), k(), v(), constant(bools(&[3, 5]))]);
    check(Lowered, op::Attention { softcap: 2.0, ..plain.clone() }, &[q(), k(), v()]);
    let square = || floats(&[2, 2, 5, 8]);
    check(Lowered, op::Attention { is_causal: true, ..plain }, &[square(), k(), v()]);
    for (interleaved, width) in [(false, 8), (true, 4)] {
        let angles = |low: f64| floats_in(low, 1.0, &[1, 1, 5, width]);
        check(Lowered, op::RotaryEmbedding { interleaved }, &[square(), angles(-1.0), angles(0.0)]);
    }
}

#[test]
fn quantisation() {
    let scale = || constant(floats_in(0.05, 0.1, &[]));
    let zero = Operand::Constant(Tensor::scalar(7u8));
    check(Native, op::QuantizeLinear { axis: 1 }, &[floats(&[3, 4]), scale(), zero.clone()]);
    check(Lowered, op::QuantizeLinear { axis: 1 }, &[floats(&[3, 4]), scale()]);
    check(Native, op::DequantizeLinear { axis: 1 }, &[ints_of(DType::U8, 0, 255, &[3, 4]), scale(), zero]);
    let per_channel = [
        ints_of(DType::I8, -9, 9, &[3, 4]),
        constant(floats_in(0.1, 0.2, &[4])),
        constant(ints_of(DType::I8, -2, 3, &[4])),
    ];
    check(Native, op::DequantizeLinear { axis: 1 }, &per_channel);
}
