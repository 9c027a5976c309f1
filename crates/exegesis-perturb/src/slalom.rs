//! SLALOM, the softmax-linked additive log-odds model: a surrogate of transformers with a value and an importance per token
//! (Leemann et al. 2025, arXiv 2405.13536).
//!
//! [`Slalom::explain`] asks about a text and fits; the parts can be used alone: [`queries`] holds what was asked, [`search`] and
//! [`adaptive`] fit, [`closed`] has the closed forms, [`compat`] the fits as published, [`scores`] what a surrogate says of a
//! text, [`quality`] how far to trust it, [`design`] what to ask.

pub mod adaptive;
mod asker;
pub mod closed;
pub mod compat;
mod dense;
pub mod design;
mod explain;
mod options;
pub mod quality;
pub mod queries;
mod report;
mod result;
pub mod scores;
pub mod search;

pub use options::{Design, Fit, INFO, Slalom, Types};
pub use result::{Background, FitLog, Fitted, Pass, Quality, SlalomType, Stop};

/// The players of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// Per player, in the order of the text, its positions (one, or several pieces of a word), ascending.
    pub positions: Vec<Vec<usize>>,
    /// Per player its type, from 0 without gaps: players of a type are equal.
    pub types: Vec<usize>,
    /// True if a text of special tokens only can be scored.
    pub may_be_empty: bool,
}
