//! Writing a graph as an ONNX model of the canonical opset.
//!
//! Composites must have been expanded: this module translates, it does not rewrite. What opset 18 can't say is an error
//! that names the node.

mod canonical;
mod graph;
mod tensor;

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::sync::Arc;

use prost::Message;

use super::proto::{ModelProto, OperatorSetIdProto, StringStringEntryProto};
use crate::op::CANONICAL_OPSET;
use crate::{Error, Graph, Result, Tensor};
use graph::Names;
use tensor::Weights;
pub use tensor::little_endian;

/// `producer_name` of written models.
pub(super) const PRODUCER: &str = "exegesis";
/// The format version that belongs to opset 18.
const IR_VERSION: i64 = 8;
/// Protobuf messages can't be longer.
const MAX_BYTES: u64 = i32::MAX as u64;

/// A model and its weights apart, for graphs that do not fit one protobuf message or share weights with other files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The model file.
    pub model: Vec<u8>,
    /// The data file that the model refers to.
    pub weights: Vec<u8>,
}

/// A model that refers to its larger constants without copying them.
#[derive(Clone, Debug, PartialEq)]
pub struct Shared {
    /// The model file.
    pub model: Vec<u8>,
    /// The data files that the model refers to (of [`write_lent`]: its constants): name, and the tensor whose elements are
    /// its content.
    pub weights: Vec<(String, Arc<Tensor>)>,
}

/// What [`write_bytes_with`] writes beside the graph itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// Types and shapes of intermediate values, where they are known.
    pub value_info: bool,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { value_info: true }
    }
}

/// The bytes of an ONNX model (opset 18, weights inside).
///
/// # Errors
/// A composite or a form that opset 18 does not have ([`crate::ErrorKind::Unsupported`], naming the node), a graph that
/// is not valid, or more than 2 GB ([`crate::ErrorKind::TooLarge`]: use [`write_split`]).
pub fn write_bytes(graph: &Graph) -> Result<Vec<u8>> {
    write_bytes_with(graph, WriteOptions::default())
}

/// As [`write_bytes`], with choices.
///
/// # Errors
/// As for [`write_bytes`].
pub fn write_bytes_with(graph: &Graph, options: WriteOptions) -> Result<Vec<u8>> {
    if tensor::constant_bytes(graph, usize::MAX) > MAX_BYTES {
        return Err(too_large());
    }
    encode(&mut Writer { weights: None, value_info: options.value_info, domains: BTreeMap::new() }, graph)
}

/// A model whose constants of at least `min_bytes` bytes lie in a data file called `location` beside it, each at a
/// multiple of 64 bytes; a tensor that several constants share lies there once.
///
/// # Errors
/// As for [`write_bytes`]; a `location` that is not a plain relative path.
pub fn write_split(graph: &Graph, location: &str, min_bytes: usize) -> Result<Split> {
    let plain = Path::new(location).components().all(|c| matches!(c, Component::Normal(_)));
    if location.is_empty() || !plain || location.contains(['\\', ':', '\0']) {
        return Err(Error::malformed(format!(
            "\"{location}\" can't be the name of a data file beside the model"
        )));
    }
    if tensor::constant_bytes(graph, min_bytes) > MAX_BYTES {
        return Err(too_large());
    }
    let weights = Weights::in_file(location, min_bytes);
    let mut writer = Writer { weights: Some(weights), value_info: false, domains: BTreeMap::new() };
    let model = encode(&mut writer, graph)?;
    Ok(Split { model, weights: writer.weights.map(Weights::into_bytes).unwrap_or_default() })
}

/// A model whose constants of at least `min_bytes` bytes are data files of their own, which are not written: the tensors
/// themselves stand for them, so that a runtime in the same process can use the graph's own copy. A tensor that several
/// constants share is one file.
///
/// # Errors
/// As for [`write_bytes`].
pub fn write_shared(graph: &Graph, min_bytes: usize) -> Result<Shared> {
    if tensor::constant_bytes(graph, min_bytes) > MAX_BYTES {
        return Err(too_large());
    }
    let weights = Some(Weights::apart(min_bytes));
    let mut writer = Writer { weights, value_info: false, domains: BTreeMap::new() };
    let model = encode(&mut writer, graph)?;
    Ok(Shared { model, weights: writer.weights.map(Weights::into_tensors).unwrap_or_default() })
}

/// A model whose constants of at least `min_bytes` bytes are left out, except in bodies: whoever reads the model in the same
/// process gets them from [`Shared::weights`], which here are listed by the names of the constants.
///
/// # Errors
/// As for [`write_bytes`].
pub fn write_lent(graph: &Graph, min_bytes: usize) -> Result<Shared> {
    let weights = Some(Weights::lent(min_bytes));
    let mut writer = Writer { weights, value_info: false, domains: BTreeMap::new() };
    let model = encode(&mut writer, graph)?;
    Ok(Shared { model, weights: writer.weights.map(Weights::into_tensors).unwrap_or_default() })
}

/// State of writing one model.
struct Writer {
    weights: Option<Weights>,
    value_info: bool,
    /// Domains of uninterpreted operators and their versions.
    domains: BTreeMap<String, i64>,
}

fn encode(writer: &mut Writer, graph: &Graph) -> Result<Vec<u8>> {
    graph.validate(&[])?;
    let proto = writer.graph(graph, &Names::default())?;
    let metadata =
        |(key, value): (&String, &String)| StringStringEntryProto { key: key.clone(), value: value.clone() };
    let domains = writer.domains.iter().map(|(domain, version)| (domain.clone(), *version));
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: PRODUCER.to_string(),
        producer_version: env!("CARGO_PKG_VERSION").to_string(),
        graph: Some(proto),
        opset_import: [(String::new(), CANONICAL_OPSET)]
            .into_iter()
            .chain(domains)
            .map(|(domain, version)| OperatorSetIdProto { domain, version })
            .collect(),
        metadata_props: graph.metadata.iter().map(metadata).collect(),
        ..ModelProto::default()
    };
    if model.encoded_len() as u64 > MAX_BYTES {
        return Err(too_large());
    }
    Ok(model.encode_to_vec())
}

fn too_large() -> Error {
    Error::too_large(
        "the model is larger than 2 GB, more than one ONNX file can hold; write it with its weights apart",
    )
}
