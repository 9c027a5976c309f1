//! `exegesis compare`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use exegesis::compare::{
    CompareOptions, Comparer, ComparerBuilder, Comparison, DataSet, Progress, Summary, check_save, list,
    report, short_json, stage,
};
use exegesis::report::{RowReport, TerminalOptions, render_comparison_terminal};
use exegesis::{LabelOptions, Method, Model, Result, files, read_labelled};

use super::{builder, labels, open, read_options, reader, run_by, say_runtime};
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
    let mut journal = args.output.clone().into_os_string();
    journal.push(".partial");
    let builder_of =
        |method: Method| run_by(builder(model, method, &args.what, &labels)?, &args.how, &args.reading);
    let chosen = ComparerBuilder {
        methods: chosen.to_vec(),
        metrics: args.metrics.as_deref().map(list),
        operator: args.operator.clone(),
        controls: args.controls.clone(),
        has_words,
        saved: vec![],
        target: args.what.target.clone(),
        options: CompareOptions {
            seed: args.how.seed,
            journal: Some(journal.into()),
            stop: Some(stop_switch()),
            examples: args.examples,
            correct_only: args.correct_only,
            ..CompareOptions::default()
        },
    };
    chosen.build(data, &builder_of)
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
