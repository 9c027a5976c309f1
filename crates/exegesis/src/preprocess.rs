//! How a picture becomes the values that a model wants: the text form of the options, and what they do.
//!
//! `value = (pixel * scale - mean) / std` with pixels in `0..=255`; per-channel numbers are joined by `/` and are in the
//! order of the model's channels (after `channels=bgr` has swapped them).

mod apply;
mod resample;

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

pub use apply::Placed;

/// Largest width or height that a resize or crop may ask for.
const MAX_SIDE: u32 = 16_384;

/// Size that a picture is resized to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResizeTo {
    /// Shorter side to this many pixels, the other in proportion (rounded down, as torchvision does).
    Shorter(u32),
    /// Width and height, whatever the proportions.
    Exact(u32, u32),
}

/// Filter of a resize, sample for sample that of Pillow. All but `Nearest` widen with the reduction (anti-aliased).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interpolation {
    /// The closest pixel.
    Nearest,
    /// Triangle filter.
    #[default]
    Bilinear,
    /// Cubic filter with `a = -0.5`.
    Bicubic,
    /// Lanczos filter over three pixels.
    Lanczos,
}

/// Where the channel axis of a picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `[batch, channels, height, width]`.
    Nchw,
    /// `[batch, height, width, channels]`.
    Nhwc,
}

/// Which channels a picture has, in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// Luminance.
    Gray,
}

/// Preprocessing of pictures, as in `--preprocess` and in the ONNX metadata `exegesis.preprocess`.
///
/// ```
/// let p: exegesis::Preprocess = "resize=256,interp=bicubic,crop=224,mean=127,std=128".parse()?;
/// assert_eq!(p.to_string(), "resize=256,interp=bicubic,crop=224,mean=127,std=128");
/// # Ok::<(), exegesis::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preprocess {
    /// Resize before the crop.
    pub resize: Option<ResizeTo>,
    /// Filter of the resize.
    pub interpolation: Option<Interpolation>,
    /// Centre crop to width and height.
    pub crop: Option<(u32, u32)>,
    /// Factor on pixels; one number, or one per channel. Empty: 1.
    pub scale: Vec<f32>,
    /// Subtracted after scaling. Empty: 0.
    pub mean: Vec<f32>,
    /// Divisor. Empty: 1.
    pub std: Vec<f32>,
    /// Place of the channel axis; `None`: what the input's shape says.
    pub layout: Option<Layout>,
    /// Channels; `None`: RGB, or grey for an input with one channel.
    pub channels: Option<Channels>,
}

impl FromStr for Preprocess {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parsed = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        if text.trim() == "none" {
            return Ok(parsed);
        }
        for part in text.split(',').map(str::trim) {
            let Some((key, value)) = part.split_once('=') else {
                return Err(wrong(part, "it is not of the form key=value"));
            };
            let (key, value) = (key.trim(), value.trim());
            if seen.contains(&key) {
                return Err(wrong(part, "the key is given twice"));
            }
            seen.push(key);
            parsed.set(key, value).map_err(|why| wrong(part, &why))?;
        }
        Ok(parsed)
    }
}

impl Preprocess {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "resize" => {
                self.resize = Some(match value.split_once('x') {
                    Some((w, h)) => ResizeTo::Exact(side(w)?, side(h)?),
                    None => ResizeTo::Shorter(side(value)?),
                });
            }
            "crop" => {
                self.crop = Some(match value.split_once('x') {
                    Some((w, h)) => (side(w)?, side(h)?),
                    None => (side(value)?, side(value)?),
                });
            }
            "interp" => self.interpolation = Some(interpolation(value)?),
            "scale" => self.scale = numbers(value)?,
            "mean" => self.mean = numbers(value)?,
            "std" => {
                self.std = numbers(value)?;
                if self.std.contains(&0.0) {
                    return Err("std must not be 0".to_string());
                }
            }
            "layout" => {
                self.layout = Some(match value {
                    "nchw" => Layout::Nchw,
                    "nhwc" => Layout::Nhwc,
                    _ => return Err("layout is nchw or nhwc".to_string()),
                });
            }
            "channels" => {
                self.channels = Some(match value {
                    "rgb" => Channels::Rgb,
                    "bgr" => Channels::Bgr,
                    "gray" | "grey" => Channels::Gray,
                    _ => return Err("channels is rgb, bgr or gray".to_string()),
                });
            }
            _ => {
                return Err(
                    "the keys are resize, interp, crop, scale, mean, std, layout and channels".to_string()
                );
            }
        }
        Ok(())
    }
}

impl Preprocess {
    /// What black and white pixels become, the lower value first: one pair, or one per channel where channels differ.
    ///
    /// ```
    /// let p: exegesis::Preprocess = "scale=0.5,mean=27.5/0,std=-1/50".parse()?;
    /// assert_eq!(p.bounds(), [(-100.0, 27.5), (0.0, 2.55)]);
    /// # Ok::<(), exegesis::Error>(())
    /// ```
    pub fn bounds(&self) -> Vec<(f64, f64)> {
        let count = self.scale.len().max(self.mean.len()).max(self.std.len()).max(1);
        let number = |numbers: &[f32], channel: usize, default: f64| {
            numbers.get(channel).or(numbers.first()).map_or(default, |v| f64::from(*v))
        };
        (0..count)
            .map(|channel| {
                let (mean, std) = (number(&self.mean, channel, 0.0), number(&self.std, channel, 1.0));
                let value = |pixel: f64| (pixel * number(&self.scale, channel, 1.0) - mean) / std;
                let (black, white) = (value(0.0), value(255.0));
                (black.min(white), black.max(white))
            })
            .collect()
    }
}

impl Preprocess {
    /// The same places with values as they are: no factor, mean or divisor.
    #[must_use]
    pub(crate) fn without_scale(mut self) -> Self {
        (self.scale, self.mean, self.std) = (vec![], vec![], vec![]);
        self
    }
}

impl Channels {
    /// Number of channels.
    pub fn count(self) -> usize {
        if self == Self::Gray { 1 } else { 3 }
    }
}

fn wrong(part: &str, why: &str) -> Error {
    Error::usage(format!(
        "the preprocessing \"{part}\" can't be used: {why}. Write it like \
         resize=256,interp=bicubic,crop=224,scale=1,mean=127,std=128, or none."
    ))
}

fn side(text: &str) -> Result<u32, String> {
    match text.trim().parse::<u32>() {
        Ok(n) if (1..=MAX_SIDE).contains(&n) => Ok(n),
        _ => Err(format!("a size is a whole number from 1 to {MAX_SIDE}, or WIDTHxHEIGHT")),
    }
}

fn interpolation(value: &str) -> Result<Interpolation, String> {
    Ok(match value {
        "nearest" => Interpolation::Nearest,
        "bilinear" | "linear" => Interpolation::Bilinear,
        "bicubic" | "cubic" => Interpolation::Bicubic,
        "lanczos" => Interpolation::Lanczos,
        _ => return Err("interp is nearest, bilinear, bicubic or lanczos".to_string()),
    })
}

/// One number, or numbers joined by `/`; `1/255` as a scale would be two channels, so two numbers are refused later when
/// the input has one or three channels.
fn numbers(text: &str) -> Result<Vec<f32>, String> {
    text.split('/')
        .map(|part| part.trim().parse::<f32>().ok().filter(|x| x.is_finite()))
        .collect::<Option<Vec<f32>>>()
        .ok_or_else(|| "a number, or one per channel joined by `/`, is needed".to_string())
}

impl fmt::Display for Preprocess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |v: &[f32]| v.iter().map(f32::to_string).collect::<Vec<_>>().join("/");
        let mut parts: Vec<String> = Vec::new();
        match self.resize {
            Some(ResizeTo::Shorter(n)) => parts.push(format!("resize={n}")),
            Some(ResizeTo::Exact(w, h)) => parts.push(format!("resize={w}x{h}")),
            None => {}
        }
        if let Some(interpolation) = self.interpolation {
            let name = match interpolation {
                Interpolation::Nearest => "nearest",
                Interpolation::Bilinear => "bilinear",
                Interpolation::Bicubic => "bicubic",
                Interpolation::Lanczos => "lanczos",
            };
            parts.push(format!("interp={name}"));
        }
        match self.crop {
            Some((w, h)) if w == h => parts.push(format!("crop={w}")),
            Some((w, h)) => parts.push(format!("crop={w}x{h}")),
            None => {}
        }
        for (key, values) in [("scale", &self.scale), ("mean", &self.mean), ("std", &self.std)] {
            if !values.is_empty() {
                parts.push(format!("{key}={}", joined(values)));
            }
        }
        match self.layout {
            Some(Layout::Nchw) => parts.push("layout=nchw".to_string()),
            Some(Layout::Nhwc) => parts.push("layout=nhwc".to_string()),
            None => {}
        }
        match self.channels {
            Some(Channels::Rgb) => parts.push("channels=rgb".to_string()),
            Some(Channels::Bgr) => parts.push("channels=bgr".to_string()),
            Some(Channels::Gray) => parts.push("channels=gray".to_string()),
            None => {}
        }
        if parts.is_empty() { f.write_str("none") } else { f.write_str(&parts.join(",")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_key_is_read_and_written_back() {
        let text = "resize=256x128,interp=lanczos,crop=224x96,scale=0.5,mean=0.485/0.456/0.406,\
                    std=0.229/0.224/0.225,layout=nhwc,channels=bgr";
        let parsed: Preprocess = text.parse().unwrap();
        assert_eq!(parsed.mean, [0.485, 0.456, 0.406]);
        assert_eq!(parsed.to_string(), text);
        assert_eq!("none".parse::<Preprocess>().unwrap(), Preprocess::default());
    }

    #[test]
    fn nonsense_is_a_usage_error_that_quotes_it() {
        let wrong = [
            "resize",
            "resize=0",
            "resize=1e9",
            "std=0",
            "mean=a",
            "size=3",
            "crop=99999999",
            "mean=1,mean=2",
            "std=nan",
        ];
        for text in wrong {
            let error = text.parse::<Preprocess>().unwrap_err();
            assert_eq!(error.exit_code(), 2, "{text}");
        }
        assert!("size=3".parse::<Preprocess>().unwrap_err().to_string().contains("size=3"));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".{0,40}") {
            let _ = text.parse::<Preprocess>();
        }
    }
}
