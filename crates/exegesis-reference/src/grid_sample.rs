//! Sampling at normalised coordinates, in any number of spatial axes.

use exegesis_graph::op;
use exegesis_graph::{Error, Result};

use crate::array::{Array, for_each_index, offset, strides};
use crate::operands::Operands;
use crate::resize::cubic_kernel;

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Nearest,
    Linear,
    Cubic,
}

#[derive(Clone, Copy, PartialEq)]
enum Padding {
    Zeros,
    Border,
    Reflection,
}

/// One axis of the input: its size and the range that counts as inside.
struct Axis {
    size: usize,
    low: f64,
    high: f64,
}

impl Axis {
    fn new(size: usize, align_corners: bool) -> Self {
        let last = size as f64 - 1.0;
        if align_corners {
            Self { size, low: 0.0, high: last }
        } else {
            Self { size, low: -0.5, high: last + 0.5 }
        }
    }

    /// From `-1..1` to pixels.
    fn denormalise(&self, x: f64) -> f64 {
        self.low + (x + 1.0) / 2.0 * (self.high - self.low)
    }

    /// `x` mirrored at both ends until it is inside.
    fn reflect(&self, x: f64) -> f64 {
        let range = self.high - self.low;
        if range <= 0.0 {
            return self.low;
        }
        let distance = (x - self.low).rem_euclid(2.0 * range);
        self.low + distance.min(2.0 * range - distance)
    }

    /// The pixel that stands for position `i`, if padding does not make it 0.
    fn pixel(&self, i: f64, padding: Padding) -> Option<usize> {
        let last = self.size as f64 - 1.0;
        let i = match padding {
            Padding::Zeros if !(0.0..=last).contains(&i) => return None,
            Padding::Zeros => i,
            Padding::Border => i.clamp(0.0, last),
            Padding::Reflection => self.reflect(i).trunc().clamp(0.0, last),
        };
        (!i.is_nan()).then_some(i as usize)
    }

    /// Pixels and weights for the normalised coordinate `x`.
    fn taps(&self, x: f64, mode: Mode, padding: Padding) -> Vec<(Option<usize>, f64)> {
        let mut at = self.denormalise(x);
        if mode == Mode::Nearest {
            at = at.round_ties_even();
        }
        // Coordinates outside are brought back before interpolation, then each neighbour once more.
        if at < self.low || at > self.high {
            at = match padding {
                Padding::Zeros => at,
                Padding::Border => at.clamp(0.0, self.size as f64 - 1.0),
                Padding::Reflection => self.reflect(at),
            };
        }
        let base = at.floor();
        let neighbours: Vec<f64> = match mode {
            Mode::Nearest => vec![at],
            Mode::Linear => vec![base, base + 1.0],
            Mode::Cubic => vec![base - 1.0, base, base + 1.0, base + 2.0],
        };
        let weight = |i: f64| match mode {
            Mode::Nearest => 1.0,
            Mode::Linear => 1.0 - (at - i).abs(),
            Mode::Cubic => cubic_kernel(at - i, -0.75),
        };
        neighbours.iter().map(|i| (self.pixel(*i, padding), weight(*i))).collect()
    }
}

/// `X [n, c, d...]`, `grid [n, o..., r]` with the coordinates of the last spatial axis first.
pub(crate) fn grid_sample(op: &op::GridSample, operands: Operands) -> Result<Array> {
    let (x, grid) = (operands.with_rank(0, 3)?, operands.get(1)?);
    let mode = match op.mode.as_str() {
        "nearest" => Mode::Nearest,
        "bilinear" | "linear" => Mode::Linear,
        "bicubic" | "cubic" => Mode::Cubic,
        other => return Err(Error::malformed(format!("`mode` is \"{other}\""))),
    };
    let padding = match op.padding_mode.as_str() {
        "zeros" => Padding::Zeros,
        "border" => Padding::Border,
        "reflection" => Padding::Reflection,
        other => return Err(Error::malformed(format!("`padding_mode` is \"{other}\""))),
    };
    let spatial = x.rank() - 2;
    let fits = grid.rank() == x.rank()
        && grid.shape[0] == x.shape[0]
        && grid.shape[grid.rank() - 1] == spatial
        && !x.shape[2..].contains(&0);
    if !fits {
        let (g, x) = (&grid.shape, &x.shape);
        return Err(Error::malformed(format!("a grid of shape {g:?} does not fit the shape {x:?}")));
    }
    let axes: Vec<Axis> = x.shape[2..].iter().map(|d| Axis::new(*d, op.align_corners)).collect();
    let mut shape = x.shape[..2].to_vec();
    shape.extend(&grid.shape[1..=spatial]);
    let mut out = Array::filled(x.dtype, shape, 0.0)?;
    let own = strides(&x.shape);
    let target = strides(&out.shape);
    let mut point = 0;
    for_each_index(&grid.shape[..=spatial], |at| {
        let coordinates = &grid.data[point * spatial..(point + 1) * spatial];
        point += 1;
        let taps: Vec<_> =
            axes.iter().zip(coordinates.iter().rev()).map(|(a, v)| a.taps(*v, mode, padding)).collect();
        let widths: Vec<usize> = taps.iter().map(Vec::len).collect();
        for c in 0..x.shape[1] {
            let plane = at[0] * own[0] + c * own[1];
            let mut sum = 0.0;
            for_each_index(&widths, |choice| {
                let chosen: Vec<_> = taps.iter().zip(choice).map(|(t, k)| t[*k]).collect();
                let weight: f64 = chosen.iter().map(|(_, w)| w).product();
                if let Some(pixel) = chosen.iter().map(|(i, _)| *i).collect::<Option<Vec<usize>>>() {
                    sum += weight * x.data[plane + offset(&pixel, &own[2..])];
                }
            });
            out.data[at[0] * target[0] + c * target[1] + offset(&at[1..], &target[2..])] = sum;
        }
    });
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(mode: &str, padding_mode: &str, at: (f64, f64)) -> f64 {
        let x = Array::floats([1, 1, 2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        let grid = Array::floats([1, 1, 1, 2], vec![at.0, at.1]).unwrap();
        let op = op::GridSample {
            mode: mode.to_string(),
            padding_mode: padding_mode.to_string(),
            align_corners: false,
        };
        grid_sample(&op, Operands::new(&[Some(&x), Some(&grid)])).unwrap().data[0]
    }

    #[test]
    fn points_by_hand() {
        assert_eq!(run("bilinear", "zeros", (0.0, 0.0)), 2.5);
        assert_eq!(run("nearest", "zeros", (0.5, -0.5)), 2.0);
        // The corner of the image is half a pixel outside: a quarter of the corner pixel is left.
        assert_eq!(run("bilinear", "zeros", (-1.0, -1.0)), 0.25);
        assert_eq!(run("bilinear", "border", (-1.0, -1.0)), 1.0);
        assert_eq!(run("nearest", "reflection", (1.5, -0.5)), 2.0);
        assert_eq!(run("bilinear", "zeros", (f64::INFINITY, 0.0)), 0.0);
    }

    #[test]
    fn unknown_modes_are_errors() {
        let x = Array::floats([1, 1, 2, 2], vec![0.0; 4]).unwrap();
        let op = op::GridSample { mode: "area".to_string(), ..Default::default() };
        assert!(grid_sample(&op, Operands::new(&[Some(&x), Some(&x)])).is_err());
    }
}
