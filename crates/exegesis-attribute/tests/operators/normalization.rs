//! Softmax and the normalisations.

use exegesis_graph::op;

use super::{Case, case};

pub fn cases() -> Vec<Case> {
    let mut cases = vec![];
    for axis in [-1, 1, 2, 0, -2] {
        cases.push(case(format!("Softmax axis {axis}"), move |net| {
            let x = net.activation(&[0, 3, 4]);
            net.op(op::Softmax { axis }, &[x])
        }));
        cases.push(case(format!("LogSoftmax axis {axis}"), move |net| {
            let x = net.activation(&[0, 3, 4]);
            net.op(op::LogSoftmax { axis }, &[x])
        }));
    }
    for shape in [&[0usize, 3][..], &[0, 3, 4], &[0, 3, 2, 2]] {
        cases.push(case(format!("BatchNormalization {shape:?}"), move |net| {
            let x = net.activation(shape);
            let (scale, bias, mean) = (net.weight(&[3]), net.weight(&[3]), net.weight(&[3]));
            let variance = net.random.values(3, 0.3, 2.0);
            let variance = net.constant(&[3], variance);
            net.op(op::BatchNormalization { epsilon: 1e-3 }, &[x, scale, bias, mean, variance])
        }));
    }
    for axis in [-1, -2, 1, 2] {
        for bias in [false, true] {
            cases.push(case(format!("LayerNormalization axis {axis} bias {bias}"), move |net| {
                let x = net.activation(&[0, 3, 4]);
                let shape: &[usize] = if axis == -1 || axis == 2 { &[4] } else { &[3, 4] };
                let mut inputs = vec![Some(x), Some(net.weight(shape))];
                if bias {
                    inputs.push(Some(net.weight(shape)));
                }
                net.op_with(op::LayerNormalization { axis, epsilon: 1e-3, stash_type: 1 }, inputs, 1)[0]
            }));
        }
        cases.push(case(format!("RMSNormalization axis {axis}"), move |net| {
            let x = net.activation(&[0, 3, 4]);
            let scale = net.weight(if axis == -1 || axis == 2 { &[4] } else { &[3, 4] });
            net.op(op::RmsNormalization { axis, epsilon: 1e-3 }, &[x, scale])
        }));
    }
    for spatial in [&[5usize][..], &[2, 3], &[2, 2, 2]] {
        cases.push(case(format!("InstanceNormalization {spatial:?}"), move |net| {
            let x = net.activation(&[&[0, 3], spatial].concat());
            let (scale, bias) = (net.weight(&[3]), net.weight(&[3]));
            net.op(op::InstanceNormalization { epsilon: 1e-3 }, &[x, scale, bias])
        }));
        for num_groups in [1, 2, 4] {
            cases.push(case(format!("GroupNormalization {num_groups} of {spatial:?}"), move |net| {
                let x = net.activation(&[&[0, 4], spatial].concat());
                let (scale, bias) = (net.weight(&[4]), net.weight(&[4]));
                net.op(op::GroupNormalization { epsilon: 1e-3, num_groups }, &[x, scale, bias])
            }));
        }
    }
    for p in [1, 2] {
        for axis in [-1, 1, 0] {
            cases.push(case(format!("LpNormalization {p} axis {axis}"), move |net| {
                let x = net.distinct(&[0, 3, 4]);
                net.op(op::LpNormalization { axis, p }, &[x])
            }));
        }
    }
    cases
}
