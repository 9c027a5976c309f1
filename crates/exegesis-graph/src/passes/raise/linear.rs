//! Linear maps with constant weights, and biases of convolutions.

use super::contraction;
use super::pattern::{Match, NewNode, Operand, View, is_binary};
use crate::op::{Binary, Gemm, Linear, Op};
use crate::{DType, NodeId, Tensor, ValueId};

/// Largest weight that is multiplied by the `alpha` of a `Gemm`; a larger one would cost a copy that is not small.
const MAX_SCALED_WEIGHT: usize = 1 << 20;

/// A product with a constant matrix and `Add` of a constant vector, or `Gemm` with constant weight and vector.
pub(super) fn linear(view: &View<'_>, root: NodeId) -> Option<Match> {
    let node = view.graph.node(root);
    if let Op::Gemm(gemm) = &node.op {
        return from_gemm(view, gemm, node.input(0)?, node.input(1)?, node.input(2));
    }
    if !is_binary(node, Binary::Add) {
        return None;
    }
    let sums = view.both(node.output(0)?, Binary::Add);
    let direct = |(product, bias): &(ValueId, ValueId)| {
        let [x, weight, bias] = contraction::find(view, *product)?.operands(view, *bias)?;
        let op = Linear { transB: contraction::find(view, *product)?.transposed }.into();
        let inputs = vec![Some(x), Some(weight), Some(bias)];
        Some(Match { op, inputs, elementwise: false, keep_shared: false })
    };
    sums.iter()
        .find_map(direct)
        .or_else(|| sums.iter().find_map(|(moved, bias)| behind_movement(view, *moved, *bias)))
}

/// `move(x W) + b` as `move(x W + b)`, where the movement selects or inserts other axes than the last, as exporters
/// multiply single rows.
fn behind_movement(view: &View<'_>, moved: ValueId, bias: ValueId) -> Option<Match> {
    let movement = view.graph.producer_node(moved)?;
    let product = movement.input(0)?;
    let (before, after) = (view.dims(product)?, view.dims(moved)?);
    let last = before.len() as i64 - 1;
    let keeps_last = match &movement.op {
        Op::Gather(op) => {
            view.graph.constant(movement.input(1)?)?;
            op.axis < last && op.axis != -1 && after.len() > 1
        }
        Op::Squeeze(_) => {
            let axes = view.graph.constant(movement.input(1)?)?.to_i64()?;
            axes.iter().all(|a| *a != -1 && *a < last)
        }
        _ => false,
    };
    let map = contraction::find(view, product)?;
    // The bias must be a vector of the last axis: others could add axes that the movement does not have.
    let inputs = map.operands(view, bias).filter(|_| view.dims(bias).is_some_and(|d| d.len() == 1))?.into();
    let op = Linear { transB: map.transposed }.into();
    let shape = Some(before.to_vec());
    let linear = Operand::Node(NewNode { part: "linear", op, inputs, shape });
    let mut inputs = vec![Some(linear)];
    inputs.extend(movement.inputs.iter().skip(1).map(|v| v.map(Operand::Value)));
    keeps_last.then(|| Match { op: movement.op.clone(), inputs, elementwise: false, keep_shared: false })
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
pub(super) fn per_channel(
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
        Operand::Node(_) => None,
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
