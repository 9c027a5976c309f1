//! Maps from files: of an earlier `explain`, or of any other tool. They are judged like those of a method, but can't be asked
//! for again, so that metrics which need new maps have no value for them.

use std::path::Path;

use exegesis_graph::Tensor;
use exegesis_metrics::{Features, Map};
use exegesis_report::{Attribution, Layout, MethodReport, Polarity, RowReport};
use sha2::{Digest, Sha256};

use super::contestant::repeats;
use super::data::DataSet;
use crate::inputs::{read_arrays, slice_rows, write_npy};
use crate::{Error, Method, Result};

/// What the names of arrays with maps begin with, behind the name of a method.
const PREFIX: &str = "attribution/";

/// Saved maps of all samples by one method.
#[derive(Clone, Debug)]
pub struct Saved {
    /// Unique name.
    pub key: String,
    /// SHA-256 of the files.
    pub sha256: String,
    /// What the user should know of the maps.
    pub warnings: Vec<String>,
    /// Per input its arrays; the rows of all of them in turn are the samples.
    arrays: Vec<(String, Vec<Tensor>)>,
    is_signed: bool,
    /// True if each cell has the value of its whole feature.
    repeats: bool,
}

impl Saved {
    /// Reads `.npz` or `.safetensors` files whose rows, file after file, are the samples of `data`: arrays called
    /// `attribution/INPUT` or `METHOD/attribution/INPUT`. There is one result per method. `limit` is that of the data.
    ///
    /// # Errors
    /// Files that can't be read or hold no such array, arrays of another number of samples or another shape than the inputs,
    /// and values that are not finite.
    pub fn read(paths: &[impl AsRef<Path>], data: &DataSet, limit: Option<usize>) -> Result<Vec<Self>> {
        let mut all: Vec<Self> = vec![];
        let mut hash = Sha256::new();
        for path in paths.iter().map(AsRef::as_ref) {
            let shown = path.display();
            let (bytes, arrays) = read_arrays(path)?;
            hash.update(&bytes);
            let names: Vec<String> = arrays.iter().map(|(name, _)| name.clone()).collect();
            let mut found = 0;
            for (name, tensor) in arrays {
                let Some((method, input)) = split(&name) else { continue };
                found += 1;
                let key = if method.is_empty() { stem(path) } else { method.to_string() };
                let at = match all.iter().position(|saved| saved.key == key) {
                    Some(at) => at,
                    None => {
                        let method = Method::parse(method.split('#').next().unwrap_or_default());
                        all.push(Self {
                            key,
                            sha256: String::new(),
                            warnings: vec![],
                            arrays: vec![],
                            is_signed: false,
                            repeats: method.is_ok_and(|m| repeats(&m)),
                        });
                        all.len() - 1
                    }
                };
                let saved = &mut all[at];
                match saved.arrays.iter_mut().find(|(own, _)| own == input) {
                    Some((_, list)) => list.push(tensor),
                    None => saved.arrays.push((input.to_string(), vec![tensor])),
                }
            }
            if found == 0 {
                return Err(Error::input(format!(
                    "\"{shown}\" holds no attributions, only {}. Name the arrays {PREFIX}INPUT or METHOD/{PREFIX}INPUT.",
                    names.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ")
                )));
            }
        }
        let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        for saved in &mut all {
            saved.sha256.clone_from(&digest);
            saved.check(data, limit)?;
        }
        Ok(all)
    }

    /// Maps that a caller holds: by the name of the tool or method, per explained input an array with the samples in front.
    ///
    /// # Errors
    /// As [`Saved::read`], without the errors of files.
    pub fn of_arrays(
        key: impl Into<String>,
        arrays: Vec<(String, Tensor)>,
        data: &DataSet,
        limit: Option<usize>,
    ) -> Result<Self> {
        let key = key.into();
        let mut hash = Sha256::new();
        for (input, tensor) in &arrays {
            hash.update(input.as_bytes());
            hash.update(write_npy(tensor).unwrap_or_default());
        }
        let method = Method::parse(key.split('#').next().unwrap_or_default());
        let mut saved = Self {
            sha256: crate::model::hex(&hash.finalize()),
            warnings: vec![],
            arrays: arrays.into_iter().map(|(input, tensor)| (input, vec![tensor])).collect(),
            is_signed: false,
            repeats: method.is_ok_and(|m| repeats(&m)),
            key,
        };
        saved.check(data, limit)?;
        Ok(saved)
    }

    /// Shapes and values; notes whether there is a sign, and maps that say nothing.
    fn check(&mut self, data: &DataSet, limit: Option<usize>) -> Result<()> {
        let samples = data.samples();
        let mut is_constant = vec![true; samples.len()];
        for (input, list) in &self.arrays {
            let rows: usize = list.iter().map(|t| t.shape().first().copied().unwrap_or(0)).sum();
            // Where only the first samples are wanted, there may be maps of more.
            let is_enough = limit == Some(samples.len()) && rows > samples.len();
            if rows != samples.len() && !is_enough {
                return Err(Error::input(format!(
                    "the attributions of `{}` for \"{input}\" have {rows} row(s), but there are {} samples. Give one map for \
                     each sample, in their order.",
                    self.key,
                    samples.len()
                )));
            }
            for sample in &samples {
                let Some(entry) = data.runs.get(sample.run).and_then(|run| run.get(input)) else {
                    return Err(Error::input(format!(
                        "the attributions of `{}` are for an input \"{input}\", which the data does not have. Name them after an \
                         input.",
                        self.key
                    )));
                };
                let own = self.row(input, sample.index)?;
                let wanted = entry.tensor.shape().get(1..).unwrap_or_default();
                let (cells, own_cells) = (own.len(), wanted.iter().product::<usize>());
                // What has fewer cells may be one value per feature, which is told once features are known.
                if cells > own_cells || (cells == own_cells && !fits(&own, wanted)) {
                    return Err(Error::input(format!(
                        "the map of `{}` for sample {} has the shape {:?}, its input \"{input}\" {wanted:?}. Give maps of the shape \
                         of the input.",
                        self.key,
                        sample.index,
                        own.shape().get(1..).unwrap_or_default()
                    )));
                }
                let values = own.to_f64().ok_or_else(|| {
                    Error::input(format!(
                        "the attributions of `{}` are no numbers. Save them as floats.",
                        self.key
                    ))
                })?;
                let bad = values.iter().filter(|v| !v.is_finite()).count();
                if bad > 0 {
                    return Err(Error::input(format!(
                        "the map of `{}` for sample {} has {bad} value(s) that are not finite. Find out why, or leave the sample \
                         out.",
                        self.key, sample.index
                    )));
                }
                self.is_signed |= values.iter().any(|v| *v < 0.0);
                is_constant[sample.index] &= values.windows(2).all(|pair| pair[0] == pair[1]);
            }
        }
        let constant = is_constant.iter().filter(|c| **c).count();
        if constant > 0 {
            self.warnings.push(format!(
                "`{}`: {constant} of {} maps are the same everywhere; orders of their features are by chance",
                self.key,
                samples.len()
            ));
        }
        Ok(())
    }

    /// Whether values have a sign.
    pub(super) fn is_signed(&self) -> bool {
        self.is_signed
    }

    /// The array of one sample, with a batch axis of one.
    fn row(&self, input: &str, sample: usize) -> Result<Tensor> {
        let mut left = sample;
        let list = self.arrays.iter().find(|(own, _)| own == input).map(|(_, list)| list.as_slice());
        for tensor in list.unwrap_or_default() {
            let rows = tensor.shape().first().copied().unwrap_or(0);
            if left < rows {
                return slice_rows(tensor, left..left + 1);
            }
            left -= rows;
        }
        Err(Error::input(format!("`{}` has no map of \"{input}\" for sample {sample}.", self.key)))
    }

    /// The map of a sample over `features`; `inputs` are the explained inputs with their numbers of cells. Values of cells are
    /// added up over features; a row with as many values as there are features has one for each.
    ///
    /// # Errors
    /// Arrays that fit neither way, or that are missing.
    pub(super) fn map(&self, sample: usize, inputs: &[(String, usize)], features: &Features) -> Result<Map> {
        let mut cells = vec![];
        for (input, _) in inputs {
            cells.push(self.row(input, sample)?.to_f64().unwrap_or_default());
        }
        let mut values = match (cells.as_slice(), inputs) {
            _ if cells.iter().zip(inputs).all(|(own, (_, count))| own.len() == *count) => {
                features.sums(&cells)
            }
            ([own], _) if own.len() == features.count() => own.clone(),
            _ => {
                let counts: Vec<String> = cells.iter().map(|own| own.len().to_string()).collect();
                return Err(Error::input(format!(
                    "the map of `{}` for sample {sample} has {} value(s); its input has {} cell(s) and {} feature(s). Give maps of \
                     the shape of the input.",
                    self.key,
                    counts.join(" and "),
                    inputs.iter().map(|(_, count)| count.to_string()).collect::<Vec<_>>().join(" and "),
                    features.count()
                )));
            }
        };
        if self.repeats {
            let sizes = features.players.sizes();
            values.iter_mut().zip(sizes).for_each(|(value, size)| *value /= size.max(1) as f64);
        }
        Ok(Map { values, is_signed: self.is_signed, is_unit: false, promised: None })
    }

    /// Adds the map of a sample to the row that is drawn of it.
    pub(super) fn draw(&self, sample: usize, row: &mut RowReport) {
        let layout =
            row.methods.first().and_then(|m| m.attributions.first()).map_or(Layout::default(), |a| a.layout);
        let drawn = |input: &exegesis_report::ReportInput| {
            let own = self.row(&input.name, sample).ok()?;
            let values = own.to_f64()?.iter().map(|v| *v as f32).collect();
            Some(Attribution { shape: own.shape().get(1..)?.to_vec(), values, layout })
        };
        let attributions: Vec<Attribution> = row.inputs.iter().filter_map(drawn).collect();
        let sum = attributions.iter().flat_map(|a| &a.values).map(|v| f64::from(*v)).sum();
        row.methods.push(MethodReport {
            name: self.key.clone(),
            attributions,
            polarity: if self.is_signed { Polarity::Signed } else { Polarity::Unsigned },
            sum,
            ..MethodReport::default()
        });
    }
}

/// `METHOD/attribution/INPUT` as method and input; the method may be absent.
fn split(name: &str) -> Option<(&str, &str)> {
    match name.strip_prefix(PREFIX) {
        Some(input) => Some(("", input)),
        None => {
            let at = name.find(&format!("/{PREFIX}"))?;
            Some((&name[..at], &name[at + 1 + PREFIX.len()..]))
        }
    }
}

/// The name of a file without its ending and the number of its run.
fn stem(path: &Path) -> String {
    let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    match name.rsplit_once('-') {
        Some((stem, number)) if number.len() == 4 && number.bytes().all(|b| b.is_ascii_digit()) => {
            stem.to_string()
        }
        _ => name,
    }
}

/// True if the shape of a row is that of the input, axes of one cell not counted.
fn fits(own: &Tensor, wanted: &[usize]) -> bool {
    let without_ones = |shape: &[usize]| shape.iter().copied().filter(|n| *n != 1).collect::<Vec<_>>();
    without_ones(own.shape().get(1..).unwrap_or_default()) == without_ones(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_at_the_prefix() {
        assert_eq!(split("attribution/x"), Some(("", "x")));
        assert_eq!(split("lime#2/attribution/a/b"), Some(("lime#2", "a/b")));
        assert_eq!(split("prediction/y"), None);
        assert_eq!(
            (stem(Path::new("a/maps-0002.npz")), stem(Path::new("grad-cam.npz"))),
            ("maps".into(), "grad-cam".into())
        );
    }
}
