//! `docs/reference/operators.md`.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Survey;
use super::case::Class;
use super::probe::Rule;
use super::reason;

const INTRODUCTION: &str = "\
# Operators
Which operators are read, run, differentiated and explained. Written by a test from what it finds when it reads, writes, runs and
explains the node tests and the `light` networks of the `onnx` 1.17.0 package, and newer node tests in `testdata/onnx`.

- **read**: from opset 7 to 28, with exceptions: such a node is kept but not interpreted, as are operators that are not listed.
- **rten**: `native` runs as it is, `lowered` is replaced by an exact equivalent before, `refused` is an error that names the node.
- **gradient**, **relevance** (DLBacktrace): `yes` a signal goes back to the first real operand, `zero` it is zero everywhere,
  `refused` there is no rule (`--on-missing-rule` can substitute one), `-` no real number goes in and comes out. Gradients are
  compared with central differences. In brackets: conditions, with the number of nodes that met them.
- **cases**: recorded cases that hold the operator and run on rten with the recorded outputs, of those that hold it.
";

/// Whether a case counts.
type IsClass = fn(&Class) -> bool;

/// The page of a survey.
pub fn render(survey: &Survey) -> String {
    let mut page = INTRODUCTION.to_string();
    page.push_str(
        "\n## Cases\n| class | node tests | newer node tests | `light` networks |\n|---|--:|--:|--:|\n",
    );
    let classes: [(&str, IsClass); 6] = [
        ("native on rten", |c| matches!(c, Class::Native)),
        ("lowered for rten", |c| matches!(c, Class::Lowered)),
        ("read and computed by the reference, refused by rten", |c| matches!(c, Class::Refused(_))),
        ("read, with a node that is not interpreted", |c| matches!(c, Class::Opaque(..))),
        ("read, with data of a type that is not held", |c| matches!(c, Class::OtherData(_))),
        ("not read", |c| matches!(c, Class::NotRead(_))),
    ];
    let count = |set: &str, is: IsClass| {
        let classes = survey.classes.get(set).into_iter().flatten();
        classes.filter(|(class, _)| is(class)).map(|(_, names)| names.len()).sum::<usize>()
    };
    for (name, is) in classes {
        let [a, b, c] = ["node", "newer", "light"].map(|set| count(set, is));
        writeln!(page, "| {name} | {a} | {b} | {c} |").unwrap();
    }
    let [a, b, c] = ["node", "newer", "light"].map(|set| count(set, |_| true));
    writeln!(page, "| all | {a} | {b} | {c} |").unwrap();
    page.push_str(
        "\n## Vocabulary\n| operator | read | rten | gradient | relevance | cases |\n|---|---|---|---|---|--:|\n",
    );
    for (operator, row) in &survey.rows {
        let mut rten = vec![];
        if row.native > 0 {
            rten.push("native".to_string());
        }
        if !row.lowered.is_empty() {
            rten.push(format!("lowered ({})", row.lowered.keys().copied().collect::<Vec<_>>().join("; ")));
        }
        if !row.refused.is_empty() {
            rten.push(format!(
                "refused ({})",
                row.refused.keys().map(String::as_str).collect::<Vec<_>>().join("; ")
            ));
        }
        writeln!(
            page,
            "| {operator} | {} | {} | {} | {} | {}/{} |",
            escape(&read(survey, operator)),
            escape(&rten.join(", ")),
            rules(operator, &row.gradient),
            rules(operator, &row.relevance),
            row.passed,
            row.cases
        )
        .unwrap();
    }
    page.push_str("\n## Reasons\nEvery refusal is one of these.\n\n| reason | cases |\n|---|--:|\n");
    for (reason, count) in survey.reasons() {
        writeln!(page, "| {} | {count} |", escape(&reason.replace('*', "…"))).unwrap();
    }
    page.push_str("\n## Not interpreted\nKept as read; a model that holds one is refused unless nothing needs the node.\n\n");
    page.push_str("| reason | operators |\n|---|---|\n");
    for (reason, operators) in survey.opaque() {
        let outside = operators.into_iter().filter(|operator| !survey.rows.contains_key(operator));
        let operators: Vec<String> = outside.collect();
        if operators.is_empty() {
            continue;
        }
        writeln!(page, "| {} | {} |", escape(&reason.replace('*', "…")), operators.join(", ")).unwrap();
    }
    page
}

/// Which forms of an operator are interpreted.
fn read(survey: &Survey, operator: &str) -> String {
    let reasons: Vec<String> = survey
        .opaque()
        .iter()
        .filter(|(_, operators)| operators.contains(operator))
        .map(|(reason, _)| reason.replace('*', "…"))
        .collect();
    if reasons.is_empty() { "yes".to_string() } else { format!("except: {}", reasons.join("; ")) }
}

fn rules(operator: &str, rules: &BTreeMap<Rule, usize>) -> String {
    let total: usize = rules.values().sum();
    let mut words = vec![];
    let mut refusals = vec![];
    for (rule, count) in rules {
        match rule {
            Rule::Sends => words.push("yes".to_string()),
            // Zeros where other nodes of the operator send more are a matter of their operands.
            Rule::Zero if rules.contains_key(&Rule::Sends) => {}
            Rule::Zero => words.push("zero".to_string()),
            Rule::Refuses(reason) if *count == total => refusals.push(reason::short(operator, reason)),
            Rule::Refuses(reason) => {
                refusals.push(format!("{}: {count} of {total}", reason::short(operator, reason)));
            }
        }
    }
    if !refusals.is_empty() {
        words.push(format!("refused ({})", refusals.join("; ")));
    }
    if words.is_empty() { "-".to_string() } else { escape(&words.join(", ")) }
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}
