//! Shapley values as the weighted regression of the score on coalitions.

use exegesis_catalogue::{
    Error as OptionError, MethodInfo, Options, ParameterInfo, Result as OptionResult, count,
};

use crate::method::ImputerChoice;
use crate::random::RowKey;
use crate::{Attribution, Error, Evaluator, Result};

/// Options of `kernel-shap`.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelShap {
    /// Distinct model rows.
    pub samples: usize,
    /// What stands in for what is taken out.
    pub imputer: ImputerChoice,
}

impl Default for KernelShap {
    fn default() -> Self {
        Self { samples: 2048, imputer: ImputerChoice::Auto }
    }
}

/// `kernel-shap`.
pub const INFO: MethodInfo = MethodInfo {
    name: "kernel-shap",
    summary: "Shapley values by a regression over coalitions.",
    formula: "phi",
    cost: "samples",
    misleads: "...",
    citation: "Lundberg and Lee 2017",
    parameters: KernelShap::PARAMETERS,
};

impl Options for KernelShap {
    const PARAMETERS: &'static [ParameterInfo] = &[
        ParameterInfo {
            name: "samples",
            default: "2048",
            values: "a whole number",
            doc: "distinct model rows per explained row, the full and the empty coalition included; exact when they cover all 2^n",
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
            _ => return Err(OptionError(format!("`kernel-shap` has no option {key}"))),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![("samples", self.samples.to_string()), ("imputer", self.imputer.name().to_string())]
    }
}

impl KernelShap {
    /// # Errors
    /// As [`crate::Method::attribute`].
    pub fn attribute(&self, _evaluator: &mut Evaluator<'_, '_>, _key: RowKey) -> Result<Attribution> {
        Err(Error::Request("`kernel-shap` comes with another branch".to_string()))
    }
}
