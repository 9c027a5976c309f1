//! What methods, metrics and runtimes there are, with everything that is known of them before they run.

use std::path::PathBuf;

use exegesis::metrics::{Direction, MetricInfo, catalogue};
use exegesis::{Method, MethodInfo, ParameterInfo};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// A parameter: name, default, accepted values, what it does.
type ParameterTuple = (&'static str, &'static str, &'static str, &'static str);

fn parameters(all: &'static [ParameterInfo]) -> Vec<ParameterTuple> {
    all.iter().map(|own| (own.name, own.default, own.values, own.doc)).collect()
}

/// Every method as a dictionary.
#[pyfunction]
pub fn methods(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    Method::catalogue().into_iter().map(|info| method(py, info)).collect()
}

fn method<'py>(py: Python<'py>, info: &'static MethodInfo) -> PyResult<Bound<'py, PyDict>> {
    let entry = PyDict::new(py);
    entry.set_item("name", info.name)?;
    entry.set_item("summary", info.summary)?;
    entry.set_item("formula", info.formula)?;
    entry.set_item("cost", info.cost)?;
    entry.set_item("misleads", info.misleads)?;
    entry.set_item("citation", info.citation)?;
    entry.set_item("parameters", parameters(info.parameters))?;
    Ok(entry)
}

/// Every metric as a dictionary.
#[pyfunction]
pub fn metrics(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    catalogue().iter().map(|entry| metric(py, entry.info)).collect()
}

fn metric<'py>(py: Python<'py>, info: &'static MetricInfo) -> PyResult<Bound<'py, PyDict>> {
    let entry = PyDict::new(py);
    entry.set_item("name", info.name)?;
    entry.set_item("id", info.id)?;
    entry.set_item("version", info.version)?;
    entry.set_item("family", info.family.name())?;
    entry.set_item(
        "better",
        match info.direction {
            Direction::Up => "higher",
            Direction::Down => "lower",
        },
    )?;
    entry.set_item("summary", info.summary)?;
    entry.set_item("formula", info.formula)?;
    entry.set_item("cost", info.cost)?;
    entry.set_item("modalities", info.modalities.iter().map(|m| m.name()).collect::<Vec<&str>>())?;
    entry.set_item("misleads", info.misleads)?;
    entry.set_item("check", info.check)?;
    entry.set_item("citation", info.citation)?;
    entry.set_item("parameters", parameters(info.parameters))?;
    Ok(entry)
}

/// Every runtime as a dictionary; `library` says where ONNX Runtime lies.
#[pyfunction]
#[pyo3(signature = (library=None))]
pub fn runtimes(py: Python<'_>, library: Option<PathBuf>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let entry = |info: exegesis::RuntimeInfo| {
        let entry = PyDict::new(py);
        entry.set_item("name", info.name)?;
        entry.set_item("version", info.version)?;
        entry.set_item("path", info.path)?;
        entry.set_item("devices", info.devices)?;
        entry.set_item("fault", info.fault)?;
        Ok(entry)
    };
    exegesis::runtimes(library.as_deref()).into_iter().map(entry).collect()
}

/// Says where this interpreter has the package `onnxruntime`, if it has it.
#[pyfunction]
#[pyo3(signature = (package))]
pub fn beside_interpreter(package: Option<PathBuf>) {
    #[cfg(feature = "onnxruntime")]
    exegesis::OnnxRuntime::beside_interpreter(package);
    #[cfg(not(feature = "onnxruntime"))]
    drop(package);
}
