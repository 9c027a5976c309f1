//! Functions of one operand.

use exegesis_graph::op::{self, Binary, GeluForm, Unary};
use exegesis_graph::{DType, Op, ValueId};

use super::{Case, case};
use crate::common::{Net, sizes};

/// Random values in `[low, high)` that keep 0.02 away from `kinks`.
fn smooth(net: &mut Net, shape: &[usize], (low, high): (f64, f64), kinks: &[f64]) -> ValueId {
    let count = sizes(shape).iter().product();
    let mut data = Vec::with_capacity(count);
    while data.len() < count {
        let x = net.random.between(low, high);
        if kinks.iter().all(|k| (x - k).abs() > 0.02) {
            data.push(x);
        }
    }
    net.input(shape, data)
}

/// Where a function is real, and where it has no derivative; `None` for functions of other things than real numbers.
fn domain(kind: Unary) -> Option<((f64, f64), Vec<f64>)> {
    let all = (-3.0, 3.0);
    Some(match kind {
        Unary::BitwiseNot | Unary::IsNaN | Unary::Not => return None,
        Unary::Acos | Unary::Asin | Unary::Atanh => ((-0.9, 0.9), vec![]),
        Unary::Acosh => ((1.2, 4.0), vec![]),
        Unary::Tan => ((-1.2, 1.2), vec![]),
        Unary::Log | Unary::Sqrt => ((0.2, 4.0), vec![]),
        Unary::Reciprocal => ((-4.0, -0.3), vec![]),
        Unary::Abs | Unary::Relu | Unary::Sign => (all, vec![0.0]),
        Unary::Ceil | Unary::Floor => (all, (-3..=3).map(f64::from).collect()),
        Unary::Round => (all, (-3..=3).map(|k| f64::from(k) + 0.5).collect()),
        Unary::HardSwish => ((-5.0, 5.0), vec![-3.0, 3.0]),
        _ => (all, vec![]),
    })
}

pub fn cases() -> Vec<Case> {
    let mut cases = vec![];
    for kind in Unary::ALL {
        if let Some((range, kinks)) = domain(*kind) {
            cases.push(case(kind.as_str(), move |net| {
                let x = smooth(net, &[0, 3, 2], range, &kinks);
                net.op(*kind, &[x])
            }));
        }
    }
    let parametrised: Vec<(&str, Op, Vec<f64>)> = vec![
        ("Elu", op::Elu { alpha: 1.3 }.into(), vec![0.0]),
        ("Celu", op::Celu { alpha: 0.7 }.into(), vec![0.0]),
        ("Selu", op::Selu::default().into(), vec![0.0]),
        ("LeakyRelu", op::LeakyRelu { alpha: 0.2 }.into(), vec![0.0]),
        ("LeakyRelu, falling", op::LeakyRelu { alpha: -0.4 }.into(), vec![0.0]),
        ("ThresholdedRelu", op::ThresholdedRelu { alpha: 0.7 }.into(), vec![0.7]),
        ("ThresholdedRelu below 0", op::ThresholdedRelu { alpha: -0.5 }.into(), vec![-0.5]),
        ("Shrink", op::Shrink { bias: 0.3, lambd: 0.6 }.into(), vec![-0.6, 0.6]),
        ("HardSigmoid", op::HardSigmoid::default().into(), vec![-2.5, 2.5]),
        ("HardSigmoid, steep", op::HardSigmoid { alpha: 0.5, beta: 0.25 }.into(), vec![-0.5, 1.5]),
        ("Swish", op::Swish { alpha: 1.0 }.into(), vec![]),
        ("Swish, scaled", op::Swish { alpha: 1.7 }.into(), vec![]),
        ("Gelu", op::Gelu { approximate: GeluForm::Erf }.into(), vec![]),
        ("Gelu, tanh", op::Gelu { approximate: GeluForm::Tanh }.into(), vec![]),
        ("OneMinusSigmoid", op::OneMinusSigmoid {}.into(), vec![]),
        ("Cast", op::Cast { to: DType::F32 }.into(), vec![]),
    ];
    for (name, op, kinks) in parametrised {
        cases.push(case(name, move |net| {
            let x = smooth(net, &[0, 5], (-3.5, 3.5), &kinks);
            net.op(op.clone(), &[x])
        }));
    }
    for (name, bounds) in [
        ("Clip", [Some(-0.5), Some(1.0)]),
        ("Clip from below", [Some(-0.5), None]),
        ("Clip from above", [None, Some(1.0)]),
        ("Clip without bounds", [None, None]),
    ] {
        cases.push(case(name, move |net| {
            let x = smooth(net, &[0, 5], (-3.0, 3.0), &[-0.5, 1.0]);
            let bounds = bounds.map(|b| b.map(|b| net.constant(&[], vec![b])));
            net.op_with(op::Clip {}, vec![Some(x), bounds[0], bounds[1]], 1)[0]
        }));
    }
    for shape in [&[3, 1][..], &[1], &[3, 4], &[1, 3, 1]] {
        cases.push(case(format!("PRelu with slopes {shape:?}"), move |net| {
            let x = smooth(net, &[0, 3, 4], (-2.0, 2.0), &[0.0]);
            let slope = net.weight(shape);
            net.op(Binary::PRelu, &[x, slope])
        }));
        cases.push(case(format!("PRelu with varying slopes {shape:?}"), move |net| {
            let x = smooth(net, &[0, 3, 4], (-2.0, 2.0), &[0.0]);
            let slope = net.activation(shape);
            net.op(Binary::PRelu, &[x, slope])
        }));
    }
    cases.push(case("Hardmax", |net| {
        let x = net.distinct(&[0, 4]);
        net.op(op::Hardmax::default(), &[x])
    }));
    cases
}
