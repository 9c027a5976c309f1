//! Property 5: closed forms equal loops over units, and loops over units equal the operator's explicit matrix.

use exegesis_attribute::DlBacktraceRules;
use exegesis_graph::ValueId;
use exegesis_graph::op::{self, Op, ResizeMode};
use proptest::prelude::*;

use crate::common::{BATCH, Batch, Net, assert_close, walk};
use crate::oracle::Single;
use crate::oracle::taps::{self, Geometry, Tap};
use crate::oracle::units::{Activation, Core, Shares, Unit};
use crate::traced::{EXACT, cases};

/// An operator that is linear in `x`, with its coefficients listed one by one.
pub struct Linear {
    pub net: Net,
    pub output: ValueId,
    pub taps: Vec<Tap>,
    /// Bias of each unit.
    pub bias: Vec<f64>,
}

impl Linear {
    /// The units of the output.
    pub fn units(&self) -> Vec<Unit> {
        let x = &self.net.feeds[0].1.data;
        let mut units: Vec<Unit> = self.bias.iter().map(|bias| Unit { terms: vec![], bias: *bias }).collect();
        for Tap { unit, cell, weight } in &self.taps {
            if weight * x[*cell] != 0.0 {
                units[*unit].terms.push((*cell, weight * x[*cell]));
            }
        }
        units
    }
}

/// What all units send to each cell of an input of `cells` cells.
pub fn sum(cells: usize, shares: &[Shares]) -> Vec<f64> {
    let mut relevance = vec![0.0; cells];
    for (cell, amount) in shares.iter().flat_map(|s| &s.sent) {
        relevance[*cell] += amount;
    }
    relevance
}

/// The operators that are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Convolution,
    Transposed,
    AveragePool,
    Interpolation,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Convolution, Self::Transposed, Self::AveragePool, Self::Interpolation];
}

/// An operator of random geometry over planes of `rank` axes; some cells of the input are 0.
pub fn linear(kind: Kind, rank: usize, seed: u64) -> Linear {
    let mut net = Net::new(seed, Batch::Fixed);
    let most = if rank == 3 { 2 } else { 3 };
    let mut each = |low, high| (0..rank).map(|_| net.random.size(low, high)).collect::<Vec<_>>();
    let (kernel, strides, mut dilations) = (each(1, most), each(1, most), each(1, 2));
    // A pad is smaller than the window: no window lies in the padding alone.
    let mut pads = [each(0, 1), each(0, 1)];
    for pad in pads.iter_mut().flat_map(|side| side.iter_mut().zip(&kernel)) {
        *pad.0 = (*pad.0).min(pad.1 - 1);
    }
    let groups = if kind == Kind::AveragePool { 1 } else { net.random.size(1, 2) };
    if kind == Kind::AveragePool {
        dilations.fill(1);
    }
    let channels = groups * net.random.size(1, 2);
    let geometry = Geometry { kernel, strides, dilations, pads, groups };
    let spatial: Vec<usize> =
        (0..rank).map(|i| net.random.size(geometry.extent(i), geometry.extent(i) + most)).collect();
    let shape = [&[BATCH, channels], spatial.as_slice()].concat();
    let mut data = net.random.values(shape.iter().product(), -2.0, 2.0);
    for value in &mut data {
        if net.random.below(4) == 0 {
            *value = 0.0;
        }
    }
    let x = net.input(&shape, data);
    let ints = |values: &[usize]| values.iter().map(|v| *v as i64).collect::<Vec<_>>();
    let both = ints(&geometry.pads.concat());
    let Geometry { kernel, strides, dilations, .. } = &geometry;
    let outputs = groups * net.random.size(1, 2);
    let (op, weights): (Op, Vec<usize>) = match kind {
        Kind::Convolution => (
            op::Conv {
                strides: ints(strides),
                dilations: ints(dilations),
                pads: both,
                group: groups as i64,
                ..Default::default()
            }
            .into(),
            [&[outputs, channels / groups], kernel.as_slice()].concat(),
        ),
        Kind::Transposed => (
            op::ConvTranspose {
                strides: ints(strides),
                dilations: ints(dilations),
                pads: both,
                group: groups as i64,
                ..Default::default()
            }
            .into(),
            [&[channels, outputs / groups], kernel.as_slice()].concat(),
        ),
        Kind::AveragePool => (
            op::AveragePool {
                kernel_shape: ints(kernel),
                strides: ints(strides),
                pads: both,
                ..Default::default()
            }
            .into(),
            vec![],
        ),
        Kind::Interpolation => (op::Resize { mode: ResizeMode::Linear, ..Default::default() }.into(), vec![]),
    };
    if kind == Kind::Interpolation {
        let sizes: Vec<usize> = spatial.iter().map(|n| n + net.random.below(4)).collect();
        let taps = taps::interpolation(&shape, &sizes);
        let given = net.ints(&ints(&[&shape[..2], &sizes].concat()));
        let output = net.op_with(op, vec![Some(x), None, None, Some(given)], 1)[0];
        let count = shape[..2].iter().chain(&sizes).product();
        return Linear { net, output, taps, bias: vec![0.0; count] };
    }
    if kind == Kind::AveragePool {
        let taps = taps::average(&geometry, &shape);
        let count = shape[..2].iter().chain(&geometry.windows(&spatial)).product();
        let output = net.op(op, &[x]);
        return Linear { net, output, taps, bias: vec![0.0; count] };
    }
    let w = net.random.values(weights.iter().product(), -1.0, 1.0);
    let b = net.random.values(outputs, -1.0, 1.0);
    let (taps, plane) = match kind {
        Kind::Convolution => (taps::convolution(&geometry, &shape, &w, outputs), geometry.windows(&spatial)),
        _ => (taps::transposed_convolution(&geometry, &shape, &w, outputs), geometry.transposed(&spatial)),
    };
    let plane: usize = plane.iter().product();
    let bias = (0..BATCH).flat_map(|_| b.iter().flat_map(|b| vec![*b; plane])).collect();
    let (w, b) = (net.constant(&weights, w), net.constant(&[outputs], b));
    let output = net.op(op, &[x, w, b]);
    Linear { net, output, taps, bias }
}

proptest! {
    #![proptest_config(cases(120))]

    /// Property 5. The closed form of the rule, the loop over units with coefficients listed from the operator's
    /// definition, and the loop over the rows of the operator's matrix, found by probing, give the same.
    ///
    /// What this would catch: an adjoint that drops padding, swaps axes of a stride or a dilation, or mixes groups; a
    /// reference evaluator with the same mistake as the rule.
    #[test]
    fn closed_forms_equal_loops(seed: u64, kind in 0..4usize, rank in 1..4usize) {
        let kind = Kind::ALL[kind];
        // The evaluator interpolates planes of two axes and less.
        let rank = if kind == Kind::Interpolation { rank.min(2) } else { rank };
        let linear = linear(kind, rank, seed);
        let Linear { net, output, .. } = &linear;
        let walked = walk(net, &[*output], &DlBacktraceRules::default(), None).unwrap();
        let r = &walked.seeds[0].data;
        let share = |units: &[Unit]| -> Vec<Shares> {
            units.iter().zip(r).map(|(unit, r)| unit.default_mode(*r, Activation::None, Core::Shipped)).collect()
        };
        let listed = share(&linear.units());
        let cells = net.feeds[0].1.len();
        assert_close("listed", &walked.signals[0].data, &sum(cells, &listed), EXACT, 1e-12);
        let node = net.graph.producer_node(*output).unwrap();
        let (rows, bias) = Single { net, node, outputs: &[*output] }.matrix(0);
        let probed: Vec<Unit> = rows.iter().zip(&bias).map(|(row, b)| {
            // Probing leaves rounding where the true coefficient is 0.
            let row: Vec<f64> = row.iter().map(|w| if w.abs() < 1e-12 { 0.0 } else { *w }).collect();
            Unit::of(&row, &net.feeds[0].1.data, *b)
        }).collect();
        assert_close("probed", &walked.signals[0].data, &sum(cells, &share(&probed)), EXACT, 1e-12);
        let dead: f64 = listed.iter().map(|s| s.dead).sum();
        let booked = walked.ledger.iter().map(|(_, columns)| columns[3]).sum::<f64>();
        prop_assert!((dead - booked).abs() < 1e-12 * (1.0 + dead), "{} is dead, not {}", booked, dead);
    }
}
