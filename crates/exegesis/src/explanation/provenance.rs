//! Where the numbers come from: enough to produce them again.

use std::time::{SystemTime, UNIX_EPOCH};

use exegesis_report::TensorInfo;
use exegesis_runtime::Port;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::explainer::{Plan, Settings};
use crate::inputs::write_npy;
use crate::model::hex;
use crate::{Inputs, Model, Remarks};

/// Identity of the model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ModelSummary {
    /// Where it was read from, as the user wrote it.
    pub path: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// File format, such as `ONNX, opset 17`.
    pub format: String,
    /// Program that wrote it.
    pub producer: Option<String>,
}

/// One input as it was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InputSummary {
    /// Name of the graph input.
    pub name: String,
    /// Element type.
    pub dtype: String,
    /// Shape, batch axis first.
    pub shape: Vec<usize>,
    /// SHA-256 of the values as a `.npy` file.
    pub sha256: String,
}

/// Seconds by stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Timings {
    /// Reading and preparing the model.
    pub load: f64,
    /// Building, optimising and loading the program that explains.
    pub compile: f64,
    /// Running it on all rows.
    pub run: f64,
    /// The part of it that the model took, for methods that only ask the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<f64>,
}

/// How the numbers of an explanation were made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Provenance {
    /// The model.
    pub model: ModelSummary,
    /// What it was run on.
    pub inputs: Vec<InputSummary>,
    /// The graph's inputs as it declares them.
    pub model_inputs: Vec<TensorInfo>,
    /// The graph's outputs as it declares them.
    pub model_outputs: Vec<TensorInfo>,
    /// Random seed of methods that draw numbers.
    pub seed: u64,
    /// Runtime, with the version of one that is not part of this program, and device.
    pub runtime: String,
    /// Version of this program.
    pub version: String,
    /// When the explanation was made, RFC 3339 in UTC.
    pub created: String,
    /// Seconds by stage.
    pub timings: Timings,
    /// Passes and estimated memory, per method.
    pub plans: Vec<Plan>,
    /// What the user should know beside the numbers.
    pub remarks: Remarks,
}

impl Provenance {
    pub(crate) fn new(
        model: &Model,
        inputs: &Inputs,
        settings: &Settings,
        runtime: &str,
        remarks: Remarks,
    ) -> Self {
        let summary = |input: &crate::Input| InputSummary {
            name: input.name.clone(),
            dtype: input.tensor.dtype().to_string(),
            shape: input.tensor.shape().to_vec(),
            sha256: write_npy(&input.tensor).map(|bytes| hex(&Sha256::digest(bytes))).unwrap_or_default(),
        };
        Self {
            model: ModelSummary {
                path: model.path().to_string(),
                sha256: model.sha256().to_string(),
                format: model.format(),
                producer: model.producer(),
            },
            inputs: inputs.entries().iter().map(summary).collect(),
            model_inputs: model.inputs().iter().map(tensor_info).collect(),
            model_outputs: model.outputs().iter().map(tensor_info).collect(),
            seed: settings.seed,
            runtime: runtime.to_string(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            created: rfc3339(SystemTime::now()),
            timings: Timings::default(),
            plans: Vec::new(),
            remarks,
        }
    }

    pub(crate) fn timed(mut self, load: f64, compile: f64, run: f64) -> Self {
        self.timings = Timings { load, compile, run, model: None };
        self
    }

    pub(crate) fn planned(mut self, plan: Plan) -> Self {
        self.plans.push(plan);
        self
    }

    /// Adds another method's times and remarks.
    pub(crate) fn add(&mut self, other: Self) {
        self.timings.compile += other.timings.compile;
        self.timings.run += other.timings.run;
        self.timings.model = match (self.timings.model, other.timings.model) {
            (None, None) => None,
            (own, other) => Some(own.unwrap_or(0.0) + other.unwrap_or(0.0)),
        };
        self.plans.extend(other.plans);
        self.remarks.extend(&other.remarks);
    }
}

/// SHA-256 of the arrays of several runs.
pub(crate) fn hash_of(runs: &[Inputs]) -> String {
    let mut hash = Sha256::new();
    for input in runs.iter().flat_map(Inputs::entries) {
        hash.update(input.name.as_bytes());
        hash.update(write_npy(&input.tensor).unwrap_or_default());
    }
    hex(&hash.finalize())
}

fn tensor_info(port: &Port) -> TensorInfo {
    TensorInfo {
        name: port.name.clone(),
        dtype: port.dtype.to_string(),
        shape: port.shape.iter().flatten().map(ToString::to_string).collect(),
    }
}

/// `2026-03-01T12:00:00Z`.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01 in eras of 400 years (Hinnant, "chrono-compatible low-level date algorithms").
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |seconds| rfc3339(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_767_225_599), "2025-12-31T23:59:59Z");
    }
}
