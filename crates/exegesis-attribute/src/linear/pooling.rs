//! Adjoint of average pooling.

use exegesis_graph::{Dim, Error, Node, Op, Tensor, ValueId};

use super::convolution::{Geometry, Window, adjoint_of_windows, geometry};
use crate::Result;
use crate::rule::Context;

/// `W^T g` of an average pool: `g` divided by the cells counted per window, spread over its cells.
///
/// # Errors
/// The divisor varies and the sizes are not known.
pub fn adjoint_of_average(cx: &mut Context<'_, '_>, node: &Node, g: ValueId, x: ValueId) -> Result<ValueId> {
    let Op::AveragePool(pool) = &node.op else { unreachable!("called for average pools") };
    let window = Window {
        auto_pad: pool.auto_pad,
        kernel: pool.kernel_shape.iter().map(|k| (*k).max(0) as usize).collect(),
        strides: &pool.strides,
        dilations: &pool.dilations,
        pads: &pool.pads,
    };
    let mut geo = geometry(cx, &window, x)?;
    let divisors = divisors(cx, &geo, x, g, pool.count_include_pad, pool.ceil_mode)?;
    let mut g = match divisors {
        // Divided, as the forward operator does: a factor 1/n would be rounded.
        Divisor::Same(n) => {
            let n = cx.b.scalar(n, g)?;
            cx.b.div(g, n)?
        }
        Divisor::PerCell(axes) => {
            let mut g = g;
            let n = axes.len();
            for (i, counts) in axes.into_iter().enumerate() {
                let mut shape = vec![1; n];
                shape[i] = counts.len();
                let counts = counts.iter().map(|c| c.max(1.0)).collect();
                let counts = Tensor::from_f64(cx.b.dtype(g), shape, counts)?;
                let counts = cx.b.constant(counts);
                g = cx.b.div(g, counts)?;
            }
            g
        }
    };
    // Channels do not mix: fold them into the batch and use one all-ones kernel.
    let n = geo.kernel.len();
    extend_for_ceil(cx, &mut geo, x, g)?;
    let g_shape = cx.b.shape(g)?.clone();
    let x_shape = cx.b.shape(x)?.clone();
    let single = spatial_only(cx, g, &g_shape)?;
    let plane = spatial_only(cx, x, &x_shape)?;
    let mut kernel_shape = vec![1, 1];
    kernel_shape.extend(&geo.kernel);
    let cells: usize = geo.kernel.iter().product();
    let ones = Tensor::from_f64(cx.b.dtype(g), kernel_shape, vec![1.0; cells])?;
    let ones = cx.b.constant(ones);
    g = adjoint_of_windows(cx, single, ones, plane, &geo, 1)?;
    debug_assert!(n > 0);
    Ok(cx.b.reshape_like(g, x)?)
}

/// `v [n, c, d...]` as `[n c, 1, d...]`.
///
/// # Errors
/// The graph can't be treated.
pub fn spatial_only(cx: &mut Context<'_, '_>, v: ValueId, shape: &[Dim]) -> Result<ValueId> {
    let fixed: Option<Vec<i64>> = shape[2..].iter().map(|d| d.fixed().map(|n| n as i64)).collect();
    let out = match fixed {
        Some(spatial) => {
            let mut dims = vec![-1, 1];
            dims.extend(spatial);
            cx.b.reshape_to(v, &dims)?
        }
        None => {
            let lead = cx.b.ints(&[-1, 1]);
            let spatial = cx.b.op(exegesis_graph::op::Shape { start: 2, end: None }, &[v])?;
            let dims = cx.b.concat(&[lead, spatial], 0)?;
            cx.b.reshape(v, dims)?
        }
    };
    let rows = match (&shape[0], &shape[1]) {
        (Dim::Fixed(a), Dim::Fixed(b)) => Dim::Fixed(a * b),
        (a, b) => Dim::symbol(format!("({a}) * ({b})")),
    };
    let mut folded = vec![rows, Dim::Fixed(1)];
    folded.extend(shape[2..].iter().cloned());
    cx.b.set_shape(out, folded);
    Ok(out)
}

/// Lengthens the end padding so that every window of a ceil-mode pool lies inside the padded input.
///
/// # Errors
/// The graph can't be treated.
pub fn extend_for_ceil(cx: &Context<'_, '_>, geo: &mut Geometry, x: ValueId, g: ValueId) -> Result<()> {
    let (x_shape, g_shape) = (cx.b.shape(x)?, cx.b.shape(g)?);
    for i in 0..geo.kernel.len() {
        if let (Some(size), Some(out)) = (x_shape[2 + i].fixed(), g_shape[2 + i].fixed()) {
            let needed =
                (out as i64 - 1) * geo.strides[i] as i64 + geo.extent(i) - geo.begins[i] - size as i64;
            geo.ends[i] = geo.ends[i].max(needed);
        }
    }
    Ok(())
}

enum Divisor {
    /// The same number of cells in every window.
    Same(f64),
    /// Cells counted along each spatial axis, whose product is the count of a window.
    PerCell(Vec<Vec<f64>>),
}

fn divisors(
    cx: &Context<'_, '_>,
    geo: &Geometry,
    x: ValueId,
    g: ValueId,
    include_pad: bool,
    ceil: bool,
) -> Result<Divisor> {
    let n = geo.kernel.len();
    let full: usize = geo.kernel.iter().product();
    let padded = geo.begins.iter().chain(&geo.ends).any(|p| *p != 0);
    if !ceil && (include_pad || !padded) {
        return Ok(Divisor::Same(full as f64));
    }
    let (x_shape, g_shape) = (cx.b.shape(x)?, cx.b.shape(g)?);
    let mut axes = Vec::with_capacity(n);
    for i in 0..n {
        let (Some(size), Some(out)) = (x_shape[2 + i].fixed(), g_shape[2 + i].fixed()) else {
            return Err(Error::unsupported(
                "an average pool with padding over an axis of unknown size; fix the input's dimensions",
            )
            .into());
        };
        let (low, high) =
            if include_pad { (-geo.begins[i], size as i64 + geo.ends[i]) } else { (0, size as i64) };
        let count = |o: usize| {
            let start = (o * geo.strides[i]) as i64 - geo.begins[i];
            let cells = (0..geo.kernel[i]).map(|k| start + (k * geo.dilations[i]) as i64);
            cells.filter(|p| (low..high).contains(p)).count() as f64
        };
        axes.push((0..out).map(count).collect());
    }
    Ok(Divisor::PerCell(axes))
}
