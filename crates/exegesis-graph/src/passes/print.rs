//! A graph as readable text.

use std::fmt::Write;

use crate::op::Attribute;
use crate::{Graph, NodeId, Origin, Role, ValueId};

/// One line per input, node and output, in topological order: `name: type[shape] = Operator(operands) {attributes}`.
/// Constants stand among the operands with type and shape; bodies of control flow are indented below their node.
pub fn text(graph: &Graph) -> String {
    let mut out = String::new();
    write(graph, &[], "", &mut out);
    out
}

fn write(graph: &Graph, captures: &[ValueId], indent: &str, out: &mut String) {
    let typed = |list: &[ValueId]| list.iter().map(|v| value(graph, *v)).collect::<Vec<_>>().join(", ");
    let _ = writeln!(out, "{indent}graph {:?} ({})", graph.name, typed(&graph.inputs));
    if !captures.is_empty() {
        let _ = writeln!(out, "{indent}  captures {}", typed(captures));
    }
    // A graph with a cycle is printed too: this is what one looks at to find it.
    let order = graph.topological_order().unwrap_or_else(|_| graph.nodes().map(|(id, _)| id).collect());
    for id in order {
        node(graph, id, indent, out);
    }
    let _ = writeln!(out, "{indent}  return {}", typed(&graph.outputs));
}

fn node(graph: &Graph, id: NodeId, indent: &str, out: &mut String) {
    let node = graph.node(id);
    let outputs: Vec<String> =
        node.outputs.iter().map(|v| v.map_or_else(|| "_".into(), |v| value(graph, v))).collect();
    let inputs: Vec<String> =
        node.inputs.iter().map(|v| v.map_or_else(|| "_".into(), |v| operand(graph, v))).collect();
    let _ = write!(out, "{indent}  {} = {}({})", outputs.join(", "), node.op.name(), inputs.join(", "));
    let attributes: Vec<String> =
        node.op.attributes().iter().map(|(name, a)| format!("{name}={}", attribute(a))).collect();
    if !attributes.is_empty() {
        let _ = write!(out, " {{{}}}", attributes.join(", "));
    }
    let _ = write!(out, "  # {}", node.name);
    match &node.origin {
        Origin::Source => {}
        Origin::Rewritten(name) => {
            let _ = write!(out, ", from {name}");
        }
        Origin::Appended(name) => {
            let _ = write!(out, ", for {name}");
        }
    }
    if node.role != Role::Plain {
        let _ = write!(out, ", {:?}", node.role);
    }
    out.push('\n');
    for body in node.op.subgraphs() {
        write(&body.graph, &body.captures, &format!("{indent}    "), out);
    }
}

fn value(graph: &Graph, id: ValueId) -> String {
    format!("{}: {}", graph.value(id).name, kind(graph, id))
}

fn kind(graph: &Graph, id: ValueId) -> String {
    let value = graph.value(id);
    let dtype = value.dtype.map_or_else(|| "?".into(), |t| t.to_string());
    match &value.shape {
        Some(shape) => {
            let dims: Vec<String> = shape.iter().map(ToString::to_string).collect();
            format!("{dtype}[{}]", dims.join(", "))
        }
        None => format!("{dtype}[..]"),
    }
}

fn operand(graph: &Graph, id: ValueId) -> String {
    match graph.constant(id) {
        None => graph.value(id).name.clone(),
        Some(tensor) if tensor.len() <= 8 => match (tensor.to_i64(), tensor.to_f64()) {
            (Some(v), _) if !tensor.dtype().is_float() => show(tensor.rank(), &v),
            (_, Some(v)) => show(tensor.rank(), &v),
            _ => format!("const {}", kind(graph, id)),
        },
        Some(_) => format!("const {} {}", graph.value(id).name, kind(graph, id)),
    }
}

fn show<T: std::fmt::Debug>(rank: usize, values: &[T]) -> String {
    match (rank, values) {
        (0, [single]) => format!("{single:?}"),
        (1, values) => format!("{values:?}"),
        (rank, values) => format!("{values:?}^{rank}"),
    }
}

fn attribute(attribute: &Attribute) -> String {
    match attribute {
        Attribute::Int(v) => v.to_string(),
        Attribute::Float(v) => v.to_string(),
        Attribute::String(v) => format!("{v:?}"),
        Attribute::Ints(v) => format!("{v:?}"),
        Attribute::Floats(v) => format!("{v:?}"),
        Attribute::Strings(v) => format!("{v:?}"),
        Attribute::Tensor(t) => format!("{}{:?}", t.dtype(), t.shape()),
        Attribute::Tensors(v) => format!("{} tensors", v.len()),
        Attribute::Graph(_) | Attribute::Graphs(_) => "graph".into(),
        Attribute::Raw(v) => format!("{} bytes", v.len()),
    }
}
