//! The step that every renderer starts with: one method's values for one input, brought into drawable form and scaled.

use crate::data::{MethodReport, ReportInput, RowReport};
use crate::error::{ErrorKind, ReportError, Result};
use crate::reduce::{Reduced, reduce};
use crate::scale::Scale;

/// A method's values for one input, ready to draw.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    pub input: &'a ReportInput,
    pub method: &'a MethodReport,
    pub reduced: Reduced,
    pub scale: Scale,
}

/// Pairs a method's attribution with its input.
///
/// # Errors
/// If the method has no attribution for this input, or one that does not fit it.
pub(crate) fn prepare<'a>(
    row: &'a RowReport,
    method: &'a MethodReport,
    input: usize,
    percentile: f64,
) -> Result<Prepared<'a>> {
    let (Some(attribution), Some(report_input)) = (method.attributions.get(input), row.inputs.get(input))
    else {
        return Err(ReportError::new(
            ErrorKind::Mismatch,
            format!(
                "Method \"{}\" has {} attributions for {} inputs. Give one per input, in their order.",
                method.name,
                method.attributions.len(),
                row.inputs.len()
            ),
        ));
    };
    let reduced = reduce(&report_input.view, attribution)?;
    let scale = Scale::fit(reduced.values(), percentile, method.polarity);
    Ok(Prepared { input: report_input, method, reduced, scale })
}

/// Refuses rows that have nothing to draw.
///
/// # Errors
/// [`ErrorKind::Empty`] without inputs or without methods.
pub(crate) fn check(row: &RowReport) -> Result<()> {
    if row.inputs.is_empty() || row.methods.is_empty() {
        let message = "The row has no input or no explanation to draw. Add one of each.";
        return Err(ReportError::new(ErrorKind::Empty, message));
    }
    Ok(())
}
