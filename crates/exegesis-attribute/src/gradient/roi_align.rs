//! Derivative of pooling regions.

use exegesis_graph::op::{self, Binary, ReduceKind, RoiAlign, Unary};
use exegesis_graph::{DType, Error, Node, Tensor, ValueId};

use super::sampling::{self, Line, Taps, cell_index};
use crate::Result;
use crate::rule::{Context, Outcome};

/// Mean, or maximum, over the samples of each bin of a region (He et al. 2017, section 3; ONNX operator reference,
/// `RoiAlign` version 16). A sample at `p` reads the four cells around it with weights `w_k(p)`:
/// - `avg`, `y = 1/s sum_samples sum_k w_k x_k`: cell `k` gets `w_k g / s`, the position `w_k' x_k g / s`;
/// - `max`, `y = max over samples and k of w_k x_k`: the same with `g` shared equally among the maxima.
///
/// Positions are linear in the region, which gets their signal.
///
/// # Errors
/// The sizes of the image are not known.
pub fn backward(cx: &mut Context<'_, '_>, node: &Node, op: &RoiAlign, g: ValueId) -> Result<Outcome> {
    let (Some(x), Some(rois), Some(owners)) = (node.input(0), node.input(1), node.input(2)) else {
        return Err(Error::malformed("RoiAlign lacks an operand").into());
    };
    if op.sampling_ratio < 1 {
        return Ok(Outcome::NoRule(
            "the number of samples depends on the regions (`sampling_ratio` 0)".into(),
        ));
    }
    let half_pixel = match op.coordinate_transformation_mode.as_str() {
        "half_pixel" => true,
        "output_half_pixel" => false,
        other => return Err(Error::malformed(format!("the coordinate mode is \"{other}\"")).into()),
    };
    let is_maximum = match op.mode.as_str() {
        "avg" => false,
        "max" => true,
        other => return Err(Error::malformed(format!("`mode` is \"{other}\"")).into()),
    };
    let (spatial, channels) = sampling::plane(cx, x)?;
    let &[height, width] = spatial.as_slice() else {
        return Err(Error::malformed("RoiAlign needs images [n, c, h, w]").into());
    };
    if op.output_height < 1 || op.output_width < 1 {
        return Err(Error::malformed("RoiAlign without output cells").into());
    }
    let bins = [op.output_height, op.output_width];
    let samples = bins.map(|n| n * op.sampling_ratio);
    let mut edges = vec![];
    for (i, size) in [height, width].into_iter().enumerate() {
        // Regions are x1, y1, x2, y2.
        let first = 1 - i as i64;
        edges.push(Edge::new(cx, rois, [first, first + 2], samples[i], size, op.spatial_scale, half_pixel)?);
    }
    let mut lines = vec![];
    let mut inside: Option<ValueId> = None;
    for (i, edge) in edges.iter().enumerate() {
        // [r, s, 1, 2, 1] and [r, 1, s, 1, 2].
        let around = [2 - i, 4 - i];
        let valid = cx.b.unsqueeze(edge.valid, &around)?;
        inside = Some(match inside {
            None => valid,
            Some(other) => cx.b.op(Binary::And, &[other, valid])?,
        });
        lines.push(Line {
            cells: cx.b.unsqueeze(edge.line.cells, &around)?,
            weights: cx.b.unsqueeze(edge.line.weights, &around)?,
            slopes: cx.b.unsqueeze(edge.line.slopes, &around)?,
        });
    }
    let owners = match cx.b.dtype(owners) {
        DType::I64 => owners,
        _ => cx.b.op(op::Cast { to: DType::I64 }, &[owners])?,
    };
    let points = samples[0] * samples[1];
    let taps = Taps::new(cx, x, owners, &lines, points)?;
    let grid = Grid { bins, ratio: op.sampling_ratio, channels: channels as i64 };
    let signal = match (is_maximum, inside) {
        (true, Some(inside)) => grid.maxima(cx, &taps, inside, g)?,
        _ => grid.means(cx, g)?,
    };
    let mut signals = vec![None; node.inputs.len()];
    if cx.carries(node, 0) {
        signals[0] = Some(taps.on_images(cx, signal)?);
    }
    if cx.carries(node, 1) {
        let positions = taps.on_positions(cx, signal)?;
        let mut corners = vec![None; 4];
        for (i, (position, edge)) in positions.into_iter().zip(&edges).enumerate() {
            let cells = cx.b.reshape_to(position, &[-1, samples[0], samples[1]])?;
            let line = cx.b.reduce_sum(cells, &[2 - i], false)?;
            let [begin, end] = edge.on_region(cx, line)?;
            (corners[1 - i], corners[3 - i]) = (Some(begin), Some(end));
        }
        let corners: Vec<ValueId> = corners.into_iter().flatten().collect();
        let together = cx.b.concat(&corners, 1)?;
        cx.b.assume_shape(together, rois);
        signals[1] = Some(together);
    }
    Ok(Outcome::Signals(signals))
}

/// One side of all regions.
struct Edge {
    /// Taps of the samples along it, `[r, samples, 2]`.
    line: Line,
    /// Samples not more than a cell outside, `[r, samples, 1]`.
    valid: ValueId,
    /// Where in the region each sample is, from 0 to 1, `[samples]`.
    fractions: ValueId,
    scale: f64,
    /// In the older convention, where the region is longer than the least length, `[r, 1]`.
    is_long: Option<ValueId>,
}

impl Edge {
    fn new(
        cx: &mut Context<'_, '_>,
        rois: ValueId,
        columns: [i64; 2],
        samples: i64,
        size: usize,
        scale: f32,
        half_pixel: bool,
    ) -> Result<Self> {
        let scale = f64::from(scale);
        let mut ends = vec![];
        for column in columns {
            let end = cx.b.slice(rois, 1, column, column + 1, 1)?;
            let scaled = cx.b.mul_scalar(end, scale)?;
            ends.push(if half_pixel { cx.b.add_scalar(scaled, -0.5)? } else { scaled });
        }
        let mut length = cx.b.sub(ends[1], ends[0])?;
        let mut is_long = None;
        if !half_pixel {
            let one = cx.b.scalar(1.0, length)?;
            is_long = Some(cx.b.op(Binary::Greater, &[length, one])?);
            length = cx.b.op(exegesis_graph::op::Variadic::Max, &[length, one])?;
        }
        let fractions = (0..samples).map(|s| (s as f64 + 0.5) / samples as f64).collect();
        let fractions = Tensor::from_f64(cx.b.dtype(rois), vec![samples as usize], fractions)?;
        let fractions = cx.b.constant(fractions);
        let along = cx.b.mul(length, fractions)?;
        let position = cx.b.add(ends[0], along)?;
        let position = cx.b.unsqueeze(position, &[2])?;
        let (line, valid) = taps(cx, position, size)?;
        Ok(Self { line, valid, fractions, scale, is_long })
    }

    /// The signal on both ends of the regions, `[r, 1]` each, for that on the samples, `[r, samples]`.
    fn on_region(&self, cx: &mut Context<'_, '_>, signal: ValueId) -> Result<[ValueId; 2]> {
        let scaled = cx.b.mul_scalar(signal, self.scale)?;
        let all = cx.b.reduce_sum(scaled, &[1], true)?;
        let weighted = cx.b.mul(scaled, self.fractions)?;
        let mut end = cx.b.reduce_sum(weighted, &[1], true)?;
        if let Some(is_long) = self.is_long {
            let zero = cx.b.scalar(0.0, end)?;
            end = cx.b.select(is_long, end, zero)?;
        }
        Ok([cx.b.sub(all, end)?, end])
    }
}

/// The two cells around each position, with their weights; positions more than a cell outside read nothing.
fn taps(cx: &mut Context<'_, '_>, position: ValueId, size: usize) -> Result<(Line, ValueId)> {
    let (low, high) = (cx.b.scalar(-1.0, position)?, cx.b.scalar(size as f64, position)?);
    let from = cx.b.op(Binary::GreaterOrEqual, &[position, low])?;
    let to = cx.b.op(Binary::LessOrEqual, &[position, high])?;
    let valid = cx.b.op(Binary::And, &[from, to])?;
    let (zero, last) = (cx.b.scalar(0.0, position)?, cx.b.scalar(size as f64 - 1.0, position)?);
    // Before the first and behind the last cell the position no longer matters.
    let inside = cx.b.op(op::Clip {}, &[position, zero, last])?;
    let base = cx.b.unary(Unary::Floor, inside)?;
    let fraction = cx.b.sub(inside, base)?;
    let (weights, slopes) = sampling::polynomials(cx, fraction, &[&[1.0, 0.0], &[-1.0, 1.0]])?;
    let after = cx.b.op(Binary::Greater, &[position, zero])?;
    let before = cx.b.op(Binary::Less, &[position, last])?;
    let moves = cx.b.op(Binary::And, &[after, before])?;
    let slopes = cx.b.select(moves, slopes, zero)?;
    let steps = Tensor::from_f64(cx.b.dtype(position), vec![2], vec![0.0, 1.0])?;
    let steps = cx.b.constant(steps);
    let neighbours = cx.b.add(base, steps)?;
    let line = Line {
        cells: cell_index(cx, neighbours, size)?,
        weights: cx.b.select(valid, weights, zero)?,
        slopes: cx.b.select(valid, slopes, zero)?,
    };
    Ok((line, valid))
}

/// How samples make up the output.
struct Grid {
    bins: [i64; 2],
    ratio: i64,
    channels: i64,
}

impl Grid {
    /// `g [r, c, h, w]` divided among the samples of each bin: `[r, points, 1, c]`.
    fn means(&self, cx: &mut Context<'_, '_>, g: ValueId) -> Result<ValueId> {
        let apart = cx.b.unsqueeze(g, &[3, 5])?;
        let ratio = self.ratio as usize;
        let count = ratio * ratio;
        let share = Tensor::from_f64(cx.b.dtype(g), vec![ratio, 1, ratio], vec![1.0 / count as f64; count])?;
        let share = cx.b.constant(share);
        // [r, c, h, s, w, s].
        let samples = cx.b.mul(apart, share)?;
        let [height, width] = self.bins;
        let points = height * width * self.ratio * self.ratio;
        let flat = cx.b.reshape_to(samples, &[-1, self.channels, points])?;
        let moved = cx.b.transpose(flat, &[0, 2, 1])?;
        Ok(cx.b.unsqueeze(moved, &[2])?)
    }

    /// `g` shared among the weighted cells that are the maximum of their bin: `[r, points, 4, c]`. `inside`, one truth
    /// value per sample, is false where a sample reads nothing.
    fn maxima(&self, cx: &mut Context<'_, '_>, taps: &Taps, inside: ValueId, g: ValueId) -> Result<ValueId> {
        let [height, width] = self.bins;
        let (ratio, points) = (self.ratio, height * width * self.ratio * self.ratio);
        let (values, weights) = (taps.read(cx)?, taps.weights(cx)?);
        let weighted = cx.b.mul(values, weights)?;
        let inside = cx.b.reshape_to(inside, &[-1, points, 1, 1])?;
        let lowest = cx.b.scalar(f64::from(f32::MIN), weighted)?;
        let candidates = cx.b.select(inside, weighted, lowest)?;
        let by_bin = cx.b.reshape_to(candidates, &[-1, height, ratio, width, ratio, 4, self.channels])?;
        let own = [2, 4, 5];
        let maximum = cx.b.reduce(ReduceKind::Max, by_bin, &own, true)?;
        let equal = cx.b.op(Binary::Equal, &[by_bin, maximum])?;
        let winners = cx.b.indicator(equal, g)?;
        let ties = cx.b.reduce_sum(winners, &own, true)?;
        let moved = cx.b.transpose(g, &[0, 2, 3, 1])?;
        let g = cx.b.unsqueeze(moved, &[2, 4, 5])?;
        let share = cx.b.div(g, ties)?;
        let shared = cx.b.mul(winners, share)?;
        Ok(cx.b.reshape_to(shared, &[-1, points, 4, self.channels])?)
    }
}
