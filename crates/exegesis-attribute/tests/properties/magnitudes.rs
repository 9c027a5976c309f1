//! Properties 3 and 4: what default mode owes to working with magnitudes, and inputs at which a share is 0 / 0.

use exegesis_attribute::{DlBacktraceRules, Target};
use exegesis_graph::op::{Binary, Op, ReduceKind, ResizeMode, Variadic};
use exegesis_graph::{DType, Tensor, ValueId};
use exegesis_reference::Array;
use proptest::prelude::*;

use crate::common::{Batch, Net, Random, array, assert_close, walk};
use crate::networks::{Family, Network};
use crate::operators::{Case, contractions, convolutions, pools, reductions, resize};
use crate::traced::{EXACT, Engine, Mode, cases, trace};

/// Relevance on the explained inputs for `seeds` on the outputs.
fn relevance(net: &Net, outputs: &[ValueId], seeds: &[Array]) -> Vec<Vec<f64>> {
    let walked = walk(net, outputs, &DlBacktraceRules::default(), Some(seeds)).unwrap();
    walked.signals.into_iter().map(|signal| signal.data).collect()
}

proptest! {
    #![proptest_config(cases(40))]

    /// Property 3. A sum of seeds gives the sum of what they give alone, and nothing is negative.
    ///
    /// What this would catch: a share that depends on the relevance that it shares, such as a division by the amount that
    /// arrived, and a rule that lets the sign of a value through.
    #[test]
    fn relevance_is_linear_in_the_seed(seed: u64, family in 0..3usize, biased: bool, a in 0.0f64..3.0, b in 0.0f64..3.0) {
        let Network { net, output, .. } = Network::random(Family::ALL[family], seed, biased);
        let shape = walk(&net, &[output], &DlBacktraceRules::default(), None).unwrap().outputs[0].shape.clone();
        let mut random = Random::new(seed);
        let [first, second] = [0; 2].map(|_| random.values(shape.iter().product(), 0.0, 1.0));
        let both = first.iter().zip(&second).map(|(x, y)| a * x + b * y).collect();
        let [first, second, both] = [first, second, both].map(|r| relevance(&net, &[output], &[array(&shape, r)]).remove(0));
        prop_assert!(both.iter().all(|r| *r >= 0.0));
        let sum: Vec<f64> = first.iter().zip(&second).map(|(x, y)| a * x + b * y).collect();
        assert_close("seeds together", &both, &sum, EXACT, 1e-14);
    }

    /// Property 4. Where there is nothing to share, relevance is dead or goes to biases; it is never NaN or infinite, and
    /// still all accounted for: zero inputs, zero weights, and inputs that are zero in part.
    ///
    /// What this would catch: a division that is not guarded, a guard that lets a tiny denominator pass in f32.
    #[test]
    fn zeros_give_numbers(seed: u64, family in 0..3usize, biased: bool, zeros in 0..4usize) {
        let mut network = Network::random(Family::ALL[family], seed, biased);
        if zeros >= 2 {
            network = network.without_weights();
        }
        let feed = &mut network.net.feeds[0].1.data;
        let half = feed.len() / 2;
        match zeros {
            // All zero, with and without weights.
            0 | 2 => feed.fill(0.0),
            // A patch, a token or a feature after the other.
            1 => feed[..half].fill(0.0),
            _ => {}
        }
        for engine in Engine::ALL {
            for mode in Mode::ALL {
                for channel in trace(&network.net, Target::Class(0), mode, engine).unwrap() {
                    channel.assert_conserved(&format!("{mode:?}, {engine:?}"), mode.tolerance(engine));
                }
            }
        }
    }
}

/// Operators whose rule works on the magnitudes of their terms alone.
fn shares_magnitudes(op: &Op) -> bool {
    match op {
        Op::MatMul(_) | Op::Gemm(_) | Op::Linear(_) | Op::Einsum(_) | Op::Conv(_) | Op::ConvTranspose(_) => {
            true
        }
        Op::AveragePool(_) | Op::GlobalAveragePool(_) | Op::CumSum(_) => true,
        Op::Resize(op) => op.mode != ResizeMode::Nearest,
        Op::Reduce(op) => {
            matches!(op.kind, ReduceKind::Sum | ReduceKind::Mean | ReduceKind::L1 | ReduceKind::L2)
        }
        Op::Binary(Binary::Add | Binary::Sub) | Op::Variadic(Variadic::Sum | Variadic::Mean) => true,
        _ => false,
    }
}

/// The values with some signs flipped.
fn flipped(values: &[f64], random: &mut Random) -> Vec<f64> {
    values.iter().map(|v| if random.below(2) == 0 { -v } else { *v }).collect()
}

/// Property 3. For a fixed seed the signs of weights and of inputs do not matter to a linear layer, a pool, a sum or a
/// product of activations.
///
/// What this would catch: a term that is shared with its sign, or a bias added with it.
#[test]
fn signs_do_not_matter() {
    let families: [fn() -> Vec<Case>; 5] =
        [contractions::cases, convolutions::cases, pools::cases, reductions::cases, resize::cases];
    let mut compared = 0;
    for case in families.into_iter().flat_map(|cases| cases()) {
        let mut net = Net::new(7, Batch::Fixed);
        let outputs = (case.build)(&mut net);
        let nodes: Vec<_> = net.graph.nodes().map(|(_, node)| node.clone()).collect();
        let [node] = nodes.as_slice() else { continue };
        let carriers = node.inputs.iter().flatten().filter(|v| net.explained.contains(v)).count();
        let has_rule = match &node.op {
            Op::MatMul(_) => true,
            Op::Gemm(_) | Op::Einsum(_) => carriers == 1,
            other => shares_magnitudes(other),
        };
        if !has_rule {
            continue;
        }
        let Ok(walked) = walk(&net, &outputs, &DlBacktraceRules::default(), None) else { continue };
        let before: Vec<Vec<f64>> = walked.signals.into_iter().map(|signal| signal.data).collect();
        let mut random = Random::new(11);
        for (_, feed) in &mut net.feeds {
            feed.data = flipped(&feed.data, &mut random);
        }
        let constants: Vec<ValueId> = node.inputs.iter().flatten().copied().collect();
        for id in constants {
            let Some(tensor) = net.graph.constant(id).filter(|t| t.dtype() == DType::F64).cloned() else {
                continue;
            };
            let values = flipped(&tensor.to_f64().unwrap(), &mut random);
            net.graph.set_constant(id, Tensor::new(tensor.shape().to_vec(), values).unwrap());
        }
        let after = relevance(&net, &outputs, &walked.seeds);
        for (after, before) in after.iter().zip(&before) {
            assert_close(&case.name, after, before, 1e-12, 0.0);
        }
        compared += 1;
    }
    assert!(compared > 300, "only {compared} graphs were compared");
}

/// Property 4. A pool over equal values shares equally, also where all of them are 0.
///
/// What this would catch: a tie that is broken by position, a window of zeros that is divided by its sum.
#[test]
fn equal_windows_share_equally() {
    use exegesis_graph::op::{AveragePool, MaxPool};
    for value in [0.0, 1.5, -2.0] {
        let pools: [(Op, bool); 2] = [
            (MaxPool { kernel_shape: vec![2, 2], strides: vec![2, 2], ..Default::default() }.into(), true),
            (
                AveragePool { kernel_shape: vec![2, 2], strides: vec![2, 2], ..Default::default() }.into(),
                value != 0.0,
            ),
        ];
        for (pool, alive) in pools {
            let mut net = Net::new(1, Batch::Symbolic);
            let x = net.input(&[0, 1, 4, 4], vec![value; 32]);
            let name = pool.name().to_string();
            let y = net.op(pool, &[x]);
            let got = relevance(&net, &[y], &[array(&[2, 1, 2, 2], vec![0.8; 8])]).remove(0);
            let share = if alive { 0.2 } else { 0.0 };
            assert_close(&name, &got, &[share; 32], 1e-12, 0.0);
        }
    }
}
