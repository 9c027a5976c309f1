//! Reading an ONNX model into the IR.
//!
//! [`Reader`] walks the messages once. Each graph or subgraph being built is a [`scope::Level`]; names are resolved
//! through the scopes of the levels, so that what a subgraph reads from outside becomes an explicit capture. Each node
//! goes through `node` (control flow, constants, functions) and `opset` (the canonical form).

mod attributes;
mod external;
mod functions;
mod graph;
mod guard;
mod infer;
mod node;
mod opset;
mod scope;
mod tensor;
mod types;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use prost::Message;
use prost::bytes::Bytes;
use rustc_hash::FxHashMap;

use super::proto::{FunctionProto, ModelProto, TensorProto};
use super::versions::{NEWEST_OPSET, OLDEST_OPSET};
use crate::{Error, ErrorKind, Graph, Result, Tensor};
use external::{ExternalData, Region};
use scope::{Level, Opsets};
use types::Symbols;

/// Newest version of the file format that is read.
const NEWEST_IR_VERSION: i64 = 14;
/// Oldest version of the file format that is read.
const OLDEST_IR_VERSION: i64 = 3;
/// Bytes that sparse tensors may take when they are filled in.
const SPARSE_BUDGET: u64 = 4 << 30;

/// A model as read.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The graph, in the canonical vocabulary.
    pub graph: Graph,
    /// What the file says about itself.
    pub info: ModelInfo,
}

/// What a model file says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ModelInfo {
    /// Version of the file format.
    pub ir_version: i64,
    /// Version of the default operator set.
    pub opset: i64,
    /// All operator sets in use, by domain; the default one has the empty domain.
    pub opsets: Vec<(String, i64)>,
    /// The tool that wrote the file.
    pub producer_name: String,
    /// Its version.
    pub producer_version: String,
    /// The model's domain, a reverse DNS name.
    pub domain: String,
    /// The model's own version.
    pub model_version: i64,
    /// Description for people.
    pub description: String,
    /// Files beside the model that hold data of it, by name.
    pub data_files: Vec<String>,
}

/// Reads the model at `path`; external data is looked for beside it.
///
/// # Errors
/// A file that can't be read ([`ErrorKind::Io`]), or as for [`read_bytes`].
pub fn read_file(path: &Path) -> Result<Model> {
    let failed = |e: std::io::Error| {
        let what = if e.kind() == std::io::ErrorKind::NotFound {
            "there is no such file".into()
        } else {
            e.to_string()
        };
        Error::new(ErrorKind::Io, format!("can't read \"{}\": {what}", path.display()))
    };
    // A pipe or device would block or never end.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Error::new(ErrorKind::Io, format!("\"{}\" is not a file", path.display())));
    }
    let bytes = fs::read(path).map_err(failed)?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    read(Bytes::from(bytes), ExternalData::new(Some(folder), Some(path)))
}

/// Reads a model from memory; external data is looked for in `folder`.
///
/// # Errors
/// Bytes that are not a well-formed model ([`ErrorKind::Malformed`]), an opset that is not read
/// ([`ErrorKind::Unsupported`]), sizes beyond what is accepted ([`ErrorKind::TooLarge`]), or external data that can't be
/// read ([`ErrorKind::Io`]).
pub fn read_bytes(bytes: &[u8], folder: Option<&Path>) -> Result<Model> {
    read(Bytes::copy_from_slice(bytes), ExternalData::new(folder, None))
}

fn read(bytes: Bytes, external: ExternalData) -> Result<Model> {
    if bytes.is_empty() {
        return Err(Error::malformed("the file is empty"));
    }
    guard::check(&bytes)?;
    let model = ModelProto::decode(bytes)
        .map_err(|e| Error::malformed(format!("this is not a complete ONNX file ({e})")))?;
    if model.graph.is_none() {
        return Err(Error::malformed("this is not an ONNX model: it has no graph"));
    }
    if model.ir_version < OLDEST_IR_VERSION || model.ir_version > NEWEST_IR_VERSION {
        return Err(Error::unsupported(format!(
            "the file has version {} of the ONNX format; versions {OLDEST_IR_VERSION} to {NEWEST_IR_VERSION} are read",
            model.ir_version
        )));
    }
    let opsets = Opsets::new(&model.opset_import)?;
    if model.opset_import.is_empty() {
        return Err(Error::malformed("the model does not say which operator set it uses"));
    }
    let opset = opsets.get("").unwrap_or(0);
    check_opset(opset)?;
    let info = ModelInfo {
        ir_version: model.ir_version,
        opset,
        opsets: opsets.list(),
        producer_name: model.producer_name.clone(),
        producer_version: model.producer_version.clone(),
        domain: model.domain.clone(),
        model_version: model.model_version,
        description: model.doc_string.clone(),
        data_files: vec![],
    };
    let mut reader = Reader::new(&model, external)?;
    let mut graph = reader.main_graph(&model, opsets)?;
    describe(&model, &mut graph);
    graph.validate(&[])?;
    let data_files = reader.external.files();
    Ok(Model { graph, info: ModelInfo { data_files, ..info } })
}

/// Refuses a version of the default operator set that is not read; 0 is "not used".
fn check_opset(opset: i64) -> Result<()> {
    if opset != 0 && opset < OLDEST_OPSET {
        return Err(Error::unsupported(format!(
            "the model uses opset {opset}; the oldest that is read is {OLDEST_OPSET} (convert it with the `onnx` package's version converter)"
        )));
    }
    if opset > NEWEST_OPSET {
        return Err(Error::unsupported(format!(
            "the model uses opset {opset}; the newest that is read is {NEWEST_OPSET} (export it for an older one)"
        )));
    }
    Ok(())
}

/// Copies what the model says about itself into the graph's metadata.
fn describe(model: &ModelProto, graph: &mut Graph) {
    for entry in &model.metadata_props {
        graph.metadata.insert(entry.key.clone(), entry.value.clone());
    }
    // Our own name says nothing about where the model comes from.
    if model.producer_name == super::write::PRODUCER {
        return;
    }
    for (key, text) in
        [("onnx.producer_name", &model.producer_name), ("onnx.producer_version", &model.producer_version)]
    {
        if !text.is_empty() {
            graph.metadata.entry(key.to_string()).or_insert_with(|| text.clone());
        }
    }
}

/// State of reading one model.
struct Reader<'a> {
    functions: FxHashMap<functions::Key<'a>, &'a FunctionProto>,
    /// The graph being built, inside those that contain it.
    levels: Vec<Level<'a>>,
    external: ExternalData,
    /// Tensors of the file by the address of their message: bodies of functions are read once per call.
    tensors: FxHashMap<*const TensorProto, Arc<Tensor>>,
    /// Tensors in data files, so that shared ones are held once.
    regions: FxHashMap<(Region, i32, Vec<i64>), Arc<Tensor>>,
    symbols: Symbols,
    budget: Budget,
}

/// What may still be spent.
struct Budget {
    sparse: u64,
    inlined_nodes: u64,
    inlined_bytes: u64,
}

impl<'a> Reader<'a> {
    fn new(model: &'a ModelProto, external: ExternalData) -> Result<Self> {
        Ok(Self {
            functions: functions::table(&model.functions)?,
            levels: vec![],
            external,
            tensors: FxHashMap::default(),
            regions: FxHashMap::default(),
            symbols: Symbols::default(),
            budget: Budget {
                sparse: SPARSE_BUDGET,
                inlined_nodes: functions::MAX_INLINED_NODES,
                inlined_bytes: functions::MAX_INLINED_BYTES,
            },
        })
    }

    /// The tensor of a message, shared with every other use of it; `None` if its element type is not held.
    fn tensor(&mut self, proto: &'a TensorProto) -> Result<Option<Arc<Tensor>>> {
        let address: *const TensorProto = proto;
        if let Some(tensor) = self.tensors.get(&address) {
            return Ok(Some(Arc::clone(tensor)));
        }
        let region = if proto.data_location == 1 {
            Some((ExternalData::region(proto)?, proto.data_type, proto.dims.clone()))
        } else {
            None
        };
        if let Some(tensor) = region.as_ref().and_then(|r| self.regions.get(r)) {
            return Ok(Some(Arc::clone(tensor)));
        }
        let Some(tensor) = tensor::dense(proto, &mut self.external)? else { return Ok(None) };
        let tensor = Arc::new(tensor);
        self.tensors.insert(address, Arc::clone(&tensor));
        if let Some(region) = region {
            self.regions.insert(region, Arc::clone(&tensor));
        }
        Ok(Some(tensor))
    }

    /// A copy of `proto` with its data inside.
    fn self_contained(&mut self, proto: &TensorProto) -> Result<TensorProto> {
        let mut tensor = proto.clone();
        if tensor.data_location == 1 {
            tensor.raw_data = Some(self.external.read(proto, None)?.into());
            tensor.external_data.clear();
            tensor.data_location = 0;
        }
        Ok(tensor)
    }
}
