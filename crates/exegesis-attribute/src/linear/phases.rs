//! Adjoints of strided windows without a transposed convolution: the cells of the input fall into phases (index modulo
//! stride), each of which is an ordinary convolution of the signal with a part of the flipped kernel; the phases are then
//! woven together.

use exegesis_graph::op;
use exegesis_graph::{Tensor, ValueId};

use super::Term;
use super::convolution::Geometry;
use crate::Result;
use crate::rule::Context;

/// Fewest channels per group that a phase convolution is worth: with less, a matrix product has too few rows and the
/// transposed convolution wins (measured in `docs/speed.md`).
const MIN_CHANNELS: usize = 8;

/// Most phases that are worth a graph of their own each; also a bound on what a hostile stride can ask for.
const MAX_PHASES: usize = 64;

/// True if windows with these strides may be taken apart by phase.
pub fn are_few(strides: &[usize]) -> bool {
    let count = strides.iter().try_fold(1usize, |n, stride| n.checked_mul(*stride));
    count.is_some_and(|n| n <= MAX_PHASES)
}

/// Mixed-radix counting: every index below `sizes`, the last axis fastest.
pub fn cells(sizes: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let (count, sizes) = (sizes.iter().product::<usize>(), sizes.to_vec());
    (0..count).map(move |mut rest| {
        let mut index = vec![0; sizes.len()];
        for (i, size) in sizes.iter().enumerate().rev() {
            index[i] = rest % size;
            rest /= size;
        }
        index
    })
}

/// Weaves phases `[n, c, m...]` (none: zeros) into `[n, c, m * stride...]`: cell `i` of phase `p` becomes cell
/// `i * stride + p`. Phases are listed with the last axis fastest; `m` is known.
///
/// # Errors
/// The graph can't be treated.
pub fn weave(
    cx: &mut Context<'_, '_>,
    phases: &[Option<ValueId>],
    strides: &[usize],
    channels: usize,
    m: &[usize],
) -> Result<Option<ValueId>> {
    let n = strides.len();
    let Some(first) = phases.iter().flatten().next().copied() else { return Ok(None) };
    let present = phases.iter().flatten().count();
    let long = |values: &[usize]| -> Vec<i64> { values.iter().map(|v| *v as i64).collect() };
    let woven: Vec<usize> = m.iter().zip(strides).map(|(m, s)| m * s).collect();
    if present == 1 && phases[0].is_some() {
        // [n, c, m, 1, ...] padded to [n, c, m, stride, ...].
        let mut dims = vec![-1, channels as i64];
        let mut pads = vec![0; 2 * (2 + 2 * n)];
        for i in 0..n {
            dims.extend([m[i] as i64, 1]);
            pads[2 + 2 * n + 3 + 2 * i] = strides[i] as i64 - 1;
        }
        let apart = cx.b.reshape_to(first, &dims)?;
        let padded = cx.b.pad(apart, &pads, 0.0)?;
        let mut dims = vec![-1, channels as i64];
        dims.extend(long(&woven));
        return Ok(Some(cx.b.reshape_to(padded, &dims)?));
    }
    let mut zeros = None;
    let mut parts = vec![];
    for phase in phases {
        parts.push(match (phase, zeros) {
            (Some(phase), _) => *phase,
            (None, Some(zeros)) => zeros,
            (None, None) => *zeros.insert(cx.b.zeros_like(first)?),
        });
    }
    let stacked = cx.b.concat(&parts, 1)?;
    let mut dims = vec![-1];
    dims.extend(long(strides));
    dims.push(channels as i64);
    dims.extend(long(m));
    let apart = cx.b.reshape_to(stacked, &dims)?;
    let mut perm = vec![0, n + 1];
    for i in 0..n {
        perm.extend([n + 2 + i, 1 + i]);
    }
    let ordered = cx.b.transpose(apart, &perm)?;
    let mut dims = vec![-1, channels as i64];
    dims.extend(long(&woven));
    Ok(Some(cx.b.reshape_to(ordered, &dims)?))
}

/// The sum of `W^T g` over the terms, of a strided convolution with constant weights `w [m, c / group, k...]`, or `None` where sizes are not known,
/// kernels are dilated, or the transposed convolution is the better form.
///
/// With `j = m s + p` a cell of the input and `b` the padding before it, the taps `t` that reach it are
/// `t = t0 + s u`, `t0 = (p + b) mod s`, from the output `i = m + (p + b - t0)/s - u`.
///
/// # Errors
/// The graph can't be treated.
pub fn adjoint_of_strided(
    cx: &mut Context<'_, '_>,
    terms: &[Term],
    w: &Tensor,
    x: ValueId,
    geo: &Geometry,
    group: usize,
) -> Result<Option<ValueId>> {
    let n = geo.kernel.len();
    let per_group = w.shape()[1];
    let channels = per_group * group;
    let depthwise = group > 1 && per_group == 1 && w.shape()[0] == group;
    if !are_few(&geo.strides)
        || geo.dilations.iter().any(|d| *d != 1)
        || !(per_group >= MIN_CHANNELS || depthwise)
    {
        return Ok(None);
    }
    let sizes = |cx: &Context<'_, '_>, v| -> Result<Option<Vec<usize>>> {
        Ok(cx.b.shape(v)?[2..].iter().map(exegesis_graph::Dim::fixed).collect())
    };
    let Some(first) = terms.first() else { return Ok(None) };
    let (Some(size), Some(out)) = (sizes(cx, x)?, sizes(cx, first.g)?) else { return Ok(None) };
    let m: Vec<usize> = (0..n).map(|i| size[i].div_ceil(geo.strides[i])).collect();
    let mut phases = vec![];
    for phase in cells(&geo.strides) {
        let mut taps: Vec<Vec<usize>> = vec![];
        let (mut begins, mut ends) = (vec![], vec![]);
        for i in 0..n {
            let (stride, reach) = (geo.strides[i] as i64, phase[i] as i64 + geo.begins[i]);
            let first = reach.rem_euclid(stride);
            // Flipped: the last tap first.
            taps.push((first as usize..geo.kernel[i]).step_by(geo.strides[i]).rev().collect());
            let length = taps[i].len() as i64;
            let begin = length - 1 - reach.div_euclid(stride);
            begins.push(begin);
            ends.push(m[i] as i64 + length - 1 - out[i] as i64 - begin);
        }
        if taps.iter().any(Vec::is_empty) {
            phases.push(None);
            continue;
        }
        let kernel = part_of_kernel(cx, w, group, &taps)?;
        let crop: Vec<i64> = begins.iter().chain(&ends).map(|p| (*p).min(0)).collect();
        let cropped = crop.iter().any(|p| *p < 0).then(|| {
            let mut pads = vec![0i64; 2 * (n + 2)];
            pads[2..2 + n].copy_from_slice(&crop[..n]);
            pads[n + 4..].copy_from_slice(&crop[n..]);
            pads
        });
        let conv = op::Conv {
            group: group as i64,
            dilations: vec![1; n],
            kernel_shape: taps.iter().map(|t| t.len() as i64).collect(),
            pads: begins.iter().chain(&ends).map(|p| (*p).max(0)).collect(),
            strides: vec![1; n],
            ..op::Conv::default()
        };
        phases.push(Some(Term::sum(cx, terms, &mut |cx, term| {
            let kernel = term.form.of(cx.b, kernel)?;
            let signal = match &cropped {
                Some(pads) => cx.b.pad(term.g, pads, 0.0)?,
                None => term.g,
            };
            Ok(cx.b.op(conv.clone(), &[signal, kernel])?)
        })?));
    }
    let Some(mut woven) = weave(cx, &phases, &geo.strides, channels, &m)? else { return Ok(None) };
    for i in 0..n {
        if m[i] * geo.strides[i] != size[i] {
            woven = cx.b.slice(woven, 2 + i, 0, size[i] as i64, 1)?;
        }
    }
    cx.b.assume_shape(woven, x);
    Ok(Some(woven))
}

/// The taps of a convolution's weights `[m, c / group, k...]` as weights of its adjoint, `[c, m / group, taps...]`.
pub fn part_of_kernel(
    cx: &mut Context<'_, '_>,
    w: &Tensor,
    group: usize,
    taps: &[Vec<usize>],
) -> Result<ValueId> {
    let (m, per_group) = (w.shape()[0], w.shape()[1]);
    let kernel = w.shape()[2..].to_vec();
    let m_per_group = m / group;
    let size: usize = kernel.iter().product();
    let lengths: Vec<usize> = taps.iter().map(Vec::len).collect();
    let picked: Vec<usize> = cells(&lengths)
        .map(|index| {
            let taps = index.iter().zip(taps).map(|(i, taps)| taps[*i]);
            taps.zip(&kernel).fold(0, |at, (tap, size)| at * size + tap)
        })
        .collect();
    let mut shape = vec![per_group * group, m_per_group];
    shape.extend(&lengths);
    let picked = &picked;
    let index = (0..per_group * group).flat_map(|c| {
        let (g, c_in) = (c / per_group, c % per_group);
        (0..m_per_group).flat_map(move |m_in| {
            let row = (g * m_per_group + m_in) * per_group + c_in;
            picked.iter().map(move |k| row * size + k)
        })
    });
    Ok(cx.b.permuted_constant(w, shape, index)?)
}
