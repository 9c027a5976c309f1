//! What is said about a metric.

use exegesis_catalogue::ParameterInfo;
use serde::{Deserialize, Serialize};

use crate::Modality;

/// Which values are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Higher is better.
    Up,
    /// Lower is better.
    Down,
}

impl Direction {
    /// The value with the sign that makes higher better.
    pub fn oriented(self, value: f64) -> f64 {
        match self {
            Self::Up => value,
            Self::Down => -value,
        }
    }
}

/// What a metric is about. Ranks are put together within a family first, then over families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Does what is marked matter to the model?
    Faithfulness,
    /// Does the map stay where nothing changes?
    Robustness,
    /// Is the map short?
    Complexity,
    /// Does the map depend on the model?
    Randomisation,
    /// Does the map keep its promises?
    Axioms,
    /// Does the map agree with a known truth?
    Localisation,
}

impl Family {
    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Faithfulness => "faithfulness",
            Self::Robustness => "robustness",
            Self::Complexity => "complexity",
            Self::Randomisation => "randomisation",
            Self::Axioms => "axioms",
            Self::Localisation => "localisation",
        }
    }
}

/// Catalogue entry of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricInfo {
    /// Name on the command line.
    pub name: &'static str,
    /// Number in the list of metrics, such as `F1`.
    pub id: &'static str,
    /// Version of definition and defaults: results of different versions are never put together.
    pub version: u32,
    /// What it is about.
    pub family: Family,
    /// Which values are better.
    pub direction: Direction,
    /// The idea in at most three sentences.
    pub summary: &'static str,
    /// The defining formula.
    pub formula: &'static str,
    /// Model calls per sample and method.
    pub cost: &'static str,
    /// Kinds of data that it is for.
    pub modalities: &'static [Modality],
    /// When it misleads.
    pub misleads: &'static str,
    /// The analytic answer that its test checks.
    pub check: &'static str,
    /// Where it comes from.
    pub citation: &'static str,
    /// Its options.
    pub parameters: &'static [ParameterInfo],
}

impl MetricInfo {
    /// All kinds of data.
    pub const ALL: &'static [Modality] =
        &[Modality::Image, Modality::Text, Modality::Table, Modality::Series];
}
