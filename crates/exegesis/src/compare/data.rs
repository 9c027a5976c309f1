//! Samples, what they are known to be, and which cells are known evidence.

use exegesis_graph::Tensor;
use exegesis_metrics::{Features, Modality};
use rustc_hash::FxHashMap;

use crate::explainer::Surroundings;
use crate::inputs::{join_rows, slice_rows};
use crate::{Error, Inputs, Result};

/// Most rows that means, medians and draws are taken from.
const SURROUNDING_ROWS: usize = 1024;

/// Samples to compare methods on. Samples of one size are rows of one run; others are runs of their own.
#[derive(Clone, Debug, Default)]
pub struct DataSet {
    /// Rows as the model takes them.
    pub runs: Vec<Inputs>,
    /// The right class of each sample, over all runs, where it is known.
    pub labels: Option<Vec<usize>>,
    /// Per sample and explained input (by name) an array of its shape without the batch axis: not 0 is evidence.
    pub truths: Option<Vec<Vec<(String, Tensor)>>>,
    /// Where it was read from, in words.
    pub source: String,
    /// SHA-256 of all arrays.
    pub sha256: String,
}

/// One sample of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Number over all runs.
    pub index: usize,
    /// Its run.
    pub run: usize,
    /// Its row there.
    pub row: usize,
}

/// Samples that are explained and judged together.
pub(super) struct Chunk {
    /// Their rows.
    pub inputs: Inputs,
    /// The samples; their row is that in `inputs`.
    pub samples: Vec<Sample>,
}

impl DataSet {
    /// Of rows that the model takes.
    ///
    /// # Errors
    /// No samples, or labels or truths of another number.
    pub fn new(runs: Vec<Inputs>, labels: Option<Vec<usize>>, source: impl Into<String>) -> Result<Self> {
        let sha256 = crate::explanation::hash_of(&runs);
        // Random numbers belong to the sample, however samples are cut into runs.
        let mut first = 0;
        let keyed = |run: Inputs| {
            let keys = (first..first + run.rows() as u64).collect();
            first += run.rows() as u64;
            run.with_row_keys(keys)
        };
        let runs = runs.into_iter().map(keyed).collect();
        let data = Self { runs, labels, truths: None, source: source.into(), sha256 };
        data.check()?;
        Ok(data)
    }

    /// With known evidence, given as an array per explained input (by name) with the samples in front.
    ///
    /// # Errors
    /// As [`DataSet::new`].
    pub fn with_masks(self, arrays: Vec<(String, Tensor)>) -> Result<Self> {
        let count = self.samples().len();
        self.with_truths(crate::inputs::rows_of(arrays, count)?)
    }

    /// With known evidence per sample.
    ///
    /// # Errors
    /// As [`DataSet::new`].
    pub fn with_truths(mut self, truths: Vec<Vec<(String, Tensor)>>) -> Result<Self> {
        self.truths = Some(truths);
        self.check()?;
        Ok(self)
    }

    fn check(&self) -> Result<()> {
        let count = self.samples().len();
        if count == 0 {
            return Err(Error::input(format!(
                "there are no samples in {}. Give data with rows.",
                self.source
            )));
        }
        let wrong = |what: &str, found: usize| {
            Err(Error::input(format!(
                "{} has {count} sample(s) but {found} {what}. Give one for each, or none.",
                self.source
            )))
        };
        match (&self.labels, &self.truths) {
            (Some(labels), _) if labels.len() != count => wrong("labels", labels.len()),
            (_, Some(truths)) if truths.len() != count => wrong("masks of evidence", truths.len()),
            _ => Ok(()),
        }
    }

    /// All samples, run by run.
    pub fn samples(&self) -> Vec<Sample> {
        let mut all = vec![];
        for (run, inputs) in self.runs.iter().enumerate() {
            for row in 0..inputs.rows() {
                all.push(Sample { index: all.len(), run, row });
            }
        }
        all
    }

    /// The first `count` samples.
    ///
    /// # Errors
    /// Rows that can't be cut.
    pub fn limited(&self, count: usize) -> Result<Self> {
        let mut left = count;
        let mut runs = vec![];
        for inputs in &self.runs {
            if left == 0 {
                break;
            }
            let rows = inputs.rows();
            runs.push(inputs.leading_rows(left.min(rows), rows)?);
            left -= left.min(rows);
        }
        let kept = count - left;
        let mut data =
            Self::new(runs, self.labels.as_ref().map(|l| l[..kept.min(l.len())].to_vec()), &self.source)?;
        data.truths = self.truths.as_ref().map(|t| t[..kept.min(t.len())].to_vec());
        Ok(data)
    }

    /// Which features of a sample are known evidence: those of which most cells are.
    ///
    /// # Errors
    /// A mask of another shape than the input.
    pub(super) fn truth(
        &self,
        sample: &Sample,
        inputs: &Inputs,
        features: &Features,
    ) -> Result<Option<Vec<bool>>> {
        let Some(given) = self.truths.as_ref().and_then(|t| t.get(sample.index)) else { return Ok(None) };
        let mut cells = vec![];
        let explained: Vec<&crate::Input> =
            inputs.entries().iter().filter(|e| given.iter().any(|(name, _)| *name == e.name)).collect();
        for entry in explained {
            let Some((_, mask)) = given.iter().find(|(name, _)| *name == entry.name) else { continue };
            let own = entry.tensor.len() / inputs.rows().max(1);
            if mask.len() != own {
                return Err(Error::input(format!(
                    "the mask of evidence of sample {} has {} cells for \"{}\", whose rows have {own}. Give one of the \
                     shape of the input.",
                    sample.index,
                    mask.len(),
                    entry.name
                )));
            }
            let marked = mask.to_f64().unwrap_or_default();
            cells.push(marked.iter().map(|v| f64::from(u8::from(*v != 0.0))).collect());
        }
        let marked = features.sums(&cells);
        Ok(Some(marked.iter().zip(features.players.sizes()).map(|(m, size)| 2.0 * m > size as f64).collect()))
    }

    /// Runs of at most `most` rows, in order; rows of one run are spread evenly.
    ///
    /// # Errors
    /// Rows that can't be cut.
    pub(super) fn chunks(&self, most: usize) -> Result<Vec<Chunk>> {
        let (mut all, mut index) = (vec![], 0);
        for (run, inputs) in self.runs.iter().enumerate() {
            let rows = inputs.rows();
            let parts = rows.div_ceil(most.max(1)).max(1);
            for part in 0..parts {
                let (start, end) = (part * rows / parts, (part + 1) * rows / parts);
                let samples =
                    (start..end).map(|row| Sample { index: index + row, run, row: row - start }).collect();
                all.push(Chunk { inputs: inputs.span(start..end, rows)?, samples });
            }
            index += rows;
        }
        Ok(all)
    }

    /// Per token id the number of texts that hold it; of data without texts nothing.
    pub(super) fn document_counts(&self, modality: Modality) -> FxHashMap<i64, usize> {
        let mut counts = FxHashMap::default();
        for sample in self.samples().into_iter().filter(|_| modality == Modality::Text) {
            let is_text =
                |input: &&crate::Input| input.tensor.dtype().is_integer() && !input.views.is_empty();
            let inputs = &self.runs[sample.run];
            let ids = inputs.entries().iter().find(is_text).or(inputs.entries().first());
            let Some(ids) = ids.map(|entry| &entry.tensor) else { continue };
            let row =
                slice_rows(ids, sample.row..sample.row + 1).ok().and_then(|t| t.to_i64()).unwrap_or_default();
            let distinct: rustc_hash::FxHashSet<i64> = row.into_iter().collect();
            distinct.into_iter().for_each(|id| *counts.entry(id).or_default() += 1);
        }
        counts
    }

    /// Rows that means, medians and draws are taken from: of data whose samples have one size.
    pub(crate) fn surroundings(&self) -> Surroundings {
        let Some(first) = self.runs.first() else { return Surroundings::default() };
        let mut rows = Inputs::new();
        for entry in first.entries() {
            let parts: Vec<&Tensor> = self
                .runs
                .iter()
                .filter_map(|run| run.get(&entry.name).map(|e| &e.tensor))
                .filter(|t| t.shape().get(1..) == entry.tensor.shape().get(1..))
                .collect();
            let Ok(all) = join_rows(&parts) else { continue };
            let count = all.shape().first().copied().unwrap_or(0).min(SURROUNDING_ROWS);
            if let Ok(leading) = slice_rows(&all, 0..count) {
                rows = rows.with(&entry.name, leading);
            }
        }
        Surroundings { rows: Some(rows) }
    }
}
