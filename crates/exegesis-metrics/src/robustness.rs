//! Does the map stay where nothing changes? Each metric of this family asks the method again at the same neighbours of the
//! sample. A map that is the same everywhere is perfectly stable: never use one alone.

mod lipschitz;
mod neighbours;
mod relative;
mod sensitivity;

pub use lipschitz::LocalLipschitz;
pub(crate) use neighbours::method;
pub use neighbours::{Neighbours, Noise};
pub use relative::{RelativeInput, RelativeOutput, RelativeRepresentation};
pub use sensitivity::{AverageSensitivity, MaxSensitivity};

use crate::{Entry, metric_entry};

/// The metrics of this family.
pub const ENTRIES: &[Entry] = &[
    metric_entry!(MaxSensitivity, sensitivity::MAX),
    metric_entry!(AverageSensitivity, sensitivity::AVERAGE),
    metric_entry!(LocalLipschitz, lipschitz::INFO),
    metric_entry!(RelativeInput, relative::INPUT),
    metric_entry!(RelativeOutput, relative::OUTPUT),
    metric_entry!(RelativeRepresentation, relative::REPRESENTATION),
];
