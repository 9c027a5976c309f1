//! Python functions as models. The engine calls them from a thread of its own, which takes the interpreter's lock for the call
//! only; an exception is kept, and raised again where the user waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use exegesis::{DType, Dim, Error, Function, Labels, Predictor, Tensor};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::array::{array, tensor};
use crate::errors::{exception, told};

/// Exceptions that are kept until somebody raises them.
const KEPT: usize = 16;

/// Exceptions that functions raised, by the number that the message of the engine's error bears.
#[derive(Clone, Debug, Default)]
pub struct Raised {
    kept: Arc<Mutex<Vec<(u64, PyErr)>>>,
}

static NUMBER: AtomicU64 = AtomicU64::new(1);

impl Raised {
    /// Keeps an exception; the sentence names it.
    fn keep(&self, name: &str, error: PyErr) -> String {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let text = format!("\"{name}\" raised {error} {}", mark(number));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push((number, error));
        text
    }

    /// The exception that `error` tells of, or `error`.
    pub fn instead_of(&self, py: Python<'_>, error: PyErr) -> PyErr {
        let text = error.value(py).to_string();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.iter().position(|(number, _)| text.contains(&mark(*number))) {
            Some(at) => kept.remove(at).1,
            None => error,
        }
    }
}

fn mark(number: u64) -> String {
    format!("(exception {number})")
}

/// A Python callable `{name: array} -> float64 array [rows, columns]`.
struct Callable {
    name: String,
    call: Py<PyAny>,
    raised: Raised,
}

impl Predictor for Callable {
    fn predict(&self, inputs: &[(&str, &Tensor)]) -> Result<Vec<Tensor>, String> {
        Python::attach(|py| {
            let answer = || -> PyResult<Tensor> {
                let given = PyDict::new(py);
                for (name, value) in inputs {
                    given.set_item(name, array(py, (*value).clone())?)?;
                }
                tensor(&self.call.bind(py).call1((given,))?)
            };
            answer().map(|found| vec![found]).map_err(|error| self.raised.keep(&self.name, error))
        })
    }
}

/// An input of a function: name, element type, sizes behind the batch axis (a number, or a name where it is open).
pub type InputTuple = (String, String, Vec<String>);

/// Element types of arrays.
const TYPES: [DType; 12] = [
    DType::F16,
    DType::F32,
    DType::F64,
    DType::I8,
    DType::I16,
    DType::I32,
    DType::I64,
    DType::U8,
    DType::U16,
    DType::U32,
    DType::U64,
    DType::Bool,
];

/// The function as the engine takes it, and where its exceptions are kept. `labels` is a JSON array of names.
///
/// # Errors
/// An unknown element type or meaning.
pub fn function(
    name: String,
    call: Py<PyAny>,
    inputs: Vec<InputTuple>,
    (columns, meaning): (usize, &str),
    labels: &str,
    features: Vec<String>,
) -> PyResult<(Function, Raised)> {
    let mut ports = vec![];
    for (input, dtype, sizes) in inputs {
        let known = TYPES.iter().find(|known| known.to_string() == dtype).copied();
        let dtype = known.ok_or_else(|| {
            exception(&Error::input(format!("input \"{input}\": no model takes {dtype}. Convert it first.")))
        })?;
        let size = |text: &String| text.parse().map_or_else(|_| Dim::symbol(text.as_str()), Dim::Fixed);
        let shape = [Dim::symbol("batch")].into_iter().chain(sizes.iter().map(size)).collect();
        ports.push((input, dtype, shape));
    }
    let raised = Raised::default();
    let function = Function {
        inputs: ports,
        columns,
        meaning: told(meaning.parse())?,
        labels: Labels::parse(labels),
        features,
        predict: Arc::new(Callable { name: name.clone(), call, raised: raised.clone() }),
        name,
    };
    Ok((function, raised))
}
