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

#[cfg(test)]
mod tests {
    use exegesis_graph::DType;
    use exegesis_graph::op::{Binary, MatMul, Unary};

    use super::*;

    #[test]
    fn a_product_and_its_square() {
        // y = x W, z = tanh(y)^2 with W = [[1, 2], [3, 4]].
        let mut graph = Graph::new("net");
        let x = graph.add_input("x", DType::F32, vec![1.into(), 2.into()]);
        let w = graph.add_input("w", DType::F32, vec![2.into(), 2.into()]);
        let y = graph.add_op("y", MatMul {}, &[x, w]);
        let t = graph.add_op("t", Unary::Tanh, &[y]);
        let z = graph.add_op("z", Binary::Mul, &[t, t]);
        graph.outputs = vec![y, z];
        let inputs = [
            ("x", Array::floats([1, 2], vec![0.1, -0.2]).unwrap()),
            ("w", Array::floats([2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap()),
        ];
        let name = |id| graph.value(id).name.clone();
        let one = Array::floats([1], vec![1.0]).unwrap();
        let linear = central_difference(&graph, &inputs, "x", &[(&name(y), one.clone())], 1e-6).unwrap();
        assert!((linear.data[0] - 3.0).abs() < 1e-9 && (linear.data[1] - 7.0).abs() < 1e-9);
        let squared = central_difference(&graph, &inputs, "x", &[(&name(z), one)], 1e-6).unwrap();
        let slope = |y: f64| 2.0 * y.tanh() * (1.0 - y.tanh().powi(2));
        let (a, b) = (slope(-0.5), slope(-0.6));
        assert!((squared.data[0] - (a + 2.0 * b)).abs() < 1e-8);
        assert!((squared.data[1] - (3.0 * a + 4.0 * b)).abs() < 1e-8);
        assert!(central_difference(&graph, &inputs, "v", &[], 1e-6).is_err());
        assert!(central_difference(&graph, &inputs, "x", &[("v", linear)], 1e-6).is_err());
    }
}
