//! `exegesis metrics`: what there is, and how one is defined.

use std::fmt::Write;

use exegesis::metrics::{Direction, MetricInfo, catalogue};
use exegesis::{Error, Result};

use super::methods::{first_sentence, wrapped};
use crate::args::Metrics;
use crate::console::Console;

/// Prints the list, or one metric.
pub fn run(args: &Metrics, console: &Console) -> Result<()> {
    let all = catalogue();
    let Some(name) = &args.name else {
        let mut text = String::new();
        for info in all.iter().map(|entry| entry.info) {
            let line = format!("{} {} ({})", arrow(info.direction), first_sentence(info.summary), info.cost);
            let _ = writeln!(text, "{:<26} {}", info.name, wrapped(&line, 27));
        }
        text.push_str(
            "\nexegesis metrics NAME shows definition, options, when it misleads, and the analytic check.\n",
        );
        console.result(&text);
        return Ok(());
    };
    let Some(entry) = all.iter().find(|entry| entry.info.name == name) else {
        let names: Vec<&str> = all.iter().map(|entry| entry.info.name).collect();
        return Err(Error::usage(format!(
            "there is no metric `{name}`. Choose one of {}.",
            names.join(", ")
        )));
    };
    console.result(&page(entry.info));
    Ok(())
}

fn arrow(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "↑",
        Direction::Down => "↓",
    }
}

fn page(info: &MetricInfo) -> String {
    let modalities: Vec<&str> = info.modalities.iter().map(|m| m.name()).collect();
    let better = match info.direction {
        Direction::Up => "higher is better",
        Direction::Down => "lower is better",
    };
    let mut text = format!(
        "{} ({}, {}, {better})\n\n{}\n\n",
        info.name,
        info.id,
        info.family.name(),
        wrapped(info.summary, 0)
    );
    let _ = writeln!(text, "formula    {}", wrapped(info.formula, 11));
    let _ = writeln!(text, "cost       {} model calls per sample and method", info.cost);
    let _ = writeln!(text, "data       {}", modalities.join(", "));
    let _ = writeln!(text, "check      {}", wrapped(info.check, 11));
    let _ = writeln!(text, "misleads   {}", wrapped(info.misleads, 11));
    let _ = writeln!(text, "source     {}", wrapped(info.citation, 11));
    let _ = writeln!(text, "version    {}", info.version);
    if info.parameters.is_empty() {
        text.push_str("options    none\n");
    }
    for (index, parameter) in info.parameters.iter().enumerate() {
        let heading = if index == 0 { "options" } else { "" };
        let line =
            format!("{}={} ({}): {}", parameter.name, parameter.default, parameter.values, parameter.doc);
        let _ = writeln!(text, "{heading:<10} {}", wrapped(&line, 11));
    }
    text
}
