//! What a report is made of: plain data, free of models, graphs and runtimes.
//!
//! A caller fills these structures from its own results and hands them to one of the `render_*` functions. Every
//! structure has a `Default`, so literals can end in `..Default::default()` and keep compiling when fields are added.
//! Nothing here is validated at construction: the renderers check shapes, and say in words what does not fit.

mod flow;
mod input;
mod ledger;
mod method;
mod plane;

pub use flow::{Flow, FlowMap, FlowSplit, FlowStage};
pub use input::{ImageView, InputView, ReportInput, TextToken, TextView, TokenKind};
pub use ledger::{Ledger, LedgerNode};
pub use method::{Attribution, ChannelReport, Layout, MethodReport, Polarity, Scatter, ScatterPoint};
pub use plane::{Plane, PlaneQuality, PlaneType};

use serde::{Deserialize, Serialize};

/// Everything that one report shows: a model, some explained rows, and where the numbers come from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Headline, for example `Explanation of resnet50.onnx`.
    pub title: String,
    /// The model that was explained.
    pub model: ModelInfo,
    /// The explained rows, in the order of the inputs.
    pub rows: Vec<RowReport>,
    /// Tables over all rows, for example metrics by method in a comparison.
    pub tables: Vec<Table>,
    /// Versions, seeds, timings: what is needed to produce the report again.
    pub provenance: Provenance,
    /// Things the reader must know before trusting any row. Shown at the top.
    pub warnings: Vec<String>,
}

/// Identity of the explained model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelInfo {
    /// Where the model was read from, as the user wrote it.
    pub path: String,
    /// SHA-256 of the model file in hexadecimal; empty if unknown.
    pub sha256: String,
    /// File format, for example `ONNX, opset 18`.
    pub format: String,
    /// Program that wrote the model, if the file names it.
    pub producer: Option<String>,
    /// The graph's inputs.
    pub inputs: Vec<TensorInfo>,
    /// The graph's outputs.
    pub outputs: Vec<TensorInfo>,
}

/// Name, element type and dimensions of a graph input or output.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TensorInfo {
    /// Name in the graph.
    pub name: String,
    /// Element type, for example `float32`.
    pub dtype: String,
    /// Dimensions as text: numbers, or names of symbolic dimensions such as `batch`.
    pub shape: Vec<String>,
}

/// How the numbers in a report were made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// Version of the program that computed the explanation.
    pub version: String,
    /// Runtime that executed the graph, with device, for example `rten 0.27, cpu`.
    pub runtime: String,
    /// Random seed; `None` where nothing was random.
    pub seed: Option<u64>,
    /// When the report was made, as the caller wants it read (RFC 3339 recommended).
    pub created: String,
    /// Wall-clock times.
    pub timings: Timings,
    /// Anything else, for example threads, batch size, command line; shown in this order.
    pub details: Vec<(String, String)>,
}

/// Wall-clock milliseconds by stage; `None` where a stage was not measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timings {
    /// Reading and preparing the model.
    pub load_ms: Option<f64>,
    /// Building and optimising the explanation graph.
    pub compile_ms: Option<f64>,
    /// Running it on all rows.
    pub run_ms: Option<f64>,
}

/// One explained row: its inputs, what the model said, and one or more explanations of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RowReport {
    /// What the reader calls this row: a file name, `row 17`, the start of a text.
    pub name: String,
    /// The inputs that were explained (not masks, positions or states). Usually one.
    pub inputs: Vec<ReportInput>,
    /// What the model predicted.
    pub prediction: Prediction,
    /// The explanations, side by side in this order.
    pub methods: Vec<MethodReport>,
    /// Warnings about this row only.
    pub warnings: Vec<String>,
}

/// The model's answer for one row, and which part of it was explained.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Prediction {
    /// Task name as in `--task`, for example `classification` or `next-token`.
    pub task: String,
    /// Name of the graph output that was explained.
    pub output_name: String,
    /// Best classes first; for regression a single entry.
    pub top: Vec<ClassScore>,
    /// The explained target in words, for example `class 281 "tabby cat", logit`.
    pub target: String,
    /// Index of the target class if the target is one class; the matching bar is emphasised.
    pub target_index: Option<usize>,
}

/// One class (or token, or regression output) and its score.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClassScore {
    /// Position in the output's last axis.
    pub index: usize,
    /// Human-readable name, if known.
    pub label: Option<String>,
    /// The raw score (logit, or the regression value).
    pub score: f64,
    /// Probability in `0..=1`, where the task has one.
    pub probability: Option<f64>,
}

/// A plain table, for example metrics by method.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Table {
    /// Caption above the table.
    pub title: String,
    /// Column headings.
    pub columns: Vec<String>,
    /// Cells by row; short rows are filled with empty cells.
    pub rows: Vec<Vec<String>>,
    /// A sentence below the table, for example which direction is better.
    pub note: String,
}

impl ClassScore {
    /// The label if there is one, otherwise `class N`.
    pub fn display_name(&self) -> String {
        match &self.label {
            Some(label) if !label.is_empty() => label.clone(),
            _ => format!("class {}", self.index),
        }
    }
}
