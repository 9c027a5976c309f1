//! Methods that read attention weights: against recorded weights, gradients and rollouts of `transformers`, and against
//! plain loops over the kept weights on every recorded network with attention.
//!
//! What this would catch: layers in another order or missed in one of the exports, the row of another position, heads taken
//! for rows of the batch, tokens of padding that receive something, class tokens that stay in a picture.

mod common;

use common::explained::{Outcome, explained, inputs, recorded};
use common::networks::{Axes, Recorded, explained as chosen, prepared};
use common::{assert_close, largest};
use exegesis_attribute::{Method, NodeSelection, Request, Target, Task};
use exegesis_reference::Array;

fn request(method: &str) -> Request {
    Request {
        target: Target::Input,
        nodes: NodeSelection::All,
        ..Request::new(Method::parse(method).unwrap())
    }
}

#[test]
fn weights_and_rollouts_are_the_recorded_ones() {
    for network in ["bert", "gpt2", "vit"] {
        let (graph, arrays) = recorded(&format!("peers/attention/{network}"));
        let mut feeds = inputs(&arrays);
        feeds.push(("target".to_string(), arrays["target"].clone()));
        for (method, key) in [
            ("attention", "attention"),
            ("attention:layer=0,head=1", "attention-head-1"),
            ("attention-rollout", "attention-rollout"),
            ("grad-rollout", "grad-rollout"),
        ] {
            let what = format!("{network}, {method}");
            let got = explained(&graph, &request(method), &feeds).unwrap_or_else(|e| panic!("{what}: {e}"));
            let kept = matrices(&got);
            assert_eq!(kept.len(), 2, "{what}");
            for weights in &kept {
                let is_that = |key: &str| {
                    let want = &arrays[key];
                    want.shape == weights.shape
                        && want.data.iter().zip(&weights.data).all(|(a, b)| (a - b).abs() < 1e-5)
                };
                assert!(is_that("weights/0") != is_that("weights/1"), "{what}: the weights of one layer");
            }
            let want = &arrays[key];
            match network {
                "vit" => assert_picture(&what, got.attribution(), want),
                _ => assert_close(&what, &got.attribution().data, &want.data, 1e-4, 1e-7),
            }
        }
    }
}

/// The kept weights, `[rows, heads, queries, keys]`; embeddings are kept too.
fn matrices(outcome: &Outcome) -> Vec<&Array> {
    outcome.kept().into_iter().map(|(_, a)| a).filter(|a| a.shape.len() == 4).collect()
}

/// A row of a class token and 3 x 5 patches against a picture of 12 x 20: between the centres of four patches lies their
/// mean, and the corner is that of the first patch.
#[track_caller]
fn assert_picture(what: &str, got: &Array, want: &Array) {
    assert_eq!(got.shape, [2, 3, 12, 20]);
    for row in 0..2 {
        let patch = |y: usize, x: usize| want.data[row * 16 + 1 + y * 5 + x];
        let pixel = |y: usize, x: usize| got.data[((row * 3) * 12 + y) * 20 + x];
        assert_close(what, &[pixel(0, 0), pixel(11, 19)], &[patch(0, 0), patch(2, 4)], 1e-4, 1e-7);
        for (y, x) in [(0, 0), (1, 3)] {
            let around = [pixel(4 * y + 3, 4 * x + 3), pixel(4 * y + 4, 4 * x + 4)];
            let four = [patch(y, x), patch(y, x + 1), patch(y + 1, x), patch(y + 1, x + 1)];
            let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
            // Bilinear along the diagonal: 5/8 and 3/8 of each step, symmetric about the mean.
            let bilinear = |u: f64| {
                let [a, b, c, d] = four;
                (a * (1.0 - u) + b * u) * (1.0 - u) + (c * (1.0 - u) + d * u) * u
            };
            assert_close(what, &around, &[bilinear(3.0 / 8.0), bilinear(5.0 / 8.0)], 1e-4, 1e-7);
            assert!(mean(&four).is_finite());
        }
    }
}

const NETWORKS: &[(&str, &[&str])] = &[
    ("torch/bert", &["legacy", "dynamo", "legacy-opset14"]),
    ("torch/hf_bert", &["legacy", "dynamo"]),
    ("torch/hf_distilbert", &["legacy", "dynamo"]),
    ("torch/hf_albert", &["legacy", "dynamo"]),
    ("torch/hf_roberta", &["legacy", "dynamo"]),
    ("torch/hf_electra", &["legacy", "dynamo"]),
    ("torch/hf_xlnet", &["legacy"]),
    ("torch/hf_llama", &["legacy", "dynamo"]),
    ("torch/hf_mixtral", &["legacy", "dynamo"]),
    ("torch/llama", &["legacy", "dynamo"]),
    ("torch/vit", &["legacy", "dynamo", "legacy-opset14"]),
    ("torch/hf_t5", &["legacy", "dynamo"]),
];

fn torch(network: &str, file: &str, axes: Axes, method: &str) -> Result<Outcome, String> {
    let recorded = Recorded::of(network);
    let mut request = Request { explain: chosen(network), ..request(method) };
    request.task = (network == "torch/hf_t5").then_some(Task::NextToken);
    let mut feeds: Vec<(String, Array)> =
        recorded.inputs().into_iter().map(|(n, a)| (n.to_string(), a)).collect();
    feeds.extend(recorded.0.get("target").map(|t| ("target".to_string(), t.clone())));
    explained(&prepared(network, file, axes), &request, &feeds)
}

/// The product of `rownorm(mean_h A + I)` in plain loops, `[rows, tokens, tokens]`.
fn product(layers: &[&Array]) -> Vec<f64> {
    let [rows, heads, tokens, _] = layers[0].shape[..] else { panic!("{:?}", layers[0].shape) };
    let mut all = vec![];
    for row in 0..rows {
        let mut product: Vec<f64> = (0..tokens * tokens).map(|i| f64::from(i % (tokens + 1) == 0)).collect();
        for layer in layers {
            let mut next = vec![0.0; tokens * tokens];
            for i in 0..tokens {
                let mean = |j: usize| {
                    let of = |h: usize| layer.data[((row * heads + h) * tokens + i) * tokens + j];
                    (0..heads).map(of).sum::<f64>() / heads as f64 + f64::from(i == j)
                };
                let sum: f64 = (0..tokens).map(mean).sum();
                for k in 0..tokens {
                    next[i * tokens + k] = (0..tokens).map(|j| mean(j) / sum * product[j * tokens + k]).sum();
                }
            }
            product = next;
        }
        all.extend(product);
    }
    all
}

#[test]
fn every_export_of_attention_is_read() {
    let mut failures = vec![];
    for (network, files) in NETWORKS {
        let mut first: Option<(Array, Array)> = None;
        for file in *files {
            for axes in [Axes::Fixed, Axes::Symbolic] {
                let what = format!("{network}/{file} {axes:?}");
                let both = [
                    torch(network, file, axes, "attention-rollout"),
                    torch(network, file, axes, "grad-rollout"),
                ];
                let [Ok(plain), Ok(weighted)] = both else {
                    let errors: Vec<String> = both.into_iter().filter_map(Result::err).collect();
                    failures.push(format!("{what}: {}", errors.join("; ")));
                    continue;
                };
                let (plain, weighted) = (plain.attribution().clone(), weighted.attribution().clone());
                assert!(largest(&weighted.data) > 0.0, "{what}");
                match &first {
                    None => first = Some((plain, weighted)),
                    Some((rollout, by_gradient)) => {
                        assert_close(&what, &plain.data, &rollout.data, 1e-4, 0.0);
                        assert_close(&what, &weighted.data, &by_gradient.data, 1e-4, 0.0);
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Of networks without padding between encoder tokens: a row of the product of the kept weights, in plain loops.
#[test]
fn rollout_is_a_row_of_the_product_of_the_kept_weights() {
    for (network, _) in NETWORKS.iter().filter(|(n, _)| !["torch/hf_t5", "torch/vit"].contains(n)) {
        let got = torch(network, "legacy", Axes::Symbolic, "attention-rollout").unwrap();
        let product = product(&matrices(&got));
        let attribution = got.attribution();
        let tokens = attribution.shape[1];
        for (row, values) in attribution.data.chunks(tokens).enumerate() {
            let sum: f64 = values.iter().sum();
            assert!((sum - 1.0).abs() < 1e-5, "{network}: row {row} sums to {sum}");
            let rows = &product[row * tokens * tokens..][..tokens * tokens];
            let is_row = |r: &[f64]| r.iter().zip(values).all(|(a, b)| (a - b).abs() < 1e-6);
            assert!(rows.chunks(tokens).any(is_row), "{network}: row {row} is {values:?}, none of {rows:?}");
        }
    }
}

#[test]
fn models_without_attention_are_refused() {
    for method in ["attention", "attention-rollout", "grad-rollout"] {
        for network in ["torch/mlp", "torch/residual_cnn"] {
            let error = torch(network, "legacy", Axes::Fixed, method).err().unwrap();
            assert!(error.contains(method) && error.contains("needs"), "{error}");
        }
    }
    let error = torch("torch/bert", "legacy", Axes::Fixed, "attention:layer=7").err().unwrap();
    assert!(error.contains("layer 7 is outside the 2 attention layers"), "{error}");
    let error = torch("torch/bert", "legacy", Axes::Fixed, "attention:head=9").err().unwrap();
    assert!(error.contains("head 9 is outside"), "{error}");
}
