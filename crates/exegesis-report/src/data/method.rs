//! One method's explanation of one row.

use super::flow::Flow;
use super::ledger::Ledger;
use super::plane::Plane;
use serde::{Deserialize, Serialize};

/// What one method found for one row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MethodReport {
    /// Method name as in `--method`; a second use of the same method as `NAME#2`.
    pub name: String,
    /// All parameters with the values used, defaults included.
    pub parameters: Vec<(String, String)>,
    /// What captions say of the parameters, where these are too many for a line; all of them if empty.
    pub brief: String,
    /// Attributions, one per entry of `RowReport::inputs` and in that order.
    pub attributions: Vec<Attribution>,
    /// Whether negative values mean evidence against the target.
    pub polarity: Polarity,
    /// The parts that the attributions are the difference of, for methods that keep them apart.
    pub channels: Vec<ChannelReport>,
    /// Sum of all attributions.
    pub sum: f64,
    /// What the sum should be by the method's completeness axiom; `None` where it has none.
    pub expected: Option<f64>,
    /// `sum - expected`, or the method's own residual.
    pub gap: Option<f64>,
    /// Where the relevance went; `None` for methods that keep no ledger.
    pub ledger: Option<Ledger>,
    /// How relevance flowed through the model, per channel; empty where that was not asked for.
    pub flows: Vec<Flow>,
    /// Two numbers per feature, for methods such as SLALOM (value and importance).
    pub scatter: Option<Scatter>,
    /// Values and importances of the types of tokens, of SLALOM.
    pub plane: Option<Plane>,
    /// What speaks for the values beside their sum, as name and number: players, rows that the model was run on, R2.
    pub evidence: Vec<(String, String)>,
    /// Warnings about this method's result.
    pub warnings: Vec<String>,
}

/// One of the parts of an attribution that are kept apart: for the target, or for its alternatives.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelReport {
    /// Name as in saved arrays, for example `positive`.
    pub name: String,
    /// Which side it is on.
    pub polarity: Polarity,
    /// Values, one entry per entry of `RowReport::inputs` and in that order; never negative.
    pub attributions: Vec<Attribution>,
    /// Sum of all values.
    pub sum: f64,
    /// Where the channel's relevance went.
    pub ledger: Option<Ledger>,
}

impl ChannelReport {
    /// The channel in words: `positive: for the target`.
    pub fn title(&self) -> String {
        let side = match self.polarity {
            Polarity::For => ": for the target",
            Polarity::Against => ": for its alternatives",
            Polarity::Signed | Polarity::Unsigned => "",
        };
        format!("{}{side}", crate::text::one_line(&self.name))
    }
}

impl MethodReport {
    /// Parameters as `key=value, key=value`, for captions.
    pub fn parameter_line(&self) -> String {
        if !self.brief.is_empty() {
            return self.brief.clone();
        }
        let pairs: Vec<String> =
            self.parameters.iter().map(|(key, value)| format!("{key}={value}")).collect();
        pairs.join(", ")
    }

    /// `players 24, model rows 500, R2 0.93`; nothing without evidence.
    pub fn evidence_line(&self) -> String {
        let pairs: Vec<String> =
            self.evidence.iter().map(|(name, value)| format!("{name} {value}")).collect();
        pairs.join(", ")
    }

    /// False if the values promise no total and belong to places that overlap or repeat, so that their sum says nothing: those
    /// of methods that only ask the model, unless they share a total out.
    pub fn adds_up(&self) -> bool {
        self.expected.is_some() || self.evidence.is_empty()
    }

    /// `|gap| / |expected|`, if both are known and the expected value is not zero.
    pub fn relative_gap(&self) -> Option<f64> {
        let ratio = (self.gap? / self.expected?).abs();
        ratio.is_finite().then_some(ratio)
    }
}

/// Whether an attribution's sign carries meaning; decides the colour map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Polarity {
    /// Positive: for the target. Negative: against it. Drawn with the diverging map.
    #[default]
    Signed,
    /// Only the size counts. Drawn with the sequential map.
    Unsigned,
    /// Never negative, and for the target. Drawn with the positive arm of the diverging map.
    For,
    /// Never negative, and for the target's alternatives. Drawn with the negative arm of the diverging map.
    Against,
}

/// Attribution values of one row and one input, batch axis removed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attribution {
    /// Dimensions. Image: `[channels, height, width]`, `[height, width, channels]` or `[height, width]`;
    /// tokens: `[tokens]` or `[tokens, dim]`; columns: `[columns]`; series: `[channels, length]` or `[length, channels]`
    /// or `[length]`.
    pub shape: Vec<usize>,
    /// Values in row-major order. A value that is not finite is drawn as zero, counted, and reported.
    pub values: Vec<f32>,
    /// Where the channel axis is.
    pub layout: Layout,
}

/// Position of the channel axis of images and series; ignored for other inputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// `[channels, height, width]`, `[channels, length]`.
    #[default]
    ChannelsFirst,
    /// `[height, width, channels]`, `[length, channels]`.
    ChannelsLast,
}

/// Points with two coordinates and a name each.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scatter {
    /// Meaning of the horizontal axis.
    pub x_label: String,
    /// Meaning of the vertical axis.
    pub y_label: String,
    /// The points.
    pub points: Vec<ScatterPoint>,
}

/// One point of a [`Scatter`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScatterPoint {
    /// Name, for example the token.
    pub label: String,
    /// Horizontal coordinate.
    pub x: f64,
    /// Vertical coordinate.
    pub y: f64,
}
