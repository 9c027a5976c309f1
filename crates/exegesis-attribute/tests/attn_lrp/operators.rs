//! Single operators under the rules of AttnLRP and CP-LRP, in f64: what came in is what went out and what was booked, at zeros too.

use exegesis_attribute::{AttnLrp, TransformerRules};
use exegesis_graph::op::{self, Binary, GeluForm, ReduceKind, Unary, Variadic};
use exegesis_graph::{Op, ValueId};

use crate::common::{Batch, Net, Walk, array, assert_close, walk};

fn rules() -> TransformerRules {
    TransformerRules::from(&AttnLrp::default())
}

/// Relevance of each explained input, its signal times its value.
fn relevance(net: &Net, walked: &Walk) -> Vec<Vec<f64>> {
    let pairs = net.feeds.iter().zip(&walked.signals);
    pairs.map(|((_, x), g)| x.data.iter().zip(&g.data).map(|(x, g)| x * g).collect()).collect()
}

fn column(walked: &Walk, name: &str) -> f64 {
    let at = exegesis_attribute::LEDGER_COLUMNS.iter().position(|c| *c == name).unwrap();
    walked.ledger.iter().map(|(_, columns)| columns[at]).sum()
}

/// Walks from `y` and checks the ledger.
fn checked(what: &str, net: &Net, y: ValueId) -> Walk {
    let walked = walk(net, &[y], &rules(), None).unwrap_or_else(|e| panic!("{what}: {e}"));
    for signals in &walked.signals {
        assert!(signals.data.iter().all(|g| g.is_finite()), "{what}: {:?}", signals.data);
    }
    let residual = column(&walked, "residual");
    assert!(residual.abs() < 1e-6, "{what}: residual {residual:e}");
    walked
}

/// Zeros, denormal, small, ordinary and large numbers of both signs.
const POINTS: [f64; 12] = [0.0, -0.0, 1e-40, -1e-12, 1e-7, -1e-4, 0.3, -0.7, 1.0, -2.5, 9.0, -30.0];

/// Activations pass relevance. Catches a quotient with a wrong limit at 0 and a form without a division that is not the
/// activation's.
#[test]
fn activations_pass_relevance() {
    let smooth: [(Op, f64); 16] = [
        (op::Gelu::default().into(), 0.5),
        (op::Gelu { approximate: GeluForm::Tanh }.into(), 0.5),
        (op::Swish { alpha: 1.0 }.into(), 0.5),
        (op::Swish { alpha: 1.702 }.into(), 0.5),
        (Unary::HardSwish.into(), 0.5),
        (Unary::Mish.into(), 0.6),
        (Unary::Softsign.into(), 1.0),
        (Unary::Tanh.into(), 1.0),
        (Unary::Erf.into(), std::f64::consts::FRAC_2_SQRT_PI),
        (Unary::Sin.into(), 1.0),
        (Unary::Atan.into(), 1.0),
        (Unary::Asinh.into(), 1.0),
        (op::Elu { alpha: 0.8 }.into(), 0.8),
        (op::Selu::default().into(), 1.050_701),
        (Unary::Relu.into(), 0.0),
        (op::LeakyRelu { alpha: 0.1 }.into(), 0.1),
    ];
    for (op, slope) in smooth {
        let what = format!("{op:?}");
        let mut net = Net::new(1, Batch::Fixed);
        let x = net.input(&[1, 12], POINTS.to_vec());
        let y = net.op(op.clone(), &[x]);
        let seed = [array(&[1, 12], vec![1.0; 12])];
        let walked = walk(&net, &[y], &rules(), Some(&seed)).unwrap();
        assert_close(&what, &relevance(&net, &walked)[0], &walked.outputs[0].data, 1e-7, 1e-9);
        assert!(walked.signals[0].data.iter().all(|g| g.is_finite()), "{what}");
        assert_close(&what, &walked.signals[0].data[..1], &[slope], 1e-5, 0.0);
    }
}

/// Where an activation is not 0 at 0, nothing can be passed there: what is not is booked.
#[test]
fn activations_with_an_offset_pass_what_they_can() {
    let offset: [Op; 6] = [
        Unary::Sigmoid.into(),
        Unary::Softplus.into(),
        Unary::Exp.into(),
        Unary::Cos.into(),
        op::HardSigmoid::default().into(),
        op::OneMinusSigmoid {}.into(),
    ];
    for op in offset {
        let what = format!("{op:?}");
        let mut net = Net::new(1, Batch::Fixed);
        let x = net.input(&[1, 12], POINTS.to_vec());
        let y = net.op(op, &[x]);
        let walked = checked(&what, &net, y);
        let want: Vec<f64> =
            walked.seeds[0].data.iter().zip(&walked.outputs[0].data).map(|(g, y)| g * y).collect();
        assert_close(&what, &relevance(&net, &walked)[0][5..], &want[5..], 1e-3, 0.0);
        assert!(column(&walked, "stabiliser").abs() > 0.1, "{what}");
    }
}

/// Norms are linear once their deviation is a constant, and their bias keeps its share.
#[test]
fn norms_conserve_up_to_their_bias() {
    type Case = (&'static str, fn(&mut Net, ValueId) -> ValueId, bool);
    let cases: [Case; 8] = [
        (
            "layer norm",
            |n, x| {
                let w = [n.weight(&[5]), n.weight(&[5])];
                n.op(op::LayerNormalization::default(), &[x, w[0], w[1]])
            },
            true,
        ),
        (
            "RMS norm",
            |n, x| {
                let w = n.weight(&[5]);
                n.op(op::RmsNormalization::default(), &[x, w])
            },
            false,
        ),
        (
            "instance norm",
            |n, x| {
                let w = [n.weight(&[4]), n.weight(&[4])];
                n.op(op::InstanceNormalization::default(), &[x, w[0], w[1]])
            },
            true,
        ),
        (
            "group norm",
            |n, x| {
                let w = [n.weight(&[4]), n.weight(&[4])];
                n.op(op::GroupNormalization { num_groups: 2, epsilon: 1e-5 }, &[x, w[0], w[1]])
            },
            true,
        ),
        ("Lp norm", |n, x| n.op(op::LpNormalization { axis: 1, p: 2 }, &[x]), false),
        ("mean and variance", |n, x| n.op(op::MeanVarianceNormalization { axes: vec![2] }, &[x]), false),
        ("local response", |n, x| n.op(op::Lrn { size: 3, ..op::Lrn::default() }, &[x]), false),
        (
            "batch norm",
            |n, x| {
                let w = [n.weight(&[4]), n.weight(&[4]), n.weight(&[4])];
                let variance = n.constant(&[4], vec![0.5, 1.0, 2.0, 0.1]);
                n.op(op::BatchNormalization::default(), &[x, w[0], w[1], w[2], variance])
            },
            true,
        ),
    ];
    for (what, build, has_bias) in cases {
        let mut net = Net::new(3, Batch::Fixed);
        let x = net.activation(&[0, 4, 5]);
        let y = build(&mut net, x);
        let walked = checked(what, &net, y);
        assert_eq!(column(&walked, "bias").abs() > 1e-3, has_bias, "{what}");
        for other in ["taylor", "constant", "stabiliser"] {
            assert!(column(&walked, other).abs() < 1e-12, "{what}: {other}");
        }
    }
}

/// Both factors of a product get half, and constants that are joined, added or chosen keep what they stand for.
#[test]
fn products_halve_and_constants_keep_their_part() {
    for (what, op, shapes) in [
        ("matrix product", Op::from(op::MatMul {}), [[0, 3, 4], [0, 4, 2]]),
        ("product", Binary::Mul.into(), [[0, 3, 4], [0, 3, 4]]),
        ("broadcast product", Binary::Mul.into(), [[0, 3, 4], [0, 3, 1]]),
    ] {
        let mut net = Net::new(5, Batch::Fixed);
        let (a, b) = (net.activation(&shapes[0]), net.activation(&shapes[1]));
        let y = net.op(op, &[a, b]);
        let walked = checked(what, &net, y);
        let relevance = relevance(&net, &walked);
        let sums: Vec<f64> = relevance.iter().map(|r| r.iter().sum()).collect();
        assert_close(what, &sums[..1], &sums[1..], 1e-12, 0.0);
    }
    type Join = fn(&mut Net, ValueId, ValueId) -> ValueId;
    let joins: [(&str, Join); 5] = [
        ("sum", |n, x, c| n.op(Binary::Add, &[x, c])),
        ("difference", |n, x, c| n.op(Binary::Sub, &[c, x])),
        ("concatenation", |n, x, c| n.op(op::Concat { axis: 1 }, &[x, c])),
        ("maximum", |n, x, c| n.op(Variadic::Max, &[x, c])),
        ("choice", |n, x, c| {
            let chosen = n.bools(&[1, 4], vec![true, false, true, false]);
            n.op(op::Where {}, &[chosen, x, c])
        }),
    ];
    for (what, join) in joins {
        let mut net = Net::new(6, Batch::Fixed);
        let x = net.activation(&[0, 4]);
        let c = net.weight(&[2, 4]);
        let y = join(&mut net, x, c);
        let walked = checked(what, &net, y);
        assert!(column(&walked, "constant").abs() > 1e-3, "{what}");
    }
}

/// Reductions, softmax and the other expansions to first order balance.
#[test]
fn expansions_are_booked() {
    let reduce = |kind| Op::from(op::Reduce { kind, keepdims: true, noop_with_empty_axes: false });
    for (op, expands) in [
        (Op::from(op::Softmax { axis: -1 }), true),
        (op::LogSoftmax { axis: -1 }.into(), true),
        (reduce(ReduceKind::L2), false),
        (reduce(ReduceKind::L1), false),
        (reduce(ReduceKind::SumSquare), true),
        (reduce(ReduceKind::LogSumExp), true),
    ] {
        let what = format!("{op:?}");
        let mut net = Net::new(8, Batch::Fixed);
        let x = net.activation(&[0, 5]);
        let mut operands = vec![x];
        if matches!(op, Op::Reduce(_)) {
            operands.push(net.ints(&[1]));
        }
        let y = net.op(op, &operands);
        let walked = checked(&what, &net, y);
        assert_eq!(column(&walked, "taylor").abs() > 1e-6, expands, "{what}");
    }
}
