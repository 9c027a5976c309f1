//! What is recognised in recorded exports, and that these compute the same afterwards.

mod raise_support;

use std::path::{Path, PathBuf};

use exegesis_graph::passes::dead_code;
use exegesis_graph::passes::fold::{FoldLimits, fold};
use exegesis_graph::passes::infer::ShapeInference;
use exegesis_graph::passes::raise::Pattern::{self, *};
use exegesis_graph::passes::raise::raise;
use exegesis_graph::passes::specialise::specialise;
use exegesis_graph::passes::unroll::unroll;
use exegesis_graph::{DType, Graph, Role, onnx};
use exegesis_reference::{Array, Reference};
use raise_support::{Random, assert_equal, count};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(file: &str) -> Graph {
    onnx::read_file(&root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}")).graph
}

fn simplify(graph: &mut Graph) {
    ShapeInference::new().run(graph).unwrap();
    fold(graph, &Reference, &FoldLimits::default()).unwrap();
    ShapeInference::new().run(graph).unwrap();
}

/// Small arrays for the inputs: 2 for the first axis, 6 for other open ones; token ids are small, masks end in a zero.
fn inputs(graph: &Graph) -> Vec<(String, Array)> {
    let mut random = Random::new(11);
    let mut arrays = vec![];
    for id in &graph.inputs {
        let value = graph.value(*id);
        let dims = value.shape.as_ref().unwrap().iter().enumerate();
        let shape: Vec<usize> = dims.map(|(i, d)| d.fixed().unwrap_or(if i == 0 { 2 } else { 6 })).collect();
        let array = if value.dtype == Some(DType::F32) {
            random.array(&shape)
        } else {
            let data = (0..shape.iter().product::<usize>()).map(|i| match value.name.as_str() {
                "attention_mask" => f64::from(u8::from(i != 11)),
                "lengths" => [7.0, 4.0][i],
                _ => (i % 7) as f64,
            });
            Array::new(value.dtype.unwrap(), shape.clone(), data.collect()).unwrap()
        };
        arrays.push((value.name.clone(), array));
    }
    arrays
}

fn check(before: &Graph, after: &Graph) {
    let arrays = inputs(before);
    let arrays: Vec<(&str, Array)> = arrays.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
    assert_equal(before, after, &arrays);
}

/// Raises `testdata/torch/<network>/<file>.onnx` and compares the numbers of recognised patterns and of composites.
#[track_caller]
fn finds(network: &str, file: &str, patterns: &[(Pattern, usize)], composites: &[(&str, usize)]) {
    let path = format!("testdata/torch/{network}/{file}.onnx");
    let before = read(&path);
    let mut after = before.clone();
    simplify(&mut after);
    let report = raise(&mut after).unwrap();
    dead_code::eliminate(&mut after);
    for (pattern, expected) in patterns {
        assert_eq!(report.count(*pattern), *expected, "{path}: {pattern}");
    }
    for (op, expected) in composites {
        assert_eq!(count(&after, op), *expected, "{path}: {op}");
    }
    assert_eq!(count(&after, "Erf") + count(&after, "Sqrt"), 0, "{path}: parts are left");
    ShapeInference::new().run(&mut after).unwrap();
    check(&before, &after);
    assert_eq!(raise(&mut after).unwrap(), Default::default(), "{path}: nothing is found twice");
}

#[test]
fn bert_of_both_exporters() {
    let encoder = [("Attention", 2), ("LayerNormalization", 5), ("Gelu", 2), ("Softmax", 0), ("MatMul", 0)];
    for network in ["bert", "hf_bert", "hf_distilbert"] {
        finds(network, "legacy", &[(Attention, 2), (Gelu, 2), (Linear, 14)], &encoder);
        finds(network, "dynamo", &[(Attention, 2), (Gelu, 0), (Linear, 14)], &encoder);
    }
    finds("bert", "legacy-opset14", &[(Attention, 2), (Gelu, 2), (LayerNormalization, 5)], &encoder);
}

#[test]
fn classifiers_of_transformers() {
    for file in ["legacy", "dynamo"] {
        let parts = [("Attention", 2), ("LayerNormalization", 5), ("Softmax", 0), ("MatMul", 0)];
        finds("hf_albert", file, &[(Attention, 2)], &[&parts[..], &[("Gelu", 2)]].concat());
        finds("hf_roberta", file, &[(Attention, 2)], &[&parts[..], &[("Gelu", 2)]].concat());
        finds("hf_electra", file, &[(Attention, 2)], &[&parts[..], &[("Gelu", 3)]].concat());
    }
}

#[test]
fn t5_of_both_exporters() {
    for file in ["legacy", "dynamo"] {
        let parts = [("RMSNormalization", 10), ("Gelu", 3)];
        finds("hf_t5", file, &[(RmsNormalization, 10)], &parts);
    }
}

/// The norms read what the residual path reads through a cast.
#[test]
fn decoders_of_transformers() {
    for file in ["legacy", "dynamo"] {
        let parts = [("RMSNormalization", 5), ("RotaryEmbedding", 4), ("Attention", 2), ("Swish", 2)];
        finds("hf_llama", file, &[(RmsNormalization, 5), (RotaryEmbedding, 4), (Attention, 2)], &parts);
        let parts = [("RMSNormalization", 3), ("RotaryEmbedding", 2), ("Attention", 1), ("Swish", 1)];
        finds("hf_mixtral", file, &[(RmsNormalization, 3), (RotaryEmbedding, 2), (Attention, 1)], &parts);
    }
}

#[test]
fn guarded_rows_are_attention_too() {
    let mut graph = read("testdata/torch/hf_distilbert/dynamo.onnx");
    simplify(&mut graph);
    raise(&mut graph).unwrap();
    let guarded = |n: &exegesis_graph::Node| matches!(&n.op, exegesis_graph::Op::Attention(a) if a.guard_nan);
    assert_eq!(graph.nodes().filter(|(_, n)| guarded(n)).count(), 2);
    assert_eq!(count(&graph, "IsNaN"), 0);
}

#[test]
fn vision_transformer_of_both_exporters() {
    let encoder = [("Attention", 2), ("LayerNormalization", 5), ("Gelu", 2), ("Softmax", 0)];
    finds("vit", "legacy", &[(Attention, 2), (Gelu, 2)], &encoder);
    finds("vit", "dynamo", &[(Attention, 2)], &encoder);
    finds("vit", "legacy-opset14", &[(Attention, 2), (LayerNormalization, 5), (Gelu, 2)], &encoder);
}

#[test]
fn llama_of_both_exporters() {
    let found = [(Attention, 2), (GroupedHeads, 2), (RotaryEmbedding, 4), (RmsNormalization, 5), (Swish, 2)];
    let decoder =
        [("Attention", 2), ("RotaryEmbedding", 4), ("RMSNormalization", 5), ("Swish", 2), ("Softmax", 0)];
    finds("llama", "dynamo", &found, &decoder);
    finds("llama", "legacy", &found, &decoder);
}

#[test]
fn small_networks() {
    finds("mlp", "legacy", &[(Gelu, 1), (Linear, 4)], &[("Gemm", 0)]);
    finds("mlp", "dynamo", &[(Linear, 4)], &[("Gemm", 0), ("Gelu", 1)]);
    finds("residual_cnn", "legacy", &[(Swish, 1), (Linear, 3)], &[("Sigmoid", 1)]);
    finds("residual_cnn", "dynamo", &[(Swish, 1), (Linear, 3)], &[("Sigmoid", 1)]);
}

#[test]
fn one_function_in_several_spellings() {
    for file in ["gemm", "matmul", "einsum", "mulsum"] {
        finds("invariance", file, &[(Linear, 2)], &[("Linear", 2), ("Add", 0), ("Mul", 0)]);
    }
}

/// Raises a model of `fixtures/cache`, if it is there.
fn fixture(file: &str) -> Option<(Graph, Graph, exegesis_graph::passes::raise::RaiseReport)> {
    let path = format!("fixtures/cache/{file}.onnx");
    if !root().join(&path).exists() {
        return None;
    }
    let before = read(&path);
    let mut after = before.clone();
    simplify(&mut after);
    let report = raise(&mut after).unwrap();
    dead_code::eliminate(&mut after);
    Some((before, after, report))
}

#[test]
fn a_sentence_encoder() {
    let Some((before, after, report)) = fixture("minilm-l3") else { return };
    let found: Vec<_> = report.iter().collect();
    assert_eq!(found, [(Gelu, 3), (Linear, 18), (Attention, 3)]);
    assert_eq!((count(&after, "LayerNormalization"), count(&after, "Softmax")), (7, 0));
    check(&before, &after);
}

#[test]
fn a_text_recogniser_with_attention_of_opset_11() {
    let Some((_, after, report)) = fixture("ocr-rec") else { return };
    assert_eq!(report.count(Attention), 2);
    assert_eq!(
        (report.count(LayerNormalization), report.count(HardSwish), report.count(Pattern::Swish)),
        (5, 28, 7)
    );
    // The one at the end classifies.
    assert_eq!(count(&after, "Softmax"), 1);
}

/// Fixes the steps of a recorded recurrent network, unrolls it, and compares.
fn unrolls(file: &str, specialised: &[(&str, &[usize])], layers: usize) -> Graph {
    let before = read(file);
    let mut after = before.clone();
    specialise(&mut after, specialised).unwrap();
    simplify(&mut after);
    assert_eq!(unroll(&mut after, &|_| true), Ok(layers), "{file}");
    simplify(&mut after);
    raise(&mut after).unwrap();
    dead_code::eliminate(&mut after);
    for op in ["LSTM", "GRU", "Loop", "ConstantOfShape"] {
        assert_eq!(count(&after, op), 0, "{file}: {op}");
    }
    after.validate(&[]).unwrap();
    let arrays = inputs(&after);
    let arrays: Vec<(&str, Array)> = arrays.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
    assert_equal(&before, &after, &arrays);
    after
}

#[test]
fn recurrent_networks_of_torch() {
    for file in ["legacy", "dynamo"] {
        let path = format!("testdata/torch/recurrent/{file}.onnx");
        let graph = unrolls(&path, &[("sequence", &[2, 7, 5])], 3);
        // One projection per direction, and the classifier.
        assert_eq!(count(&graph, "Linear"), 5 + 6 + 1);
    }
    let path = "testdata/torch/recurrent_lengths/legacy.onnx";
    unrolls(path, &[("sequence", &[2, 7, 5]), ("lengths", &[2])], 1);
}

#[test]
fn recurrent_networks_of_keras() {
    for network in ["keras_lstm", "keras_gru"] {
        let path = format!("testdata/keras/{network}/model.onnx");
        let graph = read(&path);
        let layers = ["LSTM", "GRU", "Loop"].iter().map(|op| count(&graph, op)).sum();
        let graph = unrolls(&path, &[("sequence", &[2, 7, 5])], layers);
        assert!(graph.nodes().any(|(_, n)| n.role == Role::RecurrentGate));
    }
}
