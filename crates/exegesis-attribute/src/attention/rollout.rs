//! Attention of several layers taken together.
//!
//! Only the row of the explained position is needed, so the product of matrices is taken from the last layer on, as a
//! row times a matrix per layer: `[batch, 1, tokens]` instead of `[batch, tokens, tokens]`.

use exegesis_graph::op::{ReduceKind, Unary};
use exegesis_graph::{Builder, ValueId};
use rustc_hash::FxHashMap;

use crate::error::Result;

/// An attention layer that takes part.
pub(super) struct Step {
    /// The value that holds the weights.
    pub layer: ValueId,
    /// Weights `[batch, heads, queries, keys]`.
    pub weights: ValueId,
    /// The gradient of the score at the weights, where they are weighted by it.
    pub by_gradient: Option<ValueId>,
    /// The sequence that attends.
    pub queries: usize,
    /// The sequence that is attended to.
    pub keys: usize,
}

/// What becomes of the path that never attends, which leads from a position to itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    /// It counts.
    Kept,
    /// It is subtracted: it says nothing of the target.
    Removed,
}

/// The mean over heads.
pub(super) fn head_mean(b: &mut Builder<'_>, weights: ValueId) -> Result<ValueId> {
    Ok(b.reduce(ReduceKind::Mean, weights, &[1], false)?)
}

/// Row of the product of `rownorm(A_l + I)` over layers, later ones on the left, that `position` (a sequence, and weights
/// `[batch, 1, tokens]` of its positions) selects; per sequence `[batch, 1, tokens]`.
///
/// A layer in which one sequence attends to another (a decoder to its encoder) stands for a matrix over both: the tokens
/// that attend keep their identity, and hand the rest to what they attend to.
pub(super) fn rows(
    b: &mut Builder<'_>,
    steps: &[Step],
    (start, position): (usize, ValueId),
    own: Own,
) -> Result<FxHashMap<usize, ValueId>> {
    let mut rows = FxHashMap::from_iter([(start, position)]);
    let mut alone = position;
    for step in steps.iter().rev() {
        let Some(row) = rows.get(&step.queries).copied() else { continue };
        let matrix = match step.by_gradient {
            None => head_mean(b, step.weights)?,
            Some(gradient) => {
                let product = b.mul(step.weights, gradient)?;
                let positive = b.unary(Unary::Relu, product)?;
                head_mean(b, positive)?
            }
        };
        // (A + I) / s from the left is (row / s) A + row / s.
        let sums = b.reduce_sum(matrix, &[2], false)?;
        let sums = b.add_scalar(sums, 1.0)?;
        let sums = b.unsqueeze(sums, &[1])?;
        let kept = b.div(row, sums)?;
        let moved = b.matmul(kept, matrix)?;
        if step.queries == start {
            alone = b.div(alone, sums)?;
        }
        rows.insert(step.queries, kept);
        let arrived = match rows.get(&step.keys) {
            Some(before) => b.add(*before, moved)?,
            None => moved,
        };
        rows.insert(step.keys, arrived);
    }
    if let (Own::Removed, Some(row)) = (own, rows.get(&start).copied()) {
        let others = b.sub(row, alone)?;
        // Rounding may leave the own position a little below 0.
        rows.insert(start, b.unary(Unary::Relu, others)?);
    }
    Ok(rows)
}

#[cfg(test)]
#[path = "../../tests/common/npz.rs"]
mod npz;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use exegesis_graph::{DType, Graph, Tensor};

    use super::*;

    /// Catches layers in the wrong order and rows taken for columns. The recorded matrices `norm` are row-normalised already;
    /// `2 norm - I` is the layer whose `rownorm(A + I)` they are.
    #[test]
    fn rows_are_those_of_the_recorded_product() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let arrays = npz::read(&folder.join("rollout.npz"));
        let norm = &arrays["norm"];
        let mut graph = Graph::new("rollout");
        let mut b = Builder::new(&mut graph, "rollout").unwrap();
        let mut steps = vec![];
        for layer in norm.data.chunks(49) {
            let weights = layer.iter().enumerate().map(|(i, v)| 2.0 * v - f64::from(i % 8 == 0)).collect();
            let tensor = Tensor::from_f64(DType::F64, vec![1, 1, 7, 7], weights).unwrap();
            let weights = b.constant(tensor);
            steps.push(Step { layer: weights, weights, by_gradient: None, queries: 0, keys: 0 });
        }
        let mut outputs = vec![];
        for position in 0..7 {
            let hot = (0..7).map(|i| f64::from(i == position)).collect();
            let hot = b.constant(Tensor::from_f64(DType::F64, vec![1, 1, 7], hot).unwrap());
            outputs.push(rows(&mut b, &steps, (0, hot), Own::Kept).unwrap()[&0]);
        }
        graph.outputs = outputs.clone();
        let values = exegesis_reference::run_all(&graph, &[]).unwrap();
        for (output, want) in outputs.iter().zip(arrays["rollout"].data.chunks(7)) {
            for (got, want) in values[output].data.iter().zip(want) {
                assert!((got - want).abs() < 1e-13, "{got} is not {want}");
            }
        }
    }
}
