//! A writer of tiny ONNX files, valid or not: protobuf fields by number, nothing checked.

/// A message under construction.
#[derive(Clone, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    /// A number.
    pub fn int(mut self, field: u64, value: u64) -> Self {
        varint(&mut self.0, field << 3);
        varint(&mut self.0, value);
        self
    }

    /// Bytes or text.
    pub fn bytes(mut self, field: u64, value: impl AsRef<[u8]>) -> Self {
        varint(&mut self.0, field << 3 | 2);
        varint(&mut self.0, value.as_ref().len() as u64);
        self.0.extend_from_slice(value.as_ref());
        self
    }

    /// A nested message.
    pub fn message(self, field: u64, value: Self) -> Self {
        self.bytes(field, value.0)
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A dimension: a number or a name.
#[derive(Clone, Copy)]
pub enum Size {
    Is(u64),
    Named(&'static str),
}

/// float32 and int64 in ONNX.
pub const FLOAT: u64 = 1;
pub const INT64: u64 = 7;

/// A graph input or output.
pub fn port(name: &str, dtype: u64, dims: &[Size]) -> Message {
    let shape = dims.iter().fold(Message::default(), |shape, dim| {
        shape.message(
            1,
            match dim {
                Size::Is(n) => Message::default().int(1, *n),
                Size::Named(symbol) => Message::default().bytes(2, symbol),
            },
        )
    });
    let tensor = Message::default().int(1, dtype).message(2, shape);
    Message::default().bytes(1, name).message(2, Message::default().message(1, tensor))
}

/// A node without attributes.
pub fn node(name: &str, op: &str, inputs: &[&str], outputs: &[&str]) -> Message {
    domain_node("", name, op, inputs, outputs)
}

/// A node of an operator domain.
pub fn domain_node(domain: &str, name: &str, op: &str, inputs: &[&str], outputs: &[&str]) -> Message {
    let with_inputs = inputs.iter().fold(Message::default(), |m, input| m.bytes(1, input));
    let with_outputs = outputs.iter().fold(with_inputs, |m, output| m.bytes(2, output));
    with_outputs.bytes(3, name).bytes(4, op).bytes(7, domain)
}

/// A float32 initializer.
pub fn weight(name: &str, dims: &[u64], values: &[f32]) -> Message {
    let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    dims.iter().fold(Message::default(), |m, d| m.int(1, *d)).int(2, FLOAT).bytes(8, name).bytes(9, data)
}

/// A float32 initializer in another file.
pub fn external_weight(name: &str, dims: &[u64], location: &str) -> Message {
    let entry = Message::default().bytes(1, "location").bytes(2, location);
    dims.iter()
        .fold(Message::default(), |m, d| m.int(1, *d))
        .int(2, FLOAT)
        .bytes(8, name)
        .message(13, entry)
        .int(14, 1)
}

/// Parts of a graph.
#[derive(Default)]
pub struct Parts {
    pub nodes: Vec<Message>,
    pub weights: Vec<Message>,
    pub inputs: Vec<Message>,
    pub outputs: Vec<Message>,
}

/// The bytes of a model.
pub fn model(parts: Parts) -> Vec<u8> {
    let all = |graph: Message, field: u64, items: Vec<Message>| {
        items.into_iter().fold(graph, |g, m| g.message(field, m))
    };
    let graph = all(Message::default(), 1, parts.nodes).bytes(2, "g");
    let graph = all(graph, 5, parts.weights);
    let graph = all(graph, 11, parts.inputs);
    let graph = all(graph, 12, parts.outputs);
    let standard = Message::default().bytes(1, "").int(2, 17);
    let custom = Message::default().bytes(1, "com.example").int(2, 1);
    Message::default().int(1, 8).message(7, graph).message(8, standard).message(8, custom).0
}

/// `y = relu(x W + b)`: `x [batch, 3]`, `y [batch, 2]`.
pub fn linear() -> Vec<u8> {
    model(linear_parts())
}

/// The parts of [`linear`].
pub fn linear_parts() -> Parts {
    Parts {
        nodes: vec![node("fc", "Gemm", &["x", "w", "b"], &["h"]), node("act", "Relu", &["h"], &["y"])],
        weights: vec![
            weight("w", &[3, 2], &[1.0, -1.0, 2.0, 0.5, 3.0, 1.0]),
            weight("b", &[2], &[0.5, 0.25]),
        ],
        inputs: vec![port("x", FLOAT, &[Size::Named("batch"), Size::Is(3)])],
        outputs: vec![port("y", FLOAT, &[Size::Named("batch"), Size::Is(2)])],
    }
}
