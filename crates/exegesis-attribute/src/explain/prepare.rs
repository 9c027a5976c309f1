//! What is made of the graph, and learnt from it, before a walk.

use exegesis_graph::op::{Binary, Unary};
use exegesis_graph::passes::{roll, unroll};
use exegesis_graph::{Dim, Graph, Op, Role, ValueId};
use rustc_hash::FxHashSet;

use crate::error::Result;
use crate::explained_input::ExplainedInput;
use crate::walk::carriers;

/// True if a recurrent layer that the explanation passes through runs over the first axis of an explained input.
pub(super) fn rows_are_steps(
    graph: &Graph,
    inputs: &[ExplainedInput],
    roots: &[ValueId],
    output: ValueId,
) -> Result<bool> {
    let carrying = carriers(graph, roots, &[output])?;
    let rows: Vec<&Dim> = inputs
        .iter()
        .filter(|i| !i.is_tokens)
        .filter_map(|i| graph.value(i.input).shape.as_ref()?.first())
        .filter(|d| d.fixed().is_none())
        .collect();
    Ok(graph.nodes().any(|(_, node)| {
        let time = match &node.op {
            Op::Lstm(op) => op.layout,
            Op::Gru(op) => op.layout,
            Op::Rnn(op) => op.layout,
            _ => return false,
        };
        let x = node.input(0).filter(|x| carrying.contains(x));
        let steps = x.and_then(|x| graph.value(x).shape.as_ref()?.get(usize::from(time != 0)));
        steps.is_some_and(|steps| rows.contains(&steps))
    }))
}

/// Longest recurrent layer that is unrolled; longer ones become loops, which compile in the same time at every length.
const MAX_UNROLLED_STEPS: usize = 64;

/// Unrolls recurrent layers and loops of known length that the explanation passes through. Recurrent layers of open or
/// great length become loops, loops of open length stay, and the walk goes through them backwards.
pub(super) fn unroll_carriers(graph: &mut Graph, roots: &[ValueId], output: ValueId) -> Result<()> {
    let carrying = carriers(graph, roots, &[output])?;
    let on_path: Vec<String> = graph
        .nodes()
        .filter(|(_, n)| matches!(n.op, Op::Lstm(_) | Op::Gru(_) | Op::Rnn(_) | Op::Loop(_) | Op::Scan(_)))
        .filter(|(_, n)| n.outputs.iter().flatten().any(|o| carrying.contains(o)))
        .map(|(_, n)| n.name.clone())
        .collect();
    for name in on_path {
        let layer = graph.find_node(&name).map(|id| graph.node(id)).filter(|n| roll::is_layer(&n.op));
        if layer.is_some_and(|n| roll::known_steps(graph, n).is_none_or(|steps| steps > MAX_UNROLLED_STEPS)) {
            roll::roll(graph, &|node| node.name == name)?;
            continue;
        }
        let mut trial = graph.clone();
        match unroll::unroll(&mut trial, &|node| node.name == name) {
            Ok(_) => *graph = trial,
            Err(error) => {
                let is_loop =
                    graph.find_node(&name).is_some_and(|id| matches!(graph.node(id).op, Op::Loop(_)));
                if !is_loop {
                    return Err(error.into());
                }
            }
        }
    }
    Ok(())
}

/// Additions of constants to a token embedding before the first other layer.
pub(crate) fn embedding_adds(graph: &Graph, roots: &[ValueId], output: ValueId) -> Result<FxHashSet<String>> {
    let carrying = carriers(graph, roots, &[output])?;
    let consumers = graph.consumers();
    let mut names = FxHashSet::default();
    let mut stack: Vec<ValueId> = roots.iter().copied().filter(|r| !graph.inputs.contains(r)).collect();
    while let Some(value) = stack.pop() {
        for id in &consumers[value.index()] {
            let node = graph.node(*id);
            let lone = node.inputs.iter().flatten().filter(|v| carrying.contains(v)).count() == 1;
            let chained = matches!(&node.op, Op::Binary(Binary::Add)) && lone;
            if chained {
                names.insert(node.name.clone());
            }
            // A scale (of the square root of the width, say) and movement are no layer.
            let moved = match &node.op {
                Op::Binary(Binary::Mul) => lone,
                Op::Binary(Binary::Div) => lone && node.input(0) == Some(value),
                Op::Unary(Unary::Identity)
                | Op::Cast(_)
                | Op::Reshape(_)
                | Op::Squeeze(_)
                | Op::Transpose(_)
                | Op::Unsqueeze(_) => true,
                _ => false,
            };
            if chained || moved {
                stack.extend(node.output(0));
            }
        }
    }
    Ok(names)
}

/// Marks additions of a mask or bias to scores right before a softmax.
pub(super) fn mark_masks(graph: &mut Graph, roots: &[ValueId], output: ValueId) -> Result<()> {
    let carrying = carriers(graph, roots, &[output])?;
    let mut marked = vec![];
    for (_, node) in graph.nodes() {
        if !matches!(node.op, Op::Softmax(_)) {
            continue;
        }
        let mut value = node.input(0);
        while let Some(id) = value.and_then(|v| graph.producer(v)) {
            let producer = graph.node(id);
            let on = producer.inputs.iter().flatten().filter(|v| carrying.contains(v)).count();
            match &producer.op {
                Op::Unary(exegesis_graph::op::Unary::Identity) | Op::Cast(_) => value = producer.input(0),
                Op::Binary(Binary::Add) if on == 1 => {
                    marked.push(id);
                    value = producer.inputs.iter().flatten().copied().find(|v| carrying.contains(v));
                }
                _ => break,
            }
        }
    }
    for id in marked {
        graph.node_mut(id).role = Role::AttentionMask;
    }
    Ok(())
}

/// The attention mask among the inputs, if there is exactly one and it has the rows and tokens of the output.
pub(super) fn find_mask(graph: &Graph, output: ValueId) -> Option<ValueId> {
    let tokens = graph.value(output).shape.as_ref()?.get(..2)?;
    let mut masks = graph
        .inputs
        .iter()
        .copied()
        .filter(|v| graph.value(*v).name.to_lowercase().contains("attention_mask"));
    match (masks.next(), masks.next()) {
        (Some(mask), None) => (graph.value(mask).shape.as_ref()?.as_slice() == tokens).then_some(mask),
        _ => None,
    }
}

/// True if the model reads the tokens of a decoder beside those of an encoder.
pub(super) fn has_decoder_ids(graph: &Graph) -> bool {
    graph.inputs.iter().any(|v| graph.value(*v).name.to_lowercase().contains("decoder_input_ids"))
}
