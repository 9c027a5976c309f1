//! A method bound to a model: compiled once per input size, run many times.

pub(crate) mod again;
mod batches;
mod black_box;
mod builder;
mod compiled;
mod peak;
mod points;
mod random;
mod samples;
mod seeds;
mod signature;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use exegesis_attribute::{CHANNELS, Explained, Part, Request, Target, Task};
use exegesis_graph::Tensor;
use exegesis_perturb as perturb;
use exegesis_runtime::{Limits, LoadOptions, Port, RtenRuntime, Runtime};

use crate::explanation::totals::{Seeds, row_totals};
use crate::explanation::{Explanation, LedgerTable, MethodResult, Provenance, ledger};
use crate::prediction;
use crate::{Error, Inputs, Method, Model, Remarks, Result};
pub use batches::bytes_text;
pub(crate) use black_box::probe::{Probe, Surroundings};
pub use builder::ExplainerBuilder;
pub(crate) use builder::Settings;
pub(crate) use compiled::Compiled;
pub use compiled::Plan;
use signature::Signature;

/// Explains rows of inputs by one method. Programs are kept per input size.
pub struct Explainer {
    model: Model,
    method: Method,
    request: Request,
    settings: Settings,
    /// Inputs of the model, then those that hold a given seed.
    ports: Vec<Port>,
    runtime: Box<dyn Runtime>,
    /// Rows that inputs are compared with.
    references: Option<Inputs>,
    programs: Mutex<Vec<(Part, Arc<Compiled>)>>,
}

impl std::fmt::Debug for Explainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Explainer").field("request", &self.request).finish_non_exhaustive()
    }
}

impl Explainer {
    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The runtime, its version where it is not part of this program, and the device: `onnxruntime 1.31.1, cpu`. What a run was
    /// done by stands in its [`Provenance::runtime`].
    pub fn runtime(&self) -> String {
        self.runtime.title()
    }

    /// What [`Explainer::explain`] takes: the inputs of the model, and with [`Target::Seed`] those of the seed,
    /// `seed/OUTPUT`, or for methods with two channels `seed/positive/OUTPUT` and `seed/negative/OUTPUT`.
    pub fn inputs(&self) -> &[Port] {
        &self.ports
    }

    /// What explaining `inputs` would take, without running.
    ///
    /// # Errors
    /// As [`Explainer::explain`], without the errors of running.
    pub fn plan(&self, inputs: &Inputs) -> Result<Plan> {
        if self.request.part == Part::Point {
            return Ok(self.plan_points(inputs)?.beside_forward(&self.model, inputs));
        }
        let (compiled, _) = self.program(&self.request, &self.ports, inputs)?;
        let plan = compiled.plan(&self.model, &self.request, inputs, &self.settings);
        batches::check_budget(&compiled, &self.ports, inputs, plan.batch, &self.settings)?;
        Ok(plan.beside_forward(&self.model, inputs))
    }

    /// Explains every row of `inputs`.
    ///
    /// # Errors
    /// Inputs that do not fit the model, a request that does not fit it, a node without a rule, too little memory.
    pub fn explain(&self, inputs: &Inputs) -> Result<Explanation> {
        self.explain_with(inputs, &mut |_, _| {})
    }

    /// As [`Explainer::explain`]; `progress` hears how many rows of how many are done.
    ///
    /// # Errors
    /// As [`Explainer::explain`].
    pub fn explain_with(
        &self,
        inputs: &Inputs,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Explanation> {
        self.check_given_target(inputs, None)?;
        seeds::check(&self.ports, self.model.inputs().len(), &self.request, inputs)?;
        match self.request.part {
            Part::Point => return self.explain_points(inputs, progress),
            Part::Clean => {
                return match &self.method {
                    Method::BlackBox(method) => self.explain_black_box(method, inputs, progress),
                    Method::WhiteBox(_) => self.explain_at_random(inputs, progress),
                };
            }
            Part::Whole | Part::Score => {}
        }
        let (compiled, compile_seconds) = self.program(&self.request, &self.ports, inputs)?;
        let started = Instant::now();
        let results = batches::run(&compiled, &self.ports, inputs, &self.settings, progress)?;
        let seconds = [compile_seconds, started.elapsed().as_secs_f64()];
        let plan = compiled.plan(&self.model, &self.request, inputs, &self.settings);
        self.explanation(inputs, compiled.explained(), &compiled, plan, results, seconds)
    }

    /// The program for a request and sizes, and the seconds that making it took (0 if it was there).
    fn program(&self, request: &Request, ports: &[Port], inputs: &Inputs) -> Result<(Arc<Compiled>, f64)> {
        let signature = Signature::of(ports, inputs, &request.explain)?;
        self.program_of(request, ports, inputs, signature)
    }

    /// The same for a signature that fits `inputs`.
    fn program_of(
        &self,
        request: &Request,
        ports: &[Port],
        inputs: &Inputs,
        signature: Signature,
    ) -> Result<(Arc<Compiled>, f64)> {
        let mut known = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |(part, program): &&(Part, Arc<Compiled>)| {
            *part == request.part && program.fits(&signature, inputs)
        };
        if let Some((_, found)) = known.iter().find(fits) {
            return Ok((Arc::clone(found), 0.0));
        }
        let started = Instant::now();
        let options = LoadOptions { threads: self.settings.threads, ..LoadOptions::default() };
        let limits = Limits { memory: self.settings.memory, work: self.settings.work };
        let made = Arc::new(Compiled::new(
            &self.model,
            ports,
            request,
            (inputs, signature),
            self.runtime.as_ref(),
            (&options, limits),
        )?);
        let task = made.explained().task;
        if self.request.target == Target::Input && matches!(task, Task::BoundingBox | Task::EncoderDecoder) {
            return Err(Error::usage(format!(
                "the output \"{}\" is explained as {task}, which has no class per row. Give one target for all rows.",
                made.explained().output
            )));
        }
        known.push((request.part, Arc::clone(&made)));
        Ok((made, started.elapsed().as_secs_f64()))
    }

    /// A prediction that is not a number can't be explained. Infinities may be meant, as scores of excluded classes.
    fn check_prediction(&self, output: &str, prediction: &Tensor) -> Result<()> {
        let bad = prediction.to_f64().unwrap_or_default().iter().filter(|v| v.is_nan()).count();
        if bad == 0 {
            return Ok(());
        }
        let cause = self.model.weights_warning().unwrap_or_else(|| {
            "Numbers in the model overflow on this input; check that it is preprocessed as the model expects."
                .to_string()
        });
        Err(Error::input(format!("{bad} value(s) of the output \"{output}\" are NaN. {cause}")))
    }

    /// The parameters of the method, and what it compares with.
    fn parameters(&self) -> Vec<(String, String)> {
        let method = &self.method;
        let mut all: Vec<(String, String)> =
            method.parameters().into_iter().map(|(key, value)| (key.to_string(), value)).collect();
        if method.has_baseline() {
            // What stands in for regions, the notes say.
            let is_own = matches!(method, Method::BlackBox(perturb::Method::Lime(_)));
            let text = match &self.references {
                Some(rows) => format!("{} given row(s)", batches::rows(rows)),
                None if is_own && !self.settings.is_baseline_given => "auto".to_string(),
                None => self.request.baseline.to_string(),
            };
            all.push(("baseline".to_string(), text));
        }
        all
    }

    /// What the user calls the operator of a node: of layers that are taken apart into many nodes, the layer.
    fn operator(&self, node: &str, op: &str) -> String {
        let imported = self.model.imported();
        let layer = imported.find_node(node).map(|id| imported.node(id).op.name());
        let is_taken_apart =
            |name: &&str| matches!(*name, "LSTM" | "GRU" | "RNN" | "Loop" | "Scan" | "Attention");
        layer.filter(is_taken_apart).unwrap_or(op).to_string()
    }

    fn explanation(
        &self,
        inputs: &Inputs,
        explained: &Explained,
        compiled: &Compiled,
        plan: Plan,
        results: Vec<(String, Tensor)>,
        [compile_seconds, run_seconds]: [f64; 2],
    ) -> Result<Explanation> {
        let get = |name: &str| results.iter().find(|(n, _)| n == name).map(|(_, t)| t);
        let outputs: Vec<(String, Tensor)> = self
            .model
            .outputs()
            .iter()
            .filter_map(|port| get(&port.name).map(|t| (port.name.clone(), t.clone())))
            .collect();
        let values: Vec<(String, Tensor)> = explained
            .attributions
            .iter()
            .filter_map(|a| get(&a.output).map(|t| (a.input.clone(), t.clone())))
            .collect();
        if let Some((_, prediction)) = outputs.iter().find(|(name, _)| *name == explained.output) {
            self.check_prediction(&explained.output, prediction)?;
        }
        for (input, tensor) in &values {
            check_finite(input, tensor, self.method.name())?;
        }
        let rows = values.first().and_then(|(_, t)| t.shape().first().copied()).unwrap_or(1);
        let scores = explained.score_output.as_deref().and_then(get);
        let classes = scores.and_then(|scores| scores.shape().last()).copied();
        self.check_given_target(inputs, classes.filter(|_| explained.task != Task::Segmentation))?;
        let given = || get(again::TARGET).or_else(|| self.given_target(inputs));
        let is_given = self.request.target == Target::Input;
        let target = explained.target_output.as_deref().and_then(get);
        let target = target.or_else(|| is_given.then(given).flatten()).cloned();
        let own = self.without_target(inputs);
        let inputs = own.as_ref().unwrap_or(inputs);
        let seeds = explained.seed_sum_output.as_deref().and_then(get).and_then(Tensor::to_f64);
        let ledger = explained.ledger.as_ref().and_then(|layout| {
            Some(LedgerTable {
                nodes: layout.nodes.iter().map(|n| (n.name.clone(), self.operator(&n.name, &n.op))).collect(),
                columns: layout.columns.clone(),
                values: get(&layout.output)?.clone(),
            })
        });
        // A difference of two scores has a seed that sums to 0; everywhere else that means an empty mask.
        let needs_seed = !matches!(self.request.target, Target::Difference(..));
        let totals = explained.total_output.as_deref().and_then(get).and_then(Tensor::to_f64);
        let seeds = Seeds {
            sums: seeds.as_deref(),
            totals: totals.as_deref(),
            channels: explained.channels,
            is_needed: needs_seed,
        };
        let channels: Vec<(String, [Tensor; 2])> = explained
            .attributions
            .iter()
            .filter_map(|a| {
                let [positive, negative] = a.channels.as_ref()?;
                Some((a.input.clone(), [get(positive)?.clone(), get(negative)?.clone()]))
            })
            .collect();
        let totals = row_totals(&values, &channels, rows, explained.is_conserved, &seeds)?;
        let mut relevance = Vec::new();
        for node in &explained.relevance {
            relevance.extend(get(&node.output).map(|t| (node.node.clone(), t.clone())));
            for (channel, output) in CHANNELS.iter().zip(node.channels.iter().flatten()) {
                relevance.extend(get(output).map(|t| (format!("{channel}/{}", node.node), t.clone())));
            }
        }
        let method = &self.method;
        let flows_amounts = self.request.method.flows_amounts();
        let mut remarks = Remarks { warnings: explained.notes.clone(), notes: Vec::new() };
        explained.choices.iter().for_each(|choice| remarks.note(choice));
        if let Some(warning) = self.model.weights_warning() {
            remarks.warn(warning);
        }
        compiled.warnings().iter().for_each(|warning| remarks.warn(warning));
        if let Some(table) = &ledger {
            let found = match flows_amounts {
                true => table.unbooked(explained.rows_mix),
                false => table.unbooked_of_both_signs(explained.rows_mix),
            };
            ledger::warning(method.name(), &found, rows).into_iter().for_each(|text| remarks.warn(text));
            if !flows_amounts && let Some(scores) = seeds.totals {
                let told = ledger::bias_warning(method.name(), table, scores);
                told.into_iter().for_each(|text| remarks.warn(text));
            }
        }
        // Outputs of our own are no concern of the user.
        let concerns = |note: &&String| !note.contains("\"exegesis/");
        compiled.notes().iter().filter(concerns).for_each(|note| remarks.note(note));
        let result = MethodResult {
            key: method.name().to_string(),
            name: method.name().to_string(),
            parameters: self.parameters(),
            signed: method.is_signed(),
            values,
            channels,
            relevance,
            structure: compiled.structure(),
            ledger,
            totals,
            arrays: vec![],
            evidence: vec![],
            substitutions: explained
                .substitutions
                .iter()
                .map(|s| format!("{} ({}): {}", s.node, s.op, s.by))
                .collect(),
        };
        let predictions = prediction::rows(&prediction::Context {
            explained,
            request: &self.request,
            labels: &self.settings.labels,
            scores,
            is_output: scores == outputs.iter().find(|(n, _)| *n == explained.output).map(|(_, t)| t),
            target: target.as_ref(),
            inputs,
            rows,
        });
        if let Some(warning) = prediction::label_count_warning(&self.settings.labels, scores, explained.task)
        {
            remarks.warn(warning);
        }
        let provenance = Provenance::new(&self.model, inputs, &self.settings, &compiled.runtime(), remarks)
            .timed(self.model.load_seconds(), compile_seconds, run_seconds)
            .planned(plan);
        Ok(Explanation {
            inputs: inputs.clone(),
            rows,
            outputs,
            target,
            task: explained.task,
            score: explained.score,
            output: explained.output.clone(),
            vocabulary: None,
            predictions,
            methods: vec![result],
            provenance,
        })
    }
}

/// Values that overflowed must not pass for an explanation.
fn check_finite(input: &str, tensor: &Tensor, method: &str) -> Result<()> {
    let bad = tensor.to_f64().unwrap_or_default().iter().filter(|v| !v.is_finite()).count();
    if bad == 0 {
        return Ok(());
    }
    Err(Error::input(format!(
        "`{method}` gave {bad} values for input \"{input}\" that are not finite: numbers in the model overflow on this \
         input. Check that the input is preprocessed as the model expects."
    )))
}

/// What folds constants.
pub(crate) const EVALUATOR: RtenRuntime = RtenRuntime;
