//! The result of a comparison, as it is saved.

use exegesis_metrics::{Direction, Family, Modality, Outcome};
use serde::{Deserialize, Serialize};

/// Layout of [`Comparison`].
pub(super) const SCHEMA: u32 = 1;

/// Values of metrics for methods on samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Layout of this record.
    pub schema: u32,
    /// Version of the engine.
    pub version: String,
    /// When it was made.
    pub created: String,
    /// Where the model was read from.
    pub model: String,
    /// SHA-256 of the model.
    pub model_sha256: String,
    /// The data.
    pub data: DataSummary,
    /// What was explained, as the user said it.
    pub target: String,
    /// What stands in for what is taken out, by default.
    pub operator: String,
    /// Random seed.
    pub seed: u64,
    /// Methods, then controls.
    pub methods: Vec<MethodSummary>,
    /// Metrics.
    pub metrics: Vec<MetricSummary>,
    /// Samples.
    pub samples: Vec<SampleSummary>,
    /// `values[method][metric][sample]`.
    pub values: Vec<Vec<Vec<Outcome>>>,
    /// Questions to the model that were asked, by sample (shared by all methods).
    pub rows: Vec<usize>,
    /// Seconds of the whole run, those before an interruption included.
    pub seconds: f64,
    /// What the reader must know.
    pub warnings: Vec<String>,
}

/// The data of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataSummary {
    /// Where it was read from.
    pub source: String,
    /// SHA-256 of all arrays.
    pub sha256: String,
    /// Kind of data.
    pub modality: Modality,
    /// True if the right classes are known.
    pub has_labels: bool,
    /// True if evidence is known.
    pub has_truth: bool,
}

/// What a method took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Seconds for the clean maps of all samples.
    pub seconds: f64,
    /// Rows that the model was run on for them, of methods that only ask it; else 0.
    pub model_rows: usize,
    /// Bytes at the peak, as planned.
    pub peak_bytes: u64,
}

impl Cost {
    /// With another one: times and rows add up, the peak is the larger.
    pub(super) fn add(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.model_rows += other.model_rows;
        self.peak_bytes = self.peak_bytes.max(other.peak_bytes);
    }
}

/// A method of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MethodSummary {
    /// Unique name.
    pub key: String,
    /// Name of the method or control.
    pub name: String,
    /// Its options.
    pub parameters: Vec<(String, String)>,
    /// True for controls.
    pub is_control: bool,
    /// True if values have a sign.
    pub is_signed: bool,
    /// What it took.
    pub cost: Cost,
}

/// A metric of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricSummary {
    /// Unique name.
    pub key: String,
    /// Name in the catalogue.
    pub name: String,
    /// Number in the list of metrics.
    pub id: String,
    /// Version of its definition.
    pub version: u32,
    /// What it is about.
    pub family: Family,
    /// Which values are better.
    pub direction: Direction,
    /// Its options.
    pub parameters: Vec<(String, String)>,
    /// Rows of the model that it needs per sample and method if nothing is shared (of the first sample).
    pub rows: usize,
    /// Explanations that it needs per sample and method (of the first sample).
    pub explanations: usize,
    /// Seconds that its evaluations took, shared questions not counted.
    pub seconds: f64,
    /// Why it was left out, if it was.
    pub left_out: Option<String>,
}

/// A sample of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleSummary {
    /// Name.
    pub name: String,
    /// What the model says.
    pub prediction: Option<usize>,
    /// Name of that class.
    pub label: Option<String>,
    /// The right class.
    pub truth: Option<usize>,
    /// Number of features.
    pub features: usize,
    /// Probability of the target on the clean sample, of regression the output.
    pub probability: f64,
}
