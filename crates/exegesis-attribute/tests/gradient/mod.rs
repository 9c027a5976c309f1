//! Cases of the gradient rules: each builds a small graph from a random generator.

pub mod activations;
pub mod arithmetic;
pub mod contractions;
pub mod convolutions;
pub mod movement;
pub mod normalization;
pub mod pools;
pub mod reductions;
pub mod refused;
pub mod resize;

use std::panic::{AssertUnwindSafe, catch_unwind};

use exegesis_graph::ValueId;
use exegesis_graph::op::{Reduce, ReduceKind, Unary, Variadic};

use crate::common::{Batch, Net, assert_close, gradients};

/// A graph to differentiate.
pub struct Case {
    pub name: String,
    /// Adds inputs and nodes; returns the outputs.
    pub build: Box<dyn Fn(&mut Net) -> Vec<ValueId>>,
    /// Random graphs to try.
    pub rounds: u64,
}

/// A case with one output, tried with two seeds.
pub fn case(name: impl Into<String>, build: impl Fn(&mut Net) -> ValueId + 'static) -> Case {
    Case { name: name.into(), build: Box::new(move |net| vec![build(net)]), rounds: 2 }
}

/// A case with several outputs.
pub fn outputs(name: impl Into<String>, build: impl Fn(&mut Net) -> Vec<ValueId> + 'static) -> Case {
    Case { name: name.into(), build: Box::new(build), rounds: 2 }
}

impl Case {
    pub fn rounds(mut self, rounds: u64) -> Self {
        self.rounds = rounds;
        self
    }
}

/// Compares every case with central differences; all failures are reported together.
pub fn check(cases: Vec<Case>) {
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

type Convention = (&'static str, Vec<f64>, fn(&mut Net, ValueId) -> ValueId, Vec<f64>);

/// Points without a derivative: input `[2, n]`, graph, gradient of the sum of the output.
pub fn conventions() -> Vec<Convention> {
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
            "Product with one zero, and with two",
            vec![2.0, 0.0, 3.0, 0.0, 5.0, 0.0],
            |net, x| reduce(ReduceKind::Prod, net, x),
            vec![0.0, 6.0, 0.0, 0.0, 0.0, 0.0],
        ),
    ]
}
