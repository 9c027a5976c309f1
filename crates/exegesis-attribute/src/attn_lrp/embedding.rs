//! Where the embedding of a token is complete: positions and types that are added to it before the first layer count as the
//! token's own, so that its relevance is that of the whole sum (arXiv 2202.07304, section 3).

use exegesis_graph::op::{Binary, Unary};
use exegesis_graph::{Graph, Op, ValueId};

use crate::Result;
use crate::walk::carriers;

/// Per root, the last sum of it and of values that do not depend on any root, scaled by constants in between or not; the root
/// itself where there is none, or where something else reads it too.
///
/// # Errors
/// The graph has a cycle.
pub fn completed(graph: &Graph, roots: &[ValueId], output: ValueId) -> Result<Vec<(ValueId, ValueId)>> {
    let carrying = carriers(graph, roots, &[output])?;
    let consumers = graph.consumers();
    let mut pairs = vec![];
    for root in roots {
        let (mut end, mut value) = (*root, *root);
        let is_look_up = !graph.inputs.contains(root);
        while is_look_up && value != output {
            let readers: Vec<_> = consumers[value.index()]
                .iter()
                .map(|id| graph.node(*id))
                .filter(|n| n.outputs.iter().flatten().any(|o| carrying.contains(o)))
                .collect();
            let &[node] = readers.as_slice() else { break };
            let lone = node.inputs.iter().flatten().filter(|v| carrying.contains(v)).count() == 1;
            let Some(next) = node.output(0).filter(|next| lone && is_alike(graph, value, *next)) else {
                break;
            };
            let is_sum = matches!(node.op, Op::Binary(Binary::Add));
            let scales = match &node.op {
                Op::Binary(Binary::Mul) | Op::Unary(Unary::Identity) | Op::Cast(_) => true,
                Op::Binary(Binary::Div) => node.input(0) == Some(value),
                _ => false,
            };
            if !is_sum && !scales {
                break;
            }
            value = next;
            if is_sum {
                end = next;
            }
        }
        pairs.push((*root, end));
    }
    Ok(pairs)
}

/// True if both are known to have the same shape and are real numbers.
fn is_alike(graph: &Graph, a: ValueId, b: ValueId) -> bool {
    let (a, b) = (graph.value(a), graph.value(b));
    a.shape.is_some() && a.shape == b.shape && b.dtype.is_some_and(|t| t.is_float())
}
