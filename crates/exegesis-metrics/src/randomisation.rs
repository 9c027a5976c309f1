//! Does the map depend on the model? Each metric of this family explains a model whose parameters are random, or another class.
//! A map that looks the same then says nothing about the model.

mod cascade;
mod logit;
mod parameters;
mod similarity;
mod spread;

pub use cascade::{Cascade, Order, Parameters};
pub use logit::RandomLogit;
pub use parameters::{Mprt, SmoothMprt};
pub use similarity::{Similarity, spearman, ssim};
pub use spread::EfficientMprt;

use crate::{Entry, metric_entry};

/// The metrics of this family.
pub const ENTRIES: &[Entry] = &[
    metric_entry!(Mprt, parameters::MPRT),
    metric_entry!(SmoothMprt, parameters::SMOOTH),
    metric_entry!(EfficientMprt, spread::INFO),
    metric_entry!(RandomLogit, logit::INFO),
];
