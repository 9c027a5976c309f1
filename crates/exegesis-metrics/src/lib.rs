//! How good an attribution is.
//!
//! A [`Metric`] judges the [`Map`] that a method gave for one sample. It asks a [`Bench`] what the model says of changed
//! versions of the sample; the bench asks the [`Subject`] (the model, or anything that predicts) each question once, whichever
//! metrics and methods share it. Every metric has a defining formula, a direction, and an analytic check in its tests.
//!
//! One module per family: [`faithfulness`] (does what is marked matter?), [`msi`] (is it enough, and no more than that?),
//! [`robustness`] (does it stay when nothing changes?), [`complexity`] (is it short?), [`randomisation`] (does it depend on the
//! model?), [`axioms`] (does it keep its promises?), [`localisation`] (does it agree with a known truth?). What is said of many
//! samples and methods together is in [`statistics`].
//!
//! What does not live here: running models, reading data, files and pictures.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod axioms;
mod bench;
pub mod complexity;
mod error;
pub mod faithfulness;
mod features;
mod info;
pub mod localisation;
mod map;
mod metric;
pub mod msi;
pub mod operator;
pub mod order;
mod outcome;
pub mod randomisation;
pub(crate) mod reading;
pub mod robustness;
pub mod statistics;
mod subject;
pub mod truth;

pub use bench::Bench;
pub use error::{Error, Result};
pub use features::{Features, Modality};
pub use info::{Direction, Family, MetricInfo};
pub use map::Map;
pub use metric::{Entry, Metric, Question, View, catalogue, parse, plan};
pub use operator::{Operator, OperatorChoice, ScoreForm};
pub use outcome::{Curve, Outcome};
pub use subject::{Answer, Moved, Randomisation, Subject};
