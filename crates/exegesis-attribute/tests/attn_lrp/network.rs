//! Small transformers in two forms made of the same parameters: a graph, and a plain program whose factors can be held at the
//! values that they have at the reference point. Central differences of the second, times the embedding, are what LRP gives
//! (arXiv 2202.07304, section 3; arXiv 2402.05602, section 3): an implementation that shares nothing with the rules.

use std::collections::BTreeMap;

use exegesis_graph::op::{self, Unary};
use exegesis_graph::{Builder, DType, Dim, Graph, Tensor, ValueId};
use exegesis_reference::Array;

use crate::common::{Random, array};

/// Parameters by name; matrices are `[out, in]`.
pub type Parameters = BTreeMap<String, Array>;

/// The form of a transformer.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    pub heads: usize,
    pub key_heads: usize,
    /// Norms before attention and feed-forward layer, and one before the head; else behind them, and one behind the embedding.
    pub pre_norm: bool,
    /// RMS norms; else layer norms.
    pub rms: bool,
    pub causal: bool,
    pub rotary: bool,
    /// SwiGLU; else GELU.
    pub gated: bool,
    /// A tanh layer on the first token; else the last token is classified.
    pub pooler: bool,
    pub epsilon: f64,
}

pub const LAYERS: usize = 2;

/// An encoder as `tiny_bert.npz` holds one.
pub const BERT: Form = Form {
    heads: 2,
    key_heads: 2,
    pre_norm: false,
    rms: false,
    causal: false,
    rotary: false,
    gated: false,
    pooler: true,
    epsilon: 1e-5,
};

/// A decoder with positions and layer norms.
pub const GPT: Form = Form { pre_norm: true, causal: true, pooler: false, ..BERT };

/// A decoder with grouped queries, rotary positions, RMS norms and SwiGLU.
pub const LLAMA: Form = Form { heads: 4, rms: true, rotary: true, gated: true, ..GPT };

pub const WIDTH: usize = 16;
const HIDDEN: usize = 24;
const VOCABULARY: usize = 20;

/// Random parameters.
pub fn parameters(form: &Form, seed: u64, biases: bool) -> Parameters {
    let mut random = Random::new(seed);
    let mut parameters = Parameters::new();
    let mut add = |name: String, shape: &[usize], middle: f64, spread: f64| {
        let values = random.values(shape.iter().product(), middle - spread, middle + spread);
        parameters.insert(name, array(shape, values));
    };
    let head = WIDTH / form.heads * form.key_heads;
    add("tok".into(), &[VOCABULARY, WIDTH], 0.0, 1.0);
    if !form.rotary {
        add("pos".into(), &[16, WIDTH], 0.0, 0.5);
    }
    let mut linear = |name: String, bias: String, out: usize, width: usize| {
        add(name, &[out, width], 0.0, 1.5 / (width as f64).sqrt());
        if biases {
            add(bias, &[out], 0.0, 0.3);
        }
    };
    for l in 0..LAYERS {
        for (part, out) in [("q", WIDTH), ("k", head), ("v", head), ("o", WIDTH)] {
            linear(format!("l{l}_W{part}"), format!("l{l}_b{part}"), out, WIDTH);
        }
        for part in if form.gated { &["1", "g"][..] } else { &["1"] } {
            linear(format!("l{l}_W{part}"), format!("l{l}_b{part}"), HIDDEN, WIDTH);
        }
        linear(format!("l{l}_W2"), format!("l{l}_b2"), WIDTH, HIDDEN);
    }
    if form.pooler {
        linear("Wp".into(), "bp".into(), WIDTH, WIDTH);
    }
    linear("Wc".into(), "bc".into(), 2, WIDTH);
    let mut norms: Vec<String> =
        (0..LAYERS).flat_map(|l| [format!("l{l}_ln1"), format!("l{l}_ln2")]).collect();
    norms.push("ln0".into());
    for norm in norms {
        add(format!("{norm}_g"), &[WIDTH], 1.0, 0.4);
        if biases && !form.rms {
            add(format!("{norm}_b"), &[WIDTH], 0.0, 0.3);
        }
    }
    parameters
}

/// Cosines and sines of rotary positions, `[tokens, head]` each, both halves alike.
fn rotation(tokens: usize, head: usize) -> [Vec<f64>; 2] {
    let angle = |i: usize| {
        let (token, channel) = (i / head, i % head % (head / 2));
        token as f64 / 100f64.powf(2.0 * channel as f64 / head as f64)
    };
    let all = 0..tokens * head;
    [all.clone().map(|i| angle(i).cos()).collect(), all.map(|i| angle(i).sin()).collect()]
}

// The graph.

/// A graph of `input_ids [1, tokens]` to `logits [1, 2]` in float64.
pub fn graph(form: &Form, parameters: &Parameters, tokens: usize) -> Graph {
    let mut graph = Graph::new("transformer");
    let ids = graph.add_input("input_ids", DType::I64, vec![Dim::Fixed(1), Dim::Fixed(tokens)]);
    let mut b = Builder::new(&mut graph, "net").unwrap();
    let mut net = Writer { b: &mut b, form, parameters, tokens };
    let logits = net.write(ids);
    graph.outputs = vec![logits];
    graph
}

struct Writer<'a, 'g> {
    b: &'a mut Builder<'g>,
    form: &'a Form,
    parameters: &'a Parameters,
    tokens: usize,
}

impl Writer<'_, '_> {
    fn constant(&mut self, shape: &[usize], values: Vec<f64>) -> ValueId {
        self.b.constant(Tensor::new(shape.to_vec(), values).unwrap())
    }

    fn parameter(&mut self, name: &str) -> Option<ValueId> {
        let array = self.parameters.get(name)?;
        Some(self.constant(&array.shape, array.data.clone()))
    }

    fn linear(&mut self, x: ValueId, weight: &str, bias: &str) -> ValueId {
        let w = &self.parameters[weight];
        let (rows, columns) = (w.shape[0], w.shape[1]);
        // Scores are scaled in the queries: the attribute of a recognised attention is of single precision.
        let is_query = weight.ends_with("_Wq");
        let factor = if is_query { ((WIDTH / self.form.heads) as f64).sqrt().recip() } else { 1.0 };
        let turned = (0..rows * columns).map(|i| factor * w.data[i % rows * columns + i / rows]).collect();
        let w = self.constant(&[columns, rows], turned);
        let product = self.b.matmul(x, w).unwrap();
        match self.parameters.get(bias) {
            Some(bias) => {
                let bias = self.constant(&bias.shape, bias.data.iter().map(|b| factor * b).collect());
                self.b.add(product, bias).unwrap()
            }
            None => product,
        }
    }

    fn norm(&mut self, x: ValueId, name: &str) -> ValueId {
        let scale = self.parameter(&format!("{name}_g")).unwrap();
        let epsilon = self.form.epsilon as f32;
        if self.form.rms {
            return self.b.op(op::RmsNormalization { axis: -1, epsilon }, &[x, scale]).unwrap();
        }
        let operands: Vec<ValueId> =
            [x, scale].into_iter().chain(self.parameter(&format!("{name}_b"))).collect();
        self.b.op(op::LayerNormalization { axis: -1, epsilon, stash_type: 1 }, &operands).unwrap()
    }

    fn heads(&mut self, x: ValueId, heads: usize) -> ValueId {
        let head = WIDTH / self.form.heads;
        let apart = self.b.reshape_to(x, &[1, self.tokens as i64, heads as i64, head as i64]).unwrap();
        self.b.transpose(apart, &[0, 2, 1, 3]).unwrap()
    }

    fn attention(&mut self, x: ValueId, layer: usize) -> ValueId {
        let form = self.form;
        let head = WIDTH / form.heads;
        let mut parts = vec![];
        for (part, heads) in [("q", form.heads), ("k", form.key_heads), ("v", form.key_heads)] {
            let all = self.linear(x, &format!("l{layer}_W{part}"), &format!("l{layer}_b{part}"));
            let mut split = self.heads(all, heads);
            if form.rotary && part != "v" {
                let [cos, sin] = rotation(self.tokens, head);
                let shape = [1, 1, self.tokens, head];
                let (cos, sin) = (self.constant(&shape, cos), self.constant(&shape, sin));
                split = self.b.op(op::RotaryEmbedding { interleaved: false }, &[split, cos, sin]).unwrap();
            }
            parts.push(split);
        }
        let out = if form.key_heads < form.heads || form.causal {
            let attention = op::Attention { is_causal: form.causal, ..op::Attention::default() };
            self.b.op(attention, &parts).unwrap()
        } else {
            let keys = self.b.transpose_last(parts[1]).unwrap();
            let scores = self.b.matmul(parts[0], keys).unwrap();
            let weights = self.b.op(op::Softmax { axis: -1 }, &[scores]).unwrap();
            self.b.matmul(weights, parts[2]).unwrap()
        };
        let joined = self.b.transpose(out, &[0, 2, 1, 3]).unwrap();
        let joined = self.b.reshape_to(joined, &[1, self.tokens as i64, WIDTH as i64]).unwrap();
        self.linear(joined, &format!("l{layer}_Wo"), &format!("l{layer}_bo"))
    }

    fn feed_forward(&mut self, x: ValueId, layer: usize) -> ValueId {
        let name = |part: &str| format!("l{layer}_{part}");
        let first = self.linear(x, &name("W1"), &name("b1"));
        let hidden = if self.form.gated {
            let gate = self.linear(x, &name("Wg"), &name("bg"));
            let gate = self.b.op(op::Swish { alpha: 1.0 }, &[gate]).unwrap();
            self.b.mul(gate, first).unwrap()
        } else {
            self.b.op(op::Gelu::default(), &[first]).unwrap()
        };
        self.linear(hidden, &name("W2"), &name("b2"))
    }

    fn write(&mut self, ids: ValueId) -> ValueId {
        let form = self.form;
        let table = self.parameter("tok").unwrap();
        let mut x = self.b.op(op::Gather { axis: 0 }, &[table, ids]).unwrap();
        if let Some(positions) = self.parameters.get("pos") {
            let values = positions.data[..self.tokens * WIDTH].to_vec();
            let positions = self.constant(&[1, self.tokens, WIDTH], values);
            x = self.b.add(x, positions).unwrap();
        }
        if !form.pre_norm {
            x = self.norm(x, "ln0");
        }
        for l in 0..LAYERS {
            for part in ["ln1", "ln2"] {
                let norm = format!("l{l}_{part}");
                let read = if form.pre_norm { self.norm(x, &norm) } else { x };
                let out = if part == "ln1" { self.attention(read, l) } else { self.feed_forward(read, l) };
                x = self.b.add(x, out).unwrap();
                if !form.pre_norm {
                    x = self.norm(x, &norm);
                }
            }
        }
        if form.pre_norm {
            x = self.norm(x, "ln0");
        }
        let token = if form.pooler { 0 } else { self.tokens as i64 - 1 };
        let token = self.b.constant(Tensor::scalar(token));
        let mut read = self.b.op(op::Gather { axis: 1 }, &[x, token]).unwrap();
        if form.pooler {
            read = self.linear(read, "Wp", "bp");
            read = self.b.unary(Unary::Tanh, read).unwrap();
        }
        let logits = self.linear(read, "Wc", "bc");
        self.b.graph_mut().rename_value(logits, "logits");
        logits
    }
}

// The plain program.

/// Factors that are held at what they are at the reference point.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    /// Attention weights.
    pub attention: bool,
    /// Deviation of norms.
    pub deviation: bool,
    /// Mean of norms.
    pub mean: bool,
    /// `f(x) / x` of activations.
    pub slope: bool,
    /// The gate of a gated layer, as a whole.
    pub gate: bool,
    /// Each factor of a product in the term of the other, the terms halved.
    pub product: bool,
}

/// A network at a reference point.
pub struct Plain<'a> {
    form: &'a Form,
    parameters: &'a Parameters,
    held: Held,
    /// Factors in the order of the program.
    tape: Vec<Vec<f64>>,
    next: Option<usize>,
}

/// Rows of numbers.
type Rows = Vec<Vec<f64>>;

impl<'a> Plain<'a> {
    /// The network with the factors of `held` as they are at `e`.
    pub fn at(form: &'a Form, parameters: &'a Parameters, held: Held, e: &Rows) -> Self {
        let mut plain = Self { form, parameters, held, tape: vec![], next: None };
        plain.run(e);
        plain.next = Some(0);
        plain
    }

    /// Logit 1 minus logit 0.
    pub fn score(&mut self, e: &Rows) -> f64 {
        self.next = Some(0);
        self.run(e)
    }

    /// Per token, the sum over the embedding of `e df/de`.
    pub fn relevance(&mut self, e: &Rows) -> Vec<f64> {
        let mut relevance = vec![];
        for t in 0..e.len() {
            let mut sum = 0.0;
            for d in 0..e[t].len() {
                let mut at = |h: f64| {
                    let mut moved = e.clone();
                    moved[t][d] += h;
                    self.score(&moved)
                };
                let h = 1e-3;
                sum += e[t][d] * (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
            }
            relevance.push(sum);
        }
        relevance
    }

    fn hold(&mut self, is_held: bool, value: Vec<f64>) -> Vec<f64> {
        match self.next {
            None => {
                self.tape.push(value.clone());
                value
            }
            Some(next) => {
                self.next = Some(next + 1);
                if is_held { self.tape[next].clone() } else { value }
            }
        }
    }

    fn linear(&self, x: &Rows, weight: &str, bias: &str) -> Rows {
        let w = &self.parameters[weight];
        let width = w.shape[1];
        let bias = self.parameters.get(bias);
        let unit = |row: &[f64], j: usize| {
            let products = row.iter().zip(&w.data[j * width..(j + 1) * width]).map(|(x, w)| x * w);
            products.sum::<f64>() + bias.map_or(0.0, |b| b.data[j])
        };
        x.iter().map(|row| (0..w.shape[0]).map(|j| unit(row, j)).collect()).collect()
    }

    fn norm(&mut self, x: &Rows, name: &str) -> Rows {
        let scale = self.parameters[&format!("{name}_g")].data.clone();
        let bias = self.parameters.get(&format!("{name}_b")).map(|b| b.data.clone());
        let mut out = vec![];
        for row in x {
            let n = row.len() as f64;
            let mean = if self.form.rms { 0.0 } else { row.iter().sum::<f64>() / n };
            let square = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
            let mean = self.hold(self.held.mean, vec![mean])[0];
            let deviation = self.hold(self.held.deviation, vec![(square + self.form.epsilon).sqrt()])[0];
            let unit =
                |j: usize| (row[j] - mean) / deviation * scale[j] + bias.as_ref().map_or(0.0, |b| b[j]);
            out.push((0..row.len()).map(unit).collect());
        }
        out
    }

    /// `x slope(x)` with the slope held.
    fn activation(&mut self, x: &Rows, slope: impl Fn(f64) -> f64) -> Rows {
        x.iter()
            .map(|row| {
                let slopes = self.hold(self.held.slope, row.iter().map(|v| slope(*v)).collect());
                row.iter().zip(slopes).map(|(x, s)| x * s).collect()
            })
            .collect()
    }

    /// `sum_k a_k b_k`, each factor held in the term of the other.
    fn product(&mut self, a: Vec<f64>, b: Vec<f64>) -> Vec<f64> {
        let (still_a, still_b) =
            (self.hold(self.held.product, a.clone()), self.hold(self.held.product, b.clone()));
        (0..a.len()).map(|k| 0.5 * (a[k] * still_b[k] + still_a[k] * b[k])).collect()
    }

    fn turn(&self, row: &[f64], t: usize) -> Vec<f64> {
        if !self.form.rotary {
            return row.to_vec();
        }
        let n = row.len();
        let [cos, sin] = rotation(t + 1, n);
        let other = |j: usize| if j < n / 2 { -row[j + n / 2] } else { row[j - n / 2] };
        (0..n).map(|j| row[j] * cos[t * n + j] + other(j) * sin[t * n + j]).collect()
    }

    fn attention(&mut self, x: &Rows, l: usize) -> Rows {
        let (heads, shared) = (self.form.heads, self.form.heads / self.form.key_heads);
        let n = WIDTH / heads;
        let [q, k, v] =
            ["q", "k", "v"].map(|part| self.linear(x, &format!("l{l}_W{part}"), &format!("l{l}_b{part}")));
        let mut out = vec![vec![0.0; WIDTH]; x.len()];
        for head in 0..heads {
            let own = |rows: &Rows, t: usize, head: usize| rows[t][head * n..(head + 1) * n].to_vec();
            for (t, out) in out.iter_mut().enumerate() {
                let query = self.turn(&own(&q, t, head), t);
                let seen = if self.form.causal { t + 1 } else { x.len() };
                let mut weights = vec![];
                for s in 0..seen {
                    let key = self.turn(&own(&k, s, head / shared), s);
                    let products = self.product(query.clone(), key);
                    weights.push((products.iter().sum::<f64>() / (n as f64).sqrt()).exp());
                }
                let whole: f64 = weights.iter().sum();
                let weights = self.hold(self.held.attention, weights.iter().map(|w| w / whole).collect());
                for j in 0..n {
                    let values = (0..seen).map(|s| v[s][head / shared * n + j]).collect();
                    out[head * n + j] = self.product(weights.clone(), values).iter().sum();
                }
            }
        }
        self.linear(&out, &format!("l{l}_Wo"), &format!("l{l}_bo"))
    }

    fn feed_forward(&mut self, x: &Rows, l: usize) -> Rows {
        let name = |part: &str| format!("l{l}_{part}");
        let first = self.linear(x, &name("W1"), &name("b1"));
        let hidden = if self.form.gated {
            let gate = self.linear(x, &name("Wg"), &name("bg"));
            let gate = self.activation(&gate, |z| 1.0 / (1.0 + (-z).exp()));
            gate.into_iter()
                .zip(first)
                .map(|(gate, value)| {
                    let gate = self.hold(self.held.gate, gate);
                    self.product(gate, value)
                })
                .collect()
        } else {
            self.activation(&first, |z| 0.5 * (1.0 + erf(z / std::f64::consts::SQRT_2)))
        };
        self.linear(&hidden, &name("W2"), &name("b2"))
    }

    fn run(&mut self, e: &Rows) -> f64 {
        let form = self.form;
        let mut x = if form.pre_norm { e.clone() } else { self.norm(e, "ln0") };
        for l in 0..LAYERS {
            for part in ["ln1", "ln2"] {
                let norm = format!("l{l}_{part}");
                let read = if form.pre_norm { self.norm(&x, &norm) } else { x.clone() };
                let out = if part == "ln1" { self.attention(&read, l) } else { self.feed_forward(&read, l) };
                let sum = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| a + b).collect();
                x = x.iter().zip(&out).map(sum).collect();
                if !form.pre_norm {
                    x = self.norm(&x, &norm);
                }
            }
        }
        if form.pre_norm {
            x = self.norm(&x, "ln0");
        }
        let mut read = vec![x[if form.pooler { 0 } else { x.len() - 1 }].clone()];
        if form.pooler {
            read = self.linear(&read, "Wp", "bp");
            read = self.activation(&read, |z| if z == 0.0 { 1.0 } else { z.tanh() / z });
        }
        let logits = self.linear(&read, "Wc", "bc");
        logits[0][1] - logits[0][0]
    }
}

/// The error function: its series near 0, a continued fraction elsewhere (Abramowitz and Stegun, 7.1.6 and 7.1.14).
fn erf(x: f64) -> f64 {
    let size = x.abs();
    let value = if size < 2.5 {
        let (mut term, mut sum) = (size, size);
        for n in 1..80 {
            term *= 2.0 * size * size / (2 * n + 1) as f64;
            sum += term;
        }
        2.0 / std::f64::consts::PI.sqrt() * (-size * size).exp() * sum
    } else {
        let mut fraction = size;
        for k in (1..=120).rev() {
            fraction = size + 0.5 * k as f64 / fraction;
        }
        1.0 - (-size * size).exp() / (std::f64::consts::PI.sqrt() * fraction)
    };
    value.copysign(x)
}

/// Embeddings of tokens with their positions.
pub fn embedded(parameters: &Parameters, ids: &[usize]) -> Rows {
    let table = &parameters["tok"].data;
    let positions = parameters.get("pos");
    let cell = |t: usize, id: usize, d: usize| {
        table[id * WIDTH + d] + positions.map_or(0.0, |p| p.data[t * WIDTH + d])
    };
    ids.iter().enumerate().map(|(t, id)| (0..WIDTH).map(|d| cell(t, *id, d)).collect()).collect()
}
