//! Class activation maps: a map of features weighted by gradients, scaled up to the input.

mod layer;
pub mod options;

use exegesis_graph::op::{ReduceKind, Unary};
use exegesis_graph::{Builder, ValueId};
use rustc_hash::FxHashMap;

use crate::attributed::{Attributed, Situation};
use crate::error::{Error, Result};
use crate::gradient::Gradient;
use crate::places::{Places, Rows, Trail, by_row, only_places, spread};
use options::Cam;

/// How the features are weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CamKind {
    /// Grad-CAM.
    GradCam,
    /// Grad-CAM++.
    PlusPlus,
    /// LayerCAM.
    Layer,
}

/// The map of the request's layer on every explained input.
///
/// # Errors
/// A model without a map of features, or a layer that is none.
pub(crate) fn attribute(
    b: &mut Builder<'_>,
    situation: &mut Situation<'_>,
    kind: CamKind,
    options: &Cam,
) -> Result<Attributed> {
    let method = situation.request.method.name();
    if let Some(tokens) = situation.inputs.iter().find(|i| i.is_tokens) {
        return Err(Error::Request(format!(
            "method `{method}` is for pictures and series, and \"{}\" holds token ids: there is no map of features to \
             scale up to them; choose input-x-gradient, attn-lrp, dlbacktrace or grad-rollout",
            tokens.name
        )));
    }
    let target = situation.seed.value;
    let trails: Vec<Trail> =
        situation.inputs.iter().map(|i| Trail::of(b, i, target)).collect::<Result<_>>()?;
    let layer = layer::find(b, situation, &trails, options)?;
    let Some(places) = trails.first().and_then(|t| t.at(layer)).cloned() else {
        return Err(Error::Request(format!("method `{method}` has nothing to explain")));
    };
    let mut walked = situation.walk(b, &Gradient, &[layer])?;
    let gradient = match walked.channels[0].get(&layer) {
        Some(gradient) => *gradient,
        None => b.zeros_like(layer)?,
    };
    let features = only_places(b, layer, &places)?;
    let gradient = only_places(b, gradient, &places)?;
    let weighted = weighted(b, kind, features, gradient, &places)?;
    let sum = by_row(b, weighted, &places)?;
    let map = b.unary(Unary::Relu, sum)?;
    let mut maps: FxHashMap<ValueId, ValueId> = FxHashMap::default();
    for (input, trail) in situation.inputs.iter().zip(&trails) {
        let (Some(places), Some(of_input)) = (trail.at(layer), trail.at(input.entries[0])) else { continue };
        let spread = spread(b, map, places, input.input, of_input)?;
        maps.insert(input.entries[0], spread);
    }
    walked.channels[0].extend(maps);
    let sizes: Vec<String> = places.sizes(b, layer)?.iter().map(ToString::to_string).collect();
    let name = b.graph().producer_node(layer).map_or("", |n| n.source_name()).to_string();
    let mut attributed = Attributed::from(walked);
    attributed.notes.push(format!(
        "the map of features is the output of node \"{name}\", {} places{}; another is chosen with {method}:layer=NODE",
        sizes.join(" x "),
        if places.grid.is_some() { " of tokens" } else { "" },
    ));
    Ok(attributed)
}

/// Features times their weights.
///
/// Grad-CAM: `mean_places(g) F`. LayerCAM: `relu(g) F`. Grad-CAM++: `sum_places(alpha relu(g)) F` with
/// `alpha = g^2 / (2 g^2 + S g^3) = 1 / (2 + S g)`, `S = sum_places(F)`; only positive `g` count. Where features may be
/// negative, so may `S`, and the denominator could vanish: there `S` is 0.
fn weighted(
    b: &mut Builder<'_>,
    kind: CamKind,
    features: ValueId,
    gradient: ValueId,
    places: &Places,
) -> Result<ValueId> {
    let weights = match kind {
        CamKind::GradCam => b.reduce(ReduceKind::Mean, gradient, &places.axes, true)?,
        CamKind::Layer => b.unary(Unary::Relu, gradient)?,
        CamKind::PlusPlus => {
            let positive = b.unary(Unary::Relu, gradient)?;
            let sum = b.reduce_sum(features, &places.axes, true)?;
            let sum = if b.is_non_negative(features) { sum } else { b.unary(Unary::Relu, sum)? };
            let bent = b.mul(sum, positive)?;
            let two = b.add_scalar(bent, 2.0)?;
            let shares = b.div(positive, two)?;
            b.reduce_sum(shares, &places.axes, true)?
        }
    };
    Ok(b.mul(weights, features)?)
}

/// True if the rows of a map can be told apart.
fn has_rows(places: &Places) -> bool {
    !places.is_flat() && !matches!(places.rows, Rows::Outer(_))
}
