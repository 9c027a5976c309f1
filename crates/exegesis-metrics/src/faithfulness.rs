//! Does what is marked matter to the model?

mod average_drop;
mod correlation;
mod estimate;
mod grid;
mod groups;
mod infidelity;
mod insertion_deletion;
mod monotonicity;
mod multi_removal;
mod pixel_flipping;
mod rationale;
mod regions;
mod road;
mod soft;
mod subset_correlation;
mod subsets;

pub use average_drop::{AverageDrop, AverageGain, AverageIncrease};
pub use correlation::{kendall, pearson, spearman};
pub use estimate::FaithfulnessEstimate;
pub use grid::{Grid, trapezoid};
pub use infidelity::Infidelity;
pub use insertion_deletion::{Deletion, Insertion};
pub use monotonicity::{Monotonicity, MonotonicityCorrelation};
pub use multi_removal::MultiRemoval;
pub use pixel_flipping::{AreaBetweenCurves, LeastFirst, MostFirst};
pub use rationale::{Comprehensiveness, Sufficiency};
pub use regions::{Irof, RegionPerturbation, Selectivity};
pub use road::Road;
pub use soft::{SoftNecessity, SoftSufficiency};
pub use subset_correlation::{FaithfulnessCorrelation, SensitivityN};

use crate::{Entry, metric_entry};

/// The metrics of this family.
pub const ENTRIES: &[Entry] = &[
    metric_entry!(Insertion, insertion_deletion::INSERTION),
    metric_entry!(Deletion, insertion_deletion::DELETION),
    metric_entry!(MostFirst, pixel_flipping::MORF),
    metric_entry!(LeastFirst, pixel_flipping::LERF),
    metric_entry!(AreaBetweenCurves, pixel_flipping::ABPC),
    metric_entry!(RegionPerturbation, regions::REGIONS),
    metric_entry!(Irof, regions::IROF),
    metric_entry!(Road, road::INFO),
    metric_entry!(FaithfulnessCorrelation, subset_correlation::CORRELATION),
    metric_entry!(FaithfulnessEstimate, estimate::INFO),
    metric_entry!(Monotonicity, monotonicity::MONOTONICITY),
    metric_entry!(MonotonicityCorrelation, monotonicity::CORRELATION),
    metric_entry!(Infidelity, infidelity::INFO),
    metric_entry!(SensitivityN, subset_correlation::SENSITIVITY),
    metric_entry!(Selectivity, regions::SELECTIVITY),
    metric_entry!(MultiRemoval, multi_removal::INFO),
    metric_entry!(Comprehensiveness, rationale::COMPREHENSIVENESS),
    metric_entry!(Sufficiency, rationale::SUFFICIENCY),
    metric_entry!(SoftSufficiency, soft::SUFFICIENCY),
    metric_entry!(SoftNecessity, soft::NECESSITY),
    metric_entry!(AverageDrop, average_drop::DROP),
    metric_entry!(AverageIncrease, average_drop::INCREASE),
    metric_entry!(AverageGain, average_drop::GAIN),
];
