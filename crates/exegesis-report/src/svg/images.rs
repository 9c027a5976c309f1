//! Pictures beside their heat-maps.

use super::fragment::{Anchor, Fragment, Style};
use super::{completeness, legend};
use crate::balance::Balance;
use crate::data::{ChannelReport, ImageView};
use crate::error::Result;
use crate::image_map::{self, Smoothing, Zoom};
use crate::prepare::Prepared;
use crate::reduce::Reduced;
use crate::text::one_line;

/// PNG files of one method's picture, at the picture's own resolution (shrunk beyond 1024 pixels).
pub(crate) struct Pictures {
    pub heat: Vec<u8>,
    pub overlay: Vec<u8>,
}

/// The zoom for embedded pictures: viewers enlarge them without smoothing, so small ones stay small files.
pub(crate) fn embedded_zoom(image: &ImageView) -> Zoom {
    Zoom::fit(image.width, image.height, 1, 1024)
}

/// The input as PNG.
///
/// # Errors
/// As [`image_map::picture`].
pub(crate) fn input(image: &ImageView) -> Result<Vec<u8>> {
    image_map::picture(image, embedded_zoom(image))?.to_png()
}

/// Heat-map and overlay as PNG; `None` if the attribution is not a map.
///
/// # Errors
/// As [`image_map::overlay`].
pub(crate) fn pictures(image: &ImageView, item: &Prepared) -> Result<Option<Pictures>> {
    let Reduced::Map(map) = &item.reduced else { return Ok(None) };
    let zoom = embedded_zoom(image);
    let heat = image_map::heat_map(map, image, zoom, &item.scale, Smoothing::Off)?.to_png()?;
    let overlay = image_map::overlay(map, image, zoom, &item.scale, Smoothing::Off)?.to_png()?;
    Ok(Some(Pictures { heat, overlay }))
}

/// A line per method: input, heat-map, overlay; captions and colour bar below. Parts that are kept apart and their balance
/// come between input and heat-map.
pub(crate) fn grid(
    image: &ImageView,
    items: &[Prepared],
    parts: &[Vec<(&ChannelReport, Prepared)>],
    width: f64,
) -> Result<Fragment> {
    const GAP: f64 = 16.0;
    let side = (width - 2.0 * GAP) / 3.0;
    let height = side * image.height as f64 / image.width.max(1) as f64;
    let input = input(image)?;
    let mut out = Fragment::new(width);
    for (place, item) in items.iter().enumerate() {
        let parts = parts.get(place).map(Vec::as_slice).unwrap_or_default();
        let Some(pictures) = pictures(image, item)? else { continue };
        let name = one_line(&item.method.name);
        let mut panels = vec![(input.clone(), "input".to_string(), String::new())];
        for (channel, part) in parts {
            let Some(pictures) = self::pictures(image, part)? else { continue };
            panels.push((pictures.heat, channel.title(), part.scale.describe()));
        }
        if let Some(balance) = Balance::of(parts) {
            let map = balance.draw(image, embedded_zoom(image))?.to_png()?;
            panels.push((map, "balance".to_string(), balance.caption()));
        }
        let heat = if parts.is_empty() { format!("heat-map of {name}") } else { "difference".to_string() };
        panels.push((pictures.heat, heat, String::new()));
        panels.push((pictures.overlay, format!("{name} over the input"), String::new()));
        for line in panels.chunks(3) {
            let y = out.height() + 4.0;
            let notes = line.iter().any(|(_, _, note)| !note.is_empty());
            for (column, (png, caption, note)) in line.iter().enumerate() {
                let x = column as f64 * (side + GAP);
                out.picture(x, y, side, height, png, caption);
                out.frame(x, y, side, height);
                out.text_fitted(x, y + height + 16.0, side, Style::Note, Anchor::Start, caption);
                out.text_fitted(x, y + height + 31.0, side, Style::Note, Anchor::Start, note);
            }
            out.grow(4.0 + height + if notes { 41.0 } else { 26.0 });
        }
        let mut caption = Fragment::new(width);
        caption.text(0.0, 13.0, Style::Strong, Anchor::Start, &name);
        caption.text(width, 13.0, Style::Note, Anchor::End, &completeness(item.method));
        let parameters = one_line(&item.method.parameter_line());
        caption.text_fitted(0.0, 30.0, width, Style::Note, Anchor::Start, &parameters);
        caption.grow(if parameters.is_empty() { 18.0 } else { 36.0 });
        out.stack(0.0, caption);
        out.stack(6.0, legend::chart(&item.scale, width));
        out.grow(12.0);
    }
    Ok(out)
}
