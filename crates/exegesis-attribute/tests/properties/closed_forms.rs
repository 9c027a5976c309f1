//! Property 5: closed forms equal loops over units, and loops over units equal the operator's explicit matrix. Here for the
//! linear core in every mode: default, contrastive, with saturation, and as the first version has it.

use exegesis_attribute::{DlBacktraceRules, LEDGER_COLUMNS};
use exegesis_graph::ValueId;
use exegesis_graph::op::{self, Op, ResizeMode, Unary};
use proptest::prelude::*;

use crate::common::{BATCH, Batch, Net, Random, array, assert_close, rules, walk};
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
    Dense,
    AveragePool,
    Interpolation,
}

impl Kind {
    pub const ALL: [Self; 5] =
        [Self::Convolution, Self::Transposed, Self::Dense, Self::AveragePool, Self::Interpolation];
}

/// Inputs, weights and biases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Real, inputs up to 2, some of them 0.
    Real,
    /// Whole numbers from -1 to 1: many terms are 0, many sums too, exactly.
    Whole,
    /// Real, inputs up to 4: many sums lie beyond the bounds of activations.
    Large,
}

impl Numbers {
    fn draw(self, random: &mut Random, count: usize, most: f64) -> Vec<f64> {
        let values = random.values(count, -most, most);
        match self {
            Self::Real => values,
            Self::Whole => values.into_iter().map(|v| (1.4 * v / most).round()).collect(),
            Self::Large => values.into_iter().map(|v| 2.0 * v).collect(),
        }
    }
}

/// A matrix product by a constant.
fn dense(numbers: Numbers, seed: u64) -> Linear {
    let mut net = Net::new(seed, Batch::Fixed);
    let (inputs, outputs) = (net.random.size(1, 6), net.random.size(1, 6));
    let x = numbers.draw(&mut net.random, BATCH * inputs, 2.0);
    let w = numbers.draw(&mut net.random, inputs * outputs, 1.0);
    let b = numbers.draw(&mut net.random, outputs, 1.0);
    let x = net.input(&[BATCH, inputs], x);
    let cell = |unit: usize, i: usize| unit / outputs * inputs + i;
    let taps = (0..BATCH * outputs)
        .flat_map(|unit| (0..inputs).map(move |i| (unit, i)))
        .map(|(unit, i)| Tap { unit, cell: cell(unit, i), weight: w[unit % outputs * inputs + i] })
        .collect();
    let bias = (0..BATCH * outputs).map(|unit| b[unit % outputs]).collect();
    let (w, b) = (net.constant(&[outputs, inputs], w), net.constant(&[outputs], b));
    let output = net.op(op::Gemm { transB: true, ..Default::default() }, &[x, w, b]);
    Linear { net, output, taps, bias }
}

/// An operator of random geometry over planes of `rank` axes, with random numbers.
pub fn linear(kind: Kind, rank: usize, numbers: Numbers, seed: u64) -> Linear {
    if kind == Kind::Dense {
        return dense(numbers, seed);
    }
    // The evaluator interpolates planes of two axes and less.
    let rank = if kind == Kind::Interpolation { rank.min(2) } else { rank };
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
    let mut data = numbers.draw(&mut net.random, shape.iter().product(), 2.0);
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
        _ => (op::Resize { mode: ResizeMode::Linear, ..Default::default() }.into(), vec![]),
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
    let w = numbers.draw(&mut net.random, weights.iter().product(), 1.0);
    let b = numbers.draw(&mut net.random, outputs, 1.0);
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
    fn closed_forms_equal_loops(seed: u64, kind in 0..5usize, rank in 1..4usize) {
        let linear = linear(Kind::ALL[kind], rank, Numbers::Real, seed);
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

    /// Property 5, contrastive mode: the closed form gives what the cases of specification 4.2 give unit by unit, ties, sums
    /// of exactly 0, units with terms of one sign and units without terms included.
    ///
    /// What this would catch: a case that is decided by a difference that rounding leaves, a tie that goes to the wrong side,
    /// a bias that takes a share, channels that are mixed up.
    #[test]
    fn contrastive_forms_equal_loops(seed: u64, kind in 0..5usize, rank in 1..4usize, whole: bool) {
        // Sums of fractions of whole numbers are not exactly 0.
        let kinds = if whole { &Kind::ALL[..3] } else { &Kind::ALL[..] };
        let kind = kinds[kind % kinds.len()];
        let numbers = if whole { Numbers::Whole } else { Numbers::Real };
        check_contrast(&linear(kind, rank, numbers, seed), "mode=contrastive", Core::Shipped, seed);
    }

    /// Property 5, the first version's contrast: a sum of exactly 0 loses both channels in a linear layer; in a convolution
    /// ties and units with terms of one sign lose what no term takes.
    ///
    /// What this would catch: losses that are not booked, rules of the first version in the wrong operator.
    #[test]
    fn contrast_of_the_first_version_equals_loops(seed: u64, convolution: bool, rank in 1..3usize, whole: bool) {
        let (kind, core) = match convolution {
            true => (Kind::Convolution, Core::FirstConvolution),
            false => (Kind::Dense, Core::FirstLinear),
        };
        let numbers = if whole { Numbers::Whole } else { Numbers::Real };
        check_contrast(&linear(kind, rank, numbers, seed), "mode=contrastive,compat=v1", core, seed);
    }

    /// Property 5, saturation: units beyond a bound of their activation share among the side that still moves them; as
    /// shipped, and in convolutions of the first version.
    ///
    /// What this would catch: a bound of another activation, a dropped side that still counts in the denominator, a loss
    /// that is booked twice or not at all.
    #[test]
    fn saturated_forms_equal_loops(seed: u64, kind in 0..2usize, rank in 1..3usize, activation in 0..4usize, first: bool) {
        let kind = [Kind::Convolution, Kind::Dense][kind];
        let activation =
            [Activation::Tanh, Activation::Sigmoid, Activation::Swish, Activation::Softmax][activation];
        let Linear { mut net, output, taps, bias } = linear(kind, rank, Numbers::Large, seed);
        let core = match (first, kind) {
            (true, Kind::Convolution) => Core::FirstConvolution,
            _ => Core::Shipped,
        };
        let bounded = match activation {
            Activation::Tanh => net.op(Unary::Tanh, &[output]),
            Activation::Sigmoid => net.op(Unary::Sigmoid, &[output]),
            Activation::Swish => net.op(op::Swish { alpha: 0.75 }, &[output]),
            _ => net.op(op::Softmax { axis: 1 }, &[output]),
        };
        net.graph.outputs = vec![bounded];
        let rules = rules(&net, if first { "compat=v1" } else { "saturation=on" });
        let walked = walk(&net, &[bounded], &rules, None).unwrap();
        let linear = Linear { net, output, taps, bias };
        let shares: Vec<Shares> = linear.units().iter().zip(&walked.seeds[0].data)
            .map(|(unit, r)| unit.default_mode(*r, activation, core)).collect();
        assert_close("shares", &walked.signals[0].data, &sum(linear.net.feeds[0].1.len(), &shares), EXACT, 1e-12);
        // The first version's convolutions book what they drop as their own loss.
        let dropped = if core == Core::FirstConvolution { "compat" } else { "saturation" };
        for (column, want) in [
            ("bias", shares.iter().map(|s| s.bias).sum::<f64>()),
            ("dead", shares.iter().map(|s| s.dead).sum()),
            (dropped, shares.iter().map(|s| s.saturation).sum()),
        ] {
            let at = LEDGER_COLUMNS.iter().position(|c| *c == column).unwrap();
            let got: f64 = walked.ledger.iter().map(|(_, columns)| columns[at]).sum();
            prop_assert!((got - want).abs() <= 1e-10 * (1.0 + want), "{} is {}, not {}", column, got, want);
        }
    }
}

/// Fails unless both channels of a walk through `linear` are what its units give one by one.
fn check_contrast(linear: &Linear, options: &str, core: Core, seed: u64) {
    let Linear { net, output, bias, .. } = linear;
    let shape = walk(net, &[*output], &rules(net, ""), None).unwrap().outputs[0].shape.clone();
    // Quarters, so that ties are frequent.
    let mut random = Random::new(seed);
    let seeds =
        [0; 2].map(|_| array(&shape, (0..bias.len()).map(|_| random.below(4) as f64 / 4.0).collect()));
    let walked = walk(net, &[*output], &rules(net, options), Some(&seeds)).unwrap();
    let both: Vec<[Shares; 2]> = linear
        .units()
        .iter()
        .zip(seeds[0].data.iter().zip(&seeds[1].data))
        .map(|(unit, (rp, rn))| unit.contrastive([*rp, *rn], core))
        .collect();
    for channel in 0..2 {
        let shares: Vec<Shares> = both.iter().map(|shares| shares[channel].clone()).collect();
        let want = sum(net.feeds[0].1.len(), &shares);
        assert_close("shares", &walked.channels[channel][0].data, &want, EXACT, 1e-12);
        for (column, want) in [
            ("bias", 0.0),
            ("dead", shares.iter().map(|s| s.dead).sum::<f64>()),
            ("compat", shares.iter().map(|s| s.compat).sum()),
        ] {
            let at = LEDGER_COLUMNS.iter().position(|c| *c == column).unwrap();
            let got: f64 = walked.ledgers[channel].iter().map(|(_, columns)| columns[at]).sum();
            assert!(
                (got - want).abs() <= 1e-10 * (1.0 + want),
                "channel {channel}: {got} is {column}, not {want}"
            );
        }
    }
}
