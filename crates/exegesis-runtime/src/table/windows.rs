//! Convolutions and pools.

use exegesis_graph::op::AutoPad;
use exegesis_graph::{DType, Op};

use super::Support::{self, Lowered, Native};
use super::context::{Context, refuse};

/// Verdict on a convolution or pool.
pub(super) fn support(op: &Op, context: &Context) -> Support {
    if let Some(refusal) = context.wrong_type(0, &[DType::F32]) {
        return refusal;
    }
    let rank = context.rank(0).or_else(|| match op {
        Op::Conv(_) | Op::ConvTranspose(_) => context.rank(1),
        _ => None,
    });
    let Some(rank) = rank else { return refuse("the rank of its input is not known") };
    let spatial = rank.saturating_sub(2);
    match op {
        Op::GlobalAveragePool(_) | Op::GlobalMaxPool(_) => Native,
        Op::GlobalLpPool(_) => Lowered("a norm over the spatial axes"),
        _ if !(1..=3).contains(&spatial) => {
            Support::Refused(format!("{spatial} spatial axes are not implemented"))
        }
        Op::Conv(a) => match unresolved(a.auto_pad, &a.strides, spatial, context) {
            Some(refusal) => refusal,
            None if context.shape(1).is_none() => refuse("the shape of its weights is not known"),
            None if spatial == 3 => Lowered("a convolution of the last two axes over stacked depth slices"),
            None => Native,
        },
        Op::ConvTranspose(a) => {
            let kernel = context.shape(1).map(|s| s.iter().skip(2).all(|d| d.fixed().is_some()));
            let static_input = (0..spatial).all(|i| context.size(0, i + 2).is_some());
            if kernel != Some(true) {
                refuse("the shape of its weights is not known")
            } else if !a.output_shape.is_empty() && !static_input {
                refuse("`output_shape` needs an input of known size")
            } else if spatial == 3 && context.size(0, 2).is_none() {
                refuse("three spatial axes need a known depth")
            } else if spatial == 3 {
                Lowered("a transposed convolution of the last two axes, its depth slices added")
            } else {
                Native
            }
        }
        Op::MaxPool(a) => {
            if context.node.output(1).is_some() {
                return refuse("its second output (indices) is not implemented");
            }
            let dilated = a.dilations.iter().any(|d| *d != 1);
            match unresolved(a.auto_pad, &a.strides, spatial, context) {
                Some(refusal) => refusal,
                None if dilated => {
                    dilated_pool(a.ceil_mode, a.auto_pad, spatial, context, "the maximum of shifted slices")
                }
                None if spatial == 3 => Lowered("a pool of the last two axes, then of the first"),
                None => Native,
            }
        }
        Op::AveragePool(a) => {
            let dilated = a.dilations.iter().any(|d| *d != 1);
            match unresolved(a.auto_pad, &a.strides, spatial, context) {
                Some(refusal) => refusal,
                None if dilated => {
                    dilated_pool(a.ceil_mode, a.auto_pad, spatial, context, "the mean of shifted slices")
                }
                None if spatial == 3 => Lowered("a pool of the last two axes, then of the first"),
                None => Native,
            }
        }
        Op::LpPool(a) => match unresolved(a.auto_pad, &a.strides, spatial, context) {
            Some(refusal) => refusal,
            None => {
                dilated_pool(a.ceil_mode, a.auto_pad, spatial, context, "the sum of powers of shifted slices")
            }
        },
        _ => Native,
    }
}

/// A refusal if the pads of `auto_pad` can't be known before the run: rten knows `SAME_UPPER` only.
fn unresolved(auto_pad: AutoPad, strides: &[i64], spatial: usize, context: &Context) -> Option<Support> {
    if auto_pad != AutoPad::SameLower {
        return None;
    }
    let known =
        (0..spatial).all(|i| strides.get(i).is_none_or(|s| *s == 1) || context.size(0, i + 2).is_some());
    (!known).then(|| refuse("`SAME_LOWER` with strides needs an input of known size"))
}

/// Pools that are written as slices need explicit pads, and know the last window only without `ceil_mode`.
fn dilated_pool(
    ceil: bool,
    auto_pad: AutoPad,
    spatial: usize,
    context: &Context,
    how: &'static str,
) -> Support {
    let sizes_known = (0..spatial).all(|i| context.size(0, i + 2).is_some());
    if (ceil || matches!(auto_pad, AutoPad::SameUpper | AutoPad::SameLower)) && !sizes_known {
        return refuse("`ceil_mode` or automatic padding of this pool needs an input of known size");
    }
    Lowered(how)
}
