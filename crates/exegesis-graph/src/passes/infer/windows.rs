//! Convolutions, pools, resampling.

use super::context::{Context, show};
use super::expression::Expr;
use super::fact::Fact;
use crate::op::{AspectPolicy, AutoPad, ConvTranspose, Resize, RoiAlign};
use crate::{DType, Result};

/// Attributes that convolutions and pools share.
pub(super) struct Window<'a> {
    pub auto_pad: AutoPad,
    pub dilations: &'a [i64],
    pub kernel: &'a [i64],
    pub pads: &'a [i64],
    pub strides: &'a [i64],
    pub ceil: bool,
}

/// Checked attributes of one spatial axis.
struct Axis {
    dilation: i64,
    stride: i64,
    begin: i64,
    end: i64,
}

impl Window<'_> {
    fn axes(&self, cx: &Context, spatial: usize) -> Result<Vec<Axis>> {
        let check = |name: &str, list: &[i64], expected: usize, least: i64| {
            if !list.is_empty() && list.len() != expected {
                return Err(cx.error(format!("`{name}` has {} numbers but needs {expected}", list.len())));
            }
            match list.iter().find(|n| **n < least) {
                Some(n) => Err(cx.error(format!("`{name}` holds {n}"))),
                None => Ok(()),
            }
        };
        check("dilations", self.dilations, spatial, 1)?;
        check("strides", self.strides, spatial, 1)?;
        check("pads", self.pads, 2 * spatial, 0)?;
        check("kernel_shape", self.kernel, spatial, 1)?;
        let padded = self.auto_pad == AutoPad::NotSet;
        Ok((0..spatial)
            .map(|i| Axis {
                dilation: self.dilations.get(i).copied().unwrap_or(1),
                stride: self.strides.get(i).copied().unwrap_or(1),
                begin: self.pads.get(i).copied().filter(|_| padded).unwrap_or(0),
                end: self.pads.get(spatial + i).copied().filter(|_| padded).unwrap_or(0),
            })
            .collect())
    }

    /// Output size of one axis; `None` if it can't be expressed.
    fn output(&self, axis: &Axis, input: &Expr, kernel: &Expr) -> Option<Expr> {
        let stride = Expr::Fixed(axis.stride);
        if matches!(self.auto_pad, AutoPad::SameUpper | AutoPad::SameLower) {
            return input.ceil_div(&stride);
        }
        let extent = kernel.sub(&Expr::ONE)?.mul(&Expr::Fixed(axis.dilation))?;
        let pads = Expr::Fixed(axis.begin.checked_add(axis.end)?);
        let room = input.add(&pads)?.sub(&extent)?.sub(&Expr::ONE)?;
        if !self.ceil {
            return room.floor_div(&stride)?.add(&Expr::ONE);
        }
        // A last window that would start beyond input and leading padding is left out.
        let count = room.ceil_div(&stride)?.add(&Expr::ONE)?;
        let starts =
            input.add(&Expr::Fixed(axis.begin))?.sub(&Expr::ONE)?.floor_div(&stride)?.add(&Expr::ONE)?;
        count.smaller(&starts)
    }
}

fn spatial<'a>(cx: &Context<'a>) -> Result<Option<(&'a [Expr], &'a [Expr])>> {
    match cx.shape(0)? {
        None => Ok(None),
        Some(shape) if shape.len() < 3 => Err(cx.error(format!(
            "the input has shape {} but must have a batch axis, a channel axis and spatial axes",
            show(shape)
        ))),
        Some(shape) => Ok(Some(shape.split_at(2))),
    }
}

fn check_size(cx: &Context, size: &Expr, input: &Expr) -> Result<()> {
    if size.fixed().is_some_and(|n| n < 1) && input.fixed() != Some(0) {
        return Err(
            cx.error(format!("the window is larger than the input of size {input}; {}", cx.operands()))
        );
    }
    Ok(())
}

pub(super) fn conv(cx: &mut Context, window: &Window, group: i64) -> Result<Fact> {
    for i in 0..cx.inputs.len() {
        cx.expect_float(i)?;
        cx.expect_same_type(0, i)?;
    }
    cx.expect_rank(2, 1)?;
    let dtype = cx.dtype(0).or(cx.dtype(1));
    let (Some((lead, sizes)), Some(weight)) = (spatial(cx)?, cx.shape(1)?) else {
        return Ok(Fact::new(dtype, None));
    };
    let [batch, channels] = lead else { return Ok(Fact::new(dtype, None)) };
    cx.expect_rank(1, sizes.len() + 2)?;
    let [filters, per_group, kernel @ ..] = weight else { return Ok(Fact::new(dtype, None)) };
    if group < 1 {
        return Err(cx.error(format!("`group` is {group}")));
    }
    if let Some(expected) = per_group.mul(&Expr::Fixed(group))
        && expected.differs(channels)
    {
        return Err(cx.error(format!(
            "the input {} has {channels} channels but the weight {} and {group} group(s) need {expected}",
            cx.show(0),
            show(weight)
        )));
    }
    if filters.fixed().is_some_and(|m| m % group != 0) {
        return Err(cx.error(format!("{filters} filters can't be divided into {group} groups")));
    }
    check_bias(cx, filters)?;
    let mut shape = vec![batch.clone(), filters.clone()];
    for ((axis, input), (i, kernel)) in
        window.axes(cx, sizes.len())?.iter().zip(sizes).zip(kernel.iter().enumerate())
    {
        let kernel = kernel_size(cx, window.kernel.get(i), kernel)?;
        let size = cx.or_fresh(window.output(axis, input, &kernel));
        check_size(cx, &size, input)?;
        shape.push(size);
    }
    Ok(Fact::new(dtype, Some(shape)))
}

fn check_bias(cx: &Context, filters: &Expr) -> Result<()> {
    if let Some(Some(bias)) = cx.get(2).map(|f| f.shape.as_ref().and_then(|s| s.first())) {
        cx.unify(filters, bias, "the number of filters and the size of the bias")?;
    }
    Ok(())
}

fn kernel_size(cx: &Context, attribute: Option<&i64>, weight: &Expr) -> Result<Expr> {
    match attribute {
        Some(k) => cx.unify(&Expr::Fixed(*k), weight, "`kernel_shape` and the size of the weight"),
        None => Ok(weight.clone()),
    }
}

pub(super) fn conv_transpose(cx: &mut Context, op: &ConvTranspose) -> Result<Fact> {
    for i in 0..cx.inputs.len() {
        cx.expect_float(i)?;
        cx.expect_same_type(0, i)?;
    }
    let dtype = cx.dtype(0).or(cx.dtype(1));
    let (Some((lead, sizes)), Some(weight)) = (spatial(cx)?, cx.shape(1)?) else {
        return Ok(Fact::new(dtype, None));
    };
    let [batch, channels] = lead else { return Ok(Fact::new(dtype, None)) };
    cx.expect_rank(1, sizes.len() + 2)?;
    let [in_channels, per_group, kernel @ ..] = weight else { return Ok(Fact::new(dtype, None)) };
    cx.unify(channels, in_channels, "the channels of the input and of the weight")?;
    if op.group < 1 || in_channels.fixed().is_some_and(|c| c % op.group != 0) {
        return Err(cx.error(format!("{in_channels} channels can't be divided into {} groups", op.group)));
    }
    let filters = cx.or_fresh(per_group.mul(&Expr::Fixed(op.group)));
    check_bias(cx, &filters)?;
    let window = Window {
        auto_pad: op.auto_pad,
        dilations: &op.dilations,
        kernel: &op.kernel_shape,
        pads: &op.pads,
        strides: &op.strides,
        ceil: false,
    };
    let given = match (op.output_shape.len(), sizes.len()) {
        (0, _) => &[][..],
        (n, s) if n == s => &op.output_shape,
        (n, s) if n == s + 2 => op.output_shape.get(2..).unwrap_or_default(),
        (n, s) => return Err(cx.error(format!("`output_shape` has {n} numbers for {s} spatial axes"))),
    };
    let mut shape = vec![batch.clone(), filters];
    for (i, (axis, input)) in window.axes(cx, sizes.len())?.iter().zip(sizes).enumerate() {
        let kernel = match kernel.get(i) {
            Some(k) => kernel_size(cx, op.kernel_shape.get(i), k)?,
            None => cx.fresh(),
        };
        let extra = op.output_padding.get(i).copied().unwrap_or(0);
        let size = match given.get(i) {
            Some(n) => Some(Expr::Fixed(*n)),
            None if matches!(op.auto_pad, AutoPad::SameUpper | AutoPad::SameLower) => {
                input.mul(&Expr::Fixed(axis.stride))
            }
            None => (|| {
                let spread = input.sub(&Expr::ONE)?.mul(&Expr::Fixed(axis.stride))?;
                let extent = kernel.sub(&Expr::ONE)?.mul(&Expr::Fixed(axis.dilation))?.add(&Expr::ONE)?;
                spread.add(&extent)?.add(&Expr::Fixed(extra.checked_sub(axis.begin)?.checked_sub(axis.end)?))
            })(),
        };
        let size = cx.or_fresh(size);
        check_size(cx, &size, input)?;
        shape.push(size);
    }
    Ok(Fact::new(dtype, Some(shape)))
}

/// Windowed pools; the second output (indices of `MaxPool`) has the same shape.
pub(super) fn pool(cx: &mut Context, window: &Window) -> Result<Vec<Fact>> {
    cx.expect_type(0, "floating-point or 8-bit", |t| t.is_float() || matches!(t, DType::I8 | DType::U8))?;
    let dtype = cx.dtype(0);
    let mut shape = None;
    if let Some((lead, sizes)) = spatial(cx)? {
        if window.kernel.len() != sizes.len() {
            let (found, needed) = (window.kernel.len(), sizes.len());
            return Err(cx.error(format!("`kernel_shape` has {found} numbers but needs {needed}")));
        }
        let mut dims = lead.to_vec();
        for ((axis, input), kernel) in window.axes(cx, sizes.len())?.iter().zip(sizes).zip(window.kernel) {
            let size = cx.or_fresh(window.output(axis, input, &Expr::Fixed(*kernel)));
            check_size(cx, &size, input)?;
            dims.push(size);
        }
        shape = Some(dims);
    }
    Ok(vec![Fact::new(dtype, shape.clone()), Fact::new(Some(DType::I64), shape)])
}

pub(super) fn global_pool(cx: &mut Context) -> Result<Fact> {
    cx.expect_float(0)?;
    let shape = match cx.shape(0)? {
        Some(shape) if shape.len() < 2 => {
            return Err(cx.error(format!("the input has shape {}, without a channel axis", show(shape))));
        }
        Some(shape) => {
            Some(shape.iter().enumerate().map(|(i, d)| if i < 2 { d.clone() } else { Expr::ONE }).collect())
        }
        None => None,
    };
    Ok(Fact::new(cx.dtype(0), shape))
}

pub(super) fn roi_align(cx: &mut Context, op: &RoiAlign) -> Result<Fact> {
    cx.expect_float(0)?;
    cx.expect_rank(0, 4)?;
    cx.expect_rank(1, 2)?;
    cx.expect_rank(2, 1)?;
    if op.output_height < 1 || op.output_width < 1 {
        return Err(cx.error("`output_height` and `output_width` must be positive"));
    }
    let channels = match cx.shape(0)? {
        Some([_, c, ..]) => c.clone(),
        _ => cx.fresh(),
    };
    let regions = match (cx.shape(1)?, cx.shape(2)?) {
        (Some([a, _]), Some([b])) => cx.unify(a, b, "the numbers of regions and of their batch indices")?,
        (Some([a, _]), _) | (_, Some([a])) => a.clone(),
        _ => cx.fresh(),
    };
    let shape = vec![regions, channels, Expr::Fixed(op.output_height), Expr::Fixed(op.output_width)];
    Ok(Fact::new(cx.dtype(0), Some(shape)))
}

pub(super) fn grid_sample(cx: &mut Context) -> Result<Fact> {
    cx.expect_float(1)?;
    let (Some(x), Some(grid)) = (cx.shape(0)?, cx.shape(1)?) else { return Ok(Fact::new(cx.dtype(0), None)) };
    let ([batch, channels, sizes @ ..], [grid_batch, points @ .., coordinates]) = (x, grid) else {
        return Err(cx.error(format!("can't sample {} at a grid {}", show(x), show(grid))));
    };
    if sizes.len() != points.len() || coordinates.fixed().is_some_and(|c| c != sizes.len() as i64) {
        return Err(cx.error(format!("a grid {} does not fit an input {}", show(grid), show(x))));
    }
    let batch = cx.unify(batch, grid_batch, "the batch sizes")?;
    Ok(Fact::new(cx.dtype(0), Some([&[batch, channels.clone()], points].concat())))
}

/// `size * scale` as runtimes compute it: in 32-bit floats, rounded down.
fn scaled(size: &Expr, scale: f64) -> Option<Expr> {
    if !scale.is_finite() || scale <= 0.0 || scale > 1e6 {
        return None;
    }
    if let Some(n) = size.fixed() {
        let product = (n as f32) * (scale as f32);
        return (product < 1e9).then_some(Expr::Fixed(product as i64));
    }
    if scale.fract() == 0.0 {
        return size.mul(&Expr::Fixed(scale as i64));
    }
    // Only powers of two are inverted without rounding.
    let inverse = 1.0 / scale;
    let exact = inverse.fract() == 0.0 && (inverse as i64).count_ones() == 1;
    exact.then(|| size.floor_div(&Expr::Fixed(inverse as i64))).flatten()
}

pub(super) fn resize(cx: &mut Context, op: &Resize) -> Result<Fact> {
    let input = cx.input(0)?;
    let Some(shape) = &input.shape else { return Ok(Fact::new(input.dtype, None)) };
    let axes = match &op.axes {
        Some(axes) => cx.axes(axes, shape.len())?,
        None => (0..shape.len()).collect(),
    };
    let absent = |i: usize| cx.get(i).is_none_or(|f| f.count() == Some(0));
    let mut output = shape.clone();
    let wrong = |cx: &Context, n: usize| cx.error(format!("{n} sizes are given for {} axes", axes.len()));
    if !absent(3) {
        let sizes = cx.vector(3);
        if sizes.as_ref().is_some_and(|s| s.len() != axes.len()) {
            return Err(wrong(cx, sizes.map_or(0, |s| s.len())));
        }
        let mut sizes = sizes.unwrap_or_else(|| vec![None; axes.len()]);
        if op.keep_aspect_ratio_policy != AspectPolicy::Stretch {
            sizes = keep_aspect(op.keep_aspect_ratio_policy, shape, &axes, &sizes);
        }
        for (axis, size) in axes.iter().zip(sizes) {
            let size = cx.or_fresh(size);
            if let Some(slot) = output.get_mut(*axis) {
                *slot = size;
            }
        }
    } else if !absent(2) {
        let scales = cx.floats(2).or_else(|| Some(cx.integers(2)?.iter().map(|n| *n as f64).collect()));
        if scales.as_ref().is_some_and(|s| s.len() != axes.len()) {
            return Err(wrong(cx, scales.map_or(0, |s| s.len())));
        }
        for (i, axis) in axes.iter().enumerate() {
            let size = scales.as_ref().and_then(|s| scaled(shape.get(*axis)?, *s.get(i)?));
            let size = cx.or_fresh(size);
            if let Some(slot) = output.get_mut(*axis) {
                *slot = size;
            }
        }
    } else {
        return Err(cx.error("neither scales nor sizes are given"));
    }
    Ok(Fact::new(input.dtype, Some(output)))
}

fn keep_aspect(
    policy: AspectPolicy,
    shape: &[Expr],
    axes: &[usize],
    sizes: &[Option<Expr>],
) -> Vec<Option<Expr>> {
    let known = || -> Option<Vec<Option<Expr>>> {
        let from: Vec<f64> =
            axes.iter().map(|a| Some(shape.get(*a)?.fixed()? as f64)).collect::<Option<_>>()?;
        let to: Vec<f64> = sizes.iter().map(|s| Some(s.as_ref()?.fixed()? as f64)).collect::<Option<_>>()?;
        let ratios = from.iter().zip(&to).map(|(f, t)| t / f);
        let scale = if policy == AspectPolicy::NotLarger {
            ratios.fold(f64::INFINITY, f64::min)
        } else {
            ratios.fold(0.0, f64::max)
        };
        // Half rounds up, as the operator's text says.
        Some(from.iter().map(|f| Some(Expr::Fixed((f * scale + 0.5).floor() as i64))).collect())
    };
    known().unwrap_or_else(|| vec![None; sizes.len()])
}
