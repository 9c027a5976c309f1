//! Errors as the exceptions of `exegesis.errors`.

use exegesis::{Error, ErrorKind};
use pyo3::prelude::*;

/// The exception that says what `error` says.
pub fn exception(error: &Error) -> PyErr {
    let name = match error.kind() {
        ErrorKind::Usage => "UsageError",
        ErrorKind::Input => "InputError",
        ErrorKind::NoRule => "NoRuleError",
        ErrorKind::Resources => "ResourcesError",
        _ => "ExegesisError",
    };
    Python::attach(|py| {
        let class = py.import("exegesis.errors").and_then(|module| module.getattr(name));
        match class.and_then(|class| class.call1((error.to_string(),))) {
            Ok(value) => PyErr::from_value(value),
            Err(failure) => failure,
        }
    })
}

/// The result, as Python takes it.
pub fn told<T>(result: exegesis::Result<T>) -> PyResult<T> {
    result.map_err(|error| exception(&error))
}
