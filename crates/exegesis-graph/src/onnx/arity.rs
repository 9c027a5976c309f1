//! How many inputs and outputs each operator of the vocabulary has.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use crate::{Error, Node, Result};

/// Operator, inputs that must be given, inputs that may be given, outputs that may be used; `*` is any number. As in the
/// canonical opset; composites as [`crate::Op`] describes them.
const TABLE: &str = "\
    Abs 1 1 1, Acos 1 1 1, Acosh 1 1 1, Add 2 2 1, And 2 2 1, ArgMax 1 1 1, ArgMin 1 1 1, Asin 1 1 1, \
    Asinh 1 1 1, Atan 1 1 1, Atanh 1 1 1, Attention 3 4 1, AveragePool 1 1 1, BatchNormalization 5 5 1, \
    BitShift 2 2 1, BitwiseAnd 2 2 1, BitwiseNot 1 1 1, BitwiseOr 2 2 1, BitwiseXor 2 2 1, Cast 1 1 1, \
    CastLike 2 2 1, Ceil 1 1 1, Celu 1 1 1, Clip 1 3 1, Compress 2 2 1, Concat 1 * 1, ConstantOfShape 1 1 1, \
    Conv 2 3 1, ConvTranspose 2 3 1, Cos 1 1 1, Cosh 1 1 1, CumSum 2 2 1, DepthToSpace 1 1 1, \
    DequantizeLinear 2 3 1, Div 2 2 1, Einsum 1 * 1, Elu 1 1 1, Equal 2 2 1, Erf 1 1 1, Exp 1 1 1, Expand 2 2 1, \
    EyeLike 1 1 1, Flatten 1 1 1, Floor 1 1 1, GRU 3 6 2, Gather 2 2 1, GatherElements 2 2 1, GatherND 2 2 1, \
    Gelu 1 1 1, Gemm 2 3 1, GlobalAveragePool 1 1 1, GlobalLpPool 1 1 1, GlobalMaxPool 1 1 1, Greater 2 2 1, \
    GreaterOrEqual 2 2 1, GridSample 2 2 1, GroupNormalization 3 3 1, HardSigmoid 1 1 1, HardSwish 1 1 1, \
    Hardmax 1 1 1, Identity 1 1 1, InstanceNormalization 3 3 1, IsInf 1 1 1, IsNaN 1 1 1, LRN 1 1 1, LSTM 3 8 3, \
    LayerNormalization 2 3 1, LeakyRelu 1 1 1, Less 2 2 1, LessOrEqual 2 2 1, Log 1 1 1, LogSoftmax 1 1 1, \
    LpNormalization 1 1 1, LpPool 1 1 1, MatMul 2 2 1, Max 1 * 1, MaxPool 1 1 2, Mean 1 * 1, \
    MeanVarianceNormalization 1 1 1, Min 1 * 1, Mish 1 1 1, Mod 2 2 1, Mul 2 2 1, Neg 1 1 1, \
    NonMaxSuppression 2 5 1, NonZero 1 1 1, Not 1 1 1, OneHot 3 3 1, Or 2 2 1, PRelu 2 2 1, Pad 2 4 1, Pow 2 2 1, \
    QuantizeLinear 2 3 1, RMSNormalization 2 2 1, RNN 3 6 2, Range 3 3 1, Reciprocal 1 1 1, ReduceL1 1 2 1, \
    ReduceL2 1 2 1, ReduceLogSum 1 2 1, ReduceLogSumExp 1 2 1, ReduceMax 1 2 1, ReduceMean 1 2 1, \
    ReduceMin 1 2 1, ReduceProd 1 2 1, ReduceSum 1 2 1, ReduceSumSquare 1 2 1, Relu 1 1 1, Reshape 2 2 1, \
    Resize 1 4 1, ReverseSequence 2 2 1, RoiAlign 3 3 1, RotaryEmbedding 3 3 1, Round 1 1 1, \
    ScatterElements 3 3 1, ScatterND 3 3 1, Selu 1 1 1, Shape 1 1 1, Shrink 1 1 1, Sigmoid 1 1 1, Sign 1 1 1, \
    Sin 1 1 1, Sinh 1 1 1, Size 1 1 1, Slice 3 5 1, Softmax 1 1 1, Softplus 1 1 1, Softsign 1 1 1, \
    SpaceToDepth 1 1 1, Split 1 2 *, Sqrt 1 1 1, Squeeze 1 2 1, Sub 2 2 1, Sum 1 * 1, Swish 1 1 1, Tan 1 1 1, \
    Tanh 1 1 1, ThresholdedRelu 1 1 1, Tile 2 2 1, TopK 2 2 2, Transpose 1 1 1, Trilu 1 2 1, Unique 1 1 4, \
    Unsqueeze 2 2 1, Where 3 3 1, Xor 2 2 1";

struct Arity {
    required: usize,
    inputs: usize,
    outputs: usize,
}

static ARITIES: LazyLock<FxHashMap<&'static str, Arity>> = LazyLock::new(|| {
    let entry = |text: &'static str| {
        let mut words = text.split_whitespace();
        let name = words.next()?;
        let mut number = || words.next().map(|w| w.parse().unwrap_or(usize::MAX));
        Some((name, Arity { required: number()?, inputs: number()?, outputs: number()? }))
    };
    TABLE.split(',').filter_map(entry).collect()
});

/// Checks that a node has the operands that its operator needs and no others.
///
/// # Errors
/// A required input is absent, or there are too many inputs or outputs.
pub(super) fn check(node: &Node) -> Result<()> {
    let op = node.op.name();
    let Some(arity) = ARITIES.get(op) else { return Ok(()) };
    if let Some(i) = (0..arity.required).find(|i| node.input(*i).is_none()) {
        return Err(Error::malformed(format!("{op} lacks its required input {}", i + 1)));
    }
    if arity.inputs == usize::MAX && node.inputs.iter().any(Option::is_none) {
        return Err(Error::malformed(format!("an input of {op} is left out")));
    }
    if node.inputs.len() > arity.inputs {
        return Err(Error::malformed(format!(
            "{op} has {} inputs but takes {}",
            node.inputs.len(),
            arity.inputs
        )));
    }
    if node.outputs.len() > arity.outputs {
        return Err(Error::malformed(format!(
            "{op} has {} outputs but makes {}",
            node.outputs.len(),
            arity.outputs
        )));
    }
    Ok(())
}
