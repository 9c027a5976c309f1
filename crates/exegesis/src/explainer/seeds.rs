//! Seeds that the user gives: arrays beside the inputs of the model.

use exegesis_attribute::{CHANNELS, Request, Target};
use exegesis_graph::DType;
use exegesis_runtime::Port;

use super::Compiled;
use crate::{Error, Inputs, Model, Result};

/// The inputs of `model` and, where the target is a given seed, those that hold it: of the shape of the explained output.
///
/// # Errors
/// An output that the model lacks.
pub(super) fn ports(model: &Model, request: &Request) -> Result<Vec<Port>> {
    let mut ports = model.inputs().to_vec();
    if request.target != Target::Seed {
        return Ok(ports);
    }
    let wanted = |port: &&Port| request.output.as_ref().is_none_or(|name| *name == port.name);
    let Some(output) = model.outputs().iter().find(wanted) else {
        return Err(Error::usage(format!(
            "the model has no output \"{}\". `exegesis inspect` lists its outputs.",
            request.output.as_deref().unwrap_or_default()
        )));
    };
    let name = |channel: &str| format!("seed/{channel}{}", output.name);
    let names = match request.method.channels() {
        1 => vec![name("")],
        _ => CHANNELS.iter().map(|channel| name(&format!("{channel}/"))).collect(),
    };
    ports.extend(names.into_iter().map(|name| Port { name, optional: false, ..output.clone() }));
    Ok(ports)
}

/// Seeds of methods that share out relevance are amounts.
///
/// # Errors
/// A negative entry.
pub(super) fn check(ports: &[Port], own: usize, request: &Request, inputs: &Inputs) -> Result<()> {
    if !request.method.flows_amounts() {
        return Ok(());
    }
    for port in ports.get(own..).unwrap_or_default() {
        let values = inputs.get(&port.name).and_then(|input| input.tensor.to_f64()).unwrap_or_default();
        if let Some(place) = values.iter().position(|v| *v < 0.0) {
            return Err(Error::input(format!(
                "\"{}\" holds {} at place {place}, and relevance is never negative. Give what speaks for other outcomes \
                 as a seed of its own: `{}:mode=contrastive` takes two.",
                port.name,
                values.get(place).copied().unwrap_or_default(),
                request.method.name()
            )));
        }
    }
    Ok(())
}

/// The inputs of a program, those that it adds to the model's included.
pub(super) fn of_program(program: &Compiled) -> Vec<Port> {
    let graph = &program.explained().graph;
    graph
        .inputs
        .iter()
        .map(|id| {
            let value = graph.value(*id);
            Port {
                name: value.name.clone(),
                dtype: value.dtype.unwrap_or(DType::F32),
                shape: value.shape.clone(),
                optional: value.constant.is_some(),
            }
        })
        .collect()
}
