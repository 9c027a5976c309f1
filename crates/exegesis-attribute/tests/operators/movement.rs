//! Selection and movement of elements: Reshape, Flatten, Transpose, Squeeze, Unsqueeze, Concat, Split, Slice, Gather,
//! GatherElements, GatherND, ScatterElements, ScatterND, Pad, Expand, Tile, Where, TopK, DepthToSpace, SpaceToDepth,
//! Trilu, ReverseSequence.

use exegesis_graph::Tensor;
use exegesis_graph::op::{self, DepthOrder, PadMode, Unary};

use super::{Case, case, outputs};
use crate::common::BATCH;

pub fn cases() -> Vec<Case> {
    let mut cases = vec![];
    layout(&mut cases);
    parts(&mut cases);
    slices(&mut cases);
    gathers(&mut cases);
    gathers_of_batches(&mut cases);
    scatters(&mut cases);
    choices(&mut cases);
    cases
}

fn layout(cases: &mut Vec<Case>) {
    for dims in [&[0i64, 12][..], &[-1, 4], &[0, 0, 2, 2], &[-1], &[0, -1, 1]] {
        cases.push(case(format!("Reshape to {dims:?}"), move |net| {
            let x = net.activation(&[0, 3, 4]);
            let dims = net.ints(dims);
            net.op(op::Reshape::default(), &[x, dims])
        }));
    }
    for axis in [0, 1, 2, 3, -1] {
        cases.push(case(format!("Flatten {axis}"), move |net| {
            let x = net.activation(&[0, 3, 4]);
            net.op(op::Flatten { axis }, &[x])
        }));
    }
    for perm in [&[][..], &[0i64, 2, 1], &[2, 0, 1], &[1, 2, 0]] {
        cases.push(case(format!("Transpose {perm:?}"), move |net| {
            let x = net.activation(&[0, 3, 4]);
            net.op(op::Transpose { perm: perm.to_vec() }, &[x])
        }));
    }
    cases.push(case("Squeeze", |net| {
        let x = net.activation(&[0, 1, 3, 1]);
        let axes = net.ints(&[-1, 1]);
        net.op(op::Squeeze {}, &[x, axes])
    }));
    cases.push(case("Squeeze without axes", |net| {
        let x = net.activation(&[1, 3, 1]);
        net.op(op::Squeeze {}, &[x])
    }));
    cases.push(case("Unsqueeze", |net| {
        let x = net.activation(&[0, 3]);
        let axes = net.ints(&[0, -1]);
        net.op(op::Unsqueeze {}, &[x, axes])
    }));
    for dims in [&[1i64, 5, 3][..], &[4, 1, 1, 1], &[5, 1], &[3]] {
        cases.push(case(format!("Expand to {dims:?}"), move |net| {
            let x = net.activation(&[0, 1, 3]);
            let dims = net.ints(dims);
            net.op(op::Expand {}, &[x, dims])
        }));
    }
    for repeats in [[1i64, 2, 1], [2, 1, 3], [1, 1, 1], [3, 2, 2]] {
        cases.push(case(format!("Tile {repeats:?}"), move |net| {
            let x = net.activation(&[0, 2, 3]);
            let repeats = net.ints(&repeats);
            net.op(op::Tile {}, &[x, repeats])
        }));
    }
    for mode in [DepthOrder::Dcr, DepthOrder::Crd] {
        cases.push(case(format!("DepthToSpace {}", mode.as_str()), move |net| {
            let x = net.activation(&[0, 8, 2, 3]);
            net.op(op::DepthToSpace { blocksize: 2, mode }, &[x])
        }));
    }
    cases.push(case("SpaceToDepth", |net| {
        let x = net.activation(&[0, 2, 4, 6]);
        net.op(op::SpaceToDepth { blocksize: 2 }, &[x])
    }));
    for upper in [false, true] {
        for k in [None, Some(-1), Some(2)] {
            cases.push(case(format!("Trilu upper {upper} k {k:?}"), move |net| {
                let x = net.activation(&[0, 3, 4]);
                let mut inputs = vec![Some(x)];
                inputs.extend(k.map(|k| Some(net.int_tensor(&[], &[k]))));
                net.op_with(op::Trilu { upper }, inputs, 1)[0]
            }));
        }
    }
    cases.push(case("ReverseSequence, time first", |net| {
        let x = net.activation(&[4, 0, 3]);
        let lengths = net.ints(&[3, 1]);
        net.op(op::ReverseSequence { batch_axis: 1, time_axis: 0 }, &[x, lengths])
    }));
    cases.push(case("ReverseSequence, batch first", |net| {
        let x = net.activation(&[0, 4, 3]);
        let lengths = net.ints(&[2, 4]);
        net.op(op::ReverseSequence { batch_axis: 0, time_axis: 1 }, &[x, lengths])
    }));
    for pads in [[0i64, 1, 2, 0, 0, 1], [0, -1, 1, 0, 2, -1], [0, 0, -2, 0, -1, 0], [1, 0, 0, 2, 0, 0]] {
        cases.push(case(format!("Pad {pads:?}"), move |net| {
            let x = net.activation(&[0, 3, 4]);
            let (pads, value) = (net.ints(&pads), net.constant(&[], vec![0.7]));
            net.op(op::Pad { mode: PadMode::Constant }, &[x, pads, value])
        }));
    }
    for mode in [PadMode::Reflect, PadMode::Edge, PadMode::Wrap] {
        for pads in [[0i64, 1, 2, 0, 2, 1], [0, 0, 3, 0, 1, -1]] {
            cases.push(case(format!("Pad {pads:?}, {}", mode.as_str()), move |net| {
                let x = net.activation(&[0, 3, 4]);
                let pads = net.ints(&pads);
                net.op(op::Pad { mode }, &[x, pads])
            }));
        }
    }
    cases.push(case("Pad of chosen axes", |net| {
        let x = net.activation(&[0, 3, 4]);
        let (pads, axes) = (net.ints(&[1, 2, 0, 1]), net.ints(&[-1, 1]));
        net.op_with(op::Pad { mode: PadMode::Constant }, vec![Some(x), Some(pads), None, Some(axes)], 1)[0]
    }));
}

fn parts(cases: &mut Vec<Case>) {
    cases.push(case("Concat", |net| {
        let (a, b, c) = (net.activation(&[0, 2, 3]), net.activation(&[0, 1, 3]), net.activation(&[0, 4, 3]));
        net.op(op::Concat { axis: 1 }, &[a, b, c])
    }));
    cases.push(case("Concat of a value and itself", |net| {
        let a = net.activation(&[0, 2, 3]);
        net.op(op::Concat { axis: -1 }, &[a, a])
    }));
    cases.push(case("Concat with constants", |net| {
        let (a, b) = (net.activation(&[1, 3]), net.activation(&[0, 3]));
        let (c, d) = (net.weight(&[2, 3]), net.weight(&[1, 3]));
        net.op(op::Concat { axis: 0 }, &[c, a, d, b])
    }));
    cases.push(case("Concat along axes of any size", |net| {
        let (a, b) = (net.activation(&[0, 3]), net.activation(&[0, 3]));
        net.op(op::Concat { axis: 0 }, &[a, b])
    }));
    cases.push(outputs("Split in equal parts", |net| {
        let x = net.activation(&[0, 6, 2]);
        net.op_with(op::Split { axis: 1, num_outputs: Some(3) }, vec![Some(x)], 3)
    }));
    cases.push(outputs("Split with a smaller last part", |net| {
        let x = net.activation(&[0, 5, 2]);
        net.op_with(op::Split { axis: -2, num_outputs: Some(2) }, vec![Some(x)], 2)
    }));
    cases.push(outputs("Split by sizes", |net| {
        let x = net.activation(&[0, 6, 2]);
        let sizes = net.ints(&[1, 3, 2]);
        net.op_with(op::Split { axis: 1, num_outputs: None }, vec![Some(x), Some(sizes)], 3)
    }));
    cases.push(case("Split with unused parts", |net| {
        let x = net.activation(&[0, 6, 2]);
        let sizes = net.ints(&[1, 3, 2]);
        net.op_with(op::Split { axis: 1, num_outputs: None }, vec![Some(x), Some(sizes)], 3)[1]
    }));
}

fn slices(cases: &mut Vec<Case>) {
    type Cuts = (&'static [i64], &'static [i64], &'static [i64], &'static [i64]);
    let cuts: [Cuts; 12] = [
        (&[1], &[4], &[1], &[1]),
        (&[0], &[i64::MAX], &[1], &[2]),
        (&[1], &[6], &[1], &[3]),
        (&[-1], &[i64::MIN], &[1], &[-1]),
        (&[-2], &[-7], &[1], &[-2]),
        (&[-3], &[-1], &[-1], &[1]),
        (&[1, -4], &[5, 4], &[1, 2], &[2, 1]),
        (&[4, 2], &[0, 0], &[1, 2], &[-1, -1]),
        (&[0], &[1], &[0], &[1]),
        (&[-1], &[i64::MAX], &[0], &[1]),
        (&[2], &[100], &[1], &[1]),
        (&[5], &[0], &[1], &[-4]),
    ];
    for (starts, ends, axes, steps) in cuts {
        cases.push(case(format!("Slice {starts:?} to {ends:?} of {axes:?} by {steps:?}"), move |net| {
            let x = net.activation(&[0, 6, 4]);
            let operands = [starts, ends, axes, steps].map(|v| net.ints(v));
            net.op(op::Slice {}, &[x, operands[0], operands[1], operands[2], operands[3]])
        }));
    }
    cases.push(case("Slice without axes or steps", |net| {
        let x = net.activation(&[3, 4]);
        let (starts, ends) = (net.ints(&[1, 0]), net.ints(&[3, -1]));
        net.op(op::Slice {}, &[x, starts, ends])
    }));
    cases.push(case("Slice of an axis of any size", |net| {
        let data = net.random.values(BATCH * 15, -1.0, 1.0);
        let x = net.input_with(&[0, 5, 3], &[(1, "tokens")], data);
        let operands = [&[-2i64][..], &[i64::MAX], &[1], &[1]].map(|v| net.ints(v));
        net.op(op::Slice {}, &[x, operands[0], operands[1], operands[2], operands[3]])
    }));
    cases.push(case("Slice with bounds that are computed", |net| {
        let data = net.random.values(BATCH * 15, -1.0, 1.0);
        let x = net.input_with(&[0, 5, 3], &[(1, "tokens")], data);
        let end = net.op(op::Shape { start: 2, end: Some(3) }, &[x]);
        let (start, axis) = (net.ints(&[1]), net.ints(&[1]));
        net.op(op::Slice {}, &[x, start, end, axis])
    }));
}

fn gathers(cases: &mut Vec<Case>) {
    let indices: [(&[usize], &[i64]); 8] = [
        (&[], &[2]),
        (&[], &[-1]),
        (&[1], &[0]),
        (&[1, 1], &[-2]),
        (&[3], &[0, 2, 2]),
        (&[2, 2], &[1, -1, 0, 1]),
        (&[5], &[3, 2, 1, 0, -4]),
        (&[1, 3], &[1, 1, 1]),
    ];
    for (shape, values) in indices {
        for axis in [1, -1] {
            cases.push(case(format!("Gather {values:?} of shape {shape:?}, axis {axis}"), move |net| {
                let x = net.activation(&[0, 4, 5]);
                let indices = net.int_tensor(shape, values);
                net.op(op::Gather { axis }, &[x, indices])
            }));
        }
    }
    for (shape, values) in [(&[][..], &[1i64][..]), (&[3], &[0, 1, -1])] {
        cases.push(case(format!("Gather rows {values:?} of the batch"), move |net| {
            let x = net.activation(&[0, 3]);
            let indices = net.int_tensor(shape, values);
            net.op(op::Gather { axis: 0 }, &[x, indices])
        }));
    }
    cases.push(case("Gather along an axis of any size", |net| {
        let data = net.random.values(BATCH * 15, -1.0, 1.0);
        let x = net.input_with(&[0, 5, 3], &[(1, "tokens")], data);
        let last = net.int_tensor(&[], &[-1]);
        net.op(op::Gather { axis: 1 }, &[x, last])
    }));
    for axis in [1, -1] {
        cases.push(case(format!("GatherElements axis {axis}"), move |net| {
            let x = net.activation(&[0, 4, 5]);
            let values: Vec<i64> = (0..BATCH * 6).map(|_| net.random.below(8) as i64 - 4).collect();
            let indices = net.int_tensor(&[BATCH, 3, 2], &values);
            net.op(op::GatherElements { axis }, &[x, indices])
        }));
    }
    for (shape, values) in [
        (&[3, 2][..], &[0i64, 1, 1, 3, 0, 1][..]),
        (&[2, 1], &[1, -1]),
        (&[2, 2, 3], &[0, 1, 2, 1, 0, 0, 0, 3, 4, 0, 1, 2]),
        (&[1, 3], &[1, 2, -1]),
    ] {
        cases.push(case(format!("GatherND {values:?} of shape {shape:?}"), move |net| {
            let x = net.activation(&[0, 4, 5]);
            let indices = net.int_tensor(shape, values);
            net.op(op::GatherND::default(), &[x, indices])
        }));
    }
}

fn gathers_of_batches(cases: &mut Vec<Case>) {
    type Form = (i64, &'static [usize], &'static [usize], &'static [i64]);
    let forms: [Form; 4] = [
        (1, &[0, 4, 3], &[BATCH, 1], &[1, -1]),
        (1, &[0, 4, 3], &[BATCH, 2, 2], &[0, 1, 3, -1, 2, 2, 2, 2]),
        (2, &[0, 3, 4], &[BATCH, 3, 1], &[0, 1, -1, 3, 2, 2]),
        (2, &[0, 3, 4, 2], &[BATCH, 3, 2, 1], &[0, 0, 1, 2, 3, -4, 1, 1, 1, 0, 2, 3]),
    ];
    for (batch_dims, data, shape, values) in forms {
        cases.push(case(
            format!("GatherND {values:?} of shape {shape:?}, batch_dims {batch_dims}"),
            move |net| {
                let x = net.activation(data);
                let indices = net.int_tensor(shape, values);
                net.op(op::GatherND { batch_dims }, &[x, indices])
            },
        ));
    }
    cases.push(case("GatherND with indices of type int32", |net| {
        let x = net.activation(&[0, 4]);
        let indices = Tensor::new(vec![BATCH, 1], vec![3i32, -2]).unwrap();
        let indices = net.graph.add_constant("indices", indices);
        net.op(op::GatherND { batch_dims: 1 }, &[x, indices])
    }));
    cases.push(case("GatherND along an axis of any size", |net| {
        let data = net.random.values(BATCH * 15, -1.0, 1.0);
        let x = net.input_with(&[0, 5, 3], &[(1, "tokens")], data);
        let indices = net.int_tensor(&[BATCH, 5, 1], &[0, 1, 2, -1, 0, 2, 2, 2, 1, 0]);
        net.op(op::GatherND { batch_dims: 2 }, &[x, indices])
    }));
}

fn scatters(cases: &mut Vec<Case>) {
    for varying in [[true, false], [false, true], [true, true]] {
        cases.push(case(format!("ScatterElements, varying {varying:?}"), move |net| {
            let data = if varying[0] { net.activation(&[0, 4, 3]) } else { net.weight(&[BATCH, 4, 3]) };
            let indices = net.int_tensor(&[BATCH, 2, 2], &[0, 1, -1, 2, 3, 3, 2, 0]);
            let updates = if varying[1] { net.activation(&[0, 2, 2]) } else { net.weight(&[BATCH, 2, 2]) };
            net.op(op::ScatterElements { axis: 1, ..Default::default() }, &[data, indices, updates])
        }));
        cases.push(case(format!("ScatterND, varying {varying:?}"), move |net| {
            let data = if varying[0] { net.activation(&[0, 4, 3]) } else { net.weight(&[BATCH, 4, 3]) };
            let indices = net.int_tensor(&[3, 2], &[0, 1, 1, -1, 0, 3]);
            let updates = if varying[1] { net.activation(&[3, 3]) } else { net.weight(&[3, 3]) };
            net.op(op::ScatterND::default(), &[data, indices, updates])
        }));
    }
}

fn choices(cases: &mut Vec<Case>) {
    for (shape, left, right) in [
        (&[2usize, 3][..], &[0usize, 2, 3][..], &[0usize, 2, 3][..]),
        (&[3], &[0, 1, 3], &[2, 1]),
        (&[4, 1, 1, 3], &[0, 2, 1], &[]),
        (&[1], &[3], &[0, 1]),
    ] {
        for constant in [None, Some(0), Some(1)] {
            if constant.is_some_and(|i: usize| [left, right][i].contains(&0)) {
                continue;
            }
            cases.push(case(
                format!("Where {shape:?} {left:?} {right:?} constant {constant:?}"),
                move |net| {
                    let flags = (0..shape.iter().product()).map(|_| net.random.below(2) == 0).collect();
                    let condition = net.bools(shape, flags);
                    let mut operand = |i: usize, shape: &[usize]| match constant == Some(i) {
                        true => net.weight(shape),
                        false => net.activation(shape),
                    };
                    let operands = [operand(0, left), operand(1, right)];
                    net.op(op::Where {}, &[condition, operands[0], operands[1]])
                },
            ));
        }
    }
    cases.push(case("Where, chosen by the value itself", |net| {
        let x = net.distinct(&[0, 4]);
        let zero = net.constant(&[], vec![0.0]);
        let negative = net.op(op::Binary::Less, &[x, zero]);
        let flipped = net.op(Unary::Neg, &[x]);
        net.op(op::Where {}, &[negative, flipped, x])
    }));
    for (axis, largest, sorted) in [(-1, true, true), (1, false, true), (1, true, false)] {
        for used in [1, 2] {
            let name = format!("TopK axis {axis} largest {largest} sorted {sorted}, {used} outputs");
            cases.push(case(name, move |net| {
                let x = net.distinct(&[0, 4, 3]);
                let k = net.ints(&[2]);
                net.op_with(op::TopK { axis, largest, sorted }, vec![Some(x), Some(k)], used)[0]
            }));
        }
    }
}
