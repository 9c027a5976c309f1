//! Recorded networks: their files, and the arrays recorded with them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use exegesis_attribute::Task;
use exegesis_graph::{Graph, onnx, passes};
use exegesis_reference::{Array, Reference};

/// Every network with its files.
pub const FILES: &[(&str, &[&str])] = &[
    ("torch/residual_cnn", &["legacy", "dynamo"]),
    ("torch/unet", &["legacy", "dynamo"]),
    ("torch/conv1d", &["legacy", "dynamo"]),
    ("torch/conv3d", &["legacy", "dynamo"]),
    ("torch/recurrent", &["legacy", "dynamo"]),
    ("torch/recurrent_lengths", &["legacy"]),
    ("torch/bert", &["legacy", "dynamo", "legacy-opset14"]),
    ("torch/hf_bert", &["legacy", "dynamo"]),
    ("torch/hf_distilbert", &["legacy", "dynamo"]),
    ("torch/llama", &["legacy", "dynamo"]),
    ("torch/hf_albert", &["legacy", "dynamo"]),
    ("torch/hf_roberta", &["legacy", "dynamo"]),
    ("torch/hf_electra", &["legacy", "dynamo"]),
    ("torch/hf_xlnet", &["legacy"]),
    ("torch/hf_t5", &["legacy", "dynamo"]),
    ("torch/hf_llama", &["legacy", "dynamo"]),
    ("torch/hf_mixtral", &["legacy", "dynamo"]),
    ("torch/hf_qwen_moe", &["dynamo"]),
    ("torch/mixture", &["masked", "sparse", "gathered", "stacked"]),
    ("torch/mixture_shared", MIXTURE_SHARED),
    ("torch/vit", &["legacy", "dynamo", "legacy-opset14"]),
    ("torch/densenet", &["legacy", "dynamo"]),
    ("torch/mobilenet_v3", &["legacy", "dynamo"]),
    ("torch/box_regressor", &["legacy", "dynamo"]),
    ("torch/categories", &["legacy", "dynamo"]),
    ("torch/category_columns", &["legacy", "dynamo"]),
    ("torch/mlp", &["legacy", "dynamo"]),
    ("torch/mlp_binary", &["legacy", "dynamo"]),
    ("torch/invariance", &["gemm", "matmul", "conv", "einsum", "mulsum"]),
    ("keras/keras_cnn", &["model"]),
    ("keras/keras_lstm", &["model"]),
    ("keras/keras_gru", &["model"]),
];

const MIXTURE_SHARED: &[&str] = &[
    "masked-legacy",
    "masked-dynamo",
    "sparse-legacy",
    "sparse-dynamo",
    "gathered-legacy",
    "gathered-dynamo",
    "stacked-legacy",
    "stacked-dynamo",
];

/// The task where it does not follow from the shapes.
pub fn task(network: &str) -> Option<Task> {
    match network {
        "torch/box_regressor" => Some(Task::BoundingBox),
        // One decoded token; all of them are another task.
        "torch/hf_t5" => Some(Task::NextToken),
        _ => None,
    }
}

/// The inputs to explain where the choice is not clear.
pub fn explained(network: &str) -> Vec<String> {
    match network {
        "torch/hf_t5" => vec!["input_ids".to_string(), "decoder_input_ids".to_string()],
        _ => vec![],
    }
}

/// Folder of a network.
pub fn folder(network: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(network)
}

/// What was recorded of a network.
#[derive(Clone)]
pub struct Recorded(pub BTreeMap<String, Array>);

impl Recorded {
    /// The arrays of `case.npz`.
    pub fn of(network: &str) -> Self {
        Self(super::npz::read(&folder(network).join("case.npz")))
    }

    /// Arrays under `prefix/`, by the rest of their name.
    pub fn under(&self, prefix: &str) -> Vec<(&str, &Array)> {
        let start = format!("{prefix}/");
        self.0.iter().filter_map(|(key, array)| Some((key.strip_prefix(&start)?, array))).collect()
    }

    /// The same with these rows only.
    pub fn rows(&self, order: &[usize]) -> Self {
        let mut chosen = self.clone();
        for array in chosen.0.values_mut() {
            let width = array.len() / array.shape[0];
            array.data = order.iter().flat_map(|r| array.data[r * width..(r + 1) * width].to_vec()).collect();
            array.shape[0] = order.len();
        }
        chosen
    }

    /// Inputs by name.
    pub fn inputs(&self) -> Vec<(&str, Array)> {
        self.under("input").into_iter().map(|(name, array)| (name, array.clone())).collect()
    }
}

/// Which axes of the inputs are numbers.
#[derive(Clone, Copy, Debug)]
pub enum Axes {
    /// As exported: batch, tokens and steps are symbols.
    Symbolic,
    /// All those of the recorded arrays.
    Fixed,
}

/// A file, read and prepared as the command does it.
pub fn prepared(network: &str, file: &str, axes: Axes) -> Graph {
    let path = folder(network).join(format!("{file}.onnx"));
    let mut graph = onnx::read_file(&path).unwrap().graph;
    if let Axes::Fixed = axes {
        let recorded = Recorded::of(network);
        let inputs = recorded.inputs();
        let shapes: Vec<(&str, &[usize])> = inputs.iter().map(|(n, a)| (*n, a.shape.as_slice())).collect();
        passes::specialise::specialise(&mut graph, &shapes).unwrap();
    }
    passes::prepare(&mut graph, &Reference, &mut |_, _| ()).unwrap();
    graph
}
