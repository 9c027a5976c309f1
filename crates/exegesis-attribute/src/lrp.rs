//! Layer-wise relevance propagation: rules, and composites that say which layer gets which.

pub mod epsilon;
pub mod options;

use exegesis_graph::{Graph, ValueId};

use crate::error::{Error, Result};
use crate::rule::RuleSet;
use options::Lrp;

/// The rules of the composite for `graph`, walked from `output` back to `roots`.
///
/// # Errors
/// A composite that does not fit the model.
pub(crate) fn rules(
    _options: &Lrp,
    _graph: &Graph,
    _roots: &[ValueId],
    _output: ValueId,
) -> Result<Box<dyn RuleSet>> {
    Err(Error::Request("lrp is not built".into()))
}
