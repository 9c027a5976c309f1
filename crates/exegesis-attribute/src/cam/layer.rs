//! Which value is the map of features.

use exegesis_graph::{Builder, Dim, Node, Op, ValueId};
use rustc_hash::FxHashSet;

use super::{has_rows, options::Cam};
use crate::attention::layers;
use crate::attributed::Situation;
use crate::error::{Error, Result};
use crate::places::{Trail, hands_on};

/// Names in an error message.
const SUGGESTED: usize = 5;

/// The map of features that the options name, or the last one:
///
/// - the last value on the way to the target where the places of every explained input have an index: the input of the
///   global pool or of the flattening, after normalisation, activation and residual sum;
/// - where the target itself is a map (segmentation), what the last layer with weights reads;
/// - where the target reads a class token only, what the queries, keys and values of the last attention read: behind it,
///   the other tokens have no influence.
///
/// # Errors
/// No such value, or a name that belongs to none.
pub(super) fn find(
    b: &Builder<'_>,
    situation: &Situation<'_>,
    trails: &[Trail],
    options: &Cam,
) -> Result<ValueId> {
    let method = situation.request.method.name();
    let candidates = candidates(b, situation, trails);
    let names = |values: &[ValueId]| {
        let mut names: Vec<String> = values
            .iter()
            .rev()
            .filter_map(|v| Some(format!("\"{}\"", b.graph().producer_node(*v)?.source_name())))
            .collect();
        names.dedup();
        names.truncate(SUGGESTED);
        names.join(", ")
    };
    if let Some(name) = &options.layer {
        let of_node = |node: &Node| node.name == *name || node.source_name() == name;
        let is_named = |v: &&ValueId| {
            b.graph().value(**v).name == *name || b.graph().producer_node(**v).is_some_and(of_node)
        };
        // Of the nodes that a pass made out of the user's, the last is the result.
        if let Some(value) = candidates.iter().rev().find(is_named) {
            return Ok(*value);
        }
        let exists = b.graph().find_value(name).is_some() || b.graph().nodes().any(|(_, n)| of_node(n));
        let what = if exists {
            "is no map of features between the explained inputs and the target: its output has no axes along which the \
             places of the input lie, or does not influence the target"
        } else {
            "is not in the model"
        };
        return Err(Error::Request(format!(
            "node \"{name}\" {what}; the last maps of features are {}",
            if candidates.is_empty() { "none".to_string() } else { names(&candidates) }
        )));
    }
    let Some(last) = candidates.last().copied() else {
        let inputs: Vec<String> = situation.inputs.iter().map(|i| format!("\"{}\"", i.name)).collect();
        let advice =
            if inputs.len() > 1 { "; choose one input with --explain, or another method" } else { "" };
        return Err(Error::Request(format!(
            "method `{method}` needs a map of features, whose cells belong to places of the input (as convolutions and \
             vision transformers have), and there is none between {} and the target{advice}",
            inputs.join(", ")
        )));
    };
    let target = situation.seed.value;
    if trails[0].at(target).is_some() {
        return dense(b, trails, &candidates, target).ok_or_else(|| {
            Error::Request(format!(
                "method `{method}` needs a map of features before the last layer, and the model has none; name one with \
                 {method}:layer=NODE"
            ))
        });
    }
    let places = trails[0].at(last);
    if places.is_none_or(|p| p.before + p.after == 0) || is_pooled(b, last, trails) {
        return Ok(last);
    }
    let before = attended(b, situation, trails)?.filter(|v| candidates.contains(v));
    before.ok_or_else(|| {
        Error::Request(format!(
            "the target reads class tokens of node \"{}\", and no attention before it was found; name a map of features \
             with {method}:layer=NODE, one of {}",
            b.graph().producer_node(last).map_or("", |n| n.source_name()),
            names(&candidates)
        ))
    })
}

/// The maps of features, in topological order.
fn candidates(b: &Builder<'_>, situation: &Situation<'_>, trails: &[Trail]) -> Vec<ValueId> {
    let is_map = |trail: &Trail, value: ValueId| {
        let Some(places) = trail.at(value) else { return false };
        let sizes = places.sizes(b, value).unwrap_or_default();
        let is_float = b.graph().value(value).dtype.is_some_and(|t| t.is_float());
        // Tokens in heads, and what attention multiplies, are parts of a layer.
        let is_whole = places.grid.is_none() || b.rank(value).is_ok_and(|rank| rank <= 3);
        is_float && is_whole && has_rows(places) && sizes.iter().any(|n| *n != Dim::Fixed(1))
    };
    let Some(first) = trails.first() else { return vec![] };
    let order = first.order.iter().copied();
    order
        .filter(|v| b.graph().producer(*v).is_some() && !situation.roots.contains(v))
        .filter(|v| trails.iter().all(|t| is_map(t, *v)))
        .collect()
}

/// What the last layer with weights reads whose result is a map.
fn dense(b: &Builder<'_>, trails: &[Trail], candidates: &[ValueId], target: ValueId) -> Option<ValueId> {
    let mut maps: Vec<ValueId> = trails[0].order.clone();
    maps.retain(|v| b.graph().ancestors(&[target]).contains(v));
    maps.iter().rev().find_map(|value| {
        let node = b.graph().producer_node(*value)?;
        let constant = |i: usize| node.input(i).is_some_and(|v| b.graph().constant(v).is_some());
        let has_weights = match &node.op {
            Op::Conv(_) | Op::ConvTranspose(_) | Op::Linear(_) | Op::Gemm(_) | Op::MatMul(_) => constant(1),
            _ => false,
        };
        node.input(0).filter(|read| has_weights && candidates.contains(read))
    })
}

/// True if a mean, maximum or sum over all tokens follows.
fn is_pooled(b: &Builder<'_>, value: ValueId, trails: &[Trail]) -> bool {
    let consumers = b.graph().consumers();
    let Some(axis) = trails[0].at(value).and_then(|p| p.axes.first().copied()) else { return false };
    consumers[value.index()].iter().any(|id| {
        let node = b.graph().node(*id);
        let rank = b.rank(value).unwrap_or_default();
        let axes = b.const_ints(node.input(1)).unwrap_or_default();
        matches!(node.op, Op::Reduce(_))
            && (axes.is_empty() || axes.iter().any(|a| b.axis(*a, rank).is_ok_and(|a| a == axis)))
    })
}

/// What the values of the last attention are made of.
fn attended(b: &Builder<'_>, situation: &Situation<'_>, trails: &[Trail]) -> Result<Option<ValueId>> {
    let found = layers::find(b, situation.roots, situation.seed.value)?;
    let Some(last) = found.last() else { return Ok(None) };
    let on_trail: FxHashSet<ValueId> = trails[0].order.iter().copied().collect();
    let mut value = last.values;
    while let Some(node) = b.graph().producer_node(value) {
        let constant = |v: &ValueId| b.graph().constant(*v).is_some();
        let layer = matches!(node.op, Op::Linear(_) | Op::MatMul(_) | Op::Gemm(_) | Op::Conv(_));
        let mut operands = node.inputs.iter().flatten().copied().filter(|v| !constant(v));
        let (Some(operand), true) = (operands.next(), layer || hands_on(&node.op)) else { break };
        // A sum of two values is a residual, not a bias.
        let is_sum = matches!(node.op, Op::Binary(_) | Op::MatMul(_));
        if is_sum && operands.next().is_some() {
            break;
        }
        value = operand;
    }
    Ok(on_trail.contains(&value).then_some(value))
}
