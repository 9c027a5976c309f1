//! What a metric found for one sample and method.

use serde::{Deserialize, Serialize};

/// A curve of the score over steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// What it shows, such as `deletion`.
    pub name: String,
    /// Share of features changed (or the level) at each point, ascending.
    pub at: Vec<f64>,
    /// The value at each point.
    pub values: Vec<f64>,
}

/// A value with its parts, or the reason why there is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The value; `None` where it is not defined, never 0 in its place.
    pub value: Option<f64>,
    /// Why there is none.
    pub reason: Option<String>,
    /// Parts of the value by name.
    pub parts: Vec<(String, f64)>,
    /// Curves for readers.
    pub curves: Vec<Curve>,
}

impl Outcome {
    /// A value; one that is not finite becomes undefined.
    pub fn of(value: f64) -> Self {
        match value.is_finite() {
            true => Self { value: Some(value), ..Self::default() },
            false => Self::undefined("the value is not finite"),
        }
    }

    /// No value, and why.
    pub fn undefined(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::default() }
    }

    /// With a part.
    #[must_use]
    pub fn with(mut self, name: &str, value: f64) -> Self {
        self.parts.push((name.to_string(), value));
        self
    }

    /// With a curve.
    #[must_use]
    pub fn with_curve(mut self, name: &str, at: Vec<f64>, values: Vec<f64>) -> Self {
        self.curves.push(Curve { name: name.to_string(), at, values });
        self
    }
}
