//! The lowered graph as the ONNX message and weight buffer that rten loads.

use exegesis_graph::Graph;

use crate::{Error, ErrorKind, Result};

/// The message, and the constants that it refers to.
pub(super) struct Split {
    pub model: Vec<u8>,
    pub weights: Vec<u8>,
}

/// Encodes `graph`; constants of at least `min_bytes` go into the weights, called `location`.
pub(super) fn encode(_graph: &Graph, _location: &str, _min_bytes: usize) -> Result<Split> {
    Err(Error::new(ErrorKind::NotBuilt, "the ONNX writer is not part of this build"))
}
