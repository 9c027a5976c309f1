//! Cells of LSTM and GRU in primitive operators against the standard layers, and products of loops that are no cell.
//!
//! What this would catch: a spelling of a cell that is not recognised, or recognised with gates or biases in the wrong place.

mod common;
mod recurrent_oracle;

use common::{Batch, Net, Random, array, assert_close, rules, walk};
use exegesis_attribute::{Method, Request, explain};
use exegesis_graph::op::{self, Binary, OneMinusSigmoid, Unary};
use exegesis_graph::passes::infer::ShapeInference;
use exegesis_graph::passes::raise::{Pattern, raise};
use exegesis_graph::passes::{dead_code, prepare};
use exegesis_graph::{DType, Dim, Graph, Op, Subgraph, Tensor, ValueId};
use exegesis_reference::{Array, Reference};
use recurrent_oracle::{Relevance, Sample, Weights, blocks};

const FEATURES: usize = 3;
const HIDDEN: usize = 4;
const BATCH: usize = common::BATCH;

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
