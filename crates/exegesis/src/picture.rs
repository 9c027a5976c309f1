//! An explanation as the report crate draws it.

use exegesis_attribute::CHANNELS;
use exegesis_graph::Tensor;
use exegesis_report as report;
use exegesis_report::{ImageView, InputView, Layout, Polarity};

use crate::{Explanation, Input, Method, MethodResult, RowEvidence, SlalomRow};

/// Most rows that one page shows.
const MAX_ROWS: usize = 50;
/// A row of more numbers than this is drawn as a series.
const MAX_COLUMNS: usize = 64;

impl Explanation {
    /// The explanation as data for `exegesis-report`. Pages of very many rows show the first ones and say so.
    pub fn report(&self, title: &str) -> report::Report {
        let source = &self.provenance;
        let mut warnings = source.remarks.warnings.clone();
        if self.rows > MAX_ROWS {
            warnings.push(format!(
                "the first {MAX_ROWS} of {} rows are shown; save .npz or .safetensors for all",
                self.rows
            ));
        }
        report::Report {
            title: title.to_string(),
            model: report::ModelInfo {
                path: source.model.path.clone(),
                sha256: source.model.sha256.clone(),
                format: source.model.format.clone(),
                producer: source.model.producer.clone(),
                inputs: source.model_inputs.clone(),
                outputs: source.model_outputs.clone(),
            },
            rows: (0..self.rows.min(MAX_ROWS)).map(|row| self.report_row(row)).collect(),
            tables: Vec::new(),
            provenance: report::Provenance {
                version: source.version.clone(),
                runtime: source.runtime.clone(),
                seed: Some(source.seed),
                created: source.created.clone(),
                timings: report::Timings {
                    load_ms: Some(source.timings.load * 1e3),
                    compile_ms: Some(source.timings.compile * 1e3),
                    run_ms: Some(source.timings.run * 1e3),
                },
                details: source
                    .inputs
                    .iter()
                    .map(|i| {
                        (
                            format!("input {}", i.name),
                            format!("{} {:?}, sha256 {}", i.dtype, i.shape, i.sha256),
                        )
                    })
                    .chain(source.remarks.notes.iter().map(|note| ("note".to_string(), note.clone())))
                    .collect(),
            },
            warnings,
        }
    }

    /// A view whose tokens have texts, where these are known.
    fn named(&self, (mut view, layout): (InputView, Layout)) -> (InputView, Layout) {
        if let (InputView::Tokens { ids, texts }, Some(vocabulary)) = (&mut view, &self.vocabulary) {
            *texts = Some(vocabulary.texts(ids));
        }
        (view, layout)
    }

    /// One row of [`Explanation::report`].
    pub fn report_row(&self, row: usize) -> report::RowReport {
        let explained: Vec<&Input> = self
            .methods
            .first()
            .map(|m| m.values.iter().filter_map(|(name, _)| self.inputs.get(name)).collect())
            .unwrap_or_default();
        let views: Vec<(InputView, Layout)> =
            explained.iter().map(|input| self.named(view(input, row, self.rows))).collect();
        let tokens = token_names(&views);
        let prediction = self.predictions.get(row).cloned().unwrap_or_default();
        let inputs: Vec<(&str, Layout)> =
            explained.iter().zip(&views).map(|(input, (_, layout))| (input.name.as_str(), *layout)).collect();
        let methods = self.methods.iter().map(|method| method.report(&inputs, (row, self.rows), &tokens));
        report::RowReport {
            name: self.inputs.row_name(row),
            methods: methods.collect(),
            prediction: report::Prediction {
                task: self.task.to_string(),
                output_name: self.output.clone(),
                top: prediction.top,
                target: prediction.target,
                target_index: prediction.target_index,
            },
            inputs: explained
                .iter()
                .zip(views)
                .map(|(input, (view, _))| report::ReportInput { name: input.name.clone(), view })
                .collect(),
            warnings: Vec::new(),
        }
    }
}

impl MethodResult {
    /// What the method found for one row, as it is drawn: `inputs` are the explained inputs, `tokens` names of tokens.
    fn report(
        &self,
        inputs: &[(&str, Layout)],
        (row, rows): (usize, usize),
        tokens: &[String],
    ) -> report::MethodReport {
        let totals = self.totals.get(row);
        let (sum, expected) = totals.map_or((0.0, None), |t| (t.sum, t.expected));
        let is_of_places = Method::parse(&self.name).is_ok_and(|m| m.is_of_places());
        let drawn = |tensor: &Tensor, layout: Layout| {
            let (shape, values) = row_of(tensor, row, rows);
            let (shape, values) =
                if is_of_places { one_channel(shape, values, layout) } else { (shape, values) };
            report::Attribution { shape, values, layout }
        };
        let channels = self.channel_ledgers(row);
        let ledger = self.ledger.as_ref().filter(|_| channels.is_empty());
        let ledger = ledger.map(|table| table.row(row, expected.unwrap_or(sum), sum));
        let flow = |name: &str, ledger: &report::Ledger| {
            let blocks = self.structure.as_ref()?;
            let mut flow = blocks.flow(ledger, &relevance_of(&self.relevance, name), (row, rows), tokens);
            flow.channel = name.to_string();
            Some(flow)
        };
        let flows = match &ledger {
            Some(ledger) => flow("", ledger).into_iter().collect(),
            None => channels.iter().filter_map(|(name, ledger)| flow(name, ledger)).collect(),
        };
        let evidence = self.evidence.get(row);
        report::MethodReport {
            plane: evidence.and_then(|e| e.slalom.as_ref()).map(|slalom| plane(slalom, tokens)),
            evidence: evidence.map(facts).unwrap_or_default(),
            name: self.key.clone(),
            parameters: self.parameters.clone(),
            brief: self.brief_parameters(),
            attributions: inputs
                .iter()
                .filter_map(|(name, layout)| {
                    let (_, tensor) = self.values.iter().find(|(own, _)| own == name)?;
                    Some(drawn(tensor, *layout))
                })
                .collect(),
            channels: channels
                .into_iter()
                .enumerate()
                .map(|(side, (name, ledger))| report::ChannelReport {
                    name: name.to_string(),
                    polarity: if side == 0 { Polarity::For } else { Polarity::Against },
                    attributions: inputs
                        .iter()
                        .filter_map(|(input, layout)| {
                            let (_, pair) = self.channels.iter().find(|(own, _)| own == input)?;
                            Some(drawn(pair.get(side)?, *layout))
                        })
                        .collect(),
                    sum: ledger.reached,
                    ledger: self.ledger.is_some().then_some(ledger),
                })
                .collect(),
            polarity: if self.signed { Polarity::Signed } else { Polarity::Unsigned },
            sum,
            expected,
            // A ledger says where the difference went, which is more than a gap.
            gap: totals.and_then(|t| t.gap).filter(|_| self.ledger.is_none()),
            ledger,
            flows,
            warnings: self.substitutions.clone(),
            ..Default::default()
        }
    }

    /// Name and ledger of both channels of a row; nothing for methods without channels. Without a table, the ledger has
    /// totals only.
    pub(crate) fn channel_ledgers(&self, row: usize) -> Vec<(&'static str, report::Ledger)> {
        let Some(totals) = self.totals.get(row).and_then(|t| t.channels) else { return vec![] };
        let ledger = |(name, total): (&'static str, crate::ChannelTotals)| {
            let seed = total.seed.unwrap_or(total.sum);
            let ledger = match &self.ledger {
                Some(table) => table.channel_row(Some(name), row, seed, total.sum),
                None => report::Ledger { seed, reached: total.sum, ..Default::default() },
            };
            (name, ledger)
        };
        CHANNELS.into_iter().zip(totals).map(ledger).collect()
    }

    /// The first parameter and those that are not at their default.
    fn brief_parameters(&self) -> String {
        let defaults =
            Method::catalogue().iter().find(|m| m.name == self.name).map_or(&[][..], |m| m.parameters);
        let is_default =
            |key: &str, value: &str| defaults.iter().any(|p| p.name == key && p.default == value);
        let shown = self
            .parameters
            .iter()
            .enumerate()
            .filter(|(place, (key, value))| *place == 0 || !is_default(key, value))
            .map(|(_, (key, value))| format!("{key}={value}"));
        shown.collect::<Vec<_>>().join(", ")
    }
}

/// What speaks for the values of a method that asks the model.
fn facts(evidence: &RowEvidence) -> Vec<(String, String)> {
    let number = |value: f64| format!("{value:.4}");
    let mut facts = vec![
        ("players".to_string(), evidence.players.to_string()),
        ("model rows".to_string(), evidence.model_rows.to_string()),
    ];
    let more = [
        ("base value", evidence.base_value),
        ("R2", evidence.r_squared),
        ("largest standard error", evidence.largest_standard_error),
    ];
    facts.extend(more.into_iter().filter_map(|(name, value)| Some((name.to_string(), number(value?)))));
    facts
}

/// Values and importances as they are drawn; `tokens` are names of positions.
fn plane(slalom: &SlalomRow, tokens: &[String]) -> report::Plane {
    let fitted = &slalom.fitted;
    let mut types: Vec<report::PlaneType> = fitted
        .types
        .iter()
        .map(|t| report::PlaneType {
            count: t.count,
            value: t.value,
            importance: t.importance,
            se_value: t.se_value,
            se_importance: t.se_importance,
            weight: t.alpha,
            is_identified: t.is_value_identified && t.is_importance_identified,
            ..report::PlaneType::default()
        })
        .collect();
    for (player, positions) in slalom.positions.iter().enumerate() {
        let Some(kind) = fitted.type_of.get(player).and_then(|t| types.get_mut(*t)) else { continue };
        if kind.label.is_empty() {
            let name = |at: &usize| tokens.get(*at).cloned().unwrap_or_else(|| format!("position {at}"));
            kind.label = positions.iter().map(name).collect();
        }
        kind.positions.extend(positions);
        kind.contribution += fitted.contributions.get(player).copied().unwrap_or(0.0);
    }
    let quality = fitted.quality.map(|q| report::PlaneQuality {
        slalom: q.slalom,
        linear: q.linear,
        constant: q.constant,
        held_out: q.held_out,
    });
    report::Plane { types, quality }
}

/// Relevance of nodes in one channel, under the names of the nodes.
fn relevance_of(all: &[(String, Tensor)], channel: &str) -> Vec<(String, Tensor)> {
    if channel.is_empty() {
        return all.to_vec();
    }
    let prefix = format!("{channel}/");
    all.iter().filter_map(|(name, t)| Some((name.strip_prefix(&prefix)?.to_string(), t.clone()))).collect()
}

/// Names of the tokens, if one input consists of tokens.
fn token_names(views: &[(InputView, Layout)]) -> Vec<String> {
    let mut sequences = views.iter().filter_map(|(view, _)| match view {
        InputView::Tokens { ids, texts } => {
            Some(texts.clone().unwrap_or_else(|| ids.iter().map(ToString::to_string).collect()))
        }
        InputView::Text(text) => Some(text.tokens.iter().map(|token| token.name.clone()).collect()),
        _ => None,
    });
    match (sequences.next(), sequences.next()) {
        (Some(names), None) => names,
        _ => vec![],
    }
}

/// Shape and values of one row, without the batch axis.
fn row_of(tensor: &Tensor, row: usize, rows: usize) -> (Vec<usize>, Vec<f32>) {
    let values = tensor.to_f64().unwrap_or_default();
    let stride = values.len() / rows.max(1);
    let own = values.iter().skip(row * stride).take(stride).map(|v| *v as f32).collect();
    let shape = match tensor.shape() {
        [first, rest @ ..] if *first == rows => rest.to_vec(),
        all => all.to_vec(),
    };
    (if shape.is_empty() { vec![1] } else { shape }, own)
}

/// The first channel of a picture's map whose channels are all alike: pictures sum over channels.
fn one_channel(shape: Vec<usize>, values: Vec<f32>, layout: Layout) -> (Vec<usize>, Vec<f32>) {
    match (shape.as_slice(), layout) {
        (&[_, height, width], Layout::ChannelsFirst) => {
            (vec![height, width], values.into_iter().take(height * width).collect())
        }
        (&[height, width, channels], Layout::ChannelsLast) => {
            (vec![height, width], values.into_iter().step_by(channels.max(1)).collect())
        }
        _ => (shape, values),
    }
}

/// How a reader should see one row of an input, and where its channel axis is.
pub(crate) fn view(input: &Input, row: usize, rows: usize) -> (InputView, Layout) {
    let (shape, values) = row_of(&input.tensor, row, rows);
    let layout = match shape.as_slice() {
        [a, _, c] if *c <= 4 && *a > 4 => Layout::ChannelsLast,
        [a, b] if b < a => Layout::ChannelsLast,
        _ => Layout::ChannelsFirst,
    };
    if let Some(view) = input.views.get(row) {
        return (view.clone(), layout);
    }
    if !input.tensor.dtype().is_float() {
        let ids = values.iter().map(|v| *v as i64).collect();
        return match shape.len() {
            1 => (InputView::Tokens { ids, texts: None }, layout),
            _ => (InputView::Other { shape, values }, layout),
        };
    }
    let view = match (shape.as_slice(), layout) {
        ([c @ (1 | 3), h, w], Layout::ChannelsFirst) => picture(&values, *c, *h, *w, layout),
        ([h, w, c @ (1 | 3)], Layout::ChannelsLast) => picture(&values, *c, *h, *w, layout),
        ([n], _) if *n <= MAX_COLUMNS => {
            let names = (0..*n).map(|i| format!("column {i}")).collect();
            InputView::columns(names, &values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>())
        }
        ([n], _) => InputView::Series { channels: vec![input.name.clone()], length: *n, values },
        ([length, channels], Layout::ChannelsLast) => {
            let by_channel =
                (0..*channels).flat_map(|c| values.iter().skip(c).step_by(*channels).copied()).collect();
            series(*channels, *length, by_channel)
        }
        ([channels, length], Layout::ChannelsFirst) if *channels <= MAX_COLUMNS => {
            series(*channels, *length, values)
        }
        _ => InputView::Other { shape, values },
    };
    (view, layout)
}

fn series(channels: usize, length: usize, values: Vec<f32>) -> InputView {
    InputView::Series { channels: (0..channels).map(|c| format!("channel {c}")).collect(), length, values }
}

/// An array that looks like a picture, its range stretched to that of pixels.
pub(crate) fn picture(
    values: &[f32],
    channels: usize,
    height: usize,
    width: usize,
    layout: Layout,
) -> InputView {
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let span = if high > low { high - low } else { 1.0 };
    let pixel = |v: f32| ((v - low) / span * 255.0).round() as u8;
    let area = height * width;
    let at = |place: usize, channel: usize| match layout {
        Layout::ChannelsFirst => channel * area + place,
        Layout::ChannelsLast => place * channels + channel,
    };
    let pixels = (0..area)
        .flat_map(|place| (0..channels).map(move |channel| (place, channel)))
        .map(|(place, channel)| values.get(at(place, channel)).map_or(0, |v| pixel(*v)))
        .collect();
    InputView::Image(ImageView { width, height, channels, pixels })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(shape: &[usize]) -> (InputView, Layout) {
        let count = shape.iter().product();
        let tensor = Tensor::new(shape.to_vec(), (0..count).map(|i| i as f32).collect::<Vec<f32>>()).unwrap();
        view(&Input { name: "x".into(), tensor, views: vec![] }, 1, shape[0])
    }

    #[test]
    fn arrays_are_seen_as_what_they_look_like() {
        let (InputView::Image(image), Layout::ChannelsLast) = seen(&[2, 8, 9, 1]) else { panic!() };
        assert_eq!((image.width, image.height, image.pixels[71]), (9, 8, 255));
        assert!(matches!(seen(&[2, 3, 8, 9]), (InputView::Image(_), Layout::ChannelsFirst)));
        assert!(matches!(seen(&[2, 5]).0, InputView::Columns { .. }));
        let (InputView::Series { length, values, .. }, Layout::ChannelsLast) = seen(&[2, 3, 2]) else {
            panic!()
        };
        assert_eq!((length, values), (3, vec![6.0, 8.0, 10.0, 7.0, 9.0, 11.0]));
    }

    /// Catches class activation maps that are drawn three times as strong, or read across channels.
    #[test]
    fn maps_of_places_are_drawn_once() {
        let values: Vec<f32> = (0..12).map(|i| (i % 4) as f32).collect();
        let plane = (vec![2, 2], vec![0.0, 1.0, 2.0, 3.0]);
        assert_eq!(one_channel(vec![3, 2, 2], values, Layout::ChannelsFirst), plane);
        let values: Vec<f32> = (0..12).map(|i| (i / 3) as f32).collect();
        assert_eq!(one_channel(vec![2, 2, 3], values, Layout::ChannelsLast), plane);
        assert_eq!(one_channel(vec![2], vec![1.0, 2.0], Layout::ChannelsFirst), (vec![2], vec![1.0, 2.0]));
    }
}
