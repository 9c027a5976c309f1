//! How relevance flows through the stages of a model.

use serde::{Deserialize, Serialize};

/// The way of relevance from the target back to the inputs, stage by stage. Each border between two stages is crossed by
/// `seed` minus what all stages between it and the target absorbed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Flow {
    /// Channel, for methods that have several; otherwise empty.
    pub channel: String,
    /// Relevance placed on the target.
    pub seed: f64,
    /// Relevance that arrived at the inputs.
    pub reached: f64,
    /// Classes of absorbers, in the order of the ledger, so that both have the same colours.
    pub classes: Vec<String>,
    /// Stages, from the input to the output.
    pub stages: Vec<FlowStage>,
    /// Heat maps over stages: heads, tokens.
    pub maps: Vec<FlowMap>,
}

/// A block of layers between two borders that all relevance crosses.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlowStage {
    /// Name, for example the common part of its nodes' names.
    pub name: String,
    /// What it is: `attention`, `residual block`, or its operators.
    pub about: String,
    /// Relevance that crosses its border on the side of the output.
    pub arrived: f64,
    /// What it absorbed, by class.
    pub absorbed: Vec<(String, f64)>,
    /// For a block around which a shortcut leads: how its relevance divided.
    pub split: Option<FlowSplit>,
}

/// How the relevance of a residual block divided between the shortcut and the layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlowSplit {
    /// Relevance on the shortcut.
    pub around: f64,
    /// Relevance on the branch with the layers.
    pub through: f64,
}

/// Values per stage and column, for example relevance per head.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlowMap {
    /// What it shows.
    pub title: String,
    /// What a column is: `head`, `token`.
    pub column: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Stage name and values, from the input to the output.
    pub rows: Vec<(String, Vec<f64>)>,
}

impl FlowStage {
    /// Sum of what the stage absorbed.
    pub fn absorbed_total(&self) -> f64 {
        self.absorbed.iter().map(|(_, value)| value).sum()
    }
}

impl FlowMap {
    /// The largest magnitude of finite values.
    pub fn largest(&self) -> f64 {
        let values = self.rows.iter().flat_map(|(_, values)| values);
        values.filter(|v| v.is_finite()).map(|v| v.abs()).fold(0.0, f64::max)
    }
}

impl Flow {
    /// `value / seed` within `0..=1`; 0 where that is no number.
    pub(crate) fn part(&self, value: f64) -> f64 {
        let part = value / self.seed;
        if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 }
    }
}
