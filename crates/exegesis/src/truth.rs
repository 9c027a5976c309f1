//! Suites with known answers: what methods say of models whose evidence is known, against that evidence.
//!
//! * `training`: the samples that the models of the suites learn from, as a file.

mod training;

pub use training::training_data;
