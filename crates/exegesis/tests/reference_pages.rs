//! `docs/reference/methods.md` says what the code says. `EXEGESIS_UPDATE_DOCS=1 cargo test -p exegesis --test
//! reference_pages` writes it anew.

use std::fmt::Write;

use exegesis::Method;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/methods.md");

fn page() -> String {
    let mut page = String::from(
        "# Methods\nEvery method explains one scalar per row: the seeded score of the target. Written by a test from the \
         catalogue that `exegesis methods NAME` prints.\n",
    );
    for method in Method::catalogue() {
        write!(
            page,
            "\n## `{}`\n{}\n\n- **Formula**: `{}`\n- **Cost**: {}\n- **When it misleads**: {}\n- **Source**: {}\n",
            method.name, method.summary, method.formula, method.cost, method.misleads, method.citation
        )
        .unwrap();
        for parameter in method.parameters {
            writeln!(
                page,
                "- **Parameter** `{}` = {} (default {}): {}",
                parameter.name, parameter.values, parameter.default, parameter.doc
            )
            .unwrap();
        }
    }
    page
}

#[test]
fn the_page_of_methods_is_that_of_the_catalogue() {
    if std::env::var_os("EXEGESIS_UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, page()).unwrap();
    }
    let written = std::fs::read_to_string(PAGE).unwrap();
    assert_eq!(written, page(), "run with EXEGESIS_UPDATE_DOCS=1 to write docs/reference/methods.md anew");
}
