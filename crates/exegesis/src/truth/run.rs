//! Methods through suites.

use std::num::NonZeroUsize;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use exegesis_metrics::{Bench, Map, Metric, MetricInfo, Outcome, View, parse};
use exegesis_perturb as perturb;

use super::record::{CaseResult, Measure, MethodScores, SCHEMA, TruthReport, verdicts};
use super::suite::{Case, Known, Row, Suite};
use super::values::{MEASURES, measured};
use crate::compare::{CompareOptions, Comparer, Control, DataSet};
use crate::{Error, ErrorKind, Explainer, Method, Model, Result, RuntimeChoice, Task};

/// What masks of evidence are held against.
const METRICS: [&str; 3] = ["relevance-mass", "relevance-rank", "localisation-auc"];

/// How suites are run.
#[derive(Clone, Debug)]
pub struct TruthOptions {
    /// Which suites.
    pub suites: Vec<Suite>,
    /// Most samples per model.
    pub limit: usize,
    /// Seed of samples and methods.
    pub seed: u64,
    /// Set by others to stop.
    pub stop: Option<Arc<AtomicBool>>,
}

/// Suites, and what runs them.
struct Running<'a> {
    options: &'a TruthOptions,
    runtime: &'a RuntimeChoice,
    threads: Option<NonZeroUsize>,
}

impl Deref for Running<'_> {
    type Target = TruthOptions;

    fn deref(&self) -> &TruthOptions {
        self.options
    }
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// Cases done, of how many.
    Case(usize, usize),
    /// Something that the user should know.
    Warning(String),
}

/// Runs `methods`, with unique names, through suites. A method that is not for a model is left out there, by name.
///
/// # Errors
/// A run that fails; a stop by the user.
pub fn run(
    methods: &[(String, Method)],
    options: &TruthOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<TruthReport> {
    run_on(&RuntimeChoice::default(), None, methods, options, progress)
}

/// As [`run`], by a runtime and so many threads (default: one per core).
///
/// # Errors
/// As there, and a runtime that is not there.
pub fn run_on(
    runtime: &RuntimeChoice,
    threads: Option<NonZeroUsize>,
    methods: &[(String, Method)],
    options: &TruthOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<TruthReport> {
    let options = &Running { options, runtime, threads };
    let mut cases = vec![];
    for suite in &options.suites {
        cases.extend(suite.cases(options.seed, options.limit)?);
    }
    let mut results: Vec<CaseResult> = vec![];
    for (done, case) in cases.iter().enumerate() {
        progress(Progress::Case(done, cases.len()));
        let name = format!("{}: {}", case.suite.name(), case.name);
        let mut result = judged(case, methods, options).map_err(|e| e.of(&name))?;
        for warning in &mut result.warnings {
            *warning = format!("{name}: {warning}");
            progress(Progress::Warning(warning.clone()));
        }
        results.push(result);
    }
    progress(Progress::Case(cases.len(), cases.len()));
    let verdicts = options.suites.iter().flat_map(|suite| verdicts(*suite, &results, options.seed)).collect();
    Ok(TruthReport {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_string(),
        seed: options.seed,
        limit: options.limit,
        cases: results,
        verdicts,
    })
}

/// A metric of a map without its signs.
struct ByMagnitude(Box<dyn Metric>);

impl Metric for ByMagnitude {
    fn info(&self) -> &'static MetricInfo {
        self.0.info()
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.0.parameters()
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> exegesis_metrics::Result<Outcome> {
        let values = view.map.values.iter().map(|v| v.abs()).collect();
        let map = Map { values, is_signed: false, ..view.map.clone() };
        self.0.evaluate(&View { map: &map, ..*view }, bench)
    }
}

fn judged(case: &Case, methods: &[(String, Method)], options: &Running<'_>) -> Result<CaseResult> {
    let mut explainers = vec![];
    let mut warnings = vec![];
    for (key, method) in methods {
        match built(&case.model, method.clone(), case.task, options) {
            Ok(explainer) => explainers.push((key.clone(), explainer)),
            Err(error) if is_refusal(&error) => warnings.push(format!("`{key}` is left out: {error}")),
            Err(error) => return Err(error.of(format!("`{key}`"))),
        }
    }
    let (scores, reliance) = match &case.known {
        Known::Values(rows) => (by_values(rows, &explainers, options, &mut warnings)?, None),
        Known::Places(data) => (by_places(case, data, explainers, options, &mut warnings)?, None),
        Known::Shortcut(data, reliance) => {
            (by_places(case, data, explainers, options, &mut warnings)?, Some(*reliance))
        }
    };
    Ok(CaseResult {
        suite: case.suite.name().to_string(),
        name: case.name.clone(),
        model_sha256: case.model.sha256().to_string(),
        reliance,
        methods: scores,
        warnings,
    })
}

fn built(model: &Model, method: Method, task: Option<Task>, options: &Running<'_>) -> Result<Explainer> {
    let RuntimeChoice { name, device, onnxruntime } = options.runtime;
    let mut builder = model.explainer(method).seed(options.seed).runtime(name).device(*device);
    if let Some(path) = onnxruntime {
        builder = builder.onnxruntime(path);
    }
    if let Some(threads) = options.threads {
        builder = builder.threads(threads);
    }
    if let Some(task) = task {
        builder = builder.task(task);
    }
    if let Some(stop) = &options.stop {
        builder = builder.stop(Arc::clone(stop));
    }
    builder.build()
}

/// True for methods that are not for a model, which others need not suffer for.
fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Usage | ErrorKind::NoRule)
}

/// Maps against exact values, cell by cell.
fn by_values(
    rows: &[Row],
    explainers: &[(String, Explainer)],
    options: &Running<'_>,
    warnings: &mut Vec<String>,
) -> Result<Vec<MethodScores>> {
    let mut scores = vec![];
    'methods: for (key, explainer) in explainers {
        let mut all: Vec<[Option<f64>; 3]> = vec![];
        for row in rows {
            match explainer.explain(&row.inputs) {
                Ok(explanation) => {
                    let result = explanation.methods.first();
                    let phi = result.and_then(|m| m.values.first()?.1.to_f64()).unwrap_or_default();
                    if phi.len() != row.values.len() {
                        return Err(Error::input(format!(
                            "`{key}` gave {} values for {} cells. Report it to us.",
                            phi.len(),
                            row.values.len()
                        )));
                    }
                    all.push(measured(&phi, &row.values, &row.is_unused));
                }
                Err(error) if is_refusal(&error) => {
                    warnings.push(format!("`{key}` is left out: {error}"));
                    continue 'methods;
                }
                Err(error) => return Err(error.of(format!("`{key}`"))),
            }
        }
        let measures = MEASURES.iter().enumerate().map(|(index, (name, direction))| {
            let values = all.iter().map(|row| row[index]).collect();
            Measure::new(name, *direction, values, options.seed)
        });
        let is_control = matches!(explainer.method().name(), "random" | "edges");
        scores.push(MethodScores { key: key.clone(), is_control, measures: measures.collect() });
    }
    Ok(scores)
}

/// Maps against masks of evidence.
fn by_places(
    case: &Case,
    data: &DataSet,
    methods: Vec<(String, Explainer)>,
    options: &Running<'_>,
    warnings: &mut Vec<String>,
) -> Result<Vec<MethodScores>> {
    let mut metrics = vec![];
    for name in METRICS {
        let metric = parse(name).map_err(|e| Error::usage(format!("{e}.")))?;
        let metric = if case.suite.is_by_magnitude() { Box::new(ByMagnitude(metric)) } else { metric };
        metrics.push((name.to_string(), metric));
    }
    let judge = perturb::Method::Occlusion(perturb::Occlusion::default());
    let correct_only = data.labels.is_some() && !methods.is_empty();
    let comparer = Comparer {
        judge: built(&case.model, Method::from(judge), case.task, options)?,
        methods,
        saved: vec![],
        metrics,
        options: CompareOptions {
            controls: vec![Control::Random],
            seed: case.seed,
            stop: options.stop.clone(),
            correct_only,
            ..CompareOptions::default()
        },
        target: "argmax".to_string(),
    };
    let (record, _) = comparer.run(data, &mut |_| {})?;
    warnings.extend(record.warnings);
    let mut scores = vec![];
    for (method, values) in record.methods.iter().zip(&record.values) {
        let of = |outcomes: &[Outcome]| outcomes.iter().map(|o| o.value).collect();
        let measures = record.metrics.iter().zip(values).map(|(metric, outcomes)| {
            Measure::new(&metric.key, metric.direction, of(outcomes), options.seed)
        });
        scores.push(MethodScores {
            key: method.key.clone(),
            is_control: method.is_control,
            measures: measures.collect(),
        });
    }
    Ok(scores)
}
