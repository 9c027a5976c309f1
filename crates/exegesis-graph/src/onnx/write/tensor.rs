//! Tensors as messages, inside the model or in the data file.

use std::sync::Arc;

use prost::bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::onnx::proto::{StringStringEntryProto, TensorProto};
use crate::tensor::Data;
use crate::{DType, Graph, Tensor};

/// Alignment of tensors in the data file, so that runtimes can map them.
const ALIGNMENT: usize = 64;

/// The file that lent constants name, as the format wants one; nobody opens it.
const LENT: &str = "lent";

/// Where the larger constants go.
pub(super) struct Weights {
    store: Store,
    min_bytes: usize,
    /// Where tensors already lie, by their address: constants share them.
    placed: FxHashMap<*const Tensor, Region>,
}

enum Store {
    /// One data file being filled.
    File { location: String, bytes: Vec<u8> },
    /// Each tensor by itself, not copied.
    Apart(Vec<(String, Arc<Tensor>)>),
    /// Each constant of the outer graph by its name, not copied.
    Lent(Vec<(String, Arc<Tensor>)>),
}

/// Part of a data file that holds one tensor.
#[derive(Clone)]
pub(super) struct Region {
    location: String,
    offset: usize,
    length: usize,
}

impl Weights {
    /// Constants of at least `min_bytes` bytes go to the data file `location`.
    pub fn in_file(location: &str, min_bytes: usize) -> Self {
        let store = Store::File { location: location.to_string(), bytes: vec![] };
        Self { store, min_bytes, placed: FxHashMap::default() }
    }

    /// Constants of at least `min_bytes` bytes are listed, each as a data file of its own.
    pub fn apart(min_bytes: usize) -> Self {
        Self { store: Store::Apart(vec![]), min_bytes, placed: FxHashMap::default() }
    }

    /// Constants of the outer graph of at least `min_bytes` bytes are listed by their names; a reader gets them from the
    /// same process and by no file.
    pub fn lent(min_bytes: usize) -> Self {
        Self { store: Store::Lent(vec![]), min_bytes, placed: FxHashMap::default() }
    }

    /// The data file; empty if tensors are listed.
    pub fn into_bytes(self) -> Vec<u8> {
        match self.store {
            Store::File { bytes, .. } => bytes,
            Store::Apart(_) | Store::Lent(_) => vec![],
        }
    }

    /// The listed tensors; empty if there is a data file.
    pub fn into_tensors(self) -> Vec<(String, Arc<Tensor>)> {
        match self.store {
            Store::File { .. } => vec![],
            Store::Apart(tensors) | Store::Lent(tensors) => tensors,
        }
    }

    /// Where the tensor of the constant `name` lies, or `None` if it belongs inside the model. `inside` says that the
    /// constant is one of a body.
    pub fn place(&mut self, name: &str, tensor: &Arc<Tensor>, inside: bool) -> Option<Region> {
        if tensor.dtype() == DType::String || size(tensor) < self.min_bytes.max(1) {
            return None;
        }
        if let Store::Lent(tensors) = &mut self.store {
            if inside {
                return None;
            }
            tensors.push((name.to_string(), Arc::clone(tensor)));
            return Some(Region { location: LENT.to_string(), offset: 0, length: size(tensor) });
        }
        let address = Arc::as_ptr(tensor);
        if let Some(region) = self.placed.get(&address) {
            return Some(region.clone());
        }
        let region = match &mut self.store {
            Store::File { location, bytes } => {
                bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
                let offset = bytes.len();
                append(bytes, tensor.data());
                Region { location: location.clone(), offset, length: bytes.len() - offset }
            }
            Store::Apart(tensors) => {
                let location = format!("{}.data", tensors.len());
                tensors.push((location.clone(), Arc::clone(tensor)));
                Region { location, offset: 0, length: size(tensor) }
            }
            Store::Lent(_) => return None,
        };
        self.placed.insert(address, region.clone());
        Some(region)
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

/// The message of a tensor whose data lies at `region`, or inside the message.
pub(super) fn message(name: &str, tensor: &Tensor, region: Option<Region>) -> TensorProto {
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
    match region {
        Some(region) => {
            let entry = |key: &str, value: String| StringStringEntryProto { key: key.to_string(), value };
            proto.data_location = 1;
            proto.external_data = vec![
                entry("location", region.location),
                entry("offset", region.offset.to_string()),
                entry("length", region.length.to_string()),
            ];
        }
        None => {
            let mut bytes = Vec::with_capacity(size(tensor));
            append(&mut bytes, tensor.data());
            proto.raw_data = Some(bytes.into());
        }
    }
    proto
}

/// The elements as little-endian bytes, as ONNX stores them; nothing for strings.
pub fn little_endian(data: &Data) -> Vec<u8> {
    let mut bytes = vec![];
    append(&mut bytes, data);
    bytes
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
