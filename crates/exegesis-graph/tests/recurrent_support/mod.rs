//! Recurrent layers of every form, for the tests of unrolling and rolling.
#![allow(dead_code)]

use exegesis_graph::op::{Direction, Gru, Lstm, Rnn};
use exegesis_graph::{DType, Graph, Op, ValueId};
use exegesis_reference::Array;
use proptest::prelude::*;

use crate::raise_support::{Net, Random};

pub const FEATURES: usize = 3;
pub const HIDDEN: usize = 4;
pub const BATCH: usize = 2;

/// Which operands and attributes a layer has.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub steps: usize,
    pub direction: Direction,
    pub layout: i64,
    pub bias: bool,
    pub lengths: bool,
    pub initial: bool,
    pub peepholes: bool,
    pub flag: bool,
    pub custom: bool,
    pub seed: u64,
}

impl Case {
    fn directions(&self) -> usize {
        if self.direction == Direction::Bidirectional { 2 } else { 1 }
    }

    /// Names of activations with parameters, per direction.
    fn activations(&self, names: &[&str]) -> Vec<String> {
        if !self.custom {
            return vec![];
        }
        (0..self.directions()).flat_map(|_| names.iter().map(|n| (*n).to_string())).collect()
    }

    /// A layer over `steps` steps, a number or a symbol.
    pub fn build(&self, op: impl Into<Op>, gates: usize, states: usize, steps: &str) -> Graph {
        let mut random = Random::new(self.seed);
        let d = self.directions();
        let mut net = Net::new();
        let b = "batch";
        let x = net.input("x", &if self.layout == 0 { [steps, b, "3"] } else { [b, steps, "3"] });
        let mut inputs: Vec<Option<ValueId>> = vec![
            Some(x),
            Some(net.constant(random.tensor(&[d, gates * HIDDEN, FEATURES]))),
            Some(net.constant(random.tensor(&[d, gates * HIDDEN, HIDDEN]))),
            self.bias.then(|| net.constant(random.tensor(&[d, 2 * gates * HIDDEN]))),
        ];
        inputs.push(self.lengths.then(|| net.typed_input("lengths", DType::I32, &[b])));
        for name in ["h", "c"].into_iter().take(states) {
            inputs.push(self.initial.then(|| {
                let (ds, h) = (d.to_string(), HIDDEN.to_string());
                net.input(name, &if self.layout == 0 { [&ds, b, &h] } else { [b, &ds, &h] })
            }));
        }
        if states == 2 && self.peepholes {
            inputs.push(Some(net.constant(random.tensor(&[d, 3 * HIDDEN]))));
        }
        let outputs = net.graph.add_op_with("layer", op, inputs, 1 + states);
        net.finish(&outputs)
    }

    /// Inputs of that layer, for `batch` samples of `steps` steps; the second sample has one valid step.
    pub fn arrays(&self, states: usize, steps: usize, batch: usize) -> Vec<(&'static str, Array)> {
        let mut random = Random::new(self.seed.wrapping_add(1));
        let d = self.directions();
        let x = if self.layout == 0 { [steps, batch, FEATURES] } else { [batch, steps, FEATURES] };
        let mut arrays = vec![("x", random.array(&x))];
        if self.lengths {
            let lengths = (0..batch).map(|b| if b == 1 { 1.0 } else { steps as f64 }).collect();
            arrays.push(("lengths", Array::new(DType::I32, vec![batch], lengths).unwrap()));
        }
        for name in ["h", "c"].into_iter().take(if self.initial { states } else { 0 }) {
            let shape = if self.layout == 0 { [d, batch, HIDDEN] } else { [batch, d, HIDDEN] };
            arrays.push((name, random.array(&shape)));
        }
        arrays
    }

    pub fn lstm(&self) -> Lstm {
        Lstm {
            direction: self.direction,
            layout: self.layout,
            input_forget: self.flag,
            hidden_size: HIDDEN as i64,
            activations: self.activations(&["HardSigmoid", "Softsign", "ScaledTanh"]),
            activation_alpha: if self.custom { vec![0.3; 2 * self.directions()] } else { vec![] },
            activation_beta: if self.custom { vec![0.4; 2 * self.directions()] } else { vec![] },
            ..Lstm::default()
        }
    }

    pub fn gru(&self) -> Gru {
        Gru {
            direction: self.direction,
            layout: self.layout,
            linear_before_reset: self.flag,
            hidden_size: HIDDEN as i64,
            activations: self.activations(&["HardSigmoid", "Relu"]),
            ..Gru::default()
        }
    }

    pub fn rnn(&self) -> Rnn {
        let activations = self.activations(&[if self.flag { "Affine" } else { "LeakyRelu" }]);
        let alpha = if self.custom { vec![0.5; self.directions()] } else { vec![] };
        let (direction, layout) = (self.direction, self.layout);
        Rnn { direction, layout, activations, activation_alpha: alpha, ..Rnn::default() }
    }
}

/// Every combination of attributes and optional operands.
pub fn cases() -> impl Strategy<Value = Case> {
    let directions = prop::sample::select(Direction::ALL.to_vec());
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (1..4usize, directions, 0..2i64, flags, any::<u64>()).prop_map(
        |(steps, direction, layout, flags, seed)| {
            let (bias, lengths, initial, peepholes, flag, custom) = flags;
            Case { steps, direction, layout, bias, lengths, initial, peepholes, flag, custom, seed }
        },
    )
}

/// A forward layer of three steps with a bias.
pub const PLAIN: Case = Case {
    steps: 3,
    direction: Direction::Forward,
    layout: 0,
    bias: true,
    lengths: false,
    initial: false,
    peepholes: false,
    flag: false,
    custom: false,
    seed: 7,
};
