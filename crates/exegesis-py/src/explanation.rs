//! Explanations.

use std::path::PathBuf;

use exegesis::report::{PngOptions, SvgOptions, render_html, render_png, render_svg};
use exegesis::{Error, Explanation};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::array::array;
use crate::errors::{exception, told};

/// What one or more methods found, and where the numbers come from.
#[pyclass(frozen, name = "Explanation", module = "exegesis._core")]
pub struct PyExplanation {
    inner: Explanation,
}

impl PyExplanation {
    /// Hands over `inner`.
    pub fn new(inner: Explanation) -> Self {
        Self { inner }
    }

    fn row(&self, row: usize) -> PyResult<exegesis::report::RowReport> {
        if row >= self.inner.rows {
            return Err(exception(&Error::usage(format!(
                "there is no row {row}: the explanation has {} row(s), counted from 0. Give one of them.",
                self.inner.rows
            ))));
        }
        Ok(self.inner.report_row(row))
    }
}

#[pymethods]
impl PyExplanation {
    /// Number of rows.
    #[getter]
    fn rows(&self) -> usize {
        self.inner.rows
    }

    /// Keys of the methods, in the order they were asked for.
    #[getter]
    fn methods(&self) -> Vec<String> {
        self.inner.methods.iter().map(|method| method.key.clone()).collect()
    }

    /// All arrays under the keys of saved files.
    fn arrays<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let arrays = PyDict::new(py);
        for (key, tensor) in told(self.inner.arrays())? {
            arrays.set_item(key, array(py, tensor)?)?;
        }
        Ok(arrays)
    }

    /// The summary as JSON text.
    fn json(&self) -> String {
        self.inner.json()
    }

    /// The report as a page.
    fn html(&self) -> String {
        render_html(&self.inner.report(&self.inner.title()))
    }

    /// The picture of one row as SVG text.
    fn svg(&self, row: usize) -> PyResult<String> {
        let row = self.row(row)?;
        told(render_svg(&row, &SvgOptions::default()).map_err(Error::from))
    }

    /// The picture of one row as the bytes of a PNG file.
    fn png<'py>(&self, py: Python<'py>, row: usize) -> PyResult<Bound<'py, PyBytes>> {
        let row = self.row(row)?;
        let bytes = told(render_png(&row, &PngOptions::default()).map_err(Error::from))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Saves as the kind of file that the ending says; returns the files written.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<Vec<PathBuf>> {
        told(py.detach(|| self.inner.save(path)))
    }
}
