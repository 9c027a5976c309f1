//! What rten 0.27 can run: operator by operator and attribute by attribute.
//!
//! The verdicts were read from rten's sources and are run by the tests of this crate against the slow reference. Where
//! rten runs an operator but gives another number than the standard says, the verdict is not [`Support::Native`]: ties
//! of `ArgMax` (it takes the last), `Sign` of zero (1), `Softplus` above 88 (infinite), `sequence_lens` of recurrent
//! layers (ignored), `SAME_LOWER` (taken as `SAME_UPPER`), `ScatterElements` with fewer indices than rows (other cells),
//! cubic `Resize` (linear), float `Range` (accumulates rounding), `NonMaxSuppression` (mixes classes), a stack of matrices
//! times a vector (an axis too many).

mod context;
mod control;
mod elementwise;
mod indexing;
mod layout;
mod linear;
mod normalization;
mod resize;
mod windows;

use std::fmt;

use exegesis_graph::{Graph, Node, Op};

use crate::{Error, Result};
pub(crate) use context::Context;
pub(crate) use control::needs_unrolling;
pub(crate) use layout::{full_pads, pads_by_index};
pub(crate) use linear::uneven_ellipses;
#[cfg(feature = "onnxruntime")]
pub(crate) use resize::keeps_to_grid;
pub(crate) use resize::resized_axes;

/// What happens to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Support {
    /// rten runs it as it is.
    Native,
    /// It is replaced by an exact equivalent; the text says by what.
    Lowered(&'static str),
    /// It can't be run; the text says why.
    Refused(String),
}

/// A node that can't be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Name of the node in the user's model.
    pub node: String,
    /// Operator.
    pub operator: String,
    /// Why, as a clause.
    pub reason: String,
}

/// All nodes of a graph that can't be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusals(pub Vec<Refusal>);

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let nodes = if count == 1 { "node" } else { "nodes" };
        write!(f, "the runtime rten can't run {count} {nodes}:")?;
        for (i, refusal) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { ";" };
            write!(f, "{separator} \"{}\" ({}): {}", refusal.node, refusal.operator, refusal.reason)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusals {}

impl From<Refusals> for Error {
    fn from(refusals: Refusals) -> Self {
        let error = Self::unsupported(refusals.to_string());
        match refusals.0.as_slice() {
            [only] => {
                Self::unsupported(format!("rten can't run {}: {}", only.operator, only.reason)).at(&only.node)
            }
            _ => error,
        }
    }
}

/// Checks every node of `graph`, bodies of control flow included. Element types and shapes must have been inferred
/// ([`exegesis_graph::passes::infer`]); what is unknown is taken to be what rten has.
///
/// # Errors
/// All nodes that can't be run.
pub fn check(graph: &Graph) -> Result<(), Refusals> {
    let mut refusals = vec![];
    collect(graph, &mut refusals);
    if refusals.is_empty() { Ok(()) } else { Err(Refusals(refusals)) }
}

fn collect(graph: &Graph, refusals: &mut Vec<Refusal>) {
    for (_, node) in graph.nodes() {
        if let Support::Refused(reason) = support(graph, node) {
            let operator = node.op.name().to_string();
            refusals.push(Refusal { node: node.source_name().to_string(), operator, reason });
        }
        for body in node.op.subgraphs() {
            collect(&body.graph, refusals);
        }
    }
}

/// What happens to `node`, which is part of `graph`.
pub fn support(graph: &Graph, node: &Node) -> Support {
    let context = Context::new(graph, node);
    if let Some(reason) = context.impossible_type() {
        return Support::Refused(reason);
    }
    match &node.op {
        Op::Unary(kind) => elementwise::unary(*kind, &context),
        Op::Binary(kind) => elementwise::binary(*kind, &context),
        Op::Variadic(kind) => elementwise::variadic(*kind, &context),
        Op::Reduce(reduce) => indexing::reduce(reduce, &context),
        Op::Celu(_)
        | Op::Elu(_)
        | Op::HardSigmoid(_)
        | Op::LeakyRelu(_)
        | Op::Selu(_)
        | Op::Shrink(_)
        | Op::ThresholdedRelu(_)
        | Op::Clip(_)
        | Op::IsInf(_)
        | Op::Cast(_)
        | Op::CastLike(_)
        | Op::Mod(_)
        | Op::BitShift(_)
        | Op::Where(_) => elementwise::other(&node.op, &context),
        Op::MatMul(_) | Op::Gemm(_) | Op::Einsum(_) => linear::support(&node.op, &context),
        Op::Conv(_)
        | Op::ConvTranspose(_)
        | Op::MaxPool(_)
        | Op::AveragePool(_)
        | Op::LpPool(_)
        | Op::GlobalAveragePool(_)
        | Op::GlobalMaxPool(_)
        | Op::GlobalLpPool(_) => windows::support(&node.op, &context),
        Op::Softmax(_)
        | Op::LogSoftmax(_)
        | Op::Hardmax(_)
        | Op::BatchNormalization(_)
        | Op::InstanceNormalization(_)
        | Op::LayerNormalization(_)
        | Op::LpNormalization(_)
        | Op::Lrn(_)
        | Op::MeanVarianceNormalization(_) => normalization::support(&node.op, &context),
        Op::ArgMax(_)
        | Op::ArgMin(_)
        | Op::CumSum(_)
        | Op::TopK(_)
        | Op::NonZero(_)
        | Op::Unique(_)
        | Op::NonMaxSuppression(_)
        | Op::Compress(_)
        | Op::Gather(_)
        | Op::GatherElements(_)
        | Op::GatherND(_)
        | Op::GridSample(_)
        | Op::OneHot(_)
        | Op::ReverseSequence(_)
        | Op::RoiAlign(_)
        | Op::ScatterElements(_)
        | Op::ScatterND(_) => indexing::support(&node.op, &context),
        Op::Resize(attributes) => resize::support(attributes, &context),
        Op::Concat(_)
        | Op::ConstantOfShape(_)
        | Op::DepthToSpace(_)
        | Op::Expand(_)
        | Op::EyeLike(_)
        | Op::Flatten(_)
        | Op::Pad(_)
        | Op::Range(_)
        | Op::Reshape(_)
        | Op::Shape(_)
        | Op::Size(_)
        | Op::Slice(_)
        | Op::SpaceToDepth(_)
        | Op::Split(_)
        | Op::Squeeze(_)
        | Op::Tile(_)
        | Op::Transpose(_)
        | Op::Trilu(_)
        | Op::Unsqueeze(_) => layout::support(&node.op, &context),
        Op::Lstm(_)
        | Op::Gru(_)
        | Op::Rnn(_)
        | Op::If(_)
        | Op::Loop(_)
        | Op::Scan(_)
        | Op::DequantizeLinear(_)
        | Op::QuantizeLinear(_)
        | Op::Opaque(_) => control::support(&node.op, &context),
        Op::Gelu(_)
        | Op::Swish(_)
        | Op::RmsNormalization(_)
        | Op::GroupNormalization(_)
        | Op::Linear(_)
        | Op::OneMinusSigmoid(_)
        | Op::Attention(_)
        | Op::RotaryEmbedding(_) => context
            .wrong_type(0, &[exegesis_graph::DType::F32])
            .unwrap_or(Support::Lowered("an operator of a later opset, or its definition")),
    }
}
