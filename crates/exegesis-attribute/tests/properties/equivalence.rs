//! Property 8: graphs that compute the same function by other operators explain the same.

use exegesis_attribute::Target;
use exegesis_graph::op::{self, Binary, GeluForm, ReduceKind, Unary};
use exegesis_graph::{Builder, Tensor, ValueId};
use proptest::prelude::*;

use crate::common::{Batch, Net, Random, assert_close};
use crate::traced::{Channel, Engine, Mode, cases, default_mode, trace};

/// Tokens and width of what forms read.
const TOKENS: usize = 3;
const WIDTH: usize = 4;

/// Appends nodes to `x [batch, tokens, width]`; forms of one pair draw the same numbers in the same order.
type Form = fn(&mut Builder<'_>, &mut Random, ValueId) -> ValueId;

fn weight(b: &mut Builder<'_>, random: &mut Random, shape: &[usize]) -> ValueId {
    let values = random.values(shape.iter().product(), -1.0, 1.0);
    b.constant(Tensor::new(shape.to_vec(), values).unwrap())
}

fn op(b: &mut Builder<'_>, op: impl Into<exegesis_graph::Op>, inputs: &[ValueId]) -> ValueId {
    b.op(op, inputs).unwrap()
}

/// `x op number`.
fn with(b: &mut Builder<'_>, kind: Binary, x: ValueId, number: f64) -> ValueId {
    let number = b.scalar(number, x).unwrap();
    op(b, kind, &[x, number])
}

/// A model around a form: a linear layer before, the mean over tokens and scores behind.
fn model(seed: u64, form: Form) -> Net {
    let mut net = Net::new(seed, Batch::Symbolic);
    let x = net.activation(&[0, TOKENS, WIDTH]);
    let mut random = net.random.clone();
    let mut b = Builder::new(&mut net.graph, "net").unwrap();
    let (before, bias) =
        (weight(&mut b, &mut random, &[WIDTH, WIDTH]), weight(&mut b, &mut random, &[WIDTH]));
    let hidden = b.matmul(x, before).unwrap();
    let hidden = b.add(hidden, bias).unwrap();
    let head = weight(&mut b, &mut random, &[WIDTH, 3]);
    let y = form(&mut b, &mut random, hidden);
    let pooled = b.reduce(ReduceKind::Mean, y, &[1], false).unwrap();
    let scores = b.matmul(pooled, head).unwrap();
    net.graph.outputs = vec![scores];
    net
}

/// Fails unless both channels have the same relevance at the inputs and the same totals by class.
#[track_caller]
fn assert_same(name: &str, got: &Channel, want: &Channel, tolerance: f64) {
    assert_close(name, &got.inputs[0].data, &want.inputs[0].data, tolerance, 0.0);
    for class in ["bias", "dead", "constant"] {
        let (got, want) = (got.total(class), want.total(class));
        assert!((got - want).abs() <= tolerance * (1.0 + want.abs()), "{name}: {got} is {class}, not {want}");
    }
}

/// Agreement in f64. Composites keep their constants in f32.
const SAME: f64 = 1e-6;

/// A pair of forms: as one operator, and written out.
struct Pair(&'static str, Form, Form);

const PAIRS: [Pair; 12] = [
    Pair("Linear", linear, matmul_add),
    Pair("bias in front", linear, add_matmul),
    Pair("Gelu", |b, _, x| op(b, op::Gelu { approximate: GeluForm::Erf }, &[x]), gelu_erf),
    Pair("Gelu by tanh", |b, _, x| op(b, op::Gelu { approximate: GeluForm::Tanh }, &[x]), gelu_tanh),
    Pair("Swish", |b, _, x| op(b, op::Swish { alpha: 1.0 }, &[x]), swish),
    Pair("HardSwish", |b, _, x| op(b, Unary::HardSwish, &[x]), hard_swish),
    Pair("OneMinusSigmoid", |b, _, x| op(b, op::OneMinusSigmoid {}, &[x]), one_minus_sigmoid),
    Pair("LayerNormalization", layer_norm, layer_norm_written_out),
    Pair("RMSNormalization", rms_norm, rms_norm_written_out),
    Pair("Softmax", |b, _, x| op(b, op::Softmax { axis: -1 }, &[x]), softmax),
    Pair("Attention", attention, attention_written_out),
    Pair("grouped queries", grouped, repeated),
];

fn linear(b: &mut Builder<'_>, random: &mut Random, x: ValueId) -> ValueId {
    let (w, bias) = (weight(b, random, &[WIDTH, WIDTH]), weight(b, random, &[WIDTH]));
    op(b, op::Linear { transB: false }, &[x, w, bias])
}

fn matmul_add(b: &mut Builder<'_>, random: &mut Random, x: ValueId) -> ValueId {
    let (w, bias) = (weight(b, random, &[WIDTH, WIDTH]), weight(b, random, &[WIDTH]));
    let product = b.matmul(x, w).unwrap();
    op(b, Binary::Add, &[product, bias])
}

fn add_matmul(b: &mut Builder<'_>, random: &mut Random, x: ValueId) -> ValueId {
    let (w, bias) = (weight(b, random, &[WIDTH, WIDTH]), weight(b, random, &[WIDTH]));
    let product = b.matmul(x, w).unwrap();
    op(b, Binary::Add, &[bias, product])
}

fn gelu_erf(b: &mut Builder<'_>, _: &mut Random, x: ValueId) -> ValueId {
    let scaled = with(b, Binary::Div, x, std::f64::consts::SQRT_2);
    let erf = op(b, Unary::Erf, &[scaled]);
    let bracket = with(b, Binary::Add, erf, 1.0);
    let product = op(b, Binary::Mul, &[x, bracket]);
    with(b, Binary::Mul, product, 0.5)
}

fn gelu_tanh(b: &mut Builder<'_>, _: &mut Random, x: ValueId) -> ValueId {
    let cube = with(b, Binary::Pow, x, 3.0);
    let term = with(b, Binary::Mul, cube, 0.044_715);
    let sum = op(b, Binary::Add, &[x, term]);
    let scaled = with(b, Binary::Mul, sum, (2.0 / std::f64::consts::PI).sqrt());
    let tanh = op(b, Unary::Tanh, &[scaled]);
    let bracket = with(b, Binary::Add, tanh, 1.0);
    let half = with(b, Binary::Mul, x, 0.5);
    op(b, Binary::Mul, &[half, bracket])
}

fn swish(b: &mut Builder<'_>, _: &mut Random, x: ValueId) -> ValueId {
    let gate = op(b, Unary::Sigmoid, &[x]);
    op(b, Binary::Mul, &[x, gate])
}

fn hard_swish(b: &mut Builder<'_>, _: &mut Random, x: ValueId) -> ValueId {
    let gate = op(b, op::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 }, &[x]);
    op(b, Binary::Mul, &[x, gate])
}

fn one_minus_sigmoid(b: &mut Builder<'_>, _: &mut Random, x: ValueId) -> ValueId {
    let sigmoid = op(b, Unary::Sigmoid, &[x]);
    let one = b.scalar(1.0, x).unwrap();
    op(b, Binary::Sub, &[one, sigmoid])
}

fn layer_norm(b: &mut Builder<'_>, random: &mut Random, x: ValueId) -> ValueId {
    let (scale, bias) = (weight(b, random, &[WIDTH]), weight(b, random, &[WIDTH]));
    op(b, op::LayerNormalization::default(), &[x, scale, bias])
}

fn layer_norm_written_out(b: &mut Builder<'_>, random: &mut Random, x: ValueId) -> ValueId {
    let (scale, bias) = (weight(b, random, &[WIDTH]), weight(b, random, &[WIDTH]));
    let mean = b.reduce(ReduceKind::Mean, x, &[2], true).unwrap();
    let centred = op(b, Binary::Sub, &[x, mean]);
    let square = with(b, Binary::Pow, centred, 2.0);
    let variance = b.reduce(ReduceKind::Mean, square, &[2], true).unwrap();
    let guarded = with(b, Binary::Add, variance, f64::from(1e-5f32));
    let root = op(b, Unary::Sqrt, &[guarded]);
    let normed = op(b, Binary::Div, &[centred, root]);
    let scaled = op(b, Binary::Mul, &[normed, scale]);
    op(b, Binary::Add, &[scaled, bias])
}

fn rms_norm(b: &mut Builder<'_>, random: &mut Random, x: ValueId) -> ValueId {
    let scale = weight(b, random, &[WIDTH]);
    op(b, op::RmsNormalization::default(), &[x, scale])
}

fn rms_norm_written_out(b: &mut Builder<'_>, random: &mut Random, x: ValueId) -> ValueId {
    let scale = weight(b, random, &[WIDTH]);
    let square = with(b, Binary::Pow, x, 2.0);
    let mean = b.reduce(ReduceKind::Mean, square, &[2], true).unwrap();
    let guarded = with(b, Binary::Add, mean, f64::from(1e-5f32));
    let root = op(b, Unary::Sqrt, &[guarded]);
    let normed = op(b, Binary::Div, &[x, root]);
    op(b, Binary::Mul, &[normed, scale])
}

fn softmax(b: &mut Builder<'_>, _: &mut Random, x: ValueId) -> ValueId {
    let highest = b.reduce(ReduceKind::Max, x, &[2], true).unwrap();
    let below = op(b, Binary::Sub, &[x, highest]);
    let exp = op(b, Unary::Exp, &[below]);
    let sum = b.reduce(ReduceKind::Sum, exp, &[2], true).unwrap();
    op(b, Binary::Div, &[exp, sum])
}

/// `x [batch, tokens, width]` projected to `heads` heads of size 2, `[batch, heads, tokens, 2]`.
fn heads(b: &mut Builder<'_>, random: &mut Random, x: ValueId, heads: usize) -> ValueId {
    let (w, bias) = (weight(b, random, &[WIDTH, 2 * heads]), weight(b, random, &[2 * heads]));
    let projected = b.matmul(x, w).unwrap();
    let projected = b.add(projected, bias).unwrap();
    let split = b.reshape_to(projected, &[-1, TOKENS as i64, heads as i64, 2]).unwrap();
    b.transpose(split, &[0, 2, 1, 3]).unwrap()
}

/// `[batch, heads, tokens, 2]` to `[batch, tokens, width]`.
fn joined(b: &mut Builder<'_>, random: &mut Random, x: ValueId, heads: usize) -> ValueId {
    let x = b.transpose(x, &[0, 2, 1, 3]).unwrap();
    let x = b.reshape_to(x, &[-1, TOKENS as i64, 2 * heads as i64]).unwrap();
    let w = weight(b, random, &[2 * heads, WIDTH]);
    b.matmul(x, w).unwrap()
}

fn scaled() -> op::Attention {
    op::Attention { scale: 0.5, is_causal: true, ..Default::default() }
}

fn attention(b: &mut Builder<'_>, random: &mut Random, x: ValueId) -> ValueId {
    let qkv = [0; 3].map(|_| heads(b, random, x, 2));
    let mixed = op(b, scaled(), &qkv);
    joined(b, random, mixed, 2)
}

fn attention_written_out(b: &mut Builder<'_>, random: &mut Random, x: ValueId) -> ValueId {
    let [q, k, v] = [0; 3].map(|_| heads(b, random, x, 2));
    let keys = b.transpose(k, &[0, 1, 3, 2]).unwrap();
    let scores = b.matmul(q, keys).unwrap();
    let scores = with(b, Binary::Mul, scores, 0.5);
    let seen = (0..TOKENS * TOKENS).map(|i| i % TOKENS <= i / TOKENS).collect::<Vec<bool>>();
    let seen = b.constant(Tensor::new([TOKENS, TOKENS], seen).unwrap());
    let lowest = b.scalar(f64::NEG_INFINITY, scores).unwrap();
    let masked = b.select(seen, scores, lowest).unwrap();
    let weights = op(b, op::Softmax { axis: -1 }, &[masked]);
    let mixed = b.matmul(weights, v).unwrap();
    joined(b, random, mixed, 2)
}

/// Four query heads, two heads of keys and values.
fn grouped(b: &mut Builder<'_>, random: &mut Random, x: ValueId) -> ValueId {
    let q = heads(b, random, x, 4);
    let (k, v) = (heads(b, random, x, 2), heads(b, random, x, 2));
    let mixed = op(b, scaled(), &[q, k, v]);
    joined(b, random, mixed, 4)
}

/// The same model with heads of keys and values repeated, so that each query head has its own.
fn repeated(b: &mut Builder<'_>, random: &mut Random, x: ValueId) -> ValueId {
    let q = heads(b, random, x, 4);
    let each = b.ints(&[0, 0, 1, 1]);
    let [k, v] = [0; 2].map(|_| {
        let few = heads(b, random, x, 2);
        op(b, op::Gather { axis: 1 }, &[few, each])
    });
    let mixed = op(b, scaled(), &[q, k, v]);
    joined(b, random, mixed, 4)
}

proptest! {
    #![proptest_config(cases(8))]

    /// Property 8. One operator and what it stands for give the same relevance, cell by cell, and the same totals.
    ///
    /// What this would catch: a pattern that is not folded before rules are chosen, so that a bias shares as a constant,
    /// an activation as a product or a norm as a division; heads of keys that are paired with the wrong queries.
    #[test]
    fn composites_equal_what_they_stand_for(seed: u64) {
        for Pair(name, fused, written_out) in PAIRS {
            for mode in Mode::ALL {
                let [fused, written_out] = [fused, written_out]
                    .map(|form| trace(&model(seed, form), Target::ArgMax, mode, Engine::Reference).unwrap());
                for (fused, written_out) in fused.iter().zip(&written_out) {
                    fused.assert_conserved(name, 1e-9);
                    assert_same(name, fused, written_out, SAME);
                }
            }
        }
    }
}

/// Property 8, for planes: a convolution with bias, and one whose bias is added behind it, per channel.
///
/// What this would catch: a folded bias of one channel that is read along another axis.
#[test]
fn a_bias_behind_a_convolution() {
    for transposed in [false, true] {
        let relevance = [false, true].map(|behind| {
            let mut net = Net::new(17, Batch::Symbolic);
            let x = net.activation(&[0, 2, 4, 5]);
            let (w, values) = (net.weight(&[2, 2, 3, 3]), net.random.values(2, -1.0, 1.0));
            let bias = net.constant(if behind { &[2, 1, 1] } else { &[2] }, values);
            let convolution: exegesis_graph::Op =
                if transposed { op::ConvTranspose::default().into() } else { op::Conv::default().into() };
            let y = if behind {
                let y = net.op(convolution, &[x, w]);
                net.op(Binary::Add, &[y, bias])
            } else {
                net.op(convolution, &[x, w, bias])
            };
            let y = net.op(Unary::Relu, &[y]);
            let pooled = net.op(op::GlobalAveragePool {}, &[y]);
            let scores = net.op(op::Flatten { axis: 1 }, &[pooled]);
            net.graph.outputs = vec![scores];
            default_mode(&net, Target::Class(1), Engine::Reference)
        });
        assert!(relevance[0].total("bias") > 0.0);
        assert_same("bias", &relevance[1], &relevance[0], SAME);
    }
}
