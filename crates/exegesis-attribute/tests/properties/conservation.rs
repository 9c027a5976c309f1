//! Properties 1 and 2: what comes in goes out or is booked.

use exegesis_attribute::Target;
use proptest::prelude::*;

use crate::networks::{Family, Network};
use crate::traced::{Engine, cases, default_mode};

proptest! {
    #![proptest_config(cases(40))]

    /// Property 1. The sum at the inputs and what the ledger says stayed is the seed, for the whole graph and at every
    /// node, in f64 and in f32; without biases nothing but dead units keeps relevance.
    ///
    /// What this would catch: relevance lost at a branch, counted twice where branches meet, or kept without being
    /// booked; a bias that takes a share it has not got.
    #[test]
    fn default_mode_conserves(seed: u64, family in 0..3usize, biased: bool, rows in 1usize..4) {
        let Network { net, .. } = Network::random(Family::ALL[family], seed, biased).with_rows(rows);
        for engine in Engine::ALL {
            let channel = default_mode(&net, Target::ArgMax, engine);
            prop_assert_eq!(channel.seed, rows as f64);
            channel.assert_conserved(&format!("{engine:?}"), engine.tolerance());
            if !biased {
                for class in ["bias", "constant", "saturation", "initial_state"] {
                    prop_assert_eq!(channel.total(class), 0.0, "{}", class);
                }
            }
        }
    }
}
