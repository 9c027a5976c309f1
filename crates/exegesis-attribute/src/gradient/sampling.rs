//! Interpolation between cells: what `GridSample` and `RoiAlign` share.
//!
//! Every output point reads some cells of its image, the taps, each with a weight that depends on the point's position.

use exegesis_graph::op::{self, ScatterReduction};
use exegesis_graph::{DType, Error, Tensor, ValueId};

use crate::Result;
use crate::rule::Context;

/// Taps along one spatial axis: `[rows, points..., taps]`.
pub struct Line {
    /// Index of the cell along the axis, int64.
    pub cells: ValueId,
    /// Weight of the cell.
    pub weights: ValueId,
    /// Derivative of the weight by the position, in cells.
    pub slopes: ValueId,
}

/// Spatial sizes of images `[n, c, d...]` and their number of channels.
///
/// # Errors
/// They are not known.
pub fn plane(cx: &Context<'_, '_>, x: ValueId) -> Result<(Vec<usize>, usize)> {
    let shape = cx.b.shape(x)?;
    let sizes: Option<Vec<usize>> = shape.iter().skip(1).map(|d| d.fixed()).collect();
    match sizes.as_deref() {
        Some([channels, spatial @ ..]) if spatial.iter().all(|n| *n > 0) => Ok((spatial.to_vec(), *channels)),
        _ => Err(Error::unsupported("images of unknown size; fix the input's dimensions").into()),
    }
}

/// `position - floor(position)` as the weights of cells around it: polynomials per tap, coefficients from the constant
/// term up. Returns weights and slopes `[..., taps]` for `fraction [..., 1]`.
///
/// # Errors
/// The graph can't be treated.
pub fn polynomials(
    cx: &mut Context<'_, '_>,
    fraction: ValueId,
    coefficients: &[&[f64]],
) -> Result<(ValueId, ValueId)> {
    let derivative: Vec<Vec<f64>> = coefficients
        .iter()
        .enumerate()
        .skip(1)
        .map(|(power, c)| c.iter().map(|v| power as f64 * v).collect())
        .collect();
    let derivative: Vec<&[f64]> = derivative.iter().map(Vec::as_slice).collect();
    Ok((horner(cx, fraction, coefficients)?, horner(cx, fraction, &derivative)?))
}

fn horner(cx: &mut Context<'_, '_>, t: ValueId, coefficients: &[&[f64]]) -> Result<ValueId> {
    let mut sum: Option<ValueId> = None;
    for c in coefficients.iter().rev() {
        let constant = Tensor::from_f64(cx.b.dtype(t), vec![c.len()], c.to_vec())?;
        let constant = cx.b.constant(constant);
        sum = Some(match sum {
            // The highest coefficient takes the shape of all points.
            None => {
                let blank = cx.b.mul_scalar(t, 0.0)?;
                cx.b.add(blank, constant)?
            }
            Some(sum) => {
                let product = cx.b.mul(sum, t)?;
                cx.b.add(product, constant)?
            }
        });
    }
    sum.ok_or_else(|| Error::malformed("a polynomial without coefficients").into())
}

/// Taps of points, `k` per point: all combinations of those along each axis.
pub struct Taps {
    x: ValueId,
    spatial: Vec<usize>,
    channels: usize,
    /// Row of the cell among all cells of all images, `[rows, points, k]`.
    cells: ValueId,
    weights: ValueId,
    /// Derivative of the weight by the position along each axis.
    slopes: Vec<ValueId>,
}

impl Taps {
    /// Combines `lines`, whose trailing axes were arranged so that they broadcast to `[rows, points..., taps...]`. Row
    /// `r` reads image `images[r]` of `x [n, c, d...]`.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn new(
        cx: &mut Context<'_, '_>,
        x: ValueId,
        images: ValueId,
        lines: &[Line],
        points: i64,
    ) -> Result<Self> {
        let (spatial, channels) = plane(cx, x)?;
        let mut stride = spatial.iter().product::<usize>() as i64;
        let mut dims = vec![1; cx.b.rank(lines[0].cells)?];
        dims[0] = -1;
        let images = cx.b.reshape_to(images, &dims)?;
        let mut cells = times(cx, images, stride)?;
        for (line, size) in lines.iter().zip(&spatial) {
            stride /= *size as i64;
            let step = times(cx, line.cells, stride)?;
            cells = cx.b.add(cells, step)?;
        }
        let flat = |cx: &mut Context<'_, '_>, v: ValueId| -> Result<ValueId> {
            let all = cx.b.shape(v)?.iter().skip(1).map(|d| d.fixed()).product::<Option<usize>>();
            match (all, points) {
                (Some(all), 1..) => Ok(cx.b.reshape_to(v, &[-1, points, all as i64 / points])?),
                _ => {
                    // The number of points is open: it is the second axis.
                    Ok(cx.b.reshape_to(v, &[0, 0, -1])?)
                }
            }
        };
        let cells = flat(cx, cells)?;
        let mut product_of = |slope_axis: Option<usize>| -> Result<ValueId> {
            let mut product: Option<ValueId> = None;
            for (i, line) in lines.iter().enumerate() {
                let factor = if slope_axis == Some(i) { line.slopes } else { line.weights };
                product = Some(match product {
                    None => factor,
                    Some(before) => cx.b.mul(before, factor)?,
                });
            }
            let product = product.ok_or_else(|| Error::malformed("sampling without axes"))?;
            flat(cx, product)
        };
        let weights = product_of(None)?;
        let slopes = (0..lines.len()).map(|i| product_of(Some(i))).collect::<Result<_>>()?;
        Ok(Self { x, spatial, channels, cells, weights, slopes })
    }

    /// The channels of the cells that are read: `[rows, points, k, c]`.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn read(&self, cx: &mut Context<'_, '_>) -> Result<ValueId> {
        let rank = self.spatial.len() + 2;
        let mut order = vec![0];
        order.extend(2..rank);
        order.push(1);
        let last = cx.b.transpose(self.x, &order)?;
        let rows = cx.b.reshape_to(last, &[-1, self.channels as i64])?;
        Ok(cx.b.op(op::Gather { axis: 0 }, &[rows, self.cells])?)
    }

    /// The weights as `[rows, points, k, 1]`.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn weights(&self, cx: &mut Context<'_, '_>) -> Result<ValueId> {
        Ok(cx.b.unsqueeze(self.weights, &[3])?)
    }

    /// The signal on the images, for `signal [rows, points, k, c]` on each weighted cell (`k` may be 1).
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn on_images(&self, cx: &mut Context<'_, '_>, signal: ValueId) -> Result<ValueId> {
        let channels = self.channels as i64;
        let weights = self.weights(cx)?;
        let shares = cx.b.mul(signal, weights)?;
        let updates = cx.b.reshape_to(shares, &[-1, channels])?;
        let places = cx.b.reshape_to(self.cells, &[-1, 1])?;
        let zeros = cx.b.zeros_like(self.x)?;
        let zeros = cx.b.reshape_to(zeros, &[-1, channels])?;
        let sum = cx.b.op(op::ScatterND { reduction: ScatterReduction::Add }, &[zeros, places, updates])?;
        let cells: usize = self.spatial.iter().product();
        let rows = cx.b.reshape_to(sum, &[-1, cells as i64, channels])?;
        let images = cx.b.transpose(rows, &[0, 2, 1])?;
        Ok(cx.b.reshape_like(images, self.x)?)
    }

    /// The signal on the position along each axis, `[rows, points]`.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn on_positions(&self, cx: &mut Context<'_, '_>, signal: ValueId) -> Result<Vec<ValueId>> {
        let values = self.read(cx)?;
        let weighted = cx.b.mul(values, signal)?;
        let per_tap = cx.b.reduce_sum(weighted, &[3], false)?;
        let mut positions = vec![];
        for slope in &self.slopes {
            let part = cx.b.mul(per_tap, *slope)?;
            positions.push(cx.b.reduce_sum(part, &[2], false)?);
        }
        Ok(positions)
    }
}

/// Integers times `factor`.
fn times(cx: &mut Context<'_, '_>, v: ValueId, factor: i64) -> Result<ValueId> {
    if factor == 1 {
        return Ok(v);
    }
    let factor = cx.b.constant(Tensor::scalar(factor));
    Ok(cx.b.mul(v, factor)?)
}

/// Positions as int64 indices of cells, brought into `0..size`.
///
/// # Errors
/// The graph can't be treated.
pub fn cell_index(cx: &mut Context<'_, '_>, v: ValueId, size: usize) -> Result<ValueId> {
    let (low, high) = (cx.b.scalar(0.0, v)?, cx.b.scalar(size as f64 - 1.0, v)?);
    let inside = cx.b.op(op::Clip {}, &[v, low, high])?;
    Ok(cx.b.op(op::Cast { to: DType::I64 }, &[inside])?)
}
