//! Linear maps with constant weights, and biases of convolutions.

use super::pattern::{Match, Operand, View, is_binary};
use crate::op::{Binary, Gemm, Linear, Op};
use crate::{DType, NodeId, Tensor, ValueId};

/// Largest weight that is multiplied by the `alpha` of a `Gemm`; a larger one would cost a copy that is not small.
const MAX_SCALED_WEIGHT: usize = 1 << 20;

/// `MatMul` by a constant matrix and `Add` of a constant vector, or `Gemm` with constant weight and vector.
pub(super) fn linear(view: &View<'_>, root: NodeId) -> Option<Match> {
    let node = view.graph.node(root);
    if let Op::Gemm(gemm) = &node.op {
        return from_gemm(view, gemm, node.input(0)?, node.input(1)?, node.input(2));
    }
    if !is_binary(node, Binary::Add) {
        return None;
    }
    view.both(node.output(0)?, Binary::Add).into_iter().find_map(|(product, bias)| {
        // Identities may stand between, casts not: they would round between product and bias.
        let inner = view.graph.producer_node(product)?;
        let (x, weight) = match inner.op {
            Op::MatMul(_) => (inner.input(0)?, inner.input(1)?),
            _ => return None,
        };
        let [_, columns] = view.graph.constant(weight)?.shape() else { return None };
        let rank = view.dims(x)?.len();
        let bias = per_channel(view, bias, *columns, rank, rank.checked_sub(1)?)?;
        let inputs = vec![Some(Operand::Value(x)), Some(Operand::Value(weight)), Some(bias)];
        (rank >= 2).then(|| Match {
            op: Linear { transB: false }.into(),
            inputs,
            elementwise: false,
            keep_shared: false,
        })
    })
}

fn from_gemm(
    view: &View<'_>,
    gemm: &Gemm,
    x: ValueId,
    weight: ValueId,
    bias: Option<ValueId>,
) -> Option<Match> {
    let tensor = view.graph.constant(weight)?;
    let [rows, columns] = *tensor.shape() else { return None };
    if gemm.transA || view.graph.constant(x).is_some() {
        return None;
    }
    let width = if gemm.transB { rows } else { columns };
    let weight = if gemm.alpha == 1.0 {
        Operand::Value(weight)
    } else if tensor.len() <= MAX_SCALED_WEIGHT {
        Operand::Constant("weight", scaled(tensor, gemm.alpha)?)
    } else {
        return None;
    };
    let bias = match bias {
        Some(bias) => {
            let vector = per_channel(view, bias, width, 2, 1)?;
            if gemm.beta == 1.0 { vector } else { scaled_vector(view, vector, gemm.beta)? }
        }
        None => {
            Operand::Constant("bias", Tensor::from_f64(tensor.dtype(), vec![width], vec![0.0; width]).ok()?)
        }
    };
    let inputs = vec![Some(Operand::Value(x)), Some(weight), Some(bias)];
    Some(Match { op: Linear { transB: gemm.transB }.into(), inputs, elementwise: false, keep_shared: false })
}

/// `Conv` or `ConvTranspose` without bias, then `Add` of one constant per channel.
pub(super) fn conv_bias(view: &View<'_>, root: NodeId) -> Option<Match> {
    let node = view.graph.node(root);
    if !is_binary(node, Binary::Add) {
        return None;
    }
    view.both(node.output(0)?, Binary::Add).into_iter().find_map(|(image, bias)| {
        let conv = view.graph.producer_node(image)?;
        let (x, weight) = (conv.input(0)?, conv.input(1)?);
        let shape = view.graph.constant(weight)?.shape();
        let channels = match &conv.op {
            Op::Conv(_) => *shape.first()?,
            Op::ConvTranspose(op) => shape.get(1)?.checked_mul(usize::try_from(op.group).ok()?)?,
            _ => return None,
        };
        if conv.input(2).is_some() {
            return None;
        }
        let bias = per_channel(view, bias, channels, shape.len(), 1)?;
        let inputs = vec![Some(Operand::Value(x)), Some(Operand::Value(weight)), Some(bias)];
        Some(Match { op: conv.op.clone(), inputs, elementwise: false, keep_shared: false })
    })
}

/// A constant that broadcasts to a value of `rank` axes along `axis` only, as a vector `[count]`.
fn per_channel(
    view: &View<'_>,
    constant: ValueId,
    count: usize,
    rank: usize,
    axis: usize,
) -> Option<Operand> {
    let tensor = view.graph.constant(constant)?;
    if tensor.rank() > rank || !tensor.dtype().is_float() {
        return None;
    }
    if tensor.shape() == [count] && axis + 1 == rank {
        return Some(Operand::Value(constant));
    }
    if let Some(single) = tensor.single() {
        let vector = Tensor::from_f64(tensor.dtype(), vec![count], vec![single; count]).ok()?;
        return Some(Operand::Constant("bias", vector));
    }
    let missing = rank - tensor.rank();
    let own = axis.checked_sub(missing)?;
    let fits = tensor.shape().iter().enumerate().all(|(i, d)| if i == own { *d == count } else { *d == 1 });
    let vector = || Tensor::clone(tensor).reshaped(vec![count]).ok();
    if fits { Some(Operand::Constant("bias", vector()?)) } else { None }
}

fn scaled_vector(view: &View<'_>, vector: Operand, factor: f32) -> Option<Operand> {
    let tensor = match vector {
        Operand::Value(value) => scaled(view.graph.constant(value)?, factor),
        Operand::Constant(_, tensor) => scaled(&tensor, factor),
        Operand::Node(..) => None,
    };
    Some(Operand::Constant("bias", tensor?))
}

fn scaled(tensor: &Tensor, factor: f32) -> Option<Tensor> {
    if !matches!(tensor.dtype(), DType::F32 | DType::F64) {
        return None;
    }
    let values = tensor.to_f64()?.into_iter().map(|x| x * f64::from(factor)).collect();
    Tensor::from_f64(tensor.dtype(), tensor.shape().to_vec(), values).ok()
}
