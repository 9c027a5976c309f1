//! `exegesis methods`: what there is, and what one does.

use std::fmt::Write;

use exegesis::{Error, Method, MethodInfo, Result};

use crate::args::Methods;
use crate::console::Console;

/// Prints the list, or one method.
pub fn run(args: &Methods, console: &Console) -> Result<()> {
    let catalogue = Method::catalogue();
    let Some(name) = &args.name else {
        let mut text = String::new();
        for info in catalogue {
            let line = format!("{} ({})", first_sentence(info.summary), info.cost);
            let _ = writeln!(text, "{:<21} {}", info.name, wrapped(&line, 22));
        }
        text.push_str(
            "\nexegesis methods NAME shows formula, parameters, when it misleads, and the source.\n",
        );
        console.result(&text);
        return Ok(());
    };
    let found = catalogue.iter().find(|info| info.name == name);
    let Some(info) = found else {
        let names: Vec<&str> = catalogue.iter().map(|info| info.name).collect();
        return Err(Error::usage(format!(
            "there is no method `{name}` in this version. Choose one of {}.",
            names.join(", ")
        )));
    };
    console.result(&page(info));
    Ok(())
}

/// Up to the first full stop.
pub fn first_sentence(text: &str) -> &str {
    text.split_inclusive(". ").next().unwrap_or(text).trim_end()
}

fn page(info: &MethodInfo) -> String {
    let mut text = format!("{}\n\n{}\n\n", info.name, wrapped(info.summary, 0));
    let _ = writeln!(text, "formula    {}", info.formula);
    let _ = writeln!(text, "cost       {}", info.cost);
    let _ = writeln!(text, "misleads   {}", wrapped(info.misleads, 11));
    let _ = writeln!(text, "source     {}", wrapped(info.citation, 11));
    if info.parameters.is_empty() {
        text.push_str("parameters none\n");
    }
    for (index, parameter) in info.parameters.iter().enumerate() {
        let heading = if index == 0 { "parameters" } else { "" };
        let line =
            format!("{}={} ({}): {}", parameter.name, parameter.default, parameter.values, parameter.doc);
        let _ = writeln!(text, "{heading:<10} {}", wrapped(&line, 11));
    }
    text
}

/// Lines of at most 96 characters, those after the first indented.
pub fn wrapped(text: &str, indent: usize) -> String {
    let mut out = String::new();
    let mut column = indent;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > 96 {
            let _ = write!(out, "\n{}", " ".repeat(indent));
            column = indent;
        } else if column > indent {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}
