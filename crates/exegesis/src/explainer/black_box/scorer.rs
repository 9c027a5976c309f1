//! The score of the frozen target on changed rows.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use exegesis_attribute::{PLACE, Request, explained_inputs};
use exegesis_graph::{DType, Tensor};
use exegesis_perturb as perturb;
use exegesis_runtime::Port;

use super::tokens::Tokens;
use crate::explainer::again::TARGET;
use crate::explainer::compiled::Compiled;
use crate::explainer::signature::Signature;
use crate::explainer::{Explainer, Settings, batches, seeds};
use crate::inputs::{slice_rows, take_rows};
use crate::{Error, ErrorKind, Inputs, Result};

/// Bytes of values that a batch may make before more rows at once are no faster: about what a cache holds.
const LIGHT_BYTES: u64 = 8 << 20;

/// Runs the score program of one explainer, row after row.
pub(super) struct Scorer<'a> {
    explainer: &'a Explainer,
    request: Request,
    inputs: &'a Inputs,
    /// Target and seed of the clean run, with rows in front.
    target: Option<&'a Tensor>,
    seed: Option<&'a Tensor>,
    /// Names of the explained inputs, and whether they hold token ids.
    names: Vec<(String, bool)>,
    /// True if rows may be put together at will; else the input as a whole is explained as one row.
    splits: bool,
    rows: usize,
    /// The row at hand.
    row: usize,
    own: Vec<(String, Tensor)>,
    /// A program for any sizes; `None` if the model has to be put together for each.
    open: Option<Arc<Compiled>>,
    last: Option<Arc<Compiled>>,
    compile_seconds: f64,
    /// Seconds in the model.
    model_seconds: f64,
    /// Why a run failed, as the user should hear it.
    failure: Option<Error>,
}

impl<'a> Scorer<'a> {
    /// For the rows of `inputs`, with the target of the clean run.
    ///
    /// # Errors
    /// A model whose rows can't be told apart, given several.
    pub fn new(
        explainer: &'a Explainer,
        request: Request,
        inputs: &'a Inputs,
        (clean, results): (&'a Compiled, &'a [(String, Tensor)]),
    ) -> Result<Self> {
        let explained = clean.explained();
        let get = |name: &Option<String>| {
            let name = name.as_deref()?;
            results.iter().find(|(n, _)| n == name).map(|(_, t)| t)
        };
        let names: Vec<(String, bool)> =
            explained_inputs(explainer.model.graph(), &explainer.request.explain)?
                .into_iter()
                .filter(|input| inputs.get(&input.name).is_some())
                .map(|input| (input.name, input.is_tokens))
                .collect();
        let splits = batches::splits(clean, &explainer.ports, inputs) && !explained.rows_mix;
        let given = batches::rows(inputs);
        if !splits && !explained.rows_mix && given > 1 {
            return Err(Error::input(format!(
                "the {given} rows of this input can't be told apart by the model. Give one row at a time with --row N."
            )));
        }
        let mut scorer = Self {
            explainer,
            request,
            inputs,
            target: get(&explained.target_output).or_else(|| get(&Some(TARGET.to_string()))),
            seed: get(&explained.seed_output),
            names,
            splits,
            rows: if splits { given } else { 1 },
            row: 0,
            own: vec![],
            open: None,
            last: None,
            compile_seconds: 0.0,
            model_seconds: 0.0,
            failure: None,
        };
        if splits {
            let (model, ports) = (&explainer.model, &explainer.ports);
            let signature = Signature::open(model.inputs(), inputs, &explainer.request.explain)?;
            // Models that compute with their sizes have to be put together for each.
            if let Ok((program, seconds)) = explainer.program_of(&scorer.request, ports, inputs, signature)
                && program.signature().any_rows()
            {
                scorer.open = Some(program);
                scorer.compile_seconds += seconds;
            }
        }
        Ok(scorer)
    }

    /// True if rows may be put together at will.
    pub fn splits(&self) -> bool {
        self.splits
    }

    /// Rows that are explained one by one.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Rows of the given inputs that `count` explained ones are.
    pub fn given_rows(&self, count: usize) -> usize {
        if self.splits { count } else { batches::rows(self.inputs) }
    }

    /// Names of the explained inputs, and whether they hold token ids.
    pub fn names(&self) -> &[(String, bool)] {
        &self.names
    }

    /// The explained inputs of the row at hand, each `[1, ...]`.
    pub fn own(&self) -> &[(String, Tensor)] {
        &self.own
    }

    /// The row at hand of any input, `[1, ...]`.
    pub fn own_input(&self, name: &str) -> Option<Tensor> {
        let tensor = &self.inputs.get(name)?.tensor;
        if self.splits { slice_rows(tensor, self.row..self.row + 1).ok() } else { Some(tensor.clone()) }
    }

    /// The inputs as they were given.
    pub fn inputs(&self) -> &Inputs {
        self.inputs
    }

    /// The program that ran last.
    pub fn program(&self) -> Option<Arc<Compiled>> {
        self.last.clone().or_else(|| self.open.clone())
    }

    /// Seconds that putting programs together took.
    pub fn compile_seconds(&self) -> f64 {
        self.compile_seconds
    }

    /// Seconds that the model took.
    pub fn model_seconds(&self) -> f64 {
        self.model_seconds
    }

    /// Turns to a row.
    ///
    /// # Errors
    /// None for rows below [`Scorer::rows`].
    pub fn start(&mut self, row: usize) -> Result<()> {
        self.row = row;
        self.own.clear();
        for (name, _) in &self.names {
            let Some(input) = self.inputs.get(name) else { continue };
            let tensor = match self.splits {
                true => slice_rows(&input.tensor, row..row + 1)?,
                false => {
                    let mut shape = vec![1];
                    shape.extend(input.tensor.shape());
                    Tensor::new(shape, input.tensor.data().clone())?
                }
            };
            self.own.push((name.clone(), tensor));
        }
        Ok(())
    }

    /// What the user should hear of an error of the method or of the predictor.
    pub fn error(&mut self, error: perturb::Error) -> Error {
        match (self.failure.take(), error) {
            (Some(failure), _) => failure,
            (None, error @ perturb::Error::Predictor(_)) => Error::input(format!("{error}.")),
            (None, error @ (perturb::Error::Stopped | perturb::Error::StoppedShort { .. })) => {
                Error::new(ErrorKind::Other, format!("{error}. Let it run longer, or ask for less."))
            }
            (None, error) => Error::usage(format!("{error}.")),
        }
    }

    /// Numbers per row: 1, or 3 where all forms of the score are asked for.
    fn forms(&self) -> usize {
        if self.request.all_forms { 3 } else { 1 }
    }

    /// Scores of rows that differ from the row at hand in the explained inputs only; where all forms of the score are asked
    /// for, those of a row one after the other.
    ///
    /// # Errors
    /// A run that fails; [`Scorer::error`] knows why.
    pub fn predict(&mut self, batch: &[(String, Tensor)]) -> perturb::Result<Vec<f64>> {
        let rows = batch.first().and_then(|(_, t)| t.shape().first()).copied().unwrap_or(0);
        let result = match self.splits {
            true => self.predict_together(batch, rows),
            false => (0..rows).try_fold(vec![], |mut all, row| {
                all.extend(self.predict_alone(batch, row)?);
                Ok(all)
            }),
        };
        self.noted(result)
    }

    /// Scores of sequences made of positions of the text at hand, each with what always stays around it.
    ///
    /// # Errors
    /// As [`Scorer::predict`].
    pub fn sequences(&mut self, tokens: &Tokens, list: &[Vec<usize>]) -> perturb::Result<Vec<f64>> {
        let result = self.sequences_by_length(tokens, list);
        self.noted(result)
    }

    fn noted<T>(&mut self, result: Result<T>) -> perturb::Result<T> {
        result.map_err(|error| {
            let text = error.to_string();
            self.failure = Some(error);
            perturb::Error::Failed(text)
        })
    }

    fn sequences_by_length(&mut self, tokens: &Tokens, list: &[Vec<usize>]) -> Result<Vec<f64>> {
        let full: Vec<Vec<usize>> = list.iter().map(|s| tokens.around(s)).collect();
        let mut lengths: Vec<usize> = full.iter().map(Vec::len).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let forms = self.forms();
        let mut scores = vec![0.0; list.len() * forms];
        for length in lengths {
            let members: Vec<usize> = (0..full.len()).filter(|i| full[*i].len() == length).collect();
            // Models whose rows can't be told apart take one text at a time.
            for members in members.chunks(if self.splits { members.len().max(1) } else { 1 }) {
                let sequences: Vec<&[usize]> = members.iter().map(|i| full[*i].as_slice()).collect();
                let inputs = tokens.inputs(self, &sequences)?;
                let found = self.run(inputs, sequences.len())?;
                for (member, own) in members.iter().zip(found.chunks(forms)) {
                    scores[member * forms..member * forms + own.len()].copy_from_slice(own);
                }
            }
        }
        Ok(scores)
    }

    fn predict_together(&mut self, batch: &[(String, Tensor)], rows: usize) -> Result<Vec<f64>> {
        let mut inputs = Inputs::new();
        for input in self.inputs.entries() {
            let changed = batch.iter().find(|(name, _)| *name == input.name);
            let tensor = match changed {
                Some((_, tensor)) => tensor.clone(),
                None => self.repeated(&input.tensor, rows)?,
            };
            inputs = inputs.with(&input.name, tensor);
        }
        self.run(inputs, rows)
    }

    fn predict_alone(&mut self, batch: &[(String, Tensor)], row: usize) -> Result<Vec<f64>> {
        let mut inputs = Inputs::new();
        for input in self.inputs.entries() {
            let tensor = match batch.iter().find(|(name, _)| *name == input.name) {
                Some((_, tensor)) => {
                    let one = slice_rows(tensor, row..row + 1)?;
                    Tensor::new(input.tensor.shape().to_vec(), one.data().clone())?
                }
                None => input.tensor.clone(),
            };
            inputs = inputs.with(&input.name, tensor);
        }
        let forms = self.forms();
        let mut sums = vec![0.0; forms];
        for scores in self.run(inputs, 1)?.chunks(forms) {
            sums.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score);
        }
        Ok(sums)
    }

    /// The number of the row at hand.
    pub fn row(&self) -> usize {
        self.row
    }

    /// The row at hand of an input, as often as asked.
    pub fn repeated(&self, tensor: &Tensor, rows: usize) -> Result<Tensor> {
        match tensor.shape().first() {
            Some(first) if *first == batches::rows(self.inputs) => take_rows(tensor, &vec![self.row; rows]),
            _ => Ok(tensor.clone()),
        }
    }

    /// Runs the program on changed inputs of the model.
    fn run(&mut self, own: Inputs, rows: usize) -> Result<Vec<f64>> {
        // Programs for several rows take no single one.
        if rows == 1 && self.open.is_some() {
            let mut twice = Inputs::new();
            for input in own.entries() {
                let leads = input.tensor.shape().first() == Some(&1);
                let tensor = if leads { take_rows(&input.tensor, &[0, 0])? } else { input.tensor.clone() };
                twice = twice.with(&input.name, tensor);
            }
            return Ok(self.run(twice, 2)?.into_iter().take(self.forms()).collect());
        }
        let program = match &self.open {
            Some(program) => Arc::clone(program),
            None => {
                let (program, seconds) =
                    self.explainer.program(&self.request, self.explainer.model.inputs(), &own)?;
                self.compile_seconds += seconds;
                program
            }
        };
        let ports = seeds::of_program(&program);
        let full = self.with_target(&program, own, rows)?;
        let name = program.explained().point_score_output.clone().ok_or_else(|| {
            Error::input(
                "the rows of the model's output can't be told apart, so that it can't be asked row by row. \
                          Choose another --output-name or a white-box method.",
            )
        })?;
        let settings = self.settings(&program, &ports, &full, rows);
        let started = Instant::now();
        let results = batches::run(&program, &ports, &full, &settings, &mut |_, _| {})?;
        self.model_seconds += started.elapsed().as_secs_f64();
        self.last = Some(program);
        let scores = results.into_iter().find(|(n, _)| *n == name).and_then(|(_, t)| t.to_f64());
        Ok(scores.unwrap_or_default())
    }

    /// Settings with larger batches where rows are light, so that starting a run costs nothing beside it. A run that the user
    /// stops ends between questions, where what is known becomes the result, not within one.
    fn settings(&self, program: &Compiled, ports: &[Port], inputs: &Inputs, rows: usize) -> Settings {
        let given = Settings { stop: None, ..self.explainer.settings.clone() };
        if given.batch.is_some() || rows <= batches::DEFAULT_ROWS {
            return given;
        }
        let (two, four) = (program.peak(inputs, 2), program.peak(inputs, 4));
        let per_row = four.activations.saturating_sub(two.activations) / 2;
        let light = usize::try_from(LIGHT_BYTES / per_row.max(1)).unwrap_or(rows).min(rows);
        let batch = NonZeroUsize::new(light).filter(|n| n.get() > batches::DEFAULT_ROWS);
        let wide = Settings { batch, ..given.clone() };
        match batch.is_some() && batches::check_budget(program, ports, inputs, light, &wide).is_ok() {
            true => wide,
            false => given,
        }
    }

    /// With the target or seed that the program reads.
    fn with_target(&self, program: &Compiled, own: Inputs, rows: usize) -> Result<Inputs> {
        let mut inputs = own;
        for Port { name, dtype, .. } in seeds::of_program(program) {
            if self.explainer.model.inputs().iter().any(|p| p.name == name) {
                continue;
            }
            let given = match name.as_str() {
                name if name.starts_with("target") => self.target,
                name if name.starts_with("seed/") => self.seed,
                _ => None,
            };
            let tensor = match given {
                Some(tensor) if self.splits => take_rows(tensor, &vec![self.row; rows])?,
                Some(tensor) => tensor.clone(),
                None if name.starts_with(PLACE) => Tensor::from_f64(dtype, vec![rows], vec![1.0; rows])?,
                None => {
                    return Err(Error::input(format!(
                        "nothing is known of the input \"{name}\" of the program."
                    )));
                }
            };
            inputs = inputs.with(name, tensor);
        }
        Ok(inputs)
    }
}

/// The numbers of a tensor.
pub(super) fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_f64().unwrap_or_default()
}

/// A tensor of ids.
pub(super) fn ids(dtype: DType, shape: Vec<usize>, values: Vec<f64>) -> Result<Tensor> {
    Ok(Tensor::from_f64(dtype, shape, values)?)
}
