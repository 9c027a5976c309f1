//! DeepLIFT: multipliers between differences from a baseline (arXiv 1704.02685).

pub mod options;

use exegesis_graph::Builder;

use crate::attributed::{Attributed, Situation};
use crate::error::{Error, Result};

/// Attributions by the rescale rule, against the baseline of the request.
///
/// # Errors
/// A node without a rule, or a baseline that does not fit.
pub(crate) fn attribute(_b: &mut Builder<'_>, _situation: &mut Situation<'_>) -> Result<Attributed> {
    Err(Error::Request("deeplift is not built".into()))
}
