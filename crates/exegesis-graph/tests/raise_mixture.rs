//! Mixtures of experts become one sum over experts however they are written, compute the same afterwards, and what is no
//! expert stays outside.

mod raise_support;

use exegesis_graph::op::{
    Binary, Einsum, Expand, MatMul, Op, Reduce, ReduceKind, ScatterElements, ScatterReduction, Shape, Slice,
    Softmax, TopK, Unary, Unsqueeze,
};
use exegesis_graph::passes::raise::{Pattern, raise};
use exegesis_graph::{Graph, ValueId};
use raise_support::{Net, Random, assert_equal, count, operators};

const EXPERTS: usize = 5;
const WIDTH: usize = 4;

/// What a form is built from: `x [batch, 4]` and gates `[batch, 5]`, 0 for experts that are not chosen.
struct Inputs {
    x: ValueId,
    gates: ValueId,
    random: Random,
}

impl Inputs {
    /// A layer of its own weights.
    fn layer(&mut self, net: &mut Net) -> ValueId {
        let weight = net.constant(self.random.tensor(&[WIDTH, WIDTH]));
        let product = net.op(MatMul {}, &[self.x, weight]);
        let bent = net.op(Unary::Tanh, &[product]);
        let weight = net.constant(self.random.tensor(&[WIDTH, WIDTH]));
        net.op(MatMul {}, &[bent, weight])
    }

    /// `g_e E_e(x)`.
    fn expert(&mut self, net: &mut Net, e: i64) -> ValueId {
        let (start, end, axis) = (net.ints(&[e]), net.ints(&[e + 1]), net.ints(&[1]));
        let gate = net.op(Slice {}, &[self.gates, start, end, axis]);
        let expert = self.layer(net);
        net.op(Binary::Mul, &[gate, expert])
    }

    /// `0 + g_0 E_0(x) + g_1 E_1(x) + ...`.
    fn chain(&mut self, net: &mut Net, experts: usize) -> ValueId {
        let (zero, shape) = (net.number(0.0), net.op(Shape { start: 0, end: None }, &[self.x]));
        let mut sum = net.op(Expand {}, &[zero, shape]);
        for e in 0..experts {
            let expert = self.expert(net, e as i64);
            sum = net.op(Binary::Add, &[sum, expert]);
        }
        sum
    }

    /// `[batch, 5, 4]`: all experts, not gated.
    fn stacked(&mut self, net: &mut Net) -> ValueId {
        let weight = net.constant(self.random.tensor(&[EXPERTS, WIDTH, WIDTH]));
        net.op(Einsum { equation: "ti,eio->teo".into() }, &[self.x, weight])
    }
}

type Build = fn(&mut Net, &mut Inputs) -> ValueId;

/// Gates of all experts, of which `chosen` keep theirs.
fn graph(build: Build, chosen: Option<i64>) -> Graph {
    let mut net = Net::new();
    let x = net.input("x", &["batch", "4"]);
    let mut random = Random::new(5);
    let router = net.constant(random.tensor(&[WIDTH, EXPERTS]));
    let logits = net.op(MatMul {}, &[x, router]);
    let mut gates = net.op(Softmax { axis: -1 }, &[logits]);
    if let Some(chosen) = chosen {
        let number = net.ints(&[chosen]);
        let inputs = vec![Some(gates), Some(number)];
        let best = net.graph.add_op_with("topk", TopK { axis: -1, largest: true, sorted: true }, inputs, 2);
        let (zero, shape) = (net.number(0.0), net.op(Shape { start: 0, end: None }, &[gates]));
        let zeros = net.op(Expand {}, &[zero, shape]);
        let scatter = ScatterElements { axis: 1, reduction: ScatterReduction::None };
        gates = net.op(scatter, &[zeros, best[1], best[0]]);
    }
    let y = build(&mut net, &mut Inputs { x, gates, random });
    net.finish(&[y])
}

#[track_caller]
fn raised(build: Build, chosen: Option<i64>, times: usize) -> Graph {
    let before = graph(build, chosen);
    let mut after = before.clone();
    assert_eq!(raise(&mut after).unwrap().count(Pattern::Mixture), times, "{:?}", operators(&after));
    assert_equal(&before, &after, &[("x", Random::new(9).array(&[3, WIDTH]))]);
    after
}

/// Number of operands of the only `Sum`.
fn terms(graph: &Graph) -> usize {
    assert_eq!(count(graph, "Sum"), 1, "{:?}", operators(graph));
    graph.nodes().find(|(_, n)| n.op.name() == "Sum").map_or(0, |(_, n)| n.inputs.len())
}

#[test]
fn additions_become_one_sum() {
    let after = raised(|net, inputs| inputs.chain(net, EXPERTS), Some(3), 1);
    assert_eq!((terms(&after), count(&after, "Add")), (EXPERTS, 0));
}

#[test]
fn a_shared_expert_is_one_more_term() {
    let after = raised(
        |net, inputs| {
            let (experts, shared) = (inputs.chain(net, EXPERTS), inputs.layer(net));
            net.op(Binary::Add, &[experts, shared])
        },
        Some(3),
        1,
    );
    assert_eq!((terms(&after), count(&after, "Add")), (EXPERTS + 1, 0));
}

/// A shared expert behind a gate of its own.
#[test]
fn a_gated_shared_expert_is_one_more_term() {
    let after = raised(
        |net, inputs| {
            let experts = inputs.chain(net, EXPERTS);
            let weight = net.constant(inputs.random.tensor(&[WIDTH, 1]));
            let logit = net.op(MatMul {}, &[inputs.x, weight]);
            let gate = net.op(Unary::Sigmoid, &[logit]);
            let shared = inputs.layer(net);
            let shared = net.op(Binary::Mul, &[gate, shared]);
            net.op(Binary::Add, &[experts, shared])
        },
        Some(3),
        1,
    );
    assert_eq!(terms(&after), EXPERTS + 1);
}

/// The residual path meets the sum in an addition of its own.
#[test]
fn the_residual_stays_outside() {
    for build in [
        (|net, inputs| {
            let experts = inputs.chain(net, EXPERTS);
            net.op(Binary::Add, &[inputs.x, experts])
        }) as Build,
        |net, inputs| {
            // The residual is the result of a layer that the experts read too.
            inputs.x = inputs.layer(net);
            let experts = inputs.chain(net, EXPERTS);
            net.op(Binary::Add, &[experts, inputs.x])
        },
    ] {
        let after = raised(build, Some(3), 1);
        assert_eq!((terms(&after), count(&after, "Add")), (EXPERTS, 1));
    }
}

#[test]
fn stacked_experts_take_the_shared_one_in() {
    for build in [
        (|net, inputs| {
            let experts = inputs.stacked(net);
            let sum = net.op(Einsum { equation: "te,teo->to".into() }, &[inputs.gates, experts]);
            let shared = inputs.layer(net);
            net.op(Binary::Add, &[sum, shared])
        }) as Build,
        |net, inputs| {
            let (experts, last, axis) = (inputs.stacked(net), net.ints(&[-1]), net.ints(&[-2]));
            let gates = net.op(Unsqueeze {}, &[inputs.gates, last]);
            let gated = net.op(Binary::Mul, &[experts, gates]);
            let sum = Reduce { kind: ReduceKind::Sum, keepdims: false, noop_with_empty_axes: false };
            let (sum, shared) = (net.op(sum, &[gated, axis]), inputs.layer(net));
            net.op(Binary::Add, &[shared, sum])
        },
    ] {
        let after = raised(build, Some(2), 1);
        let sum = after.producer_node(after.outputs[0]).unwrap();
        assert_eq!((sum.op.name(), count(&after, "Add")), ("ReduceSum", 0));
        let joined = after.producer_node(sum.input(0).unwrap()).unwrap();
        assert!(matches!(joined.op, Op::Concat(_)), "{:?}", operators(&after));
    }
}

/// Sums that only look like it: gates that nothing chose, two terms, a value inside that is read elsewhere, equations
/// that sum something else.
#[test]
fn other_sums_stay() {
    raised(|net, inputs| inputs.chain(net, EXPERTS), None, 0);
    raised(|net, inputs| inputs.chain(net, 2), Some(3), 0);
    raised(
        |net, inputs| {
            let sum = inputs.chain(net, 3);
            let before = net.graph.producer_node(sum).unwrap().input(0).unwrap();
            net.op(Binary::Mul, &[sum, before])
        },
        Some(3),
        0,
    );
    raised(
        |net, inputs| {
            let experts = inputs.stacked(net);
            let sum = net.op(Einsum { equation: "te,tfo->to".into() }, &[inputs.gates, experts]);
            let shared = inputs.layer(net);
            net.op(Binary::Add, &[sum, shared])
        },
        Some(3),
        0,
    );
}
