//! Building blocks of SVG charts: a fragment of known size with escaped text and colours that a page can restyle.
//!
//! Colours are written as attributes for standalone files *and* as classes, so that the HTML report's style sheet can
//! replace them in dark mode (a rule in a style sheet wins over an attribute).

use crate::color::{Rgb, diverging, sequential};
use crate::text::{escape, shorten};
use std::fmt::Write;

/// Colour by meaning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Paint {
    /// Text and lines that are read first.
    Ink,
    /// Secondary text.
    Muted,
    /// Rules and frames.
    Line,
    /// For the target.
    Positive,
    /// Against the target.
    Negative,
    /// Magnitude without a sign.
    Magnitude,
    /// Bars that are not attributions.
    Neutral,
    /// One of several things without an order; at most [`SERIES`] are told apart.
    Series(usize),
    /// A colour that means the same on light and dark pages.
    Fixed(Rgb),
}

/// Colours of [`Paint::Series`] on light ground, and their classes: those of Okabe and Ito, which colour-blind readers tell
/// apart.
const SERIES_COLORS: [(&str, &str); SERIES] = [
    ("#0072b2", "x-c0"),
    ("#d55e00", "x-c1"),
    ("#009e73", "x-c2"),
    ("#cc79a7", "x-c3"),
    ("#e69f00", "x-c4"),
    ("#56b4e9", "x-c5"),
];

/// Number of colours of [`Paint::Series`].
pub(crate) const SERIES: usize = 6;

impl Paint {
    /// Hexadecimal colour and class name.
    fn parts(self) -> (String, &'static str) {
        match self {
            Self::Ink => ("#1c2026".into(), "x-ink"),
            Self::Muted => ("#626a75".into(), "x-muted"),
            Self::Line => ("#d3d8de".into(), "x-line"),
            Self::Positive => (diverging(1.0).hex(), "x-pos"),
            Self::Negative => (diverging(-1.0).hex(), "x-neg"),
            Self::Magnitude => (sequential(1.0).hex(), "x-mag"),
            Self::Neutral => ("#5b6675".into(), "x-bar"),
            Self::Series(number) => {
                let (hex, class) = SERIES_COLORS[number % SERIES];
                (hex.into(), class)
            }
            Self::Fixed(color) => (color.hex(), ""),
        }
    }

    fn attribute(self, property: &str) -> String {
        let (hex, class) = self.parts();
        // The suffix tells fills from strokes, because one class may set only one of them.
        let suffix = if property == "stroke" { "-s" } else { "" };
        match class {
            "" => format!("{property}=\"{hex}\""),
            class => format!("{property}=\"{hex}\" class=\"{class}{suffix}\""),
        }
    }
}

/// Kinds of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// The figure's title.
    Heading,
    /// A chart's own name.
    Strong,
    /// Row labels.
    Label,
    /// Numbers beside bars.
    Number,
    /// Captions, axis labels.
    Note,
    /// Token text.
    Code,
}

impl Style {
    fn size(self) -> f64 {
        match self {
            Self::Heading => 17.0,
            Self::Strong | Self::Code => 13.0,
            Self::Label | Self::Number => 12.5,
            Self::Note => 11.5,
        }
    }

    /// Width of an average character; generous, because fonts differ between machines.
    pub(crate) fn advance(self) -> f64 {
        match self {
            Self::Code => 7.85,
            Self::Heading => 9.2,
            style => style.size() * 0.56,
        }
    }

    fn attributes(self) -> &'static str {
        match self {
            Self::Heading => "font-size=\"17\" font-weight=\"600\"",
            Self::Strong => "font-size=\"13\" font-weight=\"600\"",
            Self::Label => "font-size=\"12.5\"",
            Self::Number => "font-size=\"12.5\" font-variant-numeric=\"tabular-nums\"",
            Self::Note => "font-size=\"11.5\"",
            Self::Code => {
                "font-size=\"13\" font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\""
            }
        }
    }

    fn paint(self) -> Paint {
        if self == Self::Note { Paint::Muted } else { Paint::Ink }
    }
}

/// Which end of a text its coordinate names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A piece of SVG with its size.
#[derive(Debug, Clone)]
pub(crate) struct Fragment {
    body: String,
    width: f64,
    height: f64,
}

impl Fragment {
    pub(crate) fn new(width: f64) -> Self {
        Self { body: String::new(), width, height: 0.0 }
    }

    /// Makes room below.
    pub(crate) fn grow(&mut self, height: f64) {
        self.height += height;
    }

    pub(crate) fn width(&self) -> f64 {
        self.width
    }

    pub(crate) fn height(&self) -> f64 {
        self.height
    }

    /// Appends another fragment below, after a gap.
    pub(crate) fn stack(&mut self, gap: f64, other: Fragment) {
        let y = self.height + gap;
        self.put(0.0, y, &other);
        self.height = y + other.height;
    }

    /// Places another fragment without changing this one's size.
    pub(crate) fn put(&mut self, x: f64, y: f64, other: &Fragment) {
        let _ = writeln!(self.body, "<g transform=\"translate({} {})\">\n{}</g>", c(x), c(y), other.body);
    }

    pub(crate) fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, paint: Paint) {
        self.rect_round(x, y, width, height, 0.0, paint, "");
    }

    /// A rectangle with round corners and a tooltip.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn rect_round(
        &mut self,
        x: f64,
        y: f64,
        width: f64,
        height: f64,
        radius: f64,
        paint: Paint,
        tooltip: &str,
    ) {
        if !(width > 0.0 && height > 0.0) {
            return;
        }
        // Square cells touch their neighbours; smoothing their edges would draw hairlines between them.
        let radius = match radius > 0.0 {
            true => format!(" rx=\"{}\"", c(radius)),
            false => " shape-rendering=\"crispEdges\"".to_string(),
        };
        let _ = write!(
            self.body,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"{radius} {}",
            c(x),
            c(y),
            c(width),
            c(height),
            paint.attribute("fill")
        );
        self.close("rect", tooltip);
    }

    fn close(&mut self, element: &str, tooltip: &str) {
        let _ = match tooltip {
            "" => writeln!(self.body, "/>"),
            text => writeln!(self.body, "><title>{}</title></{element}>", escape(text)),
        };
    }

    /// An unfilled frame.
    pub(crate) fn frame(&mut self, x: f64, y: f64, width: f64, height: f64) {
        let _ = writeln!(
            self.body,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" {}/>",
            c(x),
            c(y),
            c(width),
            c(height),
            Paint::Line.attribute("stroke")
        );
    }

    pub(crate) fn line(&mut self, x1: f64, y1: f64, x2: f64, y2: f64, paint: Paint, width: f64) {
        let _ = writeln!(
            self.body,
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke-width=\"{}\" {}/>",
            c(x1),
            c(y1),
            c(x2),
            c(y2),
            c(width),
            paint.attribute("stroke")
        );
    }

    /// A line through points; points that are not finite break it.
    pub(crate) fn path(&mut self, points: &[(f64, f64)], paint: Paint, width: f64) {
        let mut data = String::new();
        let mut down = false;
        for (x, y) in points {
            if !(x.is_finite() && y.is_finite()) {
                down = false;
                continue;
            }
            let _ = write!(data, "{}{} {}", if down { "L" } else { "M" }, c(*x), c(*y));
            down = true;
        }
        let _ = writeln!(
            self.body,
            "<path d=\"{data}\" fill=\"none\" stroke-width=\"{}\" stroke-linejoin=\"round\" {}/>",
            c(width),
            paint.attribute("stroke")
        );
    }

    /// A filled shape through which what lies below is seen.
    pub(crate) fn area(&mut self, corners: &[(f64, f64)], paint: Paint, opacity: f64) {
        let points: Vec<String> = corners.iter().map(|(x, y)| format!("{},{}", c(*x), c(*y))).collect();
        let _ = writeln!(
            self.body,
            "<polygon points=\"{}\" fill-opacity=\"{}\" {}/>",
            points.join(" "),
            c(opacity),
            paint.attribute("fill")
        );
    }

    /// A dashed line through points.
    pub(crate) fn path_dashed(&mut self, points: &[(f64, f64)], paint: Paint, width: f64) {
        self.body.push_str("<g stroke-dasharray=\"4 3\">\n");
        self.path(points, paint, width);
        self.body.push_str("</g>\n");
    }

    /// A filled shape with a tooltip.
    pub(crate) fn polygon(&mut self, corners: &[(f64, f64)], paint: Paint, tooltip: &str) {
        let points: Vec<String> = corners.iter().map(|(x, y)| format!("{},{}", c(*x), c(*y))).collect();
        let _ = write!(self.body, "<polygon points=\"{}\" {}", points.join(" "), paint.attribute("fill"));
        self.close("polygon", tooltip);
    }

    /// Text that rises to the right from its start, for names of narrow columns.
    pub(crate) fn text_rising(&mut self, x: f64, y: f64, style: Style, text: &str) {
        let _ = writeln!(
            self.body,
            "<text transform=\"translate({} {}) rotate(-50)\" {} {} xml:space=\"preserve\">{}</text>",
            c(x),
            c(y),
            style.attributes(),
            style.paint().attribute("fill"),
            escape(text)
        );
    }

    pub(crate) fn circle(&mut self, x: f64, y: f64, radius: f64, paint: Paint, tooltip: &str) {
        let _ = write!(
            self.body,
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" {}",
            c(x),
            c(y),
            c(radius),
            paint.attribute("fill")
        );
        self.close("circle", tooltip);
    }

    /// An unfilled circle with a dashed outline.
    pub(crate) fn ring(&mut self, x: f64, y: f64, radius: f64, paint: Paint, tooltip: &str) {
        let _ = write!(
            self.body,
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"none\" pointer-events=\"all\" stroke-width=\"1.5\" \
             stroke-dasharray=\"3 2\" {}",
            c(x),
            c(y),
            c(radius),
            paint.attribute("stroke")
        );
        self.close("circle", tooltip);
    }

    /// Begins the dot of type `number`, which can be reached by the keyboard.
    pub(crate) fn open_dot(&mut self, number: usize) {
        let _ = writeln!(self.body, "<g class=\"y{number}\" tabindex=\"0\">");
    }

    /// Ends it.
    pub(crate) fn close_dot(&mut self) {
        self.body.push_str("</g>\n");
    }

    /// Text on its baseline.
    pub(crate) fn text(&mut self, x: f64, y: f64, style: Style, anchor: Anchor, text: &str) {
        self.text_painted(x, y, style, anchor, style.paint(), text);
    }

    /// Text shortened to a width in pixels; the full text becomes its tooltip.
    pub(crate) fn text_fitted(
        &mut self,
        x: f64,
        y: f64,
        width: f64,
        style: Style,
        anchor: Anchor,
        text: &str,
    ) {
        let columns = (width / style.advance()).floor().max(1.0) as usize;
        let short = shorten(text, columns);
        self.text(x, y, style, anchor, &short);
        if short != text && self.body.ends_with("</text>\n") {
            self.body.truncate(self.body.len() - "</text>\n".len());
            let _ = writeln!(self.body, "<title>{}</title></text>", escape(text));
        }
    }

    pub(crate) fn text_painted(
        &mut self,
        x: f64,
        y: f64,
        style: Style,
        anchor: Anchor,
        paint: Paint,
        text: &str,
    ) {
        if text.is_empty() {
            return;
        }
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let _ = writeln!(
            self.body,
            "<text x=\"{}\" y=\"{}\" {}{anchor} {} xml:space=\"preserve\">{}</text>",
            c(x),
            c(y),
            style.attributes(),
            paint.attribute("fill"),
            escape(text)
        );
    }

    /// Text of a fixed-width font on its baseline, made to fit a width.
    pub(crate) fn text_stretched(&mut self, x: f64, y: f64, width: f64, paint: Paint, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        let _ = writeln!(
            self.body,
            "<text x=\"{}\" y=\"{}\" textLength=\"{}\" lengthAdjust=\"spacingAndGlyphs\" {} {} xml:space=\"preserve\">{}</text>",
            c(x),
            c(y),
            c(width),
            Style::Code.attributes(),
            paint.attribute("fill"),
            escape(text)
        );
    }

    /// A picture given as PNG bytes.
    pub(crate) fn picture(&mut self, x: f64, y: f64, width: f64, height: f64, png: &[u8], alt: &str) {
        let _ = writeln!(
            self.body,
            "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" \
             style=\"image-rendering:pixelated\" href=\"{}\"><title>{}</title></image>",
            c(x),
            c(y),
            c(width),
            c(height),
            data_uri(png),
            escape(alt)
        );
    }

    /// A standalone file with a white background.
    pub(crate) fn document(&self, margin: f64, title: &str) -> String {
        let (width, height) = (self.width + 2.0 * margin, self.height + 2.0 * margin);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" role=\"img\" \
             font-family=\"{FONT}\">\n<title>{2}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
             <g transform=\"translate({3} {3})\">\n{4}</g>\n</svg>\n",
            c(width),
            c(height),
            escape(title),
            c(margin),
            self.body
        )
    }

    /// An element for an HTML page, which scales down with its column and never up.
    pub(crate) fn inline(&self, label: &str) -> String {
        format!(
            "<svg class=\"chart\" viewBox=\"0 0 {0} {1}\" style=\"max-width:{0}px\" role=\"img\" aria-label=\"{2}\">\n{3}</svg>",
            c(self.width),
            c(self.height),
            escape(label),
            self.body
        )
    }
}

/// Sans-serif fonts that machines have; the report loads none.
const FONT: &str = "system-ui, 'Segoe UI', 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif";

/// PNG bytes as a data URI.
pub(crate) fn data_uri(png: &[u8]) -> String {
    use base64::Engine;
    format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(png))
}

/// A coordinate with at most two decimals; a value that is not finite would make a file unreadable and becomes 0.
fn c(value: f64) -> String {
    if !value.is_finite() {
        return "0".into();
    }
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_short_and_always_readable() {
        assert_eq!(
            (c(1.0), c(0.126), c(-0.001), c(f64::NAN)),
            ("1".into(), "0.13".into(), "0".into(), "0".into())
        );
    }

    #[test]
    fn text_is_escaped_everywhere() {
        let mut fragment = Fragment::new(100.0);
        fragment.text_fitted(0.0, 0.0, 30.0, Style::Label, Anchor::Start, "<script>alert(1)</script>");
        fragment.rect_round(0.0, 0.0, 1.0, 1.0, 0.0, Paint::Ink, "<b>");
        let svg = fragment.document(0.0, "<i>");
        assert!(!svg.contains("<script") && !svg.contains("<b>") && !svg.contains("<i>"), "{svg}");
    }
}
