//! Attributes that later became operands: axes, bounds, sizes.

use super::{Draft, Outcome};
use crate::onnx::read::Reader;
use crate::{Error, Result};

impl Reader<'_> {
    /// `axes` of the reductions (before 18, the sum before 13), `Squeeze` and `Unsqueeze` (before 13).
    pub(super) fn axes_operand(&mut self, mut draft: Draft) -> Result<Outcome> {
        if draft.inputs.len() > 1 {
            return Err(Error::malformed(format!(
                "{} of opset {} has one input",
                draft.op_type, draft.version
            )));
        }
        let axes: Option<Vec<i64>> = if draft.op_type == "Unsqueeze" {
            Some(draft.take_required("axes")?)
        } else {
            draft.take("axes")?
        };
        // No axes are all axes, in the attribute and in the operand.
        if let Some(axes) = axes.filter(|a| !a.is_empty() || draft.op_type == "Unsqueeze") {
            let axes = self.integers(&draft.name, "axes", axes)?;
            draft.set_input(1, Some(axes));
        }
        Ok(Outcome::Emit(draft))
    }

    /// `starts`, `ends`, `axes` of `Slice` before 10.
    pub(super) fn slice_operands(&mut self, mut draft: Draft) -> Result<Outcome> {
        let starts: Vec<i64> = draft.take_required("starts")?;
        let ends: Vec<i64> = draft.take_required("ends")?;
        let axes: Option<Vec<i64>> = draft.take("axes")?;
        if starts.len() != ends.len() || axes.as_ref().is_some_and(|a| a.len() != starts.len()) {
            return Err(Error::malformed("`starts`, `ends` and `axes` of Slice are of different lengths"));
        }
        let starts = self.integers(&draft.name, "starts", starts)?;
        let ends = self.integers(&draft.name, "ends", ends)?;
        draft.set_input(1, Some(starts));
        draft.set_input(2, Some(ends));
        if let Some(axes) = axes {
            let axes = self.integers(&draft.name, "axes", axes)?;
            draft.set_input(3, Some(axes));
        }
        Ok(Outcome::Emit(draft))
    }

    /// `pads` and `value` of `Pad` before 11.
    pub(super) fn pad_operands(&mut self, mut draft: Draft) -> Result<Outcome> {
        let pads: Vec<i64> = draft.take_required("pads")?;
        let value: f32 = draft.take("value")?.unwrap_or(0.0);
        let data = draft.required(0)?;
        let pads = self.integers(&draft.name, "pads", pads)?;
        draft.set_input(1, Some(pads));
        if value != 0.0 {
            let value = self.scalar_like(&draft.name, "value", value, data)?;
            draft.set_input(2, Some(value));
        }
        Ok(Outcome::Emit(draft))
    }

    /// `min` and `max` of `Clip` before 11.
    pub(super) fn clip_operands(&mut self, mut draft: Draft) -> Result<Outcome> {
        let data = draft.required(0)?;
        for (i, name, default) in [(1, "min", f32::MIN), (2, "max", f32::MAX)] {
            // At its default the bound is off.
            if let Some(bound) = draft.take::<f32>(name)?.filter(|b| *b != default) {
                let bound = self.scalar_like(&draft.name, name, bound, data)?;
                draft.set_input(i, Some(bound));
            }
        }
        Ok(Outcome::Emit(draft))
    }

    /// `k` of `TopK` before 10.
    pub(super) fn top_k_operand(&mut self, mut draft: Draft) -> Result<Outcome> {
        let k: i64 = draft.take_required("k")?;
        let k = self.integers(&draft.name, "k", vec![k])?;
        draft.set_input(1, Some(k));
        Ok(Outcome::Emit(draft))
    }

    /// `split` before 13; the number of equal parts, which opset 18 wants to be said.
    pub(super) fn split(&mut self, mut draft: Draft) -> Result<Outcome> {
        if draft.version < 13
            && let Some(sizes) = draft.take::<Vec<i64>>("split")?.filter(|s| !s.is_empty())
        {
            if sizes.len() < draft.outputs.len() {
                return Err(Error::malformed("Split has more outputs than sizes"));
            }
            let sizes = self.integers(&draft.name, "split", sizes)?;
            draft.set_input(1, Some(sizes));
        }
        let declared = draft.attributes.get("num_outputs");
        match (draft.input(1), declared) {
            (Some(_), Some(_)) => return Err(Error::malformed("Split has both sizes and `num_outputs`")),
            (None, None) => {
                let parts = crate::op::Attribute::Int(draft.read.len() as i64);
                draft.attributes.insert("num_outputs".to_string(), parts);
            }
            _ => {}
        }
        Ok(Outcome::Emit(draft))
    }
}
