//! Methods that read attention weights: raw, rollout, gradient-weighted rollout.

pub(crate) mod layers;
pub mod options;
mod rollout;
mod tokens;

use exegesis_graph::{Builder, ValueId};
use rustc_hash::FxHashMap;

use crate::attributed::{Attributed, Situation};
use crate::error::{Error, Result};
use crate::gradient::Gradient;
use crate::method::Method;
use crate::walk::Walked;
use layers::Layer;
use options::Attention;
use rollout::Step;
use tokens::{Sequences, Tokens};

/// The map of `method`, one of `attention`, `attention-rollout` and `grad-rollout`, on every explained input.
///
/// # Errors
/// A model without attention, or with attention that does not join the tokens of an input with each other.
pub(crate) fn attribute(
    b: &mut Builder<'_>,
    situation: &mut Situation<'_>,
    method: &Method,
) -> Result<Attributed> {
    let all = layers::find(b, situation.roots, situation.seed.value)?;
    if all.is_empty() {
        return Err(Error::Request(format!(
            "method `{}` needs attention weights: a softmax over products of queries and keys whose result multiplies \
             values; there is none between the explained inputs and the target",
            method.name()
        )));
    }
    let mut sequences = Sequences::of(b, situation)?;
    let last = sequences.last(b, situation)?;
    // Attention that pools the last states reads them, and is no layer of theirs.
    let needed = b.graph().ancestors(&[last]);
    let found: Vec<Layer> = all.into_iter().filter(|l| needed.contains(&l.weights)).collect();
    let mut joined: Vec<[Tokens; 2]> = vec![];
    for layer in &found {
        let tokens = sequences.joined(b, layer)?;
        let known = joined.iter().flatten().chain(&tokens);
        if !known.clone().all(|known| tokens.iter().all(|t| t.fit(known))) {
            return Err(sequences.others(layer));
        }
        joined.push(tokens);
    }
    let mut walked = Walked { channels: vec![FxHashMap::default()], ..Walked::default() };
    let gradients = match method {
        Method::GradRollout => {
            walked = situation.walk(b, &Gradient, &first(b, &found)?)?;
            Some(std::mem::take(&mut walked.channels[0]))
        }
        _ => None,
    };
    let position = sequences.position(b, situation, last, gradients.as_ref(), &joined)?;
    let mut steps = vec![];
    for (layer, [queries, keys]) in found.iter().zip(&joined) {
        let sequence = (queries.sequence, keys.sequence);
        steps.push(step(b, situation, &sequences, layer, sequence, gradients.as_ref())?);
    }
    let maps = match method {
        Method::Attention(options) => raw(b, &sequences, &steps, position, options)?,
        Method::GradRollout => rollout::rows(b, &steps, position, rollout::Own::Removed)?,
        _ => rollout::rows(b, &steps, position, rollout::Own::Kept)?,
    };
    let attributions = sequences.attributions(b, &maps, &joined)?;
    walked.channels[0].extend(attributions);
    walked.channels[0].extend(steps.iter().map(|s| (s.layer, s.weights)));
    let mut attributed = Attributed::from(walked);
    attributed.is_per_token = true;
    attributed.notes.push(sequences.note(b, last, found.len()));
    Ok(attributed)
}

/// The attention weights that depend on no others: a walk that ends there meets all of them.
fn first(b: &Builder<'_>, layers: &[Layer]) -> Result<Vec<ValueId>> {
    let all: Vec<ValueId> = layers.iter().map(|l| l.weights).collect();
    let before = |layer: &Layer| {
        let needed = b.graph().ancestors(&[layer.weights]);
        all.iter().any(|v| *v != layer.weights && needed.contains(v))
    };
    Ok(layers.iter().filter(|l| !before(l)).map(|l| l.weights).collect())
}

/// A layer as a matrix per row, `[batch, queries, keys]`, with the sequences that it joins.
fn step(
    b: &mut Builder<'_>,
    situation: &Situation<'_>,
    sequences: &Sequences,
    layer: &Layer,
    (queries, keys): (usize, usize),
    gradients: Option<&FxHashMap<ValueId, ValueId>>,
) -> Result<Step> {
    let weights = sequences.by_head(b, situation, layer, layer.weights)?;
    let by_gradient = match gradients {
        None => None,
        Some(gradients) => {
            let gradient = match gradients.get(&layer.weights) {
                Some(gradient) => *gradient,
                None => b.zeros_like(layer.weights)?,
            };
            Some(sequences.by_head(b, situation, layer, gradient)?)
        }
    };
    Ok(Step { layer: layer.weights, weights, by_gradient, queries, keys })
}

/// The weights of one layer, from the explained position.
fn raw(
    b: &mut Builder<'_>,
    sequences: &Sequences,
    steps: &[Step],
    (start, position): (usize, ValueId),
    options: &Attention,
) -> Result<FxHashMap<usize, ValueId>> {
    let mut maps = FxHashMap::default();
    for sequence in sequences.explained() {
        let fitting: Vec<&Step> = steps.iter().filter(|s| s.queries == start && s.keys == sequence).collect();
        let count = fitting.len();
        let chosen = match options.layer {
            None => fitting.last(),
            Some(layer) => fitting.get(layer),
        };
        let Some(step) = chosen else {
            return Err(Error::Request(match options.layer {
                Some(layer) if count > 0 => {
                    format!(
                        "layer {layer} is outside the {count} attention layers of the model, counted from 0"
                    )
                }
                _ => "no attention layer leads from the explained position to an explained input".to_string(),
            }));
        };
        let matrix = match options.head {
            None => rollout::head_mean(b, step.weights)?,
            Some(head) => {
                let heads = b.shape(step.weights)?[1].fixed();
                if heads.is_some_and(|heads| head >= heads) {
                    return Err(Error::Request(format!(
                        "head {head} is outside the {} heads of the layer, counted from 0",
                        heads.unwrap_or_default()
                    )));
                }
                let head = head as i64;
                let one = b.slice(step.weights, 1, head, head + 1, 1)?;
                b.squeeze(one, &[1])?
            }
        };
        maps.insert(sequence, b.matmul(position, matrix)?);
    }
    Ok(maps)
}
