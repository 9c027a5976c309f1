//! Is the map short? A wrong map of one pixel is perfect for every metric of this family: never use one alone.

mod effective;
mod entropy;
mod gini;

pub use effective::{Counted, EffectiveComplexity};
pub use entropy::Entropy;
pub use gini::Gini;

use crate::{Entry, metric_entry};

/// The metrics of this family.
pub const ENTRIES: &[Entry] = &[
    metric_entry!(Gini, gini::INFO),
    metric_entry!(Entropy, entropy::INFO),
    metric_entry!(EffectiveComplexity, effective::INFO),
];
