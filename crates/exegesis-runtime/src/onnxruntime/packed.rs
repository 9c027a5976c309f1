//! What ONNX Runtime holds beside the weights that it is lent.
//!
//! It packs the weights of matrix products and convolutions in the layout of its kernels when a session is made, each form of a
//! product by itself. Measured on BERT-base (`examples/memory.rs`): 0.44 GB of weights, 0.92 GB held for the forward pass, 1.28 GB
//! with the gradient, whose products read the same weights the other way round.

use exegesis_graph::op::Gemm;
use exegesis_graph::{Graph, Op, Tensor, ValueId};
use rustc_hash::FxHashSet;

/// Bytes of the library itself with its threads and buffers. An allowance, not a measurement.
pub(super) const LIBRARY: u64 = 48 << 20;

/// Bytes of the packed weights of `graph`; bodies are not counted.
pub(super) fn bytes(graph: &Graph) -> u64 {
    let mut seen: FxHashSet<(ValueId, bool)> = FxHashSet::default();
    let mut bytes = 0u64;
    for (_, node) in graph.nodes() {
        let is_turned = match &node.op {
            Op::MatMul(_) | Op::Conv(_) => false,
            Op::Gemm(Gemm { transB, .. }) => *transB,
            _ => continue,
        };
        let Some(weights) = node.input(1) else { continue };
        let Some(tensor) = graph.constant(weights) else { continue };
        if tensor.rank() >= 2 && seen.insert((weights, is_turned)) {
            bytes = bytes.saturating_add(size(tensor));
        }
    }
    bytes
}

fn size(tensor: &Tensor) -> u64 {
    tensor.len() as u64 * tensor.dtype().size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use exegesis_graph::op::{MatMul, Unary};
    use exegesis_graph::{DType, Dim};

    /// Catches weights that are counted for each use, or not for each form.
    #[test]
    fn each_form_of_a_weight_counts_once() {
        let mut g = Graph::new("g");
        let x = g.add_input("x", DType::F32, vec![Dim::Fixed(4), Dim::Fixed(4)]);
        let w = g.add_constant("w", Tensor::new([4, 4], vec![0f32; 16]).unwrap());
        let y = g.add_op("y", MatMul {}, &[x, w]);
        let z = g.add_op("z", MatMul {}, &[y, w]);
        let back = g.add_op("back", Gemm { transB: true, ..Gemm::default() }, &[z, w]);
        let all = g.add_op("all", MatMul {}, &[back, x]);
        g.outputs = vec![g.add_op("relu", Unary::Relu, &[all])];
        assert_eq!(bytes(&g), 2 * 64);
    }
}
