//! What is said of loops that are no recognised recurrent layer (specification 2.2): their products stay products.

use exegesis_graph::{Graph, Op, ValueId};
use rustc_hash::FxHashSet;

use crate::Result;
use crate::walk::{AppliedRule, carriers};

/// Names of the loops between `roots` and `output`, and of the nodes in their bodies.
///
/// # Errors
/// A cyclic graph.
pub fn nodes_of_loops(graph: &Graph, roots: &[ValueId], output: ValueId) -> Result<FxHashSet<String>> {
    let carrying = carriers(graph, roots, &[output])?;
    let mut names = FxHashSet::default();
    for (_, node) in graph.nodes() {
        let on_path = node.outputs.iter().flatten().any(|o| carrying.contains(o));
        if on_path && matches!(node.op, Op::Loop(_) | Op::Scan(_)) {
            names.insert(node.name.clone());
            bodies(&node.op, &mut names);
        }
    }
    Ok(names)
}

fn bodies(op: &Op, names: &mut FxHashSet<String>) {
    for body in op.subgraphs() {
        for (_, node) in body.graph.nodes() {
            names.insert(node.name.clone());
            bodies(&node.op, names);
        }
    }
}

/// A remark if products of two values inside those loops were shared half and half: in a recurrent cell that was not
/// recognised they would be products of a gate.
pub fn note(rules: &[AppliedRule], looped: &FxHashSet<String>) -> Option<String> {
    let mut names: Vec<&str> = rules
        .iter()
        .filter(|r| r.op == "Mul" && r.rule == "halves" && looped.contains(&r.node))
        .map(|r| r.node.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    let shown = names.iter().take(3).map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ");
    let more = if names.len() > 3 { format!(" and {} more", names.len() - 3) } else { String::new() };
    (!names.is_empty()).then(|| {
        format!(
            "products of two values in a loop that is no recognised recurrent cell were shared half and half: {shown}{more}; \
             mul=gate treats them as gates"
        )
    })
}
