//! X1, completeness.

use exegesis_catalogue::{
    Options, ParameterInfo, Result as Read, choices, on_off, on_off_text, unknown_value,
};

use crate::{Bench, Direction, Family, Metric, MetricInfo, OperatorChoice, Outcome, Question, Result, View};
use exegesis_perturb::Coalition;

choices! {
    /// What the values are held against.
    Against {
        /// What the method promises that they add up to.
        #[default]
        Promise = "promise",
        /// The logit of the sample less that of nothing, whatever the method promises.
        Baseline = "baseline",
    }
}

/// Least size of what a relative gap is divided by.
const FLOOR: f64 = 1e-6;

/// Catalogue entry.
pub(super) const INFO: MetricInfo = MetricInfo {
    name: "completeness",
    id: "X1",
    version: 1,
    family: Family::Axioms,
    direction: Direction::Down,
    summary: "How far the sum of the values is from what the method promises it to be: mostly the score less the score of the \
              baseline, or the score that was shared out. Methods that promise nothing have no value.",
    formula: "|sum phi - promise|, relative / max(|promise|, 1e-6)",
    cost: "none; against the baseline 2",
    modalities: MetricInfo::ALL,
    misleads: "a sum says nothing about the values: it may be right with every one of them wrong.",
    check: "map w x of a linear model 0",
    citation: "Sundararajan, Taly, Yan, ICML 2017",
    parameters: &[
        ParameterInfo {
            name: "against",
            default: "promise",
            values: "promise, baseline",
            doc: "baseline: the logit of the sample less that of nothing, for all methods",
        },
        ParameterInfo {
            name: "relative",
            default: "off",
            values: "on, off",
            doc: "divide by what the sum should be, so that samples can be compared",
        },
        OperatorChoice::PARAMETER,
    ],
};

/// Gap between the sum of the values and what it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Completeness {
    /// What the values are held against.
    pub against: Against,
    /// Divide by what the sum should be.
    pub relative: bool,
    /// What stands for nothing.
    pub operator: OperatorChoice,
}

impl Options for Completeness {
    const PARAMETERS: &'static [ParameterInfo] = INFO.parameters;

    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        match key {
            "against" => self.against = Against::parse(key, value)?,
            "relative" => self.relative = on_off(key, value)?,
            "operator" => self.operator = OperatorChoice::parse(key, value)?,
            _ => return Err(unknown_value(key, value, &[])),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![
            ("against", self.against.name().to_string()),
            ("relative", on_off_text(self.relative)),
            ("operator", self.operator.name().to_string()),
        ]
    }
}

impl Metric for Completeness {
    fn info(&self) -> &'static MetricInfo {
        &INFO
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn questions(&self, view: &View<'_>) -> Vec<Question> {
        if self.against == Against::Promise {
            return vec![];
        }
        let operator = self.operator.of(view.operator);
        let n = view.features.count();
        [Coalition::full(n), Coalition::empty(n)].map(|keep| Question { operator, keep }).to_vec()
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let sum: f64 = view.map.values.iter().sum();
        let expected = match (self.against, view.map.promised) {
            (Against::Promise, Some(promised)) => promised,
            (Against::Promise, None) => return Ok(Outcome::undefined("the method promises no sum")),
            (Against::Baseline, _) => {
                let operator = self.operator.of(view.operator);
                bench.clean(operator)?.logit - bench.empty(operator)?.logit
            }
        };
        let gap = (sum - expected).abs();
        let relative = gap / expected.abs().max(FLOOR);
        Ok(Outcome::of(if self.relative { relative } else { gap })
            .with("absolute", gap)
            .with("relative", relative)
            .with("expected", expected))
    }
}
