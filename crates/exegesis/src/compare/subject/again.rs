//! Methods that are asked again: at other rows, for other classes, with other seeds, for altered models.

use std::cell::OnceCell;
use std::sync::Arc;

use exegesis_attribute::{Target, Task};
use exegesis_graph::Tensor;
use exegesis_metrics::{Features, Randomisation};
use exegesis_perturb::FROZEN;
use rustc_hash::FxHashMap;

use super::graphs::{Layer, variants};
use super::{graphs, parameters};
use crate::compare::contestant::map_of;
use crate::compare::data::Sample;
use crate::explainer::Surroundings;
use crate::explainer::again::{Aim, Change, TARGET, shifted};
use crate::{Error, ErrorKind, Explainer, Explanation, Inputs, Model, Result};

/// Bytes of altered models that are kept at a time.
const KEPT_BYTES: usize = 256 << 20;

/// Most altered models that are kept at a time.
const KEPT: usize = 12;

/// What is not as it was when the clean maps were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Altered {
    /// Nothing but the rows or the class.
    Nothing,
    /// The seed.
    Seed(u64),
    /// Parameters of the model.
    Parameters(Randomisation),
    /// The model takes a number away from its inputs first (its bits); what the input is compared with moves along or not.
    Shift(u64, bool),
    /// The graph, by the number of the variant.
    Graph(usize),
}

/// The methods of a comparison, and what is known of them beyond their clean maps.
pub(in crate::compare) struct Again<'c> {
    /// The methods, as metrics count them.
    methods: Vec<&'c Explainer>,
    /// Their clean maps of the chunk at hand; `None` of those that it refuses.
    clean: Vec<Option<Arc<Explanation>>>,
    /// Programs for what was asked last.
    explainers: Vec<((usize, Altered, Aim), Explainer)>,
    /// Maps of the whole chunk: what depends on no sample is done for all of them at once.
    runs: FxHashMap<(usize, Altered), Explanation>,
    /// Per input the width of the range of the data: one number, or one per column.
    widths: OnceCell<Vec<(String, Vec<f64>)>>,
    /// Layers with parameters, from the output down.
    layers: Option<Vec<Layer>>,
    /// The same function as another graph.
    variants: Option<Vec<(String, Model)>>,
}

impl<'c> Again<'c> {
    /// Of methods.
    pub(in crate::compare) fn new(methods: Vec<&'c Explainer>) -> Self {
        Self {
            methods,
            clean: vec![],
            explainers: vec![],
            runs: FxHashMap::default(),
            widths: OnceCell::new(),
            layers: None,
            variants: None,
        }
    }

    /// Turns to the samples of a chunk, with their clean maps.
    pub(in crate::compare) fn turn_to(&mut self, clean: Vec<Option<Arc<Explanation>>>) {
        self.clean = clean;
        self.runs.clear();
    }

    /// Per input of numbers the width of the range of the data around the samples: of each column, or of all cells.
    pub(super) fn widths(&self, surroundings: &Surroundings, by_column: bool) -> &[(String, Vec<f64>)] {
        self.widths.get_or_init(|| {
            let rows = surroundings.rows.as_ref().into_iter().flat_map(Inputs::entries);
            let floats = rows.filter(|input| input.tensor.dtype().is_float());
            floats.map(|input| (input.name.clone(), widths(&input.tensor, by_column))).collect()
        })
    }

    /// Value and importance of each feature of a row, of methods that fitted SLALOM.
    ///
    /// # Errors
    /// A surrogate with more to it, or over other tokens.
    pub(super) fn slalom(
        &self,
        method: usize,
        row: usize,
        features: &Features,
    ) -> Result<Option<(Vec<f64>, Vec<f64>)>> {
        let clean = self.clean(method)?;
        let evidence = clean.methods.first().and_then(|m| m.evidence.get(row));
        let Some(found) = evidence.and_then(|e| e.slalom.as_ref()) else { return Ok(None) };
        let unlike = || Error::usage("the tokens of the surrogate are not those that metrics take out.");
        if found.fitted.background.is_some() {
            return Err(Error::usage("the surrogate has a background token, which is always there."));
        }
        // The position of the first token of each feature.
        let mut first = vec![None; features.count()];
        for input in (0..).map(|i| features.players.of_cells(i)).take_while(|cells| !cells.is_empty()) {
            for (cell, feature) in input.iter().enumerate().filter(|(_, f)| **f != FROZEN) {
                first[*feature as usize].get_or_insert(cell);
            }
        }
        let (mut values, mut importances) = (vec![], vec![]);
        for at in first {
            let player = found.positions.iter().position(|of| at.is_some_and(|at| of.contains(&at)));
            let of =
                player.and_then(|p| found.fitted.type_of.get(p)).and_then(|t| found.fitted.types.get(*t));
            let of = of.ok_or_else(unlike)?;
            values.push(of.value);
            importances.push(of.importance);
        }
        Ok(Some((values, importances)))
    }

    /// The method of that number.
    ///
    /// # Errors
    /// A control.
    pub(super) fn method(&self, method: usize) -> Result<&'c Explainer> {
        self.methods
            .get(method)
            .copied()
            .ok_or_else(|| Error::usage("a control is no method that could be asked again."))
    }

    /// The clean explanation of the chunk at hand.
    ///
    /// # Errors
    /// A control.
    pub(super) fn clean(&self, method: usize) -> Result<Arc<Explanation>> {
        let known = self.clean.get(method).and_then(Option::as_ref);
        known.map(Arc::clone).ok_or_else(|| Error::usage("a control is no method that could be asked again."))
    }

    /// The class that the clean map of each row of the chunk is of; `None` where what is explained does not move with the input.
    ///
    /// # Errors
    /// A target that moves, and is no class.
    fn classes(&self, method: usize) -> Result<Option<Vec<i64>>> {
        let (explainer, clean) = (self.method(method)?, self.clean(method)?);
        if *explainer.target() != Target::ArgMax {
            return Ok(None);
        }
        match clean.task {
            Task::Binary | Task::Regression => Ok(None),
            Task::Classification | Task::MultiLabel | Task::NextToken | Task::Embedding => {
                let classes = clean.target.as_ref().and_then(Tensor::to_i64).unwrap_or_default();
                match classes.len() == clean.inputs.rows() {
                    true => Ok(Some(classes)),
                    false => Err(Error::usage("the explained class of each row is not known.")),
                }
            }
            task => Err(Error::usage(format!(
                "what is explained of a {task} model moves with its input. Give a fixed --target."
            ))),
        }
    }

    /// Layers with parameters, from the output down.
    ///
    /// # Errors
    /// A model without any.
    fn layers(&mut self) -> Result<&[Layer]> {
        if self.layers.is_none() {
            let first = self.method(0)?;
            self.layers = Some(graphs::layers(first.model().graph())?);
        }
        match self.layers.as_deref() {
            Some(layers @ [_, ..]) => Ok(layers),
            _ => Err(Error::usage("the model has no layer whose parameters could be changed.")),
        }
    }

    /// Names of the layers with parameters, from the output down.
    ///
    /// # Errors
    /// As [`Again::layers`].
    pub(super) fn layer_names(&self) -> Result<Vec<String>> {
        let known =
            self.layers.clone().map_or_else(|| graphs::layers(self.method(0)?.model().graph()), Ok)?;
        match known.is_empty() {
            true => Err(Error::usage("the model has no layer whose parameters could be changed.")),
            false => Ok(known.into_iter().map(|layer| layer.name).collect()),
        }
    }

    /// Names of the variants of the graph.
    ///
    /// # Errors
    /// A graph that can't be rewritten.
    pub(super) fn variants(&mut self) -> Result<Vec<String>> {
        if self.variants.is_none() {
            self.variants = Some(variants(self.method(0)?.model())?);
        }
        Ok(self.variants.iter().flatten().map(|(name, _)| name.clone()).collect())
    }

    fn change(&mut self, method: usize, altered: Altered, aim: Aim) -> Result<Change> {
        let model = self.method(method)?.model();
        let mut change = Change { aim, ..Change::default() };
        match altered {
            Altered::Nothing => {}
            Altered::Seed(seed) => change.seed = Some(seed),
            Altered::Parameters(how) => {
                let random = parameters::randomised(model.graph(), self.layers()?, how)?;
                change.model = Some(model.with_graph(random)?);
            }
            Altered::Shift(bits, moves_baseline) => {
                let shift = f64::from_bits(bits);
                let names: Vec<String> =
                    self.clean(method)?.methods.iter().flat_map(|m| &m.values).map(|v| v.0.clone()).collect();
                change.model = Some(model.with_graph(graphs::shifted(model.graph(), &names, shift)?)?);
                change.shift = if moves_baseline { shift } else { 0.0 };
            }
            Altered::Graph(index) => {
                self.variants()?;
                let variant = self.variants.iter().flatten().nth(index);
                change.model = variant.map(|(_, model)| model.clone());
            }
        }
        Ok(change)
    }

    /// The explainer that is asked, made where it is not known any more.
    fn explainer(&mut self, method: usize, altered: Altered, aim: Aim) -> Result<&Explainer> {
        let key = (method, altered, aim);
        let at = match self.explainers.iter().position(|(known, _)| *known == key) {
            Some(at) => at,
            None => {
                let change = self.change(method, altered, aim)?;
                let base = self.method(method)?;
                let made = base.changed(change)?;
                let bytes: usize = base
                    .model()
                    .graph()
                    .values()
                    .filter_map(|(_, v)| v.constant.as_ref())
                    .map(|t| t.len() * 4)
                    .sum();
                let most = (KEPT_BYTES / bytes.max(1)).clamp(1, KEPT);
                // What alters nothing is asked of every sample.
                let is_altered = |entry: &((usize, Altered, Aim), Explainer)| entry.0.1 != Altered::Nothing;
                while is_altered_count(&self.explainers, is_altered) >= most {
                    match self.explainers.iter().position(is_altered) {
                        Some(oldest) => drop(self.explainers.remove(oldest)),
                        None => break,
                    }
                }
                self.explainers.push((key, made));
                self.explainers.len() - 1
            }
        };
        Ok(&self.explainers[at].1)
    }

    /// Explanations of rows, each of the class in `classes` where there are some.
    ///
    /// # Errors
    /// As [`Explainer::explain`].
    pub(super) fn explained(
        &mut self,
        method: usize,
        altered: Altered,
        rows: Inputs,
        classes: Option<&[i64]>,
    ) -> Result<Explanation> {
        let takes_rows = self.method(method)?.takes_rows();
        let (aim, rows) = match classes {
            None => (Aim::Asked, rows),
            Some(classes) if takes_rows => {
                let target = Tensor::vector(classes.to_vec());
                (Aim::Given, rows.with(TARGET, target))
            }
            Some(&[class]) => (Aim::Class(usize::try_from(class).unwrap_or_default()), rows),
            Some(_) => return Err(Error::usage("the model takes one row at a time.")),
        };
        self.explainer(method, altered, aim)?.explain(&rows)
    }

    /// The map of one sample where something is altered that depends on no sample. All samples of its chunk are done at once.
    ///
    /// # Errors
    /// As [`Explainer::explain`].
    pub(super) fn of_run(
        &mut self,
        method: usize,
        altered: Altered,
        sample: &Sample,
        features: &Features,
    ) -> Result<Vec<f64>> {
        let key = (method, altered);
        if !self.runs.contains_key(&key) {
            let mut rows = self.clean(method)?.inputs.clone();
            if let Altered::Shift(bits, _) = altered {
                rows = shifted(&rows, f64::from_bits(bits))?;
            }
            let classes = self.classes(method)?;
            let mut found = self.explained(method, altered, rows, classes.as_deref())?;
            // Only the maps are asked for.
            found.inputs = Inputs::new();
            found.outputs.clear();
            self.runs.insert(key, found);
        }
        let explanation = self.runs.get(&key).ok_or_else(|| Error::usage("nothing was explained."))?;
        map_row(explanation, sample.row, features, self.method(method)?)
    }

    /// The class of the clean map of a sample, for rows that stand beside it.
    ///
    /// # Errors
    /// As [`Again::classes`].
    pub(super) fn class_of(&self, method: usize, sample: &Sample) -> Result<Option<i64>> {
        Ok(self.classes(method)?.and_then(|classes| classes.get(sample.row).copied()))
    }

    /// Number of classes and the explained one, where a class is explained.
    pub(super) fn class_range(&self, sample: &Sample) -> Option<(usize, usize)> {
        let clean = self.clean(0).ok()?;
        if !matches!(clean.task, Task::Classification | Task::MultiLabel) {
            return None;
        }
        let prediction = clean.predictions.get(sample.row)?;
        let explained = match self.method(0).ok()?.target() {
            Target::Class(class) => *class,
            _ => prediction.target_index?,
        };
        Some((prediction.scores.len(), explained))
    }
}

/// Width of the range of each column of `[rows, ...]`, or of all cells.
fn widths(tensor: &Tensor, by_column: bool) -> Vec<f64> {
    let rows = tensor.shape().first().copied().unwrap_or(1).max(1);
    let columns = if by_column { (tensor.len() / rows).max(1) } else { 1 };
    let mut bounds = vec![(f64::INFINITY, f64::NEG_INFINITY); columns];
    let mut take = |at: usize, value: f64| {
        let (low, high) = &mut bounds[at % columns];
        (*low, *high) = (low.min(value), high.max(value));
    };
    match tensor.as_f32() {
        // Pictures are many numbers: no copy of them.
        Some(values) => values.iter().enumerate().for_each(|(at, v)| take(at, f64::from(*v))),
        None => tensor.to_f64().unwrap_or_default().iter().enumerate().for_each(|(at, v)| take(at, *v)),
    }
    bounds.into_iter().map(|(low, high)| (high - low).max(0.0)).collect()
}

fn is_altered_count<T>(all: &[T], is_altered: impl Fn(&T) -> bool) -> usize {
    all.iter().filter(|entry| is_altered(entry)).count()
}

/// The values of a row over features.
pub(super) fn map_row(
    explanation: &Explanation,
    row: usize,
    features: &Features,
    explainer: &Explainer,
) -> Result<Vec<f64>> {
    let map = map_of(explanation, row, features, explainer.method())?;
    if map.values.iter().any(|v| !v.is_finite()) {
        return Err(Error::new(ErrorKind::Input, "a map has values that are not finite."));
    }
    Ok(map.values)
}
