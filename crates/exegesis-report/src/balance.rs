//! Where two channels of a picture differ, whatever their totals: share of the one minus share of the other.
//!
//! A confident model gives nearly all relevance to the channel for its target, so that the plain difference shows little
//! but that channel. Shares show where each channel lies. They are averaged over a small neighbourhood, because the two
//! channels come from interleaved pixels and no reader can average these by eye.

use crate::data::{ChannelReport, ImageView, Polarity};
use crate::prepare::Prepared;
use crate::reduce::{Map, Reduced};
use crate::scale::{DEFAULT_PERCENTILE, Scale};

/// The neighbourhood reaches this part of the shorter side in each direction.
const REACH: usize = 56;

/// The balance of two channels as a map.
#[derive(Debug)]
pub(crate) struct Balance {
    pub map: Map,
    pub scale: Scale,
    /// Side of the neighbourhood in pixels.
    pub window: usize,
}

impl Balance {
    /// Of the channels for and against the target; `None` if these are no maps of the same size, or if one is empty.
    pub(crate) fn of(parts: &[(&ChannelReport, Prepared)]) -> Option<Self> {
        let [(_, positive), (_, negative)] = parts else { return None };
        let (Reduced::Map(positive), Reduced::Map(negative)) = (&positive.reduced, &negative.reduced) else {
            return None;
        };
        if (positive.width, positive.height) != (negative.width, negative.height) {
            return None;
        }
        let (positive, negative) = (shares(positive)?, shares(negative)?);
        let reach = positive.width.min(positive.height) / REACH;
        let values = positive.values.iter().zip(&negative.values).map(|(a, b)| a - b).collect();
        let map = averaged(&Map { values, ..positive }, reach);
        let scale = Scale::fit(&map.values, DEFAULT_PERCENTILE, Polarity::Signed);
        Some(Self { map, scale, window: 2 * reach + 1 })
    }

    /// What the map shows, in a line.
    pub(crate) fn caption(&self) -> String {
        match self.window {
            1 => "share of positive less share of negative".to_string(),
            n => format!("share of positive less share of negative, mean of {n}x{n} pixels"),
        }
    }

    /// The map in its colours.
    pub(crate) fn draw(
        &self,
        image: &ImageView,
        zoom: crate::image_map::Zoom,
    ) -> crate::Result<crate::canvas::Raster> {
        crate::image_map::heat_map(&self.map, image, zoom, &self.scale, crate::image_map::Smoothing::Off)
    }
}

/// Each value as a share of the sum; values that are not finite count as zero.
fn shares(map: &Map) -> Option<Map> {
    let finite = |v: &f64| if v.is_finite() { *v } else { 0.0 };
    let sum: f64 = map.values.iter().map(finite).sum();
    let is_usable = sum > 0.0 && sum.is_finite();
    is_usable.then(|| Map { values: map.values.iter().map(|v| finite(v) / sum).collect(), ..map.clone() })
}

/// The mean over the square of `reach` pixels in each direction, as far as it lies within the map.
fn averaged(map: &Map, reach: usize) -> Map {
    let (width, height) = (map.width, map.height);
    // Sums of all values above and to the left, so that a window costs four look-ups.
    let stride = width + 1;
    let mut sums = vec![0.0; stride * (height + 1)];
    for y in 0..height {
        let mut line = 0.0;
        for x in 0..width {
            line += map.at(x, y);
            sums[(y + 1) * stride + x + 1] = sums[y * stride + x + 1] + line;
        }
    }
    let mut values = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            let (left, right) = (x.saturating_sub(reach), (x + reach + 1).min(width));
            let (top, bottom) = (y.saturating_sub(reach), (y + reach + 1).min(height));
            let sum =
                sums[bottom * stride + right] - sums[top * stride + right] - sums[bottom * stride + left]
                    + sums[top * stride + left];
            values.push(sum / ((right - left) * (bottom - top)) as f64);
        }
    }
    Map { values, width, height }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the plain loop over every window.
    #[test]
    fn averages_are_those_of_the_windows() {
        let (width, height, reach) = (7, 5, 2);
        let values: Vec<f64> = (0..width * height).map(|i| ((i * 37) % 11) as f64 - 4.0).collect();
        let map = Map { width, height, values };
        let fast = averaged(&map, reach);
        for y in 0..height {
            for x in 0..width {
                let near = |a: usize, b: usize| a.abs_diff(b) <= reach;
                let cells: Vec<f64> = (0..width * height)
                    .filter(|i| near(i % width, x) && near(i / width, y))
                    .map(|i| map.values[i])
                    .collect();
                let mean = cells.iter().sum::<f64>() / cells.len() as f64;
                assert!((fast.at(x, y) - mean).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn an_empty_channel_has_no_shares() {
        assert_eq!(shares(&Map { width: 1, height: 2, values: vec![0.0, f64::NAN] }), None);
        assert_eq!(
            shares(&Map { width: 1, height: 2, values: vec![1.0, 3.0] }).unwrap().values,
            [0.25, 0.75]
        );
    }
}
