//! Properties 1 and 2: what comes in goes out or is booked.

use exegesis_attribute::Target;
use proptest::prelude::*;

use crate::common::{Random, array};
use crate::networks::{Family, Network};
use crate::traced::{Engine, Mode, cases, trace, trace_seeds};

/// What seeds of two channels have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Seeds {
    Apart,
    Equal,
    OnlyOne,
    Nothing,
}

const SEEDS: [Seeds; 4] = [Seeds::Apart, Seeds::Equal, Seeds::OnlyOne, Seeds::Nothing];

proptest! {
    #![proptest_config(cases(60))]

    /// Property 1. The sum at the inputs and what the ledger says stayed is the seed, for the whole graph and at every
    /// node, in f64 and in f32; without biases nothing but dead units keeps relevance.
    ///
    /// What this would catch: relevance lost at a branch, counted twice where branches meet, or kept without being
    /// booked; a bias that takes a share it has not got.
    #[test]
    fn default_mode_conserves(seed: u64, family in 0..3usize, biased: bool, rows in 1usize..4) {
        let Network { net, .. } = Network::random(Family::ALL[family], seed, biased).with_rows(rows);
        for engine in Engine::ALL {
            let channel = trace(&net, Target::ArgMax, Mode::Default, engine).unwrap().remove(0);
            prop_assert_eq!(channel.seed, rows as f64);
            channel.assert_conserved(&format!("{engine:?}"), Mode::Default.tolerance(engine));
            if !biased {
                for class in ["bias", "constant", "saturation", "initial_state", "compat"] {
                    prop_assert_eq!(channel.total(class), 0.0, "{}", class);
                }
            }
        }
    }

    /// Property 2. Each channel is conserved by itself at every node, whatever the other one has, and biases take nothing.
    /// With small whole numbers everywhere, many units are ties, have a value of exactly 0, terms of one sign or none.
    ///
    /// What this would catch: a case of the rule in which a channel finds no taker, relevance that changes the channel.
    #[test]
    fn contrastive_mode_conserves(seed: u64, family in 0..3usize, biased: bool, whole: bool, seeds in 0..4usize) {
        let mut network = Network::random(Family::ALL[family], seed, biased);
        if whole {
            network = network.with_whole_numbers();
        }
        let Network { net, output, .. } = &network;
        let mut random = Random::new(seed);
        let classes = net.graph.value(*output).shape.as_ref().unwrap()[1].fixed().unwrap();
        let mut given = [0; 2].map(|_| array(&[2, classes], random.values(2 * classes, 0.1, 1.0)));
        match SEEDS[seeds] {
            Seeds::Apart => {}
            Seeds::Equal => given[1] = given[0].clone(),
            Seeds::OnlyOne => given[1].data.fill(0.0),
            Seeds::Nothing => given.iter_mut().for_each(|s| s.data.fill(0.0)),
        }
        for engine in Engine::ALL {
            for (channel, name) in trace_seeds(net, &given, Mode::Contrastive, engine).iter().zip(["positive", "negative"]) {
                channel.assert_conserved(&format!("{engine:?}, {name}"), Mode::Contrastive.tolerance(engine));
                for class in ["bias", "saturation", "initial_state", "compat"] {
                    prop_assert_eq!(channel.total(class), 0.0, "{}", class);
                }
            }
        }
    }
}
