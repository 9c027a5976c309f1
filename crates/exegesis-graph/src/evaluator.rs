//! What constant folding asks of a runtime.

use crate::{Graph, Result, Tensor};

/// Runs a graph that has no inputs and returns its outputs in order.
///
/// Implemented by the runtime crate (embedded kernels) and by the reference evaluator of the tests. `graph` holds only
/// standard operators of the canonical opset, no composites.
pub trait Evaluator {
    /// Values of `graph.outputs`, with the dtypes that `graph` declares for them.
    fn evaluate(&self, graph: &Graph) -> Result<Vec<Tensor>>;
}
