//! Running a loaded session.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use exegesis_graph::{DType, Tensor};
use ort::session::{OutputSelector, RunOptions, Session as OrtSession, SessionInputValue};

use super::failure::Failures;
use super::tensors;
use crate::guard::guarded;
use crate::program::Session;
use crate::{Error, Port, Result};

/// A session and how its ports are called.
pub(super) struct OnnxSession {
    name: String,
    /// Runs come one after another: `ort` takes a session for itself while it runs, and each run has all threads.
    session: Mutex<OrtSession>,
    /// Behind the session, which reads them: fields are dropped in order.
    _weights: Vec<Arc<Tensor>>,
    failures: Failures,
    inputs: Vec<(String, DType)>,
    outputs: Vec<Output>,
}

/// An output of the program.
struct Output {
    name: String,
    /// What it is called inside, where several outputs may be one value.
    inner: String,
    dtype: DType,
}

impl OnnxSession {
    /// The session of a model whose ports are `inputs` and `outputs`, the latter with their values inside.
    pub(super) fn new(
        name: String,
        session: OrtSession,
        weights: Vec<Arc<Tensor>>,
        failures: Failures,
        (inputs, outputs, inner): (&[Port], &[Port], Vec<String>),
    ) -> Self {
        let outputs = outputs.iter().zip(inner);
        Self {
            name,
            session: Mutex::new(session),
            _weights: weights,
            failures,
            inputs: inputs.iter().map(|port| (port.name.clone(), port.dtype)).collect(),
            outputs: outputs
                .map(|(port, inner)| Output { name: port.name.clone(), inner, dtype: port.dtype })
                .collect(),
        }
    }

    fn results(&self, feeds: &[(&str, Cow<'_, Tensor>)], wanted: &[&Output]) -> Result<Vec<Tensor>> {
        let mut selected = OutputSelector::no_default();
        for (i, output) in wanted.iter().enumerate() {
            if !wanted.iter().take(i).any(|other| other.inner == output.inner) {
                selected = selected.with(&output.inner);
            }
        }
        let failed =
            |error: ort::Error| self.failures.error(&format!("run \"{}\"", self.name), error.message());
        let options = RunOptions::new().map_err(failed)?.with_outputs(selected);
        let operands: Vec<(&str, SessionInputValue<'_>)> = feeds
            .iter()
            .map(|(name, tensor)| Ok((*name, tensors::operand(tensor)?)))
            .collect::<Result<_>>()?;
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let values = session.run_with_options(operands, &options).map_err(failed)?;
        let result = |output: &&Output| {
            let lost = || Error::execution(format!("ONNX Runtime lost the output \"{}\"", output.name));
            tensors::result(&output.name, output.dtype, values.get(&output.inner).ok_or_else(lost)?)
        };
        wanted.iter().map(result).collect()
    }
}

impl Session for OnnxSession {
    fn run(&self, inputs: &[(usize, &Tensor)], outputs: &[usize]) -> Result<Vec<Tensor>> {
        let port = |index: &usize| {
            self.outputs.get(*index).ok_or_else(|| Error::execution(format!("there is no output {index}")))
        };
        let wanted: Vec<&Output> = outputs.iter().map(port).collect::<Result<_>>()?;
        let mut feeds: Vec<(&str, Cow<'_, Tensor>)> = Vec::with_capacity(inputs.len());
        for (index, tensor) in inputs {
            let (name, dtype) = self
                .inputs
                .get(*index)
                .ok_or_else(|| Error::execution(format!("there is no input {index}")))?;
            feeds.push((name, tensors::declared(name, *dtype, tensor)?));
        }
        guarded("ONNX Runtime", &format!("ran \"{}\"", self.name), 0, || self.results(&feeds, &wanted))
    }

    /// One after another: ONNX Runtime cuts element-wise work up as well, so that a run of its own gains a thread nothing.
    fn run_side_by_side(
        &self,
        runs: &[Vec<(usize, &Tensor)>],
        outputs: &[usize],
        _threads: usize,
    ) -> Result<Vec<Vec<Tensor>>> {
        runs.iter().map(|inputs| self.run(inputs, outputs)).collect()
    }

    /// ONNX Runtime names the node by itself.
    fn locate(&self, _inputs: &[(usize, &Tensor)]) -> Option<String> {
        None
    }
}
