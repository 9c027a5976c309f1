//! The same method with the same choices once more: for a changed model, with another seed, or for classes that are given row by
//! row.

use std::sync::Mutex;

use exegesis_attribute::{Baseline, Target};
use exegesis_graph::{DType, Graph, Tensor, passes};
use exegesis_runtime::{LoadOptions, Port};

use super::signature::{Signature, batch_symbol};
use super::{EVALUATOR, Explainer, seeds};
use crate::inputs::slice_rows;
use crate::{Error, Inputs, Model, Result};

/// Name of the input that gives the class of each row.
pub(crate) const TARGET: &str = "target";

/// Which class a changed explainer explains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Aim {
    /// The target as it was asked for.
    #[default]
    Asked,
    /// The class that the input `target` gives for each row.
    Given,
    /// One class.
    Class(usize),
}

/// What differs from the explainer that is changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Change {
    /// Another model of the same inputs and outputs.
    pub model: Option<Model>,
    /// Which class is explained.
    pub aim: Aim,
    /// Another seed.
    pub seed: Option<u64>,
    /// How far what the input is compared with, and its bounds, move along with the input.
    pub shift: f64,
}

impl Explainer {
    /// The same method with the same choices but for `change`.
    ///
    /// # Errors
    /// A model that has an input of the name that classes are given by.
    pub(crate) fn changed(&self, change: Change) -> Result<Self> {
        let model = change.model.unwrap_or_else(|| self.model.clone());
        let mut request = self.request.clone();
        let mut settings = self.settings.clone();
        settings.seed = change.seed.unwrap_or(settings.seed);
        let mut references = self.references.clone();
        if change.shift != 0.0 {
            request.baseline = match request.baseline {
                Baseline::Zeros => Baseline::Number(change.shift),
                Baseline::Number(number) => Baseline::Number(number + change.shift),
                own @ (Baseline::Mean | Baseline::Blur | Baseline::Input) => own,
            };
            for bounds in request.bounds.iter_mut().flatten() {
                *bounds = (bounds.0 + change.shift, bounds.1 + change.shift);
            }
            references = references.map(|rows| shifted(&rows, change.shift)).transpose()?;
        }
        let mut ports = seeds::ports(&model, &request)?;
        match change.aim {
            Aim::Asked => {}
            Aim::Class(class) => request.target = Target::Class(class),
            Aim::Given => {
                if model.inputs().iter().any(|port| port.name == TARGET) {
                    return Err(Error::usage(format!(
                        "the model has an input called \"{TARGET}\", so that classes can't be given row by row."
                    )));
                }
                request.target = Target::Input;
                let shape = batch_symbol(&ports).map(|symbol| [symbol.clone()].into_iter().collect());
                ports.push(Port { name: TARGET.to_string(), dtype: DType::I64, shape, optional: false });
            }
        }
        let runtime = model.runtime(settings.runtime.open()?, settings.batch);
        Ok(Self {
            model,
            method: self.method.clone(),
            request,
            runtime,
            settings,
            ports,
            references,
            programs: Mutex::default(),
        })
    }

    /// # Errors
    /// A class that the output does not have, as far as `count` or the model's declaration says how many it has.
    pub(super) fn check_given_target(&self, inputs: &Inputs, count: Option<usize>) -> Result<()> {
        let Some(classes) = self.given_target(inputs).and_then(Tensor::as_i64) else { return Ok(()) };
        let name = self.request.output.as_ref();
        let output = self.model.outputs().iter().find(|port| name.is_none_or(|name| *name == port.name));
        let declared = || match output?.shape.as_deref()? {
            [_, count] | [_, _, count] => count.fixed(),
            _ => None,
        };
        let count = count.or_else(declared);
        let fits = |class: i64| usize::try_from(class).is_ok_and(|class| count.is_none_or(|n| class < n));
        let Some(row) = classes.iter().position(|class| !fits(*class)) else { return Ok(()) };
        let known =
            count.map_or_else(String::new, |n| format!(", which has classes 0 to {}", n.saturating_sub(1)));
        Err(Error::usage(format!(
            "the target {} of row {row} is outside output \"{}\"{known}. Give one of them.",
            classes.get(row).copied().unwrap_or_default(),
            output.map(|port| port.name.as_str()).unwrap_or_default()
        )))
    }

    /// The class of each row, where `inputs` give one.
    pub(super) fn given_target<'i>(&self, inputs: &'i Inputs) -> Option<&'i Tensor> {
        let is_given = self.request.target == Target::Input;
        inputs.get(TARGET).map(|input| &input.tensor).filter(|_| is_given)
    }

    /// The inputs of the model itself, if a target is among `inputs`.
    pub(super) fn without_target(&self, inputs: &Inputs) -> Option<Inputs> {
        self.given_target(inputs)?;
        let mut own = inputs.clone();
        own.retain(|name| name != TARGET);
        Some(own)
    }

    /// The target that was asked for.
    pub(crate) fn target(&self) -> &Target {
        &self.request.target
    }

    /// True if the model takes any number of rows, which may have a class each.
    pub(crate) fn takes_rows(&self) -> bool {
        batch_symbol(&self.ports).is_some()
    }

    /// The values of the graph's value `name`, a hidden one, on `inputs`.
    ///
    /// # Errors
    /// A model that can't be run on them.
    pub(crate) fn hidden(&self, name: &str, inputs: &Inputs) -> Result<Tensor> {
        let mut graph: Graph = self.model.graph().clone();
        let value = graph
            .find_value(name)
            .ok_or_else(|| Error::usage(format!("the model has no value \"{name}\".")))?;
        graph.outputs = vec![value];
        let signature =
            Signature::of(self.model.inputs(), inputs, &self.request.explain)?.with_rows_of(inputs);
        signature.apply(&mut graph)?;
        passes::prepare(&mut graph, &EVALUATOR, &mut |_, _| {})?;
        passes::expand::expand(&mut graph, &|_| true)?;
        let used: Vec<String> = graph.inputs.iter().map(|id| graph.value(*id).name.clone()).collect();
        let output = graph.outputs.first().map(|id| graph.value(*id).name.clone()).unwrap_or_default();
        let options = LoadOptions { threads: self.settings.threads, ..LoadOptions::default() };
        let program = self.runtime.load(graph, &options)?;
        let pairs: Vec<(&str, &Tensor)> =
            inputs.pairs().into_iter().filter(|(name, _)| used.iter().any(|u| u == name)).collect();
        let found = program.run(&pairs, &[output.as_str()])?.into_iter().next();
        found.ok_or_else(|| Error::input("the model gave nothing."))
    }
}

/// Rows with a number added to everything that is not a whole number.
pub(crate) fn shifted(rows: &Inputs, shift: f64) -> Result<Inputs> {
    let mut all = rows.clone();
    all.map(|_, tensor| match tensor.dtype().is_float() {
        true => {
            let values = tensor.to_f64().unwrap_or_default().into_iter().map(|v| v + shift).collect();
            Ok(Tensor::from_f64(tensor.dtype(), tensor.shape().to_vec(), values)?)
        }
        false => Ok(tensor.clone()),
    })?;
    Ok(all)
}

/// Row `row` of `rows` rows of `inputs`, as often as there are tensors for the changed inputs to stand beside it.
///
/// # Errors
/// None for rows that there are.
pub(crate) fn beside(inputs: &Inputs, row: usize, changed: &[(String, Tensor)]) -> Result<Inputs> {
    let rows = inputs.rows();
    let count = changed.first().and_then(|(_, t)| t.shape().first()).copied().unwrap_or(1);
    let key = inputs.row_key(row);
    let mut all = inputs.clone();
    all.map(|name, tensor| match changed.iter().find(|(n, _)| n == name) {
        Some((_, given)) => Ok(given.clone()),
        None if tensor.shape().first() == Some(&rows) => {
            let one = slice_rows(tensor, row..row + 1)?;
            crate::inputs::take_rows(&one, &vec![0; count])
        }
        None => Ok(tensor.clone()),
    })?;
    all.repeat_views(row, count);
    Ok(all.with_row_keys(vec![key; count]))
}
