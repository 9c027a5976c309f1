//! What a model is run on: named arrays, and how a reader should see them.
//!
//! Reading goes in three steps, one module each: a file becomes arrays, a picture or a table (`npy`, `npz`,
//! `safetensors`, `image`, `csv`); these are bound to the graph's inputs and converted to their types (`bind`, `fit`);
//! what has equal shapes is stacked, everything else becomes a run of its own (`stack`).

mod bind;
mod csv;
mod fit;
mod given;
mod image;
mod labelled;
mod npy;
mod npz;
mod parquet;
mod rows;
mod safetensors;
mod stack;

use std::path::{Path, PathBuf};

use exegesis_graph::Tensor;
use exegesis_report::{InputView, TextView};
use exegesis_runtime::Port;

use crate::text::SpecialIds;
use crate::{Error, Preprocess, Remarks, Result, TextReader};

pub(crate) use bind::{Bound, Piece, is_batched};
pub use given::{Given, Value, bind_values};
pub(crate) use labelled::rows_of;
pub use labelled::{LabelOptions, Labelled, read_labelled};
pub(crate) use npy::write as write_npy;
pub use rows::Rows;

/// Largest file and largest array that is read, in bytes.
pub(crate) const MAX_BYTES: u64 = 8 << 30;

/// One graph input of one run.
#[derive(Clone, Debug)]
pub struct Input {
    /// Name of the graph input.
    pub name: String,
    /// Values, batch axis first.
    pub tensor: Tensor,
    /// How a reader should see each row; empty where that has to be guessed from the values.
    pub views: Vec<InputView>,
}

/// The inputs of one run of the model: one or more rows.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    entries: Vec<Input>,
    row_names: Vec<String>,
    special_ids: Option<SpecialIds>,
    /// Numbers that stand for the rows in random numbers; empty where each row stands for itself.
    row_keys: Vec<u64>,
}

impl Inputs {
    /// No inputs yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With the array `tensor` for the graph input `name`, batch axis first.
    #[must_use]
    pub fn with(self, name: impl Into<String>, tensor: Tensor) -> Self {
        self.with_input(Input { name: name.into(), tensor, views: Vec::new() })
    }

    /// With an input that knows how it is to be drawn.
    #[must_use]
    pub fn with_input(mut self, input: Input) -> Self {
        self.entries.push(input);
        self
    }

    /// With what a reader calls each row, such as its file.
    #[must_use]
    pub fn with_row_names(mut self, names: Vec<String>) -> Self {
        self.row_names = names;
        self
    }

    /// With the row names of `other`.
    #[must_use]
    pub(crate) fn with_row_names_of(mut self, other: &Self) -> Self {
        self.row_names.clone_from(&other.row_names);
        self
    }

    /// With the ids that stand in for others, where token ids come from a tokenizer.
    #[must_use]
    pub fn with_special_ids(mut self, ids: SpecialIds) -> Self {
        self.special_ids = Some(ids);
        self
    }

    /// With a number for each row that random numbers of its explanation depend on, in place of its number here: the same row is
    /// explained alike alone, in a batch, or as a neighbour of itself.
    #[must_use]
    pub fn with_row_keys(mut self, keys: Vec<u64>) -> Self {
        self.row_keys = keys;
        self
    }

    /// What stands for row `row` in random numbers.
    pub fn row_key(&self, row: usize) -> u64 {
        self.row_keys.get(row).copied().unwrap_or(row as u64)
    }

    /// The ids that stand in for others, if the tokenizer is known.
    pub fn special_ids(&self) -> Option<SpecialIds> {
        self.special_ids
    }

    /// The text that row `row` of the input `name` was made of, if it is known.
    pub fn text(&self, name: &str, row: usize) -> Option<&TextView> {
        match self.get(name)?.views.get(row)? {
            InputView::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The inputs in the order they were given.
    pub fn entries(&self) -> &[Input] {
        &self.entries
    }

    /// The input called `name`.
    pub fn get(&self, name: &str) -> Option<&Input> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// What a reader calls row `row`.
    pub fn row_name(&self, row: usize) -> String {
        self.row_names.get(row).cloned().unwrap_or_else(|| format!("row {row}"))
    }

    /// Number of rows: the leading size of the first input that has axes.
    pub fn rows(&self) -> usize {
        self.entries.iter().find_map(|i| i.tensor.shape().first().copied()).unwrap_or(1)
    }

    /// The first `count` of `rows` rows.
    ///
    /// # Errors
    /// None for counts up to the rows.
    pub(crate) fn leading_rows(&self, count: usize, rows: usize) -> Result<Self> {
        self.span(0..count, rows)
    }

    /// Some of `rows` rows; inputs without rows stay.
    ///
    /// # Errors
    /// None for spans within the rows.
    pub(crate) fn span(&self, span: std::ops::Range<usize>, rows: usize) -> Result<Self> {
        if span.start == 0 && span.end >= rows {
            return Ok(self.clone());
        }
        let mut all = self.clone();
        let part = |count: usize| span.start.min(count)..span.end.min(count);
        for entry in &mut all.entries {
            if entry.tensor.shape().first() == Some(&rows) {
                entry.tensor = slice_rows(&entry.tensor, span.clone())?;
                entry.views = entry.views[part(entry.views.len())].to_vec();
            }
        }
        all.row_names = all.row_names[part(all.row_names.len())].to_vec();
        all.row_keys = all.row_keys[part(all.row_keys.len())].to_vec();
        Ok(all)
    }

    /// Keeps the inputs whose names fit.
    pub(crate) fn retain(&mut self, fits: impl Fn(&str) -> bool) {
        self.entries.retain(|entry| fits(&entry.name));
    }

    /// Puts other arrays in place.
    ///
    /// # Errors
    /// Those of `change`.
    pub(crate) fn map(&mut self, change: impl Fn(&str, &Tensor) -> Result<Tensor>) -> Result<()> {
        for entry in &mut self.entries {
            entry.tensor = change(&entry.name, &entry.tensor)?;
        }
        Ok(())
    }

    /// Every row is drawn as row `row` is.
    pub(crate) fn repeat_views(&mut self, row: usize, count: usize) {
        self.row_names.clear();
        for entry in &mut self.entries {
            let view = entry.views.get(row).cloned();
            entry.views = view.map(|view| vec![view; count]).unwrap_or_default();
        }
    }

    /// Names and values, as a program takes them.
    pub(crate) fn pairs(&self) -> Vec<(&str, &Tensor)> {
        self.entries.iter().map(|entry| (entry.name.as_str(), &entry.tensor)).collect()
    }
}

/// A file that the user named, perhaps for one graph input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Graph input that it is for; `None`: the one that it fits.
    pub name: Option<String>,
    /// The file.
    pub path: PathBuf,
}

impl Source {
    /// `NAME=FILE`, or `FILE`. A text is taken apart only if `NAME` is one of `ports` or no such file exists, so that
    /// file names may hold `=`.
    pub fn parse(text: &str, ports: &[Port]) -> Self {
        for (at, _) in text.match_indices('=') {
            let (name, path) = (&text[..at], &text[at + 1..]);
            if ports.iter().any(|port| port.name == name) {
                return Self { name: Some(name.to_string()), path: path.into() };
            }
        }
        match text.split_once('=') {
            Some((name, path)) if !Path::new(text).exists() && !name.is_empty() => {
                Self { name: Some(name.to_string()), path: path.into() }
            }
            _ => Self { name: None, path: text.into() },
        }
    }
}

/// How files are read.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// Preprocessing of pictures; `None`: none is known, so pictures are stretched, with a warning.
    pub preprocess: Option<Preprocess>,
    /// Columns of tables, by name or by number from 0.
    pub columns: Option<Vec<String>>,
    /// Columns that the model names in its metadata, used when `columns` is not given.
    pub model_columns: Option<Vec<String>>,
    /// Rows of tables and arrays; `None`: all.
    pub rows: Option<Rows>,
    /// Texts that were given as such, not as files.
    pub texts: Vec<String>,
    /// Reads texts; needed where there are some.
    pub reader: Option<TextReader>,
}

/// Inputs that were read.
#[derive(Clone, Debug, Default)]
pub struct ReadInputs {
    /// One per run, in the order of the files.
    pub runs: Vec<Inputs>,
    /// Conversions and guesses that the user should know of.
    pub remarks: Remarks,
}

/// Reads `sources` for a graph with the inputs `ports`.
///
/// # Errors
/// A file that can't be read, an array of the wrong type or shape, empty or with values that are not finite, an input
/// without a value, a value without an input.
pub fn read(ports: &[Port], sources: &[Source], options: &ReadOptions) -> Result<ReadInputs> {
    let mut remarks = Remarks::default();
    let bound = bind::bind(ports, sources, options, &mut remarks)?;
    let mut runs = stack::stack(ports, bound)?;
    if let Some(reader) = &options.reader {
        runs = runs.into_iter().map(|run| reader.describe(run)).collect::<Result<_>>()?;
    }
    Ok(ReadInputs { runs, remarks })
}

/// Arrays by name.
pub(crate) type Named = Vec<(String, Tensor)>;

/// The bytes of a `.npz` or `.safetensors` file, and all its arrays by name.
///
/// # Errors
/// Another kind of file, or one that can't be read.
pub(crate) fn read_arrays(path: &Path) -> Result<(Vec<u8>, Named)> {
    let kind = kind(path)?;
    let bytes = read_bytes(path)?;
    let found = match kind {
        Kind::Npz => npz::read(&bytes, |_| true),
        Kind::Safetensors => safetensors::read(&bytes, |_| true),
        _ => Err(Error::usage("arrays with names are needed. Give a .npz or .safetensors file.")),
    };
    let arrays = found.map_err(|e| e.of(format_args!("\"{}\"", path.display())))?.arrays;
    Ok((bytes, arrays))
}

/// The inputs of a graph in one line: `"x" float32 [batch, 3, 224, 224], ...`.
pub fn describe_ports(ports: &[Port]) -> String {
    let described: Vec<String> = ports.iter().map(describe_port).collect();
    if described.is_empty() { "none".to_string() } else { described.join(", ") }
}

fn describe_port(port: &Port) -> String {
    let shape = port.shape.as_ref().map(|shape| {
        let dims: Vec<String> = shape.iter().map(ToString::to_string).collect();
        format!(" [{}]", dims.join(", "))
    });
    format!("\"{}\" {}{}", port.name, port.dtype, shape.unwrap_or_default())
}

/// What a file of several arrays holds.
#[derive(Debug)]
struct Arrays {
    /// Those that were wanted, by name.
    arrays: Vec<(String, Tensor)>,
    /// Names of the others.
    others: Vec<String>,
}

/// The kinds of input files, by ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Image,
    Npy,
    Npz,
    Safetensors,
    Csv,
    Parquet,
    Text,
}

fn kind(path: &Path) -> Result<Kind> {
    let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let shown = path.display();
    Ok(match ending.as_str() {
        "png" | "jpg" | "jpeg" | "bmp" | "gif" | "webp" | "pgm" | "ppm" | "pnm" => Kind::Image,
        "npy" => Kind::Npy,
        "npz" => Kind::Npz,
        "safetensors" => Kind::Safetensors,
        "csv" => Kind::Csv,
        "parquet" => Kind::Parquet,
        "txt" => Kind::Text,
        _ => {
            return Err(Error::usage(format!(
                "\"{shown}\" is not a kind of input that is read. \
                 Use a picture (.png .jpg .bmp .gif .webp .ppm), .npy, .npz, .safetensors, .csv, .parquet or .txt."
            )));
        }
    })
}

/// The bytes of a file, with a sentence about what is wrong with it.
fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let failed = |e: &std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => {
            Error::input(format!("there is no file \"{}\". Check the path.", path.display()))
        }
        _ => Error::input(format!(
            "can't read \"{}\": {e}. Check that it is a file you may read.",
            path.display()
        )),
    };
    let meta = std::fs::metadata(path).map_err(|e| failed(&e))?;
    if !meta.is_file() {
        return Err(Error::input(format!("\"{}\" is not a file. Give the name of a file.", path.display())));
    }
    if meta.len() == 0 {
        return Err(Error::input(format!("\"{}\" is empty. Check how it was written.", path.display())));
    }
    if meta.len() > MAX_BYTES {
        return Err(Error::input(format!(
            "\"{}\" has {} bytes, more than the {MAX_BYTES} that are read. Split it.",
            path.display(),
            meta.len()
        )));
    }
    std::fs::read(path).map_err(|e| failed(&e))
}

/// `tensor` as `port` takes it, without a word about its type.
pub(crate) fn fitted(port: &Port, tensor: Tensor) -> Result<Tensor> {
    fit::fit(port, tensor, &mut Remarks::default())
}

/// The picture in a file's bytes.
pub(crate) fn decode_picture(bytes: &[u8]) -> Result<::image::DynamicImage> {
    image::decode(bytes)
}

/// Arrays joined along the leading axis.
pub(crate) fn join_rows(parts: &[&Tensor]) -> Result<Tensor> {
    Ok(rows::concat(parts)?)
}

/// Rows of the leading axis.
pub(crate) fn slice_rows(tensor: &Tensor, range: std::ops::Range<usize>) -> Result<Tensor> {
    Ok(rows::slice(tensor, range)?)
}

/// Rows of the leading axis by number.
pub(crate) fn take_rows(tensor: &Tensor, rows: &[usize]) -> Result<Tensor> {
    Ok(rows::take(tensor, rows)?)
}
