//! Constant folding by rten.

use exegesis_graph::{Evaluator, Graph, Result, Tensor};

use super::RtenRuntime;
use crate::{LoadOptions, Runtime};

impl Evaluator for RtenRuntime {
    /// Values of the outputs of a graph without inputs.
    ///
    /// # Errors
    /// A node that rten can't run, or a type that it would have to narrow: integers that do not fit 32 bits, and any
    /// float64. The caller then keeps the nodes as they are; a folded value is never a rounded one.
    fn evaluate(&self, graph: &Graph) -> Result<Vec<Tensor>> {
        let program = self.load(graph.clone(), &LoadOptions::default())?;
        Ok(program.run_all(&[])?)
    }
}
