//! From attribution arrays to what a picture can show: one number per pixel, token, column or time step.
//!
//! Nothing is invented or rescaled here; the only arithmetic is the sum over the axes that a picture has no room for
//! (colour channels, embedding dimensions).

use crate::data::{Attribution, InputView, Layout};
use crate::error::{ErrorKind, ReportError, Result};

/// Attribution in drawable form.
#[derive(Debug, Clone, PartialEq)]
pub enum Reduced {
    /// One value per pixel, channels summed.
    Map(Map),
    /// One value per token or column, in their order.
    Scores(Vec<f64>),
    /// One value per channel and time step, channel by channel.
    Series(Vec<f64>),
    /// One value per element, in row-major order.
    Strip(Vec<f64>),
}

impl Reduced {
    /// All values in drawing order.
    pub fn values(&self) -> &[f64] {
        match self {
            Self::Map(map) => &map.values,
            Self::Scores(values) | Self::Series(values) | Self::Strip(values) => values,
        }
    }
}

impl Reduced {
    /// The same form with other values.
    pub(crate) fn with_values(&self, values: Vec<f64>) -> Self {
        match self {
            Self::Map(map) => Self::Map(Map { values, ..map.clone() }),
            Self::Scores(_) => Self::Scores(values),
            Self::Series(_) => Self::Series(values),
            Self::Strip(_) => Self::Strip(values),
        }
    }
}

/// A heat-map: `values` is `[height, width]` in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// Width in pixels, at least 1.
    pub width: usize,
    /// Height in pixels, at least 1.
    pub height: usize,
    /// Sum over channels at each pixel.
    pub values: Vec<f64>,
}

impl Map {
    /// The value at a pixel; zero outside.
    pub fn at(&self, x: usize, y: usize) -> f64 {
        if x >= self.width {
            return 0.0;
        }
        self.values.get(y.saturating_mul(self.width).saturating_add(x)).copied().unwrap_or(0.0)
    }
}

/// Brings an attribution into the drawable form of its input.
///
/// # Errors
/// [`ErrorKind::Empty`] if there is nothing to draw, [`ErrorKind::Mismatch`] if the shape does not fit the values or the
/// input. An image's map may be smaller or larger than its picture (Grad-CAM); it is then stretched when drawn.
pub fn reduce(view: &InputView, attribution: &Attribution) -> Result<Reduced> {
    check_shape(attribution)?;
    match view {
        InputView::Image(image) => {
            if image.width == 0 || image.height == 0 {
                return Err(empty("The picture has no pixels."));
            }
            image_map(attribution).map(Reduced::Map)
        }
        InputView::Tokens { ids, .. } => scores(attribution, ids.len(), "tokens").map(Reduced::Scores),
        InputView::Text(text) => scores(attribution, text.tokens.len(), "tokens").map(Reduced::Scores),
        InputView::Columns { names, .. } => scores(attribution, names.len(), "columns").map(Reduced::Scores),
        InputView::Series { channels, length, .. } => {
            series(attribution, channels.len(), *length).map(Reduced::Series)
        }
        InputView::Other { .. } => {
            Ok(Reduced::Strip(attribution.values.iter().map(|v| f64::from(*v)).collect()))
        }
    }
}

/// Sums an image attribution over its channels.
///
/// # Errors
/// As [`reduce`].
pub fn image_map(attribution: &Attribution) -> Result<Map> {
    check_shape(attribution)?;
    let (channels, height, width, layout) = match (trim(&attribution.shape, 3), attribution.layout) {
        ([height, width], _) => (1, *height, *width, Layout::ChannelsFirst),
        ([channels, height, width], Layout::ChannelsFirst) => {
            (*channels, *height, *width, Layout::ChannelsFirst)
        }
        ([height, width, channels], Layout::ChannelsLast) => {
            (*channels, *height, *width, Layout::ChannelsLast)
        }
        _ => return Err(mismatch(attribution, "an image needs [height, width] with or without channels")),
    };
    let pixels = height * width;
    let mut values = vec![0.0; pixels];
    for (index, value) in attribution.values.iter().enumerate() {
        let pixel = match layout {
            Layout::ChannelsFirst => index % pixels,
            Layout::ChannelsLast => index / channels,
        };
        values[pixel] += f64::from(*value);
    }
    Ok(Map { width, height, values })
}

/// One value per token or column; further axes are summed.
fn scores(attribution: &Attribution, count: usize, noun: &str) -> Result<Vec<f64>> {
    if count == 0 {
        return Err(empty(&format!("The input has no {noun}.")));
    }
    let shape = trim_to_count(&attribution.shape, count);
    if shape.first() != Some(&count) {
        return Err(mismatch(attribution, &format!("the input has {count} {noun}")));
    }
    let each = attribution.values.len() / count;
    Ok(attribution.values.chunks(each).map(|chunk| chunk.iter().map(|v| f64::from(*v)).sum()).collect())
}

/// Channel by channel.
fn series(attribution: &Attribution, channels: usize, length: usize) -> Result<Vec<f64>> {
    if channels == 0 || length == 0 {
        return Err(empty("The series has no values."));
    }
    let values = || attribution.values.iter().map(|v| f64::from(*v));
    match (trim(&attribution.shape, 2), attribution.layout) {
        ([n], _) if channels == 1 && *n == length => Ok(values().collect()),
        ([c, n], Layout::ChannelsFirst) if (*c, *n) == (channels, length) => Ok(values().collect()),
        ([n, c], Layout::ChannelsLast) if (*c, *n) == (channels, length) => {
            let rows: Vec<f64> = values().collect();
            Ok((0..channels)
                .flat_map(|c| rows.iter().skip(c).step_by(channels).copied().collect::<Vec<_>>())
                .collect())
        }
        _ => Err(mismatch(attribution, &format!("the series has {channels} channels of {length} steps"))),
    }
}

/// Refuses empty arrays and shapes that do not multiply to the number of values.
fn check_shape(attribution: &Attribution) -> Result<()> {
    if attribution.values.is_empty() {
        return Err(empty("The attribution has no values."));
    }
    let size = attribution.shape.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim));
    if size == Some(attribution.values.len()) {
        return Ok(());
    }
    Err(mismatch(attribution, &format!("it holds {} values", attribution.values.len())))
}

/// Drops leading axes of length 1 beyond `rank`: a batch axis that the caller left in.
fn trim(shape: &[usize], rank: usize) -> &[usize] {
    let mut shape = shape;
    while shape.len() > rank && shape.first() == Some(&1) {
        shape = &shape[1..];
    }
    shape
}

/// Drops a leading axis of length 1 where the next axis is the one that is asked for.
fn trim_to_count(shape: &[usize], count: usize) -> &[usize] {
    if count != 1 && shape.first() == Some(&1) && shape.len() > 1 { &shape[1..] } else { shape }
}

fn empty(what: &str) -> ReportError {
    ReportError::new(ErrorKind::Empty, format!("{what} Explain an input with at least one element."))
}

fn mismatch(attribution: &Attribution, other: &str) -> ReportError {
    let shape = &attribution.shape;
    ReportError::new(
        ErrorKind::Mismatch,
        format!(
            "The attribution has shape {shape:?}, but {other}. Pass one row's attribution in the shape of its input."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribution(shape: &[usize], layout: Layout) -> Attribution {
        let count = shape.iter().product::<usize>();
        Attribution { shape: shape.to_vec(), values: (0..count).map(|v| v as f32).collect(), layout }
    }

    #[test]
    fn both_channel_layouts_sum_the_channels() {
        let first = image_map(&attribution(&[3, 1, 2], Layout::ChannelsFirst)).unwrap();
        assert_eq!(first.values, [0.0 + 2.0 + 4.0, 1.0 + 3.0 + 5.0]);
        let last = image_map(&attribution(&[1, 2, 3], Layout::ChannelsLast)).unwrap();
        assert_eq!(last.values, [0.0 + 1.0 + 2.0, 3.0 + 4.0 + 5.0]);
        assert_eq!((last.width, last.height), (2, 1));
    }

    #[test]
    fn token_dimensions_are_summed_and_a_batch_axis_is_ignored() {
        let view = InputView::Tokens { ids: vec![5, 6], texts: None };
        for shape in [&[2, 3][..], &[1, 2, 3]] {
            let reduced = reduce(&view, &attribution(shape, Layout::ChannelsFirst)).unwrap();
            assert_eq!(reduced.values(), [3.0, 12.0]);
        }
    }

    #[test]
    fn series_channels_last_are_transposed() {
        let view =
            InputView::Series { channels: vec!["a".into(), "b".into()], length: 3, values: vec![0.0; 6] };
        let reduced = reduce(&view, &attribution(&[3, 2], Layout::ChannelsLast)).unwrap();
        assert_eq!(reduced.values(), [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused_by_kind() {
        let tokens = InputView::Tokens { ids: vec![1, 2, 3], texts: None };
        let error = reduce(&tokens, &attribution(&[2], Layout::ChannelsFirst)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Mismatch);
        let none = Attribution { shape: vec![0], values: vec![], ..Default::default() };
        assert_eq!(reduce(&tokens, &none).unwrap_err().kind(), ErrorKind::Empty);
        let lying = Attribution { shape: vec![usize::MAX, 9], values: vec![1.0], ..Default::default() };
        assert_eq!(image_map(&lying).unwrap_err().kind(), ErrorKind::Mismatch);
    }
}
