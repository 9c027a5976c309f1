//! What opsets 27 and 28 added to element-wise operators and movement.

use super::{Draft, Outcome};
use crate::onnx::read::Reader;
use crate::op::{Binary, Mod, Swish, Unary, Where};
use crate::{DType, Result};

impl Reader<'_> {
    /// `SwiGLU`: `swish(A) B`.
    pub(super) fn gated_swish(&mut self, mut draft: Draft) -> Result<Outcome> {
        let alpha = draft.take("alpha")?.unwrap_or(1.0f32);
        if let Some(name) = draft.attributes.keys().next() {
            return Ok(Outcome::Opaque(format!("attribute `{name}` of SwiGLU is not known")));
        }
        let (gate, value) = (draft.required(0)?, draft.required(1)?);
        let source = draft.name.clone();
        let gate = self.step(&source, "gate", Swish { alpha }, &[gate])?;
        self.last_step(&source, "product", Binary::Mul, &[gate, value], draft.output(0))?;
        Ok(Outcome::Done)
    }

    /// `Mod` of floats without `fmod`, which opset 28 allows: the remainder with the divisor's sign.
    pub(super) fn floor_modulo(&mut self, mut draft: Draft) -> Result<Outcome> {
        let (a, b) = (draft.required(0)?, draft.required(1)?);
        let is_float = self.dtype(a).or_else(|| self.dtype(b)).is_some_and(DType::is_float);
        let fmod = draft.attributes.contains_key("fmod") && draft.clone().take("fmod")?.unwrap_or(false);
        if fmod || !is_float || draft.version < 28 {
            return Ok(Outcome::Emit(draft));
        }
        draft.attributes.remove("fmod");
        if let Some(name) = draft.attributes.keys().next() {
            return Ok(Outcome::Opaque(format!("attribute `{name}` of Mod is not known")));
        }
        let source = draft.name.clone();
        let zero = self.scalar_like(&source, "zero", 0.0, a)?;
        let remainder = self.step(&source, "remainder", Mod { fmod: true }, &[a, b])?;
        let exact = self.step(&source, "exact", Binary::Equal, &[remainder, zero])?;
        let inexact = self.step(&source, "inexact", Unary::Not, &[exact])?;
        let below = self.step(&source, "remainder_below", Binary::Less, &[remainder, zero])?;
        let divisor_below = self.step(&source, "divisor_below", Binary::Less, &[b, zero])?;
        let apart = self.step(&source, "signs_differ", Binary::Xor, &[below, divisor_below])?;
        let moves = self.step(&source, "moves", Binary::And, &[inexact, apart])?;
        let moved = self.step(&source, "moved", Binary::Add, &[remainder, b])?;
        self.last_step(&source, "result", Where {}, &[moves, moved, remainder], draft.output(0))?;
        Ok(Outcome::Done)
    }

    /// `BitShift`: the canonical opset shifts unsigned integers only.
    pub(super) fn bit_shift(&self, draft: Draft) -> Outcome {
        let dtype = draft.input(0).and_then(|x| self.dtype(x));
        if matches!(dtype, Some(DType::I8 | DType::I16 | DType::I32 | DType::I64)) {
            return Outcome::Opaque("shifts of signed integers are not supported".to_string());
        }
        Outcome::Emit(draft)
    }
}

/// `SpaceToDepth`: before opset 28 there was one order of channels.
pub(super) fn space_to_depth(mut draft: Draft) -> Result<Outcome> {
    match draft.take::<String>("mode")?.as_deref() {
        None | Some("DCR") => Ok(Outcome::Emit(draft)),
        Some(_) => Ok(Outcome::Opaque("channels in another order than DCR are not supported".to_string())),
    }
}

/// `Range`: the type that half-precision elements are added up in; it is float32 or better here whatever the model says.
pub(super) fn range(mut draft: Draft) -> Result<Outcome> {
    match draft.take::<i64>("stash_type")?.unwrap_or(1) {
        1 | 11 => Ok(Outcome::Emit(draft)),
        _ => Ok(Outcome::Opaque("a stash type other than float32 is not supported".to_string())),
    }
}
