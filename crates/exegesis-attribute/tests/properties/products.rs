//! Property 9: products of two activations.

use exegesis_attribute::RuleSet;
use exegesis_graph::op;
use proptest::prelude::*;

use crate::common::{Batch, Net, array, assert_close, walk};
use crate::traced::{EXACT, Mode, cases};

proptest! {
    #![proptest_config(cases(60))]

    /// Property 9. Each factor gets half of what arrives at live entries; entries to which no product contributes keep all
    /// of theirs as dead.
    ///
    /// What this would catch: a factor that gets all, or a share by the product's value instead of its terms.
    #[test]
    fn factors_get_half(seed: u64, heads in 1usize..4, n in 1usize..4, inner in 1usize..4, m in 1usize..4, blank: bool) {
        let mut net = Net::new(seed, Batch::Symbolic);
        let (a, b) = (net.activation(&[0, heads, n, inner]), net.activation(&[0, heads, inner, m]));
        if blank {
            // The first row of each left matrix.
            for matrix in net.feeds[0].1.data.chunks_exact_mut(n * inner) {
                matrix[..inner].fill(0.0);
            }
        }
        let y = net.op(op::MatMul {}, &[a, b]);
        for mode in Mode::ALL {
            let walked = walk(&net, &[y], &mode.rules(&net.graph), None).unwrap();
            for (channel, signals) in walked.channels.iter().enumerate() {
                let live: f64 = walked.seeds[channel].data.chunks_exact(m).enumerate()
                    .filter(|(row, _)| !blank || row % n > 0)
                    .flat_map(|(_, cells)| cells)
                    .sum();
                for signal in signals {
                    let sum: f64 = signal.data.iter().sum();
                    prop_assert!((sum - live / 2.0).abs() <= EXACT * (1.0 + live), "{:?}: {} of {}", mode, sum, live);
                }
            }
        }
    }

    /// Property 9. Where the rows of the left factor are one-hot, the product is a look-up of rows of the right one, which
    /// get half of the relevance of the rows they became; the other half is at the ones.
    ///
    /// What this would catch: relevance that is spread over rows that were not looked up.
    #[test]
    fn a_one_hot_factor_looks_up(seed: u64, rows in 1usize..5, table in 1usize..5, width in 1usize..4) {
        let mut net = Net::new(seed, Batch::Fixed);
        let chosen: Vec<usize> = (0..2 * rows).map(|_| net.random.below(table)).collect();
        let one_hot: Vec<f64> =
            chosen.iter().flat_map(|c| (0..table).map(move |t| f64::from(u8::from(t == *c)))).collect();
        let a = net.input(&[0, rows, table], one_hot.clone());
        let b = net.activation(&[0, table, width]);
        let y = net.op(op::MatMul {}, &[a, b]);
        let r = net.random.values(2 * rows * width, 0.1, 1.0);
        let seed = array(&[2, rows, width], r.clone());
        let (mut on_a, mut on_b) = (vec![0.0; 2 * rows * table], vec![0.0; 2 * table * width]);
        for (row, chosen) in chosen.iter().enumerate() {
            for column in 0..width {
                let half = r[row * width + column] / 2.0;
                on_a[row * table + chosen] += half;
                on_b[(row / rows * table + chosen) * width + column] += half;
            }
        }
        for mode in Mode::ALL {
            let rules = mode.rules(&net.graph);
            // In contrast a product of one term has one sign, so that both channels go the same way.
            let walked = walk(&net, &[y], &rules, Some(&vec![seed.clone(); rules.channels()])).unwrap();
            for signals in &walked.channels {
                assert_close("on the ones", &signals[0].data, &on_a, EXACT, 0.0);
                assert_close("on the table", &signals[1].data, &on_b, EXACT, 0.0);
            }
        }
    }
}
