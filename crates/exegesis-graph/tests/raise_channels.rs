//! Constants per channel that are a bias of a linear map somewhere before, and those that are a normalisation.

mod raise_support;

use exegesis_graph::ValueId;
use exegesis_graph::op::{
    Binary, Conv, Gather, MatMul, Op, Reshape, Softmax, Squeeze, Transpose, Unary, Unsqueeze,
};
use exegesis_graph::passes::raise::Pattern;
use raise_support::{Build, Net, Random, check, count};

fn random(net: &mut Net, shape: &[usize]) -> ValueId {
    let tensor = Random::new(shape.len() as u64 + 40).tensor(shape);
    net.constant(tensor)
}

/// A convolution `[batch, 3, 1, 6] -> [batch, 4, 1, 5]`.
fn conv(net: &mut Net, x: ValueId) -> ValueId {
    let weight = random(net, &[4, 3, 1, 2]);
    net.op(Conv { kernel_shape: vec![1, 2], ..Conv::default() }, &[x, weight])
}

fn plus(net: &mut Net, x: ValueId, shape: &[usize]) -> ValueId {
    let constant = random(net, shape);
    net.op(Binary::Add, &[x, constant])
}

fn times(net: &mut Net, x: ValueId, shape: &[usize]) -> ValueId {
    let constant = random(net, shape);
    net.op(Binary::Mul, &[constant, x])
}

#[test]
fn a_bias_behind_a_movement() {
    let forms: [Build; 6] = [
        |n, x| {
            let (y, axes) = (conv(n, x), n.ints(&[2]));
            let y = n.op(Squeeze {}, &[y, axes]);
            plus(n, y, &[1, 4, 1])
        },
        |n, x| {
            let y = conv(n, x);
            let y = n.op(Transpose { perm: vec![0, 2, 3, 1] }, &[y]);
            plus(n, y, &[4])
        },
        |n, x| {
            let (y, shape) = (conv(n, x), n.ints(&[0, 4, -1]));
            let y = n.op(Reshape { allowzero: false }, &[y, shape]);
            plus(n, y, &[4, 1])
        },
        |n, x| {
            let (y, axes) = (conv(n, x), n.ints(&[1, 4]));
            let y = n.op(Unsqueeze {}, &[y, axes]);
            plus(n, y, &[4, 1, 1, 1])
        },
        |n, x| {
            let (y, axes, index) = (conv(n, x), n.ints(&[2]), n.ints(&[1, 3, 3]));
            let y = n.op(Squeeze {}, &[y, axes]);
            let y = n.op(Gather { axis: 2 }, &[y, index]);
            let y = n.op(Transpose { perm: vec![2, 0, 1] }, &[y]);
            plus(n, y, &[1, 1, 4])
        },
        // One number is a bias of every channel.
        |n, x| {
            let (y, shape) = (conv(n, x), n.ints(&[-1, 10]));
            let y = n.op(Reshape { allowzero: false }, &[y, shape]);
            plus(n, y, &[1])
        },
    ];
    for build in forms {
        let after = check(&["batch", "3", "1", "6"], Pattern::MovedBias, 1, build);
        assert_eq!(count(&after, "Add"), 0);
    }
    // A product of rows, reshaped as TensorFlow does for inputs of three axes.
    let after = check(&["batch", "5", "3"], Pattern::MovedBias, 1, |n, x| {
        let (rows, weight, whole) = (n.ints(&[-1, 3]), random(n, &[3, 4]), n.ints(&[-1, 5, 4]));
        let y = n.op(Reshape { allowzero: false }, &[x, rows]);
        let y = n.op(MatMul {}, &[y, weight]);
        let y = n.op(Reshape { allowzero: false }, &[y, whole]);
        plus(n, y, &[4])
    });
    assert_eq!((count(&after, "Linear"), count(&after, "Add")), (1, 0));
}

#[test]
fn a_second_bias() {
    let after = check(&["batch", "3", "1", "6"], Pattern::MovedBias, 2, |n, x| {
        let weight = random(n, &[4, 3, 1, 2]);
        let bias = random(n, &[4]);
        let y = n.op(Conv { kernel_shape: vec![1, 2], ..Conv::default() }, &[x, weight, bias]);
        let y = plus(n, y, &[4, 1, 1]);
        plus(n, y, &[1, 4, 1, 1])
    });
    assert_eq!((count(&after, "Conv"), count(&after, "Add")), (1, 0));
}

#[test]
fn no_bias_of_a_map_before() {
    let forms: [Build; 5] = [
        // Along another axis than the channels.
        |n, x| {
            let y = conv(n, x);
            let y = n.op(Transpose { perm: vec![0, 2, 3, 1] }, &[y]);
            plus(n, y, &[5, 1])
        },
        // Channels are mixed with columns.
        |n, x| {
            let (y, shape) = (conv(n, x), n.ints(&[0, 5, 4]));
            let y = n.op(Reshape { allowzero: false }, &[y, shape]);
            plus(n, y, &[1, 4])
        },
        // Something else reads the result.
        |n, x| {
            let (y, axes) = (conv(n, x), n.ints(&[2]));
            let y = n.op(Squeeze {}, &[y, axes]);
            let z = plus(n, y, &[1, 4, 1]);
            n.op(Binary::Mul, &[y, z])
        },
        // The constant adds an axis.
        |n, x| {
            let (y, axes) = (conv(n, x), n.ints(&[2]));
            let y = n.op(Squeeze {}, &[y, axes]);
            plus(n, y, &[1, 1, 4, 1])
        },
        // Not a linear map.
        |n, x| {
            let y = conv(n, x);
            let y = n.op(Unary::Relu, &[y]);
            plus(n, y, &[1, 4, 1, 1])
        },
    ];
    for build in forms {
        check(&["batch", "3", "1", "6"], Pattern::MovedBias, 0, build);
    }
}

#[test]
fn batch_normalisation() {
    let forms: [Build; 6] = [
        |n, x| {
            let y = times(n, x, &[3, 1, 1]);
            plus(n, y, &[1, 3, 1, 1])
        },
        |n, x| {
            let mean = random(n, &[3, 1, 1]);
            let deviation = n.number(0.3);
            let y = n.op(Binary::Sub, &[x, mean]);
            let y = n.op(Binary::Div, &[y, deviation]);
            let y = times(n, y, &[1, 3, 1, 1]);
            plus(n, y, &[1])
        },
        |n, x| {
            let (mean, scale) = (random(n, &[3, 1, 1]), random(n, &[1, 3, 1, 1]));
            let y = n.op(Binary::Sub, &[mean, x]);
            n.op(Binary::Mul, &[y, scale])
        },
        // Channels at the end.
        |n, x| {
            let y = times(n, x, &[4]);
            plus(n, y, &[1, 4])
        },
        // A learned rescaling by one number, behind a layer.
        |n, x| {
            let y = n.op(Unary::HardSwish, &[x]);
            let y = times(n, y, &[1]);
            plus(n, y, &[1])
        },
        |n, x| {
            let y = n.op(Unary::Relu, &[x]);
            let y = times(n, y, &[3, 1, 1]);
            plus(n, y, &[])
        },
    ];
    for build in forms {
        let after = check(&["batch", "3", "5", "4"], Pattern::BatchNormalization, 1, build);
        assert_eq!(count(&after, "Mul") + count(&after, "Add"), 0);
    }
}

#[test]
fn no_normalisation() {
    let forms: [Build; 6] = [
        // The arithmetic of masks.
        |n, x| {
            let y = times(n, x, &[]);
            plus(n, y, &[])
        },
        |n, x| {
            let y = n.op(Unary::Tanh, &[x]);
            let y = times(n, y, &[1]);
            plus(n, y, &[1])
        },
        // Scale and shift along different axes, and along the batch.
        |n, x| {
            let y = times(n, x, &[3, 1, 1]);
            plus(n, y, &[4])
        },
        |n, x| {
            let y = times(n, x, &[2, 1, 1, 1]);
            plus(n, y, &[2, 1, 1, 1])
        },
        // Something else reads the product.
        |n, x| {
            let y = times(n, x, &[3, 1, 1]);
            let z = plus(n, y, &[3, 1, 1]);
            n.op(Binary::Mul, &[y, z])
        },
        // A bias of scores.
        |n, x| {
            let y = times(n, x, &[]);
            let y = plus(n, y, &[4]);
            n.op(Op::from(Softmax { axis: -1 }), &[y])
        },
    ];
    for build in forms {
        check(&["2", "3", "5", "4"], Pattern::BatchNormalization, 0, build);
    }
}
