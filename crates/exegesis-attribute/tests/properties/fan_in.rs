//! Property 6: the shares of wide units in f32. The rules find the two sides of a unit as half the sum and half the difference
//! of `|W| |x|` and `W x`; the loops here add up each side by itself.

use exegesis_reference::Array;
use proptest::prelude::*;

use exegesis_graph::op::{self, Unary};

use crate::closed_forms::sum;
use crate::common::{Batch, Net, Random, array, assert_close};
use crate::oracle::units::{Activation, Core, Unit};
use crate::traced::{Engine, Mode, cases, trace_seeds};

const FAN_IN: usize = 4096;
const UNITS: usize = 4;

/// How the terms of a unit lie.
#[derive(Clone, Copy, Debug)]
enum Terms {
    /// As many of one sign as of the other, more or less.
    Mixed,
    /// About a hundredth of their magnitude has the other sign.
    Lopsided,
    /// All have one sign.
    OneSigned,
}

const TERMS: [Terms; 3] = [Terms::Mixed, Terms::Lopsided, Terms::OneSigned];

/// As f32 holds them.
fn single(values: Vec<f64>) -> Vec<f64> {
    values.into_iter().map(|v| f64::from(v as f32)).collect()
}

/// A unit's weights for inputs `x` so that its terms lie as asked, negative ones most for odd units.
fn weights(random: &mut Random, x: &[f64], terms: Terms, unit: usize) -> Vec<f64> {
    let side = if unit.is_multiple_of(2) { 1.0 } else { -1.0 };
    x.iter()
        .map(|x| {
            let size = random.between(0.1, 1.0);
            match terms {
                Terms::Mixed => size * if random.below(2) == 0 { 1.0 } else { -1.0 },
                Terms::Lopsided => size * x.signum() * side * if random.below(80) == 0 { -1.0 } else { 1.0 },
                Terms::OneSigned => size * x.signum() * side,
            }
        })
        .collect()
}

proptest! {
    #![proptest_config(cases(12))]

    /// Property 6. At a fan-in of 4096, in f32, relevance is within 1e-4 of its largest value of what the two sides give that
    /// are added up by themselves in f64; units with terms of one sign are told exactly. Inputs of one sign take another
    /// form, with positive and negative weights apart.
    ///
    /// What this would catch: a side that is lost in the rounding of a difference, a side that is only rounding, relevance
    /// that is amplified by it.
    #[test]
    fn differences_equal_sides(seed: u64, terms in 0..3usize, rectified: bool, biased: bool) {
        let mut random = Random::new(seed);
        let mut x = single(random.values(FAN_IN, -1.0, 1.0));
        if rectified {
            x.iter_mut().for_each(|x| *x = x.abs());
        }
        let rows: Vec<Vec<f64>> =
            (0..UNITS).map(|unit| single(weights(&mut random, &x, TERMS[terms], unit))).collect();
        let bias = single(random.values(UNITS, -1.0, 1.0));
        let mut net = Net::new(seed, Batch::Fixed);
        net.batch = Batch::Symbolic;
        let input = net.input(&[1, FAN_IN], x.clone());
        let hidden = if rectified { net.op(Unary::Relu, &[input]) } else { input };
        let mut operands = vec![hidden, net.constant(&[UNITS, FAN_IN], rows.concat())];
        if biased {
            operands.push(net.constant(&[UNITS], bias.clone()));
        }
        let y = net.op(op::Gemm { transB: true, ..Default::default() }, &operands);
        net.graph.outputs = vec![y];
        let seeds: [Array; 2] = [0; 2].map(|_| array(&[1, UNITS], single(random.values(UNITS, 0.1, 1.0))));
        let units: Vec<Unit> = rows.iter().zip(&bias)
            .map(|(row, b)| Unit::of(row, &x, if biased { *b } else { 0.0 })).collect();

        let default: Vec<_> = units.iter().zip(&seeds[0].data)
            .map(|(unit, r)| unit.default_mode(*r, Activation::None, Core::Shipped)).collect();
        let got = trace_seeds(&net, &seeds[..1], Mode::Default, Engine::Rten);
        assert_close("default", &got[0].inputs[0].data, &sum(FAN_IN, &default), 1e-5, 0.0);

        let both: Vec<_> = units.iter().enumerate()
            .map(|(i, unit)| unit.contrastive([seeds[0].data[i], seeds[1].data[i]], Core::Shipped)).collect();
        let got = trace_seeds(&net, &seeds, Mode::Contrastive, Engine::Rten);
        for (channel, got) in got.iter().enumerate() {
            let want: Vec<_> = both.iter().map(|shares| shares[channel].clone()).collect();
            assert_close("contrast", &got.inputs[0].data, &sum(FAN_IN, &want), 1e-4, 0.0);
            got.assert_conserved("contrast", 1e-4);
        }
    }
}
