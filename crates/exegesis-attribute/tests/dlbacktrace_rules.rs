//! Every DLBacktrace rule against the plain loops of `oracle/`, and the properties that hold for all of them.
//!
//! For each graph of `operators/`, as it is, with some values 0 and with all values 0: relevance equals the oracle's, is
//! finite and not negative, is linear in the seed, and what each node received is what it sent on plus what the ledger
//! says it absorbed. What this would catch: a share by the wrong magnitude, a bias or constant that is not booked, a
//! division by a dead unit, an operator that is treated although no rule is specified for it.

mod common;
mod operators;
mod oracle;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{Batch, Net, Walk, array, assert_close, rules};
use exegesis_attribute::{DlBacktraceRules, Error, LEDGER_COLUMNS};
use exegesis_graph::op::{self, Binary, Variadic};
use exegesis_graph::{Dim, Role, ValueId};
use exegesis_reference::Array;
use operators::Case;
use proptest::prelude::*;

/// Forms without a relevance rule that have a gradient rule.
const REFUSED: [(&str, &str); 4] = [
    ("Gemm", "several operands vary"),
    ("Einsum", "more than two operands vary, or the equation can't be reversed"),
    ("Mod", "no rule is specified"),
    ("Hardmax", "no rule is specified"),
];

for_each_family!(check);

#[test]
fn additive_scatters() {
    check(operators::selection::additions());
}

/// Which values of the inputs are 0.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Zeros {
    None,
    Some,
    All,
}

fn with_zeros(net: &mut Net, zeros: Zeros) {
    let mut feeds = std::mem::take(&mut net.feeds);
    for (_, feed) in &mut feeds {
        for value in &mut feed.data {
            if zeros == Zeros::All || zeros == Zeros::Some && net.random.below(3) == 0 {
                *value = 0.0;
            }
        }
    }
    net.feeds = feeds;
}

/// Compares every case with the oracle; all failures are reported together.
fn check(cases: Vec<Case>) {
    let mut failures = vec![];
    for case in cases {
        for (batch, zeros) in [
            (Batch::Fixed, Zeros::None),
            (Batch::Symbolic, Zeros::None),
            (Batch::Fixed, Zeros::Some),
            (Batch::Symbolic, Zeros::All),
        ] {
            for seed in 0..case.rounds {
                let compare = || {
                    let mut net = Net::new(seed, batch);
                    let outputs = (case.build)(&mut net);
                    with_zeros(&mut net, zeros);
                    check_net(&net, &outputs)
                };
                let error = match catch_unwind(AssertUnwindSafe(compare)) {
                    Ok(Ok(())) => continue,
                    Ok(Err(message)) => message,
                    Err(panic) => panic.downcast_ref::<String>().cloned().unwrap_or_default(),
                };
                failures.push(format!("{} ({batch:?}, zeros {zeros:?}, seed {seed}): {error}", case.name));
                break;
            }
        }
    }
    assert!(failures.is_empty(), "{} cases fail:\n{}", failures.len(), failures.join("\n"));
}

fn check_net(net: &Net, outputs: &[ValueId]) -> Result<(), String> {
    let walked = match common::walk(net, outputs, &DlBacktraceRules::default(), None) {
        Ok(walked) => walked,
        Err(Error::NoRule { missing, .. })
            if missing.iter().all(|m| REFUSED.iter().any(|(op, _)| *op == m.op)) =>
        {
            return Ok(());
        }
        Err(other) => return Err(other.to_string()),
    };
    check_properties(net, outputs, &walked)?;
    let nodes: Vec<_> = net.graph.nodes().map(|(_, node)| node.clone()).collect();
    let [node] = nodes.as_slice() else { return Ok(()) };
    let Some(expected) = oracle::expected(net, node, outputs, &walked.seeds) else { return Ok(()) };
    for (got, want) in walked.signals.iter().zip(&expected.relevance) {
        // Movement is compared with a numerical derivative.
        assert_close("relevance", &got.data, want, 1e-7, 1e-8);
    }
    if walked.ledger.is_empty() {
        // Rows can't be told apart where a value has no axis of the batch; the indices of these scatters have none.
        let rows = |x: &ValueId| {
            walked.graph.value(*x).shape.as_ref().is_some_and(|s| s.first() == Some(&Dim::from("batch")))
        };
        let told_apart =
            net.explained.iter().chain(outputs).all(rows) && !node.op.name().starts_with("Scatter");
        return if told_apart { Err("the ledger is empty".to_string()) } else { Ok(()) };
    }
    for (column, want) in [("bias", expected.bias), ("dead", expected.dead), ("constant", expected.constant)]
    {
        let got = total(&walked, column);
        if (got - want).abs() > 1e-7 * (1.0 + want.abs()) {
            return Err(format!("{got} is booked as {column}, not {want}"));
        }
    }
    Ok(())
}

/// Sum of a column of the ledger over nodes and rows.
fn total(walked: &Walk, column: &str) -> f64 {
    let at = LEDGER_COLUMNS.iter().position(|c| *c == column).unwrap();
    walked.ledger.iter().map(|(_, columns)| columns[at]).sum()
}

/// Finite, not negative, balanced per node and in all, linear in the seed.
fn check_properties(net: &Net, outputs: &[ValueId], walked: &Walk) -> Result<(), String> {
    let relevance: Vec<f64> = walked.signals.iter().flat_map(|s| s.data.clone()).collect();
    if let Some(bad) = relevance.iter().find(|r| !r.is_finite() || **r < 0.0) {
        return Err(format!("a relevance of {bad}"));
    }
    let seed: f64 = walked.seeds.iter().flat_map(|s| &s.data).sum();
    let last = LEDGER_COLUMNS.len() - 1;
    for (op, columns) in &walked.ledger {
        let bad = !columns[last].is_finite() || columns[last].abs() > 1e-10 * columns[0].max(1e-30);
        if bad || columns.iter().take(last).any(|c| *c < 0.0) {
            return Err(format!("the ledger of {op} is {columns:?}"));
        }
    }
    let absorbed: f64 = walked.ledger.iter().flat_map(|(_, columns)| &columns[2..last]).sum();
    let reached: f64 = relevance.iter().sum();
    if !walked.ledger.is_empty() && (seed - reached - absorbed).abs() > 1e-10 * seed {
        return Err(format!("of {seed}, {reached} reached the inputs and {absorbed} was absorbed"));
    }
    let tripled: Vec<Array> =
        walked.seeds.iter().map(|s| array(&s.shape, s.data.iter().map(|r| 3.0 * r).collect())).collect();
    let again = common::walk(net, outputs, &DlBacktraceRules::default(), Some(&tripled))
        .map_err(|e| e.to_string())?;
    for (got, want) in again.signals.iter().zip(&walked.signals) {
        let want: Vec<f64> = want.data.iter().map(|r| 3.0 * r).collect();
        assert_close("three times the seed", &got.data, &want, 1e-12, 0.0);
    }
    Ok(())
}

/// Operators to the data of which relevance passes whatever their other operands do.
const PASS_THROUGH: [&str; 7] = [
    "BatchNormalization",
    "Clip",
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "LRN",
    "RMSNormalization",
];

/// What has a gradient rule but no relevance rule is refused, not guessed.
#[test]
fn refusals_name_the_operator() {
    let without_relevance = operators::GRADIENT_FAMILIES.iter().flat_map(|(_, cases)| cases());
    for case in operators::refused::cases().into_iter().chain(without_relevance) {
        // Operators beside a product that has a rule, and scatters that have one.
        if case.name.contains(" beside ") || operators::selection::is_addition(&case) {
            continue;
        }
        let mut net = Net::new(1, Batch::Symbolic);
        let outputs = (case.build)(&mut net);
        match common::walk(&net, &outputs, &DlBacktraceRules::default(), None) {
            Ok(_) if PASS_THROUGH.iter().any(|n| case.name.starts_with(n)) => {}
            Ok(_) => panic!("{}: not refused", case.name),
            Err(Error::NoRule { .. }) => {}
            Err(other) => panic!("{}: refused in another way: {other}", case.name),
        }
    }
}

/// Relevance goes to the data of a norm or Clip only: a parameter that depends on the explained input would lose its path.
#[test]
fn parameters_that_vary_are_refused() {
    for varies in [false, true] {
        for kind in ["Clip", "LayerNormalization"] {
            let mut net = Net::new(3, Batch::Fixed);
            let x = net.activation(&[0, 4]);
            let parameter = match (varies, kind) {
                (true, "Clip") => net.activation(&[]),
                (true, _) => net.activation(&[4]),
                (false, "Clip") => net.constant(&[], vec![1.0]),
                (false, _) => net.constant(&[4], vec![1.0; 4]),
            };
            let y = match kind {
                "Clip" => {
                    let low = net.constant(&[], vec![-1.0]);
                    net.op(op::Clip {}, &[x, low, parameter])
                }
                _ => net.op(op::LayerNormalization::default(), &[x, parameter]),
            };
            match common::walk(&net, &[y], &DlBacktraceRules::default(), None) {
                Ok(_) => assert!(!varies, "{kind}: not refused"),
                Err(Error::NoRule { missing, .. }) => {
                    assert!(varies && missing[0].reason.contains("parameter"), "{kind}: {missing:?}");
                }
                Err(other) => panic!("{kind}: {other}"),
            }
        }
    }
}

/// Signs of weights and inputs of a linear layer do not matter (specification 10, property 3).
#[test]
fn linear_layers_ignore_signs() {
    for seed in 0..20 {
        let mut net = Net::new(seed, Batch::Fixed);
        let x = net.activation(&[0, 5]);
        let w = net.random.values(20, -1.0, 1.0);
        let b = net.random.values(4, -1.0, 1.0);
        let mut relevance = vec![];
        for flip in [false, true] {
            let mut net = Net {
                graph: net.graph.clone(),
                feeds: net.feeds.clone(),
                explained: vec![x],
                ..Net::new(seed, Batch::Fixed)
            };
            let mut sign = |v: &f64| if flip && net.random.below(2) == 0 { -v } else { *v };
            let (w, b): (Vec<f64>, Vec<f64>) =
                (w.iter().map(&mut sign).collect(), b.iter().map(&mut sign).collect());
            let data = net.feeds[0].1.data.clone();
            net.feeds[0].1.data =
                data.iter().map(|v| if flip && net.random.below(2) == 0 { -v } else { *v }).collect();
            let (w, b) = (net.constant(&[5, 4], w), net.constant(&[4], b));
            let y = net.op(exegesis_graph::op::Gemm::default(), &[x, w, b]);
            relevance.push(
                common::walk(&net, &[y], &DlBacktraceRules::default(), None).unwrap().signals.remove(0).data,
            );
        }
        assert_close("flipped signs", &relevance[1], &relevance[0], 1e-12, 0.0);
    }
}

/// A value with several consumers gets the sum of what each of them alone would send (property 11).
#[test]
fn consumers_add_up() {
    let build = |net: &mut Net, used: &[usize]| -> Vec<ValueId> {
        let x = net.activation(&[0, 4]);
        let (a, b) = (net.weight(&[4, 3]), net.weight(&[4, 3]));
        let hidden = net.op(exegesis_graph::op::Unary::Tanh, &[x]);
        let outputs = [
            net.op(exegesis_graph::op::MatMul {}, &[hidden, a]),
            net.op(exegesis_graph::op::MatMul {}, &[hidden, b]),
            net.op(Binary::Mul, &[hidden, hidden]),
        ];
        used.iter().map(|i| outputs[*i]).collect()
    };
    let relevance = |used: &[usize], seeds: &[Array]| {
        let mut net = Net::new(5, Batch::Fixed);
        let outputs = build(&mut net, used);
        common::walk(&net, &outputs, &DlBacktraceRules::default(), Some(seeds))
            .unwrap()
            .signals
            .remove(0)
            .data
    };
    let seeds = [[2, 3], [2, 3], [2, 4]].map(|s| array(&s, vec![0.3; s.iter().product()]));
    let together = relevance(&[0, 1, 2], &seeds);
    let mut apart = vec![0.0; together.len()];
    for i in 0..3 {
        for (sum, r) in apart.iter_mut().zip(relevance(&[i], &seeds[i..=i])) {
            *sum += r;
        }
    }
    assert_close("sum of consumers", &together, &apart, 1e-12, 0.0);
}

fn gate(a: &[f64], b: &[f64], r: &[f64]) -> Walk {
    let mut net = Net::new(0, Batch::Fixed);
    let shape = [1, a.len()];
    let (x, y) = (net.input(&shape, a.to_vec()), net.input(&shape, b.to_vec()));
    let product = net.op(Binary::Mul, &[x, y]);
    let id = net.graph.producer(product).unwrap();
    net.graph.node_mut(id).role = Role::RecurrentGate;
    common::walk(&net, &[product], &DlBacktraceRules::default(), Some(&[array(&shape, r.to_vec())])).unwrap()
}

#[test]
fn gates_at_zero_and_one() {
    let walked = gate(&[0.0, 1.0, 0.0, 1.0, 2.0], &[0.0, 1.0, 2.0, 0.0, 2.0], &[1.0; 5]);
    assert_eq!(walked.signals[0].data, [0.5, 0.5, 0.0, 1.0, 0.5]);
    assert_eq!(walked.signals[1].data, [0.5, 0.5, 1.0, 0.0, 0.5]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn gates(values in prop::collection::vec((-2.0f64..2.0, -2.0f64..2.0, 0.0f64..1.0), 1..8)) {
        let (a, rest): (Vec<f64>, Vec<(f64, f64)>) = values.iter().map(|(a, b, r)| (*a, (*b, *r))).unzip();
        let (b, r): (Vec<f64>, Vec<f64>) = rest.into_iter().unzip();
        let walked = gate(&a, &b, &r);
        for i in 0..a.len() {
            let [on_a, on_b] = oracle::units::gate(a[i], b[i], r[i]);
            prop_assert!((walked.signals[0].data[i] - on_a).abs() < 1e-12);
            prop_assert!((walked.signals[1].data[i] - on_b).abs() < 1e-12);
        }
    }

    /// Gates of recurrent cells in contrastive mode: each channel by the magnitude of the other factor, halves at 0, and in the
    /// first version nothing where the product is 0.
    ///
    /// What this would catch: the default mode's gate, a factor that takes by its own magnitude, a loss that is not booked.
    #[test]
    fn contrastive_gates(values in prop::collection::vec((-1i32..3, -1i32..3, 0.0f64..1.0, 0.0f64..1.0), 1..8), first: bool) {
        let column = |f: fn(&(i32, i32, f64, f64)) -> f64| -> Vec<f64> { values.iter().map(f).collect() };
        let mut net = Net::new(0, Batch::Fixed);
        let shape = [1, values.len()];
        let (x, y) = (net.input(&shape, column(|v| f64::from(v.0))), net.input(&shape, column(|v| f64::from(v.1))));
        let product = net.op(Binary::Mul, &[x, y]);
        let id = net.graph.producer(product).unwrap();
        net.graph.node_mut(id).role = Role::RecurrentGate;
        let seeds = [array(&shape, column(|v| v.2)), array(&shape, column(|v| v.3))];
        let rules = rules(&net, if first { "mode=contrastive,compat=v1" } else { "mode=contrastive" });
        let walked = common::walk(&net, &[product], &rules, Some(&seeds)).unwrap();
        for (channel, seed) in seeds.iter().enumerate() {
            for (i, (a, b, ..)) in values.iter().enumerate() {
                let want = oracle::units::contrastive_gate(f64::from(*a), f64::from(*b), seed.data[i], first);
                let got = [0, 1].map(|k| walked.channels[channel][k].data[i]);
                prop_assert!((got[0] - want[0]).abs() + (got[1] - want[1]).abs() < 1e-12, "{:?}, not {:?}", got, want);
            }
            let reached: f64 = walked.channels[channel].iter().flat_map(|a| &a.data).sum();
            let booked: f64 = walked.ledgers[channel].iter().flat_map(|(_, c)| &c[2..LEDGER_COLUMNS.len() - 1]).sum();
            let all: f64 = seed.data.iter().sum();
            prop_assert!((all - reached - booked).abs() < 1e-12 * (1.0 + all), "{} and {} of {}", reached, booked, all);
        }
    }

    /// A mixture of experts written out, for each token and feature: relevance goes to the experts by `|g_e E_e|`, and of each
    /// share a fraction to the gate, summed over features (specification 5.10).
    ///
    /// What this would catch: gate and expert exchanged, a gate that takes a fraction of its own in every feature, shares by
    /// the gate alone.
    #[test]
    fn mixtures_of_experts(seed in 0u64..1 << 32, count in 1usize..4, tokens in 1usize..4, width in 2usize..4, router in 0usize..3) {
        let fraction = [0.0, 0.5, 0.8][router];
        let mut net = Net::new(seed, Batch::Fixed);
        let mut experts = vec![];
        let mut terms = vec![];
        for _ in 0..count {
            let (g, e) = (net.activation_in(&[0, tokens, 1], 0.0, 1.0), net.activation(&[0, tokens, width]));
            let gated = net.op(Binary::Mul, &[e, g]);
            let id = net.graph.producer(gated).unwrap();
            net.graph.node_mut(id).role = Role::ExpertGate;
            terms.push(gated);
            experts.push((net.feeds[net.feeds.len() - 2].1.data.clone(), net.feeds.last().unwrap().1.data.clone()));
        }
        let sum = net.op(Variadic::Sum, &terms);
        let walked = common::walk(&net, &[sum], &rules(&net, &format!("router={fraction}")), None).unwrap();
        let r = &walked.seeds[0].data;
        let mut want: Vec<[Vec<f64>; 2]> =
            experts.iter().map(|(g, e)| [vec![0.0; g.len()], vec![0.0; e.len()]]).collect();
        for (cell, r) in r.iter().enumerate() {
            let gates: Vec<f64> = experts.iter().map(|(g, _)| g[cell / width]).collect();
            let values: Vec<f64> = experts.iter().map(|(_, e)| e[cell]).collect();
            for (want, [gate, value]) in want.iter_mut().zip(oracle::units::experts(&gates, &values, *r, fraction)) {
                want[0][cell / width] += gate;
                want[1][cell] += value;
            }
        }
        for (i, want) in want.iter().enumerate() {
            assert_close("gate", &walked.signals[2 * i].data, &want[0], 1e-12, 1e-15);
            assert_close("expert", &walked.signals[2 * i + 1].data, &want[1], 1e-12, 1e-15);
        }
    }

    /// A perceptron of random sizes: without biases nothing but dead units keeps relevance; with biases the ledger has
    /// the rest, node by node (property 1). Batched rows are what each row gives alone, in any order (property 7).
    #[test]
    fn perceptrons(seed in 0u64..1 << 32, widths in prop::collection::vec(1usize..6, 2..5), biased: bool, rows in 1usize..4) {
        let run = |order: &[usize]| {
            let mut net = Net::new(seed, Batch::Symbolic);
            let all = net.random.values(rows * widths[0], -1.0, 1.0);
            let data: Vec<f64> = order.iter().flat_map(|r| all[r * widths[0]..(r + 1) * widths[0]].to_vec()).collect();
            let mut value = net.input(&[0, widths[0]], vec![0.0; 2 * widths[0]]);
            net.feeds[0].1 = array(&[order.len(), widths[0]], data);
            for pair in widths.windows(2) {
                let w = net.weight(&[pair[1], pair[0]]);
                let mut inputs = vec![Some(value), Some(w)];
                if biased {
                    inputs.push(Some(net.weight(&[pair[1]])));
                }
                let gemm = exegesis_graph::op::Gemm { transB: true, ..Default::default() };
                let sum = net.op_with(gemm, inputs, 1)[0];
                value = net.op(exegesis_graph::op::Unary::Relu, &[sum]);
            }
            let seeds = array(&[order.len(), *widths.last().unwrap()], vec![0.5; order.len() * widths.last().unwrap()]);
            let walked = common::walk(&net, &[value], &DlBacktraceRules::default(), Some(&[seeds])).unwrap();
            (net, value, walked)
        };
        let forward: Vec<usize> = (0..rows).collect();
        let (net, value, walked) = run(&forward);
        prop_assert_eq!(check_properties(&net, &[value], &walked), Ok(()));
        if !biased {
            prop_assert_eq!(total(&walked, "bias"), 0.0);
        }
        let backward: Vec<usize> = (0..rows).rev().collect();
        let reversed = run(&backward).2;
        for row in 0..rows {
            let width = widths[0];
            let own = &walked.signals[0].data[row * width..(row + 1) * width];
            let alone = &run(&[row]).2.signals[0].data;
            let other = rows - 1 - row;
            prop_assert_eq!(own, &alone[..]);
            prop_assert_eq!(own, &reversed.signals[0].data[other * width..(other + 1) * width]);
        }
    }

    /// Attention written out: half to the values, a quarter each to queries and keys; keys that the mask hides get exactly
    /// nothing, and neither do their values; a row that is masked but for one key does not fail (properties 4, 7, 9).
    #[test]
    fn masked_attention(seed in 0u64..1 << 32, tokens in 1usize..5, width in 1usize..4) {
        let mut net = Net::new(seed, Batch::Symbolic);
        let shape = [0, tokens, width];
        let (q, k, v) = (net.activation(&shape), net.activation(&shape), net.activation(&shape));
        let keys = net.op(exegesis_graph::op::Transpose { perm: vec![0, 2, 1] }, &[k]);
        let scores = net.op(exegesis_graph::op::MatMul {}, &[q, keys]);
        let causal = (0..tokens * tokens).map(|i| i % tokens <= i / tokens).collect();
        let condition = net.bools(&[tokens, tokens], causal);
        let lowest = net.constant(&[], vec![f64::NEG_INFINITY]);
        let masked = net.op(exegesis_graph::op::Where {}, &[condition, scores, lowest]);
        let weights = net.op(exegesis_graph::op::Softmax { axis: -1 }, &[masked]);
        let out = net.op(exegesis_graph::op::MatMul {}, &[weights, v]);
        // Only the first position is asked about: all later tokens are hidden from it.
        let mut r = vec![0.0; 2 * tokens * width];
        for row in 0..2 {
            r[row * tokens * width..row * tokens * width + width].fill(0.7);
        }
        let r = array(&[2, tokens, width], r);
        let walked = common::walk(&net, &[out], &DlBacktraceRules::default(), Some(std::slice::from_ref(&r))).unwrap();
        prop_assert_eq!(check_properties(&net, &[out], &walked), Ok(()));
        let seed: f64 = r.data.iter().sum();
        for (signal, fraction) in walked.signals.iter().zip([0.25, 0.25, 0.5]) {
            let sum: f64 = signal.data.iter().sum();
            prop_assert!((sum - fraction * seed).abs() < 1e-10 * seed);
        }
        for (i, relevance) in walked.signals[1].data.iter().zip(&walked.signals[2].data).enumerate() {
            if i / width % tokens > 0 {
                prop_assert_eq!(relevance, (&0.0, &0.0));
            }
        }
    }
}

/// Additions of a mask pass relevance to the scores, whichever operand they are.
#[test]
fn mask_additions_pass() {
    for swapped in [false, true] {
        let mut net = Net::new(3, Batch::Symbolic);
        let scores = net.activation(&[0, 3, 3]);
        let mask = net.constant(&[1, 3], vec![0.0, -1e9, 0.0]);
        let operands = if swapped { [mask, scores] } else { [scores, mask] };
        let sum = net.op(Binary::Add, &operands);
        let id = net.graph.producer(sum).unwrap();
        net.graph.node_mut(id).role = Role::AttentionMask;
        let walked = common::walk(&net, &[sum], &DlBacktraceRules::default(), None).unwrap();
        assert_eq!(walked.signals[0].data, walked.seeds[0].data);
    }
}

/// The worked example of specification 4.2: `c = (3, -2)`, `b = 1`, `r = 6` gives `(3, 2)`, and the bias keeps 1.
#[test]
fn worked_example() {
    let mut net = Net::new(0, Batch::Fixed);
    let x = net.input(&[1, 2], vec![1.0, 1.0]);
    let (w, b) = (net.constant(&[2, 1], vec![3.0, -2.0]), net.constant(&[1], vec![1.0]));
    let y = net.op(exegesis_graph::op::Gemm::default(), &[x, w, b]);
    let walked =
        common::walk(&net, &[y], &DlBacktraceRules::default(), Some(&[array(&[1, 1], vec![6.0])])).unwrap();
    assert_eq!(walked.signals[0].data, [3.0, 2.0]);
    assert_eq!(total(&walked, "bias"), 1.0);
}
