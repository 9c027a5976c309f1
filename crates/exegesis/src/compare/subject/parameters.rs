//! Random numbers in place of what a model has learned.

use std::sync::Arc;

use exegesis_graph::{Graph, Tensor, ValueId};
use exegesis_metrics::Randomisation;
use exegesis_perturb::random::{RowKey, Stream};
use rustc_hash::FxHashMap;

use super::graphs::Layer;
use crate::{Error, Result};

/// The graph with the parameters of some of its `layers` (from the output down) made random: the values of each tensor in
/// another order, or normal numbers of their mean and deviation. Keyed by seed and name of the tensor, so that a cascade keeps
/// what its earlier stages made.
///
/// # Errors
/// Whole numbers that would have to be drawn.
pub(super) fn randomised(graph: &Graph, layers: &[Layer], how: Randomisation) -> Result<Graph> {
    let mut graph = graph.clone();
    let chosen = match (how.is_cumulative, how.is_bottom_up) {
        (false, _) => how.layer..(how.layer + 1).min(layers.len()),
        (true, false) => 0..(how.layer + 1).min(layers.len()),
        (true, true) => how.layer..layers.len(),
    };
    let mut made: FxHashMap<ValueId, ValueId> = FxHashMap::default();
    for parameter in layers.get(chosen).into_iter().flatten().flat_map(|layer| &layer.parameters) {
        let Some(value) = graph.node(parameter.node).input(parameter.operand) else { continue };
        let Some(tensor) = graph.constant(value).cloned() else { continue };
        let new = match made.get(&value) {
            Some(new) => *new,
            None => {
                let name = graph.value(value).name.clone();
                let mut random = Stream::new(
                    RowKey { seed: how.seed, row: 0 },
                    &format!("parameters {name}"),
                    u64::from(parameter.is_variance),
                );
                let tensor = random_tensor(&tensor, how.is_shuffle, parameter.is_variance, &mut random)?;
                let new = graph.add_constant(&format!("{name}_random"), tensor);
                made.insert(value, new);
                new
            }
        };
        if let Some(operand) = graph.node_mut(parameter.node).inputs.get_mut(parameter.operand) {
            *operand = Some(new);
        }
    }
    Ok(graph)
}

fn random_tensor(
    tensor: &Arc<Tensor>,
    is_shuffle: bool,
    is_variance: bool,
    random: &mut Stream,
) -> Result<Tensor> {
    let mut values = tensor
        .to_f64()
        .or_else(|| Some(tensor.to_i64()?.into_iter().map(|v| v as f64).collect()))
        .unwrap_or_default();
    if is_shuffle {
        random.shuffle(&mut values);
    } else {
        if !tensor.dtype().is_float() {
            return Err(Error::usage("quantised weights can't be drawn; shuffle them."));
        }
        let n = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / n;
        let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        for value in &mut values {
            *value = mean + deviation * random.normal();
            if is_variance {
                *value = value.abs();
            }
        }
    }
    Ok(Tensor::from_f64(tensor.dtype(), tensor.shape().to_vec(), values)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches permutations that lose values, draws of another spread, and negative variances.
    #[test]
    fn what_was_learned_is_gone_and_its_distribution_is_kept() {
        let values: Vec<f32> = (0..2000).map(|i| (i as f32 * 0.37).sin() + 2.0).collect();
        let tensor = Arc::new(Tensor::new([2000], values.clone()).unwrap());
        let mut stream = Stream::new(RowKey { seed: 0, row: 0 }, "test", 0);
        let shuffled = random_tensor(&tensor, true, false, &mut stream).unwrap();
        assert_ne!(shuffled.as_f32().unwrap(), values.as_slice());
        let sorted = |v: &[f32]| {
            let mut v = v.to_vec();
            v.sort_by(f32::total_cmp);
            v
        };
        assert_eq!(sorted(shuffled.as_f32().unwrap()), sorted(&values));
        let drawn = random_tensor(&tensor, false, false, &mut stream).unwrap().to_f64().unwrap();
        let mean = drawn.iter().sum::<f64>() / 2000.0;
        let variance = drawn.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 2000.0;
        assert!((mean - 2.0).abs() < 0.1 && (variance - 0.5).abs() < 0.06, "{mean} {variance}");
        let around_zero = Arc::new(Tensor::new([3], vec![-1.0f32, 0.0, 1.0]).unwrap());
        let positive = random_tensor(&around_zero, false, true, &mut stream).unwrap();
        assert!(positive.to_f64().unwrap().iter().all(|v| *v >= 0.0));
    }
}
