//! Conversions of type: `Cast`, and quantised tensors.

use super::{Draft, Outcome};
use crate::onnx::read::{Reader, graph::unheld};
use crate::op::Attribute;
use crate::{DType, Result, Tensor};

/// Number of the element type that attribute `name` gives, if it is one that the IR does not hold.
fn unheld_type(draft: &Draft, name: &str) -> Option<i32> {
    match draft.attributes.get(name) {
        Some(Attribute::Int(code)) => {
            let code = i32::try_from(*code).unwrap_or(0);
            (DType::from_onnx(code).is_none() && code != 0).then_some(code)
        }
        _ => None,
    }
}

/// `Cast` and `CastLike`: `saturate` and `round_mode` concern float8 only.
pub(super) fn cast(mut draft: Draft) -> Result<Outcome> {
    if let Some(code) = unheld_type(&draft, "to") {
        return Ok(Outcome::Opaque(unheld(code)));
    }
    draft.take::<i64>("saturate")?;
    draft.take::<String>("round_mode")?;
    Ok(Outcome::Emit(draft))
}

/// `EyeLike` of a type that the IR does not hold.
pub(super) fn eye_like(draft: Draft) -> Outcome {
    match unheld_type(&draft, "dtype") {
        Some(code) => Outcome::Opaque(unheld(code)),
        None => Outcome::Emit(draft),
    }
}

impl Reader<'_> {
    /// `QuantizeLinear`: blocks are not interpreted; `output_dtype` becomes a zero point of that type.
    pub(super) fn quantize(&mut self, mut draft: Draft) -> Result<Outcome> {
        if draft.take::<i64>("block_size")?.unwrap_or(0) != 0 {
            return Ok(Outcome::Opaque("quantisation in blocks is not supported".to_string()));
        }
        // 1 is float32, what the canonical form computes in.
        if !matches!(draft.take::<i64>("precision")?.unwrap_or(0), 0 | 1) {
            return Ok(Outcome::Opaque("a precision other than float32 is not supported".to_string()));
        }
        // Concerns float8 only.
        draft.take::<i64>("saturate")?;
        if let Some(code) = unheld_type(&draft, "output_dtype") {
            return Ok(Outcome::Opaque(unheld(code)));
        }
        let code = draft.take::<i64>("output_dtype")?.and_then(|c| i32::try_from(c).ok()).unwrap_or(0);
        let Some(dtype) = DType::from_onnx(code).filter(|_| draft.input(2).is_none()) else {
            return Ok(Outcome::Emit(draft));
        };
        // Without a zero point the result is uint8.
        if dtype != DType::U8 {
            let scale = draft.required(1)?;
            let shape = self.constant(scale).map(|t| t.shape().to_vec());
            let shape = shape.or_else(|| (self.rank(scale) == Some(0)).then(Vec::new));
            let Some(shape) = shape else {
                return Ok(Outcome::Opaque(
                    "an output type without a zero point is supported only with a constant scale".to_string(),
                ));
            };
            let count = shape.iter().product();
            let zeros = Tensor::from_f64(dtype, shape, vec![0.0; count])?;
            let zeros = self.graph()?.add_constant(&format!("{}/zero_point", draft.name), zeros);
            draft.set_input(2, Some(zeros));
        }
        Ok(Outcome::Emit(draft))
    }

    /// `DequantizeLinear`: blocks are not interpreted; the result has the type of the scale.
    pub(super) fn dequantize(&mut self, mut draft: Draft) -> Result<Outcome> {
        if draft.take::<i64>("block_size")?.unwrap_or(0) != 0 {
            return Ok(Outcome::Opaque("quantisation in blocks is not supported".to_string()));
        }
        if let Some(code) = draft.take::<i64>("output_dtype")?.filter(|c| *c != 0) {
            let wanted = i32::try_from(code).ok().and_then(DType::from_onnx);
            if wanted.is_none() || wanted != self.dtype(draft.required(1)?) {
                return Ok(Outcome::Opaque(
                    "an output type other than that of the scale is not supported".to_string(),
                ));
            }
        }
        Ok(Outcome::Emit(draft))
    }
}
