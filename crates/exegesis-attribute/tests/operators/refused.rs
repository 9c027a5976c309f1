//! Forms that have no rule, each refused with the reason in its name.

use exegesis_graph::Tensor;
use exegesis_graph::op;

use super::{Case, case};

pub fn cases() -> Vec<Case> {
    vec![
        case("Einsum along a diagonal", |net| {
            let x = net.activation(&[0, 3, 3]);
            net.op(op::Einsum { equation: "bii->bi".to_string() }, &[x])
        }),
        case("LpPool with p = 0", |net| {
            let x = net.activation(&[0, 2, 6]);
            net.op(op::LpPool { kernel_shape: vec![2], p: 0, ..Default::default() }, &[x])
        }),
        case("RoiAlign with as many samples as the regions need", |net| {
            let x = net.activation(&[0, 2, 4, 4]);
            let rois = net.constant(&[1, 4], vec![0.4, 0.6, 3.1, 2.2]);
            let owners = net.int_tensor(&[1], &[1]);
            net.op(op::RoiAlign { sampling_ratio: 0, ..Default::default() }, &[x, rois, owners])
        }),
        case("DequantizeLinear with a varying scale", |net| {
            let values = Tensor::new(vec![3], vec![1i8, -4, 9]).unwrap();
            let values = net.graph.add_constant("values", values);
            let zero = net.graph.add_constant("zero", Tensor::scalar(0i8));
            let scale = net.activation(&[]);
            net.op(op::DequantizeLinear::default(), &[values, scale, zero])
        }),
    ]
}
