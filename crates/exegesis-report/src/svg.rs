//! One row as an SVG figure. The charts themselves are in the modules below; the HTML report uses the same ones.

pub(crate) mod agreement;
pub(crate) mod bars;
pub(crate) mod curves;
pub(crate) mod flow;
pub(crate) mod fragment;
pub(crate) mod images;
pub(crate) mod ledger;
pub(crate) mod legend;
pub(crate) mod pareto;
pub(crate) mod passage;
pub(crate) mod plane;
pub(crate) mod prediction;
pub(crate) mod ranks;
pub(crate) mod scatter;
pub(crate) mod series;
pub(crate) mod strip;
pub(crate) mod tokens;

use crate::comparison::ComparisonReport;
use crate::data::{ChannelReport, Flow, InputView, MethodReport, RowReport};
use crate::error::Result;
use crate::prepare::{Prepared, check, prepare, prepare_channels};
use crate::scale::DEFAULT_PERCENTILE;
use crate::text::{number_with, one_line, percent, signed};
use fragment::{Anchor, Fragment, Paint, Style};

/// A part of a row's figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SvgPart {
    /// Row name, target, prediction bars.
    Prediction,
    /// The attributions of all methods.
    Attribution,
    /// The ledgers of methods that keep one.
    Ledger,
    /// The flow of relevance through the model, where it was asked for.
    Flow,
}

/// What an SVG figure contains and how large it is.
#[derive(Debug, Clone, PartialEq)]
pub struct SvgOptions {
    /// Parts, from top to bottom.
    pub parts: Vec<SvgPart>,
    /// Width in CSS pixels; clamped to `320..=4000`.
    pub width: f64,
    /// How many classes, features and nodes charts list.
    pub top: usize,
    /// Percentile of `|value|` at the end of the colour map, see [`crate::scale::Scale::fit`].
    pub percentile: f64,
}

impl Default for SvgOptions {
    fn default() -> Self {
        Self {
            parts: vec![SvgPart::Prediction, SvgPart::Attribution, SvgPart::Ledger, SvgPart::Flow],
            width: 760.0,
            top: 12,
            percentile: DEFAULT_PERCENTILE,
        }
    }
}

/// Space around and between charts.
const MARGIN: f64 = 24.0;
const GAP: f64 = 26.0;

/// Draws one row as a standalone SVG document: pictures embedded, no scripts, no external references.
///
/// ```
/// use exegesis_report::*;
/// let row = RowReport {
///     name: "loan 17".into(),
///     inputs: vec![ReportInput {
///         name: "x".into(),
///         view: InputView::columns(vec!["age".into(), "income".into()], &[41.0, 52_000.0]),
///     }],
///     methods: vec![MethodReport {
///         name: "gradient".into(),
///         attributions: vec![Attribution { shape: vec![2], values: vec![0.25, -0.5], ..Default::default() }],
///         ..Default::default()
///     }],
///     ..Default::default()
/// };
/// let svg = render_svg(&row, &SvgOptions::default())?;
/// assert!(svg.starts_with("<svg") && svg.contains("income"));
/// # Ok::<(), ReportError>(())
/// ```
///
/// # Errors
/// If an attribution does not fit its input, or there is nothing to draw.
pub fn render_svg(row: &RowReport, options: &SvgOptions) -> Result<String> {
    check(row)?;
    let full = if options.width.is_finite() { options.width.clamp(320.0, 4000.0) } else { 760.0 };
    let width = full - 2.0 * MARGIN;
    let mut page = Fragment::new(width);
    page.text(0.0, 16.0, Style::Heading, Anchor::Start, &one_line(&row.name));
    page.grow(24.0);
    for part in &options.parts {
        match part {
            SvgPart::Prediction => {
                if let Some(chart) = prediction::chart(&row.prediction, width, options.top) {
                    page.stack(GAP / 2.0, chart);
                }
            }
            SvgPart::Attribution => attributions(&mut page, row, width, options)?,
            SvgPart::Ledger => {
                for method in &row.methods {
                    let name = one_line(&method.name);
                    let whole = method.ledger.iter().map(|account| (format!("Ledger of {name}"), account));
                    let parts = method.channels.iter().filter_map(|channel| {
                        Some((format!("Ledger of {name}, {}", channel.title()), channel.ledger.as_ref()?))
                    });
                    for (title, account) in whole.chain(parts) {
                        page.stack(GAP, heading(&title, width));
                        page.stack(8.0, ledger::chart(account, width, options.top));
                    }
                }
            }
            SvgPart::Flow => {
                for (method, flow) in row.methods.iter().flat_map(|m| m.flows.iter().map(move |f| (m, f))) {
                    page.stack(GAP, heading(&flow_title(method, flow), width));
                    page.stack(10.0, flow::chart(flow, width));
                }
            }
        }
    }
    Ok(page.document(MARGIN, &format!("Explanation of {}", one_line(&row.name))))
}

/// Draws the ranks of the methods of a comparison as a standalone SVG document, as they stand in its page: a line per method with
/// its median rank over families, their quartiles, and its rank in each family. `None` if fewer than two methods are ranked.
pub fn render_ranks_svg(report: &ComparisonReport, width: f64) -> Option<String> {
    let full = if width.is_finite() { width.clamp(320.0, 4000.0) } else { 760.0 };
    let chart = ranks::chart(report, full - 2.0 * MARGIN)?;
    Some(chart.document(MARGIN, "Ranks of methods over families of metrics"))
}

/// Every method's picture of every input, with its captions.
fn attributions(page: &mut Fragment, row: &RowReport, width: f64, options: &SvgOptions) -> Result<()> {
    for (index, input) in row.inputs.iter().enumerate() {
        let prepared: Vec<Prepared> = row
            .methods
            .iter()
            .map(|method| prepare(row, method, index, options.percentile))
            .collect::<Result<_>>()?;
        let about = format!("{}: {}", one_line(&input.name), input.view.summary());
        page.stack(GAP, heading(&about, width));
        let parts: Vec<Parts> = row
            .methods
            .iter()
            .map(|method| prepare_channels(row, method, index, options.percentile))
            .collect::<Result<_>>()?;
        if let InputView::Image(image) = &input.view {
            page.stack(8.0, images::grid(image, &prepared, &parts, width)?);
            continue;
        }
        for (item, parts) in prepared.iter().zip(&parts) {
            page.stack(10.0, caption(item.method, width));
            if let (InputView::Columns { .. }, [(_, positive), (_, negative)]) =
                (&input.view, parts.as_slice())
            {
                let sides = [positive.reduced.values(), negative.reduced.values()];
                let list = bars::two_sided(&input.view, &item.reduced, sides, options.top);
                page.stack(
                    8.0,
                    note("red: for the target, blue: for its alternatives; then the difference", width),
                );
                page.stack(4.0, bars::chart(&list, None, width));
                continue;
            }
            for (channel, part) in parts {
                page.stack(8.0, note(&channel.title(), width));
                page.stack(4.0, attribution(part, width, options.top));
                page.stack(8.0, legend::chart(&part.scale, width));
            }
            if !parts.is_empty() {
                page.stack(8.0, note("difference of the two", width));
            }
            page.stack(8.0, attribution(item, width, options.top));
            page.stack(8.0, legend::chart(&item.scale, width));
            if let Some(chart) =
                item.method.plane.as_ref().and_then(|plane| plane::chart(plane, width, false))
            {
                page.stack(GAP, chart);
                if let Some(quality) = item.method.plane.as_ref().and_then(|plane| plane.quality.as_ref()) {
                    page.stack(4.0, note(&quality.sentence(), width));
                }
            }
        }
    }
    Ok(())
}

/// The parts of one method that are kept apart.
type Parts<'a> = Vec<(&'a ChannelReport, Prepared<'a>)>;

/// A line of secondary text.
fn note(text: &str, width: f64) -> Fragment {
    let mut out = Fragment::new(width);
    out.text_fitted(0.0, 12.0, width, Style::Note, Anchor::Start, text);
    out.grow(16.0);
    out
}

/// The chart that suits the input's kind (pictures have their own grid).
pub(crate) fn attribution(item: &Prepared, width: f64, top: usize) -> Fragment {
    match &item.input.view {
        InputView::Tokens { ids, texts } => {
            tokens::chart(ids, texts.as_deref(), item.reduced.values(), &item.scale, width)
        }
        InputView::Text(text) => passage::chart(text, item.reduced.values(), &item.scale, width),
        InputView::Columns { .. } => {
            let features = crate::features::top(&item.input.view, &item.reduced, top);
            bars::features(&features, item.scale.polarity(), width)
        }
        InputView::Series { channels, length, values } => {
            series::chart(channels, *length, values, item.reduced.values(), &item.scale, width)
        }
        InputView::Image(_) | InputView::Other { .. } => {
            strip::chart(item.reduced.values(), &item.scale, width)
        }
    }
}

/// Method name, parameters and completeness on two lines.
fn caption(method: &MethodReport, width: f64) -> Fragment {
    let mut out = Fragment::new(width);
    out.text(0.0, 13.0, Style::Strong, Anchor::Start, &one_line(&method.name));
    out.text(width, 13.0, Style::Note, Anchor::End, &completeness(method));
    out.grow(18.0);
    let parameters = one_line(&method.parameter_line());
    if !parameters.is_empty() {
        out.text_fitted(0.0, 29.0, width, Style::Note, Anchor::Start, &parameters);
        out.grow(16.0);
    }
    let evidence = one_line(&method.evidence_line());
    if !evidence.is_empty() {
        out.text_fitted(0.0, out.height() + 11.0, width, Style::Note, Anchor::Start, &evidence);
        out.grow(16.0);
    }
    out
}

/// What a flow is called above its chart.
pub(crate) fn flow_title(method: &MethodReport, flow: &Flow) -> String {
    let channel = if flow.channel.is_empty() {
        String::new()
    } else {
        format!(", {} channel", one_line(&flow.channel))
    };
    format!("Flow of relevance through the model, {}{channel}", one_line(&method.name))
}

/// `sum 11.29, expected 11.32, gap -0.03 (0.3%)`; nothing where the sum says nothing.
pub(crate) fn completeness(method: &MethodReport) -> String {
    if !method.adds_up() {
        return String::new();
    }
    let mut text = format!("sum {}", signed(method.sum));
    if let Some(expected) = method.expected {
        text += &format!(", expected {}", signed(expected));
    }
    if let Some(gap) = method.gap {
        text += &format!(", gap {}", gap_text(gap));
        if let Some(relative) = method.relative_gap() {
            text += &format!(" ({})", percent(relative));
        }
    }
    text
}

/// A gap with its sign and three digits: it is a residual, its size is what matters.
pub(crate) fn gap_text(gap: f64) -> String {
    let text = number_with(gap, 3);
    if gap > 0.0 { format!("+{text}") } else { text }
}

fn heading(text: &str, width: f64) -> Fragment {
    let mut out = Fragment::new(width);
    out.text_fitted(0.0, 13.0, width, Style::Label, Anchor::Start, text);
    out.line(0.0, 19.0, width, 19.0, Paint::Line, 1.0);
    out.grow(20.0);
    out
}
