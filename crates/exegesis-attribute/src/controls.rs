//! Controls: what every comparison needs beside the methods.

use exegesis_graph::Builder;

use crate::attributed::{Attributed, Situation};
use crate::error::{Error, Result};
use crate::method::MethodInfo;

/// `random`.
pub const RANDOM: MethodInfo = MethodInfo {
    name: "random",
    summary: "Random numbers, uniform in [-1, 1), that depend on the seed, the row and the cell only: a control. A method \
              that scores no better explains nothing.",
    formula: "A ~ U(-1, 1)",
    cost: "forward",
    misleads: "It is no explanation.",
    citation: "Adebayo et al. (2018), Sanity Checks for Saliency Maps, arXiv 1810.03292",
    parameters: &[],
};

/// `edges`.
pub const EDGES: MethodInfo = MethodInfo {
    name: "edges",
    summary: "The strength of edges in the picture (Sobel): a control that looks like an explanation and knows nothing of \
              the model.",
    formula: "A = sqrt( (S_x * x)^2 + (S_y * x)^2 ) per channel",
    cost: "forward",
    misleads: "It is no explanation.",
    citation: "Adebayo et al. (2018), Sanity Checks for Saliency Maps, arXiv 1810.03292",
    parameters: &[],
};

/// Edges of every explained picture.
///
/// # Errors
/// An input that is no picture.
pub(crate) fn edges(_b: &mut Builder<'_>, _situation: &mut Situation<'_>) -> Result<Attributed> {
    Err(Error::Request("edges is not built".into()))
}
