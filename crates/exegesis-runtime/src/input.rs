//! Checks of what a caller feeds, before any runtime sees it.

use std::fmt::Write;
use std::sync::Arc;

use exegesis_graph::{DType, Data, Dim, Tensor};
use rustc_hash::FxHashMap;

use crate::{Error, Port, Result};

/// Matches `given` with `ports` by name and checks types, shapes and values.
///
/// # Errors
/// See [`crate::Program::run`].
pub(crate) fn bind<'a>(
    ports: &[Port],
    defaults: &'a [Option<Arc<Tensor>>],
    given: &[(&str, &'a Tensor)],
) -> Result<Vec<(usize, &'a Tensor)>> {
    for (i, (name, _)) in given.iter().enumerate() {
        if !ports.iter().any(|port| port.name == *name) {
            let message = format!("there is no input \"{name}\"; the graph's inputs are {}", describe(ports));
            return Err(Error::input(message));
        }
        if given.iter().take(i).any(|(other, _)| other == name) {
            return Err(Error::input(format!("input \"{name}\" is given twice")));
        }
    }
    let mut symbols: FxHashMap<&str, (usize, &str)> = FxHashMap::default();
    let mut bound = Vec::with_capacity(ports.len());
    for (i, port) in ports.iter().enumerate() {
        let fed = given.iter().find(|(name, _)| *name == port.name).map(|(_, tensor)| *tensor);
        let Some(tensor) = fed.or_else(|| defaults.get(i).and_then(Option::as_deref)) else {
            let message =
                format!("input \"{}\" is missing; the graph's inputs are {}", port.name, describe(ports));
            return Err(Error::input(message));
        };
        check_type(port, tensor)?;
        check_shape(port, tensor, &mut symbols)?;
        check_values(port, tensor)?;
        bound.push((i, tensor));
    }
    Ok(bound)
}

/// The inputs with types and shapes, as error messages show them.
fn describe(ports: &[Port]) -> String {
    if ports.is_empty() {
        return "none".to_string();
    }
    let mut text = String::new();
    for (i, port) in ports.iter().enumerate() {
        let separator = if i == 0 { "" } else { ", " };
        let _ = write!(text, "{separator}\"{}\" {}{}", port.name, port.dtype, shape_text(port));
    }
    text
}

fn shape_text(port: &Port) -> String {
    match &port.shape {
        None => String::new(),
        Some(shape) => {
            let dims: Vec<String> = shape.iter().map(ToString::to_string).collect();
            format!(" [{}]", dims.join(", "))
        }
    }
}

/// Float widths and integer widths convert; float for integer or the reverse does not.
fn check_type(port: &Port, tensor: &Tensor) -> Result<()> {
    let (wanted, given) = (port.dtype, tensor.dtype());
    let fits = wanted == given
        || (wanted.is_float() && given.is_float())
        || (wanted.is_integer() && given.is_integer())
        || (wanted == DType::Bool && given.is_integer())
        || (wanted.is_integer() && given == DType::Bool);
    if fits {
        return Ok(());
    }
    Err(Error::input(format!("input \"{}\" must be {wanted}, but {given} is given", port.name)))
}

fn check_shape<'a>(
    port: &'a Port,
    tensor: &Tensor,
    symbols: &mut FxHashMap<&'a str, (usize, &'a str)>,
) -> Result<()> {
    let name = &port.name;
    if let Some(axis) = tensor.shape().iter().position(|size| *size == 0) {
        return Err(Error::input(format!("input \"{name}\" is empty: axis {axis} has size 0")));
    }
    let Some(shape) = &port.shape else { return Ok(()) };
    let mismatch = |why: String| {
        let given = tensor.shape();
        Error::input(format!("input \"{name}\" has shape {given:?} but must be{}: {why}", shape_text(port)))
    };
    if shape.len() != tensor.rank() {
        return Err(mismatch(format!("it needs {} axes, not {}", shape.len(), tensor.rank())));
    }
    for (axis, (dim, size)) in shape.iter().zip(tensor.shape()).enumerate() {
        match dim {
            Dim::Fixed(wanted) if wanted != size => {
                return Err(mismatch(format!("axis {axis} must have size {wanted}, not {size}")));
            }
            Dim::Fixed(_) => {}
            Dim::Symbol(symbol) => {
                let (bound, first) = *symbols.entry(symbol).or_insert((*size, name));
                if bound != *size {
                    let why = format!("`{symbol}` is {bound} in \"{first}\", and {size} at axis {axis}");
                    return Err(mismatch(why));
                }
            }
        }
    }
    Ok(())
}

/// The first non-finite value as text, if there is one.
fn non_finite(data: &Data) -> Option<(usize, String)> {
    fn find<T: Copy + std::fmt::Display>(values: &[T], bad: impl Fn(T) -> bool) -> Option<(usize, String)> {
        values.iter().position(|x| bad(*x)).and_then(|i| values.get(i).map(|x| (i, x.to_string())))
    }
    match data {
        Data::F32(v) => find(v, |x| !x.is_finite()),
        Data::F64(v) => find(v, |x| !x.is_finite()),
        Data::F16(v) => find(v, |x| !x.is_finite()),
        Data::BF16(v) => find(v, |x| !x.is_finite()),
        _ => None,
    }
}

fn check_values(port: &Port, tensor: &Tensor) -> Result<()> {
    match non_finite(tensor.data()) {
        None => Ok(()),
        Some((position, value)) => Err(Error::input(format!(
            "input \"{}\" holds {value} at flat position {position}; all values must be finite",
            port.name
        ))),
    }
}
