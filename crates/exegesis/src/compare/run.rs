//! A comparison as a whole: what is compared, how, and what came out.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Instant, SystemTime};

use exegesis_metrics::{Error as MetricError, Metric, Modality, Operator, Outcome};
use exegesis_perturb::random::RowKey;
use exegesis_report::RowReport;

use super::contestant::Control;
use super::data::DataSet;
use super::journal::{Entry, Journal, Past};
use super::record::{Comparison, Cost, DataSummary, MethodSummary, MetricSummary, SCHEMA};
use super::saved::Saved;
use super::work::Work;
use crate::explainer::{Probe, Surroundings};
use crate::explanation::rfc3339;
use crate::{Error, ErrorKind, Explainer, Result};

/// How a comparison is done.
#[derive(Clone, Debug, Default)]
pub struct CompareOptions {
    /// What stands in for what is taken out; default what suits the data.
    pub operator: Option<Operator>,
    /// Maps that know nothing of the model.
    pub controls: Vec<Control>,
    /// Random seed.
    pub seed: u64,
    /// Where finished samples are kept until the end.
    pub journal: Option<PathBuf>,
    /// Set by others to stop.
    pub stop: Option<Arc<AtomicBool>>,
    /// Samples whose maps are drawn side by side.
    pub examples: usize,
    /// Leave out samples whose prediction is not the right class.
    pub correct_only: bool,
}

/// What happens during a comparison.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// Samples done, of how many. Explaining a sample and judging its maps count half each.
    Done(f64, usize),
    /// What the first sample needs per method: rows of the model, explanations.
    Planned(usize, usize),
    /// Samples that an earlier run finished.
    Resumed(usize),
    /// Something the user should know at once.
    Warning(String),
}

/// Methods and metrics, ready for data.
pub struct Comparer {
    /// Asks the model; its target is what all methods explain.
    pub judge: Explainer,
    /// The methods, with unique names.
    pub methods: Vec<(String, Explainer)>,
    /// Maps from files, with unique names.
    pub saved: Vec<Saved>,
    /// The metrics, with unique names.
    pub metrics: Vec<(String, Box<dyn Metric>)>,
    /// How it is done.
    pub options: CompareOptions,
    /// What was explained, as the user said it.
    pub target: String,
}

/// Rows that are explained and judged together; what is finished goes into the journal sample by sample.
const AT_ONCE: usize = 32;

impl Comparer {
    /// Compares. The second result is the first samples with the maps of all methods, for pictures.
    ///
    /// # Errors
    /// Data that does not fit the model; every method refused; a stop by the user (what is finished stays in the journal).
    pub fn run(
        &self,
        data: &DataSet,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Comparison, Vec<RowReport>)> {
        let started = Instant::now();
        if self.options.correct_only && (data.labels.is_none() || self.methods.is_empty()) {
            return Err(Error::usage(
                "samples that the model gets wrong can't be told without the right classes and a method. Give --label-column, a \
                 folder per class, or `labels` in the .npz.",
            ));
        }
        let (modality, usual) = situation(&self.judge, data)?;
        let operator = self.options.operator.unwrap_or(usual);
        let (journal, past) = match &self.options.journal {
            Some(path) => {
                let (journal, past) = Journal::open(path, &self.configuration(data))?;
                (Some(journal), past)
            }
            None => (None, Past::default()),
        };
        if !past.entries.is_empty() {
            progress(Progress::Resumed(past.entries.len()));
        }
        let earlier: f64 =
            past.entries.iter().map(|e| e.total + e.costs.iter().map(|c| c.seconds).sum::<f64>()).sum();
        let metrics = self.metrics.iter().map(|(key, m)| summary(key, m.as_ref())).collect();
        let mut work = Work {
            comparer: self,
            data,
            operator,
            surroundings: Arc::new(data.surroundings()),
            texts: data.document_counts(modality),
            samples: data.samples().len(),
            metrics,
            journal,
            past,
            kept: None,
            again: None,
            entries: vec![],
            examples: vec![],
            warnings: vec![],
        };
        work.warnings.extend(self.saved.iter().flat_map(|saved| saved.warnings.clone()));
        for chunk in data.chunks(AT_ONCE)? {
            work.chunk(&chunk, progress)?;
        }
        let Work { mut metrics, entries, examples, mut warnings, kept, .. } = work;
        let (wrong, entries): (Vec<Entry>, Vec<Entry>) =
            entries.into_iter().partition(|e| e.sample_is_wrong());
        match (wrong.len(), entries.len()) {
            (count, 0) => {
                return Err(Error::input(format!(
                    "the model gets all {count} samples wrong, so that none is left. Check labels and preprocessing."
                )));
            }
            (0, _) => {}
            (count, others) => warnings.push(format!(
                "{count} of {} samples are left out: the model gets them wrong",
                count + others
            )),
        }
        let kept = kept.unwrap_or_default();
        let mut values = vec![
            vec![vec![]; self.metrics.len()];
            kept.len() + self.saved.len() + self.options.controls.len()
        ];
        let mut costs = vec![Cost::default(); kept.len()];
        for entry in &entries {
            for (own, all) in entry.values.iter().zip(&mut values) {
                own.iter().zip(all).for_each(|(outcome, list)| list.push(outcome.clone()));
            }
            costs.iter_mut().zip(&entry.costs).for_each(|(cost, own)| cost.add(own));
        }
        for (index, metric) in metrics.iter_mut().enumerate() {
            metric.seconds = entries.iter().filter_map(|e| e.seconds.get(index)).sum();
            left_out(metric, values.iter().map(|of| of[index].as_slice()));
        }
        let model = self.judge.model();
        let record = Comparison {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_string(),
            created: rfc3339(SystemTime::now()),
            model: model.path().to_string(),
            model_sha256: model.sha256().to_string(),
            data: DataSummary {
                source: data.source.clone(),
                sha256: data.sha256.clone(),
                modality,
                has_labels: data.labels.is_some(),
                has_truth: data.truths.is_some(),
            },
            target: self.target.clone(),
            operator: operator.name().to_string(),
            seed: self.options.seed,
            methods: self.summaries(&kept, &costs),
            metrics,
            rows: entries.iter().map(|e| e.rows).collect(),
            samples: entries.into_iter().filter_map(|e| e.summary).collect(),
            values,
            seconds: started.elapsed().as_secs_f64() + earlier,
            warnings,
        };
        Ok((record, examples))
    }

    /// What is said of methods and controls.
    fn summaries(&self, kept: &[usize], costs: &[Cost]) -> Vec<MethodSummary> {
        let of_method = |(m, cost): (&usize, &Cost)| {
            let (key, explainer) = &self.methods[*m];
            let method = explainer.method();
            MethodSummary {
                key: key.clone(),
                name: method.name().to_string(),
                parameters: method.parameters().into_iter().map(|(k, v)| (k.to_string(), v)).collect(),
                is_control: matches!(method.name(), "random" | "edges"),
                is_signed: method.is_signed(),
                cost: *cost,
            }
        };
        let of_saved = |saved: &Saved| MethodSummary {
            key: saved.key.clone(),
            name: "saved".to_string(),
            parameters: vec![("sha256".to_string(), saved.sha256.clone())],
            is_control: false,
            is_signed: saved.is_signed(),
            cost: Cost::default(),
        };
        let of_control = |control: &Control| MethodSummary {
            key: control.name().to_string(),
            name: control.name().to_string(),
            parameters: vec![],
            is_control: true,
            is_signed: *control == Control::LeaveOneOut,
            cost: Cost::default(),
        };
        let methods = kept.iter().zip(costs).map(of_method).chain(self.saved.iter().map(of_saved));
        methods.chain(self.options.controls.iter().map(of_control)).collect()
    }

    /// Everything that the values depend on.
    fn configuration(&self, data: &DataSet) -> String {
        let pairs = |list: Vec<(&'static str, String)>| {
            list.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")
        };
        let mut parts = vec![
            self.judge.model().sha256().to_string(),
            data.sha256.clone(),
            self.target.clone(),
            self.options.seed.to_string(),
            self.options.operator.map_or("auto", Operator::name).to_string(),
        ];
        parts.push(self.options.correct_only.to_string());
        for (_, explainer) in &self.methods {
            let method = explainer.method();
            parts.push(format!("{}:{}", method.name(), pairs(method.parameters())));
        }
        parts.extend(self.saved.iter().map(|saved| format!("{}:{}", saved.key, saved.sha256)));
        parts.extend(self.options.controls.iter().map(|control| control.name().to_string()));
        for (_, metric) in &self.metrics {
            let info = metric.info();
            parts.push(format!("{}/{}:{}", info.name, info.version, pairs(metric.parameters())));
        }
        parts.join(" ")
    }

    /// # Errors
    /// A stop by the user.
    pub(super) fn check_stop(&self) -> Result<()> {
        let is_stopped =
            self.options.stop.as_ref().is_some_and(|stop| stop.load(std::sync::atomic::Ordering::Relaxed));
        if is_stopped { Err(stopped()) } else { Ok(()) }
    }
}

/// The kind of data that the samples are, and what stands in for what is taken out if nothing else is asked for.
///
/// # Errors
/// Samples that do not fit the model.
pub fn situation(judge: &Explainer, data: &DataSet) -> Result<(Modality, Operator)> {
    let first = data.limited(1)?;
    let inputs = first.runs.first().ok_or_else(|| Error::input("there are no samples."))?;
    judge.probe(inputs, &Surroundings::default(), |probe| {
        probe.start(0, RowKey { seed: 0, row: 0 })?;
        let modality = probe.features()?.modality;
        Ok((modality, usual_operator(modality, probe)))
    })
}

/// The operator of a run if none is asked for.
fn usual_operator(modality: Modality, probe: &Probe<'_>) -> Operator {
    match modality {
        Modality::Image => Operator::Zero,
        Modality::Text if probe.has_mask_token() => Operator::Mask,
        Modality::Text => Operator::Delete,
        Modality::Table => Operator::Median,
        Modality::Series => Operator::Linear,
    }
}

/// What the user hears of a stop.
pub(super) fn stopped() -> Error {
    Error::new(
        ErrorKind::Other,
        "stopped by the user. What is finished is kept: run the same command again to go on.",
    )
}

/// What the user hears of an error of metrics.
pub(super) fn told(error: &MetricError) -> Error {
    match error {
        MetricError::Stopped => stopped(),
        other => Error::input(format!("{other}.")),
    }
}

fn summary(key: &str, metric: &dyn Metric) -> MetricSummary {
    let info = metric.info();
    MetricSummary {
        key: key.to_string(),
        name: info.name.to_string(),
        id: info.id.to_string(),
        version: info.version,
        family: info.family,
        direction: info.direction,
        parameters: metric.parameters().into_iter().map(|(k, v)| (k.to_string(), v)).collect(),
        rows: 0,
        explanations: 0,
        seconds: 0.0,
        left_out: None,
    }
}

/// A metric without any value is left out, for the reason of the first.
fn left_out<'a>(metric: &mut MetricSummary, mut of_methods: impl Iterator<Item = &'a [Outcome]> + Clone) {
    let has_value = of_methods.clone().flatten().any(|outcome| outcome.value.is_some());
    if metric.left_out.is_none() && !has_value {
        let reason = of_methods.find_map(|list| list.first().and_then(|o| o.reason.clone()));
        metric.left_out = reason.or_else(|| Some("no sample has a value".to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a metric that is called left out although one method has a value.
    #[test]
    fn only_metrics_without_any_value_are_left_out() {
        let metric = exegesis_metrics::parse("gini").unwrap();
        let (none, some) = (Outcome::undefined("all zeros"), Outcome::of(0.5));
        let mut entry = summary("gini", metric.as_ref());
        left_out(&mut entry, [&[none.clone()][..], &[some][..]].into_iter());
        assert_eq!(entry.left_out, None);
        left_out(&mut entry, [&[none.clone()][..], &[none][..]].into_iter());
        assert_eq!(entry.left_out.as_deref(), Some("all zeros"));
    }
}
