//! `docs/reference/coverage.md`: for every model at hand, the nodes between input and target and the rules of DLBacktrace and LRP
//! that they get. `EXEGESIS_UPDATE_DOCS=1 cargo test -p exegesis --test coverage` writes it anew.
//!
//! Graphs are built, nothing is run. What this would catch: a model that had a rule for every node and loses it, a refusal
//! that nobody knows of, a node that is passed through in silence.

mod coverage {
    pub mod models;
    pub mod survey;
}

use coverage::models;
use coverage::survey::Survey;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/coverage.md");

#[test]
fn the_page_of_coverage_is_what_the_models_come_to() {
    let mut survey = Survey::default();
    let mut absent = vec![];
    for model in models::all() {
        match model.open() {
            Some(opened) => survey.add(&model, &opened),
            None => absent.push(model.name),
        }
    }
    if !absent.is_empty() {
        let fetched = absent.iter().any(|name| *name != models::SHARED);
        let skip = std::env::var_os("EXEGESIS_SKIP_FIXTURES").is_some_and(|v| v == "1");
        assert!(
            skip || !fetched,
            "run `fixtures/fetch`, or set EXEGESIS_SKIP_FIXTURES=1; absent: {absent:?}"
        );
        eprintln!("not compared, as these are not there: {}", absent.join(", "));
        survey.compare_rows(&std::fs::read_to_string(PAGE).unwrap());
        return;
    }
    let page = survey.page();
    if std::env::var_os("EXEGESIS_UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, &page).unwrap();
    }
    let written = std::fs::read_to_string(PAGE).unwrap();
    survey.compare_rows(&written);
    assert!(written == page, "run with EXEGESIS_UPDATE_DOCS=1 to write docs/reference/coverage.md anew");
}
