//! A linear surrogate around the row.

use exegesis_catalogue::{
    Error as OptionError, MethodInfo, Options, ParameterInfo, Result as OptionResult, count,
};

use crate::method::ImputerChoice;
use crate::random::RowKey;
use crate::{Attribution, Error, Evaluator, Layout, Result};

/// Options of `lime`.
#[derive(Clone, Debug, PartialEq)]
pub struct Lime {
    /// Distinct model rows.
    pub samples: usize,
    /// What stands in for what is taken out.
    pub imputer: ImputerChoice,
}

impl Default for Lime {
    fn default() -> Self {
        Self { samples: 1000, imputer: ImputerChoice::Auto }
    }
}

/// `lime`.
pub const INFO: MethodInfo = MethodInfo {
    name: "lime",
    summary: "A linear surrogate.",
    formula: "beta",
    cost: "samples",
    misleads: "...",
    citation: "Ribeiro et al. 2016",
    parameters: Lime::PARAMETERS,
};

impl Options for Lime {
    const PARAMETERS: &'static [ParameterInfo] = &[
        ParameterInfo {
            name: "samples",
            default: "1000",
            values: "a whole number",
            doc: "distinct model rows per explained row",
        },
        ParameterInfo {
            name: "imputer",
            default: "auto",
            values: "auto, baseline, delete, mask, noise, neighbours",
            doc: "what stands in for what is taken out: of tokens deletion (or the mask token), else the baseline",
        },
    ];

    fn set(&mut self, key: &str, value: &str) -> OptionResult<()> {
        match key {
            "samples" => self.samples = count(key, value, 1 << 24)?,
            "imputer" => self.imputer = ImputerChoice::parse(key, value)?,
            _ => return Err(OptionError(format!("`lime` has no option {key}"))),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![("samples", self.samples.to_string()), ("imputer", self.imputer.name().to_string())]
    }
}

impl Lime {
    /// # Errors
    /// As [`crate::Method::attribute`].
    pub fn attribute(
        &self,
        _evaluator: &mut Evaluator<'_, '_>,
        _layout: &Layout,
        _key: RowKey,
    ) -> Result<Attribution> {
        Err(Error::Request("`lime` comes with another branch".to_string()))
    }
}
