//! Named rewriting passes.
//!
//! Each submodule is one pass: a function from a graph to a changed graph that computes the same outputs. [`prepare`]
//! runs those that every imported model goes through.

pub mod branches;
pub mod common_subexpressions;
pub mod dead_code;
pub mod expand;
pub mod fold;
pub mod fold_batch_norm;
pub mod infer;
pub mod loop_invariants;
pub mod print;
pub mod quantization;
pub mod raise;
mod recurrent;
pub mod roll;
pub mod specialise;
mod splice;
pub mod step_maps;
pub mod unroll;

use crate::{Evaluator, Graph, Result};

/// Prepares an imported graph: shapes and types, resolved branches, values that loops only hand on taken out of them,
/// folded constants, recognised composites, one node for equal computations, nothing unused. `observer` sees the graph
/// after each pass with the pass's name: `infer`, `branches`, `fold`, `raise`, `common-subexpressions`, `dead-code`.
///
/// # Errors
/// An ill-typed or ill-shaped graph.
pub fn prepare(
    graph: &mut Graph,
    evaluator: &dyn Evaluator,
    observer: &mut dyn FnMut(&str, &Graph),
) -> Result<()> {
    infer::ShapeInference::new().run(graph)?;
    observer("infer", graph);
    branches::resolve(graph)?;
    observer("branches", graph);
    // Weights that a loop carries are constants of its body only then, and what is made of them can be folded.
    loop_invariants::hoist(graph)?;
    let limits = fold::FoldLimits::default();
    // A folded condition resolves a branch, which may hold more to fold. Each round removes nodes, so there is an end.
    while fold::fold(graph, evaluator, &limits)? > 0 && branches::resolve(graph)? > 0 {}
    infer::ShapeInference::new().run(graph)?;
    observer("fold", graph);
    raise::raise(graph)?;
    observer("raise", graph);
    common_subexpressions::merge(graph);
    observer("common-subexpressions", graph);
    dead_code::eliminate(graph);
    observer("dead-code", graph);
    Ok(())
}
