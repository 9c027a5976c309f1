//! The step that every renderer starts with: one method's values for one input, brought into drawable form and scaled.

use crate::data::{ChannelReport, MethodReport, ReportInput, RowReport};
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

/// The parts that a method keeps apart, ready to draw, each on a scale of its own: where one is much larger than the other,
/// a common scale would show nothing of the smaller.
///
/// # Errors
/// As [`prepare`].
pub(crate) fn prepare_channels<'a>(
    row: &'a RowReport,
    method: &'a MethodReport,
    input: usize,
    percentile: f64,
) -> Result<Vec<(&'a ChannelReport, Prepared<'a>)>> {
    let Some(report_input) = row.inputs.get(input) else { return Ok(Vec::new()) };
    let mut prepared = Vec::new();
    for channel in &method.channels {
        let Some(attribution) = channel.attributions.get(input) else { continue };
        let reduced = reduce(&report_input.view, attribution)?;
        let scale = Scale::fit(reduced.values(), percentile, channel.polarity);
        prepared.push((channel, Prepared { input: report_input, method, reduced, scale }));
    }
    Ok(prepared)
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
