//! Relevance through LSTM and GRU against plain loops of the specification (5.6), and the same cells written in primitive
//! operators against the standard layers.
//!
//! What this would catch: a wrong order of gates, time or directions, a bias at the wrong side, an end of a sequence at
//! the wrong step, a cell that is not recognised.

mod common;
mod recurrent_oracle;

use common::{Batch, Net, Random, array, assert_close, largest, walk};
use exegesis_attribute::{DlBacktrace, DlBacktraceRules, LEDGER_COLUMNS, Method, Request, explain};
use exegesis_graph::op::{self, Binary, Direction, Gru, Lstm, OneMinusSigmoid, Unary};
use exegesis_graph::passes::infer::ShapeInference;
use exegesis_graph::passes::raise::{Pattern, raise};
use exegesis_graph::passes::{dead_code, prepare, roll, unroll};
use exegesis_graph::{DType, Dim, Graph, Op, Subgraph, Tensor, ValueId};
use exegesis_reference::{Array, Reference};
use recurrent_oracle::{Relevance, Sample, Weights};

const FEATURES: usize = 3;
const HIDDEN: usize = 4;
const STEPS: usize = 5;
const BATCH: usize = common::BATCH;

fn rules(net: &Net, text: &str) -> DlBacktraceRules {
    let mut options = DlBacktrace::default();
    for pair in text.split(',').filter(|p| !p.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap();
        options.set(key, value).unwrap();
    }
    DlBacktraceRules::new(options, Default::default(), &net.graph)
}

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

fn blocks(flat: &[f64], rows: usize, columns: usize) -> Vec<Vec<Vec<f64>>> {
    let gates = flat.chunks(rows * columns);
    gates.map(|gate| gate.chunks(columns).map(<[f64]>::to_vec).collect()).collect()
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

/// How a cell is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Spelling {
    /// Biases on both sides, the recurrent product first, the gates side by side: `LSTMCell`, `GRUCell` of PyTorch.
    Torch,
    /// The bias after the sum; of a GRU `z h + (1 - z) n`: Keras.
    Keras,
    /// Input and state side by side, the bias of the forget gate added later: first version of TensorFlow.
    Joined,
    /// Every gate by itself, both biases as additions.
    Apart,
}

/// A network of cells in primitive operators over `x [batch, features]` per step, from initial states that are inputs.
struct Unrolled {
    net: Net,
    weights: Weights,
    xs: Vec<ValueId>,
    states: Vec<ValueId>,
}

impl Unrolled {
    fn new(gates: usize, states: usize) -> Self {
        let mut random = Random::new(37);
        let mut values = |n: usize| random.values(n, -0.8, 0.8);
        let vectors = |flat: Vec<f64>| flat.chunks(HIDDEN).map(<[f64]>::to_vec).collect::<Vec<_>>();
        let weights = Weights {
            w: blocks(&values(gates * HIDDEN * FEATURES), HIDDEN, FEATURES),
            u: blocks(&values(gates * HIDDEN * HIDDEN), HIDDEN, HIDDEN),
            wb: vectors(values(gates * HIDDEN)),
            ub: vectors(values(gates * HIDDEN)),
            p: vec![],
        };
        let mut net = Net::new(41, Batch::Symbolic);
        let xs = (0..3).map(|_| net.activation(&[0, FEATURES])).collect();
        let states = (0..states).map(|_| net.activation(&[0, HIDDEN])).collect();
        Self { net, weights, xs, states }
    }

    /// Rows of some gates, as `[columns, gates * hidden]`.
    fn matrix(&mut self, of: &[Vec<Vec<f64>>], gates: &[usize]) -> ValueId {
        let columns = of[0][0].len();
        let rows: Vec<&Vec<f64>> = gates.iter().flat_map(|g| &of[*g]).collect();
        let flat = (0..columns).flat_map(|k| rows.iter().map(move |row| row[k])).collect();
        self.net.constant(&[columns, rows.len()], flat)
    }

    fn vector(&mut self, values: Vec<f64>) -> ValueId {
        self.net.constant(&[values.len()], values)
    }

    fn plus(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.net.op(Binary::Add, &[a, b])
    }

    fn times(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.net.op(Binary::Mul, &[a, b])
    }

    fn product(&mut self, x: ValueId, weight: ValueId) -> ValueId {
        self.net.op(op::MatMul {}, &[x, weight])
    }

    fn split(&mut self, value: ValueId, parts: usize) -> Vec<ValueId> {
        let split = op::Split { axis: -1, num_outputs: Some(parts as i64) };
        self.net.op_with(split, vec![Some(value)], parts)
    }

    /// What stands before the gates `order` of an LSTM, as the spelling has it.
    fn sums(&mut self, spelling: Spelling, x: ValueId, h: ValueId, order: &[usize]) -> Vec<ValueId> {
        let k = self.weights.clone();
        let flat = |of: &[Vec<f64>]| order.iter().flat_map(|g| of[*g].clone()).collect::<Vec<f64>>();
        let (wb, ub) = (flat(&k.wb), flat(&k.ub));
        let both: Vec<f64> = wb.iter().zip(&ub).map(|(a, b)| a + b).collect();
        match spelling {
            Spelling::Torch => {
                let (w, u) = (self.matrix(&k.w, order), self.matrix(&k.u, order));
                let (wb, ub) = (self.vector(wb), self.vector(ub));
                let on_h = self.net.op(op::Gemm::default(), &[h, u, ub]);
                let on_x = self.net.op(op::Gemm::default(), &[x, w, wb]);
                let sum = self.plus(on_h, on_x);
                self.split(sum, order.len())
            }
            Spelling::Keras => {
                let (w, u, b) = (self.matrix(&k.w, order), self.matrix(&k.u, order), self.vector(both));
                let (on_x, on_h) = (self.product(x, w), self.product(h, u));
                let sum = self.plus(on_x, on_h);
                let sum = self.plus(sum, b);
                self.split(sum, order.len())
            }
            Spelling::Joined => {
                let joined: Vec<Vec<Vec<f64>>> =
                    k.w.iter()
                        .zip(&k.u)
                        .map(|(w, u)| w.iter().zip(u).map(|(w, u)| [w.clone(), u.clone()].concat()).collect())
                        .collect();
                let mut bias = both;
                // The forget gate is the third of an LSTM; 1 of its bias comes later.
                let forget = order.iter().position(|g| *g == 2).unwrap();
                bias[forget * HIDDEN..(forget + 1) * HIDDEN].iter_mut().for_each(|b| *b -= 1.0);
                let (weight, bias) = (self.matrix(&joined, order), self.vector(bias));
                let both = self.net.op(op::Concat { axis: 1 }, &[x, h]);
                let product = self.product(both, weight);
                let sum = self.plus(product, bias);
                let mut parts = self.split(sum, order.len());
                let one = self.net.constant(&[], vec![1.0]);
                parts[forget] = self.plus(parts[forget], one);
                parts
            }
            Spelling::Apart => order
                .iter()
                .map(|g| {
                    let (w, u) = (self.matrix(&k.w, &[*g]), self.matrix(&k.u, &[*g]));
                    let (wb, ub) = (self.vector(k.wb[*g].clone()), self.vector(k.ub[*g].clone()));
                    let (on_x, on_h) = (self.product(x, w), self.product(h, u));
                    let on_h = self.plus(on_h, ub);
                    let on_x = self.plus(wb, on_x);
                    self.plus(on_x, on_h)
                })
                .collect(),
        }
    }

    fn lstm(&mut self, spelling: Spelling, order: &[usize; 4]) -> Vec<ValueId> {
        let (mut h, mut c) = (self.states[0], self.states[1]);
        for x in self.xs.clone() {
            let parts = self.sums(spelling, x, h, order);
            let part = |gate: usize| parts[order.iter().position(|g| *g == gate).unwrap()];
            let i = self.net.op(Unary::Sigmoid, &[part(0)]);
            let o = self.net.op(Unary::Sigmoid, &[part(1)]);
            let f = self.net.op(Unary::Sigmoid, &[part(2)]);
            let g = self.net.op(Unary::Tanh, &[part(3)]);
            let (kept, new) = (self.times(f, c), self.times(g, i));
            c = self.plus(kept, new);
            let squashed = self.net.op(Unary::Tanh, &[c]);
            h = self.times(o, squashed);
        }
        vec![h, c]
    }

    fn gru(&mut self, spelling: Spelling, before_reset: bool, order: &[usize; 3]) -> Vec<ValueId> {
        let mut h = self.states[0];
        let k = self.weights.clone();
        for x in self.xs.clone() {
            let place = |gate: usize| order.iter().position(|g| *g == gate).unwrap();
            let flat = |of: &[Vec<f64>]| order.iter().flat_map(|g| of[*g].clone()).collect::<Vec<f64>>();
            let (w, wb) = (self.matrix(&k.w, order), self.vector(flat(&k.wb)));
            let on_x = self.net.op(op::Gemm::default(), &[x, w, wb]);
            let on_x = self.split(on_x, 3);
            let recurrent: Vec<usize> = order.iter().copied().filter(|g| before_reset || *g != 2).collect();
            let (u, ub) = (self.matrix(&k.u, &recurrent), {
                let flat = recurrent.iter().flat_map(|g| k.ub[*g].clone()).collect();
                self.vector(flat)
            });
            let on_h = self.net.op(op::Gemm::default(), &[h, u, ub]);
            let on_h = self.split(on_h, recurrent.len());
            let gate = |s: &mut Self, g: usize| {
                let place_h = recurrent.iter().position(|r| *r == g).unwrap();
                let sum = s.plus(on_h[place_h], on_x[place(g)]);
                s.net.op(Unary::Sigmoid, &[sum])
            };
            let (z, r) = (gate(self, 0), gate(self, 1));
            let reset = match before_reset {
                true => {
                    let q = on_h[recurrent.iter().position(|g| *g == 2).unwrap()];
                    self.times(q, r)
                }
                false => {
                    let kept = self.times(r, h);
                    let (u, b) = (self.matrix(&k.u, &[2]), self.vector(k.ub[2].clone()));
                    let product = self.product(kept, u);
                    self.plus(b, product)
                }
            };
            let sum = self.plus(on_x[place(2)], reset);
            let n = self.net.op(Unary::Tanh, &[sum]);
            h = match spelling {
                Spelling::Torch => {
                    let difference = self.net.op(Binary::Sub, &[h, n]);
                    let moved = self.times(difference, z);
                    self.plus(moved, n)
                }
                Spelling::Apart => {
                    // The same the other way round: h + (1 - z) (n - h).
                    let argument = self.net.graph.producer_node(z).unwrap().input(0).unwrap();
                    let open = self.net.op(OneMinusSigmoid {}, &[argument]);
                    let difference = self.net.op(Binary::Sub, &[n, h]);
                    let moved = self.times(open, difference);
                    self.plus(h, moved)
                }
                _ => {
                    let one = self.net.constant(&[], vec![1.0]);
                    let open = self.net.op(Binary::Sub, &[one, z]);
                    let (kept, new) = (self.times(z, h), self.times(open, n));
                    self.plus(kept, new)
                }
            };
        }
        vec![h]
    }

    /// The relevance of every input, for the seeds that the plain loop is given as well.
    fn check(
        mut self,
        what: &str,
        ends: Vec<ValueId>,
        options: Option<&str>,
        cell: &dyn Fn(&Weights, &Sample<'_>) -> Relevance,
    ) {
        self.net.graph.outputs = ends.clone();
        ShapeInference::new().run(&mut self.net.graph).unwrap();
        if options.is_none() {
            let report = raise(&mut self.net.graph).unwrap();
            assert_eq!(report.count(Pattern::RecurrentCell), self.xs.len(), "{what}");
            dead_code::eliminate(&mut self.net.graph);
        }
        let ends = self.net.graph.outputs.clone();
        let mut random = Random::new(43);
        let seeds: Vec<Array> =
            ends.iter().map(|_| array(&[BATCH, HIDDEN], random.values(BATCH * HIDDEN, 0.1, 1.0))).collect();
        let rules = rules(&self.net, options.unwrap_or_default());
        let walked = walk(&self.net, &ends, &rules, Some(&seeds)).unwrap();
        for row in 0..BATCH {
            let feed =
                |i: usize, width: usize| self.net.feeds[i].1.data[row * width..(row + 1) * width].to_vec();
            let steps = self.xs.len();
            let x: Vec<Vec<f64>> = (0..steps).map(|t| feed(t, FEATURES)).collect();
            let state = |i: usize| if i < self.states.len() { feed(steps + i, HIDDEN) } else { vec![] };
            let seed =
                |i: usize| seeds.get(i).map_or(vec![], |s| s.data[row * HIDDEN..(row + 1) * HIDDEN].to_vec());
            let nothing = vec![vec![0.0; HIDDEN]; steps];
            let (h, c, on_h, on_c) = (state(0), state(1), seed(0), seed(1));
            let sample = Sample { x: &x, h: &h, c: &c, on_y: &nothing, on_h: &on_h, on_c: &on_c };
            let want = cell(&self.weights, &sample);
            let all = want.x.iter().chain([&want.h, &want.c]);
            for (i, (got, want)) in walked.signals.iter().zip(all).enumerate() {
                let got = &got.data[row * want.len()..(row + 1) * want.len()];
                assert_close(&format!("{what}: input {i} of row {row}"), got, want, 1e-6, 1e-12);
            }
        }
    }
}

/// Gate orders of ONNX and of PyTorch, in the numbers of ONNX.
const LSTM_ORDERS: [[usize; 4]; 2] = [[0, 1, 2, 3], [0, 2, 3, 1]];

#[test]
fn spellings_of_an_lstm_cell() {
    for spelling in [Spelling::Torch, Spelling::Keras, Spelling::Joined, Spelling::Apart] {
        for order in &LSTM_ORDERS {
            let mut cells = Unrolled::new(4, 2);
            let ends = cells.lstm(spelling, order);
            cells.check(&format!("LSTM {spelling:?} {order:?}"), ends, None, &recurrent_oracle::lstm);
        }
    }
}

/// Specification, test 10: with `mul=gate,const_add=pass` the plain rules are those of the layer.
#[test]
fn primitive_operators_with_gate_products() {
    for order in &LSTM_ORDERS {
        let mut cells = Unrolled::new(4, 2);
        // The recurrent bias is on the input side.
        for (b, u) in cells.weights.wb.iter_mut().flatten().zip(cells.weights.ub.iter_mut().flatten()) {
            *b += std::mem::take(u);
        }
        let ends = cells.lstm(Spelling::Torch, order);
        cells.check("LSTM", ends, Some("mul=gate,const_add=pass"), &recurrent_oracle::lstm);
    }
    for order in [[0, 1, 2], [1, 0, 2]] {
        for before_reset in [false, true] {
            let mut cells = Unrolled::new(3, 1);
            let kept = if before_reset { 2 } else { 3 };
            let gates = cells.weights.wb.iter_mut().zip(cells.weights.ub.iter_mut()).take(kept);
            for (b, u) in gates.flat_map(|(b, u)| b.iter_mut().zip(u)) {
                *b += std::mem::take(u);
            }
            let ends = cells.gru(Spelling::Keras, before_reset, &order);
            let cell = |w: &Weights, s: &Sample<'_>| recurrent_oracle::gru(w, before_reset, s);
            cells.check("GRU", ends, Some("mul=gate,const_add=pass"), &cell);
        }
    }
}

#[test]
fn spellings_of_a_gru_cell() {
    for before_reset in [false, true] {
        for spelling in [Spelling::Torch, Spelling::Keras, Spelling::Apart] {
            for order in [[0, 1, 2], [1, 0, 2]] {
                let mut cells = Unrolled::new(3, 1);
                let ends = cells.gru(spelling, before_reset, &order);
                let what = format!("GRU {spelling:?} {before_reset} {order:?}");
                let cell = |w: &Weights, s: &Sample<'_>| recurrent_oracle::gru(w, before_reset, s);
                cells.check(&what, ends, None, &cell);
            }
        }
    }
}

/// `h = tanh(h x)`, for a known number of trips or for one that an input says; scores are `h w`.
fn products_in_a_loop(known: bool) -> Graph {
    let mut body = Graph::new("body");
    body.add_input("i", DType::I64, vec![]);
    let keep = body.add_input("keep", DType::Bool, vec![]);
    let row = || vec![Dim::from("batch"), Dim::from(3)];
    let h = body.add_input("h", DType::F64, row());
    let x = body.add_value("x_inner", Some(DType::F64), Some(row()));
    let product = body.add_op("product", Binary::Mul, &[h, x]);
    let state = body.add_op("state", Unary::Tanh, &[product]);
    let go_on = body.add_op("same", Unary::Identity, &[keep]);
    body.outputs = vec![go_on, state];
    let mut graph = Graph::new("looped");
    let x = graph.add_input("x", DType::F64, row());
    let trips = match known {
        true => graph.add_constant("trips", Tensor::scalar(2i64)),
        false => graph.add_input("trips", DType::I64, vec![]),
    };
    let yes = graph.add_constant("yes", Tensor::scalar(true));
    let captures = vec![body.find_value("x_inner").unwrap()];
    let op = Op::Loop(Box::new(op::Loop { body: Subgraph { graph: body, captures } }));
    let last = graph.add_op("loop", op, &[trips, yes, x, x]);
    let weight = Tensor::new(vec![3, 2], vec![0.4, -0.3, 0.2, 0.5, -0.1, 0.7]).unwrap();
    let weight = graph.add_constant("weight", weight);
    let scores = graph.add_op("scores", op::MatMul {}, &[last, weight]);
    graph.outputs = vec![scores];
    graph
}

#[test]
fn products_of_an_unknown_loop_are_named() {
    for (known, name) in [(true, "\"loop\""), (false, "\"product\"")] {
        let notes = |method: &str| {
            let mut graph = products_in_a_loop(known);
            prepare(&mut graph, &Reference, &mut |_, _| {}).unwrap();
            let request =
                Request { explain: vec!["x".into()], ..Request::new(Method::parse(method).unwrap()) };
            explain(graph, &request, &mut |_, _| {}).unwrap().notes
        };
        let halved = notes("dlbacktrace");
        let note = halved.iter().find(|n| n.contains("no recognised recurrent cell"));
        assert!(note.is_some_and(|n| n.contains(name)), "{halved:?}");
        // The option makes them gates; a gradient has no such rule.
        for method in ["dlbacktrace:mul=gate", "gradient"] {
            assert!(notes(method).iter().all(|n| !n.contains("recurrent cell")), "{method}");
        }
    }
}
