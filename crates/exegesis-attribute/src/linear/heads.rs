//! Heads of many classes under a seed that asks for one.

use exegesis_graph::op;
use exegesis_graph::{Op, ValueId};

use super::{Kind, LinearMap};
use crate::Result;
use crate::rule::{Context, OneHot};

/// Fewest classes of a head whose rows are picked for a one-hot seed.
const MIN_CLASSES: usize = 1024;

/// What a one-hot seed sees of a head.
pub struct ClassRows {
    /// Weights of the class, `[batch, 1..., inputs]`.
    pub weight: ValueId,
    /// Its bias, `[batch, 1..., 1]`.
    pub bias: Option<ValueId>,
    /// The seed, `[batch, ..., 1]`.
    pub amount: ValueId,
}

impl LinearMap {
    /// The weights of the one class per row that a one-hot seed asks for, where that saves work: a head of thousands of
    /// classes then costs as much as one of one.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn class_rows(&self, cx: &mut Context<'_, '_>) -> Result<Option<ClassRows>> {
        let Some(OneHot { index, amount }) = cx.one_hot else { return Ok(None) };
        let (weight, classes_first, scale) = match (&self.kind, &self.node.op) {
            (Kind::Right(w), _) => (*w, false, 1.0),
            (Kind::Linear { weight, transposed }, _) => (*weight, *transposed, 1.0),
            (Kind::Gemm { weight, carrier_is_a: true }, Op::Gemm(gemm)) if !gemm.transA => {
                (*weight, gemm.transB, gemm.alpha)
            }
            _ => return Ok(None),
        };
        let (Some(shape), x_shape) = (cx.b.static_shape(weight), cx.b.shape(self.x)?.clone()) else {
            return Ok(None);
        };
        let &[rows, columns] = shape.as_slice() else { return Ok(None) };
        let (classes, inner) = if classes_first { (rows, columns) } else { (columns, rows) };
        let bias_fits = match self.bias {
            Some(bias) => cx.b.static_shape(bias).is_some_and(|s| s.iter().product::<usize>() == classes),
            None => true,
        };
        let per_row = x_shape.len() >= 2 && x_shape.first() == cx.b.shape(index)?.first();
        if classes < MIN_CLASSES || !bias_fits || !per_row {
            return Ok(None);
        }
        let axis = i64::from(!classes_first);
        let mut picked = cx.b.op(op::Gather { axis }, &[weight, index])?;
        if !classes_first {
            picked = cx.b.transpose(picked, &[1, 0])?;
        }
        picked = cx.b.mul_scalar(picked, f64::from(scale))?;
        let mut dims = vec![1i64; x_shape.len()];
        dims[0] = -1;
        let bias = match self.bias {
            Some(bias) => {
                let flat = cx.b.reshape_to(bias, &[-1])?;
                let picked = cx.b.op(op::Gather { axis: 0 }, &[flat, index])?;
                Some(cx.b.reshape_to(picked, &dims)?)
            }
            None => None,
        };
        dims[x_shape.len() - 1] = inner as i64;
        let weight = cx.b.reshape_to(picked, &dims)?;
        Ok(Some(ClassRows { weight, bias, amount }))
    }
}
