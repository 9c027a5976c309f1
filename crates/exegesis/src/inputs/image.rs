//! Decoding of picture files, within limits and upright.

use image::{DynamicImage, ImageDecoder, ImageReader, Limits};
use std::io::Cursor;

use crate::{Error, Result};

/// Largest width and height that is decoded.
const MAX_SIDE: u32 = 32_768;
/// Most memory that decoding may take.
const MAX_ALLOCATION: u64 = 1 << 30;

/// The picture in `bytes`, turned as its EXIF data says, so that it is what a viewer shows.
///
/// # Errors
/// Bytes that are no complete picture of a format that is read, or one beyond the limits.
pub(crate) fn decode(bytes: &[u8]) -> Result<DynamicImage> {
    let bad = |e: &dyn std::fmt::Display| {
        Error::input(format!(
            "this picture can't be decoded: {e}. Open it in a viewer, and save it again as PNG."
        ))
    };
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| bad(&e))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_ALLOCATION);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|e| bad(&e))?;
    let orientation = decoder.orientation().map_err(|e| bad(&e))?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| bad(&e))?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::ImageFormat;

    #[test]
    fn cut_off_and_false_pictures_are_refused() {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::new_rgb8(40, 30).write_to(&mut bytes, ImageFormat::Png).unwrap();
        let bytes = bytes.into_inner();
        assert_eq!(decode(&bytes).unwrap().width(), 40);
        for part in [&bytes[..bytes.len() / 2], b"GIF89a", b"hello, this is text", b""] {
            assert_eq!(decode(part).unwrap_err().exit_code(), 3);
        }
    }

    #[test]
    fn a_header_that_promises_a_huge_picture_is_refused_at_once() {
        let mut bytes = b"P6 60000 60000 255\n".to_vec();
        bytes.extend_from_slice(&[0; 64]);
        assert_eq!(decode(&bytes).unwrap_err().exit_code(), 3);
    }
}
