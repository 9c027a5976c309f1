//! Activations, softmax and normalisations are recognised in every way that exporters write them, compute the same
//! afterwards, and are left alone when they only look like it.

mod raise_support;

use exegesis_graph::op::{Binary, Cast, Clip, HardSigmoid, Op, Reduce, ReduceKind, Unary, Variadic};
use exegesis_graph::passes::raise::{Pattern, raise};
use exegesis_graph::{DType, Graph, Origin, Tensor, ValueId};
use raise_support::{Net, Random, assert_equal, count, operators};

const SQRT_2: f32 = std::f32::consts::SQRT_2;
const GELU_SCALE: f32 = 0.797_884_6;

/// A decomposed form: appends it to `x [batch, 3, 6]`.
type Build = fn(&mut Net, ValueId) -> ValueId;

fn graph(build: Build) -> Graph {
    let mut net = Net::new();
    let x = net.input("x", &["batch", "3", "6"]);
    let y = build(&mut net, x);
    net.finish(&[y])
}

/// The form becomes one node of this pattern with the name of its last node, and computes the same.
#[track_caller]
fn becomes(pattern: Pattern, op: &str, build: Build) {
    let before = graph(build);
    let mut after = before.clone();
    let report = raise(&mut after).unwrap();
    assert_eq!(report.count(pattern), 1, "{:?}", operators(&before));
    assert_eq!(operators(&after), [op]);
    let (_, node) = after.nodes().next().unwrap();
    let last = before.producer_node(before.outputs[0]).unwrap();
    assert_eq!((&node.name, &node.origin), (&last.name, &Origin::Rewritten(last.name.as_str().into())));
    assert_equal(&before, &after, &[("x", Random::new(1).array(&[2, 3, 6]))]);
}

/// The form does not become this pattern; whatever else is recognised computes the same.
#[track_caller]
fn does_not_become(pattern: Pattern, build: Build) {
    let before = graph(build);
    let mut after = before.clone();
    let report = raise(&mut after).unwrap();
    assert_eq!(report.count(pattern), 0, "{:?}", operators(&after));
    assert_equal(&before, &after, &[("x", Random::new(1).array(&[2, 3, 6]))]);
}

fn reduce(net: &mut Net, kind: ReduceKind, x: ValueId, axes: &[i64]) -> ValueId {
    let axes = net.ints(axes);
    net.op(Reduce { kind, keepdims: true, noop_with_empty_axes: false }, &[x, axes])
}

fn with(net: &mut Net, kind: Binary, x: ValueId, number: f32) -> ValueId {
    let number = net.number(number);
    net.op(kind, &[x, number])
}

fn erf_bracket(net: &mut Net, x: ValueId) -> ValueId {
    let scaled = with(net, Binary::Div, x, SQRT_2);
    let erf = net.op(Unary::Erf, &[scaled]);
    with(net, Binary::Add, erf, 1.0)
}

fn tanh_bracket(net: &mut Net, x: ValueId, cubic: f32) -> ValueId {
    let cube = with(net, Binary::Pow, x, 3.0);
    let term = with(net, Binary::Mul, cube, cubic);
    let sum = net.op(Binary::Add, &[x, term]);
    let scaled = with(net, Binary::Mul, sum, GELU_SCALE);
    let tanh = net.op(Unary::Tanh, &[scaled]);
    with(net, Binary::Add, tanh, 1.0)
}

#[test]
fn gelu_with_the_error_function() {
    let forms: [Build; 5] = [
        |n, x| {
            let b = erf_bracket(n, x);
            let p = n.op(Binary::Mul, &[x, b]);
            with(n, Binary::Mul, p, 0.5)
        },
        |n, x| {
            let b = erf_bracket(n, x);
            let half = with(n, Binary::Mul, x, 0.5);
            n.op(Binary::Mul, &[half, b])
        },
        |n, x| {
            let b = erf_bracket(n, x);
            let half = with(n, Binary::Mul, b, 0.5);
            n.op(Binary::Mul, &[half, x])
        },
        |n, x| {
            let scaled = with(n, Binary::Mul, x, SQRT_2.recip());
            let erf = n.op(Unary::Erf, &[scaled]);
            let one = n.constant(Tensor::vector(vec![1.0f32]));
            let b = n.op(Binary::Add, &[one, erf]);
            let p = n.op(Binary::Mul, &[b, x]);
            with(n, Binary::Div, p, 2.0)
        },
        // An input that is a product itself.
        |n, x| {
            let three = n.constant(Random::new(9).tensor(&[6]));
            let x = n.op(Binary::Mul, &[x, three]);
            let b = erf_bracket(n, x);
            let p = n.op(Binary::Mul, &[x, b]);
            with(n, Binary::Mul, p, 0.5)
        },
    ];
    for form in forms.into_iter().take(4) {
        becomes(Pattern::Gelu, "Gelu", form);
    }
    let mut last = graph(forms[4]);
    assert_eq!(raise(&mut last).unwrap().count(Pattern::Gelu), 1);
}

#[test]
fn gelu_with_tanh() {
    let forms: [Build; 3] = [
        |n, x| {
            let b = tanh_bracket(n, x, 0.044_715);
            let half = with(n, Binary::Mul, x, 0.5);
            n.op(Binary::Mul, &[half, b])
        },
        |n, x| {
            let square = n.op(Binary::Mul, &[x, x]);
            let cube = n.op(Binary::Mul, &[x, square]);
            let term = with(n, Binary::Mul, cube, 0.044_715);
            let sum = n.op(Binary::Add, &[term, x]);
            let scaled = with(n, Binary::Mul, sum, GELU_SCALE);
            let tanh = n.op(Unary::Tanh, &[scaled]);
            let b = with(n, Binary::Add, tanh, 1.0);
            let p = n.op(Binary::Mul, &[x, b]);
            with(n, Binary::Mul, p, 0.5)
        },
        |n, x| {
            let square = n.op(Binary::Mul, &[x, x]);
            let term = with(n, Binary::Mul, square, 0.044_715);
            let one = with(n, Binary::Add, term, 1.0);
            let outer = with(n, Binary::Mul, x, GELU_SCALE);
            let argument = n.op(Binary::Mul, &[outer, one]);
            let tanh = n.op(Unary::Tanh, &[argument]);
            let b = with(n, Binary::Add, tanh, 1.0);
            let p = n.op(Binary::Mul, &[x, b]);
            with(n, Binary::Mul, p, 0.5)
        },
    ];
    for form in forms {
        becomes(Pattern::Gelu, "Gelu", form);
    }
}

#[test]
fn not_gelu() {
    let forms: [Build; 5] = [
        // Without the half.
        |n, x| {
            let b = erf_bracket(n, x);
            n.op(Binary::Mul, &[x, b])
        },
        // Other constants.
        |n, x| {
            let b = tanh_bracket(n, x, 0.05);
            let half = with(n, Binary::Mul, x, 0.5);
            n.op(Binary::Mul, &[half, b])
        },
        // Of another value than it multiplies.
        |n, x| {
            let other = n.op(Unary::Abs, &[x]);
            let b = erf_bracket(n, other);
            let p = n.op(Binary::Mul, &[x, b]);
            with(n, Binary::Mul, p, 0.5)
        },
        // Multiplied twice.
        |n, x| {
            let b = erf_bracket(n, x);
            let p = n.op(Binary::Mul, &[x, b]);
            let q = n.op(Binary::Mul, &[x, p]);
            with(n, Binary::Mul, q, 0.5)
        },
        // The bracket is read elsewhere.
        |n, x| {
            let b = erf_bracket(n, x);
            let p = n.op(Binary::Mul, &[x, b]);
            let half = with(n, Binary::Mul, p, 0.5);
            n.op(Binary::Sub, &[half, b])
        },
    ];
    for form in forms {
        does_not_become(Pattern::Gelu, form);
    }
}

#[test]
fn swish() {
    let forms: [Build; 4] = [
        |n, x| {
            let s = n.op(Unary::Sigmoid, &[x]);
            n.op(Binary::Mul, &[x, s])
        },
        |n, x| {
            let s = n.op(Unary::Sigmoid, &[x]);
            n.op(Binary::Mul, &[s, x])
        },
        |n, x| {
            let scaled = with(n, Binary::Mul, x, 1.702);
            let s = n.op(Unary::Sigmoid, &[scaled]);
            n.op(Binary::Mul, &[x, s])
        },
        |n, x| {
            let minus = n.op(Unary::Neg, &[x]);
            let exp = n.op(Unary::Exp, &[minus]);
            let one = with(n, Binary::Add, exp, 1.0);
            n.op(Binary::Div, &[x, one])
        },
    ];
    for form in forms {
        becomes(Pattern::Swish, "Swish", form);
    }
    does_not_become(Pattern::Swish, |n, x| {
        let other = n.op(Unary::Abs, &[x]);
        let s = n.op(Unary::Sigmoid, &[other]);
        n.op(Binary::Mul, &[x, s])
    });
    does_not_become(Pattern::Swish, |n, x| {
        let s = n.op(Unary::Sigmoid, &[x]);
        let y = n.op(Binary::Mul, &[x, s]);
        n.op(Binary::Add, &[y, s])
    });
}

#[test]
fn hard_swish_and_clips() {
    let hard_swish: [Build; 4] = [
        |n, x| {
            let s = n.op(HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 }, &[x]);
            n.op(Binary::Mul, &[x, s])
        },
        |n, x| {
            let shifted = with(n, Binary::Add, x, 3.0);
            let (low, high) = (n.number(0.0), n.number(6.0));
            let clip = n.op(Clip {}, &[shifted, low, high]);
            let p = n.op(Binary::Mul, &[x, clip]);
            with(n, Binary::Div, p, 6.0)
        },
        |n, x| {
            let shifted = with(n, Binary::Add, x, 3.0);
            let relu = n.op(Unary::Relu, &[shifted]);
            let six = n.number(6.0);
            let clip = n.op(Variadic::Min, &[relu, six]);
            let sixth = with(n, Binary::Div, clip, 6.0);
            n.op(Binary::Mul, &[sixth, x])
        },
        |n, x| {
            let shifted = with(n, Binary::Add, x, 3.0);
            let (low, high) = (n.number(0.0), n.number(6.0));
            let clip = n.op(Clip {}, &[shifted, low, high]);
            let p = n.op(Binary::Mul, &[x, clip]);
            with(n, Binary::Mul, p, 1.0 / 6.0)
        },
    ];
    for form in hard_swish {
        let before = graph(form);
        let mut after = before.clone();
        assert_eq!(raise(&mut after).unwrap().count(Pattern::HardSwish), 1);
        assert_eq!(operators(&after), ["HardSwish"]);
        assert_equal(&before, &after, &[("x", Random::new(1).array(&[2, 3, 6]))]);
    }
    does_not_become(Pattern::HardSwish, |n, x| {
        let s = n.op(HardSigmoid { alpha: 0.2, beta: 0.5 }, &[x]);
        n.op(Binary::Mul, &[x, s])
    });
    becomes(Pattern::Clip, "Clip", |n, x| {
        let relu = n.op(Unary::Relu, &[x]);
        let half = n.number(0.5);
        n.op(Variadic::Min, &[half, relu])
    });
    does_not_become(Pattern::Clip, |n, x| {
        let half = n.number(0.5);
        n.op(Variadic::Min, &[half, x])
    });
}

#[test]
fn one_minus_sigmoid_beside_the_gate() {
    becomes(Pattern::OneMinusSigmoid, "OneMinusSigmoid", |n, x| {
        let (s, one) = (n.op(Unary::Sigmoid, &[x]), n.number(1.0));
        n.op(Binary::Sub, &[one, s])
    });
    let before = graph(|n, x| {
        let (s, one) = (n.op(Unary::Sigmoid, &[x]), n.number(1.0));
        let open = n.op(Binary::Sub, &[one, s]);
        n.op(Binary::Mul, &[s, open])
    });
    let mut after = before.clone();
    assert_eq!(raise(&mut after).unwrap().count(Pattern::OneMinusSigmoid), 1);
    assert_eq!(count(&after, "Sigmoid"), 1);
    assert_equal(&before, &after, &[("x", Random::new(1).array(&[2, 3, 6]))]);
    does_not_become(Pattern::OneMinusSigmoid, |n, x| {
        let (s, two) = (n.op(Unary::Sigmoid, &[x]), n.number(2.0));
        n.op(Binary::Sub, &[two, s])
    });
}

fn exponentials(net: &mut Net, x: ValueId, axis: i64) -> ValueId {
    let max = reduce(net, ReduceKind::Max, x, &[axis]);
    let shifted = net.op(Binary::Sub, &[x, max]);
    net.op(Unary::Exp, &[shifted])
}

#[test]
fn softmax() {
    let forms: [Build; 3] = [
        |n, x| {
            let e = exponentials(n, x, -1);
            let sum = reduce(n, ReduceKind::Sum, e, &[2]);
            n.op(Binary::Div, &[e, sum])
        },
        |n, x| {
            let e = exponentials(n, x, 1);
            let sum = reduce(n, ReduceKind::Sum, e, &[1]);
            let inverse = n.op(Unary::Reciprocal, &[sum]);
            n.op(Binary::Mul, &[inverse, e])
        },
        |n, x| {
            let e = n.op(Unary::Exp, &[x]);
            let sum = reduce(n, ReduceKind::Sum, e, &[-1]);
            n.op(Binary::Div, &[e, sum])
        },
    ];
    for form in forms {
        becomes(Pattern::Softmax, "Softmax", form);
    }
    // The sum runs over another axis than the maximum: equal still, but the shift does not cancel within a row.
    does_not_become(Pattern::Softmax, |n, x| {
        let e = exponentials(n, x, -1);
        let sum = reduce(n, ReduceKind::Sum, e, &[1, 2]);
        n.op(Binary::Div, &[e, sum])
    });
}

#[test]
fn log_softmax() {
    let forms: [Build; 3] = [
        |n, x| {
            let max = reduce(n, ReduceKind::Max, x, &[-1]);
            let v = n.op(Binary::Sub, &[x, max]);
            let e = n.op(Unary::Exp, &[v]);
            let sum = reduce(n, ReduceKind::Sum, e, &[-1]);
            let log = n.op(Unary::Log, &[sum]);
            n.op(Binary::Sub, &[v, log])
        },
        |n, x| {
            let log = reduce(n, ReduceKind::LogSumExp, x, &[1]);
            n.op(Binary::Sub, &[x, log])
        },
        |n, x| {
            let softmax = n.op(exegesis_graph::op::Softmax { axis: 1 }, &[x]);
            n.op(Unary::Log, &[softmax])
        },
    ];
    for form in forms {
        becomes(Pattern::LogSoftmax, "LogSoftmax", form);
    }
    // The maximum is subtracted on one side only.
    does_not_become(Pattern::LogSoftmax, |n, x| {
        let e = exponentials(n, x, -1);
        let sum = reduce(n, ReduceKind::Sum, e, &[-1]);
        let log = n.op(Unary::Log, &[sum]);
        n.op(Binary::Sub, &[x, log])
    });
}

fn centred(net: &mut Net, x: ValueId, axes: &[i64]) -> ValueId {
    let mean = reduce(net, ReduceKind::Mean, x, axes);
    net.op(Binary::Sub, &[x, mean])
}

fn variance(net: &mut Net, difference: ValueId, axes: &[i64], epsilon: f32) -> ValueId {
    let square = with(net, Binary::Pow, difference, 2.0);
    let mean = reduce(net, ReduceKind::Mean, square, axes);
    with(net, Binary::Add, mean, epsilon)
}

#[test]
fn layer_normalization() {
    let forms: [Build; 6] = [
        |n, x| {
            let d = centred(n, x, &[-1]);
            let v = variance(n, d, &[2], 1e-3);
            let root = n.op(Unary::Sqrt, &[v]);
            let y = n.op(Binary::Div, &[d, root]);
            let (gamma, beta) = (Random::new(2).tensor(&[6]), Random::new(3).tensor(&[6]));
            let (gamma, beta) = (n.constant(gamma), n.constant(beta));
            let y = n.op(Binary::Mul, &[y, gamma]);
            n.op(Binary::Add, &[y, beta])
        },
        // Without affine, several axes, product of the difference with itself, two differences.
        |n, x| {
            let (d, e) = (centred(n, x, &[1, 2]), centred(n, x, &[-2, -1]));
            let square = n.op(Binary::Mul, &[e, e]);
            let mean = reduce(n, ReduceKind::Mean, square, &[1, 2]);
            let v = with(n, Binary::Add, mean, 1e-3);
            let root = n.op(Unary::Sqrt, &[v]);
            let inverse = n.op(Unary::Reciprocal, &[root]);
            n.op(Binary::Mul, &[inverse, d])
        },
        // Scale only, of several axes, with a leading axis of 1.
        |n, x| {
            let d = centred(n, x, &[-2, -1]);
            let v = variance(n, d, &[-1, -2], 1e-5);
            let root = n.op(Unary::Sqrt, &[v]);
            let one = n.number(1.0);
            let inverse = n.op(Binary::Div, &[one, root]);
            let y = n.op(Binary::Mul, &[d, inverse]);
            let gamma = n.constant(Random::new(2).tensor(&[1, 3, 6]));
            n.op(Binary::Mul, &[gamma, y])
        },
        // Bias only; a power for the root.
        |n, x| {
            let d = centred(n, x, &[-1]);
            let v = variance(n, d, &[-1], 1e-5);
            let inverse = with(n, Binary::Pow, v, -0.5);
            let y = n.op(Binary::Mul, &[d, inverse]);
            let beta = n.constant(Random::new(2).tensor(&[6]));
            n.op(Binary::Add, &[beta, y])
        },
        // TensorFlow.
        |n, x| {
            let mean = reduce(n, ReduceKind::Mean, x, &[-1]);
            let d = n.op(Binary::Sub, &[x, mean]);
            let square = n.op(Binary::Mul, &[d, d]);
            let v = reduce(n, ReduceKind::Mean, square, &[-1]);
            let v = with(n, Binary::Add, v, 1e-3);
            let root = n.op(Unary::Sqrt, &[v]);
            let inverse = n.op(Unary::Reciprocal, &[root]);
            let (gamma, beta) = (Random::new(2).tensor(&[6]), Random::new(3).tensor(&[6]));
            let (gamma, beta) = (n.constant(gamma), n.constant(beta));
            let factor = n.op(Binary::Mul, &[inverse, gamma]);
            let scaled = n.op(Binary::Mul, &[x, factor]);
            let shift = n.op(Binary::Mul, &[mean, factor]);
            let rest = n.op(Binary::Sub, &[beta, shift]);
            n.op(Binary::Add, &[scaled, rest])
        },
        // Identities between.
        |n, x| {
            let same = n.op(Unary::Identity, &[x]);
            let d = centred(n, same, &[-1]);
            let d = n.op(Cast { to: DType::F32 }, &[d]);
            let v = variance(n, d, &[-1], 1e-5);
            let root = n.op(Unary::Sqrt, &[v]);
            n.op(Binary::Div, &[d, root])
        },
    ];
    for form in forms.into_iter().take(5) {
        becomes(Pattern::LayerNormalization, "LayerNormalization", form);
    }
    let before = graph(forms[5]);
    let mut after = before.clone();
    assert_eq!(raise(&mut after).unwrap().count(Pattern::LayerNormalization), 1);
    assert_equal(&before, &after, &[("x", Random::new(1).array(&[2, 3, 6]))]);
}

#[test]
fn not_layer_normalization() {
    let forms: [Build; 6] = [
        // The epsilon is outside of the root.
        |n, x| {
            let d = centred(n, x, &[-1]);
            let square = n.op(Binary::Mul, &[d, d]);
            let v = reduce(n, ReduceKind::Mean, square, &[-1]);
            let root = n.op(Unary::Sqrt, &[v]);
            let root = with(n, Binary::Add, root, 1e-3);
            n.op(Binary::Div, &[d, root])
        },
        // Different axes.
        |n, x| {
            let d = centred(n, x, &[-1]);
            let v = variance(n, d, &[-2, -1], 1e-3);
            let root = n.op(Unary::Sqrt, &[v]);
            n.op(Binary::Div, &[d, root])
        },
        // Not the trailing axes.
        |n, x| {
            let d = centred(n, x, &[1]);
            let v = variance(n, d, &[1], 1e-3);
            let root = n.op(Unary::Sqrt, &[v]);
            n.op(Binary::Div, &[d, root])
        },
        // The sum of squares.
        |n, x| {
            let d = centred(n, x, &[-1]);
            let square = with(n, Binary::Pow, d, 2.0);
            let sum = reduce(n, ReduceKind::Sum, square, &[-1]);
            let v = with(n, Binary::Add, sum, 1e-3);
            let root = n.op(Unary::Sqrt, &[v]);
            n.op(Binary::Div, &[d, root])
        },
        // The variance of something else.
        |n, x| {
            let d = centred(n, x, &[-1]);
            let other = n.op(Unary::Abs, &[x]);
            let e = centred(n, other, &[-1]);
            let v = variance(n, e, &[-1], 1e-3);
            let root = n.op(Unary::Sqrt, &[v]);
            n.op(Binary::Div, &[d, root])
        },
        // The root is read elsewhere.
        |n, x| {
            let d = centred(n, x, &[-1]);
            let v = variance(n, d, &[-1], 1e-3);
            let root = n.op(Unary::Sqrt, &[v]);
            let y = n.op(Binary::Div, &[d, root]);
            n.op(Binary::Add, &[y, root])
        },
    ];
    for form in forms {
        does_not_become(Pattern::LayerNormalization, form);
    }
}

#[test]
fn a_scale_over_other_axes_stays_outside_of_the_norm() {
    let before = graph(|n, x| {
        let d = centred(n, x, &[-1]);
        let v = variance(n, d, &[-1], 1e-3);
        let root = n.op(Unary::Sqrt, &[v]);
        let y = n.op(Binary::Div, &[d, root]);
        let per_row = n.constant(Random::new(2).tensor(&[3, 6]));
        n.op(Binary::Mul, &[y, per_row])
    });
    let mut after = before.clone();
    raise(&mut after).unwrap();
    assert_eq!(operators(&after), ["LayerNormalization", "Mul"]);
    assert_equal(&before, &after, &[("x", Random::new(1).array(&[2, 3, 6]))]);
}

#[test]
fn rms_normalization() {
    let forms: [Build; 3] = [
        |n, x| {
            let v = variance(n, x, &[-1], 1e-5);
            let root = n.op(Unary::Sqrt, &[v]);
            let inverse = n.op(Unary::Reciprocal, &[root]);
            let y = n.op(Binary::Mul, &[x, inverse]);
            let gamma = n.constant(Random::new(2).tensor(&[6]));
            n.op(Binary::Mul, &[gamma, y])
        },
        |n, x| {
            let v = variance(n, x, &[2], 1e-5);
            let root = n.op(Unary::Sqrt, &[v]);
            let y = n.op(Binary::Div, &[x, root]);
            let gamma = n.constant(Random::new(2).tensor(&[6]));
            n.op(Binary::Mul, &[y, gamma])
        },
        |n, x| {
            let v = variance(n, x, &[-1], 1e-5);
            let one = n.number(1.0);
            let root = n.op(Unary::Sqrt, &[v]);
            let inverse = n.op(Binary::Div, &[one, root]);
            n.op(Binary::Mul, &[x, inverse])
        },
    ];
    for form in forms {
        becomes(Pattern::RmsNormalization, "RMSNormalization", form);
    }
    // Half precision, normalised in float32: casts around.
    let mut net = Net::new();
    let x = net.typed_input("x", DType::F16, &["2", "6"]);
    let wide = net.op(Cast { to: DType::F32 }, &[x]);
    let v = variance(&mut net, wide, &[-1], 1e-5);
    let root = net.op(Unary::Sqrt, &[v]);
    let inverse = net.op(Unary::Reciprocal, &[root]);
    let y = net.op(Binary::Mul, &[wide, inverse]);
    let narrow = net.op(Cast { to: DType::F16 }, &[y]);
    let gamma = net.constant(Tensor::from_f64(DType::F16, vec![6], vec![0.5; 6]).unwrap());
    let y = net.op(Binary::Mul, &[gamma, narrow]);
    let mut graph = net.finish(&[y]);
    assert_eq!(raise(&mut graph).unwrap().count(Pattern::RmsNormalization), 1);
    assert_eq!(operators(&graph), ["RMSNormalization"]);
    let (_, node) = graph.nodes().next().unwrap();
    assert!(matches!(node.op, Op::RmsNormalization(_)) && node.input(0) == Some(x));
}

#[test]
fn a_constant_that_adds_axes_is_no_scalar() {
    // `[1, 1, 1, 1]` makes the result rank 4: one Swish node would return rank 3.
    does_not_become(Pattern::Swish, |n, x| {
        let factor = n.constant(Tensor::new(vec![1, 1, 1, 1], vec![1.5f32]).unwrap());
        let scaled = n.op(Binary::Mul, &[x, factor]);
        let s = n.op(Unary::Sigmoid, &[scaled]);
        n.op(Binary::Mul, &[x, s])
    });
}
