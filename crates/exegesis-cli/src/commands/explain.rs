//! `exegesis explain`.

use std::path::{Path, PathBuf};

use exegesis::report::{TerminalOptions, render_terminal};
use exegesis::{
    Error, Explainer, Explanation, Format, Inputs, Labels, Method, Model, NodeSelection, Port, ReadOptions,
    Remarks, Result, Source, Vocabulary, describe_ports, files, numbered, read_inputs,
};
use serde_json::Value;

use super::players::Players;
use super::{Compared, builder, demo, labels, method, open, read_options, reader, run_by, say_runtime};
use crate::args::Explain;
use crate::console::Console;
use crate::net::{is_stopped, stoppable};

/// Where the report goes if nothing else is said.
pub const DEFAULT_SAVE: &str = "explanation.html";

/// Explains the inputs.
pub fn run(args: &Explain, console: &Console) -> Result<()> {
    let methods = args.methods.iter().map(|text| method(text)).collect::<Result<Vec<Method>>>()?;
    let saves = match args.save.as_slice() {
        [] => vec![PathBuf::from(DEFAULT_SAVE)],
        given => given.to_vec(),
    };
    for path in &saves {
        Format::of(path)?;
        files::check_target(path)?;
    }
    let model = match &args.model {
        Some(path) => open(path)?,
        None if !args.text.is_empty() => Model::builtin_text()?,
        None => return demo::run(args, methods, &saves, console),
    };
    let labels = labels(&args.what, &model)?;
    let methods = if methods.is_empty() {
        let method = if args.model.is_some() { Method::usual() } else { Method::parse("slalom")? };
        console
            .note(&format!("method: {} (the default; `exegesis methods` lists the others)", method.name()));
        vec![method]
    } else {
        methods
    };
    let explainers = explainers(&model, methods, args, &labels)?;
    if let Some(explainer) = explainers.first() {
        say_runtime(&args.how.place, &explainer.runtime(), console);
    }
    let ports = explainers.iter().map(Explainer::inputs).max_by_key(|ports| ports.len()).unwrap_or_default();
    let vocabulary = args.vocabulary.as_deref().map(Vocabulary::read).transpose()?;
    let read = read(&model, ports, args)?;
    let runs = read.runs;
    if args.dry_run {
        return dry_run(&explainers, &runs, args, console);
    }
    let mut summaries = Vec::new();
    let count = runs.len();
    for (index, inputs) in runs.iter().enumerate() {
        let explanation = explain(&explainers, inputs, &read.remarks, console);
        if index > 0 && is_stopped() && explanation.is_err() {
            console.warning(&format!("stopped by the user: {index} of {count} inputs are explained"));
            break;
        }
        let mut explanation = explanation?;
        explanation.vocabulary.clone_from(&vocabulary);
        let paths: Vec<PathBuf> = saves
            .iter()
            .map(|path| if count > 1 { numbered(path, index + 1) } else { path.clone() })
            .collect();
        let saved = save(&explanation, &paths)?;
        if args.json {
            summaries.push(summary_json(&explanation, &saved));
        } else {
            console.summary(&summary_text(&explanation, &saved, console));
        }
        if is_stopped() && index + 1 < count {
            console.warning(&format!("stopped by the user: {} of {count} inputs are explained", index + 1));
            break;
        }
    }
    if args.json {
        console.result(&format!("{:#}", one_or_all(summaries)));
    }
    Ok(())
}

/// One explainer per method.
pub fn explainers(
    model: &Model,
    methods: Vec<Method>,
    args: &Explain,
    labels: &Labels,
) -> Result<Vec<Explainer>> {
    let nodes = match args.nodes.as_slice() {
        [] => NodeSelection::None,
        [all] if all == "all" => NodeSelection::All,
        names => NodeSelection::Named(names.to_vec()),
    };
    let compared = args.what.baseline.as_deref().map(Compared::parse).transpose()?;
    if compared.is_some() && !methods.iter().any(Method::has_baseline) {
        let names: Vec<&str> = methods.iter().map(Method::name).collect();
        return Err(Error::usage(format!(
            "--baseline is for methods that compare with one, which {} does not. Leave it out, or choose \
             integrated-gradients, gradient-shap, deeplift or deep-shap.",
            names.join(", ")
        )));
    }
    let references = match &compared {
        Some(Compared::File(text)) => Some(references(model, text, args)?),
        _ => None,
    };
    if args.players.is_some() && methods.iter().all(|method| method.white_box().is_some()) {
        let names: Vec<&str> = methods.iter().map(Method::name).collect();
        return Err(Error::usage(format!(
            "--players is for methods that take parts of the input out, which {} does not. Leave it out, or choose \
             occlusion, lime, kernel-shap or rise.",
            names.join(", ")
        )));
    }
    let players =
        args.players.as_deref().map(|text| Players::parse(text, model, &args.what.inputs)).transpose()?;
    methods
        .into_iter()
        .map(|method| {
            let builder = builder(model, method, &args.what, labels)?.nodes(nodes.clone());
            let mut builder = run_by(builder, &args.how, &args.reading)?;
            if let Some(players) = &players {
                builder = players.given(builder);
            }
            builder = match &compared {
                Some(Compared::With(baseline)) => builder.baseline(*baseline),
                Some(Compared::File(_)) => match &references {
                    Some(rows) => builder.references(rows.clone()),
                    None => builder,
                },
                None => builder,
            };
            builder.build()
        })
        .collect()
}

/// Rows to compare with, from the file of `--baseline`.
fn references(model: &Model, text: &str, args: &Explain) -> Result<Inputs> {
    // A file may hold all that the model takes; only what is explained is compared.
    let options = ReadOptions { rows: None, ..read_options(model, &args.reading)? };
    let explained = model.explained_inputs(&args.what.inputs)?;
    let read = |ports: &[Port]| read_inputs(ports, &[Source::parse(text, ports)], &options);
    let read = read(&explained).or_else(|_| read(model.inputs()))?;
    let mut runs = read.runs.into_iter();
    match (runs.next(), runs.next()) {
        (Some(rows), None) => Ok(rows),
        _ => Err(Error::input(format!(
            "the baseline \"{text}\" holds arrays of several sizes. Give one array of rows of one size."
        ))),
    }
}

/// Reads the inputs of the command line.
fn read(model: &Model, ports: &[Port], args: &Explain) -> Result<exegesis::ReadInputs> {
    if args.files.is_empty() && args.text.is_empty() {
        return Err(Error::input(format!(
            "no input is given; the model's inputs are {}. Give a picture, .npy, .npz, .safetensors, .csv or .txt behind the \
             model, or --text.",
            describe_ports(ports)
        )));
    }
    let sources: Vec<Source> = args.files.iter().map(|text| Source::parse(text, ports)).collect();
    let is_text = |source: &Source| source.path.extension().is_some_and(|e| e.eq_ignore_ascii_case("txt"));
    let has_text = !args.text.is_empty() || sources.iter().any(is_text);
    let mut options = read_options(model, &args.reading)?;
    options.texts.clone_from(&args.text);
    options.reader = reader(model, args.model.as_deref(), (&args.what, &args.reading), has_text)?;
    read_inputs(ports, &sources, &options)
}

/// All methods on one run's inputs.
pub fn explain(
    explainers: &[Explainer],
    inputs: &Inputs,
    remarks: &Remarks,
    console: &Console,
) -> Result<Explanation> {
    let mut parts: Vec<Explanation> = Vec::new();
    let mut left_out = Vec::new();
    for explainer in explainers {
        let name = explainer.method().name();
        if is_stopped() {
            left_out.push(name);
            continue;
        }
        console.detail(&format!("{name}: compiling and running"));
        let mut progress = console.progress(name);
        let saves = matches!(explainer.method(), Method::BlackBox(_)).then(stoppable);
        let part = explainer.explain_with(inputs, &mut |done, total| progress.at(done, total));
        drop((progress, saves));
        // Nothing of earlier methods is lost for a method that was stopped before it was through with as many rows.
        let part = match (part, parts.first()) {
            (Err(_), Some(_)) if is_stopped() => None,
            (Ok(part), Some(first)) if is_stopped() && part.rows != first.rows => None,
            (part, _) => Some(part?),
        };
        let Some(part) = part else {
            left_out.push(name);
            continue;
        };
        let t = part.provenance.timings;
        console.detail(&format!("{name}: compiled in {:.3} s, ran in {:.3} s", t.compile, t.run));
        parts.push(part);
    }
    let mut explanation = Explanation::join(parts)?;
    for note in &remarks.notes {
        console.note(&format!("note: {note}"));
    }
    for note in &explanation.provenance.remarks.notes {
        console.detail(&format!("note: {note}"));
    }
    explanation.provenance.remarks.extend(remarks);
    if !left_out.is_empty() {
        let warning = format!("stopped by the user: {} left out", left_out.join(", "));
        explanation.provenance.remarks.warn(warning);
    }
    for warning in &explanation.provenance.remarks.warnings {
        console.warning(warning);
    }
    Ok(explanation)
}

/// Writes every file, and makes them visible only when all are complete.
pub fn save(explanation: &Explanation, paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut staged = Vec::new();
    for path in paths {
        staged.extend(explanation.stage(path)?);
    }
    staged.into_iter().map(|file| file.commit()).collect()
}

/// The summary for people.
pub fn summary_text(explanation: &Explanation, saved: &[PathBuf], console: &Console) -> String {
    let mut report = explanation.report(&explanation.title());
    // They were said on stderr.
    report.warnings.clear();
    let options = TerminalOptions { color: console.color(), ..TerminalOptions::default() };
    let mut text = render_terminal(&report, &options);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    for path in saved {
        text.push_str(&format!("saved {}\n", path.display()));
    }
    text
}

/// The summary for programs.
pub fn summary_json(explanation: &Explanation, saved: &[PathBuf]) -> Value {
    let mut value = explanation.json_value();
    if let Some(object) = value.as_object_mut() {
        let paths = saved.iter().map(|p| Value::from(shown(p))).collect();
        object.insert("saved".to_string(), Value::Array(paths));
    }
    value
}

/// One run as an object, several as an array.
pub fn one_or_all(mut summaries: Vec<Value>) -> Value {
    if summaries.len() == 1 { summaries.remove(0) } else { Value::Array(summaries) }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Says what would be done, and writes nothing.
pub fn dry_run(explainers: &[Explainer], runs: &[Inputs], args: &Explain, console: &Console) -> Result<()> {
    let mut plans = Vec::new();
    for (index, inputs) in runs.iter().enumerate() {
        for explainer in explainers {
            let plan = explainer.plan(inputs)?;
            if !args.json {
                console.result(&format!("run {}: {}", index + 1, plan.text()));
            }
            plans.push(serde_json::to_value(&plan).unwrap_or(Value::Null));
        }
    }
    if args.json {
        console.result(&format!("{:#}", serde_json::json!({ "plan": one_or_all(plans) })));
    }
    Ok(())
}
