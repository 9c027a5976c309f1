//! One row as a PNG picture: heat-maps of pictures here, everything else as a chart in [`chart`].

mod chart;
mod flow;
mod matrix;
mod passage;

use crate::balance::Balance;
use crate::canvas::{Raster, line_height, text_width, wrap};
use crate::color::{self, Rgb};
use crate::data::{ImageView, InputView, MethodReport, Polarity, RowReport};
use crate::error::Result;
use crate::image_map::{self, Smoothing, Zoom};
use crate::prepare::{Prepared, check, prepare, prepare_channels};
use crate::reduce::Reduced;
use crate::scale::{DEFAULT_PERCENTILE, Scale};
use crate::svg::completeness;
use crate::text::{number, number_with, one_line, percent};

/// How a PNG picture is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct PngOptions {
    /// Percentile of `|value|` at the end of the colour map, see [`crate::scale::Scale::fit`].
    pub percentile: f64,
    /// Whether heat-maps are smoothed when they are enlarged. Off by default: a reader should see the model's pixels.
    pub smoothing: Smoothing,
    /// Pictures are enlarged by the smallest whole factor that makes their longer side at least this many pixels.
    pub panel: usize,
    /// How many features a chart lists (inputs that are not pictures).
    pub top: usize,
}

impl Default for PngOptions {
    fn default() -> Self {
        Self { percentile: DEFAULT_PERCENTILE, smoothing: Smoothing::Off, panel: 336, top: 20 }
    }
}

const PAPER: Rgb = Rgb(255, 255, 255);
const INK: Rgb = Rgb(28, 32, 38);
const MUTED: Rgb = Rgb(98, 106, 117);
const LINE: Rgb = Rgb(206, 211, 217);
const MARGIN: usize = 28;
const GAP: usize = 24;
/// Font pixels are squares of this size.
const SIZE: usize = 2;

/// Draws one row as a PNG file: for a picture the input, and per method its heat-map and its overlay; for other inputs a
/// chart of the strongest features, or of tokens and columns under four or more methods a table. Several inputs are stacked; flows of relevance follow below.
///
/// ```
/// use exegesis_report::*;
/// let row = RowReport {
///     name: "digit".into(),
///     inputs: vec![ReportInput {
///         name: "image".into(),
///         view: InputView::Image(ImageView { width: 2, height: 2, channels: 1, pixels: vec![0, 80, 160, 255] }),
///     }],
///     methods: vec![MethodReport {
///         name: "gradient".into(),
///         attributions: vec![Attribution { shape: vec![1, 2, 2], values: vec![0.0, 0.5, 1.0, -1.0], ..Default::default() }],
///         ..Default::default()
///     }],
///     ..Default::default()
/// };
/// let png = render_png(&row, &PngOptions::default())?;
/// assert_eq!(&png[1..4], b"PNG");
/// # Ok::<(), ReportError>(())
/// ```
///
/// # Errors
/// If an attribution does not fit its input, or there is nothing to draw, or the picture would be too large.
pub fn render_png(row: &RowReport, options: &PngOptions) -> Result<Vec<u8>> {
    check(row)?;
    let mut bands = Vec::new();
    for (index, input) in row.inputs.iter().enumerate() {
        let band = match &input.view {
            InputView::Image(image) => image_band(row, index, image, options)?,
            view if row.methods.len() >= matrix::FROM && matrix::suits(view) => {
                matrix::band(row, index, options)?
            }
            InputView::Text(text) => passage::band(row, index, text, options)?,
            _ => chart::band(row, index, options)?,
        };
        bands.push(band);
    }
    for method in &row.methods {
        for flow in &method.flows {
            bands.push(flow::band(method, flow)?);
        }
    }
    let width = bands.iter().map(Raster::width).max().unwrap_or(0) + 2 * MARGIN;
    let heading = heading(row, width - 2 * MARGIN);
    let top = MARGIN + heading.len() * line_height(SIZE) + GAP / 2;
    let height = top + bands.iter().map(|band| band.height() + GAP).sum::<usize>() + MARGIN - GAP;
    let mut page = Raster::filled(width, height, PAPER)?;
    let mut y = MARGIN;
    for (color, line) in heading {
        page.text(MARGIN, y, SIZE, color, &line);
        y += line_height(SIZE);
    }
    y = top;
    for band in bands {
        page.place(MARGIN, y, &band);
        y += band.height() + GAP;
    }
    page.to_png()
}

/// Name, prediction and target, wrapped.
fn heading(row: &RowReport, width: usize) -> Vec<(Rgb, String)> {
    let mut lines: Vec<(Rgb, String)> = Vec::new();
    let mut add =
        |color, text: &str| lines.extend(wrap(text, width, SIZE).into_iter().map(|line| (color, line)));
    add(INK, &one_line(&row.name));
    if let Some(best) = row.prediction.top.first() {
        let probability = best.probability.map(|p| format!(", {}", percent(p))).unwrap_or_default();
        add(
            MUTED,
            &format!("Predicted {} ({}{probability})", one_line(&best.display_name()), number(best.score)),
        );
    }
    if !row.prediction.target.is_empty() {
        add(MUTED, &format!("Explained {}", one_line(&row.prediction.target)));
    }
    lines
}

/// The lines under a method's picture: name, parameters, completeness.
fn method_lines(method: &MethodReport, width: usize) -> Vec<(Rgb, String)> {
    let mut lines: Vec<(Rgb, String)> = Vec::new();
    let mut add =
        |color, text: &str| lines.extend(wrap(text, width, SIZE).into_iter().map(|line| (color, line)));
    add(INK, &one_line(&method.name));
    add(MUTED, &one_line(&method.parameter_line()));
    add(MUTED, &completeness(method));
    add(MUTED, &one_line(&method.evidence_line()));
    lines
}

/// Input, then a column per method: heat-map above overlay, several rows of columns if there are many; with a single method all three beside each other. A single
/// method that keeps channels apart has these beside the input, difference and overlay below.
fn image_band(row: &RowReport, index: usize, image: &ImageView, options: &PngOptions) -> Result<Raster> {
    let zoom = Zoom::fit(image.width, image.height, options.panel.clamp(64, 4096), 1200);
    let (width, height) = zoom.size(image.width, image.height);
    let picture = image_map::picture(image, zoom)?;
    let mut columns =
        vec![Column { panels: vec![picture], captions: input_lines(row, index, zoom, width), scale: None }];
    for method in &row.methods {
        let Prepared { reduced, scale, .. } = prepare(row, method, index, options.percentile)?;
        let Reduced::Map(map) = reduced else { continue };
        let heat = image_map::heat_map(&map, image, zoom, &scale, options.smoothing)?;
        let over = image_map::overlay(&map, image, zoom, &scale, options.smoothing)?;
        let captions = method_lines(method, width);
        if row.methods.len() == 1 {
            let parts = channel_columns(row, index, (image, zoom), options)?;
            if !parts.is_empty() {
                columns.extend(parts);
                let mut below = Vec::from(single_columns((heat, captions, scale), over, width));
                below.extend(balance_column(row, index, (image, zoom), options)?);
                let bands = [lay_out(&columns, width, height)?, lay_out(&below, width, height)?];
                return stacked(&bands);
            }
            columns.extend(single_columns((heat, captions, scale), over, width));
        } else {
            columns.push(Column { panels: vec![heat, over], captions, scale: Some(scale) });
        }
    }
    if columns.len() <= MOST_COLUMNS {
        return lay_out(&columns, width, height);
    }
    let bands: Vec<Raster> =
        columns.chunks(COLUMNS).map(|part| lay_out(part, width, height)).collect::<Result<_>>()?;
    stacked(&bands)
}

/// Columns that stand in one row; more of them are broken into rows of [`COLUMNS`].
const MOST_COLUMNS: usize = 7;
const COLUMNS: usize = 6;

/// Heat-map and overlay of a method that is alone.
fn single_columns(
    (heat, captions, scale): (Raster, Vec<(Rgb, String)>, Scale),
    over: Raster,
    width: usize,
) -> [Column; 2] {
    let lines = wrap("The same map over the grey input", width, SIZE);
    let below = lines.into_iter().map(|line| (MUTED, line)).collect();
    [
        Column { panels: vec![heat], captions, scale: Some(scale) },
        Column { panels: vec![over], captions: below, scale: None },
    ]
}

/// The maps of the channels of the only method.
fn channel_columns(
    row: &RowReport,
    index: usize,
    (image, zoom): (&ImageView, Zoom),
    options: &PngOptions,
) -> Result<Vec<Column>> {
    let mut columns = Vec::new();
    let Some(method) = row.methods.first() else { return Ok(columns) };
    let (width, _) = zoom.size(image.width, image.height);
    for (channel, part) in prepare_channels(row, method, index, options.percentile)? {
        let Reduced::Map(map) = &part.reduced else { continue };
        let heat = image_map::heat_map(map, image, zoom, &part.scale, options.smoothing)?;
        let mut captions = vec![];
        captions.extend(wrap(&channel.title(), width, SIZE).into_iter().map(|line| (INK, line)));
        captions.push((MUTED, format!("sum {}", number(channel.sum))));
        columns.push(Column { panels: vec![heat], captions, scale: Some(part.scale) });
    }
    Ok(columns)
}

/// Where the channels of the only method differ in their shares.
fn balance_column(
    row: &RowReport,
    index: usize,
    (image, zoom): (&ImageView, Zoom),
    options: &PngOptions,
) -> Result<Option<Column>> {
    let Some(method) = row.methods.first() else { return Ok(None) };
    let Some(balance) = Balance::of(&prepare_channels(row, method, index, options.percentile)?) else {
        return Ok(None);
    };
    let panel = balance.draw(image, zoom)?;
    let mut captions = vec![(INK, "balance".to_string())];
    captions.extend(wrap(&balance.caption(), panel.width(), SIZE).into_iter().map(|line| (MUTED, line)));
    Ok(Some(Column { panels: vec![panel], captions, scale: Some(balance.scale) }))
}

/// Pictures below each other.
fn stacked(bands: &[Raster]) -> Result<Raster> {
    let width = bands.iter().map(Raster::width).max().unwrap_or(0);
    let height = bands.iter().map(|band| band.height() + GAP).sum::<usize>().saturating_sub(GAP);
    let mut page = Raster::filled(width, height, PAPER)?;
    let mut y = 0;
    for band in bands {
        page.place(0, y, band);
        y += band.height() + GAP;
    }
    Ok(page)
}

/// Columns side by side, with their colour bars and captions.
fn lay_out(columns: &[Column], width: usize, height: usize) -> Result<Raster> {
    let depth = columns.iter().map(|column| column.panels.len()).max().unwrap_or(1);
    let bar_height = BAR + line_height(SIZE) * 2;
    let text_lines = columns.iter().map(|column| column.captions.len()).max().unwrap_or(0);
    let below = depth * (height + GAP / 2);
    let mut band = Raster::filled(
        columns.len().saturating_mul(width + GAP).saturating_sub(GAP) + 2,
        below + bar_height + text_lines * line_height(SIZE),
        PAPER,
    )?;
    for (place, column) in columns.iter().enumerate() {
        let x = place * (width + GAP) + 1;
        for (line, panel) in column.panels.iter().enumerate() {
            let y = line * (height + GAP / 2) + 1;
            band.place(x, y, panel);
            band.frame(x, y, width, height, LINE);
        }
        if let Some(scale) = &column.scale {
            color_bar(&mut band, x, below, width, scale);
        }
        for (line, (color, text)) in column.captions.iter().enumerate() {
            // A picture without a colour bar of its own is captioned directly, where the eye is.
            let top = match column.scale {
                Some(_) => below + bar_height,
                None => column.panels.len() * (height + GAP / 2),
            };
            band.text(x, top + line * line_height(SIZE), SIZE, *color, text);
        }
    }
    Ok(band)
}

/// One column of pictures with what is written below it.
struct Column {
    panels: Vec<Raster>,
    captions: Vec<(Rgb, String)>,
    scale: Option<Scale>,
}

fn input_lines(row: &RowReport, index: usize, zoom: Zoom, width: usize) -> Vec<(Rgb, String)> {
    let Some(input) = row.inputs.get(index) else { return Vec::new() };
    let shown = match zoom {
        Zoom::In(1) => String::new(),
        Zoom::In(factor) => format!(", shown at {factor}x"),
        Zoom::Out(factor) => format!(", shown at 1/{factor}"),
    };
    let mut lines = vec![(INK, "input".to_string())];
    let about = format!("{}: {}{shown}", one_line(&input.name), input.view.summary());
    lines.extend(wrap(&about, width, SIZE).into_iter().map(|line| (MUTED, line)));
    lines
}

/// Height of the colour bar in pixels.
const BAR: usize = 10;

/// The colour bar with its ends, and what lies beyond it.
fn color_bar(page: &mut Raster, x: usize, y: usize, width: usize, scale: &Scale) {
    let low = if scale.polarity() == Polarity::Signed { -1.0 } else { 0.0 };
    for column in 0..width {
        let position = low + (1.0 - low) * column as f64 / (width.max(2) - 1) as f64;
        page.fill(x + column, y, 1, BAR, color::map(scale.polarity(), position));
    }
    page.frame(x, y, width, BAR, LINE);
    let limit = number_with(scale.limit(), 3);
    let (left, middle, right) = match scale.polarity() {
        Polarity::Signed => (format!("-{limit}"), "0", format!("+{limit}")),
        Polarity::Unsigned | Polarity::For | Polarity::Against => ("0".to_string(), "", limit),
    };
    let top = y + BAR + 6;
    page.text(x, top, SIZE, MUTED, &left);
    page.text(x + (width.saturating_sub(text_width(middle, SIZE))) / 2, top, SIZE, MUTED, middle);
    page.text(x + width.saturating_sub(text_width(&right, SIZE)), top, SIZE, MUTED, &right);
}
