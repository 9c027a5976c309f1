//! LRP for transformers: AttnLRP (arXiv 2402.05602) and CP-LRP (arXiv 2202.07304).

pub mod options;

use exegesis_graph::Graph;

use crate::error::{Error, Result};
use crate::rule::RuleSet;
use options::{AttnLrp, CpLrp};

/// The rules of AttnLRP.
///
/// # Errors
/// A model that they do not fit.
pub(crate) fn attn_rules(_options: &AttnLrp, _graph: &Graph) -> Result<Box<dyn RuleSet>> {
    Err(Error::Request("attn-lrp is not built".into()))
}

/// The rules of CP-LRP.
///
/// # Errors
/// A model that they do not fit.
pub(crate) fn cp_rules(_options: &CpLrp, _graph: &Graph) -> Result<Box<dyn RuleSet>> {
    Err(Error::Request("cp-lrp is not built".into()))
}
