//! One program: model, request and input sizes put together and loaded into a runtime.

use std::sync::{Arc, Mutex, PoisonError};

use exegesis_attribute::{Explained, NodeSelection, Request, explain};
use exegesis_graph::{Graph, passes};
use exegesis_runtime::{Limits, LoadOptions, Memory, Port, Program, Runtime, return_freed_memory};

use super::peak::{self, Peak};
use super::signature::Signature;
use super::{EVALUATOR, Settings, batches};
use crate::flow::Structure;
use crate::{Error, ErrorKind, Inputs, Model, Result};

/// A loaded program and what its outputs mean.
pub(crate) struct Compiled {
    /// What it is run on, as the model declares it.
    ports: Vec<Port>,
    signature: Signature,
    explained: Explained,
    /// Blocks of the model, where relevance of nodes was asked for.
    structure: Option<Arc<Structure>>,
    program: Program,
    /// Bytes of constants of the model as read that the program does not use.
    idle_weights: u64,
    /// What the runtime estimated, by the shapes of the inputs: going through a large program takes as long as a layer.
    estimates: Mutex<Vec<(Shapes, Option<Memory>)>>,
}

/// Names and shapes of inputs.
type Shapes = Vec<(String, Vec<usize>)>;

/// What explaining some inputs would take.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Plan {
    /// Method.
    pub method: String,
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
    /// Parts in which each run is done so that values die early.
    pub steps: usize,
    /// Estimated bytes at the highest point of a run of one batch: all of the next four.
    pub peak_bytes: u64,
    /// Bytes of the weights of the model and of the constants that the explanation adds, each held once.
    pub weight_bytes: u64,
    /// Bytes of intermediate values and results.
    pub activation_bytes: u64,
    /// Bytes of scratch, and of freed buffers that the runtime keeps.
    pub temporary_bytes: u64,
    /// Bytes of the inputs of a batch, and of the program itself.
    pub base_bytes: u64,
    /// Bytes that the forward pass alone would take for the same batch, where that was asked for and can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward_bytes: Option<u64>,
    /// False where the runtime can't tell what values take: the peak is then at least this.
    pub is_complete: bool,
    /// Bytes that may be used; `None` where the system does not tell what is free.
    pub budget_bytes: Option<u64>,
    /// Nodes treated by a substitute for a missing rule.
    pub substitutions: Vec<String>,
}

impl Plan {
    /// For people: passes, then bytes by part.
    pub fn text(&self) -> String {
        let mb = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
        let mut text = format!(
            "{} on {} row(s) in {} pass(es) of {} row(s), each in {} step(s); {} nodes of the model, {} with the \
             explanation; {} per batch\n",
            self.method,
            self.rows,
            self.runs,
            self.batch,
            self.steps,
            self.model_nodes,
            self.program_nodes,
            self.cost
        );
        let bound = if self.is_complete { "about" } else { "at least" };
        text += &format!("  memory at the peak   {bound} {}\n", mb(self.peak_bytes));
        text += &format!("    weights            {}\n", mb(self.weight_bytes));
        text += &format!("    activations        {}\n", mb(self.activation_bytes));
        text += &format!("    temporaries        {}\n", mb(self.temporary_bytes));
        text += &format!("    inputs and program {}\n", mb(self.base_bytes));
        if let Some(forward) = self.forward_bytes {
            let ratio = self.peak_bytes as f64 / forward.max(1) as f64;
            text += &format!("  forward pass alone   {} ({ratio:.2} times less)\n", mb(forward));
        }
        if let Some(budget) = self.budget_bytes {
            text += &format!("  may be used          {}\n", mb(budget));
        }
        for substitution in &self.substitutions {
            text += &format!("  no rule: {substitution}\n");
        }
        text
    }
}

impl Compiled {
    /// Puts the program for inputs of `signature` together and loads it.
    ///
    /// # Errors
    /// A request that does not fit the model, a node without a rule, an operator that the runtime lacks.
    pub fn new(
        model: &Model,
        ports: &[Port],
        request: &Request,
        (inputs, signature): (&Inputs, Signature),
        runtime: &dyn Runtime,
        options: (&LoadOptions, Limits),
    ) -> Result<Self> {
        match Self::with_signature(model, ports, request, signature, inputs, runtime, options) {
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
        ports: &[Port],
        request: &Request,
        signature: Signature,
        inputs: &Inputs,
        runtime: &dyn Runtime,
        options: (&LoadOptions, Limits),
    ) -> Result<Self> {
        let (signature, (explained, structure)) = match put_together(model, request, &signature) {
            // Some models mix their rows or compute with their number; then the number has to be known.
            Err(_) if signature.any_rows() => {
                let exact = signature.with_rows_of(inputs);
                let explained = put_together(model, request, &exact)?;
                (exact, explained)
            }
            other => (signature, other?),
        };
        let idle_weights = peak::idle_weights(model, &explained.graph);
        let program = runtime.load_within(explained.graph.clone(), options.0, options.1)?;
        // Loading frees about as much as it keeps.
        return_freed_memory();
        Ok(Self {
            ports: ports.to_vec(),
            signature,
            explained,
            structure,
            program,
            idle_weights,
            estimates: Mutex::default(),
        })
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

    /// Blocks of the model, where relevance of nodes was asked for.
    pub fn structure(&self) -> Option<Arc<Structure>> {
        self.structure.clone()
    }

    pub fn program(&self) -> &Program {
        &self.program
    }

    pub fn notes(&self) -> &[String] {
        self.program.notes()
    }

    /// Runtime and device.
    pub fn runtime(&self) -> String {
        format!("{}, {}", self.program.runtime(), self.program.device())
    }

    pub fn warnings(&self) -> &[String] {
        self.program.warnings()
    }

    /// Estimated memory of running `rows` rows of `inputs` at once. Constants of the model that the program does not use
    /// are resident too.
    pub fn peak(&self, inputs: &Inputs, rows: usize) -> Peak {
        let all = batches::rows(inputs);
        let cut = |shape: &[usize]| -> Vec<usize> {
            let mut shape = shape.to_vec();
            if let Some(first) = shape.first_mut()
                && *first == all
                && self.signature.any_rows()
            {
                *first = rows;
            }
            shape
        };
        let shapes: Shapes =
            inputs.entries().iter().map(|i| (i.name.clone(), cut(i.tensor.shape()))).collect();
        let memory = self.estimate(shapes);
        Peak::new(memory, self.idle_weights, inputs, rows.min(all), all)
    }

    fn estimate(&self, shapes: Shapes) -> Option<Memory> {
        let mut known = self.estimates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, memory)) = known.iter().find(|(of, _)| *of == shapes) {
            return *memory;
        }
        let pairs: Vec<(&str, &[usize])> = shapes.iter().map(|(n, s)| (n.as_str(), s.as_slice())).collect();
        let memory = self.program.memory(&pairs).ok();
        known.push((shapes, memory));
        memory
    }

    /// What running `inputs` would take.
    pub fn plan(&self, model: &Model, request: &Request, inputs: &Inputs, settings: &Settings) -> Plan {
        self.plan_for(&self.ports, model, request, inputs, settings)
    }

    /// The same for inputs of these `ports`, among them some that the program adds to the model's.
    pub fn plan_for(
        &self,
        ports: &[Port],
        model: &Model,
        request: &Request,
        inputs: &Inputs,
        settings: &Settings,
    ) -> Plan {
        let rows = batches::rows(inputs);
        let batch = batches::batch_rows(self, ports, inputs, settings);
        let peak = batches::peak(self, ports, inputs, batch, settings);
        Plan {
            method: request.method.name().to_string(),
            rows,
            batch,
            runs: rows.div_ceil(batch.max(1)),
            model_nodes: model.graph().node_count(),
            program_nodes: self.explained.graph.node_count(),
            cost: crate::method::cost(request.method.name()).to_string(),
            steps: self.program.steps(),
            peak_bytes: peak.bytes(),
            weight_bytes: peak.weights,
            activation_bytes: peak.activations,
            temporary_bytes: peak.temporaries,
            base_bytes: peak.base,
            forward_bytes: None,
            is_complete: peak.is_complete,
            budget_bytes: batches::budget(settings),
            substitutions: self
                .explained
                .substitutions
                .iter()
                .map(|s| format!("{} ({}): {}", s.node, s.op, s.by))
                .collect(),
        }
    }
}

impl Plan {
    /// The plan, with what the forward pass of `model` would take for the same batch beside it.
    pub(crate) fn beside_forward(mut self, model: &Model, inputs: &Inputs) -> Self {
        self.forward_bytes = peak::forward(model, inputs, self.batch, self.rows);
        self
    }
}

fn put_together(
    model: &Model,
    request: &Request,
    signature: &Signature,
) -> Result<(Explained, Option<Arc<Structure>>)> {
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
    let is_wanted = request.nodes != NodeSelection::None;
    let mut raised: Option<Graph> = None;
    let explained = explain(graph, request, &mut |stage, graph| {
        if is_wanted && stage == "raised" {
            raised = Some(graph.clone());
        }
    })?;
    let structure = raised.and_then(|raised| Structure::new(&raised, request, &explained));
    Ok((explained, structure.map(Arc::new)))
}
