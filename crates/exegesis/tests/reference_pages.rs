//! The pages of `docs/reference` say what the code says: `methods.md` and `metrics.md` what the catalogues do, `operators.md` what the
//! recorded cases of ONNX come to. `EXEGESIS_UPDATE_DOCS=1 cargo test -p exegesis --test reference_pages` writes them anew.

mod conformance;

use std::fmt::Write;

use exegesis::Method;
use exegesis::metrics::{Direction, catalogue};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference");

/// Compares a page with the one that is checked in, after writing it if that is asked for.
fn check(name: &str, page: &str) {
    let path = format!("{FOLDER}/{name}");
    if std::env::var_os("EXEGESIS_UPDATE_DOCS").is_some() {
        std::fs::write(&path, page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written == page, "run with EXEGESIS_UPDATE_DOCS=1 to write docs/reference/{name} anew");
}

fn methods() -> String {
    let mut page = String::from(
        "# Methods\nEvery method explains one scalar per row: the seeded score of the target. Written by a test from the \
         catalogue that `exegesis methods NAME` prints; [the gallery](gallery.md) shows all of them side by side.\n\n\
         | method | cost | sign | compares with a baseline | has a ledger |\n|---|---|---|---|---|\n",
    );
    for info in Method::catalogue() {
        let method = Method::parse(info.name).unwrap();
        let mark = |yes: bool| if yes { "yes" } else { "" };
        writeln!(
            page,
            "| [`{0}`](#{0}) | {1} | {2} | {3} | {4} |",
            info.name,
            info.cost,
            if method.is_signed() { "for and against" } else { "none" },
            mark(method.has_baseline()),
            mark(method.is_relevance())
        )
        .unwrap();
    }
    for method in Method::catalogue() {
        write!(
            page,
            "\n## `{}`\n{}\n\n- **Formula**: `{}`\n- **Cost**: {}\n- **When it misleads**: {}\n- **Source**: {}\n",
            method.name, method.summary, method.formula, method.cost, method.misleads, method.citation
        )
        .unwrap();
        let pictures = ["photograph", "sentence"].map(|what| format!("methods/{}-{what}.png", method.name));
        let there: Vec<&String> = pictures
            .iter()
            .filter(|p| std::path::Path::new(&format!("{FOLDER}/../images/{p}")).exists())
            .collect();
        assert!(!there.is_empty(), "`{}` has no picture: see docs/images/record_methods.py", method.name);
        for parameter in method.parameters {
            writeln!(
                page,
                "- **Parameter** `{}` = {} (default {}): {}",
                parameter.name, parameter.values, parameter.default, parameter.doc
            )
            .unwrap();
        }
        for picture in there {
            write!(page, "\n![{} of a {}](../images/{picture})\n", method.name, subject(picture)).unwrap();
        }
    }
    page
}

fn subject(picture: &str) -> &str {
    if picture.contains("photograph") { "photograph" } else { "sentence" }
}

fn metrics() -> String {
    let mut page = String::from(
        "# Metrics\nEvery metric judges the map of one method for one sample; `exegesis compare` runs them. ↑: higher is better, ↓: \
         lower. Written by a test from the catalogue that `exegesis metrics NAME` prints; what the numbers are worth is said in \
         [which explanation is better](../explanation/comparisons.md).\n\n\
         | metric | | about | data | model calls |\n|---|---|---|---|---|\n",
    );
    let arrow = |direction| if direction == Direction::Up { "↑" } else { "↓" };
    let entries: Vec<_> = catalogue().into_iter().map(|entry| entry.info).collect();
    for info in &entries {
        let data: Vec<&str> = info.modalities.iter().map(|m| m.name()).collect();
        let (name, family) = (info.name, info.family.name());
        let direction = arrow(info.direction);
        writeln!(
            page,
            "| [`{name}`](#{name}) | {direction} | {family} | {} | {} |",
            data.join(", "),
            info.cost
        )
        .unwrap();
    }
    for info in &entries {
        write!(
            page,
            "\n## `{}`\n{} {}\n\n- **Definition** ({}, version {}): `{}`\n- **Analytic check**: {}\n- **When it misleads**: {}\n\
             - **Source**: {}\n",
            info.name,
            arrow(info.direction),
            info.summary,
            info.id,
            info.version,
            info.formula,
            info.check,
            info.misleads,
            info.citation
        )
        .unwrap();
        for parameter in info.parameters {
            writeln!(
                page,
                "- **Option** `{}` = {} (default {}): {}",
                parameter.name, parameter.values, parameter.default, parameter.doc
            )
            .unwrap();
        }
    }
    page
}

#[test]
fn the_page_of_metrics_is_that_of_the_catalogue() {
    check("metrics.md", &metrics());
}

#[test]
fn the_page_of_methods_is_that_of_the_catalogue() {
    check("methods.md", &methods());
}

/// Catches a case that is read, written, run or differentiated to other numbers than recorded, a refusal without a known
/// reason, and an operator that loses (or gains) support without a word in the documentation.
#[test]
fn the_page_of_operators_is_what_the_recorded_cases_come_to() {
    let Some(survey) = conformance::Survey::run() else { return };
    assert!(survey.failures.is_empty(), "{} fail:\n{}", survey.failures.len(), survey.failures.join("\n"));
    check("operators.md", &survey.page());
}
