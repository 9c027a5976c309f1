//! Does what is marked matter to the model?

mod grid;
mod insertion_deletion;
mod pixel_flipping;

pub use grid::{Grid, trapezoid};
pub use insertion_deletion::{Deletion, Insertion};
pub use pixel_flipping::{AreaBetweenCurves, LeastFirst, MostFirst};

use crate::{Entry, metric_entry};

/// The metrics of this family.
pub const ENTRIES: &[Entry] = &[
    metric_entry!(Insertion, insertion_deletion::INSERTION),
    metric_entry!(Deletion, insertion_deletion::DELETION),
    metric_entry!(MostFirst, pixel_flipping::MORF),
    metric_entry!(LeastFirst, pixel_flipping::LERF),
    metric_entry!(AreaBetweenCurves, pixel_flipping::ABPC),
];
