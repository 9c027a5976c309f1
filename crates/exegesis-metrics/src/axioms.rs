//! Does the map keep its promises?

mod completeness;
mod invariance;
mod sensitivity;

pub use completeness::{Against, Completeness};
pub use invariance::{ImplementationInvariance, InputInvariance};
pub use sensitivity::NonSensitivity;

use crate::{Entry, metric_entry};

/// The metrics of this family.
pub const ENTRIES: &[Entry] = &[
    metric_entry!(Completeness, completeness::INFO),
    metric_entry!(NonSensitivity, sensitivity::INFO),
    metric_entry!(InputInvariance, invariance::INPUT),
    metric_entry!(ImplementationInvariance, invariance::IMPLEMENTATION),
];
