//! What stands in for what is taken out.

use exegesis_attribute::Baseline;
use exegesis_graph::Tensor;
use exegesis_perturb as perturb;
use exegesis_perturb::Imputer;
use exegesis_perturb::random::RowKey;

use super::scorer::Scorer;
use crate::explainer::Explainer;
use crate::{Error, Result};

/// The imputer of the row at hand.
///
/// # Errors
/// A baseline that does not fit the input.
pub(super) fn imputer(
    explainer: &Explainer,
    _method: &perturb::Method,
    scorer: &Scorer<'_>,
    _key: RowKey,
) -> Result<Imputer> {
    let mut references = vec![];
    for (_, tensor) in scorer.own() {
        let number = match explainer.request.baseline {
            Baseline::Zeros => 0.0,
            Baseline::Number(number) => number,
            other => return Err(Error::usage(format!("the baseline {other} comes with another branch."))),
        };
        references.push(Tensor::from_f64(
            tensor.dtype(),
            tensor.shape().to_vec(),
            vec![number; tensor.len()],
        )?);
    }
    Ok(Imputer::Reference(references))
}
