//! From operator to function.

use exegesis_graph::{Error, Op, Result};

use crate::array::Array;
use crate::operands::Operands;
use crate::run::Options;
use crate::{
    control_flow, convolution, detection, einsum, elementwise, grid_sample, indexing, linear, movement,
    normalization, order, pooling, quantization, recurrent, reduction, resize, scatter,
};

/// The results of `op`, in order; at least as many as the node uses.
pub(crate) fn evaluate(op: &Op, x: Operands, outputs: usize, options: Options) -> Result<Vec<Array>> {
    let one = match op {
        Op::Unary(kind) => elementwise::unary(*kind, x),
        Op::Binary(kind) => elementwise::binary(*kind, x),
        Op::Variadic(kind) => elementwise::variadic(*kind, x),
        Op::Reduce(op) => reduction::reduce(op, x),

        Op::MatMul(_) => linear::matmul(x.get(0)?, x.get(1)?),
        Op::Gemm(op) => linear::gemm(op, x),
        Op::Linear(op) => linear::linear(op, x),
        Op::Attention(op) => linear::attention(op, x),
        Op::RotaryEmbedding(op) => linear::rotary_embedding(op, x),
        Op::Einsum(op) => einsum::einsum(op, x),
        Op::Conv(op) => convolution::conv(op, x),
        Op::ConvTranspose(op) => convolution::conv_transpose(op, x),

        Op::MaxPool(op) => return pooling::max_pool(op, x),
        Op::AveragePool(op) => pooling::average_pool(op, x),
        Op::LpPool(op) => pooling::lp_pool(op, x),
        Op::GlobalAveragePool(_) => pooling::global(x, |w| w.iter().sum::<f64>() / w.len() as f64),
        Op::GlobalMaxPool(_) => {
            pooling::global(x, |w| w.iter().copied().fold(f64::NEG_INFINITY, elementwise::maximum))
        }
        Op::GlobalLpPool(op) => pooling::global(x, |w| pooling::lp_norm(w, op.p)),

        Op::Celu(_)
        | Op::Elu(_)
        | Op::Gelu(_)
        | Op::HardSigmoid(_)
        | Op::LeakyRelu(_)
        | Op::OneMinusSigmoid(_)
        | Op::Selu(_)
        | Op::Shrink(_)
        | Op::Swish(_)
        | Op::ThresholdedRelu(_) => elementwise::activation(op, x),
        Op::Clip(_) => elementwise::clip(x),
        Op::IsInf(op) => elementwise::is_inf(op, x),
        Op::Cast(op) => elementwise::cast(x.get(0)?, op.to),
        Op::CastLike(_) => elementwise::cast(x.get(0)?, x.get(1)?.dtype),
        Op::Mod(op) => elementwise::modulo(op, x),
        Op::BitShift(op) => elementwise::bit_shift(op, x),
        Op::Where(_) => elementwise::choose(x),

        Op::Softmax(op) => normalization::softmax(x, op.axis),
        Op::LogSoftmax(op) => normalization::log_softmax(x, op.axis),
        Op::Hardmax(op) => normalization::hardmax(x, op.axis),
        Op::BatchNormalization(op) => normalization::batch(op, x),
        Op::GroupNormalization(op) => normalization::group(op, x),
        Op::InstanceNormalization(op) => normalization::instance(op, x),
        Op::LayerNormalization(op) => return normalization::layer(op, x),
        Op::RmsNormalization(op) => normalization::rms(op, x),
        Op::LpNormalization(op) => normalization::lp(op, x),
        Op::Lrn(op) => normalization::local_response(op, x),
        Op::MeanVarianceNormalization(op) => normalization::mean_variance(op, x),

        Op::ArgMax(op) => order::arg_max(op, x),
        Op::ArgMin(op) => order::arg_min(op, x),
        Op::CumSum(op) => order::cumulative_sum(op, x),
        Op::TopK(op) => return order::top_k(op, x),
        Op::Unique(op) => return order::unique(op, x),
        Op::NonZero(_) => order::non_zero(x),
        Op::NonMaxSuppression(op) => detection::non_max_suppression(op, x),
        Op::RoiAlign(op) => detection::roi_align(op, x),

        Op::Concat(op) => movement::concat(op.axis, &x.all()?),
        Op::ConstantOfShape(op) => movement::constant_of_shape(op, x),
        Op::DepthToSpace(op) => movement::depth_to_space(op, x),
        Op::Expand(_) => movement::expand(x),
        Op::EyeLike(op) => movement::eye_like(op, x),
        Op::Flatten(op) => movement::flatten(op, x),
        Op::Pad(op) => movement::pad(op, x),
        Op::Range(_) => movement::range(x),
        Op::Reshape(op) => movement::reshape(op, x),
        Op::ReverseSequence(op) => movement::reverse_sequence(op, x),
        Op::Shape(op) => movement::shape(op, x),
        Op::Size(_) => Ok(Array::scalar(exegesis_graph::DType::I64, x.get(0)?.len() as f64)),
        Op::Slice(_) => movement::slice(x),
        Op::SpaceToDepth(op) => movement::space_to_depth(op, x),
        Op::Split(op) => return movement::split(op, x, outputs),
        Op::Squeeze(_) => movement::squeeze(x),
        Op::Tile(_) => movement::tile(x),
        Op::Transpose(op) => movement::transpose(op, x),
        Op::Trilu(op) => movement::trilu(op, x),
        Op::Unsqueeze(_) => movement::unsqueeze(x),
        Op::Resize(op) => resize::resize(op, x),
        Op::GridSample(op) => grid_sample::grid_sample(op, x),

        Op::Compress(op) => indexing::compress(op, x),
        Op::Gather(op) => indexing::gather(op, x),
        Op::GatherElements(op) => indexing::gather_elements(op, x),
        Op::GatherND(op) => indexing::gather_nd(op, x),
        Op::OneHot(op) => indexing::one_hot(op, x),
        Op::ScatterElements(op) => scatter::scatter_elements(op, x),
        Op::ScatterND(op) => scatter::scatter_nd(op, x),

        Op::Lstm(op) => return recurrent::lstm(op, x),
        Op::Gru(op) => return recurrent::gru(op, x),
        Op::Rnn(op) => return recurrent::rnn(op, x),

        Op::DequantizeLinear(op) => quantization::dequantize(op, x),
        Op::QuantizeLinear(op) => quantization::quantize(op, x),

        Op::If(op) => return control_flow::conditional(op, x, options),
        Op::Loop(op) => return control_flow::repeat(op, x, options),
        Op::Scan(op) => return control_flow::scan(op, x, options),
        Op::Opaque(op) => {
            Err(Error::unsupported(format!("the operator {} can't be evaluated: {}", op.op_type, op.reason)))
        }
    };
    one.map(|array| vec![array])
}
