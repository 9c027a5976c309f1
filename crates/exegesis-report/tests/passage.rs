//! Texts with their tokens, and the plane of value and importance.
//!
//! What this would catch: text that is lost, doubled or coloured at other places than its tokens, markup that gets in,
//! dots and words that are not linked, a fit that is worse than plain weights and does not say so.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
mod common;

use exegesis_report::*;
use proptest::prelude::*;

fn text(parts: &[(&str, TokenKind)]) -> TextView {
    let mut text = String::new();
    let mut tokens = vec![];
    for (id, (part, kind)) in parts.iter().enumerate() {
        let name = part.trim().to_string();
        let start = text.len() + part.len() - part.trim_start().len();
        if *kind == TokenKind::Text {
            text.push_str(part);
        }
        let (start, end) = if *kind == TokenKind::Text { (start, text.len()) } else { (0, 0) };
        tokens.push(TextToken { id: id as i64, name, start, end, word: None, kind: *kind });
    }
    TextView { text, tokens }
}

fn sample() -> RowReport {
    use TokenKind::{Padding, Special, Text};
    let parts = [
        ("[CLS]", Special),
        ("A", Text),
        (" dull", Text),
        (" <b>film", Text),
        (" 😀", Text),
        ("!", Text),
        ("[SEP]", Special),
    ];
    let mut view = text(&parts);
    view.text.push_str(" \n(cut)");
    view.tokens.push(TextToken { kind: Padding, name: "[PAD]".into(), ..Default::default() });
    let mut row = common::row(InputView::Text(view), &[8], &[0.0, 0.1, -2.0, 0.5, 1.0, 0.25, 0.0, 0.0]);
    let kind = |label: &str, at: usize, value: f64, importance: f64| PlaneType {
        label: label.into(),
        positions: vec![at],
        count: 1,
        value,
        importance,
        se_value: Some(0.1),
        se_importance: Some(0.2),
        weight: 0.2,
        contribution: 0.2 * value,
        is_identified: at != 5,
    };
    row.methods[0].plane = Some(Plane {
        types: vec![
            kind("A", 1, 0.5, -1.0),
            kind("dull", 2, -4.0, 1.5),
            kind("<b>film", 3, 2.5, 0.0),
            kind("😀", 4, 3.0, 0.4),
            kind("!", 5, 1.0, -0.9),
        ],
        quality: Some(PlaneQuality {
            slalom: Some(0.4),
            linear: Some(0.6),
            constant: Some(-0.01),
            held_out: 75,
        }),
    });
    row.methods[0].evidence = vec![("players".into(), "5".into()), ("model rows".into(), "500".into())];
    row
}

/// The text of a page's passage without its tags.
fn passage(page: &str) -> String {
    let from = page.find("<p class=\"tokens passage\">").unwrap();
    let part = &page[from..from + page[from..].find("</p>").unwrap()];
    let mut text = String::new();
    let mut rest = part;
    while let Some(open) = rest.find('<') {
        text.push_str(&rest[..open]);
        rest = &rest[open + rest[open..].find('>').unwrap() + 1..];
    }
    text + rest
}

#[test]
fn the_page_holds_the_text_as_it_was_written() {
    let page = render_html(&common::report(vec![sample()]));
    assert_eq!(passage(&page), "[CLS] A dull &lt;b&gt;film 😀! [SEP] \n(cut)");
    assert!(page.contains("title=\"dull (id 2, position 2): -2\""));
    assert!(page.contains("class=\"pos special\"") && !page.contains("[PAD]"));
}

#[test]
fn dots_words_and_lines_of_the_table_are_linked_without_a_script() {
    let page = render_html(&common::report(vec![sample(), sample()]));
    for part in
        ["span class=\"neg y1\" tabindex=\"0\"", "<g class=\"y1\" tabindex=\"0\">", "<tr class=\"y1\">"]
    {
        assert_eq!(page.matches(part).count(), 2, "{part}");
    }
    // Each card has its own rules, so that a word does not light up dots of another row.
    for scope in ["plane-0-0", "plane-1-0"] {
        assert_eq!(page.matches(&format!("class=\"card {scope}\"")).count(), 1);
        assert!(page.contains(&format!(".{scope}:has(.y1:hover,.y1:focus) span.y1")));
    }
    assert!(!page.contains("<script") && page.contains("default-src 'none'"));
    assert!(page.contains("<tr class=\"y4 unsure\">"), "what is not identified is marked");
}

#[test]
fn a_fit_that_is_no_better_than_weights_says_so_everywhere() {
    let row = sample();
    let said = "A linear surrogate predicts held-out scores better than SLALOM does";
    assert!(render_html(&common::report(vec![row.clone()])).contains(said));
    assert!(render_svg(&row, &SvgOptions::default()).unwrap().contains(said));
    let text = render_terminal(&common::report(vec![row]), &TerminalOptions::default());
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(joined.contains(said) && joined.contains("players 5, model rows 500"), "{text}");
    let quality = |slalom| PlaneQuality { slalom, linear: Some(0.1), ..Default::default() }.sentence();
    assert!(quality(Some(-0.1)).contains("do not rank"));
    assert!(quality(Some(0.5)).contains("at least as well"));
    assert!(quality(None).contains("can't be said"));
}

#[test]
fn figures_show_words_and_dots() {
    let svg = render_svg(&sample(), &SvgOptions::default()).unwrap();
    assert!(
        svg.contains(">dull</text>") && svg.contains("value -4 ± 0.10") && svg.contains("stroke-dasharray")
    );
    assert!(!svg.contains("tabindex"), "a figure has no keyboard");
    let plain =
        RowReport { methods: vec![MethodReport { plane: None, ..sample().methods[0].clone() }], ..sample() };
    let size = |row| render_png(&row, &PngOptions::default()).unwrap().len();
    assert!(size(sample()) > size(plain));
}

#[test]
fn terminals_with_colours_show_the_text() {
    let options = TerminalOptions { color: ColorChoice::Ansi, ..Default::default() };
    let text = render_terminal(&common::report(vec![sample()]), &options);
    assert!(text.contains("mdull\u{1b}[0m") && text.contains("(cut)"), "{text}");
}

#[test]
fn terminal_of_a_text() {
    insta::assert_snapshot!(render_terminal(&common::report(vec![sample()]), &TerminalOptions::default()));
}

proptest! {
    /// Any offsets, even such as no tokenizer gives.
    #[test]
    fn any_offsets_can_be_drawn(
        words in "\\PC{0,40}", spans in prop::collection::vec((0usize..60, 0usize..60, 0u8..3), 0..12)
    ) {
        let tokens: Vec<TextToken> = spans.iter().map(|(start, end, kind)| {
            let kind = [TokenKind::Text, TokenKind::Special, TokenKind::Padding][usize::from(*kind)];
            TextToken { start: *start, end: *end, kind, name: "x".into(), ..Default::default() }
        }).collect();
        let count = tokens.len();
        let row = common::row(InputView::Text(TextView { text: words, tokens }), &[count], &vec![1.0; count]);
        let _ = render_html(&common::report(vec![row.clone()]));
        let _ = render_svg(&row, &SvgOptions::default());
        let _ = render_png(&row, &PngOptions::default());
        let options = TerminalOptions { color: ColorChoice::Ansi, ..Default::default() };
        let _ = render_terminal(&common::report(vec![row]), &options);
    }
}
