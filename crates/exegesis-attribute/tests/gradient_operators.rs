//! Every gradient rule against central differences of the operator in f64, with fixed and with symbolic axes.
//!
//! The operators and what is varied are listed in `operators/mod.rs`; `coverage` fails for an operator of the vocabulary
//! that is in no family and not in [`ELSEWHERE`]. What these tests would catch: a wrong formula, a signal of the wrong
//! shape or at the wrong operand, a shape that is declared wrongly, a rule that only works when every axis is known.

mod common;
mod operators;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{Batch, Net, assert_close, gradients};
use exegesis_attribute::{Error, Gradient};
use exegesis_graph::op::{Reduce, ReduceKind, Unary, Variadic};
use exegesis_graph::{Op, ValueId};
use operators::Case;

/// Operators that no family has, and where their gradient is tested instead.
const ELSEWHERE: [(&str, &str); 5] = [
    ("integers, which carry nothing; no float form", "BitwiseAnd BitwiseOr BitwiseXor BitwiseNot BitShift"),
    ("gives indices that runtimes compute from boxes; carries nothing", "NonMaxSuppression"),
    ("tests/recurrent_gradients.rs: written in steps or as a loop before the walk", "LSTM GRU RNN Loop Scan"),
    ("tests/recurrent_gradients.rs: a constant condition is resolved before the walk", "If"),
    ("tests/expanded_gradients.rs: expanded before the walk", "Attention RotaryEmbedding"),
];

for_each_family!(check);
for_each_family! { check; GRADIENT_FAMILIES:
    dynamic_convolutions 0 norm_pools 1 other_normalization 2 sampling 3 selection 4 regions 5
}

/// Compares every case with central differences; all failures are reported together.
fn check(cases: Vec<Case>) {
    let mut failures = vec![];
    for case in cases {
        for batch in [Batch::Fixed, Batch::Symbolic] {
            for seed in 0..case.rounds {
                let compare = || {
                    let mut net = Net::new(seed, batch);
                    let outputs = (case.build)(&mut net);
                    let found = gradients(&net, &outputs).map_err(|e| e.to_string())?;
                    for (got, want) in found.analytic.iter().zip(&found.numeric) {
                        if got.shape != want.shape {
                            return Err(format!("shape {:?}, not {:?}", got.shape, want.shape));
                        }
                        assert_close("gradient", &got.data, &want.data, 1e-5, 1e-7);
                    }
                    Ok(())
                };
                let error = match catch_unwind(AssertUnwindSafe(compare)) {
                    Ok(Ok(())) => continue,
                    Ok(Err(message)) => message,
                    Err(panic) => panic.downcast_ref::<String>().cloned().unwrap_or_default(),
                };
                failures.push(format!("{} ({batch:?}, seed {seed}): {error}", case.name));
                break;
            }
        }
    }
    assert!(failures.is_empty(), "{} cases fail:\n{}", failures.len(), failures.join("\n"));
}

/// Every operator of the vocabulary is compared with central differences, here or where [`ELSEWHERE`] says.
#[test]
fn coverage() {
    let mut tested = BTreeSet::new();
    for (_, cases) in operators::FAMILIES.iter().chain(&operators::GRADIENT_FAMILIES) {
        for case in cases() {
            let mut net = Net::new(0, Batch::Fixed);
            (case.build)(&mut net);
            tested.extend(net.graph.nodes().map(|(_, node)| node.op.name().to_string()));
        }
    }
    let elsewhere: BTreeSet<&str> =
        ELSEWHERE.iter().flat_map(|(_, names)| names.split_whitespace()).collect();
    let vocabulary: BTreeSet<&str> = Op::vocabulary().into_iter().collect();
    let missing: Vec<&&str> =
        vocabulary.iter().filter(|name| !tested.contains(**name) && !elsewhere.contains(*name)).collect();
    assert!(missing.is_empty(), "neither tested nor listed: {missing:?}");
    let stale: Vec<&&str> =
        elsewhere.iter().filter(|n| tested.contains(**n) || !vocabulary.contains(*n)).collect();
    assert!(stale.is_empty(), "listed as tested elsewhere without need: {stale:?}");
}

/// Forms that are refused must be refused by name: a signal that silently stops would be a wrong gradient.
#[test]
fn refusals_name_the_operator() {
    for case in operators::refused::cases() {
        for batch in [Batch::Fixed, Batch::Symbolic] {
            let mut net = Net::new(1, batch);
            let outputs = (case.build)(&mut net);
            match common::walk(&net, &outputs, &Gradient, None) {
                Err(Error::NoRule { missing, .. }) => {
                    assert!(missing.iter().all(|m| !m.reason.is_empty()), "{}: {missing:?}", case.name);
                }
                Err(other) => panic!("{}: refused in another way: {other}", case.name),
                Ok(_) => panic!("{}: not refused", case.name),
            }
        }
    }
}

/// Windows of a ceil-mode pool can't be counted before the run: an error, not a broadcast to their number.
#[test]
fn maxima_in_ceil_mode_need_sizes() {
    let mut net = Net::new(0, Batch::Symbolic);
    let data = net.random.distinct(common::BATCH * 4);
    let x = net.input_with(&[0, 1, 4], &[(2, "width")], data);
    let op = exegesis_graph::op::MaxPool {
        kernel_shape: vec![3],
        ceil_mode: true,
        strides: vec![2],
        ..Default::default()
    };
    let y = net.op(op, &[x]);
    let error = common::walk(&net, &[y], &Gradient, None).err().map(|e| e.to_string());
    assert!(error.as_ref().is_some_and(|e| e.contains("fix the input's dimensions")), "{error:?}");
}

/// Conventions where no derivative exists: `Relu'(0) = 0`; all tied extremes share equally.
#[test]
fn kinks_and_ties() {
    for (name, data, build, want) in conventions() {
        for batch in [Batch::Fixed, Batch::Symbolic] {
            let mut net = Net::new(0, batch);
            let x = net.input(&[0, data.len() / common::BATCH], data.clone());
            let y = build(&mut net, x);
            let shape = common::walk(&net, &[y], &Gradient, None).unwrap().outputs[0].shape.clone();
            let ones = common::array(&shape, vec![1.0; shape.iter().product()]);
            let walked = common::walk(&net, &[y], &Gradient, Some(&[ones])).unwrap();
            common::assert_close(name, &walked.signals[0].data, &want, 1e-12, 1e-12);
        }
    }
}

type Convention = (&'static str, Vec<f64>, fn(&mut Net, ValueId) -> ValueId, Vec<f64>);

/// Points without a derivative: input `[2, n]`, graph, gradient of the sum of the output.
fn conventions() -> Vec<Convention> {
    fn reduce(kind: ReduceKind, net: &mut Net, x: ValueId) -> ValueId {
        let axes = net.ints(&[1]);
        net.op(Reduce { kind, keepdims: false, noop_with_empty_axes: false }, &[x, axes])
    }
    fn pooled(net: &mut Net, x: ValueId) -> ValueId {
        let axes = net.ints(&[1]);
        let x = net.op(exegesis_graph::op::Unsqueeze {}, &[x, axes]);
        net.op(
            exegesis_graph::op::MaxPool { kernel_shape: vec![3], strides: vec![1], ..Default::default() },
            &[x],
        )
    }
    vec![
        (
            "Relu at 0",
            vec![0.0, 1.0, -1.0, 0.0],
            |net, x| net.op(Unary::Relu, &[x]),
            vec![0.0, 1.0, 0.0, 0.0],
        ),
        ("Abs at 0", vec![0.0, 1.0, -1.0, 0.0], |net, x| net.op(Unary::Abs, &[x]), vec![0.0, 1.0, -1.0, 0.0]),
        (
            "ReduceMax with three winners",
            vec![5.0, 5.0, 1.0, 5.0, 0.0, 2.0, 2.0, 1.0],
            |net, x| reduce(ReduceKind::Max, net, x),
            vec![1.0 / 3.0, 1.0 / 3.0, 0.0, 1.0 / 3.0, 0.0, 0.5, 0.5, 0.0],
        ),
        (
            "ReduceMin, all tied",
            vec![2.0, 2.0, 2.0, -1.0, 0.0, -1.0],
            |net, x| reduce(ReduceKind::Min, net, x),
            vec![1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 0.5, 0.0, 0.5],
        ),
        (
            "MaxPool over a plateau",
            vec![1.0, 1.0, 1.0, 1.0, 0.0, 3.0, 0.0, 3.0],
            pooled,
            vec![1.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, 1.0 / 3.0, 0.0, 1.5, 0.0, 0.5],
        ),
        (
            "Max against a tied constant",
            vec![1.0, 0.0, 2.0, 1.0],
            |net, x| {
                let one = net.constant(&[1], vec![1.0]);
                net.op(Variadic::Max, &[x, one])
            },
            vec![0.5, 0.0, 1.0, 0.5],
        ),
        (
            "Norm of a zero row",
            vec![0.0, 0.0, 3.0, 4.0],
            |net, x| reduce(ReduceKind::L2, net, x),
            vec![0.0, 0.0, 0.6, 0.8],
        ),
        (
            "Lp pool of zeros",
            vec![0.0, 0.0, 3.0, 4.0],
            |net, x| {
                let axes = net.ints(&[1]);
                let x = net.op(exegesis_graph::op::Unsqueeze {}, &[x, axes]);
                net.op(exegesis_graph::op::LpPool { kernel_shape: vec![2], ..Default::default() }, &[x])
            },
            vec![0.0, 0.0, 0.6, 0.8],
        ),
        (
            "Normalisation of a zero row",
            vec![0.0, 0.0, 3.0, 4.0],
            |net, x| {
                let y = net.op(exegesis_graph::op::LpNormalization { axis: 1, p: 2 }, &[x]);
                let weight = net.constant(&[2], vec![1.0, 0.0]);
                net.op(exegesis_graph::op::Binary::Mul, &[y, weight])
            },
            vec![0.0, 0.0, 0.128, -0.096],
        ),
        (
            "Equal values that are one distinct value",
            vec![5.0, 1.0, 5.0, 5.0, 2.0, 2.0],
            |net, x| net.op(exegesis_graph::op::Unique { axis: None, sorted: true }, &[x]),
            vec![1.0 / 3.0, 1.0, 1.0 / 3.0, 1.0 / 3.0, 0.5, 0.5],
        ),
        (
            "Clip at its bounds",
            vec![-1.0, 0.5, 2.0, 3.0],
            |net, x| {
                let bounds = [-1.0, 2.0].map(|b| net.constant(&[], vec![b]));
                net.op(exegesis_graph::op::Clip {}, &[x, bounds[0], bounds[1]])
            },
            vec![0.0, 1.0, 0.0, 0.0],
        ),
        (
            "Product with one zero, and with two",
            vec![2.0, 0.0, 3.0, 0.0, 5.0, 0.0],
            |net, x| reduce(ReduceKind::Prod, net, x),
            vec![0.0, 6.0, 0.0, 0.0, 0.0, 0.0],
        ),
    ]
}
