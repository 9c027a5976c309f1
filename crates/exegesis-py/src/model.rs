//! Models.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use exegesis::{
    DType, Error, Explainer, Explanation, Given, Inputs, Method, Model, Port, ReadOptions, Remarks, Result,
    TextReader, Tokenizer, Value, bind_values, files,
};
use image::{DynamicImage, RgbImage};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::array::tensor;
use crate::compare::{Contest, NamedArrays, PyComparison, Samples, tensors};
use crate::errors::{exception, told};
use crate::explanation::PyExplanation;
use crate::function::{InputTuple, Raised, function};
use crate::options::{Choices, GivenArrays};
use crate::run::beside;

/// Explainers that are kept per model.
const KEPT: usize = 8;

/// A model, ready to be explained.
#[pyclass(frozen, name = "Model", module = "exegesis._core")]
pub struct PyModel {
    model: Model,
    tokenizer: Option<Arc<Tokenizer>>,
    /// The latest explainers, by what they were asked for.
    explainers: Mutex<Vec<(String, Arc<Kept>)>>,
    /// What the function raised, if the model is one.
    raised: Option<Raised>,
}

/// An explainer, and what stops it.
struct Kept {
    explainer: Explainer,
    stop: Arc<AtomicBool>,
    /// Calls that wait for it. Only the last of them may stop it.
    callers: AtomicUsize,
}

/// A call that waits for an explainer.
struct Caller<'m> {
    model: &'m PyModel,
    kept: Arc<Kept>,
}

impl Caller<'_> {
    /// Stops the work unless others wait for it too.
    fn stop(&self) {
        let _kept = self.model.kept();
        if self.kept.callers.load(Ordering::Relaxed) == 1 {
            self.kept.stop.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        self.kept.callers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A graph input or output: name, element type, sizes (a number or a symbol each; `None`: rank unknown), whether it may be left
/// out.
type PortTuple = (String, String, Option<Vec<String>>, bool);

fn port(port: &Port) -> PortTuple {
    let shape = port.shape.as_ref().map(|shape| shape.iter().map(ToString::to_string).collect());
    (port.name.clone(), port.dtype.to_string(), shape, port.optional)
}

/// A value for a graph input as Python hands it over: `("array", x)`,
/// `("table", (x, names of columns))`, `("picture", uint8 [height, width, 3])`, `("text", str)`.
type ValueTuple<'py> = (Option<String>, String, Bound<'py, PyAny>);

fn given(values: Vec<ValueTuple<'_>>) -> PyResult<Vec<Given>> {
    values
        .into_iter()
        .map(|(name, kind, value)| {
            let value = match kind.as_str() {
                "text" => Value::Text(value.extract()?),
                "picture" => Value::Picture(picture(&value)?),
                "table" => {
                    let (cells, columns): (Bound<'_, PyAny>, Vec<String>) = value.extract()?;
                    Value::Table(tensor(&cells)?, columns)
                }
                _ => Value::Array(tensor(&value)?),
            };
            Ok(Given { name, value })
        })
        .collect()
}

fn picture(value: &Bound<'_, PyAny>) -> PyResult<DynamicImage> {
    let pixels = tensor(value)?;
    let side = |axis: usize| pixels.shape().get(axis).and_then(|size| u32::try_from(*size).ok());
    let image = match (side(0), side(1), side(2), pixels.data()) {
        (Some(height), Some(width), Some(3), exegesis::Data::U8(cells)) => {
            RgbImage::from_raw(width, height, cells.clone())
        }
        _ => None,
    };
    image.map(DynamicImage::ImageRgb8).ok_or_else(|| {
        exception(&Error::input("a picture must be an array uint8 [height, width, 3]. Convert it to RGB."))
    })
}

/// The rows with what stands for each of them in random numbers; by default its place.
fn keyed(inputs: Inputs, keys: Option<&[u64]>) -> Result<Inputs> {
    match keys {
        Some(keys) if keys.len() != inputs.rows() => Err(Error::usage(format!(
            "there are {} row keys for {} rows. Give one for each.",
            keys.len(),
            inputs.rows()
        ))),
        Some(keys) => Ok(inputs.with_row_keys(keys.to_vec())),
        None => Ok(inputs),
    }
}

impl PyModel {
    fn new(model: Model) -> Self {
        Self { model, tokenizer: None, explainers: Mutex::default(), raised: None }
    }

    /// The exception of the function that `error` tells of, or `error`.
    fn as_raised(&self, py: Python<'_>, error: PyErr) -> PyErr {
        match &self.raised {
            Some(raised) => raised.instead_of(py, error),
            None => error,
        }
    }

    fn read_options(&self, choices: &Choices, has_text: bool) -> Result<ReadOptions> {
        let explain = choices.explain.clone().unwrap_or_default();
        let reader = match &self.tokenizer {
            Some(tokenizer) if has_text || TextReader::port(&self.model, &explain).is_ok() => {
                Some(TextReader::new(&self.model, Arc::clone(tokenizer), &explain)?)
            }
            _ => None,
        };
        let preprocess = match choices.preprocess()? {
            Some(given) => Some(given),
            None => self.model.preprocess()?,
        };
        Ok(ReadOptions { preprocess, reader, ..ReadOptions::default() })
    }

    /// The one run that `values` are.
    fn bind(&self, ports: &[Port], values: Vec<Given>, choices: &Choices) -> Result<(Inputs, Remarks)> {
        let has_text = values.iter().any(|given| matches!(given.value, Value::Text(_)));
        let options = self.read_options(choices, has_text)?;
        let read = bind_values(ports, values, &options)?;
        let mut runs = read.runs.into_iter();
        match (runs.next(), runs.next()) {
            (Some(run), None) => Ok((run, read.remarks)),
            (None, _) => Err(Error::input("there are no rows to explain. Give at least one.")),
            _ => Err(Error::input(
                "the values can't be one batch: they have different sizes, and the model has no mask for shorter ones. \
                 Explain them one by one.",
            )),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<(String, Arc<Kept>)>> {
        self.explainers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The explainer for these choices: a kept one, if there is one.
    fn explainer(&self, method: &str, choices: &Choices, given: &GivenArrays) -> Result<Caller<'_>> {
        // Threads of a process do not live on in its forks, and neither do programs that wait for them.
        let process = format!("{} ", std::process::id());
        let key = format!("{process}{method} {choices:?}");
        let mut kept = self.kept();
        let is_free = |kept: &Kept| !kept.stop.load(Ordering::Relaxed);
        let found = kept.iter().find(|(known, found)| *known == key && is_free(found) && given.is_empty());
        if let Some((_, found)) = found {
            found.callers.fetch_add(1, Ordering::Relaxed);
            return Ok(Caller { model: self, kept: Arc::clone(found) });
        }
        let stop = Arc::new(AtomicBool::new(false));
        let explainer = choices.explainer(&self.model, method, given, &stop)?;
        let made = Arc::new(Kept { explainer, stop, callers: AtomicUsize::new(1) });
        if given.is_empty() {
            // What a parent process left behind is not touched: taking it down could wait for its threads.
            let (own, others) =
                std::mem::take(&mut *kept).into_iter().partition(|(k, _)| k.starts_with(&process));
            std::mem::forget::<Vec<(String, Arc<Kept>)>>(others);
            *kept = own;
            kept.retain(|(known, found)| *known != key && is_free(found));
            kept.truncate(KEPT - 1);
            kept.insert(0, (key, Arc::clone(&made)));
        }
        Ok(Caller { model: self, kept: made })
    }

    /// Arrays among the choices, as the explained inputs take them.
    fn given_arrays(
        &self,
        choices: &Choices,
        references: Option<Vec<ValueTuple<'_>>>,
        groups: Option<Vec<ValueTuple<'_>>>,
    ) -> PyResult<GivenArrays> {
        let explained = || self.model.explained_inputs(&choices.explain.clone().unwrap_or_default());
        let mut arrays = GivenArrays::default();
        if let Some(values) = references {
            let values = given(values)?;
            arrays.references =
                Some(told(explained().and_then(|ports| self.bind(&ports, values, choices)))?.0);
        }
        if let Some(values) = groups {
            let values = given(values)?;
            // Groups have no batch axis and may leave the channels out, so any shape is taken.
            let free = |port: Port| Port { dtype: DType::I64, shape: None, ..port };
            let bound = explained().and_then(|ports| {
                let ports: Vec<Port> = ports.into_iter().map(free).collect();
                bind_values(&ports, values, &ReadOptions::default())
            });
            arrays.groups = told(bound)?.runs.into_iter().next();
        }
        Ok(arrays)
    }
}

#[pymethods]
impl PyModel {
    /// Reads a file.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        told(py.detach(|| Model::open(path))).map(Self::new)
    }

    /// Reads an ONNX file that is in memory; `name` is what is shown as its path.
    #[staticmethod]
    #[pyo3(signature = (bytes, name=None))]
    fn from_bytes(py: Python<'_>, bytes: &Bound<'_, PyBytes>, name: Option<&str>) -> PyResult<Self> {
        let bytes = bytes.as_bytes();
        let model = told(py.detach(|| Model::from_bytes(bytes)))?;
        Ok(Self::new(match name {
            Some(name) => model.named(name),
            None => model,
        }))
    }

    /// The same model under the name `name`, with further metadata.
    fn described(&self, name: &str, metadata: Vec<(String, String)>) -> PyResult<Self> {
        let named = self.model.clone().named(name);
        let model = metadata.iter().fold(named, |model, (key, text)| model.with_metadata(key, text));
        told(model.preprocess())?;
        Ok(Self { tokenizer: self.tokenizer.clone(), ..Self::new(model) })
    }

    /// The built-in classifier of pictures (`"pictures"`) or of film reviews (`"reviews"`).
    #[staticmethod]
    fn builtin(name: &str) -> PyResult<Self> {
        match name {
            "reviews" => told((|| {
                let tokenizer = Some(Arc::new(exegesis::builtin::tokenizer()?));
                Ok(Self { tokenizer, ..Self::new(Model::builtin_text()?) })
            })()),
            _ => told(Model::builtin()).map(Self::new),
        }
    }

    /// The callable `{name: array} -> float64 array [rows, columns]` as a model; `labels` is a JSON array.
    #[staticmethod]
    #[pyo3(signature = (name, call, inputs, columns, meaning, labels, features))]
    fn from_function(
        name: String,
        call: Py<PyAny>,
        inputs: Vec<InputTuple>,
        columns: usize,
        meaning: &str,
        labels: &str,
        features: Vec<String>,
    ) -> PyResult<Self> {
        let (function, raised) = function(name, call, inputs, (columns, meaning), labels, features)?;
        Ok(Self { raised: Some(raised), ..Self::new(told(Model::from_function(function))?) })
    }

    /// The same model with the tokenizer in the text of a `tokenizer.json`, for texts of at most `context` tokens.
    #[pyo3(signature = (json, context=None))]
    fn with_tokenizer(&self, json: &str, context: Option<usize>) -> PyResult<Self> {
        let mut tokenizer = told(Tokenizer::from_bytes(json.as_bytes()))?;
        if let Some(tokens) = context {
            tokenizer = tokenizer.with_context(tokens);
        }
        told(TextReader::new(&self.model, Arc::new(tokenizer), &[])).map(|reader| Self {
            tokenizer: Some(reader.shared_tokenizer()),
            raised: self.raised.clone(),
            ..Self::new(self.model.clone())
        })
    }

    /// True if texts can be given.
    #[getter]
    fn has_tokenizer(&self) -> bool {
        self.tokenizer.is_some()
    }

    /// Graph inputs in order.
    #[getter]
    fn inputs(&self) -> Vec<PortTuple> {
        self.model.inputs().iter().map(port).collect()
    }

    /// Graph outputs in order.
    #[getter]
    fn outputs(&self) -> Vec<PortTuple> {
        self.model.outputs().iter().map(port).collect()
    }

    /// Where it was read from.
    #[getter]
    fn path(&self) -> &str {
        self.model.path()
    }

    /// Names of classes; empty if the model has none.
    #[getter]
    fn labels(&self) -> Vec<String> {
        let labels = self.model.labels();
        (0..labels.len()).filter_map(|i| labels.name(i).map(str::to_string)).collect()
    }

    /// Names of the inputs that get attributions: those of `names`, or those that do by default.
    fn explained(&self, names: Vec<String>) -> PyResult<Vec<String>> {
        let ports = told(self.model.explained_inputs(&names))?;
        Ok(ports.into_iter().map(|port| port.name).collect())
    }

    /// Names of the columns of a table, if the model says them.
    #[getter]
    fn columns(&self) -> Option<Vec<String>> {
        self.model.columns()
    }

    /// Explains `values` by each of `methods`.
    #[pyo3(signature = (values, methods, choices, references=None, groups=None, progress=None, row_keys=None))]
    #[allow(clippy::too_many_arguments)]
    fn explain(
        &self,
        py: Python<'_>,
        values: Vec<ValueTuple<'_>>,
        methods: Vec<String>,
        choices: Choices,
        references: Option<Vec<ValueTuple<'_>>>,
        groups: Option<Vec<ValueTuple<'_>>>,
        progress: Option<Bound<'_, PyAny>>,
        row_keys: Option<Vec<u64>>,
    ) -> PyResult<PyExplanation> {
        let parsed = told(methods.iter().map(|text| Method::parse(text)).collect::<Result<Vec<Method>>>())?;
        let arrays = self.given_arrays(&choices, references, groups)?;
        told(choices.check(&parsed, &arrays))?;
        let mut values = Some(given(values)?);
        let mut parts: Vec<Explanation> = vec![];
        let mut bound: Option<(Inputs, Remarks)> = None;
        for method in &methods {
            let caller = told(self.explainer(method, &choices, &arrays))?;
            if let Some(values) = values.take() {
                let (inputs, remarks) = told(self.bind(caller.kept.explainer.inputs(), values, &choices))?;
                bound = Some((told(keyed(inputs, row_keys.as_deref()))?, remarks));
            }
            let inputs = bound.as_ref().map(|(inputs, _)| inputs.clone()).unwrap_or_default();
            let own = Arc::clone(&caller.kept);
            let interrupted = Arc::new(AtomicBool::new(false));
            let part = beside(py, &interrupted, progress.as_ref(), move |meter| {
                own.explainer.explain_with(&inputs, &mut |done, total| meter.set(done, total))
            });
            if interrupted.load(Ordering::Relaxed) {
                caller.stop();
            }
            parts.push(part.map_err(|error| self.as_raised(py, error))?);
        }
        let mut joined = told(Explanation::join(parts))?;
        if let Some((_, remarks)) = &bound {
            joined.provenance.remarks.extend(remarks);
        }
        Ok(PyExplanation::new(joined))
    }

    /// What explaining `values` by `method` would take, without running: as text, and as JSON text.
    #[pyo3(signature = (values, method, choices, references=None, groups=None))]
    fn plan(
        &self,
        py: Python<'_>,
        values: Vec<ValueTuple<'_>>,
        method: String,
        choices: Choices,
        references: Option<Vec<ValueTuple<'_>>>,
        groups: Option<Vec<ValueTuple<'_>>>,
    ) -> PyResult<(String, String)> {
        let arrays = self.given_arrays(&choices, references, groups)?;
        told(choices.check(&[told(Method::parse(&method))?], &arrays))?;
        let caller = told(self.explainer(&method, &choices, &arrays))?;
        let (inputs, _) = told(self.bind(caller.kept.explainer.inputs(), given(values)?, &choices))?;
        let plan = told(py.detach(|| caller.kept.explainer.plan(&inputs)))?;
        Ok((plan.text(), serde_json::to_string(&plan).unwrap_or_default()))
    }

    /// What is in the model and which methods cover it, or what one method would do at each node: as text, and as JSON text.
    #[pyo3(signature = (method, choices, every_node=false))]
    fn inspect(
        &self,
        py: Python<'_>,
        method: Option<String>,
        choices: Choices,
        every_node: bool,
    ) -> PyResult<(String, String)> {
        let stop = Arc::new(AtomicBool::new(false));
        told(py.detach(|| {
            let name = method.as_deref().unwrap_or(Method::usual().name()).to_string();
            let builder = choices.builder(&self.model, &name, &stop)?;
            let found = if method.is_some() { builder.inspect_method() } else { builder.inspect() };
            Ok((found.text(every_node), found.json().to_string()))
        }))
    }

    /// Compares methods, and maps of other tools (by name, per explained input), on samples: values, or paths of files.
    #[pyo3(signature = (contest, choices, values, paths, masks, saved, progress=None))]
    #[allow(clippy::too_many_arguments)]
    fn compare(
        &self,
        py: Python<'_>,
        contest: Contest,
        choices: Choices,
        values: Vec<ValueTuple<'_>>,
        paths: Vec<String>,
        masks: NamedArrays<'_>,
        saved: Vec<(String, NamedArrays<'_>)>,
        progress: Option<Bound<'_, PyAny>>,
    ) -> PyResult<PyComparison> {
        let is_text = |path: &String| path.ends_with(".txt") || path.ends_with(".tsv");
        let values = given(values)?;
        let has_text = values.iter().any(|g| matches!(g.value, Value::Text(_))) || paths.iter().any(is_text);
        let options = told(self.read_options(&choices, has_text))?;
        let has_words = options.reader.is_some();
        let masks = tensors(masks)?;
        let saved = saved
            .into_iter()
            .map(|(key, arrays)| Ok((key, tensors(arrays)?)))
            .collect::<PyResult<Vec<_>>>()?;
        let samples = if paths.is_empty() { Samples::Values(values) } else { Samples::Paths(paths) };
        let data = told(py.detach(|| contest.data(&self.model, samples, masks, &options)))?;
        let model = self.model.clone();
        let result = contest.run(py, model, (data, has_words), saved, choices, progress.as_ref());
        result.map_err(|error| self.as_raised(py, error))
    }

    /// Writes a standard ONNX file that predicts and explains; returns its path.
    fn compile(&self, py: Python<'_>, method: &str, path: PathBuf, choices: Choices) -> PyResult<PathBuf> {
        let stop = Arc::new(AtomicBool::new(false));
        told(py.detach(|| {
            files::check_target(&path)?;
            let bytes = choices.builder(&self.model, method, &stop)?.compile()?;
            files::write(&path, &bytes)
        }))
    }
}
