//! One program: model, request and input sizes put together and loaded into a runtime.

use exegesis_attribute::{Explained, Request, explain};
use exegesis_graph::passes;
use exegesis_runtime::{Limits, LoadOptions, Program, Runtime};

use super::peak::Peak;
use super::signature::Signature;
use super::{EVALUATOR, Settings, batches};
use crate::{Error, ErrorKind, Inputs, Model, Result};

/// A loaded program and what its outputs mean.
pub(crate) struct Compiled {
    signature: Signature,
    explained: Explained,
    program: Program,
    peak: Peak,
}

/// What explaining some inputs would take.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Rows in all.
    pub rows: usize,
    /// Rows that run at once.
    pub batch: usize,
    /// Times that the program runs.
    pub runs: usize,
    /// Nodes of the model after preparation.
    pub model_nodes: usize,
    /// Nodes of the program that predicts and explains.
    pub program_nodes: usize,
    /// Cost in forward passes, as the method states it.
    pub cost: String,
    /// Estimated bytes of weights and of intermediate values of one batch.
    pub peak_bytes: u64,
}

impl Compiled {
    /// Puts the program together and loads it.
    ///
    /// # Errors
    /// A request that does not fit the model, a node without a rule, an operator that the runtime lacks.
    pub fn new(
        model: &Model,
        request: &Request,
        inputs: &Inputs,
        runtime: &dyn Runtime,
        options: (&LoadOptions, Limits),
    ) -> Result<Self> {
        let signature = Signature::of(model.inputs(), inputs, &request.explain)?;
        match Self::with_signature(model, request, signature, inputs, runtime, options) {
            // "No rule" is said of models that run; what can't run has a more basic problem.
            Err(error) if error.kind() == ErrorKind::NoRule => {
                let mut graph = model.imported().clone();
                passes::expand::expand(&mut graph, &|_| true)?;
                runtime.load_within(graph, options.0, options.1)?;
                Err(error)
            }
            other => other,
        }
    }

    fn with_signature(
        model: &Model,
        request: &Request,
        signature: Signature,
        inputs: &Inputs,
        runtime: &dyn Runtime,
        options: (&LoadOptions, Limits),
    ) -> Result<Self> {
        let (signature, explained) = match put_together(model, request, &signature) {
            // Some models mix their rows or compute with their number; then the number has to be known.
            Err(_) if signature.any_rows() => {
                let exact = signature.with_rows_of(inputs);
                let explained = put_together(model, request, &exact)?;
                (exact, explained)
            }
            other => (signature, other?),
        };
        let peak = Peak::of(&explained.graph, batches::rows(inputs));
        let program = runtime.load_within(explained.graph.clone(), options.0, options.1)?;
        Ok(Self { signature, explained, program, peak })
    }

    /// True if this program can run `inputs`, whose signature is `other`.
    pub fn fits(&self, other: &Signature, inputs: &Inputs) -> bool {
        self.signature.fits(other, inputs)
    }

    /// What it depends on.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    pub fn explained(&self) -> &Explained {
        &self.explained
    }

    pub fn program(&self) -> &Program {
        &self.program
    }

    pub fn notes(&self) -> &[String] {
        self.program.notes()
    }

    pub fn runtime(&self) -> &str {
        self.program.runtime()
    }

    pub fn peak(&self) -> Peak {
        self.peak
    }

    /// What running `inputs` would take.
    pub fn plan(&self, model: &Model, request: &Request, inputs: &Inputs, settings: &Settings) -> Plan {
        let rows = batches::rows(inputs);
        let batch = batches::batch_rows(self, model.inputs(), inputs, settings);
        Plan {
            rows,
            batch,
            runs: rows.div_ceil(batch.max(1)),
            model_nodes: model.graph().node_count(),
            program_nodes: self.explained.graph.node_count(),
            cost: request.method.info().cost.to_string(),
            peak_bytes: self.peak.bytes(batch),
        }
    }
}

fn put_together(model: &Model, request: &Request, signature: &Signature) -> Result<Explained> {
    let mut graph = model.graph().clone();
    let fixed = signature
        .apply(&mut graph)
        .and_then(|()| Ok(passes::prepare(&mut graph, &EVALUATOR, &mut |_, _| {})?));
    // The model itself is in order, or it would not have been opened.
    fixed.map_err(|e| {
        Error::input(format!(
            "the model can't be run on {signature}: {} Give inputs of other sizes.",
            e.what()
        ))
    })?;
    Ok(explain(graph, request, &mut |_, _| {})?)
}
