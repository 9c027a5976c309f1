//! Derivative of sampling at given positions.

use exegesis_graph::op::{Binary, GridSample, Unary, Variadic};
use exegesis_graph::{Error, Node, Tensor, ValueId};

use super::sampling::{self, Line, Taps, cell_index};
use crate::Result;
use crate::movement;
use crate::rule::{Context, Outcome};

#[derive(Clone, Copy, PartialEq)]
enum Padding {
    Zeros,
    Border,
    Reflection,
}

/// Taps of an interpolation: offsets from the floor of the position, and the polynomials of their weights.
struct Kernel {
    offsets: &'static [f64],
    coefficients: &'static [&'static [f64]],
}

const LINEAR: Kernel = Kernel { offsets: &[0.0, 1.0], coefficients: &[&[1.0, 0.0], &[-1.0, 1.0]] };

/// Cubic convolution with `a = -0.75` (Keys 1981, equation 4).
const CUBIC: Kernel = Kernel {
    offsets: &[-1.0, 0.0, 1.0, 2.0],
    coefficients: &[
        &[0.0, 1.0, 0.0, 0.0],
        &[-0.75, 0.0, 0.75, 0.0],
        &[1.5, -2.25, 1.5, -0.75],
        &[-0.75, 1.25, -1.25, 0.75],
    ],
};

/// `y[n, :, o] = sum_k w_k(p) x[n, :, cell_k(p)]` at `p = grid[n, o]` (Jaderberg et al. 2015, equations 4 to 7; ONNX
/// operator reference, `GridSample` version 20): cell `k` of the image gets `w_k g`, the position `sum_k w_k'(p) g . x`.
/// Nearest sampling is constant in the position. At a cell, the derivative is that to the right.
///
/// # Errors
/// The sizes of the image are not known.
pub fn backward(cx: &mut Context<'_, '_>, node: &Node, op: &GridSample, g: ValueId) -> Result<Outcome> {
    let (Some(x), Some(grid)) = (node.input(0), node.input(1)) else {
        return Err(Error::malformed("GridSample lacks an operand").into());
    };
    let kernel = match op.mode.as_str() {
        "nearest" => None,
        "bilinear" | "linear" => Some(LINEAR),
        "bicubic" | "cubic" => Some(CUBIC),
        other => return Err(Error::malformed(format!("`mode` is \"{other}\"")).into()),
    };
    let padding = match op.padding_mode.as_str() {
        "zeros" => Padding::Zeros,
        "border" => Padding::Border,
        "reflection" => Padding::Reflection,
        other => return Err(Error::malformed(format!("`padding_mode` is \"{other}\"")).into()),
    };
    let (spatial, _) = sampling::plane(cx, x)?;
    let axes = spatial.len();
    let points = cx.b.reshape_to(grid, &[0, -1, axes as i64])?;
    let (mut lines, mut chains) = (vec![], vec![]);
    for (i, size) in spatial.iter().enumerate() {
        // The last spatial axis has the first coordinate.
        let at = (axes - 1 - i) as i64;
        let v = cx.b.slice(points, 2, at, at + 1, 1)?;
        let axis = Axis::new(*size, op.align_corners, padding);
        let (line, chain) = axis.taps(cx, v, kernel.as_ref())?;
        // The taps of each axis get an axis of their own.
        let around: Vec<usize> = (0..axes).filter(|a| *a != i).map(|a| 2 + a).collect();
        lines.push(Line {
            cells: cx.b.unsqueeze(line.cells, &around)?,
            weights: cx.b.unsqueeze(line.weights, &around)?,
            slopes: cx.b.unsqueeze(line.slopes, &around)?,
        });
        chains.push(chain);
    }
    let images = movement::count_up(cx, x, 0)?;
    let taps = Taps::new(cx, x, images, &lines, 0)?;
    // [n, c, o...] as [n, points, 1, c].
    let flat = cx.b.reshape_to(g, &[0, 0, -1])?;
    let moved = cx.b.transpose(flat, &[0, 2, 1])?;
    let signal = cx.b.unsqueeze(moved, &[2])?;
    let on_x = if cx.carries(node, 0) { Some(taps.on_images(cx, signal)?) } else { None };
    let on_grid = if cx.carries(node, 1) {
        let mut parts = vec![];
        for (position, chain) in taps.on_positions(cx, signal)?.into_iter().zip(chains).rev() {
            let position = cx.b.unsqueeze(position, &[2])?;
            parts.push(cx.b.mul(position, chain)?);
        }
        let together = cx.b.concat(&parts, 2)?;
        Some(cx.b.reshape_like(together, grid)?)
    } else {
        None
    };
    Ok(Outcome::Signals(vec![on_x, on_grid]))
}

/// One axis of the image: its size and the range that counts as inside.
struct Axis {
    size: usize,
    low: f64,
    high: f64,
    padding: Padding,
}

impl Axis {
    fn new(size: usize, align_corners: bool, padding: Padding) -> Self {
        let last = size as f64 - 1.0;
        let (low, high) = if align_corners { (0.0, last) } else { (-0.5, last + 0.5) };
        Self { size, low, high, padding }
    }

    /// Taps for the normalised coordinates `v [n, points, 1]`, and the derivative of the position by the coordinate.
    fn taps(&self, cx: &mut Context<'_, '_>, v: ValueId, kernel: Option<&Kernel>) -> Result<(Line, ValueId)> {
        let scale = (self.high - self.low) / 2.0;
        let scaled = cx.b.mul_scalar(v, scale)?;
        let at = cx.b.add_scalar(scaled, self.low + scale)?;
        let at = if kernel.is_none() { cx.b.unary(Unary::Round, at)? } else { at };
        let (at, chain) = self.bring_back(cx, at)?;
        let chain = cx.b.mul_scalar(chain, scale)?;
        let Some(kernel) = kernel else {
            let (cells, inside) = self.cells(cx, at)?;
            let zeros = cx.b.mul_scalar(at, 0.0)?;
            let ones = cx.b.add_scalar(zeros, 1.0)?;
            let weights = self.only_inside(cx, ones, inside)?;
            return Ok((Line { cells, weights, slopes: zeros }, chain));
        };
        let base = cx.b.unary(Unary::Floor, at)?;
        let fraction = cx.b.sub(at, base)?;
        let (weights, slopes) = sampling::polynomials(cx, fraction, kernel.coefficients)?;
        let offsets = Tensor::from_f64(cx.b.dtype(v), vec![kernel.offsets.len()], kernel.offsets.to_vec())?;
        let offsets = cx.b.constant(offsets);
        let neighbours = cx.b.add(base, offsets)?;
        let (cells, inside) = self.cells(cx, neighbours)?;
        let weights = self.only_inside(cx, weights, inside)?;
        let slopes = self.only_inside(cx, slopes, inside)?;
        Ok((Line { cells, weights, slopes }, chain))
    }

    fn only_inside(&self, cx: &mut Context<'_, '_>, v: ValueId, inside: Option<ValueId>) -> Result<ValueId> {
        let Some(inside) = inside else { return Ok(v) };
        let zero = cx.b.scalar(0.0, v)?;
        Ok(cx.b.select(inside, v, zero)?)
    }

    /// Positions outside are brought back, by the edge or mirrored, before they are interpolated; and the derivative of
    /// where they end by where they were.
    fn bring_back(&self, cx: &mut Context<'_, '_>, at: ValueId) -> Result<(ValueId, ValueId)> {
        let blank = cx.b.mul_scalar(at, 0.0)?;
        let one = cx.b.add_scalar(blank, 1.0)?;
        if self.padding == Padding::Zeros {
            return Ok((at, one));
        }
        let outside = {
            let (low, high) = (cx.b.scalar(self.low, at)?, cx.b.scalar(self.high, at)?);
            let below = cx.b.op(Binary::Less, &[at, low])?;
            let above = cx.b.op(Binary::Greater, &[at, high])?;
            cx.b.op(Binary::Or, &[below, above])?
        };
        let (back, slope) = match self.padding {
            Padding::Reflection => self.reflect(cx, at)?,
            _ => {
                let (low, high) = (cx.b.scalar(0.0, at)?, cx.b.scalar(self.size as f64 - 1.0, at)?);
                (cx.b.op(exegesis_graph::op::Clip {}, &[at, low, high])?, blank)
            }
        };
        Ok((cx.b.select(outside, back, at)?, cx.b.select(outside, slope, one)?))
    }

    /// `v` mirrored at both ends until it is inside, and the sign of that map.
    fn reflect(&self, cx: &mut Context<'_, '_>, v: ValueId) -> Result<(ValueId, ValueId)> {
        let range = self.high - self.low;
        let blank = cx.b.mul_scalar(v, 0.0)?;
        if range <= 0.0 {
            return Ok((cx.b.add_scalar(blank, self.low)?, blank));
        }
        // The distance from the low end, modulo back and forth.
        let distance = cx.b.add_scalar(v, -self.low)?;
        let turns = cx.b.mul_scalar(distance, 0.5 / range)?;
        let turns = cx.b.unary(Unary::Floor, turns)?;
        let whole = cx.b.mul_scalar(turns, 2.0 * range)?;
        let forth = cx.b.sub(distance, whole)?;
        let negative = cx.b.unary(Unary::Neg, forth)?;
        let back = cx.b.add_scalar(negative, 2.0 * range)?;
        let nearer = cx.b.op(Variadic::Min, &[forth, back])?;
        let rising = cx.b.op(Binary::LessOrEqual, &[forth, back])?;
        let (one, minus) = (cx.b.scalar(1.0, v)?, cx.b.scalar(-1.0, v)?);
        let slope = cx.b.select(rising, one, minus)?;
        Ok((cx.b.add_scalar(nearer, self.low)?, slope))
    }

    /// The cells that stand for whole positions; with zeros around the image, also where there is one.
    fn cells(&self, cx: &mut Context<'_, '_>, at: ValueId) -> Result<(ValueId, Option<ValueId>)> {
        match self.padding {
            Padding::Zeros => {
                let (low, high) = (cx.b.scalar(0.0, at)?, cx.b.scalar(self.size as f64 - 1.0, at)?);
                let from = cx.b.op(Binary::GreaterOrEqual, &[at, low])?;
                let to = cx.b.op(Binary::LessOrEqual, &[at, high])?;
                let inside = cx.b.op(Binary::And, &[from, to])?;
                Ok((cell_index(cx, at, self.size)?, Some(inside)))
            }
            Padding::Border => Ok((cell_index(cx, at, self.size)?, None)),
            Padding::Reflection => {
                let (mirrored, _) = self.reflect(cx, at)?;
                // Whole positions stay whole, but for rounding.
                let whole = cx.b.unary(Unary::Round, mirrored)?;
                Ok((cell_index(cx, whole, self.size)?, None))
            }
        }
    }
}
