//! The linear layer.

use super::emitter::Emitter;
use crate::op::{Binary, Gemm, MatMul, Transpose};
use crate::{DType, Data, Result, Tensor, ValueId};

/// `x W + b`: a `Gemm` where `x` is a matrix, else `MatMul` (with the weight transposed beforehand) and `Add`.
pub(super) fn linear(
    emit: &mut Emitter,
    x: ValueId,
    weight: ValueId,
    bias: Option<ValueId>,
    transposed: bool,
) -> Result<()> {
    let floating = emit.dtype(x).is_ok_and(DType::is_float);
    if floating && emit.shape(x).is_some_and(|s| s.len() == 2) {
        let inputs: Vec<ValueId> = [x, weight].into_iter().chain(bias).collect();
        return emit.finish(Gemm { transB: transposed, ..Gemm::default() }, &inputs);
    }
    let weight = match (transposed, emit.tensor(weight)) {
        (false, _) => weight,
        (true, Some(tensor)) => match transpose(&tensor) {
            Some(tensor) => emit.constant(tensor),
            None => emit.op(Transpose { perm: vec![1, 0] }, &[weight])?,
        },
        (true, None) => emit.op(Transpose { perm: vec![1, 0] }, &[weight])?,
    };
    match bias {
        None => emit.finish(MatMul {}, &[x, weight]),
        Some(bias) => {
            let product = emit.op(MatMul {}, &[x, weight])?;
            emit.finish(Binary::Add, &[product, bias])
        }
    }
}

/// The transposed matrix, for the types that weights have.
fn transpose(tensor: &Tensor) -> Option<Tensor> {
    fn turn<T: Copy>(values: &[T], rows: usize, columns: usize) -> Vec<T> {
        let column = |j: usize| values.iter().skip(j).step_by(columns.max(1)).copied().take(rows);
        (0..columns).flat_map(column).collect()
    }
    let [rows, columns] = *tensor.shape() else { return None };
    let data: Data = match tensor.data() {
        Data::F32(v) => turn(v, rows, columns).into(),
        Data::F64(v) => turn(v, rows, columns).into(),
        Data::F16(v) => turn(v, rows, columns).into(),
        Data::BF16(v) => turn(v, rows, columns).into(),
        _ => return None,
    };
    Tensor::new([columns, rows], data).ok()
}
