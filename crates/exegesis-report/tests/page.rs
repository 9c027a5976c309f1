//! Properties of the HTML page and the terminal text that hold whatever a report contains.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use exegesis_report::*;
use proptest::prelude::*;

/// A report in which every text field is the same hostile text.
fn hostile(text: &str) -> Report {
    let t = || text.to_string();
    let rows = common::views().into_iter().map(|(_, mut view, shape)| {
        match &mut view {
            InputView::Tokens { texts, .. } => *texts = Some(vec![t(); 3]),
            InputView::Columns { names, values } => (*names, *values) = (vec![t(); 3], vec![t(); 3]),
            InputView::Series { channels, .. } => *channels = vec![t()],
            _ => {}
        }
        let mut row = common::row(view, &shape, &[1.0, -1.0, 0.5]);
        (row.name, row.inputs[0].name, row.warnings) = (t(), t(), vec![t()]);
        let prediction = &mut row.prediction;
        (prediction.task, prediction.output_name, prediction.target) = (t(), t(), t());
        prediction.top[0].label = Some(t());
        let method = &mut row.methods[0];
        (method.name, method.parameters, method.warnings) = (t(), vec![(t(), t())], vec![t()]);
        let point = ScatterPoint { label: t(), x: 1.0, y: 2.0 };
        method.scatter = Some(Scatter { x_label: t(), y_label: t(), points: vec![point] });
        if let Some(ledger) = &mut method.ledger {
            ledger.absorbed[0].0 = t();
            (ledger.nodes[0].node, ledger.nodes[0].op, ledger.nodes[0].absorbed[0].0) = (t(), t(), t());
        }
        row
    });
    let tensor = || vec![TensorInfo { name: t(), dtype: t(), shape: vec![t()] }];
    Report {
        title: t(),
        model: ModelInfo {
            path: t(),
            sha256: t(),
            format: t(),
            producer: Some(t()),
            inputs: tensor(),
            outputs: tensor(),
        },
        rows: rows.collect(),
        tables: vec![Table { title: t(), columns: vec![t()], rows: vec![vec![t()], vec![]], note: t() }],
        provenance: Provenance {
            version: t(),
            runtime: t(),
            created: t(),
            details: vec![(t(), t())],
            ..Default::default()
        },
        warnings: vec![t()],
    }
}

/// Tag names of a page, in lower case.
fn tags(page: &str) -> Vec<String> {
    let names = page.split('<').skip(1);
    names
        .map(|rest| rest.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect())
        .collect()
}

const ATTACK: &str = "'\"><script>alert(1)</script><img src=x onerror=alert(1)>";

#[test]
fn markup_in_any_field_stays_text() {
    let page = render_html(&hostile(ATTACK));
    assert!(!tags(&page).iter().any(|tag| tag == "script"), "a script got in");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    for image in page.split("<img ").skip(1) {
        assert!(image.starts_with("class=\"") && image.contains("src=\"data:image/png;base64,"));
    }
    for row in &hostile(ATTACK).rows {
        let svg = render_svg(row, &SvgOptions::default()).unwrap();
        assert!(!tags(&svg).iter().any(|tag| tag == "script" || tag == "img"));
    }
}

#[test]
fn the_page_loads_nothing() {
    let page = render_html(&common::report(hostile("plain").rows));
    for forbidden in ["http://", "https://", "<script", "<link", "@import", "url(", "<iframe", "onload="] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn the_page_holds_what_an_auditor_looks_for() {
    let (_, view, shape) = common::views().remove(0);
    let mut report = common::report(vec![common::row(view, &shape, &[0.5, 0.0, -0.25])]);
    report.warnings.push("Read this first.".into());
    let page = render_html(&report);
    let hash = report.model.sha256.as_str();
    for needed in
        [hash, "rten, cpu", "exegesis 0.1.0", "Random seed", "1.50 s", "+1.250", "+1.500", "-0.250", "16.7%"]
    {
        assert!(page.contains(needed), "{needed} is missing");
    }
    assert!(page.find("Read this first.") < page.find("<h2>"), "warnings come first");
    assert!(page.contains("reached the inputs") && page.contains("/fc/Gemm"));
}

#[test]
fn an_attribution_that_does_not_fit_is_named_on_the_page() {
    let view = InputView::Tokens { ids: vec![1, 2], texts: None };
    let page = render_html(&common::report(vec![common::row(view, &[3], &[1.0; 3])]));
    assert!(page.contains("the input has 2 tokens"));
}

#[test]
fn reports_survive_a_round_trip_through_json() {
    let report = hostile(ATTACK);
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    // Files written before a field existed still load.
    assert_eq!(serde_json::from_str::<Report>("{}").unwrap(), Report::default());
}

#[test]
fn plain_terminal_text_has_no_escape_sequences() {
    let report = hostile("\u{1b}[2J\u{202e}evil\r\n");
    let plain = render_terminal(&report, &TerminalOptions::default());
    assert!(!plain.contains(['\u{1b}', '\r', '\u{202e}']));
    let options = TerminalOptions { color: ColorChoice::Ansi, ..Default::default() };
    let colored = render_terminal(&report, &options);
    assert!(colored.contains("\u{1b}[1m") && !colored.contains("\u{1b}[2J"));
}

/// Display width as terminals count it.
fn widest(text: &str) -> usize {
    text.lines().map(unicode_width::UnicodeWidthStr::width).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_text_gives_balanced_pages_and_lines_within_the_width(text in "\\PC{0,60}", width in 0usize..200) {
        let report = hostile(&text);
        let lines = render_terminal(&report, &TerminalOptions { width, ..Default::default() });
        prop_assert!(widest(&lines) <= width.clamp(40, 100), "{}", lines);
        let page = render_html(&report);
        for tag in ["div", "section", "article", "table", "figure", "svg", "g", "p", "ul", "dl"] {
            let names = tags(&page);
            let open = names.iter().filter(|name| *name == tag).count();
            prop_assert_eq!(open % 2, 0, "<{}> is not closed", tag);
        }
    }

    #[test]
    fn any_values_draw(values in prop::array::uniform3(any::<f32>())) {
        for (_, view, shape) in common::views() {
            let row = common::row(view, &shape, &values);
            prop_assert!(render_svg(&row, &SvgOptions::default()).is_ok());
            let small = PngOptions { panel: 64, ..Default::default() };
            prop_assert!(render_png(&row, &small).is_ok());
        }
    }
}
