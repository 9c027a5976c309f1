//! Networks as tf2onnx writes those of Keras: recurrent layers as loops and as unrolled primitive operators, against the
//! same networks with the recurrent operators of ONNX; normalisations as products and sums.
//!
//! What this would catch: a cell that is not recognised, and so has other gate products, biases at the wrong side, or
//! shares for the constant of `1 - z`; constants per channel that keep relevance as if they were evidence.

mod common;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use common::{assert_close, largest, npz};
use exegesis_attribute::{Explained, Method, Request, Target, explain};
use exegesis_graph::passes::{prepare, specialise};
use exegesis_graph::{Graph, onnx};
use exegesis_reference::{Array, Reference, run};

/// Networks of recurrent layers, each with its twin in the operators of ONNX.
const RECURRENT: &[&str] = &[
    "keras_lstm",
    "keras_lstm_unrolled",
    "keras_gru",
    "keras_gru_before",
    "keras_gru_bidirectional",
    "keras_gru_sequences",
    "keras_gru_unrolled",
    "keras_rnn",
];

fn folder(network: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/keras").join(network)
}

fn read(network: &str, file: &str) -> Graph {
    onnx::read_file(&folder(network).join(file)).unwrap().graph
}

/// What the network was run on, and the class to explain.
fn feeds(arrays: &BTreeMap<String, Array>) -> Vec<(&str, Array)> {
    let inputs = arrays.iter().filter_map(|(name, a)| Some((name.strip_prefix("input/")?, a.clone())));
    inputs.chain([("target", arrays["target"].clone())]).collect()
}

fn explained(
    mut graph: Graph,
    method: Method,
    feeds: &[(&str, Array)],
) -> (Explained, HashMap<String, Array>) {
    prepare(&mut graph, &Reference, &mut |_, _| {}).unwrap();
    let request = Request { target: Target::Input, ..Request::new(method) };
    let explained = explain(graph, &request, &mut |_, _| {}).unwrap();
    let values = run(&explained.graph, feeds).unwrap().into_iter().collect();
    (explained, values)
}

#[test]
fn gradients_are_those_of_tensorflow() {
    for network in RECURRENT.iter().chain(&["keras_cnn", "keras_cnn1d"]) {
        let arrays = npz::read(&folder(network).join("case.npz"));
        let feeds = feeds(&arrays);
        let (explained, values) = explained(read(network, "model.onnx"), Method::Gradient, &feeds);
        let attribution = &explained.attributions[0];
        let want = &arrays[&format!("gradient/{}", attribution.input)].data;
        assert_close(network, &values[&attribution.output].data, want, 1e-4, 0.0);
    }
}

/// Relevance of Keras' cells is that of the operators `LSTM`, `GRU` and `RNN` with the same weights: unrolled, and with
/// the twin as a loop.
#[test]
fn relevance_is_that_of_the_standard_layers() {
    for (network, method) in RECURRENT.iter().flat_map(|n| METHODS.iter().map(move |m| (n, m))) {
        let arrays = npz::read(&folder(network).join("case.npz"));
        let feeds = feeds(&arrays);
        let relevance = |graph: Graph| {
            let (explained, values) = explained(graph, Method::parse(method).unwrap(), &feeds);
            let attribution = explained.attributions[0].clone();
            let channels = attribution.channels.map_or(vec![attribution.output], |c| c.to_vec());
            channels.iter().flat_map(|name| values[name].data.clone()).collect::<Vec<f64>>()
        };
        let got = relevance(read(network, "model.onnx"));
        assert!(largest(&got) > 0.0);
        let twin = relevance(read(network, "standard.onnx"));
        assert_close(&format!("{network}, {method}"), &got, &twin, 1e-5, 0.0);
        let mut open = read(network, "standard.onnx");
        let input = open.inputs[0];
        open.value_mut(input).shape.as_mut().unwrap()[1] = "steps".into();
        assert_close(&format!("{network}, {method}, rolled"), &got, &relevance(open), 1e-5, 0.0);
    }
}

const METHODS: [&str; 3] = ["dlbacktrace", "dlbacktrace:mode=contrastive", "dlbacktrace:gate=half"];

/// The same with a batch that is known when the graph is made: zero states are constants then, and what is made of them
/// is folded.
#[test]
fn a_known_batch_does_not_matter() {
    for network in RECURRENT {
        let arrays = npz::read(&folder(network).join("case.npz"));
        let feeds = feeds(&arrays);
        let mut fixed = read(network, "model.onnx");
        specialise::specialise(&mut fixed, &[(feeds[0].0, &feeds[0].1.shape)]).unwrap();
        let (explained_model, values) = explained(fixed, Method::dlbacktrace(), &feeds);
        let output = &explained_model.attributions[0].output;
        let (_, twin) = explained(read(network, "standard.onnx"), Method::dlbacktrace(), &feeds);
        assert_close(network, &values[output].data, &twin[output].data, 1e-5, 0.0);
    }
}

/// Constants keep nothing: biases are biases of the layers before, normalisations pass relevance on.
#[test]
fn normalisations_by_constants_keep_nothing() {
    for network in ["keras_cnn", "keras_cnn1d"] {
        let arrays = npz::read(&folder(network).join("case.npz"));
        let feeds = feeds(&arrays);
        let (explained, values) = explained(read(network, "model.onnx"), Method::dlbacktrace(), &feeds);
        let layout = explained.ledger.as_ref().unwrap();
        let constant = layout.columns.iter().position(|c| *c == "constant").unwrap();
        let bias = layout.columns.iter().position(|c| *c == "bias").unwrap();
        let table = &values[&layout.output].data;
        let column = |c: usize| table.chunks_exact(layout.columns.len()).map(|row| row[c]).sum::<f64>();
        assert_eq!(column(constant), 0.0, "{network}");
        assert!(column(bias) > 0.0, "{network}");
    }
}
