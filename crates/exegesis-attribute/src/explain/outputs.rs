//! Attributions and relevance as outputs of the graph.

use exegesis_graph::op::{ReduceKind, Unary};
use exegesis_graph::{Builder, Dim, ValueId};
use rustc_hash::FxHashMap;

use super::{AttributionOutput, RelevanceOutput};
use crate::attributed::Attributed;
use crate::dlbacktrace::options::Compat;
use crate::error::{Error, Result};
use crate::explained_input::ExplainedInput;
use crate::ledger::CHANNELS;
use crate::look_up;
use crate::method::Method;
use crate::request::{NodeSelection, Request};
use crate::walk::Walked;

pub(crate) fn add_output(b: &mut Builder<'_>, value: ValueId, name: &str) -> String {
    // Through Identity, so that a value that is also something else can carry the name.
    let named = match b.unary(exegesis_graph::op::Unary::Identity, value) {
        Ok(named) => named,
        Err(_) => value,
    };
    b.assume_shape(named, value);
    let name = b.graph_mut().rename_value(named, name);
    b.graph_mut().outputs.push(named);
    name
}

/// The signal on an input, from all values where it is read.
fn attribution(
    b: &mut Builder<'_>,
    request: &Request,
    input: &ExplainedInput,
    signals: &FxHashMap<ValueId, ValueId>,
    is_per_token: bool,
) -> Result<ValueId> {
    let mut sum: Option<ValueId> = None;
    for (root, entry) in input.roots.iter().zip(&input.entries) {
        let mut signal = match signals.get(entry) {
            Some(signal) => *signal,
            None => continue,
        };
        if input.is_tokens && !request.per_dim && !is_per_token {
            let axes = look_up::embedding_axes(b, *root)?;
            // The first version takes the mean over the embedding.
            let kind = if is_first_version(&request.method) { ReduceKind::Mean } else { ReduceKind::Sum };
            signal = b.reduce(kind, signal, &axes, false)?;
        }
        if input.is_tokens {
            signal = look_up::onto_ids(b, input, *root, signal, request.per_dim && !is_per_token)?;
        }
        sum = Some(match sum {
            None => signal,
            Some(before) => b.add(before, signal)?,
        });
    }
    let value = match sum {
        Some(value) => value,
        None => b.zeros_like(input.roots.first().copied().unwrap_or(input.input))?,
    };
    if input.is_tokens && (!request.per_dim || is_per_token) {
        let shape: Vec<Dim> = b.shape(input.input)?.clone();
        b.set_shape(value, shape);
    }
    Ok(value)
}

fn is_first_version(method: &Method) -> bool {
    matches!(method, Method::DlBacktrace(options) if options.compat == Compat::V1)
}

/// Names of the outputs of both channels and of their difference.
fn channel_outputs(
    b: &mut Builder<'_>,
    [positive, negative]: [ValueId; 2],
    net_name: &str,
    name: impl Fn(&str) -> String,
) -> Result<(String, [String; 2])> {
    // Rounding of differences may leave a channel a little below 0.
    let (positive, negative) = (b.unary(Unary::Relu, positive)?, b.unary(Unary::Relu, negative)?);
    let net = b.sub(positive, negative)?;
    b.assume_shape(net, positive);
    let output = add_output(b, net, net_name);
    let mut named = |channel: &str, v: ValueId| add_output(b, v, &name(channel));
    let [first, second] = CHANNELS;
    let channels = [named(first, positive), named(second, negative)];
    Ok((output, channels))
}

pub(super) fn attribution_outputs(
    b: &mut Builder<'_>,
    request: &Request,
    inputs: &[ExplainedInput],
    attributed: &Attributed,
) -> Result<Vec<AttributionOutput>> {
    let mut outputs = vec![];
    for input in inputs {
        let values: Vec<ValueId> = attributed
            .walked
            .channels
            .iter()
            .map(|signals| attribution(b, request, input, signals, attributed.is_per_token))
            .collect::<Result<_>>()?;
        let (output, channels) = match values.as_slice() {
            [positive, negative] => {
                let net = format!("attribution/{}", input.name);
                let name = |channel: &str| format!("{channel}/{}", input.name);
                let (output, channels) = channel_outputs(b, [*positive, *negative], &net, name)?;
                (output, Some(channels))
            }
            values => (add_output(b, values[0], &format!("attribution/{}", input.name)), None),
        };
        outputs.push(AttributionOutput {
            input: input.name.clone(),
            output,
            is_tokens: input.is_tokens,
            channels,
        });
    }
    Ok(outputs)
}

pub(super) fn relevance_outputs(
    b: &mut Builder<'_>,
    request: &Request,
    inputs: &[ExplainedInput],
    walked: &Walked,
) -> Result<Vec<RelevanceOutput>> {
    if request.nodes == NodeSelection::None {
        return Ok(vec![]);
    }
    let mut wanted: Vec<(String, ValueId)> = vec![];
    let mut values: Vec<ValueId> = walked.channels.iter().flat_map(|c| c.keys().copied()).collect();
    values.sort();
    values.dedup();
    // A point that stands in for an input is no node of the model.
    let stands_in = |value: &ValueId| {
        inputs.iter().any(|input| input.entries.contains(value) && !input.roots.contains(value))
    };
    for value in values.into_iter().filter(|value| !stands_in(value)) {
        if let Some(node) = b.graph().producer_node(value) {
            wanted.push((node.name.clone(), value));
        }
    }
    if let NodeSelection::Named(names) = &request.nodes {
        for name in names {
            if !wanted.iter().any(|(node, _)| node == name) {
                return Err(Error::Request(format!(
                    "no relevance passes through a node \"{name}\"; `exegesis inspect` lists the nodes"
                )));
            }
        }
        wanted.retain(|(node, _)| names.contains(node));
    }
    let mut outputs = vec![];
    for (node, value) in wanted {
        let signals: Vec<ValueId> = walked
            .channels
            .iter()
            .map(|signals| match signals.get(&value) {
                Some(signal) => Ok(*signal),
                None => Ok(b.zeros_like(value)?),
            })
            .collect::<Result<_>>()?;
        outputs.push(match signals.as_slice() {
            [positive, negative] => {
                let net = format!("relevance/{node}");
                let name = |channel: &str| format!("relevance/{channel}/{node}");
                let (output, channels) = channel_outputs(b, [*positive, *negative], &net, name)?;
                RelevanceOutput { node, output, channels: Some(channels) }
            }
            signals => {
                let output = add_output(b, signals[0], &format!("relevance/{node}"));
                RelevanceOutput { node, output, channels: None }
            }
        });
    }
    Ok(outputs)
}
