//! A comparison as a file: everything as JSON, values as Parquet, the report as HTML.

use std::path::Path;

use exegesis_report::{ComparisonReport, render_comparison_html};
use serde_json::{Value, json};

use super::parquet;
use super::record::Comparison;
use super::summary::Summary;
use crate::files::{Staged, check_target};
use crate::{Error, Result};

/// Fails early if `path` could not be written at the end.
///
/// # Errors
/// An ending other than .json, .parquet and .html, or a folder that is not there.
pub fn check_save(path: &Path) -> Result<()> {
    match ending(path).as_str() {
        "json" | "parquet" | "html" => check_target(path),
        other => Err(Error::usage(format!(
            "a comparison can't be saved as \".{other}\". Give a file that ends in .json, .parquet or .html."
        ))),
    }
}

/// Writes a comparison under a temporary name; the ending of `path` decides how.
///
/// # Errors
/// As [`check_save`], or a disk that is full.
pub fn stage(
    path: &Path,
    record: &Comparison,
    summary: &Summary,
    report: &ComparisonReport,
) -> Result<Staged> {
    check_save(path)?;
    let bytes = match ending(path).as_str() {
        "json" => format!("{}\n", json_value(record, summary)?).into_bytes(),
        "parquet" => parquet::write(record)?,
        _ => render_comparison_html(report).into_bytes(),
    };
    Staged::write(path, &bytes)
}

/// Record and summary.
///
/// # Errors
/// None that is known: all of both is text and numbers.
pub fn json_value(record: &Comparison, summary: &Summary) -> Result<Value> {
    Ok(json!({ "comparison": value_of(record)?, "summary": value_of(summary)? }))
}

/// The same without curves, for programs that read the standard output.
///
/// # Errors
/// As [`json_value`].
pub fn short_json(record: &Comparison, summary: &Summary) -> Result<Value> {
    let mut record = record.clone();
    record.values.iter_mut().flatten().flatten().for_each(|outcome| outcome.curves.clear());
    let summary = Summary { curves: vec![], ..summary.clone() };
    json_value(&record, &summary)
}

fn value_of(item: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(item).map_err(|e| Error::input(format!("the comparison can't be written: {e}.")))
}

fn ending(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}
