//! The extension module `exegesis._core`: models, explanations and errors of the engine as Python sees them.
//!
//! What lives here: arrays in and out, long calls beside the interpreter, errors as exceptions. What does not: which Python
//! objects are understood, defaults and pictures in notebooks; those are in the package `python/exegesis` around it.

mod array;
mod catalogue;
mod compare;
mod errors;
mod explanation;
mod function;
mod model;
mod options;
mod run;

use pyo3::prelude::*;

/// The engine.
#[pymodule(gil_used = false)]
mod _core {
    #[pymodule_export]
    use crate::catalogue::{beside_interpreter, methods, metrics, runtimes};
    #[pymodule_export]
    use crate::compare::PyComparison;
    #[pymodule_export]
    use crate::explanation::PyExplanation;
    #[pymodule_export]
    use crate::model::PyModel;

    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
