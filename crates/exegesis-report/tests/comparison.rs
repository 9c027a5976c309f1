//! Properties of the page and the terminal text of a comparison that hold whatever it contains.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use exegesis_report::*;
use proptest::prelude::*;

/// A comparison of `methods` methods and a control by `metrics` metrics of two families, in which every text is `text`.
fn comparison(methods: usize, metrics: usize, text: &str) -> ComparisonReport {
    let t = || text.to_string();
    let spread = |median: f64| RankSpread { median, low: median - 0.5, high: median + 0.5 };
    let method = |m: usize| ComparedMethod {
        name: format!("{text}{m}"),
        parameters: t(),
        is_control: m == methods,
        rank: (m < methods).then(|| spread(m as f64 + 1.0)),
        first: (m < methods).then_some(0.5),
        family_ranks: vec![(m < methods).then(|| spread(m as f64 + 1.0)); 2],
        seconds: (m < methods).then_some(0.01 * 10f64.powi(m as i32 % 4)),
        model_rows: (m == 1).then_some(128.0),
        peak_bytes: (m < methods).then_some(30_000_000),
    };
    let metric = |m: usize| ComparedMetric {
        name: format!("{text}metric{m}"),
        family: m % 2,
        is_up: !m.is_multiple_of(3),
        summary: t(),
        formula: t(),
        misleads: t(),
        parameters: t(),
        left_out: (m > 0 && m + 1 == metrics).then(t),
        ..Default::default()
    };
    let cell = |m: usize, x: usize| ComparedCell {
        mean: (x != 1 || m != 0).then_some(0.125 * m as f64 + x as f64),
        interval: Some((0.125 * m as f64 + x as f64 - 0.0625, 0.125 * m as f64 + x as f64 + 0.0625)),
        median: Some(0.0),
        n: 9,
        excluded: vec![(t(), 1)],
        rank: (m < methods).then_some(m as f64 + 1.0),
        beats_random: Some(m.is_multiple_of(2)),
    };
    let line = |m: usize| CurveLine {
        method: m,
        at: vec![0.0, 0.5, 1.0],
        mean: vec![1.0, 0.5, 0.125 * m as f64],
        low: vec![0.9, 0.4, 0.0],
        high: vec![1.0, 0.6, 0.25 + 0.125 * m as f64],
    };
    let (_, view, shape) = common::views().remove(0);
    ComparisonReport {
        title: t(),
        facts: vec![(t(), t())],
        verdict: vec![t(), format!("`{text}` {text}")],
        warnings: vec![t()],
        methods: (0..=methods).map(method).collect(),
        families: vec![ComparedFamily { name: t(), question: t(), concordance: Some(0.25) }; 2],
        metrics: (0..metrics).map(metric).collect(),
        cells: (0..=methods).map(|m| (0..metrics).map(|x| cell(m, x)).collect()).collect(),
        agreement: (0..metrics)
            .map(|a| (0..metrics).map(|b| Some(if a == b { 1.0 } else { -0.5 })).collect())
            .collect(),
        pairs: vec![ComparedPair {
            second: 1,
            difference: -1.0,
            p: 0.01,
            is_significant: true,
            ..Default::default()
        }],
        flips: vec![t()],
        curves: vec![ComparedCurves {
            title: t(),
            note: t(),
            x_label: t(),
            lines: (0..=methods).map(line).collect(),
        }],
        examples: vec![common::row(view, &shape, &[1.0, -1.0, 0.5])],
        provenance: vec![(t(), t())],
    }
}

const ATTACK: &str = "'\"><script>alert(1)</script><img src=x onerror=alert(1)>`";

/// Tag names of a page.
fn tags(page: &str) -> Vec<String> {
    let names = page.split('<').skip(1);
    names
        .map(|rest| rest.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect())
        .collect()
}

/// Catches any text that reaches the page unescaped, and any script, handler or address.
#[test]
fn the_page_runs_and_loads_nothing_whatever_names_are() {
    let page = render_comparison_html(&comparison(4, 6, ATTACK));
    assert!(!tags(&page).iter().any(|tag| tag == "script"), "a script got in");
    assert!(page.contains("default-src &#39;none&#39;") || page.contains("default-src 'none'"));
    for image in page.split("<img ").skip(1) {
        assert!(image.starts_with("class=\"") && image.contains("src=\"data:image/png;base64,"));
    }
    let plain = render_comparison_html(&comparison(4, 6, "plain"));
    for forbidden in ["http://", "https://", "<script", "<link", "@import", "url(", "<iframe", "onclick="] {
        assert!(!plain.contains(forbidden), "{forbidden}");
    }
}

/// The place of each row by each column is written down, so that the style sheet can sort.
#[test]
fn rows_know_their_place_in_the_order_of_every_column() {
    let mut report = comparison(3, 1, "");
    report.metrics[0].is_up = true;
    let means = [0.2, 0.9, 0.5, 0.7];
    for (of, mean) in report.cells.iter_mut().zip(means) {
        of[0].mean = Some(mean);
    }
    let page = render_comparison_html(&report);
    let table = page.split("id=\"t-0-1\"").nth(1).unwrap();
    let places: Vec<&str> =
        table.split("--o1:").skip(1).take(4).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(places, ["3", "0", "2", "1"], "higher is better");
    report.metrics[0].is_up = false;
    let page = render_comparison_html(&report);
    let table = page.split("id=\"t-0-1\"").nth(1).unwrap();
    let places: Vec<&str> =
        table.split("--o1:").skip(1).take(4).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(places, ["0", "3", "1", "2"], "lower is better");
}

#[test]
fn the_terminal_shows_means_intervals_ranks_and_marks() {
    let mut report = comparison(2, 1, "m");
    report.metrics[0].is_up = true;
    let text = render_comparison_terminal(&report, &TerminalOptions::default());
    for needed in ["mmetric0 ↑", "0.125  [0.06", "] 2~", "(m2)", "W 0.25", "not better than random", "! m"]
    {
        assert!(text.contains(needed), "{needed:?} is missing in\n{text}");
    }
}

#[test]
fn an_empty_comparison_is_a_page_all_the_same() {
    let page = render_comparison_html(&ComparisonReport::default());
    assert!(page.ends_with("</html>\n"));
    assert!(
        render_comparison_terminal(&ComparisonReport::default(), &TerminalOptions::default())
            .contains("rank")
    );
}

#[test]
fn comparisons_survive_a_round_trip_through_json() {
    let report = comparison(3, 4, ATTACK);
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<ComparisonReport>(&text).unwrap(), report);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_size_gives_balanced_pages_and_lines_within_the_width(
        methods in 1usize..14, metrics in 1usize..22, text in "\\PC{0,40}"
    ) {
        let report = comparison(methods, metrics, &text);
        let lines = render_comparison_terminal(&report, &TerminalOptions::default());
        let widest = lines.lines().map(unicode_width::UnicodeWidthStr::width).max().unwrap_or(0);
        prop_assert!(widest <= 100, "{widest}: {lines}");
        let page = render_comparison_html(&report);
        for tag in ["div", "section", "table", "tr", "td", "th", "details", "svg", "g", "p", "ul", "li", "dl", "label"] {
            let open = tags(&page).iter().filter(|name| *name == tag).count();
            prop_assert_eq!(open % 2, 0, "<{}> is not closed", tag);
        }
    }

    #[test]
    fn any_numbers_draw(values in prop::array::uniform8(any::<f64>())) {
        let mut report = comparison(4, 3, "x");
        report.cells[0][0].mean = Some(values[0]);
        report.cells[1][0].interval = Some((values[1], values[2]));
        report.methods[0].seconds = Some(values[3]);
        report.methods[1].rank = Some(RankSpread { median: values[4], low: values[5], high: values[6] });
        report.curves[0].lines[0].mean[1] = values[7];
        report.agreement[0][1] = Some(values[0]);
        let page = render_comparison_html(&report);
        prop_assert!(!page.contains("NaN") && !page.contains("=\"inf"), "coordinates that are none");
        render_comparison_terminal(&report, &TerminalOptions::default());
    }
}
