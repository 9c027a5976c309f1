//! Max pools over known sizes: each tap of the window is compared with the maximum, and the shares of the winners are
//! put back phase by phase.

use exegesis_graph::op::{self, Binary};
use exegesis_graph::{Dim, ValueId};

use crate::Result;
use crate::linear::Geometry;
use crate::linear::phases::{are_few, cells, weave};
use crate::rule::Context;

/// Most taps that are treated one by one.
const MAX_TAPS: usize = 256;

/// Sends `g` to the tied maxima `y` of the windows of `x`, or `None` where a size is not known or windows or strides are
/// large.
///
/// Tap `t` of window `i` lies at `i s + t d` of the padded input, which is cell `i + floor(t d / s)` of phase
/// `t d mod s`: all work is done on arrays of the size of the output, and the phases are woven once.
///
/// # Errors
/// The graph can't be treated.
pub fn by_taps(
    cx: &mut Context<'_, '_>,
    geo: &Geometry,
    [x, y]: [ValueId; 2],
    g: ValueId,
) -> Result<Option<ValueId>> {
    let n = geo.kernel.len();
    let taps = geo.kernel.iter().try_fold(1usize, |n, size| n.checked_mul(*size));
    if !are_few(&geo.strides) || taps.is_none_or(|taps| taps > MAX_TAPS) {
        return Ok(None);
    }
    let fixed = |cx: &Context<'_, '_>, v| -> Result<Option<Vec<usize>>> {
        Ok(cx.b.shape(v)?[1..].iter().map(Dim::fixed).collect())
    };
    let (Some(size), Some(out)) = (fixed(cx, x)?, fixed(cx, y)?) else { return Ok(None) };
    let (channels, size, out) = (size[0], &size[1..], &out[1..]);
    // How far the last tap of a window is from the first, in cells of a phase.
    let reach = |i: usize, tap: usize| tap * geo.dilations[i] / geo.strides[i];
    let m: Vec<usize> = (0..n).map(|i| out[i] + reach(i, geo.kernel[i] - 1)).collect();
    let mut pads = vec![0i64; 2 * (n + 2)];
    for i in 0..n {
        pads[2 + i] = geo.begins[i];
        let needed = ((out[i] - 1) * geo.strides[i]) as i64 + geo.extent(i) - geo.begins[i] - size[i] as i64;
        pads[n + 4 + i] = needed.max(0);
    }
    // Padding must never win.
    let padded = cx.b.pad(x, &pads, f64::from(f32::MIN))?;

    let taps: Vec<Vec<usize>> = cells(&geo.kernel).collect();
    let mut winners = vec![];
    let mut ties: Option<ValueId> = None;
    for tap in &taps {
        let taken = take(cx, padded, geo, tap, out)?;
        cx.b.assume_shape(taken, y);
        let equal = cx.b.op(Binary::Equal, &[taken, y])?;
        let winner = cx.b.indicator(equal, g)?;
        winners.push(winner);
        ties = Some(match ties {
            None => winner,
            Some(before) => cx.b.add(before, winner)?,
        });
    }
    let Some(ties) = ties else { return Ok(None) };
    // A window of NaN has no winner: its share stays NaN and shows.
    let share = cx.b.div(g, ties)?;

    let mut phases: Vec<Option<ValueId>> = vec![None; geo.strides.iter().product()];
    for (tap, winner) in taps.iter().zip(winners) {
        let mut part = cx.b.mul(winner, share)?;
        cx.b.assume_shape(part, y);
        let mut pads = vec![0i64; 2 * (n + 2)];
        let mut phase = 0;
        for i in 0..n {
            let before = reach(i, tap[i]);
            pads[2 + i] = before as i64;
            pads[n + 4 + i] = (m[i] - out[i] - before) as i64;
            phase = phase * geo.strides[i] + tap[i] * geo.dilations[i] % geo.strides[i];
        }
        part = cx.b.pad(part, &pads, 0.0)?;
        phases[phase] = Some(match phases[phase] {
            None => part,
            Some(before) => cx.b.add(before, part)?,
        });
    }
    let Some(mut back) = weave(cx, &phases, &geo.strides, channels, &m)? else { return Ok(None) };
    // Away with the padding; cells that no window reaches get nothing.
    let mut pads = vec![0i64; 2 * (n + 2)];
    for i in 0..n {
        pads[2 + i] = -geo.begins[i];
        pads[n + 4 + i] = size[i] as i64 + geo.begins[i] - (m[i] * geo.strides[i]) as i64;
    }
    back = cx.b.pad(back, &pads, 0.0)?;
    cx.b.assume_shape(back, x);
    Ok(Some(back))
}

/// The values of one tap in all windows: a strided slice of the padded input.
fn take(
    cx: &mut Context<'_, '_>,
    padded: ValueId,
    geo: &Geometry,
    tap: &[usize],
    out: &[usize],
) -> Result<ValueId> {
    let n = tap.len();
    let starts: Vec<i64> = (0..n).map(|i| (tap[i] * geo.dilations[i]) as i64).collect();
    let ends: Vec<i64> = (0..n).map(|i| starts[i] + ((out[i] - 1) * geo.strides[i] + 1) as i64).collect();
    let axes: Vec<i64> = (2..2 + n as i64).collect();
    let operands = [starts, ends, axes, geo.strides_attribute()].map(|values| cx.b.ints(&values));
    let [starts, ends, axes, steps] = operands;
    Ok(cx.b.op(op::Slice {}, &[padded, starts, ends, axes, steps])?)
}
