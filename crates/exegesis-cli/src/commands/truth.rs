//! `exegesis truth`.

use std::fmt::Write;

use exegesis::truth::{self, Measure, Progress, Suite, TruthOptions, TruthReport};
use exegesis::{Error, Result, files};

use super::{choice, method};
use crate::args::Truth;
use crate::console::Console;
use crate::net::{stop_switch, stoppable};
use exegesis::compare::{list, unique};

/// Methods by default.
const METHODS: &str = "dlbacktrace,lrp,gradient,input-x-gradient,integrated-gradients,smoothgrad,deeplift,occlusion,\
                       kernel-shap,slalom,edges";

/// Runs methods through suites with known answers.
pub fn run(args: &Truth, console: &Console) -> Result<()> {
    if let Some(path) = &args.write_data {
        files::check_target(path)?;
        let written = files::write(path, &truth::training_data(args.seed)?)?;
        console.summary(&format!("{}\n", written.display()));
        return Ok(());
    }
    for path in &args.save {
        files::check_target(path)?;
        if path.extension().is_none_or(|ending| ending != "json") {
            return Err(Error::usage(format!("\"{}\" is no .json file. Save to one.", path.display())));
        }
    }
    let options = TruthOptions {
        suites: suites(args)?,
        limit: args.limit.get(),
        seed: args.seed,
        stop: Some(stop_switch()),
    };
    let mut methods = vec![];
    for text in list(args.methods.as_deref().unwrap_or(METHODS)) {
        let method = method(&text)?;
        let key = unique(method.name(), methods.iter().map(|(key, _): &(String, _)| key.as_str()));
        methods.push((key, method));
    }
    let saves = stoppable();
    let mut bar = console.progress_of("truth", "cases");
    let is_asked_for = args.methods.is_some();
    let (runtime, threads) = (choice(&args.place)?, args.place.threads);
    let report = truth::run_on(&runtime, threads, &methods, &options, &mut |event| match event {
        Progress::Case(done, total) => bar.at(done, total),
        // Of the usual methods some are for texts only, and some not for them.
        Progress::Warning(text) if is_asked_for => console.warning(&text),
        Progress::Warning(text) => console.detail(&text),
    })?;
    drop((bar, saves));
    for path in &args.save {
        let text = serde_json::to_string_pretty(&report).map_err(|e| Error::input(e.to_string()))?;
        files::write(path, text.as_bytes())?;
    }
    console.detail(&per_case(&report));
    console.summary(&summary(&report, &options.suites));
    Ok(())
}

fn suites(args: &Truth) -> Result<Vec<Suite>> {
    let Some(names) = &args.suites else { return Ok(Suite::ALL.to_vec()) };
    let read = |name: &String| {
        Suite::parse("suites", name).map_err(|_| {
            let all: Vec<&str> = Suite::ALL.iter().map(|s| s.name()).collect();
            Error::usage(format!("there is no suite `{name}`. Choose of {}.", all.join(", ")))
        })
    };
    names.iter().map(read).collect()
}

/// Suite by suite a line per method: means over all samples with 95 % intervals, and the verdict.
fn summary(report: &TruthReport, suites: &[Suite]) -> String {
    let mut text = String::new();
    for suite in suites {
        let own: Vec<_> = report.verdicts.iter().filter(|v| v.suite == suite.name()).collect();
        let cases = report.cases.iter().filter(|c| c.suite == suite.name()).count();
        let _ = writeln!(text, "{} ({cases} models): {}", suite.name(), suite.about());
        let mut columns: Vec<&str> = vec![];
        for measure in own.iter().flat_map(|v| &v.measures) {
            if !columns.contains(&measure.name.as_str()) {
                columns.push(&measure.name);
            }
        }
        let _ = write!(text, "  {:<22}", "");
        columns.iter().for_each(|column| text += &format!(" {column:>20}"));
        text.push('\n');
        for verdict in own {
            let name =
                if verdict.is_control { format!("({})", verdict.method) } else { verdict.method.clone() };
            let _ = write!(text, "  {name:<22}");
            for column in &columns {
                let measure = verdict.measures.iter().find(|m| m.name == *column);
                let _ = write!(text, " {:>20}", measure.map(cell).unwrap_or_default());
            }
            let _ = writeln!(text, "  {}", verdict.text);
        }
        text.push('\n');
    }
    text += "Means over samples with 95 % intervals. A map in brackets knows nothing of the model.\n";
    text
}

/// Case by case a line per method.
fn per_case(report: &TruthReport) -> String {
    let mut text = String::new();
    for case in &report.cases {
        let reliance = case.reliance.map(|r| format!(", reliance {r:.3}")).unwrap_or_default();
        let _ = writeln!(text, "{} {}{reliance}", case.suite, case.name);
        for method in &case.methods {
            let cells: Vec<String> =
                method.measures.iter().map(|m| format!("{} {}", m.name, cell(m))).collect();
            let _ = writeln!(text, "  {:<22} {}", method.key, cells.join("  "));
        }
    }
    text
}

/// `.83 [.80, .86]`, or a dash where nothing is defined.
fn cell(measure: &Measure) -> String {
    let number = |v: f64| match v.abs() {
        // Large values are told by their size, not by decimals.
        size if size >= 100.0 => format!("{v:.1e}"),
        size if size > 0.0 && size < 0.005 => format!("{v:.0e}"),
        _ => format!("{v:.2}"),
    };
    match measure.estimate {
        None => "-".to_string(),
        Some(found) => match found.interval {
            Some(i) => format!("{} [{}, {}]", number(found.mean), number(i.low), number(i.high)),
            None => number(found.mean),
        },
    }
}
