//! The vocabulary: operators of the canonical opset with typed attributes, families of alike operators, and composites.
//!
//! Field names are the attribute names of ONNX. Inputs and outputs are described in the ONNX operator reference;
//! composites describe theirs here.

pub mod attribute;
mod kinds;

use std::sync::Arc;

pub use attribute::{Attribute, AttributeValue, Attributes};
pub use kinds::*;

use crate::{DType, Result, Subgraph, Tensor};

/// The opset that graphs are held in and written as.
pub const CANONICAL_OPSET: i64 = 18;

/// Defines attribute structs and, for each, reading and writing.
macro_rules! operators {
    ($($(#[$meta:meta])* $name:ident = $onnx:literal { $($(#[$fmeta:meta])* $field:ident : $t:ty = $default:expr),* $(,)? })*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Debug, PartialEq)]
            // Fields bear the attribute names of ONNX, which are not all in snake case.
            #[allow(missing_docs, non_snake_case)]
            pub struct $name { $($(#[$fmeta])* pub $field: $t),* }
            impl Default for $name {
                fn default() -> Self { Self { $($field: $default),* } }
            }
            impl From<$name> for Op {
                fn from(op: $name) -> Self { Self::$name(op) }
            }
        )*

        /// An operator.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs)]
        pub enum Op {
            /// Element-wise, one input.
            Unary(Unary),
            /// Element-wise, two inputs.
            Binary(Binary),
            /// Element-wise, any number of inputs.
            Variadic(Variadic),
            /// Reduction over axes.
            Reduce(Reduce),
            $($name($name),)*
            /// `If`; node inputs: condition, then the captures of both branches.
            If(Box<If>),
            /// `Loop`; node inputs: trip count, condition, carried values, then captures.
            Loop(Box<Loop>),
            /// `Scan`; node inputs: states, scanned inputs, then captures.
            Scan(Box<Scan>),
            /// An operator outside the vocabulary, kept as it was read.
            Opaque(Box<Opaque>),
        }

        impl Op {
            /// Operator name as in ONNX; of composites without an ONNX operator in opset 18, the name of the newer or
            /// contributed operator.
            pub fn name(&self) -> &str {
                match self {
                    Self::Unary(k) => k.as_str(),
                    Self::Binary(k) => k.as_str(),
                    Self::Variadic(k) => k.as_str(),
                    Self::Reduce(r) => r.kind.as_str(),
                    $(Self::$name(_) => $onnx,)*
                    Self::If(_) => "If",
                    Self::Loop(_) => "Loop",
                    Self::Scan(_) => "Scan",
                    Self::Opaque(o) => &o.op_type,
                }
            }

            /// Names of all operators of the vocabulary, composites and control flow included, sorted.
            pub fn vocabulary() -> Vec<&'static str> {
                let families = Unary::ALL.iter().map(|k| k.as_str()).chain(Binary::ALL.iter().map(|k| k.as_str()));
                let families = families.chain(Variadic::ALL.iter().map(|k| k.as_str()));
                let families = families.chain(ReduceKind::ALL.iter().map(|k| k.as_str()));
                let mut names: Vec<&str> = families.chain([$($onnx),*]).chain(["If", "Loop", "Scan"]).collect();
                names.sort_unstable();
                names
            }

            /// The operator called `op_type` with these attributes (already those of the canonical opset or of a
            /// composite), or `None` if the name is not in the vocabulary. Attributes that were used are removed from
            /// `attributes`. Control flow is read elsewhere.
            ///
            /// # Errors
            /// An attribute of the wrong kind.
            pub fn from_attributes(op_type: &str, attributes: &mut Attributes) -> Result<Option<Self>> {
                if let Some(kind) = Unary::parse(op_type) {
                    return Ok(Some(Self::Unary(kind)));
                }
                if let Some(kind) = Binary::parse(op_type) {
                    return Ok(Some(Self::Binary(kind)));
                }
                if let Some(kind) = Variadic::parse(op_type) {
                    return Ok(Some(Self::Variadic(kind)));
                }
                if let Some(kind) = ReduceKind::parse(op_type) {
                    let keepdims = attribute::take(attributes, "keepdims", true)?;
                    let noop_with_empty_axes = attribute::take(attributes, "noop_with_empty_axes", false)?;
                    return Ok(Some(Self::Reduce(Reduce { kind, keepdims, noop_with_empty_axes })));
                }
                match op_type {
                    $($onnx => {
                        #[allow(unused_mut, unused_assignments)]
                        let mut op = $name::default();
                        $(op.$field = attribute::take(attributes, stringify!($field), op.$field)?;)*
                        Ok(Some(Self::$name(op)))
                    })*
                    _ => Ok(None),
                }
            }

            /// Attributes as ONNX writes them (control flow: only what is not a graph).
            pub fn attributes(&self) -> Attributes {
                let mut attributes = Attributes::new();
                match self {
                    Self::Unary(_) | Self::Binary(_) | Self::Variadic(_) => {}
                    Self::Reduce(r) => {
                        attributes.insert("keepdims".into(), Attribute::Int(i64::from(r.keepdims)));
                        if r.noop_with_empty_axes {
                            attributes.insert("noop_with_empty_axes".into(), Attribute::Int(1));
                        }
                    }
                    $(
                        #[allow(unused_variables)]
                        Self::$name(op) => {
                            $(if let Some(a) = op.$field.to_attribute() {
                                attributes.insert(stringify!($field).into(), a);
                            })*
                        }
                    )*
                    Self::If(_) | Self::Loop(_) => {}
                    Self::Scan(scan) => attributes.extend(scan.attributes.clone()),
                    Self::Opaque(o) => attributes.extend(o.attributes.clone()),
                }
                attributes
            }
        }
    };
}

operators! {
    // Linear maps and contractions.
    /// Matrix product with broadcasting of the leading axes.
    MatMul = "MatMul" {}
    /// `alpha A' B' + beta C` on matrices.
    Gemm = "Gemm" { alpha: f32 = 1.0, beta: f32 = 1.0, transA: bool = false, transB: bool = false }
    /// Einstein summation.
    Einsum = "Einsum" { equation: String = String::new() }
    /// Convolution of any rank: `X [n, c, d...]`, `W [m, c/group, k...]`, optional `B [m]`.
    Conv = "Conv" {
        auto_pad: AutoPad = AutoPad::NotSet, dilations: Vec<i64> = vec![], group: i64 = 1,
        kernel_shape: Vec<i64> = vec![], pads: Vec<i64> = vec![], strides: Vec<i64> = vec![],
    }
    /// Transposed convolution: `X [n, c, d...]`, `W [c, m/group, k...]`, optional `B [m]`.
    ConvTranspose = "ConvTranspose" {
        auto_pad: AutoPad = AutoPad::NotSet, dilations: Vec<i64> = vec![], group: i64 = 1,
        kernel_shape: Vec<i64> = vec![], output_padding: Vec<i64> = vec![], output_shape: Vec<i64> = vec![],
        pads: Vec<i64> = vec![], strides: Vec<i64> = vec![],
    }
    // Pools.
    /// Maximum over windows.
    MaxPool = "MaxPool" {
        auto_pad: AutoPad = AutoPad::NotSet, ceil_mode: bool = false, dilations: Vec<i64> = vec![],
        kernel_shape: Vec<i64> = vec![], pads: Vec<i64> = vec![], storage_order: i64 = 0, strides: Vec<i64> = vec![],
    }
    /// Mean over windows.
    AveragePool = "AveragePool" {
        auto_pad: AutoPad = AutoPad::NotSet, ceil_mode: bool = false, count_include_pad: bool = false,
        dilations: Vec<i64> = vec![], kernel_shape: Vec<i64> = vec![], pads: Vec<i64> = vec![],
        strides: Vec<i64> = vec![],
    }
    /// Lp norm over windows.
    LpPool = "LpPool" {
        auto_pad: AutoPad = AutoPad::NotSet, ceil_mode: bool = false, dilations: Vec<i64> = vec![],
        kernel_shape: Vec<i64> = vec![], p: i64 = 2, pads: Vec<i64> = vec![], strides: Vec<i64> = vec![],
    }
    /// Mean over all spatial axes.
    GlobalAveragePool = "GlobalAveragePool" {}
    /// Maximum over all spatial axes.
    GlobalMaxPool = "GlobalMaxPool" {}
    /// Lp norm over all spatial axes.
    GlobalLpPool = "GlobalLpPool" { p: i64 = 2 }
    // Activations with parameters.
    /// `max(0,x) + min(0, alpha (exp(x/alpha) - 1))`.
    Celu = "Celu" { alpha: f32 = 1.0 }
    /// Between optional inputs `min` and `max`.
    Clip = "Clip" {}
    /// `x` or `alpha (exp x - 1)`.
    Elu = "Elu" { alpha: f32 = 1.0 }
    /// Composite (operator since opset 20): Gaussian error linear unit.
    Gelu = "Gelu" { approximate: GeluForm = GeluForm::Erf }
    /// `max(0, min(1, alpha x + beta))`.
    HardSigmoid = "HardSigmoid" { alpha: f32 = 0.2, beta: f32 = 0.5 }
    /// Tests for infinities.
    IsInf = "IsInf" { detect_negative: bool = true, detect_positive: bool = true }
    /// `x` or `alpha x`.
    LeakyRelu = "LeakyRelu" { alpha: f32 = 0.01 }
    /// Scaled ELU.
    Selu = "Selu" { alpha: f32 = 1.673_263_2, gamma: f32 = 1.050_701 }
    /// Soft threshold.
    Shrink = "Shrink" { bias: f32 = 0.0, lambd: f32 = 0.5 }
    /// Composite (operator since opset 24): `x sigmoid(alpha x)`; SiLU with `alpha = 1`.
    Swish = "Swish" { alpha: f32 = 1.0 }
    /// `x` where above `alpha`, else 0.
    ThresholdedRelu = "ThresholdedRelu" { alpha: f32 = 1.0 }
    // Softmax family.
    /// Softmax along one axis (opset 13 meaning).
    Softmax = "Softmax" { axis: i64 = -1 }
    /// Logarithm of softmax.
    LogSoftmax = "LogSoftmax" { axis: i64 = -1 }
    /// One at the first maximum along the axis.
    Hardmax = "Hardmax" { axis: i64 = -1 }
    // Normalisation.
    /// Inference form: `X, scale, B, mean, var`.
    BatchNormalization = "BatchNormalization" { epsilon: f32 = 1e-5 }
    /// Composite on writing below opset 21: `X [n, c, ...]`, `scale [c]`, `bias [c]`.
    GroupNormalization = "GroupNormalization" { epsilon: f32 = 1e-5, num_groups: i64 = 1 }
    /// `X [n, c, ...]`, `scale [c]`, `B [c]`.
    InstanceNormalization = "InstanceNormalization" { epsilon: f32 = 1e-5 }
    /// `X`, `Scale`, optional `B`, over axes `axis..`; only the first output is kept.
    LayerNormalization = "LayerNormalization" { axis: i64 = -1, epsilon: f32 = 1e-5, stash_type: i64 = 1 }
    /// Composite (operator since opset 23): `X / rms(X) * scale` over axes `axis..`.
    RmsNormalization = "RMSNormalization" { axis: i64 = -1, epsilon: f32 = 1e-5 }
    /// Division by the Lp norm along one axis.
    LpNormalization = "LpNormalization" { axis: i64 = -1, p: i64 = 2 }
    /// Local response normalisation across channels.
    Lrn = "LRN" { alpha: f32 = 1e-4, beta: f32 = 0.75, bias: f32 = 1.0, size: i64 = 1 }
    /// Mean and variance normalisation.
    MeanVarianceNormalization = "MeanVarianceNormalization" { axes: Vec<i64> = vec![0, 2, 3] }
    // Element selection and combination.
    /// Type conversion.
    Cast = "Cast" { to: DType = DType::F32 }
    /// Type conversion to the type of the second input.
    CastLike = "CastLike" {}
    /// Remainder; `fmod` keeps the dividend's sign.
    Mod = "Mod" { fmod: bool = false }
    /// Bit shift by the second input.
    BitShift = "BitShift" { direction: String = String::new() }
    /// `condition ? X : Y`, broadcast.
    Where = "Where" {}
    // Reductions to indices and orders.
    /// Index of the maximum.
    ArgMax = "ArgMax" { axis: i64 = 0, keepdims: bool = true, select_last_index: bool = false }
    /// Index of the minimum.
    ArgMin = "ArgMin" { axis: i64 = 0, keepdims: bool = true, select_last_index: bool = false }
    /// Running sum along the axis in the second input.
    CumSum = "CumSum" { exclusive: bool = false, reverse: bool = false }
    /// Largest (or smallest) `k`: values and indices.
    TopK = "TopK" { axis: i64 = -1, largest: bool = true, sorted: bool = true }
    /// Coordinates of the non-zero elements.
    NonZero = "NonZero" {}
    /// Distinct values.
    Unique = "Unique" { axis: Option<i64> = None, sorted: bool = true }
    /// Boxes that survive non-maximum suppression.
    NonMaxSuppression = "NonMaxSuppression" { center_point_box: i64 = 0 }
    // Shape and movement.
    /// Concatenation along an axis.
    Concat = "Concat" { axis: i64 = 0 }
    /// Rows where the condition holds.
    Compress = "Compress" { axis: Option<i64> = None }
    /// Constant tensor of a shape that is computed.
    ConstantOfShape = "ConstantOfShape" { value: Option<Arc<Tensor>> = None }
    /// Channels to space.
    DepthToSpace = "DepthToSpace" { blocksize: i64 = 1, mode: DepthOrder = DepthOrder::Dcr }
    /// Broadcast to a shape.
    Expand = "Expand" {}
    /// Ones on a diagonal.
    EyeLike = "EyeLike" { dtype: Option<DType> = None, k: i64 = 0 }
    /// To a matrix.
    Flatten = "Flatten" { axis: i64 = 1 }
    /// Slices along an axis by index.
    Gather = "Gather" { axis: i64 = 0 }
    /// Elements along an axis by index.
    GatherElements = "GatherElements" { axis: i64 = 0 }
    /// Slices by coordinates.
    GatherND = "GatherND" { batch_dims: i64 = 0 }
    /// Sampling at normalised coordinates.
    GridSample = "GridSample" {
        align_corners: bool = false, mode: String = "bilinear".to_string(), padding_mode: String = "zeros".to_string(),
    }
    /// One-hot encoding: indices, depth, values.
    OneHot = "OneHot" { axis: i64 = -1 }
    /// Padding: data, pads, optional value, optional axes.
    Pad = "Pad" { mode: PadMode = PadMode::Constant }
    /// `start, limit, delta`.
    Range = "Range" {}
    /// New shape, `0` copies (unless `allowzero`), `-1` infers.
    Reshape = "Reshape" { allowzero: bool = false }
    /// Resampling: X, optional roi, scales or sizes.
    Resize = "Resize" {
        antialias: bool = false, axes: Option<Vec<i64>> = None,
        coordinate_transformation_mode: CoordinateMode = CoordinateMode::HalfPixel, cubic_coeff_a: f32 = -0.75,
        exclude_outside: bool = false, extrapolation_value: f32 = 0.0,
        keep_aspect_ratio_policy: AspectPolicy = AspectPolicy::Stretch, mode: ResizeMode = ResizeMode::Nearest,
        nearest_mode: NearestMode = NearestMode::RoundPreferFloor,
    }
    /// Reversal of the first `sequence_lens` steps.
    ReverseSequence = "ReverseSequence" { batch_axis: i64 = 1, time_axis: i64 = 0 }
    /// Pooling of regions.
    RoiAlign = "RoiAlign" {
        coordinate_transformation_mode: String = "half_pixel".to_string(), mode: String = "avg".to_string(),
        output_height: i64 = 1, output_width: i64 = 1, sampling_ratio: i64 = 0, spatial_scale: f32 = 1.0,
    }
    /// Element-wise scatter along an axis.
    ScatterElements = "ScatterElements" { axis: i64 = 0, reduction: ScatterReduction = ScatterReduction::None }
    /// Slice-wise scatter by coordinates.
    ScatterND = "ScatterND" { reduction: ScatterReduction = ScatterReduction::None }
    /// Dimensions `start..end` as int64.
    Shape = "Shape" { start: i64 = 0, end: Option<i64> = None }
    /// Number of elements.
    Size = "Size" {}
    /// Strided slice: data, starts, ends, optional axes, steps.
    Slice = "Slice" {}
    /// Space to channels.
    SpaceToDepth = "SpaceToDepth" { blocksize: i64 = 1 }
    /// Parts along an axis; sizes in the optional second input.
    Split = "Split" { axis: i64 = 0, num_outputs: Option<i64> = None }
    /// Removes axes of size 1 (second input).
    Squeeze = "Squeeze" {}
    /// Repetition.
    Tile = "Tile" {}
    /// Permutation of axes; empty `perm` reverses.
    Transpose = "Transpose" { perm: Vec<i64> = vec![] }
    /// Upper or lower triangle.
    Trilu = "Trilu" { upper: bool = true }
    /// Inserts axes of size 1 (second input).
    Unsqueeze = "Unsqueeze" {}
    // Recurrent layers (gate orders of ONNX).
    /// `X, W, R, B, sequence_lens, initial_h, initial_c, P` -> `Y, Y_h, Y_c`.
    Lstm = "LSTM" {
        activation_alpha: Vec<f32> = vec![], activation_beta: Vec<f32> = vec![], activations: Vec<String> = vec![],
        clip: Option<f32> = None, direction: Direction = Direction::Forward, hidden_size: i64 = 0,
        input_forget: bool = false, layout: i64 = 0,
    }
    /// `X, W, R, B, sequence_lens, initial_h` -> `Y, Y_h`.
    Gru = "GRU" {
        activation_alpha: Vec<f32> = vec![], activation_beta: Vec<f32> = vec![], activations: Vec<String> = vec![],
        clip: Option<f32> = None, direction: Direction = Direction::Forward, hidden_size: i64 = 0, layout: i64 = 0,
        linear_before_reset: bool = false,
    }
    /// `X, W, R, B, sequence_lens, initial_h` -> `Y, Y_h`.
    Rnn = "RNN" {
        activation_alpha: Vec<f32> = vec![], activation_beta: Vec<f32> = vec![], activations: Vec<String> = vec![],
        clip: Option<f32> = None, direction: Direction = Direction::Forward, hidden_size: i64 = 0, layout: i64 = 0,
    }
    // Quantised tensors.
    /// `(x - zero_point) * scale`.
    DequantizeLinear = "DequantizeLinear" { axis: i64 = 1 }
    /// `saturate(round(x / scale) + zero_point)`.
    QuantizeLinear = "QuantizeLinear" { axis: i64 = 1 }
    // Composites without an ONNX operator at the canonical opset.
    /// Composite: `x [..., k] W [k, n] + b [n]`; inputs `x, W, b` (`W`, `b` constant). With `transB` the weight is `[n, k]`.
    Linear = "Linear" { transB: bool = false }
    /// Composite: `1 - sigmoid(x)`.
    OneMinusSigmoid = "OneMinusSigmoid" {}
    /// Composite (operator since opset 23), 4-D form only: `Q [b, h, t, d]`, `K [b, h_kv, s, d]`, `V [b, h_kv, s, e]`,
    /// optional additive float or boolean mask broadcastable to `[b, h, t, s]`; output `[b, h, t, e]`.
    /// `h` a multiple of `h_kv` (grouped queries). `softcap` 0 is off. `guard_nan` replaces NaN weights of wholly masked
    /// rows by 0.
    Attention = "Attention" {
        scale: f32 = 1.0, is_causal: bool = false, softcap: f32 = 0.0, guard_nan: bool = false,
    }
    /// Composite (operator since opset 23), 4-D form only: `X [b, h, t, d]`, `cos`, `sin` broadcastable to
    /// `[b, h, t, d]` (rotate-half layout) or to `[b, h, t, d/2]` when `interleaved`.
    RotaryEmbedding = "RotaryEmbedding" { interleaved: bool = false }
}

/// Attributes of the reductions.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduce {
    /// Which reduction.
    pub kind: ReduceKind,
    /// Reduced axes stay as size 1.
    pub keepdims: bool,
    /// Absent or empty axes mean "none" instead of "all".
    pub noop_with_empty_axes: bool,
}

/// Attributes of `If`.
#[derive(Clone, Debug, PartialEq)]
pub struct If {
    /// Run when the condition is true.
    pub then_branch: Subgraph,
    /// Run otherwise.
    pub else_branch: Subgraph,
}

/// Attributes of `Loop`.
#[derive(Clone, Debug, PartialEq)]
pub struct Loop {
    /// Body: iteration, condition, carried values -> condition, carried values, scan outputs.
    pub body: Subgraph,
}

/// Attributes of `Scan`.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// Body: states, scan slices -> states, scan outputs.
    pub body: Subgraph,
    /// Everything but the body, as read.
    pub attributes: Attributes,
}

/// Domain of the operator that stands for a function of the caller.
pub const FUNCTION_DOMAIN: &str = "exegesis.function";

/// An operator that the IR does not interpret.
#[derive(Clone, Debug, PartialEq)]
pub struct Opaque {
    /// Operator domain; empty is the default domain.
    pub domain: String,
    /// Operator name.
    pub op_type: String,
    /// Version of the domain's operator set in the model that it was read from.
    pub version: i64,
    /// Attributes as read.
    pub attributes: Attributes,
    /// Why it was not interpreted.
    pub reason: String,
}

impl From<Unary> for Op {
    fn from(kind: Unary) -> Self {
        Self::Unary(kind)
    }
}

impl From<Binary> for Op {
    fn from(kind: Binary) -> Self {
        Self::Binary(kind)
    }
}

impl From<Variadic> for Op {
    fn from(kind: Variadic) -> Self {
        Self::Variadic(kind)
    }
}

impl From<Reduce> for Op {
    fn from(reduce: Reduce) -> Self {
        Self::Reduce(reduce)
    }
}

impl Op {
    /// True for the operators that stand for several and must be expanded before an opset-18 graph is written.
    pub fn is_composite(&self) -> bool {
        matches!(
            self,
            Self::Gelu(_)
                | Self::Swish(_)
                | Self::RmsNormalization(_)
                | Self::GroupNormalization(_)
                | Self::Linear(_)
                | Self::OneMinusSigmoid(_)
                | Self::Attention(_)
                | Self::RotaryEmbedding(_)
        )
    }

    /// The nested graphs of control flow, in the order of their captures among the node's inputs.
    pub fn subgraphs(&self) -> Vec<&Subgraph> {
        match self {
            Self::If(op) => vec![&op.then_branch, &op.else_branch],
            Self::Loop(op) => vec![&op.body],
            Self::Scan(op) => vec![&op.body],
            _ => vec![],
        }
    }

    /// Mutable access to the nested graphs.
    pub fn subgraphs_mut(&mut self) -> Vec<&mut Subgraph> {
        match self {
            Self::If(op) => vec![&mut op.then_branch, &mut op.else_branch],
            Self::Loop(op) => vec![&mut op.body],
            Self::Scan(op) => vec![&mut op.body],
            _ => vec![],
        }
    }
}
