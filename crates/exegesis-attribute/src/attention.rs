//! Methods that read attention weights: raw, rollout, gradient-weighted rollout.

pub mod options;

use exegesis_graph::Builder;

use crate::attributed::{Attributed, Situation};
use crate::error::{Error, Result};
use crate::method::Method;

/// The map of `method`, one of `attention`, `attention-rollout` and `grad-rollout`, on every explained input.
///
/// # Errors
/// A model without attention.
pub(crate) fn attribute(
    _b: &mut Builder<'_>,
    _situation: &mut Situation<'_>,
    method: &Method,
) -> Result<Attributed> {
    Err(Error::Request(format!("{} is not built", method.name())))
}
