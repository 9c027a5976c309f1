//! One file per command; what they share is here.

pub mod compare;
pub mod compile;
pub mod demo;
pub mod evaluate;
pub mod explain;
pub mod inspect;
pub mod methods;
pub mod metrics;
pub mod players;
pub mod truth;

use std::path::Path;
use std::sync::Arc;

use exegesis::{
    Baseline, Device, Error, ExplainerBuilder, Labels, Method, Model, ReadOptions, Result, RuntimeChoice,
    TextReader, Tokenizer, builtin, parse_target,
};

use crate::args::{How, Place, Reading, What};
use crate::console::Console;
use crate::net::{stop_switch, work_limit};

/// The error of a command that is not built.
pub fn not_built(command: &str) -> Result<()> {
    Err(Error::not_built(
        &format!("the command `{command}`"),
        "Built are explain, compile, compare, evaluate, inspect, methods and metrics.",
    ))
}

/// Opens the model at `path`; a file that is plainly an input is pointed out.
pub fn open(path: &Path) -> Result<Model> {
    let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    if matches!(
        ending.as_str(),
        "png" | "jpg" | "jpeg" | "bmp" | "gif" | "webp" | "npy" | "npz" | "csv" | "txt"
    ) {
        return Err(Error::usage(format!(
            "\"{}\" stands where the model is expected. Give the model first: exegesis explain MODEL.onnx INPUT.",
            path.display()
        )));
    }
    Model::open(path)
}

/// Reads a method.
pub fn method(text: &str) -> Result<Method> {
    Method::parse(text)
}

/// The labels of `--labels`, else those of the model.
pub fn labels(what: &What, model: &Model) -> Result<Labels> {
    match &what.labels {
        Some(path) => Labels::read(path),
        None => Ok(model.labels()),
    }
}

/// What `--baseline` asks for.
pub enum Compared {
    /// Something computed, or for compiled files an input.
    With(Baseline),
    /// The rows of a file.
    File(String),
}

impl Compared {
    /// Reads the option; a text that is no baseline by name or number is a file.
    pub fn parse(text: &str) -> Result<Self> {
        match text.parse() {
            Ok(baseline) => Ok(Self::With(baseline)),
            Err(_) if text.contains('=') || Path::new(text).exists() => Ok(Self::File(text.to_string())),
            Err(_) => Err(Error::usage(format!(
                "--baseline \"{text}\" is none of zeros, mean, blur, a number, or a file that exists. Give one of them."
            ))),
        }
    }
}

/// An explainer of `model` with the choices of the command line.
pub fn builder(model: &Model, method: Method, what: &What, labels: &Labels) -> Result<ExplainerBuilder> {
    let mut builder = model
        .explainer(method)
        .target(parse_target(&what.target, labels)?)
        .score(what.score.into())
        .threshold(what.threshold)
        .explain_inputs(what.inputs.clone())
        .on_missing_rule(what.on_missing_rule.into())
        .per_dim(what.per_dim)
        .labels(labels.clone());
    if what.task != "auto" {
        builder = builder.task(what.task.parse().map_err(|e: exegesis::AttributeError| Error::from(e))?);
    }
    if let Some(step) = what.step {
        builder = builder.step(step);
    }
    if let Some(output) = &what.output_name {
        builder = builder.output(output);
    }
    Ok(builder)
}

/// The runtime that is asked for.
///
/// # Errors
/// A device that there is not.
pub fn choice(place: &Place) -> Result<RuntimeChoice> {
    let device = place.device.parse::<Device>()?;
    Ok(RuntimeChoice { name: place.runtime.clone(), device, onnxruntime: place.onnxruntime.clone() })
}

/// Says which runtime was chosen, where that was not said on the command line and is not the embedded one.
pub fn say_runtime(place: &Place, runtime: &str, console: &Console) {
    if place.runtime == "auto" && !runtime.starts_with("rten") {
        console.note(&format!("runtime: {runtime} (found by itself; --runtime rten for the embedded one)"));
    }
}

/// How the explainers of all commands run.
///
/// # Errors
/// A device that there is not.
pub fn run_by(builder: ExplainerBuilder, how: &How, reading: &Reading) -> Result<ExplainerBuilder> {
    let RuntimeChoice { name, device, onnxruntime } = choice(&how.place)?;
    let mut builder = builder.runtime(name).device(device);
    if let Some(path) = onnxruntime {
        builder = builder.onnxruntime(path);
    }
    builder = builder.seed(how.seed).stop(stop_switch()).work(work_limit());
    if let Some(text) = &reading.preprocess {
        builder = builder.preprocess(text.parse()?);
    }
    if let Some(threads) = how.place.threads {
        builder = builder.threads(threads);
    }
    if let Some(rows) = how.batch {
        builder = builder.batch(rows);
    }
    if let Some(bytes) = how.memory {
        builder = builder.memory(bytes);
    }
    Ok(builder)
}

/// How files are read.
pub fn read_options(model: &Model, reading: &Reading) -> Result<ReadOptions> {
    Ok(ReadOptions {
        preprocess: match &reading.preprocess {
            Some(text) => Some(text.parse()?),
            None => model.preprocess()?,
        },
        columns: reading.columns.clone(),
        model_columns: model.columns(),
        rows: reading.row.as_ref().map(|text| text.parse()).transpose()?,
        ..ReadOptions::default()
    })
}

/// What reads texts: with `--tokenizer`, else, where there are texts, with the tokenizer beside the model at `path`.
pub fn reader(
    model: &Model,
    path: Option<&Path>,
    (what, reading): (&What, &Reading),
    has_text: bool,
) -> Result<Option<TextReader>> {
    if has_text {
        TextReader::port(model, &what.inputs)?;
    }
    let tokenizer = match (&reading.tokenizer, path) {
        (Some(path), _) => Tokenizer::read(path)?,
        (None, Some(model)) if has_text => Tokenizer::beside(model)?,
        (None, None) => builtin::tokenizer()?,
        _ => return Ok(None),
    };
    TextReader::new(model, Arc::new(tokenizer), &what.inputs).map(Some)
}
