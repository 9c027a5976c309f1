//! Kinds of operators that several families of rules treat alike.

use exegesis_graph::Op;
use exegesis_graph::op::Unary;

/// Element-wise activations with parameters, softmax, and the norms that divide by a size only: one value comes in, and the same
/// value goes out in another size. Activations without parameters are [`Op::Unary`].
pub fn is_activation(op: &Op) -> bool {
    matches!(
        op,
        Op::Clip(_)
            | Op::Elu(_)
            | Op::Celu(_)
            | Op::Selu(_)
            | Op::LeakyRelu(_)
            | Op::ThresholdedRelu(_)
            | Op::Shrink(_)
            | Op::HardSigmoid(_)
            | Op::Swish(_)
            | Op::Gelu(_)
            | Op::OneMinusSigmoid(_)
            | Op::Softmax(_)
            | Op::LogSoftmax(_)
            | Op::LpNormalization(_)
            | Op::Lrn(_)
    )
}

/// Operators behind which every element of their first operand is found unchanged.
pub fn keeps_elements(op: &Op) -> bool {
    matches!(
        op,
        Op::Reshape(_)
            | Op::Transpose(_)
            | Op::Flatten(_)
            | Op::Squeeze(_)
            | Op::Unsqueeze(_)
            | Op::Expand(_)
            | Op::Unary(Unary::Identity)
    )
}
