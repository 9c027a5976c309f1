//! What ONNX Runtime (1.17 to 1.31) lacks or reads in another way than the standard: written in a form that they share, or
//! refused. The tests of this crate run every operator beside the slow reference.

use exegesis_graph::op::{AutoPad, CoordinateMode, PadMode};
use exegesis_graph::{Builder, Graph, Node, NodeId, Op, ValueId};

use crate::lower::{attributes, replace_where};
use crate::table::{self, Context, Support};
use crate::{Error, Result};

/// Operators that draw random numbers: what they give can't be explained, and is another thing each time.
const RANDOM: [&str; 6] =
    ["Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"];

/// Brings `graph` and its bodies into forms that mean the same to ONNX Runtime and to the standard.
///
/// # Errors
/// Nodes for which there is none, all named.
pub(super) fn settle(graph: &mut Graph) -> Result<()> {
    rewrite(graph)?;
    let mut refused = vec![];
    refusals(graph, &mut refused);
    match refused.as_slice() {
        [] => Ok(()),
        [(node, reason)] => Err(Error::unsupported(format!("ONNX Runtime can't run it: {reason}")).at(node)),
        all => {
            let list: Vec<String> =
                all.iter().map(|(node, reason)| format!("\"{node}\": {reason}")).collect();
            Err(Error::unsupported(format!(
                "ONNX Runtime can't run {} nodes: {}",
                all.len(),
                list.join("; ")
            )))
        }
    }
}

fn rewrite(graph: &mut Graph) -> Result<()> {
    attributes::spell_out_layers(graph);
    for id in graph.nodes().map(|(id, _)| id).collect::<Vec<NodeId>>() {
        if let Some((auto_pad, pads)) = padding(&mut graph.node_mut(id).op)
            && *auto_pad == AutoPad::Valid
            && !pads.is_empty()
        {
            *auto_pad = AutoPad::NotSet;
        }
    }
    // The replacements are those for rten, which are exact for any runtime.
    replace_where(graph, "onnxruntime", &|graph, node| {
        differs(graph, node) && matches!(table::support(graph, node), Support::Lowered(_))
    })?;
    scalar_bounds(graph)?;
    for id in graph.nodes().map(|(id, _)| id).collect::<Vec<NodeId>>() {
        for body in graph.node_mut(id).op.subgraphs_mut() {
            rewrite(&mut body.graph)?;
        }
    }
    Ok(())
}

/// Automatic padding and pads of a layer that has both.
fn padding(op: &mut Op) -> Option<(&mut AutoPad, &mut Vec<i64>)> {
    match op {
        Op::Conv(a) => Some((&mut a.auto_pad, &mut a.pads)),
        Op::ConvTranspose(a) => Some((&mut a.auto_pad, &mut a.pads)),
        Op::MaxPool(a) => Some((&mut a.auto_pad, &mut a.pads)),
        Op::AveragePool(a) => Some((&mut a.auto_pad, &mut a.pads)),
        Op::LpPool(a) => Some((&mut a.auto_pad, &mut a.pads)),
        _ => None,
    }
}

/// True for nodes that opset 18 or ONNX Runtime does not have as the standard means them.
fn differs(graph: &Graph, node: &Node) -> bool {
    match &node.op {
        // Dilations came with opset 19.
        Op::AveragePool(a) => a.dilations.iter().any(|d| *d != 1),
        // Wrapping came with opset 19; mirrored is only once.
        Op::Pad(a) => matches!(a.mode, PadMode::Wrap | PadMode::Reflect),
        // Fractions of elements that a scale leaves are counted in another way.
        Op::Resize(a) => {
            a.coordinate_transformation_mode == CoordinateMode::HalfPixelSymmetric
                || !table::keeps_to_grid(&Context::new(graph, node))
        }
        // Ellipses of operands of different rank, floats as indices, windows of even size are refused.
        Op::Einsum(_) | Op::OneHot(_) => true,
        Op::Lrn(a) => a.size % 2 == 0,
        // Squares and logarithms are taken although there is nothing to reduce.
        Op::Reduce(a) => a.noop_with_empty_axes,
        _ => false,
    }
}

/// Bounds of ranges that are vectors of one element become scalars.
fn scalar_bounds(graph: &mut Graph) -> Result<()> {
    let is_vector = |graph: &Graph, id: &Option<ValueId>| {
        id.is_some_and(|id| graph.value(id).shape.as_ref().is_some_and(|shape| !shape.is_empty()))
    };
    let ranges: Vec<NodeId> = graph
        .nodes()
        .filter(|(_, node)| {
            matches!(node.op, Op::Range(_)) && node.inputs.iter().any(|id| is_vector(graph, id))
        })
        .map(|(id, _)| id)
        .collect();
    if ranges.is_empty() {
        return Ok(());
    }
    let mut b = Builder::new(graph, "onnxruntime")?;
    for id in ranges {
        let node = b.node(id);
        b.set_source(Some(node.source_name()));
        for (i, operand) in node.inputs.iter().enumerate() {
            if let (true, Some(value)) = (is_vector(b.graph(), operand), operand) {
                let scalar = b.reshape_to(*value, &[])?;
                if let Some(slot) = b.graph_mut().node_mut(id).inputs.get_mut(i) {
                    *slot = Some(scalar);
                }
            }
        }
    }
    Ok(())
}

fn refusals(graph: &Graph, refused: &mut Vec<(String, String)>) {
    for (_, node) in graph.nodes() {
        if let Some(reason) = refusal(graph, node) {
            refused.push((node.source_name().to_string(), reason));
        }
        for body in node.op.subgraphs() {
            refusals(&body.graph, refused);
        }
    }
}

/// Why the node can't be run, where ONNX Runtime would run it and give something else.
fn refusal(graph: &Graph, node: &Node) -> Option<String> {
    match &node.op {
        Op::Opaque(op) if RANDOM.contains(&op.op_type.as_str()) => {
            Some(format!("{} draws random numbers, so that no result can be explained", op.op_type))
        }
        Op::Opaque(op) if op.op_type == "MaxUnpool" && node.input(2).is_some() => {
            Some("MaxUnpool with an output shape puts values in other places".to_string())
        }
        Op::Resize(a) if a.coordinate_transformation_mode == CoordinateMode::AlignCorners => {
            let unknown = !table::keeps_to_grid(&Context::new(graph, node));
            unknown.then(|| "Resize with `align_corners` needs constant scales, and known sizes".to_string())
        }
        _ => None,
    }
}
