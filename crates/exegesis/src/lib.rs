//! Explains deep models: an ONNX graph in; attributions, evidence that they can be trusted, and pictures out.
//!
//! This crate is the public surface: it reads models and inputs, builds explainers and saves explanations. Rules of
//! methods live in `exegesis-attribute`, the graph in `exegesis-graph`, running in `exegesis-runtime`, drawing in
//! `exegesis-report`.
//!
//! ```
//! use exegesis::{Inputs, Method, Model, Target, Tensor};
//!
//! let model = Model::builtin()?;
//! let explainer = model.explainer(Method::dlbacktrace()).target(Target::ArgMax).build()?; // compiled once
//! let image = Tensor::new([1, 1, 28, 28], vec![0.5f32; 784])?;
//! let explanation = explainer.explain(&Inputs::new().with("image", image))?; // many times
//! assert_eq!(explanation.values("image").map(Tensor::shape), Some(&[1, 1, 28, 28][..]));
//! # Ok::<(), exegesis::Error>(())
//! ```

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod builtin;
pub mod compare;
mod compile;
mod error;
mod explainer;
mod explanation;
pub mod files;
mod flow;
mod function;
mod inputs;
mod inspect;
mod labels;
mod method;
mod model;
mod picture;
mod prediction;
mod preprocess;
mod remarks;
mod rule_plan;
mod save;
mod target;
mod text;
pub mod truth;
mod vocabulary;
mod weights;

pub use error::{Error, ErrorKind, Result};
pub use explainer::{Explainer, ExplainerBuilder, Plan, bytes_text};
pub use explanation::{
    ChannelTotals, Explanation, InputSummary, LedgerTable, MethodResult, ModelSummary, Provenance,
    RowEvidence, RowTotals, SlalomRow, Timings, Unbooked,
};
pub use function::{Function, Meaning};
pub use inputs::{
    Given, Input, Inputs, LabelOptions, Labelled, ReadInputs, ReadOptions, Rows, Source, Value, bind_values,
    describe_ports, read as read_inputs, read_labelled,
};
pub use inspect::{Coverage, Inspection, Stage};
pub use labels::Labels;
pub use method::Method;
pub use model::Model;
pub use prediction::RowPrediction;
pub use preprocess::{Channels, Interpolation, Layout, Placed, Preprocess, ResizeTo};
pub use remarks::Remarks;
pub use rule_plan::{ASSUMED_SIZE, RulePlan};
pub use save::{Format, numbered};
pub use target::parse_target;
pub use text::{SpecialIds, TextReader, Tokenizer};
pub use vocabulary::Vocabulary;
pub use weights::NonFinite;

pub use exegesis_attribute::Error as AttributeError;
pub use exegesis_attribute::Method as WhiteBox;
pub use exegesis_attribute::{
    AppliedRule, Baseline, MissingRule, NodeSelection, OnMissingRule, Part, Request, Score, Target, Task,
};
pub use exegesis_catalogue::{MethodInfo, ParameterInfo};
pub use exegesis_metrics as metrics;
pub use exegesis_perturb as perturb;
pub use exegesis_perturb::PlayerKind;

pub use exegesis_graph::{DType, Data, Dim, Tensor};
pub use exegesis_report as report;
#[cfg(feature = "onnxruntime")]
pub use exegesis_runtime::OnnxRuntime;
pub use exegesis_runtime::{
    Device, Port, Predictor, RUNTIME_VARIABLE, RuntimeChoice, RuntimeInfo, Work, WorkLimit, free_memory,
    runtimes,
};
