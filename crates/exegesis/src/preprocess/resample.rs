//! Resizing of 8-bit pictures, sample for sample as Pillow does it.
//!
//! Most models were trained on pictures that Pillow resized (torchvision, timm, transformers). Its filters widen with
//! the reduction, its coefficients are integers, and rows are rounded to 8 bits before columns are filtered; libraries
//! that differ in these give probabilities that differ in the second digit.

use super::Interpolation;

/// Interleaved 8-bit samples `[height, width, channels]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pixels {
    pub width: usize,
    pub height: usize,
    pub channels: usize,
    pub samples: Vec<u8>,
}

/// Bits behind the point of a coefficient (`PRECISION_BITS` of Pillow).
const PRECISION: u32 = 32 - 8 - 2;

/// What one output sample reads: the first input sample, and the weights from there on.
struct Window {
    first: usize,
    weights: Vec<i64>,
}

impl Pixels {
    /// The picture at `width` x `height`.
    pub fn resized(self, width: usize, height: usize, interpolation: Interpolation) -> Self {
        if self.width == 0 || self.height == 0 {
            return self;
        }
        if interpolation == Interpolation::Nearest {
            return self.nearest(width, height);
        }
        let wide = if width == self.width {
            self
        } else {
            self.filtered_rows(&windows(self.width, width, interpolation))
        };
        if height == wide.height {
            return wide;
        }
        let windows = windows(wide.height, height, interpolation);
        wide.filtered_columns(&windows)
    }

    /// The part of `width` x `height` at `left`, `top`, which must lie inside.
    pub fn cropped(&self, left: usize, top: usize, width: usize, height: usize) -> Self {
        let row = |y: usize| {
            let start = (y * self.width + left) * self.channels;
            self.samples.iter().skip(start).take(width * self.channels).copied()
        };
        Self { width, height, channels: self.channels, samples: (top..top + height).flat_map(row).collect() }
    }

    fn nearest(&self, width: usize, height: usize) -> Self {
        let source = |at: usize, from: usize, to: usize| {
            (((at as f64 + 0.5) * (from as f64 / to as f64)) as usize).min(from - 1)
        };
        let mut samples = Vec::with_capacity(width * height * self.channels);
        for y in 0..height {
            let row = source(y, self.height, height) * self.width;
            for x in 0..width {
                let start = (row + source(x, self.width, width)) * self.channels;
                samples.extend_from_slice(&self.samples[start..start + self.channels]);
            }
        }
        Self { width, height, channels: self.channels, samples }
    }

    fn filtered_rows(&self, windows: &[Window]) -> Self {
        let mut samples = Vec::with_capacity(windows.len() * self.height * self.channels);
        for row in self.samples.chunks_exact(self.width * self.channels) {
            for window in windows {
                for channel in 0..self.channels {
                    let read = row.iter().skip(window.first * self.channels + channel).step_by(self.channels);
                    samples.push(window.apply(read));
                }
            }
        }
        Self { width: windows.len(), height: self.height, channels: self.channels, samples }
    }

    fn filtered_columns(&self, windows: &[Window]) -> Self {
        let stride = self.width * self.channels;
        let mut samples = Vec::with_capacity(stride * windows.len());
        for window in windows {
            for at in 0..stride {
                samples
                    .push(window.apply(self.samples.iter().skip(window.first * stride + at).step_by(stride)));
            }
        }
        Self { width: self.width, height: windows.len(), channels: self.channels, samples }
    }
}

impl Window {
    fn apply<'a>(&self, read: impl Iterator<Item = &'a u8>) -> u8 {
        let half = 1i64 << (PRECISION - 1);
        let sum: i64 =
            self.weights.iter().zip(read).map(|(weight, sample)| weight * i64::from(*sample)).sum();
        ((half + sum) >> PRECISION).clamp(0, 255) as u8
    }
}

/// The windows of `to` output samples over `from` input samples.
fn windows(from: usize, to: usize, interpolation: Interpolation) -> Vec<Window> {
    let (filter, reach): (fn(f64) -> f64, f64) = match interpolation {
        Interpolation::Bicubic => (bicubic, 2.0),
        Interpolation::Lanczos => (lanczos, 3.0),
        _ => (triangle, 1.0),
    };
    let scale = from as f64 / to as f64;
    let widening = scale.max(1.0);
    let support = reach * widening;
    (0..to)
        .map(|at| {
            let centre = (at as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            let raw: Vec<f64> =
                (first..end).map(|x| filter((x as f64 - centre + 0.5) * (1.0 / widening))).collect();
            let sum: f64 = raw.iter().sum();
            let fixed = |w: f64| {
                let scaled = (if sum == 0.0 { w } else { w / sum }) * f64::from(1u32 << PRECISION);
                (scaled + if scaled < 0.0 { -0.5 } else { 0.5 }) as i64
            };
            Window { first, weights: raw.into_iter().map(fixed).collect() }
        })
        .collect()
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn lanczos(x: f64) -> f64 {
    let sinc = |x: f64| {
        let x = x * std::f64::consts::PI;
        if x == 0.0 { 1.0 } else { x.sin() / x }
    };
    if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The picture that Pillow 13.0.0 resized for the numbers below.
    fn picture() -> Pixels {
        let sample = |y: usize, x: usize| ((x * 37 + y * 91 + (x * y) % 5 * 50) % 256) as u8;
        let samples = (0..7).flat_map(|y| (0..11).map(move |x| sample(y, x))).collect();
        Pixels { width: 11, height: 7, channels: 1, samples }
    }

    #[test]
    fn every_filter_is_that_of_pillow() {
        use Interpolation::*;
        let recorded: [(Interpolation, [u8; 12]); 4] = [
            (Nearest, [178, 183, 107, 112, 204, 9, 133, 194, 236, 91, 165, 20]),
            (Bilinear, [88, 124, 121, 97, 119, 98, 108, 133, 125, 92, 136, 135]),
            (Bicubic, [84, 130, 124, 90, 121, 97, 105, 136, 126, 86, 139, 139]),
            (Lanczos, [80, 138, 126, 82, 123, 96, 104, 136, 123, 79, 140, 143]),
        ];
        for (filter, wanted) in recorded {
            assert_eq!(picture().resized(4, 3, filter).samples, wanted, "{filter:?}");
        }
        // One axis shrinks, the other grows.
        let mixed = picture().resized(5, 9, Bicubic).samples;
        assert_eq!(mixed[..10], [20, 102, 192, 59, 81, 83, 91, 120, 96, 121]);
        assert_eq!(mixed[35..], [167, 74, 139, 190, 73, 98, 123, 140, 138, 126]);
    }

    #[test]
    fn crops_and_channels_keep_their_places() {
        let colour = Pixels { width: 2, height: 2, channels: 3, samples: (0..12).collect() };
        assert_eq!(colour.cropped(1, 1, 1, 1).samples, [9, 10, 11]);
        let grown = colour.clone().resized(4, 4, Interpolation::Nearest);
        assert_eq!(grown.samples[..9], [0, 1, 2, 0, 1, 2, 3, 4, 5]);
        assert_eq!(colour.clone().resized(2, 2, Interpolation::Bicubic), colour);
    }
}
