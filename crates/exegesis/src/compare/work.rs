//! The work of a comparison: chunk by chunk, sample by sample, method by method, metric by metric.

use std::sync::Arc;
use std::time::Instant;

use exegesis_metrics::{Bench, Error as MetricError, Map, Operator, Outcome, View, plan};
use exegesis_perturb::random::RowKey;
use exegesis_report::RowReport;
use rustc_hash::FxHashMap;

use super::contestant::{Contestant, map_of};
use super::data::{Chunk, DataSet, Sample};
use super::journal::{Entry, Journal, LeftOut, Past};
use super::record::{Cost, MetricSummary, SampleSummary};
use super::run::{Comparer, Progress, stopped, told};
use super::subject::{Again, Examined};
use crate::explainer::{Probe, Surroundings};
use crate::inputs::slice_rows;
use crate::{Error, ErrorKind, Explanation, Inputs, Result};

/// A comparison in progress.
pub(super) struct Work<'a> {
    pub comparer: &'a Comparer,
    pub data: &'a DataSet,
    pub operator: Operator,
    pub surroundings: Arc<Surroundings>,
    /// Per token id the texts that hold it.
    pub texts: FxHashMap<i64, usize>,
    /// Number of all samples.
    pub samples: usize,
    pub metrics: Vec<MetricSummary>,
    pub journal: Option<Journal>,
    /// What an earlier run finished.
    pub past: Past,
    /// Methods that are not refused, once that is known.
    pub kept: Option<Vec<usize>>,
    /// Methods that metrics ask again; with the methods that are not refused.
    pub again: Option<Again<'a>>,
    /// Finished samples.
    pub entries: Vec<Entry>,
    pub examples: Vec<RowReport>,
    pub warnings: Vec<String>,
}

/// What a method said of a chunk, or why it said nothing.
type Said = std::result::Result<Arc<Explanation>, String>;

impl<'a> Work<'a> {
    /// Explains and judges the samples of a chunk, as far as an earlier run has not.
    ///
    /// # Errors
    /// As [`Comparer::run`].
    pub fn chunk(&mut self, chunk: &Chunk, progress: &mut dyn FnMut(Progress)) -> Result<()> {
        let known = |sample: &Sample, past: &Past| past.entries.iter().any(|e| e.sample == sample.index);
        let is_known = chunk.samples.iter().all(|s| known(s, &self.past));
        let wanted = self.comparer.options.examples.saturating_sub(self.examples.len());
        let rows = chunk.inputs.rows();
        let inputs = match is_known {
            true if wanted == 0 && self.kept.is_some() => {
                let own =
                    self.past.entries.iter().filter(|e| chunk.samples.iter().any(|s| s.index == e.sample));
                self.entries.extend(own.cloned());
                return Ok(());
            }
            // What is known needs no map but for its picture.
            true => chunk.inputs.leading_rows(wanted.clamp(1, rows), rows)?,
            false => chunk.inputs.clone(),
        };
        let before = chunk.samples.first().map_or(0, |s| s.index);
        let (mut said, mut costs) = self.explain(&inputs, before, progress)?;
        let kept = self.kept(&said, progress)?;
        let is_kept = |m: &usize| kept.contains(m);
        let mut number = 0..said.len();
        said.retain(|_| number.next().is_some_and(|m| is_kept(&m)));
        let mut number = 0..costs.len();
        costs.retain(|_| number.next().is_some_and(|m| is_kept(&m)));
        for sample in chunk.samples.iter().take(inputs.rows()).take(wanted) {
            let mut row = example(&said, sample.row)?;
            if let Some(row) = &mut row {
                self.comparer.saved.iter().for_each(|saved| saved.draw(sample.index, row));
            }
            self.examples.extend(row);
        }
        if is_known {
            let own = self.past.entries.iter().filter(|e| chunk.samples.iter().any(|s| s.index == e.sample));
            self.entries.extend(own.cloned());
            return Ok(());
        }
        let comparer = self.comparer;
        let mut contestants: Vec<Contestant<'_>> =
            kept.iter().map(|m| Contestant::Method(&comparer.methods[*m].1)).collect();
        contestants.extend(comparer.saved.iter().map(Contestant::Saved));
        contestants.extend(comparer.options.controls.iter().map(|c| Contestant::Control(*c)));
        let surroundings = Arc::clone(&self.surroundings);
        let comparer: &'a Comparer = comparer;
        let mut again = self
            .again
            .take()
            .unwrap_or_else(|| Again::new(kept.iter().map(|m| &comparer.methods[*m].1).collect()));
        again.turn_to(said.iter().map(|s| s.as_ref().ok().map(Arc::clone)).collect());
        let done = comparer.judge.probe(&inputs, &surroundings, |probe| {
            for sample in &chunk.samples {
                if let Some(entry) = self.past.entries.iter().find(|e| e.sample == sample.index) {
                    self.entries.push(entry.clone());
                    continue;
                }
                let mut entry =
                    self.sample(sample, &inputs, &said, &contestants, (&mut *probe, &mut again), progress)?;
                entry.costs = std::mem::take(&mut costs);
                if let Some(journal) = &mut self.journal {
                    journal.add(&entry)?;
                }
                self.entries.push(entry);
            }
            Ok(())
        });
        self.again = Some(again);
        done
    }

    /// The clean maps of all methods. A method that the model or the data refuses says why.
    fn explain(
        &self,
        inputs: &Inputs,
        before: usize,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Vec<Said>, Vec<Cost>)> {
        let (mut all, mut costs) = (vec![], vec![]);
        for (index, (key, explainer)) in self.comparer.methods.iter().enumerate() {
            if self.kept.as_ref().is_some_and(|kept| !kept.contains(&index)) {
                all.push(Err(String::new()));
                costs.push(Cost::default());
                continue;
            }
            let started = Instant::now();
            let methods = self.comparer.methods.len() as f64;
            let found = explainer.explain_with(inputs, &mut |rows, of| {
                let part = (index as f64 + rows as f64 / of.max(1) as f64) / methods;
                progress(Progress::Done(before as f64 + part * inputs.rows() as f64 / 2.0, self.samples));
            });
            self.comparer.check_stop()?;
            let mut cost = Cost { seconds: started.elapsed().as_secs_f64(), ..Cost::default() };
            all.push(match found {
                Ok(explanation) => {
                    let evidence = explanation.methods.iter().flat_map(|method| &method.evidence);
                    cost.model_rows = evidence.map(|e| e.model_rows).sum();
                    let plans = &explanation.provenance.plans;
                    cost.peak_bytes = plans.iter().map(|p| p.peak_bytes).max().unwrap_or(0);
                    Ok(Arc::new(explanation))
                }
                Err(error) if matches!(error.kind(), ErrorKind::Usage | ErrorKind::NoRule) => {
                    Err(error.to_string())
                }
                Err(error) => return Err(error.of(format!("`{key}`"))),
            });
            costs.push(cost);
        }
        Ok((all, costs))
    }

    /// Methods that go on: those that the first chunk does not refuse.
    fn kept(&mut self, said: &[Said], progress: &mut dyn FnMut(Progress)) -> Result<Vec<usize>> {
        if let Some(kept) = &self.kept {
            return Ok(kept.clone());
        }
        let reasons: Vec<LeftOut> = match std::mem::take(&mut self.past.left_out) {
            Some(known) => known,
            None => {
                let refused = said.iter().enumerate().filter_map(|(method, s)| {
                    s.as_ref().err().map(|reason| LeftOut { method, reason: reason.clone() })
                });
                let refused: Vec<LeftOut> = refused.collect();
                if let Some(journal) = &mut self.journal {
                    journal.left_out(&refused)?;
                }
                refused
            }
        };
        for LeftOut { method, reason } in &reasons {
            let text = format!("`{}` is left out: {reason}", self.comparer.methods[*method].0);
            progress(Progress::Warning(text.clone()));
            self.warnings.push(text);
        }
        let kept: Vec<usize> =
            (0..said.len()).filter(|m| reasons.iter().all(|reason| reason.method != *m)).collect();
        if kept.is_empty() && self.comparer.saved.is_empty() && self.comparer.options.controls.is_empty() {
            let text = format!("no method is left: {}", self.warnings.join("; "));
            return Err(Error::new(ErrorKind::NoRule, text));
        }
        self.kept = Some(kept.clone());
        Ok(kept)
    }

    /// All maps of one sample, judged.
    fn sample(
        &mut self,
        sample: &Sample,
        inputs: &Inputs,
        said: &[Said],
        contestants: &[Contestant<'_>],
        (probe, again): (&mut Probe<'_>, &mut Again<'_>),
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Entry> {
        let first = said.iter().find_map(|s| s.as_ref().ok());
        let prediction = first.and_then(|e| e.predictions.get(sample.row)).cloned().unwrap_or_default();
        let label = self.data.labels.as_ref().and_then(|l| l.get(sample.index)).copied();
        if self.comparer.options.correct_only && prediction.index != label {
            return Ok(Entry { sample: sample.index, ..Entry::default() });
        }
        let key = RowKey { seed: self.comparer.options.seed, row: sample.index as u64 };
        probe.start(sample.row, key)?;
        let features = probe.features()?.clone();
        let operator = self.operator;
        let truth = self.data.truth(sample, inputs, &features)?;
        let rarity = probe.token_input().map(|input| {
            let cells = self.rarity(inputs, &input, sample);
            features.sums(std::slice::from_ref(&cells))
        });
        let own: Vec<(String, usize)> =
            probe.own().iter().map(|(name, tensor)| (name.clone(), tensor.len())).collect();
        let surroundings = Arc::clone(&self.surroundings);
        let mut examined = Examined {
            probe,
            features: features.clone(),
            operator,
            again,
            sample: *sample,
            inputs,
            surroundings: &surroundings,
            around: None,
        };
        let mut bench = Bench::new(&mut examined, self.comparer.options.stop.as_deref());
        let clean = bench.clean(operator).map_err(|e| told(&e))?;
        let mut maps: Vec<std::result::Result<Map, String>> = vec![];
        for (index, contestant) in contestants.iter().enumerate() {
            maps.push(match contestant {
                Contestant::Control(control) => {
                    Ok(control.map(&mut bench, (operator, key), rarity.as_deref()).map_err(|e| told(&e))?)
                }
                Contestant::Saved(saved) => Ok(saved.map(sample.index, &own, &features)?),
                Contestant::Method(explainer) => match &said[index] {
                    Ok(explanation) => Ok(map_of(explanation, sample.row, &features, explainer.method())?),
                    Err(reason) => Err(reason.clone()),
                },
            });
        }
        let view = |index: usize, map| View {
            map,
            method: matches!(contestants[index], Contestant::Method(_)).then_some(index),
            features: &features,
            truth: truth.as_deref(),
            operator,
            key,
        };
        let views: Vec<std::result::Result<View<'_>, &str>> = maps
            .iter()
            .enumerate()
            .map(|(index, map)| map.as_ref().map(|map| view(index, map)).map_err(String::as_str))
            .collect();
        if self.entries.is_empty()
            && let Some(Ok(view)) = views.first()
        {
            let (rows, explanations) = self.announce(view);
            progress(Progress::Planned(rows, explanations));
        }
        // The rows of the chunk are explained; of those before this one the maps are judged too.
        let (rows, samples) = (inputs.rows() as f64, self.samples);
        let before = sample.index as f64 - sample.row as f64 / 2.0 + rows / 2.0;
        let mut entry = self.judge(&views, &mut bench, &mut |done| {
            let part = done as f64 / contestants.len().max(1) as f64;
            progress(Progress::Done(before + part / 2.0, samples));
        })?;
        entry.sample = sample.index;
        entry.summary = Some(SampleSummary {
            name: inputs.row_name(sample.row),
            prediction: prediction.index,
            label: prediction.label,
            truth: label,
            features: features.count(),
            probability: clean.probability,
        });
        Ok(entry)
    }

    /// All metrics on all maps of one sample.
    fn judge(
        &mut self,
        views: &[std::result::Result<View<'_>, &str>],
        bench: &mut Bench<'_>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Entry> {
        let comparer = self.comparer;
        let started = Instant::now();
        let mut values = vec![];
        let mut seconds = vec![0.0; self.metrics.len()];
        for (done, view) in views.iter().enumerate() {
            progress(done);
            let view = match view {
                Ok(view) => view,
                Err(reason) => {
                    values.push(vec![Outcome::undefined(*reason); self.metrics.len()]);
                    continue;
                }
            };
            let mut questions = vec![];
            for ((_, metric), summary) in comparer.metrics.iter().zip(self.metrics.iter_mut()) {
                if summary.left_out.is_none() {
                    match plan(metric.as_ref(), view) {
                        Ok(own) => questions.extend(own),
                        Err(error) => summary.left_out = Some(error.to_string()),
                    }
                }
            }
            // Of other failures the evaluation says which metric it was.
            if let Err(MetricError::Stopped) = bench.prepare(&questions) {
                return Err(stopped());
            }
            let mut own = vec![];
            for (index, (_, metric)) in comparer.metrics.iter().enumerate() {
                if let Some(reason) = &self.metrics[index].left_out {
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
        Ok(Entry { values, rows: bench.rows(), seconds, total, ..Entry::default() })
    }

    /// Notes what each metric needs by itself; returns what all need together, with what they share counted once.
    fn announce(&mut self, view: &View<'_>) -> (usize, usize) {
        let mut all = rustc_hash::FxHashSet::default();
        let (mut other, mut explanations) = (0, 0);
        for ((_, metric), summary) in self.comparer.metrics.iter().zip(self.metrics.iter_mut()) {
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

    /// Per token of a text how rare it is: `ln(texts / texts with it)`.
    fn rarity(&self, inputs: &Inputs, input: &str, sample: &Sample) -> Vec<f64> {
        let row =
            inputs.get(input).and_then(|e| slice_rows(&e.tensor, sample.row..sample.row + 1).ok()?.to_i64());
        let count = |id: &i64| self.texts.get(id).copied().unwrap_or(1).max(1);
        row.unwrap_or_default().iter().map(|id| (self.samples as f64 / count(id) as f64).ln()).collect()
    }
}

/// The maps of all methods on one row, as a page shows them.
fn example(said: &[Said], row: usize) -> Result<Option<RowReport>> {
    let known: Vec<Explanation> =
        said.iter().filter_map(|s| Some(s.as_ref().ok()?.as_ref().clone())).collect();
    if known.is_empty() {
        return Ok(None);
    }
    let joined = Explanation::join(known)?;
    Ok(Some(joined.report_row(row)))
}
