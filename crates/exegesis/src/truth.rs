//! Suites with known answers: what methods say of models whose evidence is known, against that evidence.
//!
//! * `suite`: the suites and their cases, each a model with samples and what is known of them.
//! * `networks`: networks whose weights are set by hand.
//! * `learnt`: networks that learnt pictures and series with planted evidence, and planted shortcuts.
//! * `texts`: texts whose score is a formula.
//! * `run`: methods through suites.
//! * `values`: a map against exact values.
//! * `record`: the result, as it is saved, and what it says in words.
//! * `training`: the samples that the models of the suites learn from, as a file.

mod learnt;
mod networks;
mod record;
mod run;
mod suite;
mod texts;
mod training;
mod values;

pub use record::{CaseResult, Measure, MethodScores, TruthReport, Verdict};
pub use run::{Progress, TruthOptions, run, run_on};
pub use suite::Suite;
pub use training::training_data;
