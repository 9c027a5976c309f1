//! Explanations.

use std::any::Any;
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use exegesis::report::{PngOptions, SvgOptions, TokenKind, render_html, render_png, render_svg};
use exegesis::{Error, Explanation};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::array::{array, lent};
use crate::errors::{exception, told};

/// Nodes with their operators, columns, values.
type LedgerTuple<'py> = (Vec<(String, String)>, Vec<String>, Bound<'py, PyAny>);

/// What one or more methods found, and where the numbers come from.
#[pyclass(frozen, name = "Explanation", module = "exegesis._core")]
pub struct PyExplanation {
    inner: Arc<Explanation>,
}

impl PyExplanation {
    /// Hands over `inner`.
    pub fn new(inner: Explanation) -> Self {
        Self { inner: Arc::new(inner) }
    }

    fn owner(&self) -> Arc<dyn Any + Send + Sync> {
        let owner: Arc<dyn Any + Send + Sync> = self.inner.clone();
        owner
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

    /// All arrays under the keys of saved files: read-only views of what is held here.
    fn arrays<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let arrays = PyDict::new(py);
        for (key, tensor) in told(self.inner.views())? {
            let value = match tensor {
                Cow::Borrowed(tensor) => lent(py, tensor, self.owner())?,
                Cow::Owned(tensor) => array(py, tensor)?,
            };
            arrays.set_item(key, value)?;
        }
        Ok(arrays)
    }

    /// The ledger of method number `method`: names and operators of nodes, names of columns, values
    /// `[batch, nodes, columns]`; `None` if it keeps none.
    fn ledger<'py>(&self, py: Python<'py>, method: usize) -> PyResult<Option<LedgerTuple<'py>>> {
        let table = self.inner.methods.get(method).and_then(|method| method.ledger.as_ref());
        let Some(table) = table else { return Ok(None) };
        Ok(Some((table.nodes.clone(), table.columns.clone(), lent(py, &table.values, self.owner())?)))
    }

    /// What should be known before trusting the numbers.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.inner.provenance.remarks.warnings.clone()
    }

    /// Exact or checked conversions, and choices that were made.
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.inner.provenance.remarks.notes.clone()
    }

    /// What is drawn of one row, as JSON text: inputs as a reader should see them, and values per method.
    fn drawing(&self, row: usize) -> PyResult<String> {
        let row = self.row(row)?;
        serde_json::to_string(&row).map_err(|error| {
            exception(&Error::new(exegesis::ErrorKind::Other, format!("the row can't be drawn: {error}.")))
        })
    }

    /// The pieces of the text of each row of an input, padding left out; `None` if it is no text.
    fn pieces(&self, input: &str) -> Option<Vec<Vec<String>>> {
        let of = |row: usize| {
            let text = self.inner.inputs.text(input, row)?;
            let own = text.tokens.iter().filter(|token| token.kind != TokenKind::Padding);
            Some(own.map(|token| token.name.clone()).collect())
        };
        (0..self.inner.rows).map(of).collect()
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
