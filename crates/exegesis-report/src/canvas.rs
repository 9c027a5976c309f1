//! A small RGB raster to draw on: rectangles, pictures, bitmap text, PNG encoding.

use crate::color::Rgb;
use crate::error::{ErrorKind, ReportError, Result};
use crate::font;
use image::{ExtendedColorType, ImageEncoder, codecs::png};

/// Largest picture that is drawn, in pixels (192 MiB of samples).
pub(crate) const MAX_PIXELS: usize = 64 << 20;

/// An RGB picture in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Raster {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Raster {
    /// A picture of one colour.
    ///
    /// # Errors
    /// [`ErrorKind::Empty`] if a side is zero, [`ErrorKind::TooLarge`] beyond 64 million pixels.
    pub fn filled(width: usize, height: usize, color: Rgb) -> Result<Self> {
        if width == 0 || height == 0 {
            return Err(ReportError::new(
                ErrorKind::Empty,
                format!(
                    "A picture of {width}x{height} pixels has nothing in it. Give one with at least one pixel."
                ),
            ));
        }
        let area = width.checked_mul(height).filter(|area| *area <= MAX_PIXELS).ok_or_else(|| {
            ReportError::new(
                ErrorKind::TooLarge,
                format!(
                    "A picture of {width}x{height} pixels is larger than the limit of {MAX_PIXELS} pixels. \
                     Draw fewer methods at once, or a smaller panel."
                ),
            )
        })?;
        Ok(Self { width, height, pixels: [color.0, color.1, color.2].repeat(area) })
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The colour at a pixel; black outside.
    pub fn get(&self, x: usize, y: usize) -> Rgb {
        match self.offset(x, y).and_then(|i| self.pixels.get(i..i + 3)) {
            Some([r, g, b]) => Rgb(*r, *g, *b),
            _ => Rgb(0, 0, 0),
        }
    }

    /// Sets a pixel; outside is ignored.
    pub(crate) fn set(&mut self, x: usize, y: usize, color: Rgb) {
        if let Some(slot) = self.offset(x, y).and_then(|i| self.pixels.get_mut(i..i + 3)) {
            slot.copy_from_slice(&[color.0, color.1, color.2]);
        }
    }

    /// Fills a rectangle, clipped to the picture.
    pub(crate) fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, color: Rgb) {
        for row in y..y.saturating_add(height).min(self.height) {
            for column in x..x.saturating_add(width).min(self.width) {
                self.set(column, row, color);
            }
        }
    }

    /// Outlines a rectangle from the outside, one pixel wide.
    pub(crate) fn frame(&mut self, x: usize, y: usize, width: usize, height: usize, color: Rgb) {
        let (left, top) = (x.saturating_sub(1), y.saturating_sub(1));
        self.fill(left, top, width + 2, 1, color);
        self.fill(left, y + height, width + 2, 1, color);
        self.fill(left, top, 1, height + 2, color);
        self.fill(x + width, top, 1, height + 2, color);
    }

    /// Copies another picture onto this one, clipped.
    pub(crate) fn place(&mut self, x: usize, y: usize, other: &Raster) {
        for row in 0..other.height {
            for column in 0..other.width {
                self.set(x + column, y + row, other.get(column, row));
            }
        }
    }

    /// Writes one line of text with its top left corner at `x`, `y`; every font pixel covers `size` x `size` pixels.
    ///
    /// At even sizes corners between two diagonal font pixels are filled (the Scale2x rule), which rounds the letters.
    pub(crate) fn text(&mut self, x: usize, y: usize, size: usize, color: Rgb, text: &str) {
        let mut left = x;
        for c in text.chars() {
            self.draw_glyph(left, y, size, color, &font::glyph(c));
            left += font::ADVANCE * size;
        }
    }

    fn draw_glyph(&mut self, x: usize, y: usize, size: usize, color: Rgb, glyph: &font::Glyph) {
        let on = |column: isize, row: isize| -> bool {
            let (Ok(row), Ok(column)) = (usize::try_from(row), usize::try_from(column)) else { return false };
            column < font::WIDTH
                && glyph.get(row).is_some_and(|bits| bits >> (font::WIDTH - 1 - column) & 1 == 1)
        };
        let half = size / 2;
        for row in 0..font::HEIGHT as isize {
            for column in 0..font::WIDTH as isize {
                let (left, top) = (x + column as usize * size, y + row as usize * size);
                if on(column, row) {
                    self.fill(left, top, size, size, color);
                } else if size.is_multiple_of(2) {
                    for (dx, dy) in [(-1, -1), (1, -1), (-1, 1), (1, 1)] {
                        let meets = on(column + dx, row) && on(column, row + dy);
                        let straight =
                            on(column - dx, row) || on(column, row - dy) || on(column + dx, row + dy);
                        if meets && !straight {
                            let (ox, oy) = (if dx > 0 { half } else { 0 }, if dy > 0 { half } else { 0 });
                            self.fill(left + ox, top + oy, half, half, color);
                        }
                    }
                }
            }
        }
    }

    /// Encodes as PNG.
    ///
    /// # Errors
    /// [`ErrorKind::Encode`] if the encoder fails.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        let side = |length: usize| u32::try_from(length).map_err(|_| encode_error("a side is too long"));
        let mut bytes = Vec::new();
        let encoder = png::PngEncoder::new_with_quality(
            &mut bytes,
            png::CompressionType::Default,
            png::FilterType::Adaptive,
        );
        encoder
            .write_image(&self.pixels, side(self.width)?, side(self.height)?, ExtendedColorType::Rgb8)
            .map_err(|error| encode_error(&error.to_string()))?;
        Ok(bytes)
    }

    fn offset(&self, x: usize, y: usize) -> Option<usize> {
        (x < self.width && y < self.height).then(|| (y * self.width + x) * 3)
    }
}

/// Width in pixels of a line of text.
pub(crate) fn text_width(text: &str, size: usize) -> usize {
    text.chars().count() * font::ADVANCE * size
}

/// Height in pixels of a line of text with the space below it.
pub(crate) fn line_height(size: usize) -> usize {
    (font::HEIGHT + 2) * size
}

/// Breaks text at spaces into lines of at most `pixels`; words that are too long are cut with an ellipsis.
pub(crate) fn wrap(text: &str, pixels: usize, size: usize) -> Vec<String> {
    let columns = (pixels / (font::ADVANCE * size)).max(1);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word: String = if word.chars().count() > columns {
            word.chars().take(columns - 1).chain(['…']).collect()
        } else {
            word.to_string()
        };
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

fn encode_error(why: &str) -> ReportError {
    ReportError::new(
        ErrorKind::Encode,
        format!("The picture could not be written as PNG ({why}). Try a smaller picture."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawing_outside_is_clipped() {
        let mut raster = Raster::filled(4, 4, Rgb(255, 255, 255)).unwrap();
        raster.fill(2, 2, 100, 100, Rgb(1, 2, 3));
        raster.text(0, 0, 50, Rgb(9, 9, 9), "overflow");
        assert_eq!(raster.get(9, 9), Rgb(0, 0, 0));
    }

    #[test]
    fn empty_and_huge_pictures_are_refused() {
        let kind = |w, h| Raster::filled(w, h, Rgb(0, 0, 0)).unwrap_err().kind();
        assert_eq!(kind(0, 5), ErrorKind::Empty);
        assert_eq!(kind(usize::MAX, 2), ErrorKind::TooLarge);
        assert_eq!(kind(1 << 20, 1 << 20), ErrorKind::TooLarge);
    }

    #[test]
    fn wrapping_cuts_words_that_cannot_fit() {
        assert_eq!(wrap("ab cd verylongword", 6 * 5, 1), ["ab cd", "very…"]);
    }
}
