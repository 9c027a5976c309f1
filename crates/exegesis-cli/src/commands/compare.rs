//! `exegesis compare`.

use exegesis::compare::{CompareOptions, Comparer, Comparison, Control, DataSet, Progress};
use exegesis::metrics::{Operator, parse};
use exegesis::{Error, Explainer, Method, Model, PlayerKind, Result, Source, files, perturb, read_inputs};

use super::{builder, labels, method, open, read_options, reader, run_by};
use crate::args::Compare;
use crate::console::Console;
use crate::net::{stop_switch, stoppable};

/// Metrics by default.
const METRICS: &str = "insertion,deletion,morf,lerf,abpc,gini,complexity";

/// Compares, and writes what came out.
pub fn run(args: &Compare, console: &Console) -> Result<()> {
    for path in args.save.iter().chain([&args.output]) {
        files::check_target(path)?;
    }
    let model = open(&args.model)?;
    let comparer = comparer(&model, args)?;
    let data = data(&model, comparer.judge.inputs(), args, console)?;
    let saves = stoppable();
    let mut bar = console.progress("compare");
    let (record, _examples) = comparer.run(&data, &mut |event| match event {
        Progress::Explaining(_, done, total) | Progress::Judging(done, total) => bar.at(done, total),
        Progress::Planned(rows, explanations) => console.note(&format!(
            "each method and sample takes at most {rows} rows of the model and {explanations} explanations; what methods \
             share is asked once"
        )),
        Progress::Resumed(samples) => console.note(&format!("{samples} sample(s) were finished before")),
        Progress::Warning(text) => console.warning(&text),
    })?;
    drop((bar, saves));
    console.summary(&summary(&record));
    if let Some(journal) = &comparer.options.journal {
        let _ = std::fs::remove_file(journal);
    }
    Ok(())
}

/// Methods, metrics and how they are run.
fn comparer(model: &Model, args: &Compare) -> Result<Comparer> {
    let labels = labels(&args.what, model)?;
    let explainer = |method: Method| -> Result<Explainer> {
        let builder = builder(model, method, &args.what, &labels)?;
        run_by(builder, &args.how, &args.reading)?.build()
    };
    let mut methods: Vec<(String, Explainer)> = vec![];
    for text in list(&args.methods) {
        let method = method(&text)?;
        let key = unique(method.name(), methods.iter().map(|(key, _)| key.as_str()));
        methods.push((key, explainer(method)?));
    }
    let mut metrics = vec![];
    for text in list(args.metrics.as_deref().unwrap_or(METRICS)) {
        let metric = parse(&text).map_err(|e| Error::usage(format!("{e}.")))?;
        let key = unique(metric.info().name, metrics.iter().map(|(key, _): &(String, _)| key.as_str()));
        metrics.push((key, metric));
    }
    let wanted = |key: &str, text: &str| {
        Error::usage(format!("--{key} {text} is not known. See `exegesis compare --help`."))
    };
    let operator = args
        .operator
        .as_ref()
        .map(|text| Operator::parse("operator", text).map_err(|_| wanted("operator", text)))
        .transpose()?;
    let mut controls = vec![];
    for text in args.controls.as_deref().unwrap_or(&["random".to_string(), "uniform".to_string()]) {
        match text.as_str() {
            "none" => {}
            "edges" => methods.push(("edges".to_string(), explainer(method("edges")?)?)),
            text => controls.push(Control::parse("controls", text).map_err(|_| wanted("controls", text))?),
        }
    }
    let judge = perturb::Method::Occlusion(perturb::Occlusion::default());
    let judge = builder(model, Method::from(judge), &args.what, &labels)?.players(PlayerKind::Auto);
    let mut journal = args.output.clone().into_os_string();
    journal.push(".partial");
    Ok(Comparer {
        judge: run_by(judge, &args.how, &args.reading)?.build()?,
        methods,
        metrics,
        options: CompareOptions {
            operator,
            controls,
            seed: args.how.seed,
            journal: Some(journal.into()),
            stop: Some(stop_switch()),
            examples: args.examples,
        },
        target: args.what.target.clone(),
    })
}

/// The samples.
fn data(model: &Model, ports: &[exegesis::Port], args: &Compare, console: &Console) -> Result<DataSet> {
    let sources: Vec<Source> = args.data.iter().map(|text| Source::parse(text, ports)).collect();
    let mut options = read_options(model, &args.reading)?;
    let is_text = |source: &Source| source.path.extension().is_some_and(|e| e.eq_ignore_ascii_case("txt"));
    let has_text = sources.iter().any(is_text);
    options.reader = reader(model, Some(&args.model), (&args.what, &args.reading), has_text)?;
    let read = read_inputs(ports, &sources, &options)?;
    for warning in &read.remarks.warnings {
        console.warning(warning);
    }
    let data = DataSet::new(read.runs, None, args.data.join(", "))?;
    match args.limit {
        Some(limit) => data.limited(limit.get()),
        None => Ok(data),
    }
}

/// `a,b:k=v,l=w,c` as `a`, `b:k=v,l=w`, `c`.
fn list(text: &str) -> Vec<String> {
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
fn unique<'a>(name: &str, used: impl Iterator<Item = &'a str>) -> String {
    let before = used.filter(|key| *key == name || key.starts_with(&format!("{name}#"))).count();
    if before == 0 { name.to_string() } else { format!("{name}#{}", before + 1) }
}

/// Means, method by method.
fn summary(record: &Comparison) -> String {
    let mut text = String::new();
    for (method, values) in record.methods.iter().zip(&record.values) {
        text += &format!("{}\n", method.key);
        for (metric, outcomes) in record.metrics.iter().zip(values) {
            let known: Vec<f64> = outcomes.iter().filter_map(|o| o.value).collect();
            let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
            text += &format!("  {:<26} {mean:>10.4}  of {} samples\n", metric.key, known.len());
        }
    }
    text
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
