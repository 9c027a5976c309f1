//! Resampling.

use exegesis_graph::DType;
use exegesis_graph::op::{AspectPolicy, CoordinateMode, Resize, ResizeMode};

use super::Support::{self, Lowered, Native};
use super::context::{Context, refuse};

/// Verdict on a `Resize`.
pub(super) fn support(a: &Resize, context: &Context) -> Support {
    if let Some(refusal) = context.wrong_type(0, &[DType::F32]) {
        return refusal;
    }
    if a.coordinate_transformation_mode == CoordinateMode::TfCropAndResize {
        return refuse("regions of interest are not implemented");
    }
    if is_native(a, context) {
        return Native;
    }
    match resized_axes(context) {
        Some(_) => Lowered("products with constant interpolation matrices"),
        None => refuse("this mode needs known sizes before and after"),
    }
}

fn is_native(a: &Resize, context: &Context) -> bool {
    let mode = matches!(a.mode, ResizeMode::Nearest | ResizeMode::Linear);
    let coordinates = matches!(
        a.coordinate_transformation_mode,
        CoordinateMode::HalfPixel
            | CoordinateMode::Asymmetric
            | CoordinateMode::AlignCorners
            | CoordinateMode::PytorchHalfPixel
    );
    let stretch = a.keep_aspect_ratio_policy == AspectPolicy::Stretch || !has_sizes(context);
    mode && coordinates && !a.antialias && stretch && a.axes.is_none() && fits_image(context)
}

fn has_sizes(context: &Context) -> bool {
    context.has(3)
}

/// True if rten resamples the axes that change: of an input of at most four axes, up to two behind the channels.
fn fits_image(context: &Context) -> bool {
    let Some(rank) = context.rank(0) else { return true };
    let scales = context.constant(2).and_then(|scales| scales.to_f64());
    // A scale that leaves the size as it is still moves coordinates; rten would copy.
    let moves = scales.as_ref().is_some_and(|scales| {
        scales.iter().enumerate().any(|(axis, scale)| {
            *scale != 1.0
                && context.size(0, axis).is_some()
                && context.size(0, axis) == context.output_shape(0).and_then(|s| s.get(axis)?.fixed())
        })
    });
    let changed: Vec<usize> = match resized_axes(context) {
        Some(axes) => axes,
        None => match scales {
            Some(scales) => (0..rank).filter(|axis| scales.get(*axis) != Some(&1.0)).collect(),
            None => return rank <= 4,
        },
    };
    !moves && rank <= 4 && changed.iter().all(|axis| axis + 2 >= rank)
}

/// Axes whose size changes or whose scale is not 1, if all of them have known sizes before and after.
pub(crate) fn resized_axes(context: &Context) -> Option<Vec<usize>> {
    let (before, after) = (context.shape(0)?, context.output_shape(0)?);
    if before.len() != after.len() {
        return None;
    }
    let scales = context.constant(2).and_then(|scales| scales.to_f64());
    let mut axes = vec![];
    for (axis, (from, to)) in before.iter().zip(after).enumerate() {
        let unscaled = scales.as_ref().is_none_or(|s| s.len() != before.len() || s.get(axis) == Some(&1.0));
        if from == to && unscaled {
            continue;
        }
        from.fixed()?;
        to.fixed()?;
        axes.push(axis);
    }
    Some(axes)
}
