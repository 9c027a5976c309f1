//! What little conversions must know about values before shape inference: rank, element type, dimensions.
//!
//! Declared types come first. Where there are none, a short walk towards the inputs finds the common cases; the answer is
//! `None` rather than a guess.

use super::Reader;
use crate::{DType, Dim, Graph, Op, ValueId, op::Binary, op::Unary};

/// Nodes that one walk looks at.
const STEPS: usize = 64;

impl Reader<'_> {
    /// Number of axes of a value of the current graph.
    pub(super) fn rank(&self, id: ValueId) -> Option<usize> {
        rank(&self.levels.last()?.graph, id, &mut STEPS.clone())
    }

    /// Element type of a value of the current graph.
    pub(super) fn dtype(&self, id: ValueId) -> Option<DType> {
        dtype(&self.levels.last()?.graph, id, &mut STEPS.clone())
    }

    /// True if two axes are declared with the same size or symbol.
    pub(super) fn same_dim(&self, a: (ValueId, usize), b: (ValueId, usize)) -> bool {
        let dim =
            |(id, axis): (ValueId, usize)| self.levels.last()?.graph.value(id).shape.as_ref()?.get(axis);
        matches!((dim(a), dim(b)), (Some(a), Some(b)) if a == b)
    }

    /// Size of axis `axis` of a value of the current graph, where it is declared.
    pub(super) fn dim(&self, id: ValueId, axis: usize) -> Option<usize> {
        self.levels.last()?.graph.value(id).shape.as_ref()?.get(axis).and_then(Dim::fixed)
    }
}

fn rank(graph: &Graph, id: ValueId, steps: &mut usize) -> Option<usize> {
    if let Some(shape) = &graph.value(id).shape {
        return Some(shape.len());
    }
    *steps = steps.checked_sub(1)?;
    let node = graph.producer_node(id)?;
    if node.output(0) != Some(id) {
        return None;
    }
    let mut of = |i: usize| rank(graph, node.input(i)?, steps);
    match &node.op {
        Op::Gemm(_) | Op::Flatten(_) => Some(2),
        Op::Unary(_)
        | Op::BatchNormalization(_)
        | Op::InstanceNormalization(_)
        | Op::GroupNormalization(_)
        | Op::LayerNormalization(_)
        | Op::RmsNormalization(_)
        | Op::LpNormalization(_)
        | Op::Lrn(_)
        | Op::MaxPool(_)
        | Op::AveragePool(_)
        | Op::LpPool(_)
        | Op::GlobalAveragePool(_)
        | Op::GlobalMaxPool(_)
        | Op::GlobalLpPool(_)
        | Op::Cast(_)
        | Op::CastLike(_)
        | Op::Celu(_)
        | Op::Clip(_)
        | Op::Elu(_)
        | Op::Gelu(_)
        | Op::HardSigmoid(_)
        | Op::LeakyRelu(_)
        | Op::Selu(_)
        | Op::Shrink(_)
        | Op::Swish(_)
        | Op::ThresholdedRelu(_)
        | Op::Softmax(_)
        | Op::LogSoftmax(_)
        | Op::Hardmax(_)
        | Op::Concat(_)
        | Op::Slice(_)
        | Op::Split(_)
        | Op::Pad(_)
        | Op::Resize(_)
        | Op::Tile(_)
        | Op::Transpose(_)
        | Op::CumSum(_)
        | Op::Attention(_)
        | Op::RotaryEmbedding(_)
        | Op::DepthToSpace(_)
        | Op::SpaceToDepth(_) => of(0),
        Op::Conv(_) | Op::ConvTranspose(_) => of(1).or_else(|| of(0)),
        Op::Binary(_) => Some(of(0)?.max(of(1)?)),
        Op::MatMul(_) => match (of(0)?, of(1)?) {
            (1, n) | (n, 1) => n.checked_sub(1),
            (a, b) => Some(a.max(b)),
        },
        Op::Reshape(_) => graph.constant(node.input(1)?).map(|shape| shape.len()),
        Op::Squeeze(_) => of(0)?.checked_sub(graph.constant(node.input(1)?)?.len()),
        Op::Unsqueeze(_) => of(0)?.checked_add(graph.constant(node.input(1)?)?.len()),
        Op::Gather(_) => (of(0)?.checked_sub(1)?).checked_add(of(1)?),
        Op::Reduce(r) if r.keepdims => of(0),
        Op::Reduce(_) => of(0)?.checked_sub(graph.constant(node.input(1)?)?.len()),
        _ => None,
    }
}

fn dtype(graph: &Graph, id: ValueId, steps: &mut usize) -> Option<DType> {
    if let Some(dtype) = graph.value(id).dtype {
        return Some(dtype);
    }
    *steps = steps.checked_sub(1)?;
    let node = graph.producer_node(id)?;
    if node.output(0) != Some(id) {
        return None;
    }
    let mut first_of = |operands: &[usize]| {
        operands.iter().find_map(|i| node.input(*i).and_then(|v| dtype(graph, v, steps)))
    };
    match &node.op {
        Op::Cast(op) => Some(op.to),
        Op::Shape(_) | Op::Size(_) | Op::ArgMax(_) | Op::ArgMin(_) | Op::NonZero(_) => Some(DType::I64),
        Op::Unary(Unary::IsNaN) | Op::IsInf(_) => Some(DType::Bool),
        Op::Binary(op) if op.is_comparison() => Some(DType::Bool),
        Op::Binary(Binary::Pow | Binary::PRelu) => first_of(&[0]),
        Op::Binary(_) => first_of(&[0, 1]),
        // Weights are declared: they are asked first.
        Op::Conv(_) | Op::ConvTranspose(_) | Op::MatMul(_) | Op::Gemm(_) | Op::BatchNormalization(_) => {
            first_of(&[1, 0])
        }
        Op::Where(_) => first_of(&[1, 2]),
        Op::CastLike(_) => first_of(&[1]),
        Op::Variadic(_) | Op::Concat(_) => first_of(&[0, 1]),
        Op::Unary(_)
        | Op::Reduce(_)
        | Op::InstanceNormalization(_)
        | Op::GroupNormalization(_)
        | Op::LayerNormalization(_)
        | Op::RmsNormalization(_)
        | Op::LpNormalization(_)
        | Op::Lrn(_)
        | Op::MaxPool(_)
        | Op::AveragePool(_)
        | Op::LpPool(_)
        | Op::GlobalAveragePool(_)
        | Op::GlobalMaxPool(_)
        | Op::GlobalLpPool(_)
        | Op::Celu(_)
        | Op::Clip(_)
        | Op::Elu(_)
        | Op::Gelu(_)
        | Op::HardSigmoid(_)
        | Op::LeakyRelu(_)
        | Op::Selu(_)
        | Op::Shrink(_)
        | Op::Swish(_)
        | Op::ThresholdedRelu(_)
        | Op::Softmax(_)
        | Op::LogSoftmax(_)
        | Op::Hardmax(_)
        | Op::Flatten(_)
        | Op::Reshape(_)
        | Op::Squeeze(_)
        | Op::Unsqueeze(_)
        | Op::Gather(_)
        | Op::Slice(_)
        | Op::Split(_)
        | Op::Pad(_)
        | Op::Resize(_)
        | Op::Tile(_)
        | Op::Transpose(_)
        | Op::Expand(_)
        | Op::DepthToSpace(_)
        | Op::SpaceToDepth(_) => first_of(&[0]),
        _ => None,
    }
}
