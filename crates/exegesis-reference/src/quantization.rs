//! Quantised tensors.

use exegesis_graph::op;
use exegesis_graph::{DType, Error, Result};

use crate::array::{Array, axis, bounds, round_to};
use crate::operands::Operands;

/// A parameter of quantisation spread over `x`: one value, or one per index of the axis.
fn spread(parameter: &Array, x: &Array, along: i64) -> Result<Array> {
    if parameter.len() == 1 {
        return parameter.reshaped(vec![])?.broadcast_to(&x.shape);
    }
    let along = axis(along, x.rank())?;
    if parameter.shape != [x.shape[along]] {
        let (p, x) = (&parameter.shape, &x.shape);
        return Err(Error::malformed(format!("a scale or zero point of shape {p:?} does not fit {x:?}")));
    }
    let mut shape = vec![1; x.rank()];
    shape[along] = parameter.len();
    parameter.reshaped(shape)?.broadcast_to(&x.shape)
}

/// `saturate(round(x / scale) + zero_point)`, halves rounded to even; uint8 without a zero point.
pub(crate) fn quantize(op: &op::QuantizeLinear, operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let scale = spread(operands.get(1)?, x, op.axis)?;
    let zero = operands.optional(2).map(|z| spread(z, x, op.axis)).transpose()?;
    let dtype = zero.as_ref().map_or(DType::U8, |z| z.dtype);
    if !dtype.is_integer() {
        return Err(Error::malformed(format!("a zero point can't be {dtype}")));
    }
    let (low, high) = bounds(dtype);
    let quantized = |i: usize| {
        let zero = zero.as_ref().map_or(0.0, |z| z.data[i]);
        // Where a step decides, the quotient is the one that runtimes see: a half in f32 may be none in f64.
        (round_to(x.data[i] / scale.data[i], x.dtype).round_ties_even() + zero).max(low).min(high)
    };
    Array::new(dtype, x.shape.clone(), (0..x.len()).map(quantized).collect())
}

/// `(x - zero_point) scale`.
pub(crate) fn dequantize(op: &op::DequantizeLinear, operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let scale = spread(operands.get(1)?, x, op.axis)?;
    let zero = operands.optional(2).map(|z| spread(z, x, op.axis)).transpose()?;
    let value = |i: usize| (x.data[i] - zero.as_ref().map_or(0.0, |z| z.data[i])) * scale.data[i];
    Array::new(scale.dtype, x.shape.clone(), (0..x.len()).map(value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_even_and_saturates() {
        let x = Array::floats([5], vec![1.0, 3.0, 1000.0, -1000.0, -3.0]).unwrap();
        let scale = Array::scalar(DType::F32, 2.0);
        let zero = Array::scalar(DType::I8, 1.0);
        let op = op::QuantizeLinear::default();
        let q = quantize(&op, Operands::new(&[Some(&x), Some(&scale), Some(&zero)])).unwrap();
        assert_eq!((q.dtype, q.data.clone()), (DType::I8, vec![1.0, 3.0, 127.0, -128.0, -1.0]));
        let op = op::DequantizeLinear::default();
        let back = dequantize(&op, Operands::new(&[Some(&q), Some(&scale), Some(&zero)])).unwrap();
        assert_eq!((back.dtype, back.data), (DType::F32, vec![0.0, 4.0, 252.0, -258.0, -4.0]));
    }

    #[test]
    fn parameters_per_axis() {
        let x = Array::floats([1, 2], vec![8.0, 8.0]).unwrap();
        let scale = Array::floats([2], vec![1.0, 4.0]).unwrap();
        let op = op::QuantizeLinear { axis: 1 };
        let q = quantize(&op, Operands::new(&[Some(&x), Some(&scale)])).unwrap();
        assert_eq!((q.dtype, q.data), (DType::U8, vec![8.0, 2.0]));
        let op = op::QuantizeLinear { axis: 0 };
        assert!(quantize(&op, Operands::new(&[Some(&x), Some(&scale)])).is_err());
    }
}
