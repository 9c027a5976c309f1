//! When sampled values are good enough: standard errors beside what is explained.

use exegesis_catalogue::{Result as OptionResult, number};

/// Growth of the sample from one look at the standard errors to the next.
const GROWTH: f64 = 1.25;

/// Standard errors above this part of the largest value are warned of.
const DOUBTFUL: f64 = 0.5;

/// The wanted largest standard error as a part of |score - base value|; `None` spends the whole budget.
pub(crate) type Tolerance = Option<f64>;

/// Reads `off` or a number above 0.
///
/// # Errors
/// Another text.
pub(crate) fn parse(key: &str, text: &str) -> OptionResult<Tolerance> {
    match text {
        "off" => Ok(None),
        _ => number(key, text, |v| v > 0.0, "above 0, or off").map(Some),
    }
}

/// As [`parse`] reads it.
pub(crate) fn text(tolerance: Tolerance) -> String {
    tolerance.map_or("off".to_string(), |t| t.to_string())
}

/// True if `errors` are within the tolerance.
pub(crate) fn is_met(tolerance: Tolerance, errors: Option<&[f64]>, total: f64) -> bool {
    match (tolerance, errors) {
        (Some(tolerance), Some(errors)) => largest(errors) <= tolerance * total.abs(),
        _ => false,
    }
}

/// The next number of samples to look at.
pub(crate) fn next(samples: usize) -> usize {
    ((samples as f64 * GROWTH).ceil() as usize).max(samples + 1)
}

/// What the user must know of standard errors.
pub(crate) fn warnings(
    tolerance: Tolerance,
    values: &[f64],
    errors: Option<&[f64]>,
    total: f64,
) -> Option<String> {
    let errors = largest(errors?);
    let value = values.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    if let Some(wanted) = tolerance.filter(|t| errors > t * total.abs()) {
        return Some(format!(
            "the budget is spent before the standard errors are within the tolerance: the largest is {errors:.3e}, wanted is \
             {:.3e}; ask for more samples",
            wanted * total.abs()
        ));
    }
    (errors > DOUBTFUL * value).then(|| {
        format!(
            "standard errors of up to {errors:.2e} are large beside the largest value, {value:.2e}: the order of the players \
             is left to chance; ask for more samples or fewer players"
        )
    })
}

fn largest(errors: &[f64]) -> f64 {
    errors.iter().copied().fold(0.0, f64::max)
}
