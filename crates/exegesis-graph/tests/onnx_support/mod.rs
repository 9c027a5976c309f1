//! Protobuf bytes field by field, so that tests can write what no writer would, and do not share the reader's idea of
//! the field numbers; and a description of graphs by name, to compare them.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fmt::Write;

use exegesis_graph::{Graph, Op, ValueId};

/// A message being written.
#[derive(Clone, Default)]
pub struct Message(pub Vec<u8>);

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// An empty message.
pub fn message() -> Message {
    Message::default()
}

impl Message {
    /// An integer field.
    pub fn int(mut self, field: u32, value: i64) -> Self {
        varint(&mut self.0, u64::from(field) << 3);
        varint(&mut self.0, value as u64);
        self
    }

    /// A 32-bit float field.
    pub fn float(mut self, field: u32, value: f32) -> Self {
        varint(&mut self.0, u64::from(field) << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A field of bytes.
    pub fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        varint(&mut self.0, u64::from(field) << 3 | 2);
        varint(&mut self.0, value.len() as u64);
        self.0.extend(value);
        self
    }

    /// A string field.
    pub fn text(self, field: u32, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    /// A message field.
    pub fn with(self, field: u32, value: &Message) -> Self {
        self.bytes(field, &value.0)
    }
}

/// A `TensorProto` with raw data.
pub fn tensor(name: &str, data_type: i64, dims: &[i64], raw: &[u8]) -> Message {
    let head = message().int(2, data_type).text(8, name).bytes(9, raw);
    dims.iter().fold(head, |m, d| m.int(1, *d))
}

/// A `ValueInfoProto` of float32; `None` is a dimension without a value.
pub fn value(name: &str, dims: &[Option<i64>]) -> Message {
    let shape =
        dims.iter().fold(message(), |m, d| m.with(1, &d.map_or_else(message, |d| message().int(1, d))));
    let tensor = message().int(1, 1).with(2, &shape);
    message().text(1, name).with(2, &message().with(1, &tensor))
}

/// A `NodeProto` of the default domain.
pub fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> Message {
    let m = inputs.iter().fold(message(), |m, i| m.text(1, i));
    outputs.iter().fold(m, |m, o| m.text(2, o)).text(4, op)
}

/// An integer `AttributeProto`.
pub fn int_attribute(name: &str, value: i64) -> Message {
    message().text(1, name).int(3, value).int(20, 2)
}

/// An `AttributeProto` of integers.
pub fn ints_attribute(name: &str, values: &[i64]) -> Message {
    values.iter().fold(message().text(1, name).int(20, 7), |m, v| m.int(8, *v))
}

/// A float `AttributeProto`.
pub fn float_attribute(name: &str, value: f32) -> Message {
    message().text(1, name).float(2, value).int(20, 1)
}

/// A string `AttributeProto`.
pub fn text_attribute(name: &str, value: &str) -> Message {
    message().text(1, name).text(4, value).int(20, 3)
}

/// A graph `AttributeProto`.
pub fn graph_attribute(name: &str, graph: &Message) -> Message {
    message().text(1, name).with(6, graph).int(20, 5)
}

/// A `GraphProto` of nodes, inputs and outputs.
pub fn graph(nodes: &[Message], inputs: &[Message], outputs: &[Message]) -> Message {
    let m = nodes.iter().fold(message().text(2, "g"), |m, n| m.with(1, n));
    let m = inputs.iter().fold(m, |m, i| m.with(11, i));
    outputs.iter().fold(m, |m, o| m.with(12, o))
}

/// An `OperatorSetIdProto`.
pub fn operators(domain: &str, version: i64) -> Message {
    message().text(1, domain).int(2, version)
}

/// A `ModelProto` around `graph`.
pub fn model(graph: &Message, opset: i64) -> Message {
    message().int(1, 8).with(7, graph).with(8, &operators("", opset))
}

/// The graph in words: values and nodes by name, in topological order, bodies indented. Equal texts mean equal graphs up
/// to the order in which they were built.
pub fn describe(graph: &Graph) -> String {
    let mut text = String::new();
    describe_into(graph, &[], "", &mut text);
    text
}

fn describe_into(graph: &Graph, captures: &[ValueId], indent: &str, text: &mut String) {
    let name = |id: ValueId| graph.value(id).name.clone();
    let value = |id: &ValueId| {
        let v = graph.value(*id);
        format!("{}: {:?} {:?}", v.name, v.dtype, v.shape)
    };
    let names =
        |ids: &[Option<ValueId>]| ids.iter().map(|id| id.map_or("-".into(), name)).collect::<Vec<_>>();
    let list = |ids: &[ValueId]| ids.iter().map(value).collect::<Vec<_>>();
    let _ = writeln!(
        text,
        "{indent}graph {} inputs {:?} outputs {:?}",
        graph.name,
        list(&graph.inputs),
        list(&graph.outputs)
    );
    let _ = writeln!(text, "{indent}metadata {:?} captures {}", graph.metadata, captures.len());
    let mut used: Vec<ValueId> = graph.outputs.clone();
    used.extend(graph.nodes().flat_map(|(_, n)| n.inputs.iter().flatten()));
    let constants: BTreeMap<String, String> =
        used.iter().filter_map(|id| graph.constant(*id).map(|t| (name(*id), format!("{t:?}")))).collect();
    for (name, tensor) in constants {
        let _ = writeln!(text, "{indent}constant {name} = {tensor}");
    }
    let mut lines = BTreeMap::new();
    for (_, node) in graph.nodes() {
        let mut line = format!(
            "{indent}node {} = {} {:?} {:?} -> {:?}\n",
            node.name,
            node.op.name(),
            node.op.attributes(),
            names(&node.inputs),
            names(&node.outputs)
        );
        for output in node.outputs.iter().flatten() {
            let _ = writeln!(line, "{indent}  {}", value(output));
        }
        if let Op::Opaque(op) = &node.op {
            let _ = writeln!(line, "{indent}  of {:?} {}", op.domain, op.version);
        }
        for body in node.op.subgraphs() {
            describe_into(&body.graph, &body.captures, &format!("{indent}    "), &mut line);
        }
        lines.insert(node.name.clone(), line);
    }
    text.extend(lines.into_values());
}
