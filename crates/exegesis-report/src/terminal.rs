//! A short summary for people at a terminal. A pure function of the report; nothing is printed here.

use crate::color;
use crate::data::{
    InputView, Ledger, MethodReport, Plane, PlaneQuality, PlaneType, Prediction, Report, RowReport, TextView,
    TokenKind,
};
use crate::features::{self, Feature};
use crate::passage::lay_out;
use crate::prepare::{Prepared, prepare, prepare_channels};
use crate::reduce::{Map, Reduced};
use crate::scale::DEFAULT_PERCENTILE;
use crate::svg::completeness;
use crate::text::{
    aligned, aligned_signed, count, duration_ms, number, one_line, pad, pad_left, percent, shorten,
    shorten_middle, signed, width,
};

/// Whether the summary may contain ANSI colour codes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ColorChoice {
    /// No escape sequences at all.
    #[default]
    Plain,
    /// Red for positive, blue for negative, yellow for warnings, dim for notes.
    Ansi,
}

/// How the summary is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminalOptions {
    /// Colour codes or none.
    pub color: ColorChoice,
    /// Columns to fill; clamped to `40..=100`.
    pub width: usize,
    /// How many classes and how many features to list.
    pub top: usize,
}

impl Default for TerminalOptions {
    fn default() -> Self {
        Self { color: ColorChoice::Plain, width: 100, top: 5 }
    }
}

/// Summarises a report as text: prediction, target, methods with sum and gap, strongest features, ledger, provenance.
///
/// No line is wider than the option's width (at most 100 columns), colour codes not counted. Control characters in labels
/// and file names are replaced, so that a report cannot move the reader's cursor.
///
/// ```
/// use exegesis_report::*;
/// let report = Report { title: "Explanation of model.onnx".into(), ..Default::default() };
/// let text = render_terminal(&report, &TerminalOptions::default());
/// assert!(text.starts_with("Explanation of model.onnx\n"));
/// ```
pub fn render_terminal(report: &Report, options: &TerminalOptions) -> String {
    let width = options.width.clamp(40, 100);
    let mut page = Page { out: String::new(), width, color: options.color, top: options.top.max(1) };
    page.line(0, Tone::Strong, &one_line(&report.title));
    page.model(report);
    for warning in &report.warnings {
        page.warning(0, warning);
    }
    for row in &report.rows {
        page.blank();
        page.row(row);
    }
    for table in &report.tables {
        page.blank();
        page.table(table);
    }
    page.provenance(report);
    page.out
}

/// Meaning of a piece of text, for its colour.
#[derive(Clone, Copy, PartialEq)]
enum Tone {
    Plain,
    Strong,
    Dim,
    Warning,
    Positive,
    Negative,
}

struct Page {
    out: String,
    width: usize,
    color: ColorChoice,
    top: usize,
}

/// Most lines of a text.
const TEXT_LINES: usize = 12;
/// Nodes that are named as those where most stayed.
const LEAKS: usize = 3;
/// Width of the labels on the left of a row.
const LABEL: usize = 11;

impl Page {
    /// Columns for names, so that label, name and number fit even at the smallest width.
    fn name_width(&self) -> usize {
        (self.width / 3).min(self.width - 30).min(34)
    }

    fn blank(&mut self) {
        self.out.push('\n');
    }

    fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            _ if self.color == ColorChoice::Plain => return text.to_string(),
            Tone::Plain => return text.to_string(),
            Tone::Strong => "1",
            Tone::Dim => "2",
            Tone::Warning => "33",
            Tone::Positive => "31",
            Tone::Negative => "34",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// One line, shortened to the width.
    fn line(&mut self, indent: usize, tone: Tone, text: &str) {
        let text = shorten(text, self.width - indent);
        let text = self.paint(tone, &text);
        self.out += &format!("{}{text}\n", " ".repeat(indent));
    }

    /// Words wrapped under a hanging label.
    fn wrapped(&mut self, indent: usize, label: &str, tone: Tone, text: &str) {
        let hang = if label.is_empty() { 0 } else { width(label).max(LABEL) + 1 };
        let room = self.width - indent - hang;
        for (index, line) in wrap(text, room).iter().enumerate() {
            let head = if index == 0 { pad(label, hang) } else { " ".repeat(hang) };
            let text = self.paint(tone, line);
            self.out += &format!("{}{head}{text}\n", " ".repeat(indent));
        }
    }

    fn warning(&mut self, indent: usize, text: &str) {
        self.wrapped(indent, "warning", Tone::Warning, &one_line(text));
    }

    fn model(&mut self, report: &Report) {
        let model = &report.model;
        if model.path.is_empty() {
            return;
        }
        let hash = if model.sha256.is_empty() {
            String::new()
        } else {
            format!(", sha256 {}", shorten(&one_line(&model.sha256), 13))
        };
        let rest = format!(" ({}{hash})", one_line(&model.format));
        let room = self.width.saturating_sub(width(&rest)).max(20);
        self.line(0, Tone::Dim, &format!("{}{rest}", shorten_middle(&one_line(&model.path), room)));
    }

    fn row(&mut self, row: &RowReport) {
        let kinds: Vec<String> = row.inputs.iter().map(|input| input.view.summary()).collect();
        self.line(0, Tone::Strong, &format!("{}  ({})", one_line(&row.name), kinds.join("; ")));
        self.prediction(&row.prediction);
        for warning in &row.warnings {
            self.warning(2, warning);
        }
        for method in &row.methods {
            self.method(row, method);
        }
    }

    fn prediction(&mut self, prediction: &Prediction) {
        // Nine more columns hold the probability.
        let name_width = self.name_width().min(self.width - 36);
        let scores: Vec<f64> = prediction.top.iter().take(self.top).map(|class| class.score).collect();
        for (index, (class, score)) in prediction.top.iter().zip(aligned(&scores, 4)).enumerate() {
            let label = if index == 0 { "predicted" } else { "" };
            let name = match class.label {
                Some(_) => format!("{} [{}]", one_line(&class.display_name()), class.index),
                None => class.display_name(),
            };
            let mut line =
                format!("{} {} {}", pad(label, LABEL), pad(&name, name_width), pad_left(&score, 10));
            if let Some(p) = class.probability {
                line += &pad_left(&percent(p), 9);
                let room = self.width.saturating_sub(width(&line) + 5).min(24);
                line += &format!("  {}", bar(p, room));
            }
            let tone = if prediction.target_index == Some(class.index) { Tone::Strong } else { Tone::Plain };
            self.line(2, tone, line.trim_end());
        }
        if !prediction.target.is_empty() {
            self.wrapped(2, "explained", Tone::Plain, &one_line(&prediction.target));
        }
    }

    fn method(&mut self, row: &RowReport, method: &MethodReport) {
        let parameters = one_line(&method.parameter_line());
        self.line(2, Tone::Strong, format!("{}  {parameters}", one_line(&method.name)).trim_end());
        if method.adds_up() {
            self.wrapped(4, "sum", Tone::Plain, completeness(method).trim_start_matches("sum "));
        }
        for (index, input) in row.inputs.iter().enumerate() {
            let label = if row.inputs.len() > 1 { one_line(&input.name) } else { "strongest".into() };
            match prepare(row, method, index, DEFAULT_PERCENTILE) {
                Ok(item) => self.strongest(&label, &item),
                Err(error) => self.warning(4, &error.to_string()),
            }
            for (channel, part) in
                prepare_channels(row, method, index, DEFAULT_PERCENTILE).unwrap_or_default()
            {
                self.strongest(&one_line(&channel.name), &part);
            }
        }
        if let Some(plane) = &method.plane {
            self.plane(plane);
        }
        if !method.evidence.is_empty() {
            self.wrapped(4, "evidence", Tone::Plain, &one_line(&method.evidence_line()));
        }
        if let Some(ledger) = &method.ledger {
            self.wrapped(4, "ledger", Tone::Plain, &ledger_line(ledger));
        }
        for channel in &method.channels {
            if let Some(ledger) = &channel.ledger {
                let line = format!("{}: {}", one_line(&channel.name), ledger_line(ledger));
                self.wrapped(4, "ledger", Tone::Plain, &line);
            }
        }
        for warning in &method.warnings {
            self.warning(4, warning);
        }
    }

    /// The text itself, in colours, on terminals that have them.
    fn passage(&mut self, view: &TextView, item: &Prepared) {
        if self.color == ColorChoice::Plain {
            return;
        }
        let (placed, is_cut) = lay_out(view, self.width - 4, TEXT_LINES);
        let (mut text, mut line, mut column) = ("    ".to_string(), 0, 0);
        for piece in &placed {
            if piece.line > line {
                text.push_str(&format!("\n{}", " ".repeat(4)));
                (line, column) = (piece.line, 0);
            }
            text.push_str(&" ".repeat(piece.column.saturating_sub(column)));
            column = piece.column + width(&piece.text);
            let value: f64 = piece.tokens.iter().filter_map(|t| item.reduced.values().get(*t)).sum();
            let position = item.scale.position(value);
            match piece.tokens.is_empty() || position.abs() < 0.02 {
                true if piece.kind == TokenKind::Special => {
                    text.push_str(&self.paint(Tone::Dim, &piece.text))
                }
                true => text.push_str(&piece.text),
                false => {
                    let ground = color::map(item.scale.polarity(), position);
                    let ink = if ground.lightness() > 0.66 { 0 } else { 255 };
                    text.push_str(&format!(
                        "\u{1b}[38;2;{ink};{ink};{ink};48;2;{};{};{}m{}\u{1b}[0m",
                        ground.0, ground.1, ground.2, piece.text
                    ));
                }
            }
        }
        self.out += &text;
        self.out += if is_cut { " ...\n" } else { "\n" };
    }

    /// Value and importance of the types with the largest contributions, and how well the surrogate fits.
    fn plane(&mut self, plane: &Plane) {
        let listed: Vec<&PlaneType> =
            plane.ranked().into_iter().take(self.top).map(|at| &plane.types[at]).collect();
        let column = |name: &str, cells: Vec<String>| {
            let wide = cells.iter().map(|c| width(c)).max().unwrap_or(0).max(width(name));
            std::iter::once(name.to_string()).chain(cells).map(|c| pad_left(&c, wide)).collect::<Vec<_>>()
        };
        let numbers = |name: &str, of: &dyn Fn(&PlaneType) -> (f64, Option<f64>)| {
            column(name, crate::plane::column(listed.iter().map(|t| of(t))))
        };
        let columns = [
            numbers("value", &|t| (t.value, t.se_value)),
            numbers("importance", &|t| (t.importance, t.se_importance)),
            column("weight", listed.iter().map(|t| percent(t.weight)).collect()),
        ];
        let name_width = self.name_width().min(20);
        for row in 0..=listed.len() {
            let (label, name) = match row {
                0 => ("", String::new()),
                _ => ("", features::visible(&listed[row - 1].label)),
            };
            let cells: Vec<&str> = columns.iter().filter_map(|c| c.get(row)).map(String::as_str).collect();
            let unsure = row > 0 && !listed[row - 1].is_identified;
            let note = if unsure { "  hardly identified" } else { "" };
            let text = format!("{} {} {}{note}", pad(label, LABEL), pad(&name, name_width), cells.join("  "));
            self.line(4, if row == 0 || unsure { Tone::Dim } else { Tone::Plain }, text.trim_end());
        }
        if let Some(quality) = &plane.quality {
            let text = PlaneQuality::text;
            let line = format!(
                "R2 held out: SLALOM {}, linear {}, constant {}. {}",
                text(quality.slalom),
                text(quality.linear),
                text(quality.constant),
                quality.sentence()
            );
            self.wrapped(4, "fit", Tone::Plain, &line);
        }
    }

    fn strongest(&mut self, label: &str, item: &Prepared) {
        if let (InputView::Image(_), Reduced::Map(map)) = (&item.input.view, &item.reduced) {
            self.wrapped(4, label, Tone::Plain, &regions(map));
        } else {
            if let InputView::Text(view) = &item.input.view {
                self.passage(view, item);
            }
            let list = features::top(&item.input.view, &item.reduced, self.top);
            if list.is_empty() {
                self.wrapped(4, label, Tone::Plain, "nothing: all attributions are zero");
            }
            self.features(label, &list);
        }
        if item.scale.non_finite() > 0 {
            let numbers = count(item.scale.non_finite(), "attribution value");
            self.warning(4, &format!("{numbers} not finite, read as 0"));
        }
    }

    fn features(&mut self, label: &str, list: &[Feature]) {
        let largest = list.iter().map(|feature| feature.score.abs()).fold(0.0, f64::max);
        let name_width = self.name_width();
        let scores: Vec<f64> = list.iter().map(|feature| feature.score).collect();
        for (index, (feature, score)) in list.iter().zip(aligned_signed(&scores, 4)).enumerate() {
            let label = if index == 0 { shorten(label, LABEL) } else { String::new() };
            let name = format!("{} {}", feature.name, feature.note);
            let head = format!("{} {} {}", pad(&label, LABEL), pad(&name, name_width), pad_left(&score, 10));
            let room = self.width.saturating_sub(width(&head) + 6).min(24);
            let share = if largest > 0.0 { feature.score.abs() / largest } else { 0.0 };
            let tone = if feature.score < 0.0 { Tone::Negative } else { Tone::Positive };
            let bar = self.paint(tone, &bar(share, room));
            self.out += &format!("    {head}  {bar}\n");
        }
    }

    fn table(&mut self, table: &crate::data::Table) {
        if !table.title.is_empty() {
            self.line(0, Tone::Strong, &one_line(&table.title));
        }
        let cell =
            |row: &[String], column: usize| row.get(column).map(|text| one_line(text)).unwrap_or_default();
        let widths: Vec<usize> = (0..table.columns.len())
            .map(|c| {
                table
                    .rows
                    .iter()
                    .chain([&table.columns])
                    .map(|row| width(&cell(row, c)))
                    .max()
                    .unwrap_or(0)
                    .min(28)
            })
            .collect();
        for (index, row) in [&table.columns].into_iter().chain(&table.rows).enumerate() {
            let cells: Vec<String> = widths.iter().enumerate().map(|(c, w)| pad(&cell(row, c), *w)).collect();
            let tone = if index == 0 { Tone::Dim } else { Tone::Plain };
            self.line(2, tone, cells.join("  ").trim_end());
        }
        if !table.note.is_empty() {
            self.wrapped(2, "", Tone::Dim, &one_line(&table.note));
        }
    }

    fn provenance(&mut self, report: &Report) {
        let origin = &report.provenance;
        let mut parts: Vec<String> = [&origin.version, &origin.runtime]
            .into_iter()
            .filter(|text| !text.is_empty())
            .map(|t| one_line(t))
            .collect();
        parts.extend(origin.seed.map(|seed| format!("seed {seed}")));
        let timings = [
            ("load", origin.timings.load_ms),
            ("compile", origin.timings.compile_ms),
            ("run", origin.timings.run_ms),
        ];
        parts.extend(
            timings.iter().filter_map(|(name, ms)| ms.map(|ms| format!("{name} {}", duration_ms(ms)))),
        );
        if !parts.is_empty() {
            self.blank();
            self.wrapped(0, "", Tone::Dim, &parts.join(", "));
        }
    }
}

/// `seed 11.32 = 62.1% reached the inputs + 20.1% bias + ...; most in /conv (Conv, bias, 12.0%)`.
fn ledger_line(ledger: &Ledger) -> String {
    let share = |value: f64| ledger.share(value).map_or_else(|| number(value), percent);
    let mut parts = vec![format!("{} reached the inputs", share(ledger.reached))];
    parts.extend(
        ledger.absorbed.iter().map(|(class, value)| format!("{} {}", share(*value), one_line(class))),
    );
    if !ledger.balances() {
        parts.push(format!("{} not accounted for", share(ledger.unaccounted())));
    }
    let mut line = format!("seed {} = {}", number(ledger.seed), parts.join(" + "));
    let leaks: Vec<String> = ledger
        .top_absorbers(LEAKS)
        .iter()
        .map(|node| {
            let name = shorten_middle(&one_line(&node.node), 40);
            format!("{name} ({}, {})", one_line(&node.op), share(node.absorbed_total()))
        })
        .collect();
    if !leaks.is_empty() {
        line += &format!("; most in {}", leaks.join(", "));
    }
    line
}

/// Which ninth of the picture holds most of the magnitude, and where the strongest pixel is.
fn regions(map: &Map) -> String {
    const NAMES: [&str; 9] = [
        "upper left",
        "upper middle",
        "upper right",
        "middle left",
        "centre",
        "middle right",
        "lower left",
        "lower middle",
        "lower right",
    ];
    let mut sums = [0.0; 9];
    let mut peak: Option<(usize, f64)> = None;
    for (index, value) in
        map.values.iter().enumerate().filter(|(_, value)| value.is_finite() && **value != 0.0)
    {
        let (x, y) = (index % map.width, index / map.width);
        let ninth = (y * 3 / map.height.max(1)).min(2) * 3 + (x * 3 / map.width).min(2);
        sums[ninth] += value.abs();
        if peak.is_none_or(|(_, best)| value.abs() > best.abs()) {
            peak = Some((index, *value));
        }
    }
    let total: f64 = sums.iter().sum();
    let Some((index, value)) = peak else { return "nothing: all attributions are zero".into() };
    let best = (0..9).max_by(|a, b| sums[*a].total_cmp(&sums[*b])).unwrap_or(4);
    format!(
        "{} ({} of the magnitude); peak {} at x={}, y={}",
        NAMES[best],
        percent(sums[best] / total),
        signed(value),
        index % map.width,
        index / map.width
    )
}

/// A bar of eighth blocks; a share above zero shows at least the thinnest one.
fn bar(share: f64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let eighths = (share * columns as f64 * 8.0).round() as usize;
    let eighths = if share > 0.0 && columns > 0 { eighths.max(1) } else { eighths };
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// Breaks at spaces; longer words are shortened.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let word = shorten_middle(word, columns);
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(&word) <= columns => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}
