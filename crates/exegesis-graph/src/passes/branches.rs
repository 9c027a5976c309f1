//! Resolution of `If` with a constant condition, and removal of `Identity`.

use rustc_hash::FxHashMap;

use super::infer::ShapeInference;
use super::splice::Splice;
use crate::op::Unary;
use crate::{Graph, NodeId, Op, Result, Subgraph, ValueId};

/// Puts the taken branch of every `If` with a constant condition in its place, with what it captures substituted, and
/// removes `Identity` nodes; also inside bodies. The names of graph outputs stay. Returns the number of nodes resolved.
///
/// # Errors
/// A cycle, or a branch that does not fit its node.
pub fn resolve(graph: &mut Graph) -> Result<usize> {
    let mut count = 0;
    let mut pending: Vec<NodeId> = graph.nodes().map(|(id, _)| id).collect();
    while let Some(id) = pending.pop() {
        let Some(node) = graph.get_node(id) else { continue };
        let condition = node.input(0).and_then(|c| graph.constant(c)).and_then(|t| t.single());
        if let (Op::If(_), Some(condition)) = (&node.op, condition) {
            let name = node.source_name().to_string();
            let made = inline(graph, id, condition != 0.0).map_err(|e| e.at(name))?;
            pending.extend(made);
            count += 1;
        } else {
            for body in graph.node_mut(id).op.subgraphs_mut() {
                count += resolve(&mut body.graph)?;
            }
        }
    }
    Ok(count + remove_identities(graph)?)
}

/// As [`resolve`], where a condition follows from sizes that are known, such as a test of a rank. What is not taken need
/// not fit those sizes, and may then be more than the rewriting of bodies can bear. Conditions inside bodies are left.
/// Returns the number of nodes resolved.
///
/// # Errors
/// As [`resolve`]; an ill-typed or ill-shaped graph.
pub fn resolve_known(graph: &mut Graph) -> Result<usize> {
    let mut count = 0;
    while graph.nodes().any(|(_, node)| matches!(node.op, Op::If(_))) {
        let mut inference = ShapeInference::new();
        inference.run(graph)?;
        let ifs = graph.nodes().filter(|(_, n)| matches!(n.op, Op::If(_)));
        let conditions: Vec<_> = ifs.filter_map(|(id, n)| Some((id, n.input(0)?))).collect();
        let mut known = false;
        for (id, condition) in conditions {
            let Some(tensor) = inference.constant(graph, condition) else { continue };
            let name = format!("{}/condition", graph.node(id).name);
            let constant = graph.add_constant(&name, tensor);
            if let Some(slot) = graph.node_mut(id).inputs.first_mut() {
                *slot = Some(constant);
                known = true;
            }
        }
        if !known {
            break;
        }
        count += resolve(graph)?;
    }
    Ok(count)
}

/// Replaces an `If` by the nodes of a branch; returns them.
fn inline(graph: &mut Graph, id: NodeId, taken: bool) -> Result<Vec<NodeId>> {
    let node = graph.node(id).clone();
    let Op::If(op) = node.op else { return Ok(vec![]) };
    let misfit = || crate::Error::malformed("If: the operands or outputs do not fit the branches");
    let split = op.then_branch.captures.len();
    let captured = node.inputs.get(1..).ok_or_else(misfit)?;
    let (for_then, for_else) = captured.split_at_checked(split).ok_or_else(misfit)?;
    let (body, operands): (Subgraph, _) =
        if taken { (op.then_branch, for_then) } else { (op.else_branch, for_else) };
    if body.captures.len() != operands.len() || body.graph.outputs.len() != node.outputs.len() {
        return Err(misfit());
    }
    graph.remove_node(id);
    let mut splice = Splice::new(&body.graph);
    for (inner, outer) in body.captures.iter().zip(operands) {
        splice.bind(*inner, outer.ok_or_else(misfit)?);
    }
    // A node of the branch writes the output itself, unless the branch returns something else or one value twice.
    let mut direct = vec![];
    for (inner, outer) in body.graph.outputs.iter().zip(&node.outputs) {
        if let Some(outer) = outer
            && body.graph.producer(*inner).is_some()
            && splice.get(*inner).is_none()
        {
            splice.bind(*inner, *outer);
            direct.push(*outer);
        }
    }
    let mut made = vec![];
    for inner in body.graph.topological_order()? {
        made.push(splice.node(graph, inner)?);
    }
    for (inner, outer) in body.graph.outputs.iter().zip(&node.outputs) {
        if let Some(outer) = outer.filter(|o| !direct.contains(o)) {
            let value = splice.value(graph, *inner);
            let copy = graph.add_node_with_outputs(
                &node.name,
                Unary::Identity,
                vec![Some(value)],
                vec![Some(outer)],
            )?;
            graph.node_mut(copy).origin = node.origin.clone();
        }
    }
    Ok(made)
}

/// Lets readers of an `Identity` read its operand. One that writes a graph output goes only if its operand can take over
/// the output's name.
fn remove_identities(graph: &mut Graph) -> Result<usize> {
    let mut map: FxHashMap<ValueId, ValueId> = FxHashMap::default();
    let mut count = 0;
    for id in graph.topological_order()? {
        let node = graph.node(id);
        let (Op::Unary(Unary::Identity), Some(input), Some(output)) =
            (&node.op, node.input(0), node.output(0))
        else {
            continue;
        };
        let input = map.get(&input).copied().unwrap_or(input);
        if graph.outputs.contains(&output) {
            let free = graph.producer(input).is_some() && !graph.outputs.contains(&input);
            if !free {
                continue;
            }
            graph.take_name(output, input);
            for slot in &mut graph.outputs {
                if *slot == output {
                    *slot = input;
                }
            }
        }
        graph.remove_node(id);
        map.insert(output, input);
        count += 1;
    }
    graph.replace_uses_many(&map);
    Ok(count)
}
