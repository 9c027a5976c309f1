//! Relevance through LSTM and GRU against plain loops of the specification (5.6).
//!
//! What this would catch: a wrong order of gates, time or directions, a bias at the wrong side, an end of a sequence at
//! the wrong step.

mod common;
mod recurrent_oracle;

use common::{Batch, Net, Random, array, assert_close, largest, rules, walk};
use exegesis_attribute::LEDGER_COLUMNS;
use exegesis_graph::op::{Direction, Gru, Lstm};
use exegesis_graph::passes::{roll, unroll};
use exegesis_graph::{DType, Op, ValueId};
use exegesis_reference::Array;
use recurrent_oracle::{Relevance, Sample, Weights, blocks};

const FEATURES: usize = 3;
const HIDDEN: usize = 4;
const STEPS: usize = 5;
const BATCH: usize = common::BATCH;

/// What a layer is given.
#[derive(Clone, Copy, Debug)]
struct Given {
    lengths: Option<[usize; BATCH]>,
    initial: bool,
    /// The initial states are explained too.
    explain_initial: bool,
    peepholes: bool,
}

/// A layer with its weights, its network and what it is run on.
struct Layer {
    net: Net,
    outputs: Vec<ValueId>,
    ways: Vec<(bool, Weights)>,
    x: Vec<f64>,
    states: Vec<Vec<f64>>,
    given: Given,
}

fn layer(op: impl Into<Op>, given: Given) -> Layer {
    let op = op.into();
    let (gates, states, direction) = match &op {
        Op::Lstm(op) => (4, 2, op.direction),
        Op::Gru(op) => (3, 1, op.direction),
        _ => unreachable!("a layer with gates"),
    };
    let reversed: &[bool] = match direction {
        Direction::Forward => &[false],
        Direction::Reverse => &[true],
        Direction::Bidirectional => &[false, true],
    };
    let d = reversed.len();
    let mut net = Net::new(23, Batch::Symbolic);
    let mut random = Random::new(29);
    let mut values = |n: usize| random.values(n, -0.8, 0.8);
    let (w, r) = (values(d * gates * HIDDEN * FEATURES), values(d * gates * HIDDEN * HIDDEN));
    let (b, p) = (values(d * 2 * gates * HIDDEN), values(d * 3 * HIDDEN));
    let ways = reversed.iter().enumerate().map(|(k, reverse)| {
        let part = |v: &[f64]| v.chunks(v.len() / d).nth(k).unwrap().to_vec();
        let bias: Vec<Vec<f64>> = part(&b).chunks(HIDDEN).map(<[f64]>::to_vec).collect();
        let peepholes = part(&p).chunks(HIDDEN).map(<[f64]>::to_vec).collect();
        let weights = Weights {
            w: blocks(&part(&w), HIDDEN, FEATURES),
            u: blocks(&part(&r), HIDDEN, HIDDEN),
            wb: bias[..gates].to_vec(),
            ub: bias[gates..].to_vec(),
            p: if given.peepholes { peepholes } else { vec![] },
        };
        (*reverse, weights)
    });
    let ways = ways.collect();
    let x = values(BATCH * STEPS * FEATURES);
    let states: Vec<Vec<f64>> = (0..states)
        .map(|_| if given.initial { values(BATCH * d * HIDDEN) } else { vec![0.0; BATCH * d * HIDDEN] })
        .collect();
    let x_value = net.input(&[0, STEPS, FEATURES], x.clone());
    let mut inputs = vec![
        Some(x_value),
        Some(net.constant(&[d, gates * HIDDEN, FEATURES], w)),
        Some(net.constant(&[d, gates * HIDDEN, HIDDEN], r)),
        Some(net.constant(&[d, 2 * gates * HIDDEN], b)),
    ];
    let lengths = given.lengths.map(|lengths| {
        let data = lengths.map(|n| n as f64).to_vec();
        (net.graph.add_input("lengths", DType::I32, vec!["batch".into()]), data)
    });
    inputs.push(lengths.as_ref().map(|(value, _)| *value));
    for state in &states {
        inputs.push(given.initial.then(|| {
            let value = net.input(&[0, d, HIDDEN], state.clone());
            if !given.explain_initial {
                net.explained.pop();
            }
            value
        }));
    }
    if let Some((_, data)) = lengths {
        net.feeds.push(("lengths".into(), Array::new(DType::I32, vec![BATCH], data).unwrap()));
    }
    if given.peepholes {
        inputs.push(Some(net.constant(&[d, 3 * HIDDEN], p)));
    }
    let outputs = net.op_with(op, inputs, 1 + states.len());
    net.graph.outputs = outputs.clone();
    Layer { net, outputs, ways, x, states, given }
}

/// Seeds in the layout of the outputs: `[batch, steps, directions, hidden]`, then `[batch, directions, hidden]`.
fn seeds(layer: &Layer) -> Vec<Array> {
    let d = layer.ways.len();
    let mut random = Random::new(31);
    let mut one = |shape: &[usize]| array(shape, random.values(shape.iter().product(), 0.1, 1.0));
    let mut seeds = vec![one(&[BATCH, STEPS, d, HIDDEN])];
    seeds.extend(layer.states.iter().map(|_| one(&[BATCH, d, HIDDEN])));
    seeds
}

/// Relevance of the input `[batch, steps, features]` and of each state, by the plain loops.
fn expected(
    layer: &Layer,
    seeds: &[Array],
    cell: &dyn Fn(&Weights, &Sample<'_>) -> Relevance,
) -> Vec<Vec<f64>> {
    let d = layer.ways.len();
    let mut x = vec![0.0; layer.x.len()];
    let mut states: Vec<Vec<f64>> = layer.states.iter().map(|s| vec![0.0; s.len()]).collect();
    for row in 0..BATCH {
        let length = layer.given.lengths.map_or(STEPS, |l| l[row]);
        for (k, (reverse, weights)) in layer.ways.iter().enumerate() {
            let mut order: Vec<usize> = (0..length).collect();
            if *reverse {
                order.reverse();
            }
            let x_at = |t: usize| (row * STEPS + t) * FEATURES..(row * STEPS + t + 1) * FEATURES;
            let y_at = |t: usize| {
                let first = ((row * STEPS + t) * d + k) * HIDDEN;
                first..first + HIDDEN
            };
            let state_at = (row * d + k) * HIDDEN..(row * d + k + 1) * HIDDEN;
            let state = |i: usize, of: &dyn Fn(usize) -> Vec<f64>| {
                if i < layer.states.len() { of(i) } else { vec![0.0; HIDDEN] }
            };
            let initial = |i: usize| layer.states[i][state_at.clone()].to_vec();
            let seeded = |i: usize| seeds[1 + i].data[state_at.clone()].to_vec();
            let (h, c) = (state(0, &initial), state(1, &initial));
            let (on_h, on_c) = (state(0, &seeded), state(1, &seeded));
            let inputs: Vec<Vec<f64>> = order.iter().map(|t| layer.x[x_at(*t)].to_vec()).collect();
            let on_y: Vec<Vec<f64>> = order.iter().map(|t| seeds[0].data[y_at(*t)].to_vec()).collect();
            let sample = Sample { x: &inputs, h: &h, c: &c, on_y: &on_y, on_h: &on_h, on_c: &on_c };
            let got = cell(weights, &sample);
            for (t, r) in order.iter().zip(&got.x) {
                x[x_at(*t)].iter_mut().zip(r).for_each(|(sum, r)| *sum += r);
            }
            for (state, r) in states.iter_mut().zip([&got.h, &got.c]) {
                state[state_at.clone()].copy_from_slice(r);
            }
        }
    }
    let mut all = vec![x];
    if layer.given.explain_initial {
        all.extend(states);
    }
    all
}

/// Compares the walk through unrolled steps and through a loop with the plain loops.
fn check(what: &str, op: impl Into<Op>, given: Given, cell: &dyn Fn(&Weights, &Sample<'_>) -> Relevance) {
    let layer = layer(op, given);
    let seeds = seeds(&layer);
    let want = expected(&layer, &seeds, cell);
    assert!(want.iter().all(|w| largest(w) > 0.0));
    let mut absorbed = vec![];
    for rolled in [false, true] {
        let mut net = layer_net(&layer);
        let outputs = match rolled {
            true => roll::roll(&mut net.graph, &|_| true).unwrap(),
            false => unroll::unroll(&mut net.graph, &|_| true).unwrap(),
        };
        assert_eq!(outputs, 1);
        let ends = net.graph.outputs.clone();
        assert_eq!(ends.len(), layer.outputs.len());
        let walked = walk(&net, &ends, &rules(&net, ""), Some(&seeds)).unwrap();
        assert_eq!(walked.signals.len(), want.len());
        for (got, want) in walked.signals.iter().zip(&want) {
            assert_close(&format!("{what}, rolled {rolled}"), &got.data, want, 1e-9, 0.0);
        }
        let column = |name: &str| {
            let place = LEDGER_COLUMNS.iter().position(|c| *c == name).unwrap();
            walked.ledger.iter().map(|(_, columns)| columns[place]).sum::<f64>()
        };
        // Beyond the end of a sequence the output is a constant 0, which keeps its seed.
        let classes = ["bias", "initial_state", "constant"].map(column);
        assert_eq!(classes[2] > 0.0, given.lengths.is_some(), "{what}: {classes:?}");
        assert_eq!(classes[1] > 0.0, given.initial && !given.explain_initial, "{what}: {classes:?}");
        // The bias behind the reset gate is part of what a given initial state makes, where steps stand by themselves.
        let [bias, initial, constant] = classes;
        absorbed.push(match given.initial && !given.explain_initial {
            true => [bias + initial, 0.0, constant],
            false => classes,
        });
        if let Some(lengths) = given.lengths {
            for (row, length) in lengths.iter().enumerate() {
                let beyond = (row * STEPS + length) * FEATURES..(row + 1) * STEPS * FEATURES;
                assert!(walked.signals[0].data[beyond].iter().all(|r| *r == 0.0), "{what}: beyond the end");
            }
        }
    }
    // The table is float32.
    assert_close(&format!("{what}: classes"), &absorbed[0], &absorbed[1], 1e-5, 1e-9);
}

fn layer_net(layer: &Layer) -> Net {
    Net {
        graph: layer.net.graph.clone(),
        feeds: layer.net.feeds.clone(),
        explained: layer.net.explained.clone(),
        random: layer.net.random.clone(),
        batch: layer.net.batch,
    }
}

/// Every combination of what a layer may be given.
fn all_given(peepholes: bool) -> Vec<Given> {
    let mut all = vec![];
    for lengths in [None, Some([STEPS, 2]), Some([3, 1])] {
        for (initial, explain_initial) in [(false, false), (true, false), (true, true)] {
            all.push(Given { lengths, initial, explain_initial, peepholes });
        }
    }
    all
}

const DIRECTIONS: [Direction; 3] = [Direction::Forward, Direction::Reverse, Direction::Bidirectional];

#[test]
fn an_lstm_is_the_plain_loop() {
    for direction in DIRECTIONS {
        for given in all_given(false) {
            let op = Lstm { direction, layout: 1, ..Lstm::default() };
            check(&format!("LSTM {direction:?} {given:?}"), op, given, &recurrent_oracle::lstm);
        }
    }
}

#[test]
fn an_lstm_with_peepholes_is_the_plain_loop() {
    for given in all_given(true) {
        let op = Lstm { direction: Direction::Bidirectional, layout: 1, ..Lstm::default() };
        check(&format!("LSTM {given:?}"), op, given, &recurrent_oracle::lstm);
    }
}

#[test]
fn a_gru_is_the_plain_loop() {
    for linear_before_reset in [false, true] {
        for direction in DIRECTIONS {
            for given in all_given(false) {
                let op = Gru { direction, layout: 1, linear_before_reset, ..Gru::default() };
                let cell = |w: &Weights, s: &Sample<'_>| recurrent_oracle::gru(w, linear_before_reset, s);
                let what = format!("GRU {direction:?} {linear_before_reset} {given:?}");
                check(&what, op, given, &cell);
            }
        }
    }
}
