//! The command line: every option of the interface, built or not.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use exegesis::{OnMissingRule, Score, Stage};

const EXAMPLES: &str = "\
Examples:
  exegesis explain                                       explain a built-in sample: the quickest look
  exegesis explain model.onnx photo.png --save cat.html  one picture, as a report
  exegesis explain model.onnx table.csv --row 0:10 --method gradient --save rows.npz
  exegesis inspect model.onnx                            inputs, operators, which methods cover them
  exegesis compile model.onnx --method dlbacktrace -o explained.onnx

Exit status: 0 done, 2 wrong usage or not built, 3 model or input can't be read or does not fit,
4 the method has no rule for a node, 5 not enough memory or time, 130 interrupted, 1 anything else. Methods that ask the model row by row save
what is known at the first interruption (Ctrl-C), say that it is partial, and end with 0.";

/// Explains deep models: a model and an input in; attributions, evidence and pictures out.
#[derive(Debug, Parser)]
#[command(name = "exegesis", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    /// Print nothing but errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print more.
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Give up after this time. Default: none.
    #[arg(long, global = true, value_name = "SECONDS", value_parser = parse_seconds)]
    pub time_limit: Option<f64>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Explain what a model says about an input. Without a model: a built-in sample.
    Explain(Box<Explain>),
    /// Write a standard ONNX file that predicts and explains.
    Compile(Compile),
    /// Show a model: inputs, outputs, operators, which methods cover it.
    Inspect(Inspect),
    /// List the methods, or show one with its parameters, formula and source.
    Methods(Methods),
    /// Compare methods by metrics on data: which explanation is better, and how sure that is.
    Compare(Box<Compare>),
    /// Judge saved attributions, of `explain` or of any other tool, by metrics on data.
    Evaluate(Box<Evaluate>),
    /// List the metrics, or show one with its definition, options and analytic check.
    Metrics(Metrics),
    /// Run methods through suites whose answers are known.
    Truth(Truth),
    /// Train a LAX adapter (not built in this version).
    TrainLax(Rest),
}

/// Arguments of a command that is not built: anything.
#[derive(Args, Debug)]
pub struct Rest {
    /// Ignored.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub rest: Vec<String>,
}

/// What is explained, shared by `explain`, `compile` and `inspect`.
#[derive(Args, Debug, Default)]
pub struct What {
    /// Input that gets attributions; repeatable. Default: every float input and the token ids.
    #[arg(long = "explain", value_name = "NAME", value_delimiter = ',')]
    pub inputs: Vec<String>,
    /// argmax, a class index, a class name, A-B, coordinates of a box I,J,..., index:i,j,..., or seed: arrays of the output's
    /// shape, given as seed/OUTPUT=FILE.npy, in contrastive mode as seed/positive/OUTPUT and seed/negative/OUTPUT
    /// (for compile also: input).
    #[arg(long, default_value = "argmax", allow_hyphen_values = true)]
    pub target: String,
    /// Segmentation by one mask: probability above which a cell belongs to it.
    #[arg(long, value_name = "P", default_value_t = 0.5)]
    pub threshold: f64,
    /// Encoder-decoder: the only decoded position that is explained. Default: all of them.
    #[arg(long, value_name = "N")]
    pub step: Option<usize>,
    /// Graph output to explain. Default: the first.
    #[arg(long, value_name = "NAME")]
    pub output_name: Option<String>,
    /// auto, classification, binary, multi-label, regression, segmentation, bbox, next-token, encoder-decoder or embedding.
    #[arg(long, default_value = "auto")]
    pub task: String,
    /// Explain the score before or after a final softmax or sigmoid.
    #[arg(long, value_enum, default_value_t = ScoreArg::Logit)]
    pub score: ScoreArg,
    /// What the input is compared with, by methods that have a baseline: zeros, mean, blur, a number (of token ids: an id),
    /// or a file with rows, over which methods average (for compile also: input). Default: zeros.
    #[arg(long, value_name = "B|FILE", allow_hyphen_values = true)]
    pub baseline: Option<String>,
    /// Text file with a class name per line. Default: names from the model.
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Keep the embedding axis of tokens.
    #[arg(long)]
    pub per_dim: bool,
    /// What to do at a node for which the method has no rule.
    #[arg(long, value_enum, default_value_t = MissingArg::Error)]
    pub on_missing_rule: MissingArg,
}

/// How inputs are read.
#[derive(Args, Debug, Default)]
pub struct Reading {
    /// The model's tokenizer.json, for texts, and for the words and special tokens of given ids. Default, for texts:
    /// MODEL.tokenizer.json or tokenizer.json in the model's folder.
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    /// Columns of a table, by name or number, in the model's order.
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    pub columns: Option<Vec<String>>,
    /// Rows of a table or array: N, A:B or all.
    #[arg(long, value_name = "ROWS")]
    pub row: Option<String>,
    /// none, or resize=256,interp=bicubic,crop=224,scale=1,mean=127,std=128,layout=nchw,channels=rgb.
    #[arg(long, value_name = "STEPS")]
    pub preprocess: Option<String>,
}

/// `exegesis explain`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exegesis explain
  exegesis explain model.onnx cat.png dog.png --method dlbacktrace --method gradient --save out.html
  exegesis explain model.onnx cat.png --preprocess resize=256,interp=bicubic,crop=224,mean=127,std=128 \\
      --labels names.txt --target tabby --save cat.png --save cat.npz
  exegesis explain bert.onnx --text \"A dull story, saved by a wonderful cast.\" --method slalom
  exegesis explain bert.onnx input_ids=ids.npy attention_mask=mask.npy --target 1
  exegesis explain model.onnx cat.png --method dlbacktrace:mode=contrastive      for the class, and for the others
  exegesis explain model.onnx cat.png --nodes all --save cat.svg                 the flow of relevance, layer by layer
  exegesis explain model.onnx cat.png --method integrated-gradients:steps=100 --baseline blur
  exegesis explain model.onnx table.csv --method gradient-shap --baseline background.csv
  exegesis explain boxes.onnx photo.png --task bbox --target 0,2                 two coordinates of a box
  exegesis explain unet.onnx scan.npy --target seed seed/logits=region.npy       a seed of your own
  exegesis explain model.onnx table.csv --columns age,height --row 0:10 --json
  exegesis explain model.onnx images.npy --dry-run              passes and memory, nothing is run or written
  exegesis explain model.onnx images.npy --memory 2G            batches that fit 2 GiB
  exegesis explain model.onnx cat.png --runtime onnxruntime     run by the ONNX Runtime of your Python
  exegesis explain model.onnx images.npy --device cuda:0 --onnxruntime ~/venv-gpu")]
pub struct Explain {
    /// ONNX file. Default: a small built-in classifier of pictures, with --text one of film reviews.
    pub model: Option<PathBuf>,
    /// Picture, .npy, .npz, .safetensors, .csv or .txt; NAME=FILE binds one graph input.
    #[arg(value_name = "INPUT")]
    pub files: Vec<String>,
    /// NAME[:key=value,...]; repeatable. Default: dlbacktrace. See `exegesis methods`.
    #[arg(long = "method", value_name = "METHOD")]
    pub methods: Vec<String>,
    #[command(flatten)]
    pub what: What,
    /// Texts of token ids for reports: a text file with a token per line, or a tokenizer.json.
    #[arg(long, value_name = "FILE")]
    pub vocabulary: Option<PathBuf>,
    /// Text to explain; repeatable. A .txt file among the inputs is one text as well.
    #[arg(long, value_name = "TEXT")]
    pub text: Vec<String>,
    #[command(flatten)]
    pub reading: Reading,
    /// What black-box methods take out: pixel, patch:SIDE, superpixel:COUNT, token, word, column, window:LENGTH, or a .npy
    /// file with a group number per cell of the input (-1 stays).
    #[arg(long, value_name = "KIND|FILE")]
    pub players: Option<String>,
    /// Keep relevance per node (all, or names) in .npz and .safetensors, and draw the flow of relevance through the model,
    /// block by block, in .html, .svg and .png; heads and tokens per layer need `all`, or the names of these nodes.
    #[arg(long, value_name = "all|NAME,...", value_delimiter = ',')]
    pub nodes: Vec<String>,
    #[command(flatten)]
    pub how: How,
    /// File to write; repeatable. The ending decides: .npz .safetensors .json .parquet .png .svg .html.
    /// Default: explanation.html in the current folder.
    #[arg(long, value_name = "FILE")]
    pub save: Vec<PathBuf>,
    /// Say what would be done (passes, rows per batch, memory by part, refusals), and stop.
    #[arg(long)]
    pub dry_run: bool,
    /// Print the summary as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `exegesis compare`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exegesis compare model.onnx photos/ --methods dlbacktrace,gradient,grad-cam
  exegesis compare mlp.onnx test.csv --label-column class --methods kernel-shap,lime,input-x-gradient --limit 50
  exegesis compare bert.onnx reviews.txt --methods slalom,attn-lrp --metrics morf,lerf,comprehensiveness
  exegesis compare model.onnx photos/ --methods lrp,rise:samples=500,mask=7 --save values.json

An interrupted comparison goes on where it was if the same command is given again.")]
pub struct Compare {
    /// ONNX file.
    pub model: PathBuf,
    /// A folder of pictures (its folders are classes, NAME.mask.png beside a picture marks known evidence), .csv, .parquet,
    /// .npy, .npz (with `labels` and `mask/INPUT`), .safetensors, .txt (a text per line) or .tsv (class, tab, text).
    #[arg(value_name = "DATA", required = true)]
    pub data: Vec<String>,
    /// METHOD[:key=value,...],...
    #[arg(long, value_name = "M,M,...")]
    pub methods: String,
    #[command(flatten)]
    pub judging: Judging,
}

/// How methods are judged, shared by `compare` and `evaluate`.
#[derive(Args, Debug)]
pub struct Judging {
    /// Column of a table that holds the right class.
    #[arg(long, value_name = "NAME")]
    pub label_column: Option<String>,
    /// Leave out samples that the model gets wrong.
    #[arg(long)]
    pub correct_only: bool,
    /// METRIC[:key=value,...],... Default: see `exegesis metrics`.
    #[arg(long, value_name = "X,X,...")]
    pub metrics: Option<String>,
    /// Most samples.
    #[arg(long, value_name = "N")]
    pub limit: Option<NonZeroUsize>,
    /// What stands in for what is taken out: zero, mean, blur, noise, impute, delete, mask, pad, median, background, linear.
    /// Default: what suits the data.
    #[arg(long, value_name = "OPERATOR")]
    pub operator: Option<String>,
    /// Maps that have to be beaten: random, uniform, centre, edges, rarity, leave-one-out, or none. Default: those that suit the
    /// data.
    #[arg(long, value_name = "C,C,...", value_delimiter = ',')]
    pub controls: Option<Vec<String>>,
    #[command(flatten)]
    pub what: What,
    #[command(flatten)]
    pub reading: Reading,
    #[command(flatten)]
    pub how: How,
    /// The report.
    #[arg(short, long, value_name = "REPORT.html", default_value = "comparison.html")]
    pub output: PathBuf,
    /// File to write; repeatable: .json for everything, .parquet for a row per method, metric and sample.
    #[arg(long, value_name = "FILE")]
    pub save: Vec<PathBuf>,
    /// Samples whose maps the report shows side by side.
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub examples: usize,
    /// Print the summary as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `exegesis evaluate`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exegesis explain model.onnx x.npy --method lime --method gradient --save maps.npz
  exegesis evaluate model.onnx x.npy --attributions maps.npz
  exegesis evaluate model.onnx x.npy --attributions captum.npz --attributions shap.npz --metrics morf,lerf,gini

Arrays are called attribution/INPUT, or METHOD/attribution/INPUT, have the shape of the input and a row for each sample. Numbered
files (maps-0001.npz, maps-0002.npz) are put together in the order in which they are given; others are contestants of their own.
Metrics that ask for new maps have no value for saved ones.")]
pub struct Evaluate {
    /// ONNX file.
    pub model: PathBuf,
    /// What was explained: as for `compare`.
    #[arg(value_name = "DATA", required = true)]
    pub data: Vec<String>,
    /// .npz or .safetensors file with attributions; repeatable.
    #[arg(long, value_name = "FILE", required = true)]
    pub attributions: Vec<PathBuf>,
    #[command(flatten)]
    pub judging: Judging,
}

/// `exegesis truth`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exegesis truth                                                  a usual set of methods, all suites
  exegesis truth --methods dlbacktrace,gradient,lrp --suites networks,pictures
  exegesis truth --methods slalom,occlusion --suites texts --save truth.json")]
pub struct Truth {
    /// METHOD[:key=value,...],... Default: a usual set.
    #[arg(long, value_name = "M,M,...")]
    pub methods: Option<String>,
    /// Suites. Default: all of them.
    #[arg(long, value_name = "S,S,...", value_delimiter = ',')]
    pub suites: Option<Vec<String>>,
    /// Samples per model.
    #[arg(long, value_name = "N", default_value = "50")]
    pub limit: NonZeroUsize,
    #[command(flatten)]
    pub place: Place,
    /// Seed of samples and of methods.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// File to write everything to, value by value: .json; repeatable.
    #[arg(long, value_name = "FILE")]
    pub save: Vec<PathBuf>,
    /// Write the samples that the models of the suites learn from, and stop.
    #[arg(long, value_name = "FILE.npz")]
    pub write_data: Option<PathBuf>,
}

/// `exegesis metrics`.
#[derive(Args, Debug)]
pub struct Metrics {
    /// Metric to show.
    pub name: Option<String>,
}

/// What runs it.
#[derive(Args, Debug)]
pub struct Place {
    /// auto, rten (embedded) or onnxruntime. auto is what the variable EXEGESIS_RUNTIME names, else ONNX Runtime where it is
    /// found, else rten.
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub runtime: String,
    /// cpu, or cuda[:N] with an ONNX Runtime that has it; where the GPU can't be used the CPU does the work, with a warning.
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// ONNX Runtime's library, its folder, or a Python environment that has the package `onnxruntime`. Default: what the
    /// variable ORT_DYLIB_PATH names, then the active Python environment, then that of python3 on the path.
    #[arg(long, value_name = "PATH")]
    pub onnxruntime: Option<PathBuf>,
    /// Threads. Default: all cores.
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

/// How it is run.
#[derive(Args, Debug)]
pub struct How {
    #[command(flatten)]
    pub place: Place,
    /// Random seed.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Rows per batch. Default: as many as fit the memory, at most 32.
    #[arg(long, value_name = "ROWS")]
    pub batch: Option<NonZeroUsize>,
    /// Memory that may be used, weights included: bytes, or a number with k, M, G or T such as 4G; exit status 5 if the
    /// smallest batch does not fit. Default: three quarters of what is free.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub memory: Option<u64>,
}

/// `exegesis compile`.
#[derive(Args, Debug)]
pub struct Compile {
    /// ONNX file.
    pub model: PathBuf,
    /// NAME[:key=value,...].
    #[arg(long, value_name = "METHOD", default_value = "dlbacktrace")]
    pub method: String,
    #[command(flatten)]
    pub what: What,
    /// File to write.
    #[arg(short, long, value_name = "OUT.onnx")]
    pub output: PathBuf,
    /// Preprocessing of pictures to note in the file. Default: that of the model.
    #[arg(long, value_name = "STEPS")]
    pub preprocess: Option<String>,
    /// Operator set of the file (18).
    #[arg(long, default_value_t = 18)]
    pub opset: u32,
}

/// `exegesis inspect`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exegesis inspect model.onnx                                    inputs, outputs, operators, which methods cover it
  exegesis inspect model.onnx --method dlbacktrace               the rule of each kind of node, refusals, cost
  exegesis inspect model.onnx --method dlbacktrace -v            the rule of each node
  exegesis inspect model.onnx --method dlbacktrace --json        all of it for programs")]
pub struct Inspect {
    /// ONNX file.
    pub model: PathBuf,
    /// Method whose plan is shown: the rule of each node, refusals and cost (-v: a line per node); with --stage its graph.
    #[arg(long, value_name = "METHOD")]
    pub method: Option<String>,
    #[command(flatten)]
    pub what: What,
    /// Print the graph at this stage instead.
    #[arg(long, value_enum)]
    pub stage: Option<StageArg>,
    /// Print as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `exegesis methods`.
#[derive(Args, Debug)]
pub struct Methods {
    /// Method to show.
    pub name: Option<String>,
}

/// `--score`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ScoreArg {
    /// Before a final softmax or sigmoid.
    #[default]
    Logit,
    /// After it.
    Probability,
}

impl From<ScoreArg> for Score {
    fn from(score: ScoreArg) -> Self {
        match score {
            ScoreArg::Logit => Self::Logit,
            ScoreArg::Probability => Self::Probability,
        }
    }
}

/// `--on-missing-rule`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum MissingArg {
    /// Refuse, naming every such node.
    #[default]
    Error,
    /// Hand on what arrived, unchanged.
    Pass,
    /// Use the gradient there.
    Gradient,
}

impl From<MissingArg> for OnMissingRule {
    fn from(choice: MissingArg) -> Self {
        match choice {
            MissingArg::Error => Self::Error,
            MissingArg::Pass => Self::Pass,
            MissingArg::Gradient => Self::Gradient,
        }
    }
}

/// `--stage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StageArg {
    /// As read.
    Imported,
    /// Constants folded, composites recognised.
    Raised,
    /// With the nodes of the method.
    Explained,
    /// Standard operators only.
    Lowered,
}

impl From<StageArg> for Stage {
    fn from(stage: StageArg) -> Self {
        match stage {
            StageArg::Imported => Self::Imported,
            StageArg::Raised => Self::Raised,
            StageArg::Explained => Self::Explained,
            StageArg::Lowered => Self::Lowered,
        }
    }
}

/// `4G`, `500M`, `64k` or bytes; powers of 1024.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("\"{text}\" is no size; write bytes, or a number with k, M, G or T such as 4G");
    let trimmed = text.trim().trim_end_matches(['b', 'B', 'i']);
    let (number, factor) = match trimmed.chars().last() {
        Some('k' | 'K') => (&trimmed[..trimmed.len() - 1], 1u64 << 10),
        Some('m' | 'M') => (&trimmed[..trimmed.len() - 1], 1 << 20),
        Some('g' | 'G') => (&trimmed[..trimmed.len() - 1], 1 << 30),
        Some('t' | 'T') => (&trimmed[..trimmed.len() - 1], 1 << 40),
        _ => (trimmed, 1),
    };
    let value: f64 = number.trim().parse().map_err(|_| wrong())?;
    if value.is_finite() && value > 0.0 { Ok((value * factor as f64) as u64) } else { Err(wrong()) }
}

/// A number of seconds above 0.
fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.trim().trim_end_matches('s').parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err(format!("\"{text}\" is no time; write seconds above 0, such as 60")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(parse_bytes("4G"), Ok(4 << 30));
        assert_eq!(parse_bytes("1.5MiB"), Ok(3 << 19));
        assert_eq!(parse_bytes("512"), Ok(512));
        assert!(["", "G", "-1", "nan", "4X", "é"].iter().all(|t| parse_bytes(t).is_err()));
    }
}
