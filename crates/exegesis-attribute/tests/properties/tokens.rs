//! Property 7: what a token can't see gets nothing, and rows of a batch have nothing to do with each other.

use exegesis_attribute::Target;
use exegesis_graph::op;
use exegesis_graph::{Builder, DType, Dim, Tensor};
use exegesis_reference::Array;
use proptest::prelude::*;

use crate::common::{Batch, Net, array, assert_close};
use crate::networks::{Family, Network};
use crate::traced::{Channel, Engine, Mode, cases, trace};

/// The explained input with its rows in another order, or some of them only.
fn rows(feed: &Array, order: &[usize]) -> Array {
    let width = feed.len() / feed.shape[0];
    let data = order.iter().flat_map(|row| feed.data[row * width..(row + 1) * width].to_vec()).collect();
    array(&[&[order.len()], &feed.shape[1..]].concat(), data)
}

/// Relevance on the only input.
fn first(channel: &Channel) -> &Array {
    &channel.inputs[0]
}

proptest! {
    #![proptest_config(cases(30))]

    /// Property 7. Where the head reads one token of a causal model, all later tokens get exactly 0.
    ///
    /// What this would catch: relevance that passes a masked score, softmax cells that keep a rounding of theirs, the
    /// mask's own share.
    #[test]
    fn future_tokens_get_nothing(seed: u64, biased: bool) {
        let Network { net, position, .. } = Network::random(Family::Tokens, seed, biased);
        let Some(position) = position else { return Ok(()) };
        for (mode, engine) in everything() {
            for channel in trace(&net, Target::ArgMax, mode, engine).unwrap() {
                let relevance = first(&channel);
                let (tokens, width) = (relevance.shape[1], relevance.shape[2]);
                for (cell, r) in relevance.data.iter().enumerate() {
                    let hidden = cell / width % tokens > position;
                    prop_assert!(!hidden || *r == 0.0, "{:?}, {:?}: {} behind {}", mode, engine, r, position);
                }
            }
        }
    }

    /// Property 7. Tokens that the mask input of a row hides get exactly 0, whatever the other rows hide.
    ///
    /// What this would catch: a mask that is broadcast over the batch, relevance given to the mask instead of the scores.
    #[test]
    fn hidden_tokens_get_nothing(seed: u64, lengths in prop::collection::vec(1usize..5, 1..4)) {
        let tokens = 4;
        let net = masked_pooling(seed, tokens, &lengths);
        for (mode, engine) in everything() {
            for channel in trace(&net, Target::Class(1), mode, engine).unwrap() {
                channel.assert_conserved("masked", mode.tolerance(engine));
                for (cell, r) in first(&channel).data.iter().enumerate() {
                    let (row, token) = (cell / (tokens * 2), cell / 2 % tokens);
                    prop_assert!(token < lengths[row] || *r == 0.0, "{:?}: token {} of {:?}", mode, token, lengths);
                }
            }
        }
    }

    /// Property 7. Rows in another order give their rows in that order, and each row alone gives what it gives in the
    /// batch.
    ///
    /// What this would catch: a sum, a maximum or a target shared across the batch.
    #[test]
    fn rows_are_independent(seed: u64, family in 0..3usize, biased: bool) {
        let mut network = Network::random(Family::ALL[family], seed, biased).with_rows(3);
        let all = network.net.feeds[0].1.clone();
        for (mode, engine) in everything() {
            let mut relevance = |order: &[usize]| -> Vec<Array> {
                network.net.feeds[0].1 = rows(&all, order);
                let channels = trace(&network.net, Target::ArgMax, mode, engine).unwrap();
                channels.iter().map(|channel| first(channel).clone()).collect()
            };
            // The embedded runtime cuts products at other places for other numbers of rows.
            let tolerance = if engine == Engine::Reference { 0.0 } else { mode.tolerance(engine) };
            let together = relevance(&[0, 1, 2]);
            for order in [&[2, 0, 1][..], &[0], &[1], &[2]] {
                for (got, want) in relevance(order).iter().zip(&together) {
                    assert_close(&format!("{mode:?}, {order:?}"), &got.data, &rows(want, order).data, tolerance, 0.0);
                }
            }
        }
    }
}

/// Both modes on both engines.
fn everything() -> impl Iterator<Item = (Mode, Engine)> {
    Mode::ALL.into_iter().flat_map(|mode| Engine::ALL.map(|engine| (mode, engine)))
}

/// Self-attention over `[batch, tokens, 2]` with a mask input, and scores from the first token. Row `i` shows `lengths[i]`
/// tokens.
fn masked_pooling(seed: u64, tokens: usize, lengths: &[usize]) -> Net {
    let mut net = Net::new(seed, Batch::Symbolic);
    let x = net.activation(&[0, tokens, 2]);
    let mask =
        net.graph.add_input("attention_mask", DType::I64, vec![Dim::from("batch"), Dim::Fixed(tokens)]);
    let weights = [0; 4].map(|_| net.random.values(4, -1.0, 1.0));
    let mut b = Builder::new(&mut net.graph, "net").unwrap();
    let [q, k, v, head] = weights.map(|w| b.constant(Tensor::new([2, 2], w).unwrap()));
    let [q, k, v] = [q, k, v].map(|w| b.matmul(x, w).unwrap());
    let keys = b.transpose_last(k).unwrap();
    let scores = b.matmul(q, keys).unwrap();
    let shown = b.op(op::Cast { to: DType::F64 }, &[mask]).unwrap();
    let hidden = b.add_scalar(shown, -1.0).unwrap();
    let added = b.mul_scalar(hidden, 1e9).unwrap();
    let added = b.unsqueeze(added, &[1]).unwrap();
    let masked = b.add(scores, added).unwrap();
    let attention = b.op(op::Softmax { axis: -1 }, &[masked]).unwrap();
    let mixed = b.matmul(attention, v).unwrap();
    let index = b.constant(Tensor::scalar(0i64));
    let pooled = b.op(op::Gather { axis: 1 }, &[mixed, index]).unwrap();
    let logits = b.matmul(pooled, head).unwrap();
    net.graph.outputs = vec![logits];
    let rows = lengths.len();
    net.feeds[0].1 = array(&[rows, tokens, 2], net.random.values(rows * tokens * 2, -2.0, 2.0));
    let shown = lengths.iter().flat_map(|n| (0..tokens).map(move |t| f64::from(u8::from(t < *n)))).collect();
    net.feeds.push(("attention_mask".to_string(), Array::new(DType::I64, [rows, tokens], shown).unwrap()));
    net
}
