//! From any graph of the vocabulary to one that rten runs.

use exegesis_graph::Graph;

use crate::Result;

/// A graph that rten runs.
pub(crate) struct Lowered {
    pub graph: Graph,
    /// Value of the lowered graph for each output of the original.
    pub outputs: Vec<String>,
    /// Conversions, for the user.
    pub notes: Vec<String>,
}

/// Lowers `graph`.
pub(crate) fn lower(graph: Graph) -> Result<Lowered> {
    let outputs = graph.outputs.iter().map(|id| graph.value(*id).name.clone()).collect();
    Ok(Lowered { graph, outputs, notes: vec![] })
}
