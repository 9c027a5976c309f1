//! What methods and metrics there are, with everything that is known of them before they run.

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
