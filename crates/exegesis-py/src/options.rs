//! Choices of a call, as Python hands them over.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use exegesis::{
    AttributeError, Device, Error, Explainer, ExplainerBuilder, Inputs, Labels, Method, Model, NodeSelection,
    OnMissingRule, PlayerKind, Preprocess, Result, Score, parse_target,
};
use pyo3::prelude::*;

/// Choices of an explanation: a dictionary with all of these keys; `None` is the default of the command.
#[derive(Clone, Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub struct Choices {
    pub target: Option<String>,
    /// True if the inputs hold a class for each row.
    pub by_row: bool,
    /// Class names as a JSON array.
    pub labels: Option<String>,
    /// A file of class names.
    pub labels_file: Option<PathBuf>,
    pub task: Option<String>,
    pub score: Option<String>,
    pub baseline: Option<String>,
    pub explain: Option<Vec<String>>,
    pub output_name: Option<String>,
    pub players: Option<String>,
    pub nodes: Option<Vec<String>>,
    pub per_dim: bool,
    pub on_missing_rule: Option<String>,
    pub threshold: Option<f64>,
    pub step: Option<usize>,
    pub runtime: Option<String>,
    pub device: Option<String>,
    pub onnxruntime: Option<String>,
    pub threads: Option<usize>,
    pub seed: u64,
    pub batch: Option<usize>,
    pub memory: Option<u64>,
    pub preprocess: Option<String>,
}

impl Choices {
    /// A builder with these choices.
    ///
    /// # Errors
    /// A choice that is not known.
    pub fn builder(&self, model: &Model, method: &str, stop: &Arc<AtomicBool>) -> Result<ExplainerBuilder> {
        self.builder_of(model, Method::parse(method)?, stop)
    }

    /// The same for a method that is read already.
    ///
    /// # Errors
    /// As [`Choices::builder`].
    pub fn builder_of(
        &self,
        model: &Model,
        method: Method,
        stop: &Arc<AtomicBool>,
    ) -> Result<ExplainerBuilder> {
        let labels = match (&self.labels_file, &self.labels) {
            (Some(path), _) => Labels::read(path)?,
            (None, Some(text)) => Labels::parse(text),
            (None, None) => model.labels(),
        };
        let target = parse_target(self.target.as_deref().unwrap_or("argmax"), &labels)?;
        let mut builder = model
            .explainer(method)
            .target(target)
            .per_dim(self.per_dim)
            .seed(self.seed)
            .labels(labels)
            .stop(Arc::clone(stop));
        if self.by_row {
            builder = builder.target_by_row();
        }
        if let Some(task) = self.task.as_deref().filter(|task| *task != "auto") {
            builder = builder.task(task.parse().map_err(|e: AttributeError| Error::from(e))?);
        }
        if let Some(score) = &self.score {
            builder = builder.score(match score.as_str() {
                "logit" => Score::Logit,
                "probability" => Score::Probability,
                _ => return Err(unknown("score", score, "logit or probability")),
            });
        }
        if let Some(baseline) = &self.baseline {
            builder = builder.baseline(baseline.parse().map_err(|e: AttributeError| Error::from(e))?);
        }
        if let Some(names) = &self.explain {
            builder = builder.explain_inputs(names.clone());
        }
        if let Some(name) = &self.output_name {
            builder = builder.output(name);
        }
        if let Some(players) = &self.players {
            let kind: PlayerKind =
                players.parse().map_err(|e| Error::usage(format!("{e}. Give one of them.")))?;
            builder = builder.players(kind);
        }
        if let Some(nodes) = &self.nodes {
            builder = builder.nodes(match nodes.as_slice() {
                [all] if all == "all" => NodeSelection::All,
                names => NodeSelection::Named(names.to_vec()),
            });
        }
        if let Some(choice) = &self.on_missing_rule {
            builder = builder.on_missing_rule(match choice.as_str() {
                "error" => OnMissingRule::Error,
                "pass" => OnMissingRule::Pass,
                "gradient" => OnMissingRule::Gradient,
                _ => return Err(unknown("on_missing_rule", choice, "error, pass or gradient")),
            });
        }
        if let Some(probability) = self.threshold {
            builder = builder.threshold(probability);
        }
        if let Some(position) = self.step {
            builder = builder.step(position);
        }
        if let Some(runtime) = &self.runtime {
            builder = builder.runtime(runtime);
        }
        if let Some(device) = &self.device {
            let device: Device =
                device.parse().map_err(|_| unknown("device", device, "\"cpu\", \"cuda\" or \"cuda:N\""))?;
            builder = builder.device(device);
        }
        if let Some(path) = &self.onnxruntime {
            builder = builder.onnxruntime(path);
        }
        if let Some(threads) = positive("threads", self.threads)? {
            builder = builder.threads(threads);
        }
        if let Some(rows) = positive("batch", self.batch)? {
            builder = builder.batch(rows);
        }
        if let Some(bytes) = self.memory {
            builder = builder.memory(bytes);
        }
        if let Some(preprocess) = self.preprocess()? {
            builder = builder.preprocess(preprocess);
        }
        Ok(builder)
    }

    /// Preprocessing of pictures, if it was given.
    ///
    /// # Errors
    /// A text that is none.
    pub fn preprocess(&self) -> Result<Option<Preprocess>> {
        self.preprocess.as_deref().map(str::parse).transpose()
    }

    /// # Errors
    /// A choice that none of `methods` looks at.
    pub fn check(&self, methods: &[Method], given: &GivenArrays) -> Result<()> {
        let names: Vec<&str> = methods.iter().map(Method::name).collect();
        let names = names.join(", ");
        let has_baseline = self.baseline.is_some() || given.references.is_some();
        if has_baseline && !methods.iter().any(Method::has_baseline) {
            return Err(Error::usage(format!(
                "`baseline` is for methods that compare with one, which {names} does not. Leave it out, or choose \
                 integrated-gradients, gradient-shap, deeplift or deep-shap."
            )));
        }
        let has_players = self.players.is_some() || given.groups.is_some();
        if has_players && methods.iter().all(|method| method.white_box().is_some()) {
            return Err(Error::usage(format!(
                "`players` is for methods that take parts of the input out, which {names} does not. Leave it out, or \
                 choose occlusion, lime, kernel-shap or rise."
            )));
        }
        Ok(())
    }

    /// An explainer with these choices.
    ///
    /// # Errors
    /// A choice that is not known, or that does not fit the method.
    pub fn explainer(
        &self,
        model: &Model,
        method: &str,
        given: &GivenArrays,
        stop: &Arc<AtomicBool>,
    ) -> Result<Explainer> {
        let mut builder = self.builder(model, method, stop)?;
        if let Some(rows) = &given.references {
            builder = builder.references(rows.clone());
        }
        if let Some(groups) = &given.groups {
            builder = builder.groups(groups.clone());
        }
        builder.build()
    }
}

/// Choices that are arrays.
#[derive(Clone, Debug, Default)]
pub struct GivenArrays {
    /// Rows that the input is compared with.
    pub references: Option<Inputs>,
    /// A group number per cell of the explained inputs.
    pub groups: Option<Inputs>,
}

impl GivenArrays {
    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.references.is_none() && self.groups.is_none()
    }
}

fn unknown(name: &str, given: &str, known: &str) -> Error {
    Error::usage(format!("{name}=\"{given}\" is not known. Give {known}."))
}

fn positive(name: &str, value: Option<usize>) -> Result<Option<NonZeroUsize>> {
    value
        .map(|n| {
            NonZeroUsize::new(n).ok_or_else(|| Error::usage(format!("{name}=0 is too few. Give at least 1.")))
        })
        .transpose()
}
