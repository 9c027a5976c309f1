//! Values that a caller holds in memory, bound to graph inputs as files are.

use ::image::DynamicImage;
use exegesis_graph::Tensor;
use exegesis_report::InputView;
use exegesis_runtime::Port;

use super::bind::{self, Bound, Piece};
use super::{Input, ReadInputs, ReadOptions, describe_ports, stack};
use crate::{Error, Remarks, Result};

/// A value for one graph input.
#[derive(Clone, Debug)]
pub enum Value {
    /// An array, batch axis first.
    Array(Tensor),
    /// An array `[rows, columns]` whose columns have names.
    Table(Tensor, Vec<String>),
    /// A picture of any size, preprocessed as the options say.
    Picture(DynamicImage),
    /// A text, read by the tokenizer of the options.
    Text(String),
}

/// A value, and the graph input that it is for; `None`: the one that it fits.
#[derive(Clone, Debug)]
pub struct Given {
    /// Name of the graph input.
    pub name: Option<String>,
    /// What is given.
    pub value: Value,
}

/// Binds `values` to a graph with the inputs `ports`, as [`super::read`] does with files. Arrays without a name go to the inputs
/// without a value in the graph's order.
///
/// # Errors
/// As [`super::read`].
pub fn bind_values(ports: &[Port], values: Vec<Given>, options: &ReadOptions) -> Result<ReadInputs> {
    let mut remarks = Remarks::default();
    let names: Vec<String> = values.iter().filter_map(|given| given.name.clone()).collect();
    if let Some(unknown) = names.iter().find(|name| !ports.iter().any(|port| port.name == **name)) {
        return Err(Error::input(format!(
            "the model has no input \"{unknown}\"; its inputs are {}. Use one of these names.",
            describe_ports(ports)
        )));
    }
    let is_free = |port: &Port| !port.optional && !names.contains(&port.name);
    let free: Vec<usize> = (0..ports.len()).filter(|i| ports.get(*i).is_some_and(is_free)).collect();
    let mut bound: Vec<Bound> = (0..ports.len()).map(|port| Bound { port, pieces: vec![] }).collect();
    let (mut texts, mut others) = (vec![], vec![]);
    for given in values {
        match given.value {
            Value::Text(text) => texts.push((None, text)),
            value => others.push((given.name, value)),
        }
    }
    if !texts.is_empty() {
        let reader = options.reader.as_ref().ok_or_else(|| {
            Error::input(
                "a text is given, but the model has no tokenizer to read it with. Give one with the model.",
            )
        })?;
        for own in reader.bind(ports, &free, &texts, &mut remarks)? {
            if let Some(target) = bound.get_mut(own.port) {
                target.pieces.extend(own.pieces);
            }
        }
    }
    let mut left = free.into_iter().filter(|i| bound.get(*i).is_some_and(|b| b.pieces.is_empty()));
    let mut left: Vec<usize> = left.by_ref().collect();
    for (name, value) in others {
        let candidates: Vec<&Port> = match &name {
            Some(name) => ports.iter().filter(|port| port.name == *name).collect(),
            None => left.iter().filter_map(|i| ports.get(*i)).collect(),
        };
        let (port, input) = match value {
            Value::Picture(picture) => {
                let port = bind::picture_port(&candidates)?;
                (port, bind::picture_input(port, &picture, options, &mut remarks)?)
            }
            Value::Array(tensor) => {
                let port = candidates.first().ok_or_else(|| left_over(ports))?;
                left.retain(|i| ports.get(*i).is_none_or(|own| own.name != port.name));
                (*port, bind::array_input(port, tensor, &mut remarks)?)
            }
            Value::Table(tensor, columns) => {
                let port = candidates.first().ok_or_else(|| left_over(ports))?;
                left.retain(|i| ports.get(*i).is_none_or(|own| own.name != port.name));
                (*port, named(bind::array_input(port, tensor, &mut remarks)?, &columns))
            }
            Value::Text(_) => continue,
        };
        let found = bound.iter_mut().find(|b| ports.get(b.port).is_some_and(|own| own.name == port.name));
        if let Some(target) = found {
            target.pieces.push(Piece { input, row_names: vec![] });
        }
    }
    bind::check_complete(ports, &bound, "by its name, or as an array in the order of the inputs")?;
    bound.retain(|b| !b.pieces.is_empty());
    let mut runs = stack::stack(ports, bound)?;
    if let Some(reader) = &options.reader {
        runs = runs.into_iter().map(|run| reader.describe(run)).collect::<Result<_>>()?;
    }
    Ok(ReadInputs { runs, remarks })
}

fn left_over(ports: &[Port]) -> Error {
    Error::input(format!(
        "there are more arrays than inputs; the model's inputs are {}. Give one array for each.",
        describe_ports(ports)
    ))
}

/// The input, drawn as a table with these columns.
fn named(mut input: Input, columns: &[String]) -> Input {
    if input.tensor.rank() == 2 && input.tensor.shape().get(1) == Some(&columns.len()) {
        let cells = input.tensor.to_f64().unwrap_or_default();
        let rows = cells.chunks(columns.len().max(1));
        input.views = rows.map(|row| InputView::columns(columns.to_vec(), row)).collect();
    }
    input
}
