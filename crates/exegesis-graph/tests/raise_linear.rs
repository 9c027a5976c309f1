//! Linear maps with constant weights, and biases of convolutions.

mod raise_support;

use exegesis_graph::op::{Binary, Conv, ConvTranspose, Einsum, Gather, Gemm, Linear, MatMul, Op, Unary};
use exegesis_graph::passes::raise::Pattern;
use exegesis_graph::{Tensor, ValueId};
use raise_support::{Build, Net, Random, check, operators};

fn random(net: &mut Net, shape: &[usize]) -> ValueId {
    let tensor = Random::new(shape.len() as u64 + 40).tensor(shape);
    net.constant(tensor)
}

fn product_plus(net: &mut Net, x: ValueId, bias: &[usize]) -> ValueId {
    let (w, b) = (random(net, &[4, 3]), random(net, bias));
    let p = net.op(MatMul {}, &[x, w]);
    net.op(Binary::Add, &[b, p])
}

#[test]
fn products_with_bias() {
    for build in [
        (|n, x| product_plus(n, x, &[3])) as Build,
        |n, x| product_plus(n, x, &[1, 3]),
        |n, x| product_plus(n, x, &[1, 1, 3]),
        |n, x| product_plus(n, x, &[1]),
        |n, x| product_plus(n, x, &[]),
        |n, x| {
            let (w, b) = (random(n, &[3, 4]), random(n, &[3]));
            let p = n.op(Einsum { equation: "...i, oi -> ...o".into() }, &[x, w]);
            n.op(Binary::Add, &[p, b])
        },
    ] {
        let after = check(&["batch", "5", "4"], Pattern::Linear, 1, build);
        assert_eq!(operators(&after), ["Linear"]);
    }
    // The bias adds an axis, differs by row, or is no constant; the constant is on the left; the product is read twice.
    let near_misses: [Build; 6] = [
        |n, x| product_plus(n, x, &[1, 1, 1, 3]),
        |n, x| product_plus(n, x, &[5, 3]),
        |n, x| {
            let w = random(n, &[4, 4]);
            let p = n.op(MatMul {}, &[x, w]);
            n.op(Binary::Add, &[p, x])
        },
        |n, x| {
            let (w, b) = (random(n, &[3, 5]), random(n, &[4]));
            let p = n.op(MatMul {}, &[w, x]);
            n.op(Binary::Add, &[p, b])
        },
        |n, x| {
            let (w, b) = (random(n, &[4, 3]), random(n, &[3]));
            let p = n.op(MatMul {}, &[x, w]);
            let y = n.op(Binary::Add, &[p, b]);
            n.op(Binary::Mul, &[y, p])
        },
        |n, x| {
            let (w, b) = (random(n, &[5, 3]), random(n, &[3]));
            let p = n.op(Einsum { equation: "bti,to->bio".into() }, &[x, w]);
            n.op(Binary::Add, &[p, b])
        },
    ];
    for build in near_misses {
        check(&["batch", "5", "4"], Pattern::Linear, 0, build);
    }
}

#[test]
fn a_product_without_bias_stays() {
    let after = check(&["batch", "5", "4"], Pattern::Linear, 0, |n, x| {
        let w = random(n, &[4, 3]);
        n.op(MatMul {}, &[x, w])
    });
    assert_eq!(operators(&after), ["MatMul"]);
}

#[test]
fn a_bias_behind_a_selection_of_rows() {
    let after = check(&["batch", "5", "4"], Pattern::Linear, 1, |n, x| {
        let (w, b) = (random(n, &[4, 3]), random(n, &[3]));
        let p = n.op(MatMul {}, &[x, w]);
        let index = n.constant(Tensor::scalar(1i64));
        let row = n.op(Gather { axis: 1 }, &[p, index]);
        n.op(Binary::Add, &[row, b])
    });
    let mut names = operators(&after);
    names.sort();
    assert_eq!(names, ["Gather", "Linear"]);
    // A selection of columns moves the bias.
    check(&["batch", "5", "4"], Pattern::Linear, 0, |n, x| {
        let (w, b) = (random(n, &[4, 3]), random(n, &[2]));
        let p = n.op(MatMul {}, &[x, w]);
        let index = n.ints(&[2, 0]);
        let columns = n.op(Gather { axis: 2 }, &[p, index]);
        n.op(Binary::Add, &[columns, b])
    });
}

#[test]
fn gemm() {
    let forms: [Build; 4] = [
        |n, x| {
            let (w, b) = (random(n, &[3, 4]), random(n, &[3]));
            n.op(Gemm { transB: true, ..Gemm::default() }, &[x, w, b])
        },
        |n, x| {
            let (w, b) = (random(n, &[4, 3]), random(n, &[1, 3]));
            n.op(Gemm { alpha: 0.5, beta: 2.0, ..Gemm::default() }, &[x, w, b])
        },
        |n, x| {
            let w = random(n, &[4, 3]);
            n.op(Gemm { alpha: 2.0, ..Gemm::default() }, &[x, w])
        },
        |n, x| {
            let (w, b) = (random(n, &[4, 3]), random(n, &[]));
            n.op(Gemm::default(), &[x, w, b])
        },
    ];
    for build in forms {
        let after = check(&["batch", "4"], Pattern::Linear, 1, build);
        let (_, node) = after.nodes().next().unwrap();
        assert!(matches!(node.op, Op::Linear(Linear { .. })) && node.inputs.len() == 3);
    }
    // The input is transposed; the added matrix has rows; the weight is no constant.
    check(&["4", "2"], Pattern::Linear, 0, |n, x| {
        let (w, b) = (random(n, &[4, 3]), random(n, &[3]));
        n.op(Gemm { transA: true, ..Gemm::default() }, &[x, w, b])
    });
    check(&["2", "4"], Pattern::Linear, 0, |n, x| {
        let (w, b) = (random(n, &[4, 3]), random(n, &[2, 3]));
        n.op(Gemm::default(), &[x, w, b])
    });
    check(&["4", "4"], Pattern::Linear, 0, |n, x| {
        let b = random(n, &[4]);
        let w = n.op(Unary::Tanh, &[x]);
        n.op(Gemm::default(), &[x, w, b])
    });
}

#[test]
fn biases_of_convolutions() {
    let after = check(&["batch", "2", "5", "5"], Pattern::ConvBias, 1, |n, x| {
        let (w, b) = (random(n, &[3, 2, 2, 2]), random(n, &[3, 1, 1]));
        let y = n.op(Conv::default(), &[x, w]);
        n.op(Binary::Add, &[y, b])
    });
    assert_eq!(operators(&after), ["Conv"]);
    let after = check(&["batch", "2", "5"], Pattern::ConvBias, 1, |n, x| {
        let (w, b) = (random(n, &[2, 3, 2]), random(n, &[1, 6, 1]));
        let y = n.op(ConvTranspose { group: 2, ..ConvTranspose::default() }, &[x, w]);
        n.op(Binary::Add, &[b, y])
    });
    assert_eq!(operators(&after), ["ConvTranspose"]);
    // A constant per column, a second bias.
    check(&["batch", "2", "5", "4"], Pattern::ConvBias, 0, |n, x| {
        let (w, b) = (random(n, &[3, 2, 2, 2]), random(n, &[3]));
        let y = n.op(Conv::default(), &[x, w]);
        n.op(Binary::Add, &[y, b])
    });
    check(&["batch", "2", "5", "5"], Pattern::ConvBias, 0, |n, x| {
        let (w, b) = (random(n, &[3, 2, 2, 2]), random(n, &[3, 1, 1]));
        let own = random(n, &[3]);
        let y = n.op(Conv::default(), &[x, w, own]);
        n.op(Binary::Add, &[y, b])
    });
}
