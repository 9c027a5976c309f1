//! One row of a model under examination: its features, and what the model says where some of them are taken out. The target is
//! that of the clean row.
//!
//! * `operators`: what stands in for what is taken out.
//! * `moves`: changed rows that are no masks.

mod moves;
mod operators;

use std::sync::Arc;

use exegesis_attribute::{Part, Score, Task};
use exegesis_graph::Tensor;
use exegesis_metrics::operator::{Solver, impute};
use exegesis_metrics::{Answer, Features, Modality, Operator};
use exegesis_perturb as perturb;
use exegesis_perturb::random::{RowKey, Stream};
use exegesis_perturb::{Coalition, FROZEN, Places};
use rustc_hash::FxHashMap;

use operators::{Made, NOISE_DRAWS};

use super::players::{self, Kind};
use super::scorer::{Scorer, numbers};
use super::tokens::Tokens;
use crate::explainer::{Explainer, batches};
use crate::{Error, Inputs, Result};

/// What stands around a row: the data that it is one of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// Rows to take means, medians and draws from.
    pub rows: Option<Inputs>,
}

/// Deviation of the noise on imputed pixels, in the model's normalised space.
const IMPUTED_NOISE: f64 = 0.01;

impl Surroundings {
    /// Rows of the data that scores are averaged over.
    fn background_rows(&self) -> usize {
        self.rows.as_ref().map_or(1, Inputs::rows).min(operators::BACKGROUND_ROWS)
    }
}

/// Asks the model about the rows of an input, one after the other.
pub(crate) struct Probe<'a> {
    explainer: &'a Explainer,
    scorer: Scorer<'a>,
    task: Task,
    surroundings: &'a Surroundings,
    row: Option<Row>,
    /// Stands for the row in random numbers.
    key: RowKey,
    /// Of regression the spread of the output, once it is known.
    deviation: Option<f64>,
}

/// The row at hand.
struct Row {
    features: Features,
    /// Where cells are, per explained input; none of texts.
    places: Vec<Places>,
    tokens: Option<Tokens>,
    /// Red, green and blue of each place of a picture.
    colours: Option<Vec<[f64; 3]>>,
    made: FxHashMap<Operator, Made>,
}

impl Explainer {
    /// Runs the model on `inputs`, which fixes the targets, and hands `body` what asks it about changed rows.
    ///
    /// # Errors
    /// As [`Explainer::explain`], and those of `body`.
    pub(crate) fn probe<T>(
        &self,
        inputs: &Inputs,
        surroundings: &Surroundings,
        body: impl FnOnce(&mut Probe<'_>) -> Result<T>,
    ) -> Result<T> {
        let (clean, _) = self.program(&self.request, &self.ports, inputs)?;
        let results = batches::run(&clean, &self.ports, inputs, &self.settings, &mut |_, _| {})?;
        let explained = clean.explained();
        if let Some((_, prediction)) = results.iter().find(|(name, _)| *name == explained.output) {
            self.check_prediction(&explained.output, prediction)?;
        }
        let mut request = self.request.frozen(explained, Part::Score);
        request.score = Score::Logit;
        request.all_forms = true;
        let clean: Arc<_> = Arc::clone(&clean);
        let scorer = Scorer::new(self, request, inputs, (&clean, &results))?;
        let key = RowKey { seed: self.settings.seed, row: 0 };
        let task = explained.task;
        let mut probe =
            Probe { explainer: self, scorer, task, surroundings, row: None, key, deviation: None };
        body(&mut probe)
    }
}

impl Probe<'_> {
    /// Turns to a row, which `key` stands for in random numbers.
    ///
    /// # Errors
    /// Features that do not fit the input.
    pub fn start(&mut self, row: usize, key: RowKey) -> Result<()> {
        self.scorer.start(row)?;
        self.key = key;
        // What is taken out one by one.
        let method = perturb::Method::Occlusion(perturb::Occlusion::default());
        let is_text = !self.scorer.names().is_empty() && self.scorer.names().iter().all(|(_, is)| *is);
        self.row = Some(match is_text {
            true => {
                let tokens = Tokens::of(self.explainer, &method, &self.scorer)?;
                let players = tokens.players(&self.scorer)?;
                let features = Features { players, modality: Modality::Text, names: vec![] };
                let (tokens, made) = (Some(tokens), FxHashMap::default());
                Row { features, places: vec![], tokens, colours: None, made }
            }
            false => {
                let chosen = players::players(self.explainer, &method, &self.scorer)?;
                let modality = match chosen.seen.first().map(|seen| &seen.kind) {
                    Some(Kind::Picture(_)) => Modality::Image,
                    Some(Kind::Series) => Modality::Series,
                    Some(Kind::Tokens) => Modality::Text,
                    _ => Modality::Table,
                };
                let features = Features { players: chosen.players, modality, names: vec![] };
                let colours = match chosen.seen.as_slice() {
                    [seen] => players::colours_of(seen),
                    _ => None,
                };
                let places = chosen.seen.into_iter().map(|seen| seen.places).collect();
                Row { features, places, tokens: None, colours, made: FxHashMap::default() }
            }
        });
        Ok(())
    }

    fn at_hand(&self) -> Result<&Row> {
        self.row.as_ref().ok_or_else(|| Error::usage("no row is chosen."))
    }

    /// True if rows may be put together at will.
    pub fn splits(&self) -> bool {
        self.scorer.splits()
    }

    /// The features of the row at hand.
    ///
    /// # Errors
    /// No row was started.
    pub fn features(&self) -> Result<&Features> {
        Ok(&self.at_hand()?.features)
    }

    /// The explained inputs of the row at hand, each `[1, ...]`.
    pub fn own(&self) -> &[(String, Tensor)] {
        self.scorer.own()
    }

    /// The input that holds the text, of texts.
    pub fn token_input(&self) -> Option<String> {
        Some(self.row.as_ref()?.tokens.as_ref()?.input.clone())
    }

    /// True for texts whose tokenizer has a mask token.
    pub fn has_mask_token(&self) -> bool {
        self.scorer.inputs().special_ids().is_some_and(|ids| ids.mask.is_some())
    }

    /// Rows of the model that a question takes.
    pub fn rows_per_question(&self, operator: Operator) -> usize {
        match operator {
            Operator::Noise | Operator::Uniform => NOISE_DRAWS,
            Operator::Background => self.surroundings.background_rows(),
            _ => 1,
        }
    }

    /// Answers where only the features in each of `keep` are there.
    ///
    /// # Errors
    /// An operator that is not for this kind of data; a run that fails.
    pub fn masked(&mut self, operator: Operator, keep: &[Coalition]) -> Result<Vec<Answer>> {
        let row = self.row.as_ref().ok_or_else(|| Error::usage("no row is chosen."))?;
        if let (Operator::Delete, Some(tokens)) = (operator, &row.tokens) {
            let sequence = |keep: &Coalition| {
                let mut kept: Vec<usize> =
                    keep.members().flat_map(|p| tokens.positions[p].iter().copied()).collect();
                kept.sort_unstable();
                kept
            };
            let list: Vec<Vec<usize>> = keep.iter().map(sequence).collect();
            let scores = self.scorer.sequences(tokens, &list).map_err(|e| self.scorer.error(e))?;
            return Ok(self.answers(&scores, 1));
        }
        if operator == Operator::Impute {
            let batch = self.imputed(keep)?;
            return self.predicted(&batch);
        }
        self.make(operator)?;
        let row = self.row.as_ref().ok_or_else(|| Error::usage("no row is chosen."))?;
        let made = row.made.get(&operator).ok_or_else(|| Error::usage("no operator is chosen."))?;
        let mut batch = made
            .imputer
            .impute(self.scorer.own(), &row.features.players, keep)
            .map_err(|e| Error::usage(format!("{e}.")))?;
        if let (Some(name), Some(tokens)) = (&made.attention, &row.tokens) {
            batch.push((name.clone(), self.attention(name, tokens, keep)?));
        }
        let per = made.imputer.rows_per_coalition();
        let scores = self.scorer.predict(&batch).map_err(|e| self.scorer.error(e))?;
        Ok(self.answers(&scores, per))
    }

    /// Makes what stands in, once per row and operator.
    fn make(&mut self, operator: Operator) -> Result<()> {
        let row = self.row.as_mut().ok_or_else(|| Error::usage("no row is chosen."))?;
        if !row.made.contains_key(&operator) {
            let made = operators::made(operator, row, &self.scorer, self.surroundings, self.key)?;
            row.made.insert(operator, made);
        }
        Ok(())
    }

    /// The attention mask of the row at hand without the tokens that are taken out.
    fn attention(&self, name: &str, tokens: &Tokens, keep: &[Coalition]) -> Result<Tensor> {
        let own = self.scorer.own_input(name).ok_or_else(|| Error::input("there is no attention mask."))?;
        let values = numbers(&own);
        let mut all = Vec::with_capacity(values.len() * keep.len());
        for keep in keep {
            let mut mask = values.clone();
            let absent = (0..tokens.positions.len()).filter(|player| !keep.contains(*player));
            absent.flat_map(|player| &tokens.positions[player]).for_each(|at| mask[*at] = 0.0);
            all.extend(mask);
        }
        let mut shape = own.shape().to_vec();
        shape[0] = keep.len() * own.shape()[0].max(1);
        Ok(Tensor::from_f64(own.dtype(), shape, all)?)
    }

    /// Pictures (series) with pixels solved from those that are left, on two threads.
    fn imputed(&self, keep: &[Coalition]) -> Result<Vec<(String, Tensor)>> {
        let row = self.at_hand()?;
        if !matches!(row.features.modality, Modality::Image | Modality::Series) {
            return Err(Error::usage(
                "the operator impute is for pictures and series. Choose another with --operator.",
            ));
        }
        let mut batch = vec![];
        for (index, (name, own)) in self.scorer.own().iter().enumerate() {
            let (values, places) = (numbers(own), &row.places[index]);
            let of_cell = row.features.players.of_cells(index);
            let mut random = Stream::new(self.key, &format!("impute {name}"), 0);
            let noise: Vec<f64> = values.iter().map(|_| IMPUTED_NOISE * random.normal()).collect();
            let one = |keep: &Coalition| -> Vec<f64> {
                let is_left = |player: u32| player == FROZEN || keep.contains(player as usize);
                let mut left = vec![true; places.count()];
                of_cell.iter().enumerate().for_each(|(cell, p)| left[places.place(cell)] &= is_left(*p));
                let mut solved = impute(&values, places, &left, Solver::default());
                for (cell, value) in solved.iter_mut().enumerate() {
                    *value += if left[places.place(cell)] { 0.0 } else { noise[cell] };
                }
                solved
            };
            let half = keep.len().div_ceil(2);
            let cells: Vec<f64> = std::thread::scope(|scope| {
                let second = scope.spawn(|| keep[half..].iter().flat_map(one).collect::<Vec<f64>>());
                let mut all: Vec<f64> = keep[..half].iter().flat_map(one).collect();
                let rest = second.join().map_err(|_| Error::input("pixels could not be solved."))?;
                all.extend(rest);
                Ok::<_, Error>(all)
            })?;
            let mut shape = own.shape().to_vec();
            shape[0] = keep.len();
            batch.push((name.clone(), Tensor::from_f64(own.dtype(), shape, cells)?));
        }
        Ok(batch)
    }

    /// Answers for rows of the explained inputs, given as they stand in a batch.
    ///
    /// # Errors
    /// A run that fails.
    pub fn predicted(&mut self, batch: &[(String, Tensor)]) -> Result<Vec<Answer>> {
        let scores = self.scorer.predict(batch).map_err(|e| self.scorer.error(e))?;
        Ok(self.answers(&scores, 1))
    }

    /// From the forms of the score, averaged over `per` rows.
    fn answers(&self, scores: &[f64], per: usize) -> Vec<Answer> {
        let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
        let of = |forms: &[f64]| {
            let &[score, odds, margin] = forms else { return Answer::default() };
            match self.task {
                Task::Classification | Task::NextToken | Task::Binary | Task::MultiLabel => Answer {
                    logit: score,
                    probability: sigmoid(odds),
                    is_best: f64::from(u8::from(margin >= 0.0)),
                },
                _ => Answer { logit: score, probability: score, is_best: 1.0 },
            }
        };
        let all: Vec<Answer> = scores.chunks(3).map(of).collect();
        let mean = |part: &[Answer], get: fn(&Answer) -> f64| {
            part.iter().map(get).sum::<f64>() / part.len().max(1) as f64
        };
        let averaged = |part: &[Answer]| Answer {
            logit: mean(part, |a| a.logit),
            probability: mean(part, |a| a.probability),
            is_best: mean(part, |a| a.is_best),
        };
        all.chunks(per.max(1)).map(averaged).collect()
    }
}
