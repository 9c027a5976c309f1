//! Data with what is known about it: the right classes, and masks of evidence.
//!
//! * a folder of pictures: folders in it are classes; `NAME.mask.png` beside `NAME.png` marks evidence (brighter than half);
//! * `.csv` and `.parquet` with a column of classes; `.tsv` with a class, a tab and a text per line; `.txt` with a text per line;
//! * `.npz` with `labels` (or `label`, `y`), and `mask/INPUT` of the shape of the input;
//! * whatever else is read as input.

use std::path::{Path, PathBuf};

use exegesis_graph::{DType, Tensor};
use exegesis_runtime::Port;

use super::csv::Table;
use super::{Inputs, Kind, ReadInputs, ReadOptions, Source, image, kind, npz, read, read_bytes, slice_rows};
use crate::{Error, Labels, Preprocess, Remarks, Result};

/// How classes are found.
#[derive(Clone, Debug, Default)]
pub struct LabelOptions {
    /// Column of a table that holds the classes.
    pub column: Option<String>,
    /// Names of the classes.
    pub names: Labels,
    /// Most samples; of folders with classes, each gives its share.
    pub limit: Option<usize>,
}

/// Samples and what is known about them.
#[derive(Clone, Debug, Default)]
pub struct Labelled {
    /// The inputs, and how they were read.
    pub read: ReadInputs,
    /// The right class per sample.
    pub labels: Option<Vec<usize>>,
    /// Per sample the evidence, by input.
    pub masks: Option<Vec<Vec<(String, Tensor)>>>,
}

/// Reads `paths` as samples.
///
/// # Errors
/// What can't be read or does not fit the model; classes that are not known; evidence for some samples only.
pub fn read_labelled(
    ports: &[Port],
    paths: &[String],
    options: &ReadOptions,
    choices: &LabelOptions,
) -> Result<Labelled> {
    let mut options = options.clone();
    let mut sources: Vec<Source> = vec![];
    let mut found = Found::default();
    for text in paths {
        let source = Source::parse(text, ports);
        let ending = source.path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        if source.path.is_dir() {
            for (picture, class) in folder(&source.path, choices, &mut found.remarks)? {
                let class = class.map(|name| class_of(&name, &choices.names)).transpose()?;
                found.classes.push(class);
                found.masks.push(mask_beside(&picture));
                sources.push(Source { name: source.name.clone(), path: picture });
            }
        } else if matches!(ending.as_deref(), Some("txt" | "tsv")) {
            texts(&source.path, ending.as_deref() == Some("tsv"), choices, &mut options, &mut found)?;
        } else {
            match kind(&source.path)? {
                Kind::Csv | Kind::Parquet => table(&source.path, choices, &mut options, &mut found)?,
                Kind::Npz => arrays(&source.path, &options, &mut found)?,
                _ => {}
            }
            sources.push(source);
        }
    }
    let mut read = read(ports, &sources, &options)?;
    for warning in &found.remarks.warnings {
        read.remarks.warn(warning);
    }
    let count: usize = read.runs.iter().map(Inputs::rows).sum();
    let masks = match found.masks.iter().flatten().count() {
        0 => found.arrays.map(|arrays| rows_of(arrays, count)).transpose()?,
        marked if marked == found.masks.len() && marked == count => {
            Some(pictures(ports, &read, &found.masks, options.preprocess.as_ref())?)
        }
        marked => {
            return Err(Error::input(format!(
                "{marked} of {count} samples have a mask of evidence. Give NAME.mask.png for every picture, or for none."
            )));
        }
    };
    let known: Vec<usize> = found.classes.iter().flatten().copied().collect();
    let labels = match known.len() {
        0 => None,
        known_count if known_count == count => Some(known),
        known_count => {
            return Err(Error::input(format!(
                "the classes of {known_count} of {count} samples are known. Give those of all, or of none."
            )));
        }
    };
    Ok(Labelled { read, labels, masks })
}

/// What was found beside the inputs.
#[derive(Default)]
struct Found {
    classes: Vec<Option<usize>>,
    masks: Vec<Option<PathBuf>>,
    arrays: Option<Vec<(String, Tensor)>>,
    remarks: Remarks,
}

/// The index of the class that a cell or folder names.
fn class_of(text: &str, names: &Labels) -> Result<usize> {
    let by_name = (0..names.len()).find(|i| names.name(*i) == Some(text));
    // Whole numbers may be written as `1.0`.
    let number =
        || text.parse::<f64>().ok().filter(|v| v.fract() == 0.0 && *v >= 0.0 && *v < 1e9).map(|v| v as usize);
    by_name.or_else(number).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        Error::input(match names.len() {
            0 => format!("the class \"{shown}\" is no number, and the model does not name its classes. Give --labels FILE."),
            count => format!("\"{shown}\" is none of the {count} classes of the model. Give --labels FILE, or their numbers."),
        })
    })
}

/// Pictures of a folder in order, those in its folders with their class.
fn folder(
    path: &Path,
    choices: &LabelOptions,
    remarks: &mut Remarks,
) -> Result<Vec<(PathBuf, Option<String>)>> {
    let list = |path: &Path| -> Result<Vec<PathBuf>> {
        let failed = |e: std::io::Error| {
            Error::input(format!("can't read the folder \"{}\": {e}. Check it.", path.display()))
        };
        let mut all = vec![];
        for entry in std::fs::read_dir(path).map_err(failed)? {
            all.push(entry.map_err(failed)?.path());
        }
        all.sort();
        Ok(all)
    };
    let is_picture = |path: &PathBuf| {
        let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
        !name.ends_with(".mask.png") && path.is_file() && matches!(kind(path), Ok(Kind::Image))
    };
    let entries = list(path)?;
    let mut groups: Vec<(Option<String>, Vec<PathBuf>)> =
        vec![(None, entries.iter().filter(|p| is_picture(p)).cloned().collect())];
    for class in entries.iter().filter(|p| p.is_dir()) {
        let name = class.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let pictures: Vec<PathBuf> = list(class)?.into_iter().filter(|p| is_picture(p)).collect();
        if pictures.is_empty() {
            remarks.warn(format!("the class \"{name}\" has no pictures"));
        }
        groups.push((Some(name), pictures));
    }
    let total: usize = groups.iter().map(|(_, list)| list.len()).sum();
    if total == 0 {
        return Err(Error::input(format!(
            "there are no pictures in \"{}\". Give a folder of pictures, or of folders of them.",
            path.display()
        )));
    }
    // One of each class in turn, so that the first samples are of all classes; then class by class.
    let most = choices.limit.unwrap_or(total).min(total);
    let mut taken = vec![0usize; groups.len()];
    let mut left = most;
    while left > 0 {
        for (count, (_, list)) in taken.iter_mut().zip(&groups) {
            if left > 0 && *count < list.len() {
                *count += 1;
                left -= 1;
            }
        }
    }
    let of_group = |((class, list), count): ((Option<String>, Vec<PathBuf>), usize)| {
        list.into_iter().take(count).map(move |picture| (picture, class.clone()))
    };
    Ok(groups.into_iter().zip(taken).flat_map(of_group).collect())
}

/// `NAME.mask.png` beside a picture.
fn mask_beside(picture: &Path) -> Option<PathBuf> {
    let stem = picture.file_stem()?.to_string_lossy().into_owned();
    let mask = picture.with_file_name(format!("{stem}.mask.png"));
    mask.is_file().then_some(mask)
}

/// Masks as arrays of the shape of the picture's input: 1 where the mask is brighter than half.
fn pictures(
    ports: &[Port],
    read: &ReadInputs,
    masks: &[Option<PathBuf>],
    preprocess: Option<&Preprocess>,
) -> Result<Vec<Vec<(String, Tensor)>>> {
    let first = read.runs.first().and_then(|run| run.entries().iter().find(|e| !e.views.is_empty()));
    let name = first.map(|entry| entry.name.clone()).unwrap_or_default();
    let port =
        ports.iter().find(|p| p.name == name).ok_or_else(|| Error::input("no input takes a picture."))?;
    let shape = port.shape.clone().unwrap_or_default();
    // Placed as the picture is, but with values as they are: grey, 0 to 1.
    let steps = preprocess.cloned().unwrap_or_default().without_scale();
    let mut all = vec![];
    for path in masks.iter().flatten() {
        let picture = image::decode(&read_bytes(path)?).map_err(|e| e.of(path.display()))?;
        let placed = steps.apply(&picture, &port.name, DType::F32, &shape)?;
        let values = placed.tensor.to_f64().unwrap_or_default();
        let bright = values.iter().map(|v| f64::from(u8::from(*v > 127.5))).collect();
        let inner = placed.tensor.shape().get(1..).unwrap_or_default().to_vec();
        all.push(vec![(port.name.clone(), Tensor::from_f64(DType::F32, inner, bright)?)]);
    }
    Ok(all)
}

/// Lines of a text file as texts; with `has_class` each begins with its class and a tab.
fn texts(
    path: &Path,
    has_class: bool,
    choices: &LabelOptions,
    options: &mut ReadOptions,
    found: &mut Found,
) -> Result<()> {
    let bytes = read_bytes(path)?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Error::input(format!("\"{}\" is no text in UTF-8. Convert it first.", path.display()))
    })?;
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|line| !line.is_empty());
    for (number, line) in lines.take(choices.limit.unwrap_or(usize::MAX)).enumerate() {
        if !has_class {
            options.texts.push(line.to_string());
            continue;
        }
        let (class, text) = line.split_once('\t').ok_or_else(|| {
            Error::input(format!(
                "line {} of \"{}\" has no tab. Write a class, a tab and a text per line, or save the texts as .txt.",
                number + 1,
                path.display()
            ))
        })?;
        found.classes.push(Some(class_of(class.trim(), &choices.names)?));
        options.texts.push(text.trim().to_string());
    }
    Ok(())
}

/// The classes of a table; its other columns are what the model takes, unless it or the user names them.
fn table(path: &Path, choices: &LabelOptions, options: &mut ReadOptions, found: &mut Found) -> Result<()> {
    let Some(column) = &choices.column else { return Ok(()) };
    let table = Table::read(path, &read_bytes(path)?, options)?;
    for cell in table.cells(column).map_err(|e| e.of(path.display()))? {
        found.classes.push(Some(class_of(&cell, &choices.names)?));
    }
    if options.columns.is_none() && options.model_columns.is_none() {
        options.columns = Some(table.names().iter().filter(|name| *name != column).cloned().collect());
    }
    Ok(())
}

/// Classes and masks in an archive of arrays.
fn arrays(path: &Path, options: &ReadOptions, found: &mut Found) -> Result<()> {
    let is_label = |name: &str| matches!(name, "labels" | "label" | "y");
    let arrays = npz::read(&read_bytes(path)?, |name| is_label(name) || name.starts_with("mask/"))?.arrays;
    let (labels, masks): (Vec<_>, Vec<_>) = arrays.into_iter().partition(|(name, _)| is_label(name));
    let chosen = |tensor: Tensor| match options.rows {
        Some(rows) => rows.select(tensor),
        None => Ok(tensor),
    };
    if let Some((name, tensor)) = labels.into_iter().next() {
        let values = chosen(tensor)?.to_i64().ok_or_else(|| {
            Error::input(format!(
                "\"{name}\" in {} holds no whole numbers. Save classes as int64.",
                path.display()
            ))
        })?;
        for value in values {
            let class = usize::try_from(value).map_err(|_| {
                Error::input(format!("\"{name}\" holds the class {value}. Number classes from 0."))
            })?;
            found.classes.push(Some(class));
        }
    }
    if !masks.is_empty() {
        let named = masks
            .into_iter()
            .map(|(name, tensor)| Ok((name.trim_start_matches("mask/").to_string(), chosen(tensor)?)));
        found.arrays = Some(named.collect::<Result<_>>()?);
    }
    Ok(())
}

/// Arrays with rows in front, row by row.
/// Arrays with a mask per sample in front, as one list per sample.
///
/// # Errors
/// Another number of masks than `count`.
pub(crate) fn rows_of(arrays: Vec<(String, Tensor)>, count: usize) -> Result<Vec<Vec<(String, Tensor)>>> {
    let mut all = vec![vec![]; count];
    for (name, tensor) in arrays {
        if tensor.shape().first() != Some(&count) {
            return Err(Error::input(format!(
                "\"mask/{name}\" has the shape {:?} for {count} samples. Give a mask per sample.",
                tensor.shape()
            )));
        }
        for (row, own) in all.iter_mut().enumerate() {
            let one = slice_rows(&tensor, row..row + 1)?;
            own.push((name.clone(), Tensor::new(one.shape()[1..].to_vec(), one.data().clone())?));
        }
    }
    Ok(all)
}
