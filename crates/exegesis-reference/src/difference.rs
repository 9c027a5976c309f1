//! Numerical gradients, the oracle of gradient rules.

use std::rc::Rc;

use exegesis_graph::{Error, Graph, Result};

use crate::Array;
use crate::run::{Options, Plan, bind};

/// Gradient of `sum over outputs of sum(seed * output)` with respect to the float input `input_name`, by central
/// differences: `(f(x + h) - f(x - h)) / 2h` with `h = step * max(1, |x|)` for each element in turn.
///
/// `seed` gives a weight array (of the output's shape, or broadcastable to it) per output name; outputs without one count
/// 0. `step` around `1e-6` is best in f64: the error is about `step^2` times the third derivative plus `1e-16 / step`.
///
/// # Errors
/// As [`crate::run`]; also an input or output name that the graph does not have, an input that is not float.
pub fn central_difference(
    graph: &Graph,
    inputs: &[(&str, Array)],
    input_name: &str,
    seed: &[(&str, Array)],
    step: f64,
) -> Result<Array> {
    let mut plan = Plan::needed(graph, Options::default())?;
    let base = plan.run(bind(graph, inputs)?)?;
    let source = graph.inputs.iter().copied().find(|id| graph.value(*id).name == input_name);
    let source =
        source.ok_or_else(|| Error::malformed(format!("the graph has no input \"{input_name}\"")))?;
    let point = plan.value(&base, source)?.as_ref().clone();
    if !point.dtype.is_float() {
        return Err(Error::malformed(format!("input \"{input_name}\" is {}, not a float", point.dtype)));
    }
    let mut weights = vec![];
    for (name, weight) in seed {
        let id = graph.outputs.iter().copied().find(|id| graph.value(*id).name == *name);
        let id = id.ok_or_else(|| Error::malformed(format!("the graph has no output \"{name}\"")))?;
        weight.check()?;
        weights.push((id, weight.broadcast_to(&plan.value(&base, id)?.shape)?));
    }
    plan.retain_dependents(source);
    let mut gradient = point.clone();
    for i in 0..point.len() {
        let h = step * point.data[i].abs().max(1.0);
        let at = |x: f64| {
            let mut moved = point.clone();
            moved.data[i] = x;
            let mut values = base.clone();
            values[source.index()] = Some(Rc::new(moved));
            plan.run(values)
        };
        let (high, low) = (point.data[i] + h, point.data[i] - h);
        let (above, below) = (at(high)?, at(low)?);
        let mut change = 0.0;
        for (id, weight) in &weights {
            let (a, b) = (plan.value(&above, *id)?, plan.value(&below, *id)?);
            if a.shape != weight.shape || b.shape != weight.shape {
                return Err(Error::malformed("an output's shape depends on the values of the input"));
            }
            // Differences before sums: large outputs that don't move must not cost precision.
            change += (0..weight.len()).map(|k| weight.data[k] * (a.data[k] - b.data[k])).sum::<f64>();
        }
        gradient.data[i] = change / (high - low);
    }
    Ok(gradient)
}
