//! Inputs as the reader should see them.

use serde::{Deserialize, Serialize};

/// One explained input of a row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportInput {
    /// Name of the graph input.
    pub name: String,
    /// The input as the reader should see it.
    pub view: InputView,
}

/// An input in the form that suits its kind. Values are those before preprocessing where the reader knows them better.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum InputView {
    /// A picture.
    Image(ImageView),
    /// A token sequence.
    Tokens {
        /// Token ids `[tokens]`.
        ids: Vec<i64>,
        /// Token texts `[tokens]` as the reader should see them (tokenizer markers such as `##` already resolved).
        texts: Option<Vec<String>>,
    },
    /// One row of a table.
    Columns {
        /// Column names `[columns]`.
        names: Vec<String>,
        /// Cell values as text `[columns]`; numbers formatted by the caller or by [`InputView::columns`].
        values: Vec<String>,
    },
    /// A time series.
    Series {
        /// Channel names `[channels]`.
        channels: Vec<String>,
        /// Number of time steps.
        length: usize,
        /// Values `[channels, length]`, channel by channel.
        values: Vec<f32>,
    },
    /// Anything else: drawn as a strip.
    Other {
        /// Dimensions without the batch axis.
        shape: Vec<usize>,
        /// Values in row-major order; may be empty if only the attribution should be shown.
        values: Vec<f32>,
    },
}

impl Default for InputView {
    fn default() -> Self {
        Self::Other { shape: Vec::new(), values: Vec::new() }
    }
}

impl InputView {
    /// A table row with numeric cells, written with at most six significant digits.
    pub fn columns(names: Vec<String>, values: &[f64]) -> Self {
        let values = values.iter().map(|v| crate::text::number_with(*v, 6)).collect();
        Self::Columns { names, values }
    }

    /// The kind in one word, and its size: `image 224x224, 3 channels`, `12 tokens`.
    pub fn summary(&self) -> String {
        match self {
            Self::Image(image) => {
                let channels = if image.channels == 1 { "grey" } else { "RGB" };
                format!("image {}x{}, {channels}", image.width, image.height)
            }
            Self::Tokens { ids, .. } => format!("{} tokens", ids.len()),
            Self::Columns { names, .. } => format!("{} columns", names.len()),
            Self::Series { channels, length, .. } => {
                format!("series, {} channels x {length} steps", channels.len())
            }
            Self::Other { shape, .. } => {
                let dims: Vec<String> = shape.iter().map(usize::to_string).collect();
                format!("array [{}]", dims.join(", "))
            }
        }
    }
}

/// A picture of 8-bit samples.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageView {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// 1 (grey) or 3 (red, green, blue interleaved).
    pub channels: usize,
    /// Samples `[height, width, channels]`.
    pub pixels: Vec<u8>,
}
