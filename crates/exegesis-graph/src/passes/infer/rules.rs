//! Which rule treats which operator.

use super::context::Context;
use super::fact::Fact;
use super::windows::Window;
use super::{elementwise, generate, indexing, layout, linear, recurrent, slice, windows};
use crate::op::AutoPad;
use crate::{DType, Op, Result};

/// Facts of the outputs of an operator without subgraphs.
pub(super) fn infer(cx: &mut Context) -> Result<Vec<Fact>> {
    let node = cx.node;
    let one = match &node.op {
        Op::Unary(kind) => elementwise::unary(cx, *kind),
        Op::Binary(kind) => elementwise::binary(cx, *kind),
        Op::Variadic(kind) => elementwise::variadic(cx, *kind),
        Op::Reduce(op) => indexing::reduce(cx, op),

        Op::MatMul(_) => linear::matmul(cx),
        Op::Gemm(op) => linear::gemm(cx, op),
        Op::Einsum(op) => linear::einsum(cx, op),
        Op::Linear(op) => linear::linear(cx, op.transB),
        Op::Attention(_) => linear::attention(cx),
        Op::RotaryEmbedding(op) => linear::rotary(cx, op),
        Op::Conv(op) => {
            let window = Window {
                auto_pad: op.auto_pad,
                dilations: &op.dilations,
                kernel: &op.kernel_shape,
                pads: &op.pads,
                strides: &op.strides,
                ceil: false,
            };
            windows::conv(cx, &window, op.group)
        }
        Op::ConvTranspose(op) => windows::conv_transpose(cx, op),

        Op::MaxPool(op) => {
            let (auto_pad, kernel, pads) = (op.auto_pad, &op.kernel_shape, &op.pads);
            return pool(cx, auto_pad, &op.dilations, kernel, pads, &op.strides, op.ceil_mode);
        }
        Op::AveragePool(op) => {
            let (auto_pad, kernel, pads) = (op.auto_pad, &op.kernel_shape, &op.pads);
            return pool(cx, auto_pad, &op.dilations, kernel, pads, &op.strides, op.ceil_mode);
        }
        Op::LpPool(op) => {
            let (auto_pad, kernel, pads) = (op.auto_pad, &op.kernel_shape, &op.pads);
            return pool(cx, auto_pad, &op.dilations, kernel, pads, &op.strides, op.ceil_mode);
        }
        Op::GlobalAveragePool(_) | Op::GlobalMaxPool(_) | Op::GlobalLpPool(_) => windows::global_pool(cx),
        Op::RoiAlign(op) => windows::roi_align(cx, op),
        Op::GridSample(_) => windows::grid_sample(cx),
        Op::Resize(op) => windows::resize(cx, op),

        Op::Celu(_)
        | Op::Elu(_)
        | Op::Gelu(_)
        | Op::HardSigmoid(_)
        | Op::LeakyRelu(_)
        | Op::Selu(_)
        | Op::Swish(_)
        | Op::ThresholdedRelu(_)
        | Op::OneMinusSigmoid(_)
        | Op::MeanVarianceNormalization(_) => elementwise::same_as_input(cx),
        Op::Shrink(_) => {
            let input = cx.input(0)?;
            Ok(Fact::new(input.dtype, input.shape.clone()))
        }
        Op::Clip(_) => elementwise::clip(cx),
        Op::IsInf(_) => {
            let fact = elementwise::same_as_input(cx)?;
            Ok(Fact::new(Some(DType::Bool), fact.shape))
        }
        Op::Softmax(op) => elementwise::along_axis(cx, op.axis),
        Op::LogSoftmax(op) => elementwise::along_axis(cx, op.axis),
        Op::Hardmax(op) => elementwise::along_axis(cx, op.axis),
        Op::LpNormalization(op) => elementwise::along_axis(cx, op.axis),
        Op::BatchNormalization(_) => elementwise::per_channel(cx, 1..5),
        Op::GroupNormalization(op) => {
            let fact = elementwise::per_channel(cx, 1..3)?;
            let channels = fact.shape.as_ref().and_then(|s| s.get(1)).and_then(|c| c.fixed());
            match channels.map(|c| c.checked_rem(op.num_groups)) {
                Some(rest) if rest != Some(0) || op.num_groups < 1 => Err(cx.error(format!(
                    "the channels of {} can't be divided into {} groups",
                    cx.show(0),
                    op.num_groups
                ))),
                _ => Ok(fact),
            }
        }
        Op::InstanceNormalization(_) => elementwise::per_channel(cx, 1..3),
        Op::LayerNormalization(op) => elementwise::layer_norm(cx, op.axis),
        Op::RmsNormalization(op) => elementwise::layer_norm(cx, op.axis),
        Op::Lrn(_) => elementwise::per_channel(cx, 0..0),

        Op::Cast(op) => elementwise::cast(cx, Some(op.to)),
        Op::CastLike(_) => {
            let to = cx.input(1)?.dtype;
            elementwise::cast(cx, to)
        }
        Op::Mod(_) => elementwise::remainder(cx),
        Op::BitShift(_) => elementwise::bit_shift(cx),
        Op::Where(_) => elementwise::select(cx),
        Op::DequantizeLinear(_) => elementwise::quantise(cx, true),
        Op::QuantizeLinear(_) => elementwise::quantise(cx, false),

        Op::ArgMax(op) => indexing::arg_max(cx, op),
        Op::ArgMin(op) => {
            let op = crate::op::ArgMax {
                axis: op.axis,
                keepdims: op.keepdims,
                select_last_index: op.select_last_index,
            };
            indexing::arg_max(cx, &op)
        }
        Op::CumSum(_) => indexing::cumulative_sum(cx),
        Op::TopK(op) => return indexing::top_k(cx, op),
        Op::NonZero(_) => indexing::non_zero(cx),
        Op::Unique(op) => return indexing::unique(cx, op),
        Op::NonMaxSuppression(_) => indexing::non_max_suppression(cx),
        Op::Compress(op) => indexing::compress(cx, op),
        Op::Gather(op) => indexing::gather(cx, op),
        Op::GatherElements(op) => indexing::gather_elements(cx, op.axis),
        Op::GatherND(op) => indexing::gather_nd(cx, op),
        Op::ScatterElements(_) | Op::ScatterND(_) => indexing::scatter(cx),
        Op::OneHot(op) => indexing::one_hot(cx, op),
        Op::ReverseSequence(op) => indexing::reverse_sequence(cx, op),

        Op::Concat(op) => layout::concat(cx, op),
        Op::DepthToSpace(op) => layout::depth_to_space(cx, op.blocksize, false),
        Op::SpaceToDepth(op) => layout::depth_to_space(cx, op.blocksize, true),
        Op::Expand(_) => layout::expand(cx),
        Op::Flatten(op) => layout::flatten(cx, op),
        Op::Pad(op) => layout::pad(cx, op),
        Op::Reshape(op) => layout::reshape(cx, op),
        Op::Shape(op) => layout::shape_of(cx, op),
        Op::Size(_) => layout::size_of(cx),
        Op::Slice(_) => slice::slice(cx),
        Op::Split(op) => return layout::split(cx, op),
        Op::Squeeze(_) => layout::squeeze(cx),
        Op::Tile(_) => layout::tile(cx),
        Op::Transpose(op) => layout::transpose(cx, op),
        Op::Trilu(_) => {
            let input = cx.input(0)?;
            match input.rank() {
                Some(0 | 1) => Err(cx.error(format!("the input of shape {} is no matrix", cx.show(0)))),
                _ => Ok(Fact::new(input.dtype, input.shape.clone())),
            }
        }
        Op::Unsqueeze(_) => layout::unsqueeze(cx),

        Op::ConstantOfShape(op) => generate::constant_of_shape(cx, op),
        Op::EyeLike(op) => generate::eye_like(cx, op),
        Op::Range(_) => generate::range(cx),

        Op::Lstm(op) => return recurrent::layer(cx, 4, op.direction, op.hidden_size, op.layout),
        Op::Gru(op) => return recurrent::layer(cx, 3, op.direction, op.hidden_size, op.layout),
        Op::Rnn(op) => return recurrent::layer(cx, 1, op.direction, op.hidden_size, op.layout),

        // Control flow is inferred elsewhere; of opaque operators nothing is known.
        Op::If(_) | Op::Loop(_) | Op::Scan(_) | Op::Opaque(_) => return Ok(vec![]),
    };
    one.map(|fact| vec![fact])
}

fn pool(
    cx: &mut Context,
    auto_pad: AutoPad,
    dilations: &[i64],
    kernel: &[i64],
    pads: &[i64],
    strides: &[i64],
    ceil: bool,
) -> Result<Vec<Fact>> {
    windows::pool(cx, &Window { auto_pad, dilations, kernel, pads, strides, ceil })
}
