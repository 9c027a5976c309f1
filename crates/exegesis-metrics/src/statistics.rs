//! What is said of many samples and methods together.
//!
//! * `bootstrap`: means with intervals, paired differences, corrected p-values.
//! * `ranks`: who is first for one metric, and over metrics and families.
//! * `agreement`: do metrics agree about that?
//!
//! Whoever asks gives oriented values where an order is meant ([`crate::Direction::oriented`]): larger is better. A value that
//! is missing is `None` and is never counted as 0.

mod agreement;
mod bootstrap;
mod ranks;

pub use agreement::{DISAGREEMENT, flips, kendall_tau, kendall_w};
pub use bootstrap::{
    DRAWS, Difference, Estimate, Interval, bootstrap_with, estimate, holm, median, paired, percentile,
    resamples,
};
pub use ranks::{Spread, Standing, mid_ranks, probability_first, spread, standings};
