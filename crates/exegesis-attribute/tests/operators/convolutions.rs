//! Convolutions and transposed convolutions of random geometry.

use exegesis_graph::ValueId;
use exegesis_graph::op::{self, AutoPad};

use super::{Case, case};
use crate::common::{BATCH, Net, Random};

/// Window parameters along each spatial axis.
struct Windows {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    begins: Vec<usize>,
    ends: Vec<usize>,
    group: usize,
    /// Channels per group of the input, and of the output.
    channels: [usize; 2],
}

impl Windows {
    fn random(random: &mut Random, rank: usize) -> Self {
        let largest = if rank == 3 { 2 } else { 4 };
        let mut each = |low, high| (0..rank).map(|_| random.size(low, high)).collect::<Vec<_>>();
        let (kernel, strides, dilations) = (each(1, largest), each(1, largest), each(1, 2));
        let (begins, ends) = (each(0, 2), each(0, 2));
        let group = random.size(1, 2);
        let channels = [random.size(1, 2), random.size(1, 2)];
        Self { kernel, strides, dilations, begins, ends, group, channels }
    }

    fn extent(&self, i: usize) -> usize {
        self.dilations[i] * (self.kernel[i] - 1) + 1
    }

    fn pads(&self) -> Vec<i64> {
        ints(&[self.begins.clone(), self.ends.clone()].concat())
    }
}

fn ints(values: &[usize]) -> Vec<i64> {
    values.iter().map(|v| *v as i64).collect()
}

/// An input `[batch, channels, spatial...]`, the spatial axes symbolic if asked for and the batch is.
fn plane(net: &mut Net, channels: usize, spatial: &[usize], symbolic: bool) -> ValueId {
    let shape = [&[0, channels], spatial].concat();
    let names = ["depth", "height", "width"];
    let symbols: Vec<(usize, &str)> = (0..spatial.len()).map(|i| (2 + i, names[i])).collect();
    let count = BATCH * channels * spatial.iter().product::<usize>();
    let data = net.random.values(count, -2.0, 2.0);
    net.input_with(&shape, if symbolic { &symbols } else { &[] }, data)
}

/// Which operands vary: data, weights, bias.
type Varying = [bool; 3];

/// Constant weights and bias.
const DATA: Varying = [true, false, false];

fn parameter(net: &mut Net, shape: &[usize], varies: bool) -> ValueId {
    if varies { net.activation(shape) } else { net.weight(shape) }
}

/// The data of a convolution; constant data have the batch as a number.
fn data(net: &mut Net, channels: usize, spatial: &[usize], symbolic: bool, varies: bool) -> ValueId {
    match varies {
        true => plane(net, channels, spatial, symbolic),
        false => net.weight(&[&[BATCH, channels], spatial].concat()),
    }
}

fn conv(net: &mut Net, rank: usize, auto_pad: AutoPad, symbolic: bool, varying: Varying) -> ValueId {
    let mut windows = Windows::random(&mut net.random, rank);
    let same = matches!(auto_pad, AutoPad::SameUpper | AutoPad::SameLower);
    if symbolic && same {
        windows.strides = vec![1; rank];
    }
    let padded = auto_pad == AutoPad::NotSet;
    let spatial: Vec<usize> = (0..rank)
        .map(|i| {
            let pads = if padded { windows.begins[i] + windows.ends[i] } else { 0 };
            let least = windows.extent(i).saturating_sub(pads).max(1);
            net.random.size(least, least + if rank == 3 { 2 } else { 6 })
        })
        .collect();
    let x = data(net, windows.group * windows.channels[0], &spatial, symbolic, varying[0]);
    let m = windows.group * windows.channels[1];
    let kernel = [&[m, windows.channels[0]], windows.kernel.as_slice()].concat();
    let w = parameter(net, &kernel, varying[1]);
    let b = parameter(net, &[m], varying[2]);
    let op = op::Conv {
        auto_pad,
        dilations: ints(&windows.dilations),
        group: windows.group as i64,
        kernel_shape: if net.random.below(2) == 0 { vec![] } else { ints(&windows.kernel) },
        pads: if padded { windows.pads() } else { vec![] },
        strides: ints(&windows.strides),
    };
    if varying[2] || net.random.below(2) == 0 { net.op(op, &[x, w, b]) } else { net.op(op, &[x, w]) }
}

/// How the size of the output of a transposed convolution is given.
#[derive(Clone, Copy, Debug)]
enum Size {
    Padding,
    Shape(AutoPad),
    Automatic(AutoPad),
}

fn conv_transpose(net: &mut Net, rank: usize, size: Size, symbolic: bool, varying: Varying) -> ValueId {
    let windows = Windows::random(&mut net.random, rank);
    let spatial: Vec<usize> = (0..rank).map(|_| net.random.size(2, if rank == 3 { 3 } else { 5 })).collect();
    let output_padding: Vec<usize> =
        (0..rank).map(|i| net.random.below(windows.strides[i].max(windows.dilations[i]))).collect();
    let full = |i: usize| windows.strides[i] * (spatial[i] - 1) + windows.extent(i) + output_padding[i];
    let mut op = op::ConvTranspose {
        dilations: ints(&windows.dilations),
        group: windows.group as i64,
        output_padding: ints(&output_padding),
        strides: ints(&windows.strides),
        ..Default::default()
    };
    match size {
        Size::Padding => {
            // At least one cell must be left.
            let mut pads = windows.pads();
            for i in 0..rank {
                while pads[i] + pads[rank + i] >= full(i) as i64 {
                    pads[i] = (pads[i] - 1).max(0);
                    pads[rank + i] = (pads[rank + i] - 1).max(0);
                }
            }
            op.pads = pads;
        }
        Size::Shape(auto_pad) => {
            op.auto_pad = auto_pad;
            op.output_shape =
                (0..rank).map(|i| net.random.size(full(i).div_ceil(2), full(i)) as i64).collect();
        }
        Size::Automatic(auto_pad) => op.auto_pad = auto_pad,
    }
    let inputs = windows.group * windows.channels[0];
    let x = data(net, inputs, &spatial, symbolic, varying[0]);
    let kernel = [&[inputs, windows.channels[1]], windows.kernel.as_slice()].concat();
    let w = parameter(net, &kernel, varying[1]);
    let b = parameter(net, &[windows.group * windows.channels[1]], varying[2]);
    net.op(op, &[x, w, b])
}

const SIZES: [Size; 7] = [
    Size::Padding,
    Size::Shape(AutoPad::NotSet),
    Size::Shape(AutoPad::SameUpper),
    Size::Shape(AutoPad::SameLower),
    Size::Automatic(AutoPad::SameUpper),
    Size::Automatic(AutoPad::SameLower),
    Size::Automatic(AutoPad::Valid),
];

/// Weights or bias that depend on an explained input.
pub fn dynamic() -> Vec<Case> {
    let mut cases = vec![];
    for (rank, rounds) in [(1, 12), (2, 8), (3, 4)] {
        for varying in [
            [true, true, true],
            [true, true, false],
            [false, true, false],
            [true, false, true],
            [false, false, true],
        ] {
            for symbolic in [false, true] {
                let name = format!("Conv of rank {rank}, varying {varying:?}, any size {symbolic}");
                cases.push(
                    case(name, move |net| conv(net, rank, AutoPad::NotSet, symbolic, varying)).rounds(rounds),
                );
                let name = format!("ConvTranspose of rank {rank}, varying {varying:?}, any size {symbolic}");
                cases.push(
                    case(name, move |net| conv_transpose(net, rank, Size::Padding, symbolic, varying))
                        .rounds(rounds),
                );
            }
        }
        for auto_pad in [AutoPad::SameUpper, AutoPad::SameLower, AutoPad::Valid] {
            let name = format!("Conv of rank {rank}, {}, all vary", auto_pad.as_str());
            cases.push(case(name, move |net| conv(net, rank, auto_pad, false, [true; 3])).rounds(rounds / 2));
        }
        for size in SIZES {
            let name = format!("ConvTranspose of rank {rank}, {size:?}, all vary");
            cases.push(
                case(name, move |net| conv_transpose(net, rank, size, false, [true; 3])).rounds(rounds / 2),
            );
        }
    }
    cases
}

pub fn cases() -> Vec<Case> {
    let mut cases = vec![];
    for (rank, rounds) in [(1, 30), (2, 24), (3, 8)] {
        cases.push(
            case(format!("Conv of rank {rank}"), move |net| conv(net, rank, AutoPad::NotSet, false, DATA))
                .rounds(rounds),
        );
        for auto_pad in [AutoPad::SameUpper, AutoPad::SameLower, AutoPad::Valid] {
            let name = format!("Conv of rank {rank}, {}", auto_pad.as_str());
            cases.push(case(name, move |net| conv(net, rank, auto_pad, false, DATA)).rounds(rounds / 4));
            let name = format!("Conv of rank {rank}, {}, any size", auto_pad.as_str());
            cases.push(case(name, move |net| conv(net, rank, auto_pad, true, DATA)).rounds(rounds / 4));
        }
        let name = format!("Conv of rank {rank}, any size");
        cases.push(case(name, move |net| conv(net, rank, AutoPad::NotSet, true, DATA)).rounds(rounds / 2));
        for size in SIZES {
            let name = format!("ConvTranspose of rank {rank}, {size:?}");
            cases
                .push(case(name, move |net| conv_transpose(net, rank, size, false, DATA)).rounds(rounds / 2));
        }
        let name = format!("ConvTranspose of rank {rank}, any size");
        cases.push(
            case(name, move |net| conv_transpose(net, rank, Size::Padding, true, DATA)).rounds(rounds / 2),
        );
    }
    cases
}
