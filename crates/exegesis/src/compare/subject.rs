//! What metrics may ask about one sample.

use exegesis_metrics::{Answer, Features, Operator, Result, Subject};
use exegesis_perturb::Coalition;

use crate::explainer::Probe;
use crate::{Error, ErrorKind};

/// One sample of the data, its model, and the methods.
pub(super) struct Examined<'a, 'p> {
    pub probe: &'a mut Probe<'p>,
    pub features: Features,
}

/// As metrics hear of errors of the engine.
fn told(error: Error) -> exegesis_metrics::Error {
    match error.kind() {
        ErrorKind::Usage => exegesis_metrics::Error::NotApplicable(error.to_string()),
        _ => exegesis_metrics::Error::Failed(error.to_string()),
    }
}

impl Subject for Examined<'_, '_> {
    fn features(&self) -> &Features {
        &self.features
    }

    fn masked(&mut self, operator: Operator, keep: &[Coalition]) -> Result<Vec<Answer>> {
        self.probe.masked(operator, keep).map_err(told)
    }

    fn rows_per_question(&self, operator: Operator) -> usize {
        self.probe.rows_per_question(operator)
    }
}
