//! Pieces of inputs as runs: stacked along the batch axis where all shapes agree, otherwise one run each.

use exegesis_graph::Tensor;
use exegesis_runtime::Port;
use rustc_hash::FxHashMap;

use super::bind::{Bound, Piece, is_batched};
use super::rows::concat;
use super::{Input, Inputs};
use crate::{Error, Result};

/// The runs of `bound`, in order.
///
/// # Errors
/// Inputs with different numbers of files or rows.
pub(crate) fn stack(ports: &[Port], bound: Vec<Bound>) -> Result<Vec<Inputs>> {
    let count = bound.iter().map(|b| b.pieces.len()).max().unwrap_or(0);
    for b in &bound {
        if b.pieces.len() != count && b.pieces.len() != 1 {
            let name = ports.get(b.port).map_or("", |p| p.name.as_str());
            return Err(Error::input(format!(
                "input \"{name}\" has {} files, but another has {count}. Give each input one file, or the same number.",
                b.pieces.len()
            )));
        }
    }
    let runs = if count > 1 && bound.iter().all(|b| stacks(ports, b, count)) {
        vec![stacked(&bound)?]
    } else {
        (0..count).map(|index| single(&bound, index)).collect()
    };
    for run in &runs {
        check_symbols(ports, run)?;
    }
    Ok(runs)
}

/// True if the pieces of this input can be one array, or if it is one for all rows.
fn stacks(ports: &[Port], bound: &Bound, count: usize) -> bool {
    let Some(port) = ports.get(bound.port) else { return false };
    if bound.pieces.len() == 1 && count > 1 {
        // One value for all files is right only where it does not depend on the rows.
        return port.shape.as_ref().is_some_and(|s| s.iter().all(|d| d.fixed().is_some()));
    }
    let inner = |p: &Piece| p.input.tensor.shape().get(1..).map(<[usize]>::to_vec);
    let first = bound.pieces.first().and_then(inner);
    let symbol = |i: usize| port.shape.as_ref().and_then(|s| s.get(i)).map(ToString::to_string);
    // The symbol of the batch axis may stand at no other axis (states `[layers, batch, n]` have it elsewhere).
    let rank = port.shape.as_ref().map_or(0, Vec::len);
    let batch_leads = (1..rank).all(|axis| symbol(axis) != symbol(0));
    let elsewhere = ports.iter().any(|other| {
        let Some(shape) = &other.shape else { return false };
        shape.iter().skip(1).any(|d| Some(d.to_string()) == symbol(0))
    });
    is_batched(port)
        && batch_leads
        && !elsewhere
        && first.is_some()
        && bound.pieces.iter().all(|p| inner(p) == first)
}

fn stacked(bound: &[Bound]) -> Result<Inputs> {
    let mut inputs = Inputs::new();
    let mut names: Vec<String> = Vec::new();
    for b in bound {
        let parts: Vec<&Tensor> = b.pieces.iter().map(|p| &p.input.tensor).collect();
        let Some(first) = b.pieces.first() else { continue };
        let tensor = if parts.len() == 1 { first.input.tensor.clone() } else { concat(&parts)? };
        let whole = b.pieces.iter().all(|p| !p.input.views.is_empty());
        let views =
            if whole { b.pieces.iter().flat_map(|p| p.input.views.clone()).collect() } else { Vec::new() };
        inputs = inputs.with_input(Input { name: first.input.name.clone(), tensor, views });
        let own: Vec<String> = b.pieces.iter().flat_map(|p| p.row_names.clone()).collect();
        if own.len() > names.len() {
            names = own;
        }
    }
    Ok(inputs.with_row_names(names))
}

fn single(bound: &[Bound], index: usize) -> Inputs {
    let mut inputs = Inputs::new();
    let mut names: Vec<String> = Vec::new();
    for b in bound {
        let Some(piece) = b.pieces.get(index).or_else(|| b.pieces.first()) else { continue };
        inputs = inputs.with_input(piece.input.clone());
        if names.is_empty() || b.pieces.len() > 1 {
            names.clone_from(&piece.row_names);
        }
    }
    inputs.with_row_names(names)
}

/// Axes with the same symbol must have the same size.
fn check_symbols(ports: &[Port], run: &Inputs) -> Result<()> {
    let mut sizes: FxHashMap<String, (usize, &str)> = FxHashMap::default();
    for port in ports {
        let (Some(shape), Some(input)) = (&port.shape, run.get(&port.name)) else { continue };
        for (dim, size) in shape.iter().zip(input.tensor.shape()).filter(|(d, _)| d.fixed().is_none()) {
            let (first, whose) = *sizes.entry(dim.to_string()).or_insert((*size, &port.name));
            if first != *size {
                return Err(Error::input(format!(
                    "`{dim}` is {first} in input \"{whose}\" but {size} in input \"{}\". Give arrays of matching sizes.",
                    port.name
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use exegesis_graph::{DType, Dim};

    fn port(name: &str, dims: &[Dim]) -> Port {
        Port { name: name.into(), dtype: DType::F32, shape: Some(dims.to_vec()), optional: false }
    }

    fn bound(port: usize, name: &str, shapes: &[&[usize]]) -> Bound {
        let piece = |shape: &&[usize]| {
            let tensor = Tensor::new(shape.to_vec(), vec![0f32; shape.iter().product()]).unwrap();
            Piece { input: Input { name: name.into(), tensor, views: vec![] }, row_names: vec!["f".into()] }
        };
        Bound { port, pieces: shapes.iter().map(piece).collect() }
    }

    #[test]
    fn equal_shapes_are_stacked_and_others_are_runs() {
        let ports = [port("x", &["batch".into(), "n".into()])];
        let runs = stack(&ports, vec![bound(0, "x", &[&[1, 3], &[2, 3]])]).unwrap();
        assert_eq!((runs.len(), runs[0].entries()[0].tensor.shape()), (1, &[3, 3][..]));
        assert_eq!(stack(&ports, vec![bound(0, "x", &[&[1, 3], &[1, 4]])]).unwrap().len(), 2);
        let fixed = [port("x", &[1.into(), 3.into()])];
        assert_eq!(stack(&fixed, vec![bound(0, "x", &[&[1, 3], &[1, 3]])]).unwrap().len(), 2);
    }

    #[test]
    fn states_with_batch_behind_the_front_are_not_stacked() {
        let ports = [port("x", &["batch".into(), 3.into()]), port("s", &[2.into(), "batch".into()])];
        let given = vec![bound(0, "x", &[&[1, 3], &[1, 3]]), bound(1, "s", &[&[2, 1]])];
        assert_eq!(stack(&ports, given).unwrap().len(), 2);
        let wrong = vec![bound(0, "x", &[&[1, 3]]), bound(1, "s", &[&[2, 4]])];
        assert_eq!(stack(&ports, wrong).unwrap_err().exit_code(), 3);
    }
}
