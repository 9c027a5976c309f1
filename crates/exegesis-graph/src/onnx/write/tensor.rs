//! Tensors as messages, inside the model or in the data file.

use prost::bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::onnx::proto::{StringStringEntryProto, TensorProto};
use crate::tensor::Data;
use crate::{Graph, Tensor};

/// Alignment of tensors in the data file, so that runtimes can map them.
const ALIGNMENT: usize = 64;

/// The data file being filled.
pub(super) struct Weights {
    location: String,
    min_bytes: usize,
    bytes: Vec<u8>,
    /// Where tensors already lie, by their address: constants share them.
    placed: FxHashMap<*const Tensor, (usize, usize)>,
}

impl Weights {
    pub fn new(location: &str, min_bytes: usize) -> Self {
        Self { location: location.to_string(), min_bytes, bytes: vec![], placed: FxHashMap::default() }
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Offset and length of the tensor in the data file.
    fn place(&mut self, tensor: &Tensor) -> (usize, usize) {
        let bytes = &mut self.bytes;
        *self.placed.entry(tensor).or_insert_with(|| {
            bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
            let offset = bytes.len();
            append(bytes, tensor.data());
            (offset, bytes.len() - offset)
        })
    }
}

/// Bytes of the elements; strings count as their text.
fn size(tensor: &Tensor) -> usize {
    match tensor.data() {
        Data::String(texts) => texts.iter().map(|t| t.len() + 2).sum(),
        _ => tensor.len() * tensor.dtype().size(),
    }
}

/// Bytes of the constants of `graph` and its subgraphs that have fewer than `below` bytes.
pub(super) fn constant_bytes(graph: &Graph, below: usize) -> u64 {
    let own = graph.values().filter_map(|(_, v)| v.constant.as_deref()).map(size).filter(|s| *s < below);
    let own: u64 = own.map(|s| s as u64).sum();
    let inner = graph.nodes().flat_map(|(_, n)| n.op.subgraphs());
    own + inner.map(|s| constant_bytes(&s.graph, below)).sum::<u64>()
}

/// The message of a tensor; its data goes to `weights` if there is a data file and the tensor is large enough.
pub(super) fn message(name: &str, tensor: &Tensor, weights: Option<&mut Weights>) -> TensorProto {
    let mut proto = TensorProto {
        name: name.to_string(),
        dims: tensor.shape().iter().map(|d| i64::try_from(*d).unwrap_or(i64::MAX)).collect(),
        data_type: tensor.dtype().onnx(),
        ..TensorProto::default()
    };
    if let Data::String(texts) = tensor.data() {
        proto.string_data = texts.iter().map(|t| Bytes::copy_from_slice(t.as_bytes())).collect();
        return proto;
    }
    match weights {
        Some(weights) if size(tensor) >= weights.min_bytes.max(1) => {
            let (offset, length) = weights.place(tensor);
            let entry = |key: &str, value: String| StringStringEntryProto { key: key.to_string(), value };
            proto.data_location = 1;
            proto.external_data = vec![
                entry("location", weights.location.clone()),
                entry("offset", offset.to_string()),
                entry("length", length.to_string()),
            ];
        }
        _ => {
            let mut bytes = Vec::with_capacity(size(tensor));
            append(&mut bytes, tensor.data());
            proto.raw_data = Some(bytes.into());
        }
    }
    proto
}

/// Appends the elements in little-endian order; strings have no such form.
fn append(bytes: &mut Vec<u8>, data: &Data) {
    macro_rules! elements {
        ($values:expr) => {
            for value in $values {
                bytes.extend_from_slice(&value.to_le_bytes());
            }
        };
    }
    match data {
        Data::F32(v) => elements!(v),
        Data::F64(v) => elements!(v),
        Data::F16(v) => elements!(v),
        Data::BF16(v) => elements!(v),
        Data::I8(v) => elements!(v),
        Data::I16(v) => elements!(v),
        Data::I32(v) => elements!(v),
        Data::I64(v) => elements!(v),
        Data::U8(v) => bytes.extend_from_slice(v),
        Data::U16(v) => elements!(v),
        Data::U32(v) => elements!(v),
        Data::U64(v) => elements!(v),
        Data::Bool(v) => bytes.extend(v.iter().map(|b| u8::from(*b))),
        Data::String(_) => {}
    }
}
