//! Sample by sample, method by method, metric by metric.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Instant, SystemTime};

use exegesis_metrics::{Bench, Error as MetricError, Metric, Modality, Operator, Outcome, View, plan};
use exegesis_perturb::random::RowKey;
use exegesis_report::RowReport;
use rustc_hash::FxHashMap;

use super::contestant::{Contestant, Control, map_of};
use super::data::{DataSet, Sample};
use super::journal::{Entry, Journal};
use super::record::{Comparison, Cost, DataSummary, MethodSummary, MetricSummary, SCHEMA, SampleSummary};
use super::subject::{Again, Examined};
use crate::explainer::{Probe, Surroundings};
use crate::explanation::rfc3339;
use crate::inputs::slice_rows;
use crate::{Error, ErrorKind, Explainer, Explanation, Inputs, Result};

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
    /// A method explains: rows done, of how many.
    Explaining(String, usize, usize),
    /// What the first sample needs per method: rows of the model, explanations.
    Planned(usize, usize),
    /// Maps judged, of how many.
    Judging(usize, usize),
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
    /// The metrics, with unique names.
    pub metrics: Vec<(String, Box<dyn Metric>)>,
    /// How it is done.
    pub options: CompareOptions,
    /// What was explained, as the user said it.
    pub target: String,
}

/// What one run of equal rows gave.
struct Explained {
    /// Per method that was not refused.
    explanations: Vec<Explanation>,
}

/// What is known when all samples are through.
struct Gathered {
    samples: Vec<SampleSummary>,
    entries: Vec<Entry>,
    examples: Vec<RowReport>,
    modality: Modality,
    operator: Operator,
    /// Seconds of an earlier run.
    earlier: f64,
    /// Samples that were left out because the model gets them wrong.
    wrong: usize,
}

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
        let mut warnings: Vec<String> = vec![];
        let mut costs = vec![Cost::default(); self.methods.len()];
        let mut is_out: Vec<Option<String>> = vec![None; self.methods.len()];
        let explained = self.explain(data, &mut costs, &mut is_out, progress)?;
        for ((key, _), reason) in self.methods.iter().zip(&is_out) {
            if let Some(reason) = reason {
                let text = format!("`{key}` is left out: {reason}");
                progress(Progress::Warning(text.clone()));
                warnings.push(text);
            }
        }
        let kept: Vec<usize> = (0..self.methods.len()).filter(|m| is_out[*m].is_none()).collect();
        if kept.is_empty() && self.options.controls.is_empty() {
            return Err(Error::new(ErrorKind::NoRule, format!("no method is left: {}", warnings.join("; "))));
        }
        let mut contestants: Vec<Contestant<'_>> =
            kept.iter().map(|m| Contestant::Method(&self.methods[*m].1)).collect();
        contestants.extend(self.options.controls.iter().map(|c| Contestant::Control(*c)));
        let mut metrics: Vec<MetricSummary> =
            self.metrics.iter().map(|(key, m)| summary(key, m.as_ref())).collect();
        let gathered = self.judge_all(data, &explained, &contestants, &mut metrics, progress)?;
        if gathered.wrong > 0 {
            warnings.push(format!(
                "{} of {} samples are left out: the model gets them wrong",
                gathered.wrong,
                data.samples().len()
            ));
        }
        let mut values = vec![vec![vec![]; self.metrics.len()]; contestants.len()];
        for entry in &gathered.entries {
            for (own, all) in entry.values.iter().zip(&mut values) {
                own.iter().zip(all).for_each(|(outcome, list)| list.push(outcome.clone()));
            }
        }
        for (index, metric) in metrics.iter_mut().enumerate() {
            metric.seconds = gathered.entries.iter().filter_map(|e| e.seconds.get(index)).sum();
            left_out(metric, values.iter().map(|of| of[index].as_slice()));
        }
        let mut methods: Vec<MethodSummary> = kept
            .iter()
            .map(|m| {
                let (key, explainer) = &self.methods[*m];
                let method = explainer.method();
                MethodSummary {
                    key: key.clone(),
                    name: method.name().to_string(),
                    parameters: method.parameters().into_iter().map(|(k, v)| (k.to_string(), v)).collect(),
                    is_control: matches!(method.name(), "random" | "edges"),
                    is_signed: method.is_signed(),
                    cost: costs[*m],
                }
            })
            .collect();
        methods.extend(self.options.controls.iter().map(|control| MethodSummary {
            key: control.name().to_string(),
            name: control.name().to_string(),
            parameters: vec![],
            is_control: true,
            is_signed: false,
            cost: Cost::default(),
        }));
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
                modality: gathered.modality,
                has_labels: data.labels.is_some(),
                has_truth: data.truths.is_some(),
            },
            target: self.target.clone(),
            operator: gathered.operator.name().to_string(),
            seed: self.options.seed,
            methods,
            metrics,
            samples: gathered.samples,
            values,
            rows: gathered.entries.iter().map(|e| e.rows).collect(),
            seconds: started.elapsed().as_secs_f64() + gathered.earlier,
            warnings,
        };
        Ok((record, gathered.examples))
    }

    /// The clean maps of all methods on all runs. A method that the model or the data refuses is left out.
    fn explain(
        &self,
        data: &DataSet,
        costs: &mut [Cost],
        is_out: &mut [Option<String>],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Explained>> {
        let mut all: Vec<Vec<Option<Explanation>>> = vec![];
        let total: usize = data.samples().len();
        let mut done = 0;
        for inputs in &data.runs {
            let mut own = vec![];
            for (index, (key, explainer)) in self.methods.iter().enumerate() {
                if is_out[index].is_some() {
                    own.push(None);
                    continue;
                }
                let started = Instant::now();
                let found = explainer.explain_with(inputs, &mut |rows, of| {
                    let here = inputs.rows() * rows / of.max(1);
                    progress(Progress::Explaining(key.clone(), done + here, total));
                });
                self.check_stop()?;
                match found {
                    Ok(explanation) => {
                        let cost = &mut costs[index];
                        cost.seconds += started.elapsed().as_secs_f64();
                        for method in &explanation.methods {
                            cost.model_rows += method.evidence.iter().map(|e| e.model_rows).sum::<usize>();
                        }
                        let peaks = explanation.provenance.plans.iter().map(|p| p.peak_bytes);
                        cost.peak_bytes = peaks.fold(cost.peak_bytes, u64::max);
                        own.push(Some(explanation));
                    }
                    Err(error) if matches!(error.kind(), ErrorKind::Usage | ErrorKind::NoRule) => {
                        is_out[index] = Some(error.to_string());
                        own.push(None);
                    }
                    Err(error) => return Err(error.of(format!("`{key}`"))),
                }
            }
            done += inputs.rows();
            all.push(own);
        }
        let is_kept = |index: &usize| is_out[*index].is_none();
        let of_run = |own: Vec<Option<Explanation>>| Explained {
            explanations: own
                .into_iter()
                .enumerate()
                .filter(|(i, _)| is_kept(i))
                .filter_map(|(_, e)| e)
                .collect(),
        };
        Ok(all.into_iter().map(of_run).collect())
    }

    fn judge_all(
        &self,
        data: &DataSet,
        explained: &[Explained],
        contestants: &[Contestant<'_>],
        metrics: &mut [MetricSummary],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Gathered> {
        let samples = data.samples();
        let (mut journal, known) = match &self.options.journal {
            Some(path) => {
                let (journal, known) = Journal::open(path, &self.configuration(data, contestants))?;
                (Some(journal), known)
            }
            None => (None, vec![]),
        };
        if !known.is_empty() {
            progress(Progress::Resumed(known.len()));
        }
        let surroundings: Surroundings = data.surroundings();
        let mut again = Again::new(
            contestants
                .iter()
                .filter_map(|c| match c {
                    Contestant::Method(explainer) => Some(*explainer),
                    Contestant::Control(_) => None,
                })
                .collect(),
            explained.iter().map(|own| own.explanations.as_slice()).collect(),
        );
        let mut wrong = 0;
        let mut texts = None;
        let mut gathered = Gathered {
            samples: vec![],
            entries: vec![],
            examples: vec![],
            modality: Modality::Table,
            operator: self.options.operator.unwrap_or_default(),
            earlier: known.iter().map(|entry| entry.total).sum(),
            wrong: 0,
        };
        for (run, inputs) in data.runs.iter().enumerate() {
            self.judge.probe(inputs, &surroundings, |probe| {
                for sample in samples.iter().filter(|s| s.run == run) {
                    let first = explained[run].explanations.first();
                    let prediction =
                        first.and_then(|e| e.predictions.get(sample.row)).cloned().unwrap_or_default();
                    let label = data.labels.as_ref().and_then(|l| l.get(sample.index)).copied();
                    if self.options.correct_only && prediction.index != label {
                        wrong += 1;
                        continue;
                    }
                    let key = RowKey { seed: self.options.seed, row: sample.index as u64 };
                    probe.start(sample.row, key)?;
                    if let (None, Some(input)) = (&texts, probe.token_input()) {
                        texts = Some(data.document_counts(&input));
                    }
                    let features = probe.features()?.clone();
                    let operator = self.options.operator.unwrap_or(usual_operator(features.modality, probe));
                    (gathered.modality, gathered.operator) = (features.modality, operator);
                    let truth = data.truth(sample, inputs, &features)?;
                    let rarity = probe
                        .token_input()
                        .map(|input| rarity(&texts, samples.len(), inputs, &input, sample));
                    let rarity = || rarity.as_ref().map(|cells| features.sums(std::slice::from_ref(cells)));
                    let mut examined = Examined {
                        probe,
                        features: features.clone(),
                        again: &mut again,
                        sample: *sample,
                        inputs,
                        surroundings: &surroundings,
                        around: None,
                    };
                    let mut bench = Bench::new(&mut examined, self.options.stop.as_deref());
                    let clean = bench.clean(operator).map_err(|e| told(&e))?;
                    let mut maps = vec![];
                    for (index, contestant) in contestants.iter().enumerate() {
                        maps.push(match contestant {
                            Contestant::Control(control) => {
                                control.map(&mut bench, (operator, key), &rarity).map_err(|e| told(&e))?
                            }
                            Contestant::Method(explainer) => {
                                let explanation = &explained[run].explanations[index];
                                map_of(explanation, sample.row, &features, explainer.method())?
                            }
                        });
                    }
                    let views: Vec<View<'_>> = maps
                        .iter()
                        .enumerate()
                        .map(|(index, map)| View {
                            map,
                            method: matches!(contestants[index], Contestant::Method(_)).then_some(index),
                            features: &features,
                            truth: truth.as_deref(),
                            operator,
                            key,
                        })
                        .collect();
                    if gathered.samples.is_empty() {
                        let (rows, explanations) = self.announce(&views[0], metrics);
                        progress(Progress::Planned(rows, explanations));
                    }
                    if gathered.examples.len() < self.options.examples
                        && let Some(row) = example(&explained[run].explanations, sample.row)?
                    {
                        gathered.examples.push(row);
                    }
                    let first = explained[run].explanations.first();
                    let prediction =
                        first.and_then(|e| e.predictions.get(sample.row)).cloned().unwrap_or_default();
                    gathered.samples.push(SampleSummary {
                        name: inputs.row_name(sample.row),
                        prediction: prediction.index,
                        label: prediction.label,
                        truth: label,
                        features: features.count(),
                        probability: clean.probability,
                    });
                    let entry = match known.iter().find(|entry| entry.sample == sample.index) {
                        Some(entry) => entry.clone(),
                        None => {
                            let all = samples.len() * contestants.len();
                            let before = sample.index * contestants.len();
                            let entry = self.judge_one(&views, metrics, &mut bench, sample, &mut |done| {
                                progress(Progress::Judging(before + done, all));
                            })?;
                            if let Some(journal) = &mut journal {
                                journal.add(&entry)?;
                            }
                            entry
                        }
                    };
                    gathered.entries.push(entry);
                }
                Ok(())
            })?;
        }
        if gathered.samples.is_empty() {
            return Err(Error::input(format!(
                "the model gets all {wrong} samples wrong, so that none is left. Check labels and preprocessing."
            )));
        }
        gathered.wrong = wrong;
        Ok(gathered)
    }

    /// All metrics on all maps of one sample.
    fn judge_one(
        &self,
        views: &[View<'_>],
        metrics: &mut [MetricSummary],
        bench: &mut Bench<'_>,
        sample: &Sample,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Entry> {
        let started = Instant::now();
        let mut values = vec![];
        let mut seconds = vec![0.0; metrics.len()];
        for (done, view) in views.iter().enumerate() {
            progress(done);
            let mut questions = vec![];
            for ((_, metric), summary) in self.metrics.iter().zip(metrics.iter_mut()) {
                if summary.left_out.is_none() {
                    match plan(metric.as_ref(), view) {
                        Ok(own) => questions.extend(own),
                        Err(error) => summary.left_out = Some(error.to_string()),
                    }
                }
            }
            match bench.prepare(&questions) {
                Err(MetricError::Stopped) => return Err(stopped()),
                // Which metric it was, its own evaluation says.
                Ok(()) | Err(_) => {}
            }
            let mut own = vec![];
            for (index, (_, metric)) in self.metrics.iter().enumerate() {
                if let Some(reason) = &metrics[index].left_out {
                    own.push(Outcome::undefined(reason.clone()));
                    continue;
                }
                let begun = Instant::now();
                own.push(match metric.evaluate(view, bench) {
                    Ok(outcome) => outcome,
                    Err(MetricError::Stopped) => return Err(stopped()),
                    Err(error) => Outcome::undefined(error.to_string()),
                });
                seconds[index] += begun.elapsed().as_secs_f64();
            }
            values.push(own);
        }
        progress(views.len());
        let total = started.elapsed().as_secs_f64();
        Ok(Entry { sample: sample.index, values, rows: bench.rows(), seconds, total })
    }

    /// Notes what each metric needs by itself; returns what all need together, with what they share counted once.
    fn announce(&self, view: &View<'_>, metrics: &mut [MetricSummary]) -> (usize, usize) {
        let mut all = rustc_hash::FxHashSet::default();
        let (mut other, mut explanations) = (0, 0);
        for ((_, metric), summary) in self.metrics.iter().zip(metrics.iter_mut()) {
            let Ok(questions) = plan(metric.as_ref(), view) else { continue };
            let own: rustc_hash::FxHashSet<_> = questions.into_iter().collect();
            summary.rows = own.len() + metric.other_rows(view);
            summary.explanations = metric.explanations(view);
            other += metric.other_rows(view);
            explanations += summary.explanations;
            all.extend(own);
        }
        (all.len() + other, explanations)
    }

    /// Everything that the values depend on.
    fn configuration(&self, data: &DataSet, contestants: &[Contestant<'_>]) -> String {
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
        for contestant in contestants {
            parts.push(match contestant {
                Contestant::Method(e) => format!("{}:{}", e.method().name(), pairs(e.method().parameters())),
                Contestant::Control(control) => control.name().to_string(),
            });
        }
        for (_, metric) in &self.metrics {
            let info = metric.info();
            parts.push(format!("{}/{}:{}", info.name, info.version, pairs(metric.parameters())));
        }
        parts.join(" ")
    }

    fn check_stop(&self) -> Result<()> {
        let is_stopped =
            self.options.stop.as_ref().is_some_and(|stop| stop.load(std::sync::atomic::Ordering::Relaxed));
        if is_stopped { Err(stopped()) } else { Ok(()) }
    }
}

/// Per token of a text how rare it is: `ln(texts / texts with it)`.
fn rarity(
    counts: &Option<FxHashMap<i64, usize>>,
    texts: usize,
    inputs: &Inputs,
    input: &str,
    sample: &Sample,
) -> Vec<f64> {
    let row =
        inputs.get(input).and_then(|e| slice_rows(&e.tensor, sample.row..sample.row + 1).ok()?.to_i64());
    let count = |id: &i64| counts.as_ref().and_then(|c| c.get(id)).copied().unwrap_or(1).max(1);
    row.unwrap_or_default().iter().map(|id| (texts as f64 / count(id) as f64).ln()).collect()
}

/// The kind of data that the samples are.
///
/// # Errors
/// Samples that do not fit the model.
pub fn modality(judge: &Explainer, data: &DataSet) -> Result<Modality> {
    let first = data.limited(1)?;
    let inputs = first.runs.first().ok_or_else(|| Error::input("there are no samples."))?;
    judge.probe(inputs, &Surroundings::default(), |probe| {
        probe.start(0, RowKey { seed: 0, row: 0 })?;
        Ok(probe.features()?.modality)
    })
}

/// The operator of a run if none is asked for.
fn usual_operator(modality: Modality, probe: &Probe<'_>) -> Operator {
    match modality {
        Modality::Image => Operator::Zero,
        Modality::Text if probe.has_mask_token() => Operator::Mask,
        Modality::Text => Operator::Delete,
        Modality::Table => Operator::Mean,
        Modality::Series => Operator::Mean,
    }
}

fn stopped() -> Error {
    Error::new(
        ErrorKind::Other,
        "stopped by the user. What is finished is kept: run the same command again to go on.",
    )
}

fn told(error: &MetricError) -> Error {
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

/// The maps of all methods on one row, as a page shows them.
fn example(explanations: &[Explanation], row: usize) -> Result<Option<RowReport>> {
    if explanations.is_empty() {
        return Ok(None);
    }
    let joined = Explanation::join(explanations.to_vec())?;
    Ok(Some(joined.report_row(row)))
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
