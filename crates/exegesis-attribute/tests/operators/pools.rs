//! Pools over windows and over whole planes.

use exegesis_graph::ValueId;
use exegesis_graph::op::{self, AutoPad};

use super::{Case, case};
use crate::common::{BATCH, Net};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Max,
    Average { include_pad: bool },
    Lp(i64),
}

#[derive(Clone, Copy, Debug)]
struct Form {
    kind: Kind,
    rank: usize,
    padded: bool,
    ceil: bool,
    dilated: bool,
    auto_pad: AutoPad,
    /// Spatial axes are symbolic (when the batch is).
    any_size: bool,
}

fn pool(net: &mut Net, form: Form) -> ValueId {
    let mut each =
        |low: usize, high: usize| (0..form.rank).map(|_| net.random.size(low, high)).collect::<Vec<_>>();
    let kernel = each(1, 3);
    let strides = each(1, 3);
    let dilations = if form.dilated { each(1, 2) } else { vec![1; form.rank] };
    let extent = |i: usize| dilations[i] * (kernel[i] - 1) + 1;
    let spatial: Vec<usize> = (0..form.rank).map(|i| net.random.size(extent(i), extent(i) + 4)).collect();
    // A pad is smaller than the window, as runtimes demand: no window lies in the padding alone.
    let mut pads = vec![];
    for _ in 0..2 {
        for k in &kernel {
            pads.push(if form.padded { net.random.below(*k) as i64 } else { 0 });
        }
    }
    let ints = |v: &[usize]| v.iter().map(|v| *v as i64).collect::<Vec<_>>();
    let shape = [&[0, 2], spatial.as_slice()].concat();
    let data = net.random.distinct(BATCH * 2 * spatial.iter().product::<usize>());
    let names = ["depth", "height", "width"];
    let symbols: Vec<(usize, &str)> = (0..form.rank).map(|i| (2 + i, names[i])).collect();
    let x = net.input_with(&shape, if form.any_size { &symbols } else { &[] }, data);
    let pads = if form.auto_pad == AutoPad::NotSet { pads } else { vec![] };
    match form.kind {
        Kind::Max => net.op(
            op::MaxPool {
                auto_pad: form.auto_pad,
                ceil_mode: form.ceil,
                dilations: ints(&dilations),
                kernel_shape: ints(&kernel),
                pads,
                strides: ints(&strides),
                ..Default::default()
            },
            &[x],
        ),
        Kind::Average { include_pad } => net.op(
            op::AveragePool {
                auto_pad: form.auto_pad,
                ceil_mode: form.ceil,
                count_include_pad: include_pad,
                dilations: ints(&dilations),
                kernel_shape: ints(&kernel),
                pads,
                strides: ints(&strides),
            },
            &[x],
        ),
        Kind::Lp(p) => net.op(
            op::LpPool {
                auto_pad: form.auto_pad,
                ceil_mode: form.ceil,
                dilations: ints(&dilations),
                kernel_shape: ints(&kernel),
                p,
                pads,
                strides: ints(&strides),
            },
            &[x],
        ),
    }
}

/// The forms of one kind.
fn forms(kind: Kind) -> Vec<Form> {
    let plain = Form {
        kind,
        rank: 2,
        padded: false,
        ceil: false,
        dilated: false,
        auto_pad: AutoPad::NotSet,
        any_size: false,
    };
    let mut forms = vec![];
    for rank in 1..=3 {
        for padded in [false, true] {
            for ceil in [false, true] {
                for dilated in [false, true] {
                    forms.push(Form { rank, padded, ceil, dilated, ..plain });
                }
            }
        }
    }
    for auto_pad in [AutoPad::SameUpper, AutoPad::SameLower, AutoPad::Valid] {
        forms.push(Form { auto_pad, ..plain });
        forms.push(Form { auto_pad, rank: 1, dilated: true, ..plain });
    }
    forms.push(Form { any_size: true, ..plain });
    forms.push(Form { any_size: true, rank: 1, dilated: true, ..plain });
    if let Kind::Lp(_) = kind {
        forms.push(Form { any_size: true, ceil: true, ..plain });
        forms.push(Form { any_size: true, ceil: true, padded: true, ..plain });
    }
    // An average whose divisor varies needs the sizes.
    if kind != (Kind::Average { include_pad: false }) {
        forms.push(Form { any_size: true, padded: true, ..plain });
    }
    forms
}

/// Pools of powers.
pub fn norms() -> Vec<Case> {
    let mut cases = vec![];
    for p in [1, 2, 3] {
        for form in forms(Kind::Lp(p)) {
            let rounds = if form.rank == 3 { 1 } else { 2 };
            cases.push(case(format!("{form:?}"), move |net| pool(net, form)).rounds(rounds));
        }
        for spatial in [&[5usize][..], &[3, 4], &[2, 3, 2]] {
            cases.push(case(format!("GlobalLpPool {p} of {spatial:?}"), move |net| {
                let x = net.distinct(&[&[0, 3], spatial].concat());
                net.op(op::GlobalLpPool { p }, &[x])
            }));
        }
        cases.push(case(format!("GlobalLpPool {p}, any size"), move |net| {
            let data = net.random.distinct(BATCH * 24);
            let x = net.input_with(&[0, 2, 3, 4], &[(2, "height"), (3, "width")], data);
            net.op(op::GlobalLpPool { p }, &[x])
        }));
    }
    cases
}

pub fn cases() -> Vec<Case> {
    let mut cases = vec![];
    for kind in [Kind::Max, Kind::Average { include_pad: false }, Kind::Average { include_pad: true }] {
        for form in forms(kind) {
            let rounds = if form.rank == 3 { 2 } else { 5 };
            cases.push(case(format!("{form:?}"), move |net| pool(net, form)).rounds(rounds));
        }
    }
    // Between two tied cells the central difference is a half, which is the share of each.
    cases.push(case("MaxPool with ties of two", |net| {
        let x = net.input(&[0, 1, 6], vec![1.0, 1.0, 0.0, 2.0, 3.0, 3.0, 0.0, 5.0, 5.0, 1.0, 4.0, 4.0]);
        net.op(op::MaxPool { kernel_shape: vec![2], strides: vec![1], ..Default::default() }, &[x])
    }));
    for spatial in [&[5usize][..], &[3, 4], &[2, 3, 2]] {
        cases.push(case(format!("GlobalAveragePool {spatial:?}"), move |net| {
            let x = net.distinct(&[&[0, 3], spatial].concat());
            net.op(op::GlobalAveragePool {}, &[x])
        }));
        cases.push(case(format!("GlobalMaxPool {spatial:?}"), move |net| {
            let x = net.distinct(&[&[0, 3], spatial].concat());
            net.op(op::GlobalMaxPool {}, &[x])
        }));
    }
    cases.push(case("GlobalAveragePool, any size", |net| {
        let data = net.random.distinct(BATCH * 24);
        let x = net.input_with(&[0, 2, 3, 4], &[(2, "height"), (3, "width")], data);
        net.op(op::GlobalAveragePool {}, &[x])
    }));
    cases
}
