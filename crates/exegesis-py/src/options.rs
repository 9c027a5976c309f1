//! Choices of a call, as Python hands them over.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use exegesis::{
    AttributeError, Error, Explainer, ExplainerBuilder, Inputs, Method, Model, NodeSelection, OnMissingRule,
    PlayerKind, Preprocess, Result, Score, parse_target,
};
use pyo3::prelude::*;

/// Choices of an explanation: a dictionary with all of these keys; `None` is the default of the command.
#[derive(Clone, Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub struct Choices {
    pub target: Option<String>,
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
        let labels = model.labels();
        let target = parse_target(self.target.as_deref().unwrap_or("argmax"), &labels)?;
        let mut builder = model
            .explainer(method)
            .target(target)
            .per_dim(self.per_dim)
            .seed(self.seed)
            .labels(labels)
            .stop(Arc::clone(stop));
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

    /// An explainer with these choices; `references` are rows that the input is compared with.
    ///
    /// # Errors
    /// A choice that is not known, or that does not fit the method.
    pub fn explainer(
        &self,
        model: &Model,
        method: &str,
        references: Option<&Inputs>,
        stop: &Arc<AtomicBool>,
    ) -> Result<Explainer> {
        let builder = self.builder(model, method, stop)?;
        match references {
            Some(rows) => builder.references(rows.clone()).build(),
            None => builder.build(),
        }
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
