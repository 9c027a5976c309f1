//! Softmax and the normalisations, with constant and with varying parameters.

use exegesis_graph::op;

use super::{Case, case};
use crate::common::Net;

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

/// Normalisations that have no relevance rule, or not in this form.
pub fn others() -> Vec<Case> {
    let mut cases = vec![];
    for (shape, sizes) in [(&[0usize, 5][..], 1..=6), (&[0, 4, 3], 1..=5), (&[0, 5, 2, 3], 2..=4)] {
        for size in sizes {
            cases.push(case(format!("LRN over {size} channels of {shape:?}"), move |net| {
                let x = net.activation(shape);
                net.op(op::Lrn { alpha: 0.7, beta: 0.6, bias: 1.3, size }, &[x])
            }));
        }
    }
    cases.push(case("LRN of planes of any size", |net| {
        let data = net.random.values(crate::common::BATCH * 24, -1.0, 1.0);
        let x = net.input_with(&[0, 4, 2, 3], &[(2, "height"), (3, "width")], data);
        net.op(op::Lrn { alpha: 0.7, size: 3, ..Default::default() }, &[x])
    }));
    for axes in [vec![0, 2, 3], vec![1], vec![-1, 1], vec![2, 3]] {
        cases.push(case(format!("MeanVarianceNormalization over {axes:?}"), move |net| {
            let x = net.activation(&[0, 3, 2, 4]);
            net.op(op::MeanVarianceNormalization { axes: axes.clone() }, &[x])
        }));
    }
    cases.extend(varying());
    cases
}

/// Scale, bias and moments that depend on an explained input; `varying` counts in binary, operand by operand.
fn varying() -> Vec<Case> {
    fn operand(net: &mut Net, shape: &[usize], varying: usize, i: usize) -> exegesis_graph::ValueId {
        let data = net.random.values(crate::common::sizes(shape).iter().product(), 0.3, 2.0);
        match varying >> i & 1 {
            1 => net.input(shape, data),
            _ => net.constant(&crate::common::sizes(shape), data),
        }
    }
    let mut cases = vec![];
    for varying in [0b00010usize, 0b00011, 0b00110, 0b11111, 0b11000, 0b00100, 0b10001] {
        cases.push(case(format!("BatchNormalization varying {varying:b}"), move |net| {
            let mut inputs = vec![operand(net, &[0, 3, 2], varying, 0)];
            inputs.extend((1..5).map(|i| operand(net, &[3], varying, i)));
            net.op(op::BatchNormalization { epsilon: 1e-3 }, &inputs)
        }));
    }
    for varying in [0b010usize, 0b011, 0b100, 0b111] {
        for scale in [&[4usize][..], &[1, 4], &[0, 3, 4], &[3, 1], &[]] {
            if scale.contains(&0) && varying & 0b110 != 0b110 {
                continue;
            }
            cases.push(case(format!("LayerNormalization with {scale:?} varying {varying:b}"), move |net| {
                let inputs = [
                    operand(net, &[0, 3, 4], varying, 0),
                    operand(net, scale, varying, 1),
                    operand(net, scale, varying, 2),
                ];
                net.op(op::LayerNormalization { epsilon: 1e-3, ..Default::default() }, &inputs)
            }));
            cases.push(case(format!("RMSNormalization with {scale:?} varying {varying:b}"), move |net| {
                let x = operand(net, &[0, 3, 4], varying, 0);
                let scale = operand(net, scale, varying, 1);
                net.op(op::RmsNormalization { axis: -1, epsilon: 1e-3 }, &[x, scale])
            }));
        }
        cases.push(case(format!("InstanceNormalization varying {varying:b}"), move |net| {
            let inputs = [
                operand(net, &[0, 3, 2, 2], varying, 0),
                operand(net, &[3], varying, 1),
                operand(net, &[3], varying, 2),
            ];
            net.op(op::InstanceNormalization { epsilon: 1e-3 }, &inputs)
        }));
        cases.push(case(format!("GroupNormalization varying {varying:b}"), move |net| {
            let inputs = [
                operand(net, &[0, 4, 3], varying, 0),
                operand(net, &[4], varying, 1),
                operand(net, &[4], varying, 2),
            ];
            net.op(op::GroupNormalization { epsilon: 1e-3, num_groups: 2 }, &inputs)
        }));
    }
    // RMSNormalization without its varying operand in `varying` has nothing to explain.
    cases.retain(|c| !(c.name.starts_with("RMS") && c.name.ends_with(" 100")));
    cases
}
