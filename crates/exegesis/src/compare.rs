//! Methods against metrics on data: which explanation is better, and how sure that is.
//!
//! * `data`: samples with labels and known evidence.
//! * `contestant`: methods and controls, and the maps that they give.
//! * `subject`: what metrics may ask about one sample.
//! * `run`: the comparison as a whole; `work`: chunk by chunk, sample by sample, method by method, metric by metric; interrupted
//!   work is taken up again from its `journal`.
//! * `record`: the result, as it is saved.

mod contestant;
mod data;
mod journal;
mod record;
mod run;
mod subject;
mod work;

pub use contestant::Control;
pub use data::{DataSet, Sample};
pub use record::{Comparison, Cost, DataSummary, MethodSummary, MetricSummary, SampleSummary};
pub use run::{CompareOptions, Comparer, Progress, modality};
