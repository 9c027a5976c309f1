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
    /// A text, and the tokens that the model reads it as.
    Text(TextView),
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
            Self::Text(text) => {
                let of = |kind| text.tokens.iter().filter(|t| t.kind == kind).count();
                let (words, special) = (of(TokenKind::Text), of(TokenKind::Special));
                let tokens = crate::text::count(words, "token");
                if special > 0 { format!("{tokens} and {special} special") } else { tokens }
            }
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

/// A text as its author wrote it, and the tokens that the model reads it as.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TextView {
    /// The text.
    pub text: String,
    /// Every position that the model reads, in order.
    pub tokens: Vec<TextToken>,
}

/// A position of a tokenised text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TextToken {
    /// Id in the vocabulary.
    pub id: i64,
    /// What the reader calls it: its part of the text, or its name in the vocabulary.
    pub name: String,
    /// First byte of its part of the text.
    pub start: usize,
    /// Byte after its part of the text; `start` where it stands for no part.
    pub end: usize,
    /// Number of its word in the text.
    pub word: Option<usize>,
    /// What it is there for.
    pub kind: TokenKind,
}

/// What a token is there for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenKind {
    /// It stands for a part of the text.
    #[default]
    Text,
    /// The tokenizer or a template put it there.
    Special,
    /// It fills the row; the model does not look at it.
    Padding,
}

/// A stretch of a text between two borders of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// What is shown.
    pub text: String,
    /// Positions of the tokens that it stands for: none between tokens, several where they share characters.
    pub tokens: Vec<usize>,
    /// What these tokens are there for.
    pub kind: TokenKind,
}

impl TextView {
    /// The whole text in reading order, with special tokens where they stand; padding is left out.
    pub(crate) fn stretches(&self) -> Vec<Stretch> {
        let boundary = |at: usize| self.text.floor_char_boundary(at);
        let part = |start: usize, end: usize| self.text.get(start..end).unwrap_or_default().to_string();
        let mut all: Vec<Stretch> = vec![];
        let mut at = 0;
        for (position, token) in self.tokens.iter().enumerate() {
            let (start, end) = (boundary(token.start), boundary(token.end));
            match (token.kind, start < end) {
                (TokenKind::Padding, _) => {}
                // Characters of several bytes may be several tokens.
                (kind, true) if start < at => {
                    let more = part(at, end.max(at));
                    at = at.max(end);
                    match all.last_mut().filter(|last| !last.tokens.is_empty()) {
                        Some(last) => {
                            last.text.push_str(&more);
                            last.tokens.push(position);
                        }
                        None => all.push(Stretch { text: more, tokens: vec![position], kind }),
                    }
                }
                (kind, true) => {
                    if at < start {
                        let text = part(at, start);
                        all.push(Stretch { text, tokens: vec![], kind: TokenKind::Text });
                    }
                    all.push(Stretch { text: part(start, end), tokens: vec![position], kind });
                    at = end;
                }
                (kind, false) => {
                    all.push(Stretch { text: token.name.clone(), tokens: vec![position], kind });
                }
            }
        }
        if at < self.text.len() {
            all.push(Stretch { text: part(at, self.text.len()), tokens: vec![], kind: TokenKind::Text });
        }
        all
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
