//! Comparisons of methods, and judgements of maps of other tools.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use exegesis::compare::{
    CompareOptions, ComparerBuilder, Comparison, DataSet, Progress, Saved, Summary, check_save, json_value,
    report, stage,
};
use exegesis::report::{ComparisonReport, RowReport, render_comparison_html, render_ranks_svg};
use exegesis::{Given, LabelOptions, Method, Model, ReadOptions, Result, Tensor, bind_values, read_labelled};
use pyo3::prelude::*;

use crate::array::tensor;
use crate::errors::told;
use crate::options::Choices;
use crate::run::beside;

/// Arrays by the name of an explained input, samples in front.
pub type NamedArrays<'py> = Vec<(String, Bound<'py, PyAny>)>;

/// What is compared, a dictionary with all of these keys; `None` is the default of the command.
#[derive(Clone, Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub struct Contest {
    pub methods: Vec<String>,
    pub metrics: Option<Vec<String>>,
    pub operator: Option<String>,
    pub controls: Option<Vec<String>>,
    pub labels: Option<Vec<usize>>,
    pub label_column: Option<String>,
    pub limit: Option<usize>,
    pub examples: usize,
    pub correct_only: bool,
}

/// Samples as Python hands them over.
pub enum Samples {
    /// Values for the graph inputs.
    Values(Vec<Given>),
    /// Files and folders.
    Paths(Vec<String>),
}

/// Arrays by name as tensors.
///
/// # Errors
/// An object that is no array.
pub fn tensors(arrays: NamedArrays<'_>) -> PyResult<Vec<(String, Tensor)>> {
    arrays.into_iter().map(|(name, array)| Ok((name, tensor(&array)?))).collect()
}

impl Contest {
    /// The samples as the model takes them.
    ///
    /// # Errors
    /// Data that can't be read or do not fit.
    pub fn data(
        &self,
        model: &Model,
        samples: Samples,
        masks: Vec<(String, Tensor)>,
        options: &ReadOptions,
    ) -> Result<DataSet> {
        let mut data = match samples {
            Samples::Values(values) => {
                let read = bind_values(model.inputs(), values, options)?;
                DataSet::new(read.runs, self.labels.clone(), "arrays of the caller")?
            }
            Samples::Paths(paths) => {
                let choices = LabelOptions {
                    column: self.label_column.clone(),
                    names: model.labels(),
                    limit: self.limit,
                };
                let found = read_labelled(model.inputs(), &paths, options, &choices)?;
                let labels = self.labels.clone().or(found.labels);
                let data = DataSet::new(found.read.runs, labels, paths.join(", "))?;
                match found.masks {
                    Some(masks) => data.with_truths(masks)?,
                    None => data,
                }
            }
        };
        if !masks.is_empty() {
            data = data.with_masks(masks)?;
        }
        match self.limit {
            Some(limit) => data.limited(limit),
            None => Ok(data),
        }
    }

    /// Compares on a thread of its own.
    ///
    /// # Errors
    /// A choice that does not exist or does not fit, a stop by the user.
    pub fn run(
        self,
        py: Python<'_>,
        model: Model,
        (data, has_words): (DataSet, bool),
        saved: Vec<(String, Vec<(String, Tensor)>)>,
        choices: Choices,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyComparison> {
        let stop = Arc::new(AtomicBool::new(false));
        let switch = Arc::clone(&stop);
        let (record, examples) = beside(py, &stop, progress, move |meter| {
            let saved = saved
                .into_iter()
                .map(|(key, arrays)| Saved::of_arrays(key, arrays, &data, self.limit))
                .collect::<Result<_>>()?;
            let builder = ComparerBuilder {
                methods: self.methods,
                metrics: self.metrics,
                operator: self.operator,
                controls: self.controls,
                has_words,
                saved,
                target: choices.target.clone().unwrap_or_else(|| "argmax".to_string()),
                options: CompareOptions {
                    seed: choices.seed,
                    stop: Some(Arc::clone(&switch)),
                    examples: self.examples,
                    correct_only: self.correct_only,
                    ..CompareOptions::default()
                },
            };
            let by = |method: Method| choices.builder_of(&model, method, &switch);
            let comparer = builder.build(&data, &by)?;
            comparer.run(&data, &mut |event| {
                if let Progress::Done(samples, total) = event {
                    meter.set(samples as usize, total);
                }
            })
        })?;
        Ok(PyComparison::new(record, examples))
    }
}

/// What came out of a comparison.
#[pyclass(frozen, name = "Comparison", module = "exegesis._core")]
pub struct PyComparison {
    record: Comparison,
    summary: Summary,
    report: ComparisonReport,
}

impl PyComparison {
    fn new(record: Comparison, examples: Vec<RowReport>) -> Self {
        let summary = Summary::of(&record);
        let report = report(&record, &summary, examples);
        Self { record, summary, report }
    }
}

#[pymethods]
impl PyComparison {
    /// Record and summary as JSON text, as `.json` files hold them.
    fn json(&self) -> PyResult<String> {
        told(json_value(&self.record, &self.summary)).map(|value| value.to_string())
    }

    /// The report as a page.
    fn html(&self) -> String {
        render_comparison_html(&self.report)
    }

    /// The ranks of methods as SVG text; `None` if fewer than two are ranked.
    fn ranks(&self, width: f64) -> Option<String> {
        render_ranks_svg(&self.report, width)
    }

    /// The answer in sentences.
    #[getter]
    fn verdict(&self) -> Vec<String> {
        self.report.verdict.clone()
    }

    /// What the reader must know before trusting it.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.report.warnings.clone()
    }

    /// Saves as the kind of file that the ending says.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<PathBuf> {
        told(py.detach(|| {
            check_save(&path)?;
            stage(&path, &self.record, &self.summary, &self.report)?.commit()
        }))
    }
}
