//! Is the map short? No metric of this family asks the model, and a wrong map of one pixel is perfect for all of them: never
//! use one alone.

mod entropy;
mod gini;

pub use entropy::Entropy;
pub use gini::Gini;

use crate::{Entry, metric_entry};

/// The metrics of this family.
pub const ENTRIES: &[Entry] = &[metric_entry!(Gini, gini::INFO), metric_entry!(Entropy, entropy::INFO)];
