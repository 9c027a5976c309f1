//! Reading and writing by index where elements are combined or their number is open, and paths that carry no gradient:
//! ScatterElements and ScatterND with a reduction, Compress, Unique, OneHot, Range, EyeLike, Clip, Mod and Pad with varying
//! parameters, and values that leave the real numbers on their way.

use exegesis_graph::op::{self, Binary, PadMode, ScatterReduction, Unary};
use exegesis_graph::{DType, Op, ValueId};

use super::{Case, case};
use crate::common::{BATCH, Net, sizes};

pub fn cases() -> Vec<Case> {
    let mut cases = vec![];
    scatters(&mut cases);
    selections(&mut cases);
    parameters(&mut cases);
    without_slope(&mut cases);
    cases
}

/// Scatters that add: they have a rule of relevance.
pub fn additions() -> Vec<Case> {
    cases().into_iter().filter(is_addition).collect()
}

/// True for a case of [`additions`].
pub fn is_addition(case: &Case) -> bool {
    case.name.contains("reduction: Add")
}

fn scatters(cases: &mut Vec<Case>) {
    for reduction in ScatterReduction::ALL.iter().copied().filter(|r| *r != ScatterReduction::None) {
        // Data and updates, the batch as 0, then indices: several updates of one cell, some cells without any.
        type Form = (&'static [usize], &'static [usize], &'static [usize], &'static [i64], Op);
        let elements = |axis| op::ScatterElements { axis, reduction }.into();
        let forms: [Form; 5] = [
            (&[0, 4, 3], &[0, 2, 2], &[BATCH, 2, 2], &[0, 1, -1, 1, 3, 3, 3, 0], elements(1)),
            (&[0, 4], &[0, 4], &[BATCH, 4], &[0, 0, 0, 2, 3, 3, -1, 1], elements(-1)),
            (&[0, 3], &[2, 2], &[2, 2], &[0, 1, 0, 1], elements(0)),
            (&[0, 4, 3], &[3, 3], &[3, 2], &[0, 1, 1, -1, 0, 1], op::ScatterND { reduction }.into()),
            (&[0, 4], &[5], &[5, 2], &[0, 1, 1, -1, 0, 1, 0, 1, 1, 0], op::ScatterND { reduction }.into()),
        ];
        for (data, updates, shape, indices, op) in forms {
            for varying in [[true, true], [true, false], [false, true]] {
                let op = op.clone();
                cases.push(case(
                    format!("{op:?} of {data:?} by {shape:?} varying {varying:?}"),
                    move |net| {
                        let mut values = net.random.distinct(BATCH * 12 + 12);
                        let mut take = |shape: &[usize]| {
                            values.split_off(values.len() - sizes(shape).iter().product::<usize>())
                        };
                        let (x, u) = (take(data), take(updates));
                        let x = if varying[0] { net.input(data, x) } else { net.constant(&sizes(data), x) };
                        let u =
                            if varying[1] { net.input(updates, u) } else { net.constant(&sizes(updates), u) };
                        let indices = net.int_tensor(shape, indices);
                        net.op(op.clone(), &[x, indices, u])
                    },
                ));
            }
        }
    }
    cases.push(case("ScatterElements of factors that are 0", |net| {
        let data = net.input(&[0, 4], vec![0.0, 0.0, 2.0, 3.0, 0.0, 5.0, -1.0, 4.0]);
        let updates = net.input(&[0, 4], vec![3.0, 0.0, 0.0, 2.0, 4.0, 1.5, 0.0, 0.0]);
        let indices = net.int_tensor(&[BATCH, 4], &[0, 1, 2, 3, 0, 0, 3, 3]);
        net.op(op::ScatterElements { axis: 1, reduction: ScatterReduction::Mul }, &[data, indices, updates])
    }));
    // Between two tied factors the central difference is a half, which is the share of each.
    for reduction in [ScatterReduction::Max, ScatterReduction::Min] {
        cases.push(case(format!("ScatterND, {}, with ties of two", reduction.as_str()), move |net| {
            let data = net.input(&[0, 2], vec![1.0, -0.5, 0.3, 2.0]);
            let updates = net.input(&[4], vec![1.0, 0.7, 0.7, 2.0]);
            let indices = net.int_tensor(&[4, 2], &[0, 0, 1, 0, 1, 0, 1, 1]);
            net.op(op::ScatterND { reduction }, &[data, indices, updates])
        }));
    }
}

fn selections(cases: &mut Vec<Case>) {
    for (axis, kept) in [
        (Some(1), &[true, false, true, true][..]),
        (Some(-1), &[false, true]),
        (Some(0), &[true, false]),
        (None, &[true, true, false, false, true, true]),
        (Some(2), &[false, false, false]),
    ] {
        cases.push(case(format!("Compress {axis:?} by {kept:?}"), move |net| {
            let x = net.activation(&[0, 4, 3]);
            let condition = net.bools(&[kept.len()], kept.to_vec());
            net.op(op::Compress { axis }, &[x, condition])
        }));
    }
    cases.push(case("Compress, chosen by the value itself", |net| {
        let x = net.distinct(&[0]);
        let zero = net.constant(&[], vec![0.0]);
        let positive = net.op(Binary::Greater, &[x, zero]);
        net.op(op::Compress { axis: Some(0) }, &[x, positive])
    }));
    for (axis, sorted) in [(None, true), (None, false), (Some(0), true), (Some(1), false), (Some(-1), true)] {
        for used in [1, 4] {
            cases.push(case(format!("Unique {axis:?} sorted {sorted}, {used} outputs"), move |net| {
                let x = net.distinct(&[0, 3, 2]);
                net.op_with(op::Unique { axis, sorted }, vec![Some(x)], used)[0]
            }));
        }
    }
}

fn parameters(cases: &mut Vec<Case>) {
    for axis in [-1, 0, 1] {
        cases.push(case(format!("OneHot axis {axis}, with varying values"), move |net| {
            let x = net.activation(&[0]);
            let indices = net.int_tensor(&[BATCH, 3], &[0, 2, 7, -1, 1, 3]);
            let depth = net.int_tensor(&[], &[4]);
            net.op(op::OneHot { axis }, &[indices, depth, x])
        }));
    }
    for varying in 1usize..8 {
        cases.push(case(format!("Clip varying {varying:b}"), move |net| {
            let data = vec![-1.3, -0.4, 0.2, 0.9, 1.4, -0.7];
            let x = if varying & 1 == 1 { net.input(&[0, 3], data) } else { net.constant(&[BATCH, 3], data) };
            let mut bound = |i: usize, v: f64| match varying >> i & 1 {
                1 => net.input(&[], vec![v]),
                _ => net.constant(&[], vec![v]),
            };
            let bounds = [bound(1, -0.5), bound(2, 0.8)];
            net.op(op::Clip {}, &[x, bounds[0], bounds[1]])
        }));
    }
    for bounds in [[Some(-0.5), None], [None, Some(0.3)], [Some(0.9), Some(-0.2)]] {
        cases.push(case(format!("Clip with varying bounds {bounds:?}"), move |net| {
            let x = net.input(&[0, 3], vec![-1.3, -0.4, 0.2, 1.1, 1.4, -0.7]);
            let bounds = bounds.map(|b| b.map(|b| net.input(&[], vec![b])));
            net.op_with(op::Clip {}, vec![Some(x), bounds[0], bounds[1]], 1)[0]
        }));
    }
    for (pads, axes) in [
        (&[0i64, 1, 2, 0][..], None),
        (&[0, -1, 1, 2], None),
        (&[2, 1], Some(&[1i64][..])),
        (&[0, 0, 0, 0], None),
    ] {
        for (varying, shape) in [([true, true], &[][..]), ([false, true], &[1])] {
            cases.push(case(format!("Pad {pads:?} of {axes:?} varying {varying:?}"), move |net| {
                let x = if varying[0] { net.activation(&[0, 3]) } else { net.weight(&[BATCH, 3]) };
                let (pads, value) = (net.ints(pads), net.activation(shape));
                let axes = axes.map(|a| net.ints(a));
                let inputs = vec![Some(x), Some(pads), Some(value), axes];
                net.op_with(op::Pad { mode: PadMode::Constant }, inputs, 1)[0]
            }));
        }
    }
    for varying in [[true, true], [false, true]] {
        cases.push(case(format!("Mod, fmod, varying {varying:?}"), move |net| {
            let data = vec![0.3, 1.3, -1.5, 2.3];
            let x = if varying[0] { net.input(&[0, 2], data) } else { net.constant(&[BATCH, 2], data) };
            let divisor = net.input(&[3, 1, 2], vec![0.7, 0.9, 0.8, -0.7, -0.9, 0.5]);
            net.op(op::Mod { fmod: true }, &[x, divisor])
        }));
    }
    for varying in 1usize..8 {
        cases.push(case(format!("Range varying {varying:b}"), move |net| {
            let mut operand = |i: usize, v: f64| match varying >> i & 1 {
                1 => net.input(&[], vec![v]),
                _ => net.constant(&[], vec![v]),
            };
            let operands = [operand(0, 0.3), operand(1, 2.9), operand(2, 0.4)];
            net.op(op::Range {}, &operands)
        }));
    }
}

/// Appends an operator to a value.
type Step = Box<dyn Fn(&mut Net, ValueId) -> ValueId>;

/// Operators whose result does not change with small changes of the operand, beside a path that does.
fn without_slope(cases: &mut Vec<Case>) {
    let mut beside = |name: String, step: Step| {
        cases.push(case(name, move |net| {
            let x = net.distinct(&[0, 4]);
            let flat = step(net, x);
            net.op(Binary::Mul, &[x, flat])
        }));
    };
    for kind in [Unary::Ceil, Unary::Floor, Unary::Round, Unary::Sign] {
        beside(
            format!("{} beside its operand", kind.as_str()),
            Box::new(move |net, x| {
                let shift = net.constant(&[], vec![0.0173]);
                let moved = net.op(Binary::Add, &[x, shift]);
                net.op(kind, &[moved])
            }),
        );
    }
    for kind in Binary::ALL
        .iter()
        .copied()
        .filter(|k| k.is_comparison() && !matches!(k, Binary::And | Binary::Or | Binary::Xor))
    {
        beside(
            format!("{} beside its operand", kind.as_str()),
            Box::new(move |net, x| {
                let bound = net.constant(&[], vec![0.011]);
                let truth = net.op(kind, &[x, bound]);
                net.op(op::Cast { to: DType::F64 }, &[truth])
            }),
        );
    }
    for kind in [Binary::And, Binary::Or, Binary::Xor] {
        beside(
            format!("{} beside its operand", kind.as_str()),
            Box::new(move |net, x| {
                let bounds = [0.011, -0.13].map(|b| net.constant(&[], vec![b]));
                let truths = bounds.map(|b| net.op(Binary::Less, &[x, b]));
                let truth = net.op(kind, &truths);
                let not = net.op(Unary::Not, &[truth]);
                net.op(op::Cast { to: DType::F64 }, &[not])
            }),
        );
    }
    for to in [DType::I32, DType::I64, DType::Bool] {
        beside(
            format!("Cast to {to} beside its operand"),
            Box::new(move |net, x| {
                let shift = net.constant(&[], vec![0.0173]);
                let moved = net.op(Binary::Add, &[x, shift]);
                let whole = net.op(op::Cast { to }, &[moved]);
                net.op(op::CastLike {}, &[whole, x])
            }),
        );
    }
    for (name, op) in [
        ("ArgMax", Op::from(op::ArgMax { axis: 1, ..Default::default() })),
        ("ArgMin", op::ArgMin { axis: 1, ..Default::default() }.into()),
        ("IsNaN", Unary::IsNaN.into()),
        ("IsInf", op::IsInf::default().into()),
        ("Shape", op::Shape { start: 1, end: None }.into()),
        ("Size", op::Size {}.into()),
    ] {
        beside(
            format!("{name} beside its operand"),
            Box::new(move |net, x| {
                let index = net.op(op.clone(), &[x]);
                net.op(op::Cast { to: DType::F64 }, &[index])
            }),
        );
    }
    beside(
        "ConstantOfShape beside its operand".to_string(),
        Box::new(|net, x| {
            let shape = net.op(op::Shape::default(), &[x]);
            let value = exegesis_graph::Tensor::from_f64(DType::F64, vec![1], vec![1.5]).unwrap();
            net.op(op::ConstantOfShape { value: Some(std::sync::Arc::new(value)) }, &[shape])
        }),
    );
    beside(
        "EyeLike beside its operand".to_string(),
        Box::new(|net, x| net.op(op::EyeLike { dtype: None, k: 1 }, &[x])),
    );
    beside(
        "QuantizeLinear and DequantizeLinear beside their operand".to_string(),
        Box::new(|net, x| {
            let scale = net.constant(&[], vec![0.073]);
            let zero = net.graph.add_constant("zero", exegesis_graph::Tensor::scalar(3i8));
            let whole = net.op(op::QuantizeLinear::default(), &[x, scale, zero]);
            net.op(op::DequantizeLinear::default(), &[whole, scale, zero])
        }),
    );
    beside(
        "NonZero beside its operand".to_string(),
        Box::new(|net, x| {
            let found = net.op(op::NonZero {}, &[x]);
            let coordinates = net.op(op::Cast { to: DType::F64 }, &[found]);
            let sum = op::Reduce { kind: op::ReduceKind::Sum, keepdims: false, noop_with_empty_axes: false };
            net.op(sum, &[coordinates])
        }),
    );
    beside(
        "TopK indices beside their operand".to_string(),
        Box::new(|net, x| {
            let k = net.ints(&[4]);
            let outputs =
                net.op_with(op::TopK { axis: -1, largest: true, sorted: true }, vec![Some(x), Some(k)], 2);
            net.op(op::Cast { to: DType::F64 }, &[outputs[1]])
        }),
    );
}
