//! Shapley values as the mean of marginal contributions in random orders.

use exegesis_catalogue::{
    Error as OptionError, MethodInfo, Options, ParameterInfo, Result as OptionResult, count,
};

use crate::method::ImputerChoice;
use crate::random::RowKey;
use crate::{Attribution, Error, Evaluator, Result};

/// Options of `permutation-shap`.
#[derive(Clone, Debug, PartialEq)]
pub struct PermutationShap {
    /// Distinct model rows.
    pub samples: usize,
    /// What stands in for what is taken out.
    pub imputer: ImputerChoice,
}

impl Default for PermutationShap {
    fn default() -> Self {
        Self { samples: 2048, imputer: ImputerChoice::Auto }
    }
}

/// `permutation-shap`.
pub const INFO: MethodInfo = MethodInfo {
    name: "permutation-shap",
    summary: "Shapley values by random orders.",
    formula: "phi",
    cost: "samples",
    misleads: "...",
    citation: "Castro et al. 2009",
    parameters: PermutationShap::PARAMETERS,
};

impl Options for PermutationShap {
    const PARAMETERS: &'static [ParameterInfo] = &[
        ParameterInfo {
            name: "samples",
            default: "2048",
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
            _ => return Err(OptionError(format!("`permutation-shap` has no option {key}"))),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![("samples", self.samples.to_string()), ("imputer", self.imputer.name().to_string())]
    }
}

impl PermutationShap {
    /// # Errors
    /// As [`crate::Method::attribute`].
    pub fn attribute(&self, _evaluator: &mut Evaluator<'_, '_>, _key: RowKey) -> Result<Attribution> {
        Err(Error::Request("`permutation-shap` comes with another branch".to_string()))
    }
}
