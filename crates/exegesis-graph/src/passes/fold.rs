//! Constant folding.

use rustc_hash::FxHashSet;

use super::infer::ShapeInference;
use super::splice::Splice;
use crate::{DType, Error, ErrorKind, Evaluator, Graph, Node, NodeId, Op, Result, Tensor, ValueId};

/// How large a folded constant may be.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldLimits {
    /// Elements that any result may have, however small its operands (`Range`, `Expand`, `ConstantOfShape`).
    pub free_elements: usize,
    /// A larger result may have at most this many times the elements of its operands together.
    pub growth: usize,
    /// Elements that no result may exceed.
    pub max_elements: usize,
}

impl Default for FoldLimits {
    fn default() -> Self {
        Self { free_elements: 1 << 16, growth: 1, max_elements: 1 << 31 }
    }
}

impl FoldLimits {
    fn allow(&self, operands: usize, result: usize) -> bool {
        result <= self.max_elements
            && (result <= self.free_elements || result <= operands.saturating_mul(self.growth))
    }
}

/// Replaces what does not depend on the inputs by constants: integer values that shape inference knows (`Shape` of a
/// static tensor and what is computed from it), then every node whose operands are constant, all of them in one call of
/// `evaluator`. Composites among them are expanded for the evaluator first. Opaque operators and control flow are kept,
/// and so is what `limits` exclude. The bodies of control flow are folded too. Returns the number of nodes replaced.
///
/// A node that the evaluator can't compute stays as it is: it may never be reached, and if it is, the runtime that
/// reaches it says why.
///
/// # Errors
/// An ill-typed or ill-shaped graph.
pub fn fold(graph: &mut Graph, evaluator: &dyn Evaluator, limits: &FoldLimits) -> Result<usize> {
    let mut inference = ShapeInference::new();
    inference.run(graph)?;
    let mut count = fold_known(graph, &mut inference, limits)?;
    count += fold_evaluated(graph, evaluator, limits)?;
    Ok(count)
}

/// Integers that inference followed.
fn fold_known(graph: &mut Graph, inference: &mut ShapeInference, limits: &FoldLimits) -> Result<usize> {
    let mut count = 0;
    for id in graph.topological_order()? {
        let node = graph.node(id);
        if matches!(node.op, Op::Opaque(_)) || !node.op.subgraphs().is_empty() {
            continue;
        }
        let outputs: Vec<ValueId> = node.outputs.iter().flatten().copied().collect();
        let tensors: Option<Vec<Tensor>> = outputs.iter().map(|v| inference.constant(graph, *v)).collect();
        let Some(tensors) = tensors.filter(|t| !t.is_empty()) else { continue };
        if tensors.iter().any(|t| !limits.allow(t.len(), t.len())) {
            continue;
        }
        for (output, tensor) in outputs.into_iter().zip(tensors) {
            graph.set_constant(output, tensor);
        }
        graph.remove_node(id);
        count += 1;
    }
    Ok(count)
}

fn fold_evaluated(graph: &mut Graph, evaluator: &dyn Evaluator, limits: &FoldLimits) -> Result<usize> {
    let mut count = 0;
    for id in graph.nodes().map(|(id, _)| id).collect::<Vec<_>>() {
        for body in graph.node_mut(id).op.subgraphs_mut() {
            count += fold_evaluated(&mut body.graph, evaluator, limits)?;
        }
    }
    let candidates = constant_nodes(graph, limits)?;
    if candidates.is_empty() {
        return Ok(count);
    }
    match evaluate(graph, &candidates, evaluator) {
        Ok(()) => Ok(count + candidates.len()),
        // One node that the evaluator lacks must not keep the others from being folded.
        Err(_) => {
            for id in candidates {
                let operands_known =
                    graph.node(id).inputs.iter().flatten().all(|v| graph.constant(*v).is_some());
                if operands_known && evaluate(graph, &[id], evaluator).is_ok() {
                    count += 1;
                }
            }
            Ok(count)
        }
    }
}

/// Nodes whose operands are constants or results of such nodes, in topological order.
fn constant_nodes(graph: &Graph, limits: &FoldLimits) -> Result<Vec<NodeId>> {
    let mut known: FxHashSet<ValueId> = FxHashSet::default();
    let mut nodes = vec![];
    for id in graph.topological_order()? {
        let node = graph.node(id);
        let constant = |v: &ValueId| known.contains(v) || graph.constant(*v).is_some();
        let operands: Vec<ValueId> = node.inputs.iter().flatten().copied().collect();
        if !operands.is_empty() && operands.iter().all(constant) && can_fold(graph, node, limits) {
            known.extend(node.outputs.iter().flatten());
            nodes.push(id);
        }
    }
    Ok(nodes)
}

fn can_fold(graph: &Graph, node: &Node, limits: &FoldLimits) -> bool {
    if matches!(node.op, Op::Opaque(_)) || !node.op.subgraphs().is_empty() {
        return false;
    }
    let numeric = |v: &ValueId| graph.value(*v).dtype.is_some_and(|t| t != DType::String);
    let size = |v: &ValueId| {
        let shape = graph.value(*v).shape.as_ref()?;
        shape.iter().try_fold(1usize, |n, d| n.checked_mul(d.fixed()?))
    };
    let operands: usize = node.inputs.iter().flatten().filter_map(size).fold(0, usize::saturating_add);
    let mut results = node.outputs.iter().flatten();
    node.inputs.iter().flatten().all(numeric)
        && results.all(|v| {
            let known = size(v);
            // Results of data-dependent size are at most as large as what they are made of.
            let bounded = matches!(node.op, Op::NonZero(_) | Op::Compress(_) | Op::Unique(_));
            numeric(v) && known.map_or(bounded, |n| limits.allow(operands, n))
        })
}

/// Evaluates `nodes` (in topological order) in one go and replaces them by constants.
fn evaluate(graph: &mut Graph, nodes: &[NodeId], evaluator: &dyn Evaluator) -> Result<()> {
    let folded: FxHashSet<NodeId> = nodes.iter().copied().collect();
    let mut needed: FxHashSet<ValueId> = graph.outputs.iter().copied().collect();
    for (id, node) in graph.nodes() {
        if !folded.contains(&id) {
            needed.extend(node.inputs.iter().flatten());
        }
    }
    let mut part = Graph::new("constants");
    let mut splice = Splice::new(graph);
    let mut results = vec![];
    for id in nodes {
        splice.node(&mut part, *id)?;
        for output in graph.node(*id).outputs.iter().flatten().filter(|v| needed.contains(v)) {
            results.push(*output);
            let copy = splice.value(&mut part, *output);
            part.outputs.push(copy);
        }
    }
    super::expand::expand(&mut part, &|_| true)?;
    ShapeInference::new().run(&mut part)?;
    let tensors = if part.outputs.is_empty() { vec![] } else { evaluator.evaluate(&part)? };
    if tensors.len() != results.len() {
        return Err(wrong(format!("{} values were asked for but {} returned", results.len(), tensors.len())));
    }
    for (value, tensor) in results.iter().zip(&tensors) {
        let expected = graph.value(*value).dtype;
        if expected.is_some_and(|t| t != tensor.dtype()) {
            let name = &graph.value(*value).name;
            return Err(wrong(format!("\"{name}\" came back as {}", tensor.dtype())));
        }
    }
    for id in nodes {
        graph.remove_node(*id);
    }
    for (value, tensor) in results.into_iter().zip(tensors) {
        graph.set_constant(value, tensor);
    }
    Ok(())
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Evaluation, format!("constant folding: {message}"))
}
