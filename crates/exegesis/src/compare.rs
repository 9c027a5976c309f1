//! Methods against metrics on data: which explanation is better, and how sure that is.
//!
//! * `data`: samples with labels and known evidence.
//! * `builder`: from what a user asks for to a comparison.
//! * `contestant`: methods and controls, and the maps that they give; `saved`: maps from files.
//! * `subject`: what metrics may ask about one sample.
//! * `run`: the comparison as a whole; `work`: chunk by chunk, sample by sample, method by method, metric by metric; interrupted
//!   work is taken up again from its `journal`.
//! * `record`: the result, as it is saved.
//! * `summary`: what it says: intervals, ranks, differences, a verdict.
//! * `page`: both as they are drawn; `save` and `parquet`: as files.

mod builder;
mod contestant;
mod data;
mod journal;
mod page;
mod parquet;
mod record;
mod run;
mod save;
mod saved;
mod subject;
mod summary;
mod usual;
mod work;

pub use builder::{ComparerBuilder, list, unique};
pub use contestant::Control;
pub use data::{DataSet, Sample};
pub use page::report;
pub use record::{Comparison, Cost, DataSummary, MethodSummary, MetricSummary, SampleSummary};
pub use run::{CompareOptions, Comparer, Progress, situation};
pub use save::{check_save, json_value, short_json, stage};
pub use saved::Saved;
pub use summary::{Cell, Flip, MeanCurve, Order, Pair, SIGNIFICANT, Summary};
pub use usual::usual_metrics;
