//! Methods that only ask the model: a clean run gives the prediction and fixes the target, then a program that gives the
//! score of that target, and nothing else, is run on changed rows.

mod cut;
mod imputer;
mod players;
pub(crate) mod probe;
mod scorer;
mod tokens;

use std::sync::Arc;
use std::time::Instant;

use exegesis_attribute::{AttributionOutput, Explained, Part, Request, Score, Task};
use exegesis_graph::{DType, Tensor};
use exegesis_perturb as perturb;
use exegesis_perturb::random::RowKey;
use exegesis_perturb::{Control, Deleted, Evaluator, Game, Masked};

use super::again::TARGET;
use super::{Explainer, batches};
use crate::explanation::{Explanation, RowEvidence};
use crate::{Inputs, Result};
use scorer::Scorer;
use tokens::Tokens;

/// What a method found out about one row.
struct Found {
    /// Per explained input the attribution of each cell.
    values: Vec<Vec<f64>>,
    /// Further numbers per cell of an explained input, by the key that they are saved under.
    arrays: Vec<(String, Vec<f64>)>,
    total: Option<f64>,
    evidence: RowEvidence,
    warnings: Vec<String>,
    notes: Vec<String>,
    /// True if what is taken out leaves nothing behind, so that no baseline stands in for it.
    deletes: bool,
}

impl Explainer {
    /// Explains row by row.
    ///
    /// # Errors
    /// As [`Explainer::explain`].
    pub(super) fn explain_black_box(
        &self,
        method: &perturb::Method,
        inputs: &Inputs,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Explanation> {
        let (clean, mut compile_seconds) = self.program(&self.request, &self.ports, inputs)?;
        let started = Instant::now();
        let mut results = batches::run(&clean, &self.ports, inputs, &self.settings, &mut |_, _| {})?;
        let explained = clean.explained();
        if let Some((_, prediction)) = results.iter().find(|(name, _)| *name == explained.output) {
            self.check_prediction(&explained.output, prediction)?;
        }
        let scores = results.iter().find(|(name, _)| Some(name) == explained.score_output.as_ref());
        let classes = scores.and_then(|(_, scores)| scores.shape().last()).copied();
        self.check_given_target(inputs, classes.filter(|_| explained.task != Task::Segmentation))?;
        let score = match method {
            perturb::Method::Slalom(_) => Score::LogOdds,
            _ => self.request.score,
        };
        let request = Request { score, ..self.request.frozen(explained, Part::Score) };
        // A target that is given row by row is no input of the model.
        results.extend(self.given_target(inputs).map(|target| (TARGET.to_string(), target.clone())));
        let own = self.without_target(inputs);
        let inputs = own.as_ref().unwrap_or(inputs);
        let mut scorer = Scorer::new(self, request, inputs, (&clean, &results))?;
        let mut merged: Explained = explained.clone();
        let mut all: Vec<Found> = vec![];
        let rows = scorer.rows();
        for row in 0..rows {
            scorer.start(row)?;
            let mut within =
                |done: usize, total: usize| progress(row * total.max(1) + done, rows * total.max(1));
            match self.explain_row(method, &mut scorer, row, &mut within) {
                Ok(found) => {
                    let is_partial = found.evidence.is_partial;
                    all.push(found);
                    if is_partial {
                        break;
                    }
                }
                Err(_) if !all.is_empty() && self.is_stopped() => break,
                Err(error) => return Err(error),
            }
        }
        compile_seconds += scorer.compile_seconds();
        let program = scorer.program().unwrap_or_else(|| Arc::clone(&clean));
        let run_seconds = started.elapsed().as_secs_f64() - scorer.compile_seconds();
        let model_seconds = scorer.model_seconds();
        let kept = scorer.given_rows(all.len());
        let names = scorer.names().to_vec();
        if all.len() < rows {
            merged.notes.push(format!(
                "stopped by the user: {} of {rows} rows are explained, the others are left out",
                all.len()
            ));
        }
        drop(scorer);
        let inputs = inputs.leading_rows(kept, batches::rows(inputs))?;
        for (_, tensor) in &mut results {
            if all.len() < rows && tensor.shape().first() == Some(&rows) {
                *tensor = crate::inputs::slice_rows(tensor, 0..kept)?;
            }
        }
        let mut arrays: Vec<(String, Tensor)> = vec![];
        for (index, (name, is_tokens)) in names.iter().enumerate() {
            let Some(given) = inputs.get(name) else { continue };
            let shape = given.tensor.shape().to_vec();
            let cells = all.iter().flat_map(|f| f.values[index].iter().copied()).collect();
            let output = format!("attribution/{name}");
            results.push((output.clone(), Tensor::from_f64(DType::F32, shape, cells)?));
            merged.attributions.push(AttributionOutput {
                input: name.clone(),
                output,
                is_tokens: *is_tokens,
                channels: None,
            });
        }
        let keys: Vec<String> =
            all.first().map(|f| f.arrays.iter().map(|(key, _)| key.clone()).collect()).unwrap_or_default();
        for key in keys {
            let of = key.split_once('/').and_then(|(_, input)| inputs.get(input));
            let Some(given) = of else { continue };
            let cells: Vec<f64> = all
                .iter()
                .flat_map(|f| f.arrays.iter().filter(|(k, _)| *k == key).flat_map(|(_, v)| v.iter().copied()))
                .collect();
            if cells.len() == given.tensor.len() {
                arrays.push((key, Tensor::from_f64(DType::F32, given.tensor.shape().to_vec(), cells)?));
            }
        }
        let totals: Option<Vec<f64>> = all.iter().map(|f| f.total).collect();
        if let Some(totals) = totals.filter(|t| t.len() == all.len() && all.len() == kept) {
            merged.total_output = Some("exegesis/total".to_string());
            results
                .push(("exegesis/total".to_string(), Tensor::from_f64(DType::F64, vec![kept, 1], totals)?));
        }
        let base: Option<Vec<f64>> = all.iter().map(|f| f.evidence.base_value).collect();
        if let Some(base) = base.filter(|b| b.len() == kept) {
            arrays.push(("base_value".to_string(), Tensor::from_f64(DType::F64, vec![kept], base)?));
        }
        for found in &all {
            for text in &found.warnings {
                if !merged.notes.contains(text) {
                    merged.notes.push(text.clone());
                }
            }
            for text in &found.notes {
                if !merged.choices.contains(text) {
                    merged.choices.push(text.clone());
                }
            }
        }
        merged.score = score;
        let plan = program.plan(&self.model, &self.request, &inputs, &self.settings);
        let seconds = [compile_seconds, run_seconds];
        let mut explanation = self.explanation(&inputs, &merged, &program, plan, results, seconds)?;
        if let Some(result) = explanation.methods.first_mut() {
            result.arrays = arrays;
            if all.iter().any(|f| f.deletes) {
                result.parameters.retain(|(key, _)| key != "baseline");
            }
            result.evidence = all.into_iter().map(|f| f.evidence).collect();
        }
        explanation.provenance.timings.model = Some(model_seconds);
        Ok(explanation)
    }

    /// True if the user wants no more.
    fn is_stopped(&self) -> bool {
        self.settings.stop.as_ref().is_some_and(|stop| stop.load(std::sync::atomic::Ordering::Relaxed))
    }

    fn explain_row(
        &self,
        method: &perturb::Method,
        scorer: &mut Scorer<'_>,
        row: usize,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Found> {
        let key = RowKey { seed: self.settings.seed, row: scorer.inputs().row_key(row) };
        let mut control = Control { progress, stop: self.settings.stop.as_deref() };
        if let perturb::Method::Slalom(options) = method {
            let tokens = Tokens::of(self, method, scorer)?;
            let mut found = tokens::slalom(options, &tokens, scorer, &mut control, key)?;
            // Only the text has values; a decoder's ids stay as they are.
            let own = found.values.pop().unwrap_or_default();
            let of = |(name, tensor): &(String, Tensor)| match *name == tokens.input {
                true => own.clone(),
                false => vec![0.0; tensor.len()],
            };
            found.values = scorer.own().iter().map(of).collect();
            return Ok(found);
        }
        if let Some(tokens) = tokens::deleted(self, method, scorer)? {
            let (positions, may_be_empty) = (tokens.positions.clone(), tokens.may_be_empty);
            let players = tokens.players(scorer)?;
            let attribution = {
                let sequences = |list: &[Vec<usize>]| scorer.sequences(&tokens, list);
                let mut game = Deleted::new(positions, sequences, may_be_empty);
                self.play(method, &mut game, &perturb::Layout::Sequence, &mut control, key)
            };
            let attribution = attribution.map_err(|e| scorer.error(e))?;
            return Ok(Found { deletes: true, ..found(attribution, &players, scorer.names()) });
        }
        let own = scorer.own().to_vec();
        let (players, imputer, notes) = match tokens::replaced(self, method, scorer)? {
            Some(replaced) => replaced,
            None => {
                let mut chosen = players::players(self, method, scorer)?;
                let imputer = imputer::imputer(self, method, scorer, key, &mut chosen)?;
                (chosen.players, imputer, chosen.notes)
            }
        };
        let attribution = {
            let predict = |batch: &[(String, Tensor)]| scorer.predict(batch);
            let game = Masked::new(&own, &players, &imputer, predict);
            game.and_then(|mut game| self.play(method, &mut game, &players.layout, &mut control, key))
        };
        let mut attribution = attribution.map_err(|e| scorer.error(e))?;
        attribution.notes.splice(0..0, notes);
        Ok(found(attribution, &players, scorer.names()))
    }

    fn play(
        &self,
        method: &perturb::Method,
        game: &mut dyn Game,
        layout: &perturb::Layout,
        control: &mut Control<'_>,
        key: RowKey,
    ) -> perturb::Result<perturb::Attribution> {
        let mut evaluator = Evaluator::new(game, control);
        method.attribute(&mut evaluator, layout, key)
    }
}

/// From players to cells.
fn found(attribution: perturb::Attribution, players: &perturb::Players, names: &[(String, bool)]) -> Found {
    let shared = !attribution.is_per_cell;
    let spread = |values: &[f64], input: usize| players.spread(input, values, shared);
    let mut arrays = vec![];
    if let Some(errors) = &attribution.standard_errors {
        for (input, (name, _)) in names.iter().enumerate() {
            arrays.push((format!("standard_error/{name}"), spread(errors, input)));
        }
    }
    Found {
        values: (0..names.len()).map(|input| spread(&attribution.values, input)).collect(),
        arrays,
        total: attribution.total,
        evidence: RowEvidence {
            players: players.count(),
            model_rows: attribution.model_rows,
            base_value: attribution.base_value,
            r_squared: attribution.r_squared,
            largest_standard_error: attribution
                .standard_errors
                .as_ref()
                .map(|errors| errors.iter().copied().fold(0.0, f64::max)),
            is_partial: attribution.is_partial,
            slalom: None,
        },
        warnings: attribution.warnings,
        notes: attribution.notes,
        deletes: false,
    }
}
