//! From any graph of the vocabulary to one that ONNX Runtime runs.
//!
//! ONNX Runtime has nearly all standard operators and their types, so that little is replaced: composites become their steps,
//! what it runs in another way than the standard says is written in another form, and what would end the process or take all
//! memory gets a guard.

use std::sync::Arc;

use exegesis_graph::passes::expand::expand;
use exegesis_graph::passes::infer::ShapeInference;
use exegesis_graph::passes::{branches, dead_code};
use exegesis_graph::{Graph, Tensor};

use super::{division, forms, weave};
use crate::lower::{self, Guard};
use crate::{Limits, Result, WorkLimit};

/// A graph that ONNX Runtime runs.
pub(super) struct Lowered {
    pub graph: Graph,
    /// Value of the lowered graph for each output of the original.
    pub outputs: Vec<String>,
    /// Constants that inputs have when the caller feeds none, by position.
    pub defaults: Vec<Option<Arc<Tensor>>>,
    /// Nodes that fail where the data ask for too much.
    pub guards: Vec<Guard>,
}

/// Lowers `graph`, whose types have been inferred.
///
/// # Errors
/// Nodes that can't be run as the standard means them, all named; a graph that is not well-formed.
pub(super) fn lower(mut graph: Graph, limits: Limits) -> Result<Lowered> {
    let inputs = graph.inputs.clone();
    // What is fed decides the value of such an input; a constant would be folded.
    let defaults = inputs.into_iter().map(|id| graph.value_mut(id).constant.take()).collect();
    branches::resolve_known(&mut graph)?;
    if expand(&mut graph, &|_| true)? > 0 {
        ShapeInference::new().run(&mut graph)?;
    }
    forms::settle(&mut graph)?;
    let mut guards = match limits.memory {
        Some(memory) => lower::extents::bound(&mut graph, memory)?,
        None => vec![],
    };
    if limits.work == WorkLimit::Fitting {
        guards.extend(lower::trips::bound(&mut graph)?);
    }
    division::guard(&mut graph)?;
    weave::rewrite(&mut graph)?;
    dead_code::eliminate(&mut graph);
    let outputs = lower::settle_outputs(&mut graph)?;
    Ok(Lowered { graph, outputs, defaults, guards })
}
