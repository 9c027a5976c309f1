//! Resampling: `Upsample`, the forms of `Resize`, and the names of modes.

use super::{Draft, Outcome};
use crate::onnx::read::Reader;
use crate::op::Attribute;
use crate::{Error, Result, Tensor, ValueId};

/// Sets a string attribute.
fn set(draft: &mut Draft, name: &str, text: &str) {
    draft.attributes.insert(name.to_string(), Attribute::String(text.to_string()));
}

fn text<'a>(draft: &'a Draft, name: &str) -> Option<&'a str> {
    match draft.attributes.get(name) {
        Some(Attribute::String(text)) => Some(text),
        _ => None,
    }
}

/// `RoiAlign` had no half-pixel shift before 16.
pub(super) fn roi_align(mut draft: Draft) -> Outcome {
    if draft.version < 16 {
        set(&mut draft, "coordinate_transformation_mode", "output_half_pixel");
    }
    Outcome::Emit(draft)
}

impl Reader<'_> {
    /// `Upsample` 7 (scales as attribute) and 9 (as operand): a `Resize` whose grids meet in their first corner.
    pub(super) fn upsample(&mut self, mut draft: Draft) -> Result<Outcome> {
        let scales = if draft.version < 9 {
            let scales: Vec<f32> = draft.take_required("scales")?;
            self.graph()?.add_constant(&format!("{}/scales", draft.name), Tensor::vector(scales))
        } else {
            draft.required(1)?
        };
        draft.op_type = "Resize".to_string();
        self.old_resize(draft, scales)
    }

    /// `Resize` 10 (scales only), 11 (empty tensors for "not given") and 13.
    pub(super) fn resize(&mut self, mut draft: Draft) -> Result<Outcome> {
        if draft.version < 11 {
            let scales = draft.required(1)?;
            return self.old_resize(draft, scales);
        }
        for i in [1, 2, 3] {
            if self.operand_constant(&draft, i).is_some_and(|t| t.is_empty()) {
                draft.set_input(i, None);
            }
        }
        if draft.input(2).is_none() && draft.input(3).is_none() {
            return Err(Error::malformed("Resize has neither scales nor sizes"));
        }
        if text(&draft, "coordinate_transformation_mode") == Some("tf_half_pixel_for_nn") {
            // Opset 13 dropped this grid: x = (y + 0.5) / s. Rounded down it is the half-pixel grid rounded half up.
            let nearest = matches!(text(&draft, "mode"), None | Some("nearest"));
            if !(nearest && text(&draft, "nearest_mode") == Some("floor")) {
                return Ok(Outcome::Opaque(
                    "the grid tf_half_pixel_for_nn is supported only with floor".to_string(),
                ));
            }
            set(&mut draft, "coordinate_transformation_mode", "half_pixel");
            set(&mut draft, "nearest_mode", "round_prefer_ceil");
        }
        Ok(Outcome::Emit(draft))
    }

    /// `Upsample` and `Resize` 10: `x = y / s`, rounded down in nearest mode.
    fn old_resize(&mut self, mut draft: Draft, scales: ValueId) -> Result<Outcome> {
        if self.constant(scales).is_some_and(|t| t.is_empty()) {
            return Err(Error::malformed("the scales of Resize are empty"));
        }
        set(&mut draft, "coordinate_transformation_mode", "asymmetric");
        set(&mut draft, "nearest_mode", "floor");
        draft.inputs.truncate(1);
        draft.set_input(2, Some(scales));
        Ok(Outcome::Emit(draft))
    }

    /// Opset 20 renamed the modes and added volumes.
    pub(super) fn grid_sample(&mut self, mut draft: Draft) -> Result<Outcome> {
        if draft.input(0).and_then(|x| self.rank(x)).is_some_and(|rank| rank != 4) {
            return Ok(Outcome::Opaque("sampling of volumes is not supported".to_string()));
        }
        let renamed = match text(&draft, "mode") {
            Some("linear") => Some("bilinear"),
            Some("cubic") => Some("bicubic"),
            _ => None,
        };
        if let Some(mode) = renamed {
            set(&mut draft, "mode", mode);
        }
        Ok(Outcome::Emit(draft))
    }
}
