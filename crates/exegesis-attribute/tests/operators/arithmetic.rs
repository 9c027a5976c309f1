//! Arithmetic of broadcast operands.

use exegesis_graph::ValueId;
use exegesis_graph::op::{self, Binary, Variadic};

use super::{Case, case};
use crate::common::{Net, sizes};

/// Shapes of two operands that broadcast together; 0 is the batch.
const PAIRS: [(&[usize], &[usize]); 14] = [
    (&[0, 3], &[0, 3]),
    (&[0, 3], &[3]),
    (&[0, 2, 3], &[2, 3]),
    (&[0, 2, 3], &[3]),
    (&[0, 2, 3], &[2, 1]),
    (&[0, 2, 3], &[1, 1, 3]),
    (&[0, 2, 3], &[0, 1, 3]),
    (&[0, 2, 3], &[0, 2, 1]),
    (&[0, 2, 3], &[]),
    (&[0, 1, 3], &[2, 1]),
    (&[0, 1, 1], &[4, 1, 1, 3]),
    (&[1, 3], &[0, 1]),
    (&[0, 1], &[1, 3]),
    (&[3], &[0, 2, 1]),
];

/// Shapes of any number of operands.
const OPERANDS: [&[&[usize]]; 4] =
    [&[&[0, 3]], &[&[0, 3], &[0, 3]], &[&[0, 3], &[3], &[0, 1]], &[&[3], &[0, 2, 3], &[], &[2, 1]]];

/// Values away from 0, of both signs.
fn away_from_zero(net: &mut Net, shape: &[usize]) -> Vec<f64> {
    let count = sizes(shape).iter().product();
    (0..count)
        .map(|_| net.random.between(0.4, 2.0) * if net.random.below(2) == 0 { 1.0 } else { -1.0 })
        .collect()
}

fn operand(net: &mut Net, kind: Binary, side: usize, shape: &[usize], constant: bool) -> ValueId {
    let count: usize = sizes(shape).iter().product();
    let data = match (kind, side) {
        (Binary::Div, 1) => away_from_zero(net, shape),
        (Binary::Pow, 0) => net.random.values(count, 0.4, 2.0),
        _ => net.random.values(count, -2.0, 2.0),
    };
    if constant { net.constant(&sizes(shape), data) } else { net.input(shape, data) }
}

pub fn cases() -> Vec<Case> {
    let mut cases = vec![];
    for kind in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Pow] {
        for (left, right) in PAIRS {
            for constant in [None, Some(0), Some(1)] {
                // A constant can't have the batch as an axis.
                let shape = [left, right][constant.unwrap_or(0)];
                if constant.is_some() && shape.contains(&0) {
                    continue;
                }
                for swap in [false, true] {
                    let name =
                        format!("{} {left:?} {right:?} constant {constant:?} swapped {swap}", kind.as_str());
                    cases.push(
                        case(name, move |net| {
                            let mut operands = [left, right].map(|_| None);
                            for (i, shape) in [left, right].into_iter().enumerate() {
                                let side = if swap { 1 - i } else { i };
                                operands[side] = Some(operand(net, kind, side, shape, constant == Some(i)));
                            }
                            net.op(kind, &operands.map(Option::unwrap))
                        })
                        .rounds(1),
                    );
                }
            }
        }
        cases.push(case(format!("{} of a value and itself", kind.as_str()), move |net| {
            let x = net.activation_in(&[0, 3], 0.4, 2.0);
            net.op(kind, &[x, x])
        }));
    }
    for exponent in [-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0] {
        cases.push(case(format!("Pow {exponent}"), move |net| {
            let whole = f64::fract(exponent) == 0.0;
            let data = if whole { away_from_zero(net, &[0, 3]) } else { net.random.values(6, 0.4, 2.0) };
            let x = net.input(&[0, 3], data);
            let exponent = net.constant(&[], vec![exponent]);
            net.op(Binary::Pow, &[x, exponent])
        }));
    }
    cases.push(case("Pow of integer exponents", |net| {
        let x = net.input(&[0, 3], vec![0.7, -1.3, 1.9, -0.6, 1.1, 0.8]);
        let exponents = net.int_tensor(&[3], &[2, 3, -1]);
        net.op(Binary::Pow, &[x, exponents])
    }));
    cases.push(case("Pow of zero bases", |net| {
        let x = net.input(&[0, 3], vec![0.0; 6]);
        let exponents = net.constant(&[3], vec![0.0, 1.0, 3.0]);
        net.op(Binary::Pow, &[x, exponents])
    }));
    for exponent in [0.0, 1.0, 2.0, 3.0] {
        cases.push(case(format!("Pow {exponent} of zero bases"), move |net| {
            let x = net.input(&[0, 3], vec![0.0; 6]);
            let exponent = net.constant(&[1], vec![exponent]);
            net.op(Binary::Pow, &[x, exponent])
        }));
    }
    cases.push(case("Mod, fmod", |net| {
        let x = net.input(&[0, 2], vec![0.3, 1.2, -0.4, 2.3]);
        let divisor = net.constant(&[3, 1, 2], vec![0.7, 0.9, 0.8, 0.7, 0.9, 0.8]);
        net.op(op::Mod { fmod: true }, &[x, divisor])
    }));
    for kind in Variadic::ALL {
        for shapes in OPERANDS {
            cases.push(case(format!("{} {shapes:?}", kind.as_str()), move |net| {
                // Distinct over all operands: no ties.
                let total = shapes.iter().map(|s| sizes(s).iter().product::<usize>()).sum();
                let mut data = net.random.distinct(total);
                let operands: Vec<ValueId> = shapes
                    .iter()
                    .map(|s| {
                        let rest = data.split_off(sizes(s).iter().product());
                        let own = std::mem::replace(&mut data, rest);
                        net.input(s, own)
                    })
                    .collect();
                net.op(*kind, &operands)
            }));
        }
        cases.push(case(format!("{} with a constant", kind.as_str()), move |net| {
            let x = net.input(&[0, 3], vec![0.5, -0.4, 1.1, 0.2, 0.0, -2.0]);
            let c = net.constant(&[3], vec![0.1, 0.3, -0.6]);
            net.op(*kind, &[c, x, c])
        }));
        // Between two tied operands the central difference is a half, which is the share of each.
        cases.push(case(format!("{} of a value and itself", kind.as_str()), move |net| {
            let x = net.distinct(&[0, 3]);
            net.op(*kind, &[x, x])
        }));
        cases.push(case(format!("{} with a tie of two", kind.as_str()), move |net| {
            let x = net.input(&[0, 2], vec![0.5, -0.4, 1.1, 0.2]);
            let y = net.input(&[0, 2], vec![0.5, -0.4, 1.0, 0.2]);
            net.op(*kind, &[x, y])
        }));
    }
    cases
}
