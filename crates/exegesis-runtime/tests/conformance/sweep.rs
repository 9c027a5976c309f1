//! Settings that nobody would think of: pools and convolutions with random kernels, strides, pads and dilations, and
//! products of all ranks. Each is refused, or computed as the reference computes it.

use exegesis_graph::op::{self, AutoPad};
use exegesis_graph::{Graph, Op};
use exegesis_runtime::table::{Support, support};

use crate::case::*;

/// Numbers of one setting.
struct Pick(Random);

impl Pick {
    fn new(what: &str) -> Self {
        Self(Random::new(what))
    }

    /// An integer in `low..=high`.
    fn up_to(&mut self, low: i64, high: i64) -> i64 {
        low + (self.0.next() * (high - low + 1) as f64).floor() as i64
    }

    fn flag(&mut self) -> bool {
        self.up_to(0, 1) == 1
    }

    fn list(&mut self, n: usize, low: i64, high: i64) -> Vec<i64> {
        (0..n).map(|_| self.up_to(low, high)).collect()
    }
}

/// Compares unless the table refuses; returns whether it was compared.
fn agrees(op: impl Into<Op>, operands: &[Operand]) -> bool {
    let op = op.into();
    let what = format!("{op:?} on {operands:?}").chars().take(500).collect::<String>();
    let (graph, fed) = graph(op, operands, 1);
    let mut inferred: Graph = graph.clone();
    if exegesis_graph::passes::infer::ShapeInference::new().run(&mut inferred).is_err() {
        // A window that does not fit its input.
        return false;
    }
    let node = inferred.find_node("node").unwrap();
    if matches!(support(&inferred, inferred.node(node)), Support::Refused(_)) {
        return false;
    }
    compare(graph, &fed, &what);
    true
}

/// Sizes, kernel, strides, dilations and pads of a window.
struct Window {
    shape: Vec<usize>,
    kernel: Vec<i64>,
    strides: Vec<i64>,
    dilations: Vec<i64>,
    pads: Vec<i64>,
    auto_pad: AutoPad,
}

fn window(pick: &mut Pick) -> Window {
    let spatial = pick.up_to(1, 3) as usize;
    let kernel = pick.list(spatial, 1, 3);
    let strides = pick.list(spatial, 1, 3);
    let dilations = if pick.up_to(0, 2) == 0 { pick.list(spatial, 1, 2) } else { vec![1; spatial] };
    let automatic = pick.up_to(0, 4) == 0 && dilations.iter().all(|d| *d == 1);
    let auto_pad = match (automatic, pick.up_to(0, 2)) {
        (false, _) => AutoPad::NotSet,
        (true, 0) => AutoPad::Valid,
        (true, 1) => AutoPad::SameUpper,
        (true, _) => AutoPad::SameLower,
    };
    let mut pads = vec![];
    for _ in 0..2 {
        // A pool of which a window holds pads only has no meaning.
        pads.extend(kernel.iter().map(|k| if automatic { 0 } else { pick.up_to(0, k - 1) }));
    }
    let mut shape = vec![pick.up_to(1, 2) as usize, 2];
    shape.extend(pick.list(spatial, 5, 8).iter().map(|n| *n as usize));
    let pads = if automatic { vec![] } else { pads };
    Window { shape, kernel, strides, dilations, pads, auto_pad }
}

#[test]
fn pools() {
    let mut pick = Pick::new("pools");
    let mut compared = 0;
    for _ in 0..400 {
        let Window { shape, kernel: kernel_shape, strides, dilations, pads, auto_pad } = window(&mut pick);
        let x = [floats(&shape)];
        let (ceil_mode, count_include_pad) = (pick.flag(), pick.flag());
        compared += usize::from(match pick.up_to(0, 2) {
            0 => agrees(
                op::MaxPool { auto_pad, ceil_mode, dilations, kernel_shape, pads, strides, storage_order: 0 },
                &x,
            ),
            1 => agrees(
                op::AveragePool {
                    auto_pad,
                    ceil_mode,
                    count_include_pad,
                    dilations,
                    kernel_shape,
                    pads,
                    strides,
                },
                &x,
            ),
            _ => agrees(
                op::LpPool {
                    auto_pad,
                    ceil_mode,
                    dilations,
                    kernel_shape,
                    p: pick.up_to(1, 3),
                    pads,
                    strides,
                },
                &x,
            ),
        });
    }
    assert!(compared > 300, "{compared}");
}

#[test]
fn convolutions() {
    let mut pick = Pick::new("convolutions");
    let mut compared = 0;
    for _ in 0..200 {
        let Window { shape, kernel, strides, dilations, pads, auto_pad } = window(&mut pick);
        let group = pick.up_to(1, 2);
        let mut weights = vec![4, 2 / group as usize];
        weights.extend(kernel.iter().map(|k| *k as usize));
        let mut operands = vec![floats(&shape), constant(floats_in(-1.0, 1.0, &weights))];
        if pick.flag() {
            operands.push(constant(floats(&[4])));
        }
        let conv = op::Conv { auto_pad, dilations, group, kernel_shape: kernel, pads, strides };
        compared += usize::from(agrees(conv, &operands));
    }
    assert!(compared > 150, "{compared}");
}

#[test]
fn transposed_convolutions() {
    let mut pick = Pick::new("transposed");
    let mut compared = 0;
    for _ in 0..200 {
        let Window { shape, kernel, strides, dilations, pads, auto_pad } = window(&mut pick);
        let group = pick.up_to(1, 2);
        let mut weights = vec![2, 2];
        weights.extend(kernel.iter().map(|k| *k as usize));
        let mut output_padding = vec![];
        if pick.up_to(0, 3) == 0 {
            output_padding = strides.iter().map(|s| pick.up_to(0, s - 1)).collect();
        }
        let operands = [floats(&shape), constant(floats_in(-1.0, 1.0, &weights))];
        let kernel_shape = kernel;
        let output_shape = vec![];
        compared += usize::from(agrees(
            op::ConvTranspose {
                auto_pad,
                dilations,
                group,
                kernel_shape,
                output_padding,
                output_shape,
                pads,
                strides,
            },
            &operands,
        ));
    }
    assert!(compared > 120, "{compared}");
}

#[test]
fn products() {
    let left: [&[usize]; 5] = [&[4], &[3, 4], &[2, 3, 4], &[1, 2, 3, 4], &[5, 1, 3, 4]];
    let right: [&[usize]; 5] = [&[4], &[4, 5], &[2, 4, 5], &[3, 1, 4, 5], &[1, 2, 4, 5]];
    let mut compared = 0;
    for a in left {
        for b in right {
            compared += usize::from(agrees(op::MatMul {}, &[floats(a), floats(b)]));
            compared += usize::from(agrees(op::MatMul {}, &[floats(a), constant(floats(b))]));
        }
    }
    assert!(compared >= 40, "{compared}");
}

#[test]
fn reductions() {
    use exegesis_graph::op::{Reduce, ReduceKind};
    let mut pick = Pick::new("reductions");
    for kind in ReduceKind::ALL {
        for _ in 0..12 {
            let rank = pick.up_to(1, 4) as usize;
            let shape: Vec<usize> = pick.list(rank, 1, 4).iter().map(|n| *n as usize).collect();
            let mut axes: Vec<i64> = (0..rank as i64).filter(|_| pick.flag()).collect();
            if pick.flag() {
                axes.iter_mut().for_each(|axis| *axis -= rank as i64);
            }
            let reduce = Reduce { kind: *kind, keepdims: pick.flag(), noop_with_empty_axes: pick.flag() };
            let x = floats_in(0.1, 2.0, &shape);
            if pick.up_to(0, 3) == 0 {
                agrees(reduce, &[x]);
            } else {
                agrees(reduce, &[x, vector(&axes)]);
            }
        }
    }
}

#[test]
fn slices_and_pads() {
    let mut pick = Pick::new("slices");
    for _ in 0..150 {
        let rank = pick.up_to(1, 4) as usize;
        let sizes = pick.list(rank, 1, 6);
        let shape: Vec<usize> = sizes.iter().map(|n| *n as usize).collect();
        let x = floats(&shape);
        let axes: Vec<i64> = (0..rank as i64).filter(|_| pick.flag()).collect();
        if !axes.is_empty() {
            let steps: Vec<i64> = axes.iter().map(|_| [-2, -1, 1, 2][pick.up_to(0, 3) as usize]).collect();
            let starts = pick.list(axes.len(), -7, 7);
            let ends = pick.list(axes.len(), -7, 7);
            agrees(op::Slice {}, &[x.clone(), vector(&starts), vector(&ends), vector(&axes), vector(&steps)]);
        }
        let mode = [op::PadMode::Constant, op::PadMode::Reflect, op::PadMode::Edge, op::PadMode::Wrap]
            [pick.up_to(0, 3) as usize];
        let most: Vec<i64> =
            sizes.iter().map(|n| if mode == op::PadMode::Constant { 3 } else { n - 1 }).collect();
        let pads: Vec<i64> = most.iter().chain(&most).map(|n| pick.up_to(0, (*n).min(3))).collect();
        agrees(op::Pad { mode }, &[x, vector(&pads)]);
    }
}

#[test]
fn reading_by_index() {
    let mut pick = Pick::new("index");
    for _ in 0..100 {
        let rank = pick.up_to(1, 4) as usize;
        let shape: Vec<usize> = pick.list(rank, 1, 5).iter().map(|n| *n as usize).collect();
        let axis = pick.up_to(-(rank as i64), rank as i64 - 1);
        let at = if axis < 0 { axis + rank as i64 } else { axis } as usize;
        let n = shape[at] as i64;
        let index_rank = pick.up_to(0, 2) as usize;
        let index_shape: Vec<usize> = pick.list(index_rank, 1, 3).iter().map(|n| *n as usize).collect();
        agrees(op::Gather { axis }, &[floats(&shape), ints(-n, n, &index_shape)]);
        let mut lanes = shape.clone();
        lanes[at] = pick.up_to(1, 4) as usize;
        agrees(op::GatherElements { axis }, &[floats(&shape), ints(-n, n, &lanes)]);
        let smaller: Vec<usize> = lanes.iter().map(|n| pick.up_to(1, *n as i64) as usize).collect();
        agrees(op::GatherElements { axis }, &[floats(&shape), ints(-n, n, &smaller)]);
        agrees(
            op::CumSum { exclusive: pick.flag(), reverse: pick.flag() },
            &[floats(&shape), { Operand::Constant(exegesis_graph::Tensor::scalar(axis)) }],
        );
        agrees(op::Softmax { axis }, &[floats(&shape)]);
        let arg = op::ArgMax { axis, keepdims: pick.flag(), select_last_index: pick.flag() };
        agrees(arg, &[ints_of(exegesis_graph::DType::F32, 0, 3, &shape)]);
    }
}
