//! One row of a model under examination: its features, and what the model says where some of them are taken out. The target is
//! that of the clean row.

use std::sync::Arc;

use exegesis_attribute::{Part, Score, Task};
use exegesis_graph::Tensor;
use exegesis_metrics::{Answer, Features, Modality, Operator};
use exegesis_perturb as perturb;
use exegesis_perturb::random::RowKey;
use exegesis_perturb::{Coalition, Imputer, Places};
use rustc_hash::FxHashMap;

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

/// Rows of noise that a score is averaged over.
const NOISE_DRAWS: usize = 4;

/// Asks the model about the rows of an input, one after the other.
pub(crate) struct Probe<'a> {
    explainer: &'a Explainer,
    scorer: Scorer<'a>,
    task: Task,
    surroundings: &'a Surroundings,
    row: Option<Row>,
    /// Stands for the row in random numbers.
    key: RowKey,
}

/// The row at hand.
struct Row {
    features: Features,
    /// Where cells are, per explained input; none of texts.
    places: Vec<Places>,
    tokens: Option<Tokens>,
    imputers: FxHashMap<Operator, Imputer>,
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
        let mut probe = Probe { explainer: self, scorer, task: explained.task, surroundings, row: None, key };
        body(&mut probe)
    }
}

impl Probe<'_> {
    /// Rows that can be asked about.
    pub fn rows(&self) -> usize {
        self.scorer.rows()
    }

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
                Row { features, places: vec![], tokens: Some(tokens), imputers: FxHashMap::default() }
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
                let places = chosen.seen.into_iter().map(|seen| seen.places).collect();
                Row { features, places, tokens: None, imputers: FxHashMap::default() }
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

    /// Where the cells of each explained input are; none of texts.
    pub fn places(&self) -> &[Places] {
        self.row.as_ref().map_or(&[], |row| &row.places)
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
            Operator::Noise => NOISE_DRAWS,
            _ => 1,
        }
    }

    /// Answers where only the features in each of `keep` are there.
    ///
    /// # Errors
    /// An operator that is not for this kind of data; a run that fails.
    pub fn masked(&mut self, operator: Operator, keep: &[Coalition]) -> Result<Vec<Answer>> {
        let row = self.row.as_mut().ok_or_else(|| Error::usage("no row is chosen."))?;
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
        if !row.imputers.contains_key(&operator) {
            let made = imputer(operator, row, &self.scorer, self.surroundings, self.key)?;
            row.imputers.insert(operator, made);
        }
        let row = self.row.as_ref().ok_or_else(|| Error::usage("no row is chosen."))?;
        let imputer = row.imputers.get(&operator).ok_or_else(|| Error::usage("no operator is chosen."))?;
        let batch = imputer
            .impute(self.scorer.own(), &row.features.players, keep)
            .map_err(|e| Error::usage(format!("{e}.")))?;
        let per = imputer.rows_per_coalition();
        let scores = self.scorer.predict(&batch).map_err(|e| self.scorer.error(e))?;
        Ok(self.answers(&scores, per))
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

/// What stands in, by operator.
fn imputer(
    operator: Operator,
    row: &Row,
    scorer: &Scorer<'_>,
    surroundings: &Surroundings,
    key: RowKey,
) -> Result<Imputer> {
    let refused = |what: &str| {
        Err(Error::usage(format!(
            "the operator {} is for {what}. Choose another with --operator.",
            operator.name()
        )))
    };
    if let Some(tokens) = &row.tokens {
        let ids = scorer.inputs().special_ids();
        let id = match operator {
            Operator::Mask => ids.and_then(|ids| ids.mask),
            Operator::Zero => Some(0),
            _ => return refused("other data than texts"),
        };
        let Some(id) = id else {
            return refused("models whose tokenizer has a mask token");
        };
        let reference = |(name, own): &(String, Tensor)| match *name == tokens.input {
            true => Ok(Tensor::from_f64(own.dtype(), own.shape().to_vec(), vec![id as f64; own.len()])?),
            false => Ok(own.clone()),
        };
        return Ok(Imputer::Reference(scorer.own().iter().map(reference).collect::<Result<_>>()?));
    }
    let mut references = vec![];
    for (index, (name, own)) in scorer.own().iter().enumerate() {
        let values = numbers(own);
        let places = &row.places[index];
        let is_placed = matches!(row.features.modality, Modality::Image | Modality::Series);
        let made = match operator {
            Operator::Zero => vec![0.0; values.len()],
            Operator::Mean => {
                let data = surroundings.rows.as_ref().and_then(|rows| rows.get(name));
                column_means(data.map(|input| &input.tensor), &values, places)
            }
            Operator::Noise if is_placed => {
                perturb::fill::noise(&values, places, NOISE_DRAWS, key, "noise operator")
            }
            Operator::Blur if is_placed => super::imputer::blurred(&values, places),
            _ => return refused("another kind of data"),
        };
        let mut shape = own.shape().to_vec();
        shape[0] = made.len() / values.len().max(1);
        references.push(Tensor::from_f64(own.dtype(), shape, made)?);
    }
    Ok(match references.first().and_then(|t| t.shape().first()) {
        Some(1) => Imputer::Reference(references),
        _ => Imputer::Rows(references),
    })
}

/// Per cell the mean of its channel over all rows of the data, else over the row itself; of tables a channel is a column.
fn column_means(data: Option<&Tensor>, own: &[f64], places: &Places) -> Vec<f64> {
    let all = data.map_or_else(|| own.to_vec(), numbers);
    let mut sums = vec![(0.0, 0usize); places.channels().max(1)];
    for (cell, value) in all.iter().enumerate() {
        let sum = &mut sums[places.channel(cell % own.len().max(1))];
        sum.0 += value;
        sum.1 += 1;
    }
    (0..own.len())
        .map(|cell| sums[places.channel(cell)])
        .map(|(sum, count)| sum / count.max(1) as f64)
        .collect()
}
