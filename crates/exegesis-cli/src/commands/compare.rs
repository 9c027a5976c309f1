//! `exegesis compare`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use exegesis::compare::{
    CompareOptions, Comparer, Comparison, Control, DataSet, Progress, Summary, check_save, report,
    short_json, situation, stage, usual_metrics,
};
use exegesis::metrics::{Modality, Operator, parse};
use exegesis::report::{RowReport, TerminalOptions, render_comparison_terminal};
use exegesis::{
    Error, Explainer, LabelOptions, Method, Model, PlayerKind, Result, files, perturb, read_labelled,
};

use super::{builder, labels, method, open, read_options, reader, run_by, say_runtime};
use crate::args::{Compare, Judging};
use crate::console::Console;
use crate::net::{stop_switch, stoppable};

/// Compares, and writes what came out.
pub fn run(args: &Compare, console: &Console) -> Result<()> {
    let judging = &args.judging;
    check(judging)?;
    let model = open(&args.model)?;
    let (data, has_words) = data((&model, &args.model), &args.data, judging, console)?;
    let comparer = comparer(&model, &list(&args.methods), judging, (&data, has_words))?;
    judge(&comparer, &data, judging, console)
}

/// Fails early if a result could not be written.
pub fn check(args: &Judging) -> Result<()> {
    args.save.iter().chain([&args.output]).try_for_each(|path| check_save(path))
}

/// Compares, and writes what came out.
pub fn judge(comparer: &Comparer, data: &DataSet, args: &Judging, console: &Console) -> Result<()> {
    say_runtime(&args.how.place, &comparer.judge.runtime(), console);
    let saves = stoppable();
    let mut bar = console.progress_of("compare", "samples");
    let (record, examples) = comparer.run(data, &mut |event| match event {
        Progress::Done(samples, total) => bar.part(samples, total),
        Progress::Planned(rows, explanations) => console.note(&format!(
            "each method and sample takes at most {rows} rows of the model and {explanations} explanations; what methods \
             share is asked once"
        )),
        Progress::Resumed(samples) => console.note(&format!("{samples} sample(s) were finished before")),
        Progress::Warning(text) => console.warning(&text),
    })?;
    drop((bar, saves));
    finish(&record, examples, (&args.output, &args.save, args.json), console)?;
    if let Some(journal) = &comparer.options.journal {
        let _ = std::fs::remove_file(journal);
    }
    Ok(())
}

/// Methods, metrics and how they are run.
pub fn comparer(
    model: &Model,
    chosen: &[String],
    args: &Judging,
    (data, has_words): (&DataSet, bool),
) -> Result<Comparer> {
    let labels = labels(&args.what, model)?;
    let explainer = |method: Method| -> Result<Explainer> {
        let builder = builder(model, method, &args.what, &labels)?;
        run_by(builder, &args.how, &args.reading)?.build()
    };
    let mut methods: Vec<(String, Explainer)> = vec![];
    for text in chosen {
        let method = method(text)?;
        let key = unique(method.name(), methods.iter().map(|(key, _)| key.as_str()));
        methods.push((key, explainer(method)?));
    }
    let wanted = |key: &str, text: &str| {
        Error::usage(format!("--{key} {text} is not known. See `exegesis compare --help`."))
    };
    let operator = args
        .operator
        .as_ref()
        .map(|text| Operator::parse("operator", text).map_err(|_| wanted("operator", text)))
        .transpose()?;
    let judge = perturb::Method::Occlusion(perturb::Occlusion::default());
    let players = if has_words { PlayerKind::Word } else { PlayerKind::Auto };
    let judge = builder(model, Method::from(judge), &args.what, &labels)?.players(players);
    let judge = run_by(judge, &args.how, &args.reading)?.build()?;
    let (modality, usual) = situation(&judge, data)?;
    let mut metrics = vec![];
    let texts = match &args.metrics {
        Some(text) => list(text),
        None => usual_metrics(modality, operator.unwrap_or(usual), data.truths.is_some()),
    };
    for text in texts {
        let metric = parse(&text).map_err(|e| Error::usage(format!("{e}.")))?;
        let key = unique(metric.info().name, metrics.iter().map(|(key, _): &(String, _)| key.as_str()));
        metrics.push((key, metric));
    }
    let mut controls = vec![];
    let names: Vec<String> = Control::usual(modality).iter().map(|c| c.name().to_string()).collect();
    let edges = (modality == Modality::Image).then(|| "edges".to_string());
    let names: Vec<String> = names.into_iter().chain(edges).collect();
    for text in args.controls.as_ref().unwrap_or(&names) {
        match text.as_str() {
            "none" => {}
            // A method that knows nothing of the model.
            "edges" if methods.iter().all(|(key, _)| key != "edges") => {
                methods.push(("edges".to_string(), explainer(method("edges")?)?));
            }
            "edges" => {}
            // Asked for as a method already.
            "random" if methods.iter().any(|(key, _)| key == "random") => {}
            text => controls.push(Control::parse("controls", text).map_err(|_| wanted("controls", text))?),
        }
    }
    let mut journal = args.output.clone().into_os_string();
    journal.push(".partial");
    Ok(Comparer {
        judge,
        methods,
        saved: vec![],
        metrics,
        options: CompareOptions {
            operator,
            controls,
            seed: args.how.seed,
            journal: Some(journal.into()),
            stop: Some(stop_switch()),
            examples: args.examples,
            correct_only: args.correct_only,
        },
        target: args.what.target.clone(),
    })
}

/// The samples, and whether they are texts that are known by words.
pub fn data(
    (model, path): (&Model, &Path),
    data: &[String],
    args: &Judging,
    console: &Console,
) -> Result<(DataSet, bool)> {
    let mut options = read_options(model, &args.reading)?;
    let is_text = |text: &String| {
        let ending = Path::new(text).extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        matches!(ending.as_deref(), Some("txt" | "tsv"))
    };
    let has_text = data.iter().any(is_text);
    options.reader = reader(model, Some(path), (&args.what, &args.reading), has_text)?;
    let limit = args.limit.map(NonZeroUsize::get);
    let choices =
        LabelOptions { column: args.label_column.clone(), names: labels(&args.what, model)?, limit };
    let found = read_labelled(model.inputs(), data, &options, &choices)?;
    for warning in &found.read.remarks.warnings {
        console.warning(warning);
    }
    let mut data = DataSet::new(found.read.runs, found.labels, data.join(", "))?;
    if let Some(masks) = found.masks {
        data = data.with_truths(masks)?;
    }
    let data = match limit {
        Some(limit) => data.limited(limit)?,
        None => data,
    };
    Ok((data, options.reader.is_some()))
}

/// `a,b:k=v,l=w,c` as `a`, `b:k=v,l=w`, `c`.
pub(super) fn list(text: &str) -> Vec<String> {
    let mut all: Vec<String> = vec![];
    for piece in text.split(',').map(str::trim).filter(|piece| !piece.is_empty()) {
        match all.last_mut() {
            Some(last) if piece.contains('=') && !piece.contains(':') => {
                last.push(',');
                last.push_str(piece);
            }
            _ => all.push(piece.to_string()),
        }
    }
    all
}

/// The name, with `#2` for a second use.
pub(super) fn unique<'a>(name: &str, used: impl Iterator<Item = &'a str>) -> String {
    let before = used.filter(|key| *key == name || key.starts_with(&format!("{name}#"))).count();
    if before == 0 { name.to_string() } else { format!("{name}#{}", before + 1) }
}

/// Summarises, writes every file, and makes them visible only when all are complete.
pub fn finish(
    record: &Comparison,
    examples: Vec<RowReport>,
    (output, saves, is_json): (&Path, &[PathBuf], bool),
    console: &Console,
) -> Result<()> {
    let summary = Summary::of(record);
    let mut report = report(record, &summary, examples);
    let mut staged = vec![];
    for path in saves.iter().map(PathBuf::as_path).chain([output]) {
        staged.push(stage(path, record, &summary, &report)?);
    }
    let saved = staged.into_iter().map(files::Staged::commit).collect::<Result<Vec<PathBuf>>>()?;
    if is_json {
        let mut value = short_json(record, &summary)?;
        if let Some(object) = value.as_object_mut() {
            let paths: Vec<String> = saved.iter().map(|p| p.to_string_lossy().into_owned()).collect();
            object.insert("saved".to_string(), paths.into());
        }
        console.result(&format!("{value:#}"));
        return Ok(());
    }
    // They were said on stderr while the work was done.
    report.warnings.retain(|warning| !record.warnings.contains(warning));
    let options = TerminalOptions { color: console.color(), ..TerminalOptions::default() };
    let mut text = render_comparison_terminal(&report, &options);
    for path in &saved {
        text += &format!("saved {}\n", path.display());
    }
    console.summary(&text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stay_with_their_method() {
        assert_eq!(list("a, b:k=1,l=2,c"), ["a", "b:k=1,l=2", "c"]);
        assert_eq!(unique("a", ["a", "b", "a#2"].into_iter()), "a#3");
    }
}
