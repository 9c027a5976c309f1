//! Heat-maps of pictures: the picture, the map in colours, and the map laid over the grey picture.

use crate::color::{self, Rgb};
use crate::data::ImageView;
use crate::error::{ErrorKind, ReportError, Result};
use crate::reduce::Map;
use crate::scale::Scale;

pub use crate::canvas::Raster;

/// Whether enlarged heat-maps are interpolated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Smoothing {
    /// Each value is a square: the reader sees the model's own pixels.
    #[default]
    Off,
    /// Bilinear between the centres of the values.
    Bilinear,
}

/// How a picture's pixels relate to those on screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zoom {
    /// Each pixel becomes a square of this many pixels.
    In(usize),
    /// Each square of this many pixels becomes one pixel, their mean.
    Out(usize),
}

impl Zoom {
    /// Enlarges by the smallest whole factor that brings the longer side to `at_least`, and shrinks by the smallest whole
    /// factor that brings it under `at_most`. Pictures in between keep their size.
    pub fn fit(width: usize, height: usize, at_least: usize, at_most: usize) -> Self {
        let side = width.max(height).max(1);
        if side < at_least {
            Self::In(at_least.div_ceil(side))
        } else if side > at_most.max(1) {
            Self::Out(side.div_ceil(at_most.max(1)))
        } else {
            Self::In(1)
        }
    }

    /// Size of a picture of `width` x `height` under this zoom.
    pub fn size(self, width: usize, height: usize) -> (usize, usize) {
        match self {
            Self::In(factor) => (width.saturating_mul(factor), height.saturating_mul(factor)),
            Self::Out(factor) => (width.div_ceil(factor.max(1)), height.div_ceil(factor.max(1))),
        }
    }
}

/// The picture itself.
///
/// # Errors
/// [`ErrorKind::Empty`] without pixels, [`ErrorKind::Mismatch`] if the number of samples does not fit the size.
pub fn picture(image: &ImageView, zoom: Zoom) -> Result<Raster> {
    render(image, zoom, |color| color)
}

/// The picture in grey, lightened so that colours laid over it stand out.
///
/// # Errors
/// As [`picture`].
pub fn grey(image: &ImageView, zoom: Zoom) -> Result<Raster> {
    render(image, zoom, |Rgb(r, g, b)| {
        // Rec. 601 luma, as viewers and image libraries use for 8-bit grey.
        let luma = 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
        let light = (70.0 + luma * (235.0 - 70.0) / 255.0).round() as u8;
        Rgb(light, light, light)
    })
}

/// The map in the colours of its scale, stretched to the size of the picture.
///
/// # Errors
/// [`ErrorKind::TooLarge`] if the result would be too large.
pub fn heat_map(
    map: &Map,
    image: &ImageView,
    zoom: Zoom,
    scale: &Scale,
    smoothing: Smoothing,
) -> Result<Raster> {
    let (width, height) = zoom.size(image.width, image.height);
    let mut out = Raster::filled(width, height, Rgb(255, 255, 255))?;
    for y in 0..height {
        for x in 0..width {
            let value = sample(map, x, y, width, height, smoothing);
            out.set(x, y, color::map(scale.polarity(), scale.position(value)));
        }
    }
    Ok(out)
}

/// The map over the grey picture; opacity follows the magnitude, so that pixels without attribution stay grey.
///
/// # Errors
/// As [`picture`] and [`heat_map`].
pub fn overlay(
    map: &Map,
    image: &ImageView,
    zoom: Zoom,
    scale: &Scale,
    smoothing: Smoothing,
) -> Result<Raster> {
    let mut out = grey(image, zoom)?;
    let (width, height) = (out.width(), out.height());
    for y in 0..height {
        for x in 0..width {
            let position = scale.position(sample(map, x, y, width, height, smoothing));
            let over = color::strong(scale.polarity(), position);
            // The power below 1 keeps weak attributions visible on a textured picture; 0.9 keeps the picture visible.
            let opacity = 0.9 * position.abs().powf(0.75);
            out.set(x, y, out.get(x, y).blend(over, opacity));
        }
    }
    Ok(out)
}

/// The map's value under a pixel of a `width` x `height` picture.
///
/// Where the map is finer than the picture, the mean over the covered values (not finite ones count as zero).
fn sample(map: &Map, x: usize, y: usize, width: usize, height: usize, smoothing: Smoothing) -> f64 {
    let span = |at: usize, size: usize, length: usize| {
        let start = at * length / size;
        (start, ((at + 1) * length / size).clamp(start + 1, length))
    };
    if smoothing == Smoothing::Bilinear && map.width <= width && map.height <= height {
        return bilinear(map, x, y, width, height);
    }
    let ((x0, x1), (y0, y1)) = (span(x, width, map.width), span(y, height, map.height));
    if (x1 - x0, y1 - y0) == (1, 1) {
        return map.at(x0, y0);
    }
    let mut total = 0.0;
    for row in y0..y1 {
        for column in x0..x1 {
            total += finite(map.at(column, row));
        }
    }
    total / ((x1 - x0) * (y1 - y0)) as f64
}

fn bilinear(map: &Map, x: usize, y: usize, width: usize, height: usize) -> f64 {
    let place = |at: usize, size: usize, length: usize| {
        let centre = (at as f64 + 0.5) * length as f64 / size as f64 - 0.5;
        let centre = centre.clamp(0.0, length as f64 - 1.0);
        let low = centre.floor() as usize;
        (low, (low + 1).min(length - 1), centre - low as f64)
    };
    let (x0, x1, u) = place(x, width, map.width);
    let (y0, y1, v) = place(y, height, map.height);
    let top = finite(map.at(x0, y0)) * (1.0 - u) + finite(map.at(x1, y0)) * u;
    let bottom = finite(map.at(x0, y1)) * (1.0 - u) + finite(map.at(x1, y1)) * u;
    top * (1.0 - v) + bottom * v
}

fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}

/// Zooms a picture and maps its colours.
fn render(image: &ImageView, zoom: Zoom, tone: impl Fn(Rgb) -> Rgb) -> Result<Raster> {
    let samples =
        image.width.checked_mul(image.height).and_then(|pixels| pixels.checked_mul(image.channels.max(1)));
    if image.width == 0 || image.height == 0 {
        return Err(ReportError::new(
            ErrorKind::Empty,
            format!(
                "The picture is {}x{} pixels. Give one with at least one pixel.",
                image.width, image.height
            ),
        ));
    }
    if !matches!(image.channels, 1 | 3) || samples != Some(image.pixels.len()) {
        return Err(ReportError::new(
            ErrorKind::Mismatch,
            format!(
                "The picture has {} samples for {}x{} pixels of {} channels. Give 1 or 3 channels and one sample each.",
                image.pixels.len(),
                image.width,
                image.height,
                image.channels
            ),
        ));
    }
    let (width, height) = zoom.size(image.width, image.height);
    let mut out = Raster::filled(width, height, Rgb(0, 0, 0))?;
    for y in 0..height {
        for x in 0..width {
            let color = match zoom {
                Zoom::In(factor) => pixel(image, x / factor.max(1), y / factor.max(1)),
                Zoom::Out(factor) => block(image, x, y, factor.max(1)),
            };
            out.set(x, y, tone(color));
        }
    }
    Ok(out)
}

fn pixel(image: &ImageView, x: usize, y: usize) -> Rgb {
    let at = (y * image.width + x) * image.channels;
    match image.pixels.get(at..at + image.channels) {
        Some([r, g, b]) => Rgb(*r, *g, *b),
        Some([v]) => Rgb(*v, *v, *v),
        _ => Rgb(0, 0, 0),
    }
}

/// Mean colour of a square of pixels, cut off at the picture's edge.
fn block(image: &ImageView, x: usize, y: usize, factor: usize) -> Rgb {
    let mut sum = [0usize; 3];
    let mut count = 0;
    for row in y * factor..((y + 1) * factor).min(image.height) {
        for column in x * factor..((x + 1) * factor).min(image.width) {
            let Rgb(r, g, b) = pixel(image, column, row);
            sum = [sum[0] + usize::from(r), sum[1] + usize::from(g), sum[2] + usize::from(b)];
            count += 1;
        }
    }
    let mean = |total: usize| (total / count.max(1)) as u8;
    Rgb(mean(sum[0]), mean(sum[1]), mean(sum[2]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Polarity;

    fn image(width: usize, height: usize) -> ImageView {
        ImageView { width, height, channels: 1, pixels: vec![128; width * height] }
    }

    #[test]
    fn zero_is_neutral_and_the_sign_picks_the_side() {
        let map = Map { width: 3, height: 1, values: vec![1.0, 0.0, -1.0] };
        let scale = Scale::fit(&map.values, 100.0, Polarity::Signed);
        let drawn = heat_map(&map, &image(3, 1), Zoom::In(4), &scale, Smoothing::Off).unwrap();
        let (Rgb(r, _, b), zero, Rgb(r2, _, b2)) = (drawn.get(1, 1), drawn.get(5, 1), drawn.get(9, 1));
        assert!(r > b && b2 > r2);
        assert_eq!(zero, Rgb(247, 247, 247));
        let laid = overlay(&map, &image(3, 1), Zoom::In(4), &scale, Smoothing::Off).unwrap();
        assert_eq!(laid.get(5, 1), grey(&image(3, 1), Zoom::In(4)).unwrap().get(5, 1));
    }

    #[test]
    fn not_finite_values_are_neutral() {
        let map = Map { width: 2, height: 1, values: vec![f64::NAN, f64::INFINITY] };
        let scale = Scale::fit(&map.values, 99.5, Polarity::Signed);
        for smoothing in [Smoothing::Off, Smoothing::Bilinear] {
            let drawn = heat_map(&map, &image(2, 1), Zoom::In(3), &scale, smoothing).unwrap();
            assert_eq!(drawn.get(0, 0), Rgb(247, 247, 247));
            assert_eq!(drawn.get(5, 0), Rgb(247, 247, 247));
        }
    }

    #[test]
    fn coarse_maps_are_stretched_and_large_pictures_shrunk() {
        let map = Map { width: 2, height: 2, values: vec![1.0, -1.0, -1.0, 1.0] };
        let scale = Scale::fit(&map.values, 100.0, Polarity::Signed);
        let big = image(2000, 2000);
        let zoom = Zoom::fit(2000, 2000, 300, 1000);
        assert_eq!(zoom, Zoom::Out(2));
        let drawn = heat_map(&map, &big, zoom, &scale, Smoothing::Off).unwrap();
        assert_eq!((drawn.width(), drawn.height()), (1000, 1000));
        assert_eq!(drawn.get(10, 10), color::diverging(1.0));
        assert_eq!(drawn.get(990, 10), color::diverging(-1.0));
    }

    #[test]
    fn fine_maps_are_averaged() {
        let map = Map { width: 4, height: 1, values: vec![1.0, 1.0, 1.0, -1.0] };
        assert_eq!(sample(&map, 0, 0, 2, 1, Smoothing::Off), 1.0);
        assert_eq!(sample(&map, 1, 0, 2, 1, Smoothing::Off), 0.0);
    }

    #[test]
    fn pictures_without_pixels_or_with_wrong_samples_are_refused() {
        assert_eq!(picture(&image(0, 3), Zoom::In(1)).unwrap_err().kind(), ErrorKind::Empty);
        let wrong = ImageView { width: 2, height: 2, channels: 3, pixels: vec![0; 5] };
        assert_eq!(picture(&wrong, Zoom::In(1)).unwrap_err().kind(), ErrorKind::Mismatch);
    }
}
