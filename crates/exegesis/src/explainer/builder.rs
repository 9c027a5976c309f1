//! Choices for an explainer, and how its runs are done.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use exegesis_attribute::{
    Baseline, Method as WhiteBox, NodeSelection, OnMissingRule, Part, Request, Score, Target, Task,
};
use exegesis_perturb::PlayerKind;
use exegesis_runtime::{Device, RuntimeChoice, WorkLimit};

use super::again::{Aim, Change};
use super::{Explainer, seeds};
use crate::{Error, Inputs, Labels, Method, Model, Preprocess, Result};

/// How a run is done; what it computes is in [`Request`].
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub runtime: RuntimeChoice,
    pub threads: Option<NonZeroUsize>,
    pub batch: Option<NonZeroUsize>,
    pub memory: Option<u64>,
    pub work: WorkLimit,
    pub seed: u64,
    pub labels: Labels,
    pub preprocess: Option<Preprocess>,
    /// What black-box methods take out.
    pub players: PlayerKind,
    /// Groups that the user gives, per explained input.
    pub groups: Option<Inputs>,
    /// True if the user said what the input is compared with.
    pub is_baseline_given: bool,
    /// Set by others to stop.
    pub stop: Option<Arc<AtomicBool>>,
}

impl Settings {
    /// # Errors
    /// A stop by the user.
    pub fn check_stop(&self) -> Result<()> {
        match &self.stop {
            Some(stop) if stop.load(Ordering::Relaxed) => Err(Error::stopped()),
            _ => Ok(()),
        }
    }
}

/// Choices for an [`Explainer`]; everything has a default.
#[derive(Clone, Debug)]
pub struct ExplainerBuilder {
    model: Model,
    method: Method,
    request: Request,
    settings: Settings,
    references: Option<Inputs>,
    /// True if each row comes with its class.
    by_row: bool,
}

impl ExplainerBuilder {
    pub(crate) fn new(model: Model, method: Method) -> Self {
        let settings = Settings {
            runtime: RuntimeChoice::default(),
            threads: None,
            batch: None,
            memory: None,
            work: WorkLimit::default(),
            seed: 0,
            labels: model.labels(),
            preprocess: None,
            players: PlayerKind::default(),
            groups: None,
            is_baseline_given: false,
            stop: None,
        };
        let mut request = Request::new(method.of_graph());
        if let Some(function) = model.function() {
            (request.task, request.score) = function.task_and_score();
        }
        Self { model, request, method, settings, references: None, by_row: false }
    }

    /// The scalar that is explained; default the largest score of each row.
    #[must_use]
    pub fn target(mut self, target: Target) -> Self {
        self.request.target = target;
        self
    }

    /// Every row is explained for a class of its own, in place of [`ExplainerBuilder::target`]: the inputs hold one more array,
    /// `target`, int64 `[batch]`.
    #[must_use]
    pub fn target_by_row(mut self) -> Self {
        self.by_row = true;
        self
    }

    /// What the input is compared with; default zeros. Methods without a baseline do not look at it.
    #[must_use]
    pub fn baseline(mut self, baseline: Baseline) -> Self {
        self.request.baseline = baseline;
        self.settings.is_baseline_given = true;
        self
    }

    /// Rows that the input is compared with, by the names of the inputs; methods average over them.
    #[must_use]
    pub fn references(mut self, rows: Inputs) -> Self {
        self.request.baseline = Baseline::Input;
        self.settings.is_baseline_given = true;
        self.references = Some(rows);
        self
    }

    /// What the output means; by default decided from its shape.
    #[must_use]
    pub fn task(mut self, task: Task) -> Self {
        self.request.task = Some(task);
        self
    }

    /// Logit (default) or probability.
    #[must_use]
    pub fn score(mut self, score: Score) -> Self {
        self.request.score = score;
        self
    }

    /// Probability above which a cell belongs to a mask of one class; default 0.5.
    #[must_use]
    pub fn threshold(mut self, probability: f64) -> Self {
        self.request.threshold = probability;
        self
    }

    /// The only decoded position of an encoder-decoder that is explained; default all of them.
    #[must_use]
    pub fn step(mut self, position: usize) -> Self {
        self.request.step = Some(position);
        self
    }

    /// The explained output; default the first.
    #[must_use]
    pub fn output(mut self, name: impl Into<String>) -> Self {
        self.request.output = Some(name.into());
        self
    }

    /// The inputs that get attributions; default float inputs and token ids.
    #[must_use]
    pub fn explain_inputs(mut self, names: Vec<String>) -> Self {
        self.request.explain = names;
        self
    }

    /// What to do at a node without a rule; default: refuse.
    #[must_use]
    pub fn on_missing_rule(mut self, choice: OnMissingRule) -> Self {
        self.request.on_missing_rule = choice;
        self
    }

    /// Nodes whose relevance is kept; default none.
    #[must_use]
    pub fn nodes(mut self, nodes: NodeSelection) -> Self {
        self.request.nodes = nodes;
        self
    }

    /// Keeps the embedding axis of tokens.
    #[must_use]
    pub fn per_dim(mut self, keep: bool) -> Self {
        self.request.per_dim = keep;
        self
    }

    /// Names of classes; default those of the model.
    #[must_use]
    pub fn labels(mut self, labels: Labels) -> Self {
        self.settings.labels = labels;
        self
    }

    /// Preprocessing of pictures that a compiled file says it needs, and that bounds the input of rules which need bounds;
    /// default that of the model.
    #[must_use]
    pub fn preprocess(mut self, preprocess: Preprocess) -> Self {
        self.settings.preprocess = Some(preprocess);
        self
    }

    /// Runtime by name: `rten`, the embedded one, `onnxruntime`, or `auto` (the default): ONNX Runtime where it is found, else
    /// rten. See [`crate::runtimes`].
    #[must_use]
    pub fn runtime(mut self, name: impl Into<String>) -> Self {
        self.settings.runtime.name = name.into();
        self
    }

    /// Where it runs; default the CPU. A GPU needs ONNX Runtime; where it can't be used the CPU does the work, and
    /// [`crate::Provenance::remarks`] warns of it.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.settings.runtime.device = device;
        self
    }

    /// Where ONNX Runtime lies: its library, the folder that holds it, or a Python environment with the package `onnxruntime`.
    /// By default it is looked for: what `ORT_DYLIB_PATH` names, then the active Python environment, then that of the
    /// `python3` on the path. A process uses the first one that is loaded.
    #[must_use]
    pub fn onnxruntime(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.runtime.onnxruntime = Some(path.into());
        self
    }

    /// Threads; default one per core.
    #[must_use]
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.settings.threads = Some(threads);
        self
    }

    /// Rows per batch; by default planned from the memory that is free.
    #[must_use]
    pub fn batch(mut self, rows: NonZeroUsize) -> Self {
        self.settings.batch = Some(rows);
        self
    }

    /// Most bytes that a run may take; default three quarters of what is free.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.settings.memory = Some(bytes);
        self
    }

    /// Whether a model that asks for much more work than its weights and inputs justify is refused (the default).
    #[must_use]
    pub fn work(mut self, limit: WorkLimit) -> Self {
        self.settings.work = limit;
        self
    }

    /// Random seed; recorded in the result.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// What black-box methods take out; default what suits the input and the method.
    #[must_use]
    pub fn players(mut self, kind: PlayerKind) -> Self {
        self.settings.players = kind;
        self
    }

    /// Groups that black-box methods take out: per explained input an integer array of its shape without the batch axis,
    /// numbered from 0; -1 always stays.
    #[must_use]
    pub fn groups(mut self, groups: Inputs) -> Self {
        self.settings.players = PlayerKind::Groups;
        self.settings.groups = Some(groups);
        self
    }

    /// A switch that stops the work early. Of black-box methods what is known by then becomes the result; others end with an
    /// error after the batch at hand.
    #[must_use]
    pub fn stop(mut self, switch: Arc<AtomicBool>) -> Self {
        self.settings.stop = Some(switch);
        self
    }

    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// The request that was put together.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The explainer. Compilation happens at the first use, for the sizes of its inputs.
    ///
    /// # Errors
    /// A runtime that is not built or not found, labels and target that do not go together, or classes row by row for a model
    /// with an input called `target`.
    pub fn build(self) -> Result<Explainer> {
        if self.request.target == Target::Input {
            return Err(Error::usage(
                "the target `input` is for compiled files, which take it as an additional input. Use `exegesis compile`, \
                 or give a class.",
            ));
        }
        let runtime = self.settings.runtime.open()?;
        if let Some(function) = self.model.function() {
            function.check_method(&self.method)?;
        }
        let runtime = self.model.runtime(runtime, self.settings.batch);
        let Self { model, method, mut request, settings, references, by_row } = self;
        if method.has_baseline() && request.baseline == Baseline::Input && references.is_none() {
            return Err(Error::usage(
                "the baseline `input` is for compiled files, which take it as an additional input. Use `exegesis compile`, \
                 or give zeros, mean, blur, a number or a file.",
            ));
        }
        let references = references.filter(|_| method.has_baseline());
        // Given rows are fed point by point.
        if references.is_some() && request.part == Part::Whole && method.white_box().is_some() {
            request.part = Part::Point;
        }
        if references.is_none() && request.method == WhiteBox::DeepShap {
            request.part = Part::Whole;
        }
        request.bounds = request.bounds.or(bounds(&model, &settings)?);
        let ports = seeds::ports(&model, &request)?;
        let explainer = Explainer {
            model,
            method,
            request,
            settings,
            references,
            ports,
            runtime,
            programs: Mutex::new(Vec::new()),
        };
        if by_row {
            explainer.changed(Change { aim: Aim::Given, ..Change::default() })
        } else {
            Ok(explainer)
        }
    }

    /// The explanation as a standard ONNX file: the model's own inputs and outputs, and the attributions as outputs.
    ///
    /// # Errors
    /// As [`Explainer::explain`], without the errors of running.
    pub fn compile(mut self) -> Result<Vec<u8>> {
        if self.model.function().is_some() {
            return Err(Error::usage(
                "a function of the caller is no graph, and can't be written as a file. Export the model to ONNX, and compile that.",
            ));
        }
        self.request.part = Part::Whole;
        self.request.bounds = self.request.bounds.or(bounds(&self.model, &self.settings)?);
        crate::compile::compile(&self.model, self.request, &self.settings)
    }
}

/// Lowest and highest values of pictures, from the preprocessing that was given or that the model says it needs.
fn bounds(model: &Model, settings: &Settings) -> Result<Option<Vec<(f64, f64)>>> {
    let preprocess = match &settings.preprocess {
        Some(given) => Some(given.clone()),
        None => model.preprocess()?,
    };
    Ok(preprocess.map(|preprocess| preprocess.bounds()))
}
