//! Forms that have no rule. The table `WITHOUT_RULE` says why.

use exegesis_graph::op::{self, PadMode, ScatterReduction};

use super::{Case, case};

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        case("LRN", |net| {
            let x = net.activation(&[0, 3, 4, 4]);
            net.op(op::Lrn { size: 3, ..Default::default() }, &[x])
        }),
        case("LpPool", |net| {
            let x = net.activation(&[0, 2, 6]);
            net.op(op::LpPool { kernel_shape: vec![2], ..Default::default() }, &[x])
        }),
        case("GlobalLpPool", |net| {
            let x = net.activation(&[0, 2, 6]);
            net.op(op::GlobalLpPool::default(), &[x])
        }),
        case("MeanVarianceNormalization", |net| {
            let x = net.activation(&[0, 2, 3, 3]);
            net.op(op::MeanVarianceNormalization::default(), &[x])
        }),
        case("GatherND with batch axes", |net| {
            let x = net.activation(&[0, 4, 3]);
            let indices = net.int_tensor(&[2, 1], &[1, 3]);
            net.op(op::GatherND { batch_dims: 1 }, &[x, indices])
        }),
        case("Conv with varying weights", |net| {
            let x = net.activation(&[0, 2, 6]);
            let w = net.activation(&[3, 2, 2]);
            net.op(op::Conv::default(), &[x, w])
        }),
        case("LayerNormalization with a varying scale", |net| {
            let x = net.activation(&[0, 4]);
            let scale = net.activation(&[4]);
            net.op(op::LayerNormalization::default(), &[x, scale])
        }),
        case("Clip with a varying bound", |net| {
            let x = net.activation(&[0, 4]);
            let low = net.activation(&[]);
            net.op(op::Clip {}, &[x, low])
        }),
        case("Pad with a varying value", |net| {
            let x = net.activation(&[0, 4]);
            let (pads, value) = (net.ints(&[0, 1, 0, 1]), net.activation(&[]));
            net.op(op::Pad { mode: PadMode::Constant }, &[x, pads, value])
        }),
        case("Mod with a varying divisor", |net| {
            let x = net.activation(&[0, 4]);
            let divisor = net.activation_in(&[0, 4], 0.5, 1.0);
            net.op(op::Mod { fmod: true }, &[x, divisor])
        }),
        case("Einsum along a diagonal", |net| {
            let x = net.activation(&[0, 3, 3]);
            net.op(op::Einsum { equation: "bii->bi".to_string() }, &[x])
        }),
    ];
    for reduction in [ScatterReduction::Add, ScatterReduction::Mul, ScatterReduction::Max] {
        cases.push(case(format!("ScatterElements, {}", reduction.as_str()), move |net| {
            let data = net.activation(&[0, 4]);
            let indices = net.int_tensor(&[2, 1], &[1, 3]);
            let updates = net.activation(&[0, 1]);
            net.op(op::ScatterElements { axis: 1, reduction }, &[data, indices, updates])
        }));
    }
    cases
}
