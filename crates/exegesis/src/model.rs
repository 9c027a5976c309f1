//! A model as read: its graph, what it says about itself, and what can be done with it.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use exegesis_graph::onnx::{self, ModelInfo};
use exegesis_graph::{Graph, ValueId, passes};
use exegesis_runtime::{Port, RtenRuntime, Runtime};
use sha2::{Digest, Sha256};

use crate::explainer::ExplainerBuilder;
use crate::{Error, Function, Labels, Method, Preprocess, Result};

/// A model, ready to be explained. Clones share everything.
#[derive(Clone, Debug)]
pub struct Model {
    inner: Arc<Inner>,
}

#[derive(Clone, Debug)]
struct Inner {
    path: String,
    sha256: String,
    info: ModelInfo,
    imported: Graph,
    prepared: Graph,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    load_seconds: f64,
    function: Option<Function>,
}

impl Model {
    /// Reads the ONNX file at `path`; external data beside it is found.
    ///
    /// # Errors
    /// A file that can't be read or is not a well-formed model, or a format that is not built.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let started = Instant::now();
        let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let instead = "Export the model to ONNX first.";
        match ending.as_str() {
            _ if path.is_dir() => return Err(Error::not_built("reading a Hugging Face folder", instead)),
            "gguf" => return Err(Error::not_built("reading .gguf", instead)),
            "safetensors" | "pt" | "pth" | "h5" | "keras" | "tflite" | "pb" => {
                return Err(Error::not_built(&format!("reading .{ending} models"), instead));
            }
            _ => {}
        }
        let shown = path.display().to_string();
        let of = |e: exegesis_graph::Error| {
            let named = e.to_string().contains(&shown);
            let error = Error::from(e);
            if named { error } else { error.of(&shown) }
        };
        let model = onnx::read_file(path).map_err(of)?;
        let beside = path.parent().unwrap_or(Path::new(""));
        let data = model.info.data_files.iter().map(|name| beside.join(name));
        let sha256 = hash_files(&[path.to_path_buf()].into_iter().chain(data).collect::<Vec<_>>())?;
        Self::new(model, shown.clone(), sha256, started).map_err(|e| e.of(&shown))
    }

    /// Reads an ONNX model from memory. External data is not looked for.
    ///
    /// # Errors
    /// Bytes that are not a well-formed model.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::named_bytes(bytes, "(memory)")
    }

    pub(crate) fn named_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        let started = Instant::now();
        let model = onnx::read_bytes(bytes, None)?;
        Self::new(model, name.to_string(), hex(&Sha256::digest(bytes)), started)
    }

    /// The small Fashion-MNIST classifier that comes with the program.
    ///
    /// # Errors
    /// None in a build whose tests pass.
    pub fn builtin() -> Result<Self> {
        Self::named_bytes(crate::builtin::MODEL, crate::builtin::NAME)
    }

    /// The small sentiment classifier of film reviews that comes with the program; [`crate::builtin::tokenizer`] reads text
    /// for it.
    ///
    /// # Errors
    /// None in a build whose tests pass.
    pub fn builtin_text() -> Result<Self> {
        Self::named_bytes(crate::builtin::TEXT_MODEL, crate::builtin::TEXT_NAME)
    }

    /// A function as a model, for methods that only ask.
    ///
    /// ```
    /// use exegesis::{Function, Inputs, Meaning, Method, Model, Tensor};
    ///
    /// let sum = Function::new("sum", &[3], 1, Meaning::Values, |inputs| {
    ///     let (_, x) = inputs.first().ok_or("no input")?;
    ///     let values = x.as_f32().ok_or("no floats")?;
    ///     let sums: Vec<f32> = values.chunks(3).map(|row| row.iter().sum()).collect();
    ///     Tensor::new([sums.len(), 1], sums).map_err(|e| e.to_string())
    /// });
    /// let explainer = Model::from_function(sum)?.explainer(Method::parse("shapley")?).build()?;
    /// let row = Tensor::new([1, 3], vec![1f32, 2.0, 4.0])?;
    /// let explanation = explainer.explain(&Inputs::new().with("x", row))?;
    /// assert_eq!(explanation.values("x").and_then(Tensor::as_f32), Some(&[1f32, 2.0, 4.0][..]));
    /// # Ok::<(), exegesis::Error>(())
    /// ```
    ///
    /// # Errors
    /// A function without inputs or results, or an input without an open batch axis.
    pub fn from_function(function: Function) -> Result<Self> {
        let started = Instant::now();
        let info = ModelInfo { producer_name: "function".to_string(), ..ModelInfo::default() };
        let model = onnx::Model { graph: function.graph()?, info };
        let mut made = Self::new(model, function.name.clone(), String::new(), started)?;
        if let Some(inner) = Arc::get_mut(&mut made.inner) {
            inner.function = Some(function);
        }
        Ok(made)
    }

    /// The function, if the model is one.
    pub fn function(&self) -> Option<&Function> {
        self.inner.function.as_ref()
    }

    /// What runs graphs of this model: `runtime`; or the function if the model is one, with at most `rows` rows a call. What is
    /// behind a function is too little to gain by another runtime than the embedded one.
    pub(crate) fn runtime(&self, runtime: Box<dyn Runtime>, rows: Option<NonZeroUsize>) -> Box<dyn Runtime> {
        match self.function() {
            Some(function) => function.runtime(rows, Box::new(RtenRuntime)),
            None => runtime,
        }
    }

    fn new(model: onnx::Model, path: String, sha256: String, started: Instant) -> Result<Self> {
        let onnx::Model { graph: imported, info } = model;
        let mut prepared = imported.clone();
        passes::prepare(&mut prepared, &RtenRuntime, &mut |_, _| {})?;
        let inputs = ports(&prepared, &prepared.inputs)?;
        let outputs = ports(&prepared, &prepared.outputs)?;
        let load_seconds = started.elapsed().as_secs_f64();
        let function = None;
        let inner = Inner { path, sha256, info, imported, prepared, inputs, outputs, load_seconds, function };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The same model with another prepared graph, which takes and gives the same.
    ///
    /// # Errors
    /// Inputs or outputs of unknown type.
    pub(crate) fn with_graph(&self, prepared: Graph) -> Result<Self> {
        let inputs = ports(&prepared, &prepared.inputs)?;
        let outputs = ports(&prepared, &prepared.outputs)?;
        let mut inner = (*self.inner).clone();
        (inner.prepared, inner.inputs, inner.outputs) = (prepared, inputs, outputs);
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The same model under the name `name` instead of a path: for a file that was written only to hand the model over.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        Arc::make_mut(&mut self.inner).path = name.to_string();
        self
    }

    /// The same model with `text` as its metadata `key`, such as `exegesis.labels` or `exegesis.preprocess`.
    #[must_use]
    pub fn with_metadata(mut self, key: &str, text: &str) -> Self {
        let inner = Arc::make_mut(&mut self.inner);
        for graph in [&mut inner.imported, &mut inner.prepared] {
            graph.metadata.insert(key.to_string(), text.to_string());
        }
        self
    }

    /// Inputs of the graph, in order.
    pub fn inputs(&self) -> &[Port] {
        &self.inner.inputs
    }

    /// Outputs of the graph, in order.
    pub fn outputs(&self) -> &[Port] {
        &self.inner.outputs
    }

    /// The inputs that get attributions: those called `names`, or by default every float input and the token ids.
    ///
    /// # Errors
    /// A name that is no input, or several candidates for token ids.
    pub fn explained_inputs(&self, names: &[String]) -> Result<Vec<Port>> {
        let explained = exegesis_attribute::explained_inputs(&self.inner.prepared, names)?;
        let is_explained = |port: &&Port| explained.iter().any(|input| input.name == port.name);
        Ok(self.inner.inputs.iter().filter(is_explained).cloned().collect())
    }

    /// Where it was read from, as the user wrote it.
    pub fn path(&self) -> &str {
        &self.inner.path
    }

    /// SHA-256 of the file in hexadecimal; where data lies in files beside it, of the file and these, by name, one behind the
    /// other.
    pub fn sha256(&self) -> &str {
        &self.inner.sha256
    }

    /// What the file says about itself.
    pub fn info(&self) -> &ModelInfo {
        &self.inner.info
    }

    /// File format, such as `ONNX, opset 17`.
    pub fn format(&self) -> String {
        match self.function() {
            Some(_) => "a function of the caller".to_string(),
            None => format!("ONNX, opset {}", self.inner.info.opset),
        }
    }

    /// Program that wrote the file, with its version, if the file names it.
    pub fn producer(&self) -> Option<String> {
        let info = &self.inner.info;
        let text = format!("{} {}", info.producer_name, info.producer_version);
        // tf2onnx writes the text "None" for a version that it does not know.
        Some(text.trim().trim_end_matches(" None").to_string()).filter(|t| !t.is_empty())
    }

    /// The graph as read, before any pass.
    pub fn imported(&self) -> &Graph {
        &self.inner.imported
    }

    /// The graph after the passes that every use needs: shapes known, constants folded.
    pub fn graph(&self) -> &Graph {
        &self.inner.prepared
    }

    /// Seconds that reading and preparing took.
    pub fn load_seconds(&self) -> f64 {
        self.inner.load_seconds
    }

    /// Class names from the metadata `exegesis.labels`; empty if there are none.
    pub fn labels(&self) -> Labels {
        self.inner
            .imported
            .metadata
            .get("exegesis.labels")
            .map(|text| Labels::parse(text))
            .unwrap_or_default()
    }

    /// Preprocessing of pictures from the metadata `exegesis.preprocess`.
    ///
    /// # Errors
    /// Metadata that is not of that form.
    pub fn preprocess(&self) -> Result<Option<Preprocess>> {
        let text = self.inner.imported.metadata.get("exegesis.preprocess");
        text.map(|text| {
            text.parse().map_err(|e: Error| Error::input(format!("metadata exegesis.preprocess: {e}")))
        })
        .transpose()
    }

    /// Column names of a table from the metadata `exegesis.columns`, one per line or as a JSON array.
    pub fn columns(&self) -> Option<Vec<String>> {
        let labels = Labels::parse(self.inner.imported.metadata.get("exegesis.columns")?);
        (0..labels.len()).map(|i| labels.name(i).map(str::to_string)).collect()
    }

    /// Starts an explainer of this model by `method`.
    pub fn explainer(&self, method: impl Into<Method>) -> ExplainerBuilder {
        ExplainerBuilder::new(self.clone(), method.into())
    }
}

/// Inputs or outputs of a graph.
fn ports(graph: &Graph, values: &[ValueId]) -> Result<Vec<Port>> {
    values
        .iter()
        .map(|id| {
            let value = graph.value(*id);
            let dtype = value.dtype.ok_or_else(|| {
                Error::input(format!(
                    "the type of \"{}\" is not known. Export the model with typed inputs and outputs.",
                    value.name
                ))
            })?;
            let optional = value.constant.is_some() && graph.inputs.contains(id);
            Ok(Port { name: value.name.clone(), dtype, shape: value.shape.clone(), optional })
        })
        .collect()
}

/// SHA-256 of the files one behind the other, in hexadecimal.
fn hash_files(paths: &[PathBuf]) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0u8; 1 << 20];
    for path in paths {
        let failed = |e: std::io::Error| {
            Error::input(format!("can't read \"{}\": {e}. Check the file.", path.display()))
        };
        let mut file = std::fs::File::open(path).map_err(failed)?;
        loop {
            match std::io::Read::read(&mut file, &mut buffer).map_err(failed)? {
                0 => break,
                n => hasher.update(&buffer[..n]),
            }
        }
    }
    Ok(hex(&hasher.finalize()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
