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
    let policy = a.keep_aspect_ratio_policy != AspectPolicy::Stretch && has_sizes(context);
    let known =
        (!has_scales(context) || context.constant(2).is_some()) && (!policy || context.ints(3).is_some());
    match resized_axes(context) {
        Some(_) if known => Lowered("products with constant interpolation matrices"),
        _ => refuse("this mode needs constant scales or sizes, and known sizes before and after"),
    }
}

/// True if scales are given: as an operand that is not an empty constant.
fn has_scales(context: &Context) -> bool {
    context.has(2) && context.constant(2).is_none_or(|scales| !scales.is_empty())
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
    let whole = a.coordinate_transformation_mode != CoordinateMode::AlignCorners || whole_sizes(context);
    mode && coordinates && !a.antialias && stretch && a.axes.is_none() && whole && fits_image(context)
}

/// True if the standard's grid of sampled points is that of every runtime: scales give whole numbers of elements, and a scale
/// that is not 1 changes the size.
#[cfg(feature = "onnxruntime")]
pub(crate) fn keeps_to_grid(context: &Context) -> bool {
    whole_sizes(context) && fits_image(context)
}

/// True if scales give whole numbers of elements. Aligning corners, the standard counts the fraction of an element that
/// a scale leaves; rten does not.
fn whole_sizes(context: &Context) -> bool {
    let Some(scales) = context.constant(2).and_then(|scales| scales.to_f64()) else {
        return !has_scales(context);
    };
    scales.iter().enumerate().all(|(axis, scale)| match context.size(0, axis) {
        Some(size) => (size as f64 * scale).fract() == 0.0,
        None => scale.fract() == 0.0,
    })
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
