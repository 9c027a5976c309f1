//! Applying a [`Preprocess`] to a decoded picture for one graph input.

use exegesis_graph::{DType, Shape, Tensor};
use exegesis_report::ImageView;
use image::{DynamicImage, GenericImageView};

use super::resample::Pixels;
use super::{Channels, Layout, Preprocess, ResizeTo};
use crate::{Error, Result};

/// A picture as a model wants it and as a reader should see it.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Values with a batch axis of 1, in the input's layout and type.
    pub tensor: Tensor,
    /// The pixels that the model saw: resized and cropped, before scaling.
    pub view: ImageView,
    /// Warnings, such as a size that had to be guessed.
    pub notes: Vec<String>,
}

/// The axes of a graph input that takes pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    /// `None`: the input has no channel axis (`[batch, height, width]`).
    layout: Option<Layout>,
    channels: Channels,
    /// Height and width where they are fixed.
    size: (Option<usize>, Option<usize>),
}

impl Preprocess {
    /// `picture` as values of a graph input called `name` with this type and shape.
    ///
    /// Without `resize` and `crop`, a picture of another size than a fixed input is stretched to it, with a note.
    ///
    /// # Errors
    /// An input that can't take pictures, or one whose size, channels or type the result does not fit.
    pub fn apply(&self, picture: &DynamicImage, name: &str, dtype: DType, shape: &Shape) -> Result<Placed> {
        let frame = self.frame(name, shape)?;
        let mut notes = Vec::new();
        let sized = self.sized(picture, frame, name, &mut notes)?;
        let (width, height) = (sized.width, sized.height);
        let fits = |fixed: Option<usize>, is: usize| fixed.is_none_or(|n| n == is);
        if !fits(frame.size.0, height) || !fits(frame.size.1, width) {
            let want = |n: Option<usize>| n.map_or("any".to_string(), |n| n.to_string());
            return Err(Error::input(format!(
                "the picture is {width}x{height} after preprocessing, but input \"{name}\" takes {}x{} (width x height). \
                 Change resize= and crop= in --preprocess.",
                want(frame.size.1),
                want(frame.size.0)
            )));
        }
        let count = frame.channels.count();
        let pixels = sized.samples;
        let values = self.values(&pixels, frame, width, height)?;
        let dims = match frame.layout {
            None => vec![1, height, width],
            Some(Layout::Nchw) => vec![1, count, height, width],
            Some(Layout::Nhwc) => vec![1, height, width, count],
        };
        let tensor = Tensor::from_f64(dtype, dims, values).map_err(|e| {
            Error::input(format!(
                "the preprocessed picture does not fit input \"{name}\" of type {dtype}: {e}. \
                 Use a --preprocess whose values are whole numbers of that type."
            ))
        })?;
        let view = ImageView { width, height, channels: count, pixels };
        Ok(Placed { tensor, view, notes })
    }

    /// What the input's shape and the options say about axes and channels.
    fn frame(&self, name: &str, shape: &Shape) -> Result<Frame> {
        let dims: Vec<Option<usize>> = shape.iter().map(exegesis_graph::Dim::fixed).collect();
        let shown: Vec<String> = shape.iter().map(ToString::to_string).collect();
        let refuse = |why: &str| {
            let message = format!("input \"{name}\" [{}] can't take a picture: {why}.", shown.join(", "));
            Error::input(format!(
                "{message} Give a .npy or .npz file, or --preprocess with layout= and channels=."
            ))
        };
        let is_channels = |d: Option<usize>| match self.channels {
            Some(channels) => d == Some(channels.count()),
            None => matches!(d, Some(1 | 3)),
        };
        match dims.as_slice() {
            [_, c, h, w_or_c] => {
                let layout = match (self.layout, is_channels(*c), is_channels(*w_or_c)) {
                    (Some(layout), _, _) => layout,
                    (None, true, false) => Layout::Nchw,
                    (None, false, true) => Layout::Nhwc,
                    _ => return Err(refuse("its shape does not say which axis holds the channels")),
                };
                let (channels, size) = match layout {
                    Layout::Nchw => (*c, (*h, *w_or_c)),
                    Layout::Nhwc => (*w_or_c, (*c, *h)),
                };
                let by_shape = match channels {
                    Some(1) => Some(Channels::Gray),
                    Some(3) | None => None,
                    Some(_) => return Err(refuse("it has neither 1 nor 3 channels")),
                };
                let chosen = self.channels.or(by_shape).unwrap_or(Channels::Rgb);
                if channels.is_some_and(|n| n != chosen.count()) {
                    return Err(refuse("the number of its channels is not that of channels="));
                }
                Ok(Frame { layout: Some(layout), channels: chosen, size })
            }
            [_, h, w] if !matches!(self.channels, Some(Channels::Rgb | Channels::Bgr)) => {
                Ok(Frame { layout: None, channels: Channels::Gray, size: (*h, *w) })
            }
            _ => Err(refuse("it has no axes for height and width")),
        }
    }

    /// The picture resized and cropped.
    fn sized(
        &self,
        picture: &DynamicImage,
        frame: Frame,
        name: &str,
        notes: &mut Vec<String>,
    ) -> Result<Pixels> {
        let (width, height) = picture.dimensions();
        let side = |n: Option<usize>, own: u32| n.and_then(|n| u32::try_from(n).ok()).unwrap_or(own);
        let target = match self.resize {
            Some(ResizeTo::Exact(w, h)) => (w, h),
            Some(ResizeTo::Shorter(n)) => shorter(width, height, n)?,
            None if self.crop.is_some() => (width, height),
            None => {
                let (h, w) = frame.size;
                let target = (side(w, width), side(h, height));
                if target != (width, height) {
                    notes.push(format!(
                        "the picture of {width}x{height} pixels was stretched to the {}x{} of input \"{name}\"; \
                         say how the model was trained with --preprocess resize=...,crop=...",
                        target.0, target.1
                    ));
                }
                target
            }
        };
        let pixels = match frame.channels {
            Channels::Gray => gray(picture),
            _ => colour(picture),
        };
        let resized =
            pixels.resized(target.0 as usize, target.1 as usize, self.interpolation.unwrap_or_default());
        let Some((w, h)) = self.crop.map(|(w, h)| (w as usize, h as usize)) else { return Ok(resized) };
        let (width, height) = (resized.width, resized.height);
        if w > width || h > height {
            return Err(Error::input(format!(
                "a crop of {w}x{h} does not fit in the picture, which is {width}x{height} before it. \
                 Use a smaller crop= or a larger resize= in --preprocess."
            )));
        }
        // torchvision rounds half to even.
        let offset = |outer: usize, inner: usize| ((outer - inner) as f64 / 2.0).round_ties_even() as usize;
        Ok(resized.cropped(offset(width, w), offset(height, h), w, h))
    }

    fn values(&self, pixels: &[u8], frame: Frame, width: usize, height: usize) -> Result<Vec<f64>> {
        let count = frame.channels.count();
        let per_channel = |key: &str, values: &[f32], default: f64| -> Result<Vec<f64>> {
            match values {
                [] => Ok(vec![default; count]),
                [one] => Ok(vec![f64::from(*one); count]),
                many if many.len() == count => Ok(many.iter().map(|v| f64::from(*v)).collect()),
                many => Err(Error::usage(format!(
                    "{key}= has {} numbers, but the input has {count} channel(s). Give one number, or one per channel.",
                    many.len()
                ))),
            }
        };
        let scale = per_channel("scale", &self.scale, 1.0)?;
        let mean = per_channel("mean", &self.mean, 0.0)?;
        let std = per_channel("std", &self.std, 1.0)?;
        let source =
            |channel: usize| if frame.channels == Channels::Bgr { count - 1 - channel } else { channel };
        let mut values = vec![0.0; pixels.len()];
        let area = width * height;
        for (place, pixel) in pixels.chunks_exact(count).enumerate() {
            for channel in 0..count {
                let value =
                    (f64::from(pixel[source(channel)]) * scale[channel] - mean[channel]) / std[channel];
                let at = match frame.layout {
                    Some(Layout::Nchw) => channel * area + place,
                    _ => place * count + channel,
                };
                values[at] = value;
            }
        }
        Ok(values)
    }
}

/// 8-bit red, green and blue; transparency is dropped, as in Pillow's `convert("RGB")`.
fn colour(picture: &DynamicImage) -> Pixels {
    let rgb = picture.to_rgb8();
    Pixels {
        width: rgb.width() as usize,
        height: rgb.height() as usize,
        channels: 3,
        samples: rgb.into_raw(),
    }
}

/// 8-bit luminance by the weights of ITU-R 601, as in Pillow and OpenCV.
fn gray(picture: &DynamicImage) -> Pixels {
    if !picture.color().has_color() {
        let luma = picture.to_luma8();
        let (width, height) = (luma.width() as usize, luma.height() as usize);
        return Pixels { width, height, channels: 1, samples: luma.into_raw() };
    }
    let Pixels { width, height, samples, .. } = colour(picture);
    let luma = |rgb: &[u8]| match rgb {
        [r, g, b] => {
            ((u32::from(*r) * 19_595 + u32::from(*g) * 38_470 + u32::from(*b) * 7_471 + 0x8000) >> 16) as u8
        }
        _ => 0,
    };
    Pixels { width, height, channels: 1, samples: samples.chunks_exact(3).map(luma).collect() }
}

/// Shorter side to `n`, the longer one in proportion, rounded down.
fn shorter(width: u32, height: u32, n: u32) -> Result<(u32, u32)> {
    let (short, long) = (width.min(height), width.max(height));
    let longer = u64::from(n) * u64::from(long) / u64::from(short.max(1));
    let longer = u32::try_from(longer).ok().filter(|l| *l <= 4 * super::MAX_SIDE).ok_or_else(|| {
        Error::input(format!(
            "a picture of {width}x{height} is too long for a shorter side of {n}. Crop it first, or use resize=WIDTHxHEIGHT."
        ))
    })?;
    Ok(if width <= height { (n, longer) } else { (longer, n) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use exegesis_graph::Dim;
    use image::{Rgb, RgbImage};

    fn shape(dims: &[usize]) -> Shape {
        let mut shape = vec![Dim::symbol("batch")];
        shape.extend(dims.iter().map(|d| Dim::Fixed(*d)));
        shape
    }

    fn picture(width: u32, height: u32) -> DynamicImage {
        DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 7])))
    }

    fn apply(text: &str, picture: &DynamicImage, dims: &[usize]) -> Result<Placed> {
        text.parse::<Preprocess>()?.apply(picture, "x", DType::F32, &shape(dims))
    }

    #[test]
    fn channels_are_placed_scaled_and_swapped() {
        let image = picture(2, 1);
        let first = apply("mean=1,std=2", &image, &[3, 1, 2]).unwrap();
        assert_eq!(first.tensor.as_f32().unwrap(), [-0.5, 0.0, -0.5, -0.5, 3.0, 3.0]);
        let last = apply("channels=bgr,mean=7/0/1", &image, &[1, 2, 3]).unwrap();
        assert_eq!(last.tensor.as_f32().unwrap(), [0.0, 0.0, -1.0, 0.0, 0.0, 0.0]);
        assert_eq!(last.view.pixels, [0, 0, 7, 1, 0, 7]);
    }

    #[test]
    fn shorter_side_then_centre_crop() {
        let placed = apply("resize=50,crop=40", &picture(200, 100), &[3, 40, 40]).unwrap();
        assert_eq!(placed.tensor.shape(), [1, 3, 40, 40]);
        assert!(placed.notes.is_empty());
        // Columns 30..70 of 100: the crop's centre is the picture's.
        let red = &placed.tensor.as_f32().unwrap()[..40];
        assert!((red[0] - 60.5).abs() <= 1.0 && (red[39] - 138.5).abs() <= 1.0, "{red:?}");
    }

    #[test]
    fn luminance_is_that_of_pillow() {
        let mut rgb = RgbImage::new(2, 1);
        rgb.put_pixel(0, 0, Rgb([10, 200, 30]));
        rgb.put_pixel(1, 0, Rgb([255, 0, 255]));
        let placed = apply("none", &DynamicImage::ImageRgb8(rgb), &[1, 1, 2]).unwrap();
        assert_eq!(placed.tensor.as_f32().unwrap(), [124.0, 105.0]);
    }

    #[test]
    fn without_options_the_picture_is_stretched_and_that_is_said() {
        let placed = apply("none", &picture(8, 4), &[1, 2, 2]).unwrap();
        assert_eq!((placed.view.channels, placed.view.width), (1, 2));
        assert_eq!(placed.notes.len(), 1);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let image = picture(8, 8);
        for (text, dims, code) in [
            ("resize=6", &[3, 4, 4][..], 3),
            ("crop=9", &[3, 9, 9], 3),
            ("none", &[3, 3, 3], 3),
            ("none", &[5], 3),
            ("channels=gray", &[3, 8, 8], 3),
            ("mean=1/2", &[3, 8, 8], 2),
        ] {
            assert_eq!(apply(text, &image, dims).unwrap_err().exit_code(), code, "{text} {dims:?}");
        }
        let bytes = "std=2".parse::<Preprocess>().unwrap();
        assert!(bytes.apply(&image, "x", DType::U8, &shape(&[3, 8, 8])).is_err());
    }
}
