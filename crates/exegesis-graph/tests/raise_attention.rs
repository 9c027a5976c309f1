//! Attention and rotary embeddings are recognised in every way that exporters write them, compute the same afterwards,
//! and are left alone when they only look like it.

mod raise_support;

use exegesis_graph::op::{
    Attention, Binary, Concat, Expand, MatMul, Op, Reshape, Slice, Softmax, Split, Transpose,
};
use exegesis_graph::op::{Unary, Unsqueeze, Where};
use exegesis_graph::passes::raise::{Pattern, raise};
use exegesis_graph::{DType, Graph, ValueId};
use exegesis_reference::Array;
use raise_support::{Net, Random, assert_equal, count, operators};

const HEADS: usize = 4;

/// Queries, keys and values `[batch, 4, tokens, 6]`, an additive mask `[batch, 1, 1, tokens]` and a boolean one
/// `[tokens, tokens]`.
struct Inputs {
    q: ValueId,
    k: ValueId,
    v: ValueId,
    bias: ValueId,
    keep: ValueId,
}

type Build = fn(&mut Net, &Inputs) -> ValueId;

fn graph(build: Build) -> Graph {
    let mut net = Net::new();
    let qkv = ["q", "k", "v"].map(|name| net.input(name, &["batch", "4", "tokens", "6"]));
    let bias = net.input("bias", &["batch", "1", "1", "tokens"]);
    let keep = net.typed_input("keep", DType::Bool, &["tokens", "tokens"]);
    let [q, k, v] = qkv;
    let y = build(&mut net, &Inputs { q, k, v, bias, keep });
    net.finish(&[y])
}

fn arrays() -> Vec<(&'static str, Array)> {
    let mut random = Random::new(21);
    let mut arrays: Vec<(&str, Array)> =
        ["q", "k", "v"].into_iter().map(|name| (name, random.array(&[2, HEADS, 3, 6]))).collect();
    arrays.push(("bias", random.array(&[2, 1, 1, 3])));
    // Nothing is kept in the second row.
    let keep = vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0];
    arrays.push(("keep", Array::new(DType::Bool, vec![3, 3], keep).unwrap()));
    arrays
}

#[track_caller]
fn raised(build: Build) -> (Graph, Attention) {
    let before = graph(build);
    let mut after = before.clone();
    assert_eq!(raise(&mut after).unwrap().count(Pattern::Attention), 1, "{:?}", operators(&before));
    assert_equal(&before, &after, &arrays());
    let attention = after.nodes().find_map(|(_, n)| match &n.op {
        Op::Attention(op) => Some(op.clone()),
        _ => None,
    });
    assert_eq!(count(&after, "Softmax"), 0);
    (after, attention.unwrap())
}

#[track_caller]
fn not_attention(build: Build) {
    let before = graph(build);
    let mut after = before.clone();
    assert_eq!(raise(&mut after).unwrap().count(Pattern::Attention), 0, "{:?}", operators(&after));
    assert_equal(&before, &after, &arrays());
}

fn transpose(net: &mut Net, x: ValueId, perm: &[i64]) -> ValueId {
    net.op(Transpose { perm: perm.to_vec() }, &[x])
}

fn times(net: &mut Net, x: ValueId, factor: f32) -> ValueId {
    let factor = net.number(factor);
    net.op(Binary::Mul, &[x, factor])
}

fn scores(net: &mut Net, i: &Inputs) -> ValueId {
    let k = transpose(net, i.k, &[0, 1, 3, 2]);
    net.op(MatMul {}, &[i.q, k])
}

fn weigh(net: &mut Net, scores: ValueId, v: ValueId) -> ValueId {
    let weights = net.op(Softmax { axis: -1 }, &[scores]);
    net.op(MatMul {}, &[weights, v])
}

#[test]
fn the_scale_may_stand_anywhere() {
    let forms: [(Build, f32); 6] = [
        (
            |n, i| {
                let s = scores(n, i);
                weigh(n, s, i.v)
            },
            1.0,
        ),
        (
            |n, i| {
                let s = scores(n, i);
                let s = times(n, s, 0.4);
                weigh(n, s, i.v)
            },
            0.4,
        ),
        (
            |n, i| {
                let (s, d) = (scores(n, i), n.number(2.5));
                let s = n.op(Binary::Div, &[s, d]);
                weigh(n, s, i.v)
            },
            0.4,
        ),
        (
            |n, i| {
                let q = times(n, i.q, 0.4);
                let k = transpose(n, i.k, &[0, 1, 3, 2]);
                let s = n.op(MatMul {}, &[q, k]);
                weigh(n, s, i.v)
            },
            0.4,
        ),
        (
            |n, i| {
                let q = times(n, i.q, 0.5);
                let k = transpose(n, i.k, &[0, 1, 3, 2]);
                let k = times(n, k, 0.5);
                let s = n.op(MatMul {}, &[q, k]);
                weigh(n, s, i.v)
            },
            0.25,
        ),
        (
            |n, i| {
                let k = times(n, i.k, 0.3);
                let k = transpose(n, k, &[0, 1, 3, 2]);
                let s = n.op(MatMul {}, &[i.q, k]);
                weigh(n, s, i.v)
            },
            0.3,
        ),
    ];
    for (form, scale) in forms {
        let (after, op) = raised(form);
        assert_eq!(operators(&after), ["Attention"]);
        assert!((op.scale - scale).abs() < 1e-6, "{} is not {scale}", op.scale);
    }
}

#[test]
fn the_scale_may_be_computed_from_a_dimension() {
    // As `scaled_dot_product_attention` is exported when nothing was folded.
    let (after, op) = raised(|n, i| {
        let shape = n.op(exegesis_graph::op::Shape::default(), &[i.q]);
        let (start, end) = (n.ints(&[-1]), n.ints(&[i64::MAX]));
        let width = n.op(Slice {}, &[shape, start, end]);
        let width = n.op(exegesis_graph::op::Cast { to: DType::F32 }, &[width]);
        let (root, one) = (n.op(Unary::Sqrt, &[width]), n.number(1.0));
        let scale = n.op(Binary::Div, &[one, root]);
        let part = n.op(Unary::Sqrt, &[scale]);
        let q = n.op(Binary::Mul, &[i.q, part]);
        let k = transpose(n, i.k, &[0, 1, 3, 2]);
        let k = n.op(Binary::Mul, &[k, part]);
        let s = n.op(MatMul {}, &[q, k]);
        weigh(n, s, i.v)
    });
    assert_eq!(count(&after, "MatMul"), 0);
    assert!((op.scale - 6.0f32.sqrt().recip()).abs() < 1e-6);
}

#[test]
fn masks() {
    let (after, _) = raised(|n, i| {
        let s = scores(n, i);
        let s = n.op(Binary::Add, &[i.bias, s]);
        weigh(n, s, i.v)
    });
    assert_eq!(operators(&after), ["Attention"]);
    let (_, node) = after.nodes().next().unwrap();
    assert_eq!(node.input(3), after.find_value("bias"));

    // True keeps.
    let (after, op) = raised(|n, i| {
        let (s, fill) = (scores(n, i), n.number(f32::NEG_INFINITY));
        let s = n.op(Where {}, &[i.keep, s, fill]);
        let w = n.op(Softmax { axis: 3 }, &[s]);
        let nan = n.op(Unary::IsNaN, &[w]);
        let zero = n.number(0.0);
        let w = n.op(Where {}, &[nan, zero, w]);
        n.op(MatMul {}, &[w, i.v])
    });
    assert!(op.guard_nan);
    assert_eq!(operators(&after), ["Attention"]);

    // True drops: an inverted mask.
    let (after, op) = raised(|n, i| {
        let (s, fill) = (scores(n, i), n.number(f32::NEG_INFINITY));
        let s = n.op(Where {}, &[i.keep, fill, s]);
        weigh(n, s, i.v)
    });
    assert!(!op.guard_nan);
    assert_eq!((count(&after, "Not"), after.node_count()), (1, 2));

    // A finite fill leaves wholly masked rows uniform.
    let (after, _) = raised(|n, i| {
        let (s, fill) = (scores(n, i), n.number(f32::MIN));
        let s = times(n, s, 0.5);
        let s = n.op(Where {}, &[i.keep, s, fill]);
        weigh(n, s, i.v)
    });
    assert_eq!((count(&after, "Where"), after.node_count()), (1, 2));
}

#[test]
fn keys_in_another_order_of_axes() {
    // `[b, s, h, d]` is transposed to `[b, h, d, s]` at once.
    let (after, _) = raised(|n, i| {
        let k = transpose(n, i.k, &[0, 2, 1, 3]);
        let k = transpose(n, k, &[0, 2, 3, 1]);
        let s = n.op(MatMul {}, &[i.q, k]);
        weigh(n, s, i.v)
    });
    assert_eq!(count(&after, "Transpose"), 2);
}

#[test]
fn not_quite_attention() {
    let forms: [Build; 7] = [
        // The scale multiplies the mask too.
        |n, i| {
            let s = scores(n, i);
            let s = n.op(Binary::Add, &[s, i.bias]);
            let s = times(n, s, 0.5);
            weigh(n, s, i.v)
        },
        // The softmax runs over the queries.
        |n, i| {
            let s = scores(n, i);
            let w = n.op(Softmax { axis: 2 }, &[s]);
            n.op(MatMul {}, &[w, i.v])
        },
        // The mask comes after the softmax.
        |n, i| {
            let s = scores(n, i);
            let w = n.op(Softmax { axis: -1 }, &[s]);
            let w = n.op(Binary::Add, &[w, i.bias]);
            n.op(MatMul {}, &[w, i.v])
        },
        // A fill that other scores may come near to.
        |n, i| {
            let (s, fill) = (scores(n, i), n.number(-5.0));
            let s = n.op(Where {}, &[i.keep, s, fill]);
            weigh(n, s, i.v)
        },
        // Weights that are read elsewhere.
        |n, i| {
            let s = scores(n, i);
            let w = n.op(Softmax { axis: -1 }, &[s]);
            let y = n.op(MatMul {}, &[w, i.v]);
            let axes = n.ints(&[-1]);
            let sum = n.op(
                exegesis_graph::op::Reduce {
                    kind: exegesis_graph::op::ReduceKind::Max,
                    keepdims: true,
                    noop_with_empty_axes: false,
                },
                &[w, axes],
            );
            n.op(Binary::Mul, &[y, sum])
        },
        // Keys that are not transposed but reshaped, which mixes tokens and features.
        |n, i| {
            let target = n.ints(&[2, 4, 6, 3]);
            let k = n.op(Reshape { allowzero: false }, &[i.k, target]);
            let s = n.op(MatMul {}, &[i.q, k]);
            weigh(n, s, i.v)
        },
        // A guard with another value.
        |n, i| {
            let s = scores(n, i);
            let w = n.op(Softmax { axis: -1 }, &[s]);
            let nan = n.op(Unary::IsNaN, &[w]);
            let one = n.number(1.0);
            let w = n.op(Where {}, &[nan, one, w]);
            n.op(MatMul {}, &[w, i.v])
        },
    ];
    for form in forms {
        not_attention(form);
    }
}

#[test]
fn heads_and_batches_that_broadcast() {
    let build = |q: [&str; 4], k: [&str; 4], v: [&str; 4]| {
        let mut net = Net::new();
        let (q, k, v) = (net.input("q", &q), net.input("k", &k), net.input("v", &v));
        let k = transpose(&mut net, k, &[0, 1, 3, 2]);
        let s = net.op(MatMul {}, &[q, k]);
        let y = weigh(&mut net, s, v);
        let mut graph = net.finish(&[y]);
        raise(&mut graph).unwrap().count(Pattern::Attention)
    };
    let all = ["b", "4", "t", "6"];
    assert_eq!(build(all, all, all), 1);
    // One key head for all queries is what the composite means by groups.
    assert_eq!(build(all, ["b", "1", "s", "6"], ["b", "1", "s", "6"]), 1);
    assert_eq!(build(all, ["b", "1", "s", "6"], ["b", "4", "s", "6"]), 0);
    assert_eq!(build(["b", "1", "t", "6"], all, all), 0);
    assert_eq!(build(all, ["1", "4", "s", "6"], ["1", "4", "s", "6"]), 0);
    // A mask may not add a batch.
    let mut net = Net::new();
    let [q, k, v] = ["q", "k", "v"].map(|name| net.input(name, &["1", "4", "t", "6"]));
    let mask = net.input("mask", &["5", "1", "1", "t"]);
    let k = transpose(&mut net, k, &[0, 1, 3, 2]);
    let s = net.op(MatMul {}, &[q, k]);
    let s = net.op(Binary::Add, &[s, mask]);
    let y = weigh(&mut net, s, v);
    assert_eq!(raise(&mut net.finish(&[y])).unwrap().count(Pattern::Attention), 0);
}

/// Attention of 4 query heads on 2 key heads that are repeated along a new axis.
fn grouped(axis: i64, expanded: &[i64]) -> (Graph, Vec<(&'static str, Array)>) {
    let mut net = Net::new();
    let q = net.input("q", &["2", "4", "3", "6"]);
    let [k, v] = ["k", "v"].map(|name| net.input(name, &["2", "2", "3", "6"]));
    let repeat = |net: &mut Net, x: ValueId| {
        let (axes, shape, target) = (net.ints(&[axis]), net.ints(expanded), net.ints(&[2, 4, 3, 6]));
        let x = net.op(Unsqueeze {}, &[x, axes]);
        let x = net.op(Expand {}, &[x, shape]);
        net.op(Reshape { allowzero: false }, &[x, target])
    };
    let (k, v) = (repeat(&mut net, k), repeat(&mut net, v));
    let k = transpose(&mut net, k, &[0, 1, 3, 2]);
    let s = net.op(MatMul {}, &[q, k]);
    let y = weigh(&mut net, s, v);
    let mut random = Random::new(22);
    let arrays = vec![
        ("q", random.array(&[2, 4, 3, 6])),
        ("k", random.array(&[2, 2, 3, 6])),
        ("v", random.array(&[2, 2, 3, 6])),
    ];
    (net.finish(&[y]), arrays)
}

#[test]
fn repeated_heads_become_groups() {
    let (before, arrays) = grouped(2, &[2, 2, 2, 3, 6]);
    let mut after = before.clone();
    assert_eq!(raise(&mut after).unwrap().count(Pattern::GroupedHeads), 1);
    assert_eq!(operators(&after), ["Attention"]);
    assert_equal(&before, &after, &arrays);
    // Repeated in turns (head i reads i mod 2) is another thing.
    let (before, arrays) = grouped(1, &[2, 2, 2, 3, 6]);
    let mut after = before.clone();
    let report = raise(&mut after).unwrap();
    assert_eq!((report.count(Pattern::GroupedHeads), report.count(Pattern::Attention)), (0, 1));
    assert_equal(&before, &after, &arrays);
}

/// `x cos + concat(-second, first) sin` with the halves cut at `middle` and joined in this order.
fn rotary(split: bool, middle: i64, swapped: bool) -> (Graph, Vec<(&'static str, Array)>) {
    let mut net = Net::new();
    let x = net.input("x", &["batch", "2", "tokens", "6"]);
    let (cos, sin) = (net.input("cos", &["tokens", "6"]), net.input("sin", &["1", "1", "tokens", "6"]));
    let (first, second) = if split {
        let sizes = net.ints(&[middle, 6 - middle]);
        let parts = net.graph.add_op_with(
            "split",
            Split { axis: -1, num_outputs: None },
            vec![Some(x), Some(sizes)],
            2,
        );
        (parts[0], parts[1])
    } else {
        let mut cut = |start: i64, end: i64| {
            let (start, end, axes) = (net.ints(&[start]), net.ints(&[end]), net.ints(&[3]));
            net.op(Slice {}, &[x, start, end, axes])
        };
        (cut(0, middle), cut(middle, i64::MAX))
    };
    let turned = if swapped {
        let negative = net.op(Unary::Neg, &[first]);
        net.op(Concat { axis: -1 }, &[second, negative])
    } else {
        let negative = net.op(Unary::Neg, &[second]);
        net.op(Concat { axis: -1 }, &[negative, first])
    };
    let a = net.op(Binary::Mul, &[x, cos]);
    let b = net.op(Binary::Mul, &[turned, sin]);
    let y = net.op(Binary::Add, &[a, b]);
    let mut random = Random::new(23);
    let arrays = vec![
        ("x", random.array(&[2, 2, 3, 6])),
        ("cos", random.array(&[3, 6])),
        ("sin", random.array(&[1, 1, 3, 6])),
    ];
    (net.finish(&[y]), arrays)
}

#[test]
fn rotary_embedding() {
    for (split, middle, swapped, expected) in [
        (true, 3, false, 1),
        (false, 3, false, 1),
        (true, 2, false, 0),
        (false, 2, false, 0),
        (false, 3, true, 0),
    ] {
        let (before, arrays) = rotary(split, middle, swapped);
        let mut after = before.clone();
        assert_eq!(raise(&mut after).unwrap().count(Pattern::RotaryEmbedding), expected);
        assert_equal(&before, &after, &arrays);
        if expected == 1 {
            assert_eq!(operators(&after), ["RotaryEmbedding"]);
        }
    }
}
