//! Samples whose evidence is known, because they are made.
//!
//! Pictures with a pattern on noise ([`pictures`]), series with an event ([`series`]), texts of words with known weights
//! ([`texts`]), and exact Shapley values of any small game ([`enumeration`]). Everything is drawn by seed and number of the
//! sample alone. Models that learn from these samples, and the comparison with what methods say of them, live in `exegesis`.

pub mod enumeration;
pub mod pictures;
pub mod series;
pub mod texts;

use exegesis_perturb::random::{RowKey, Stream};

/// A sample of numbers, its class, and which numbers say so.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// The numbers, row by row.
    pub values: Vec<f64>,
    /// Per number whether it is evidence.
    pub evidence: Vec<bool>,
    /// The class.
    pub class: usize,
}

/// Which part of the endless set a sample is from. Parts share no random number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Models are fitted on it.
    Training,
    /// What is chosen is chosen on it.
    Validation,
    /// Methods are judged on it.
    Test,
}

impl Part {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// Random numbers of sample number `sample` for `purpose`.
    fn stream(self, seed: u64, purpose: &str, sample: u64) -> Stream {
        Stream::new(RowKey { seed, row: sample }, &format!("truth {purpose} {}", self.name()), 0)
    }
}

/// `values / ||values||_2`, unchanged where all are 0.
fn unit(values: &[f64]) -> Vec<f64> {
    let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
    let scale = if norm > 0.0 { norm.recip() } else { 1.0 };
    values.iter().map(|v| v * scale).collect()
}
