//! Owen values over a hierarchy of players.

use exegesis_catalogue::{
    Error as OptionError, MethodInfo, Options, ParameterInfo, Result as OptionResult, count,
};

use crate::method::ImputerChoice;
use crate::random::RowKey;
use crate::{Attribution, Error, Evaluator, Layout, Result};

/// Options of `partition-shap`.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionShap {
    /// Distinct model rows.
    pub samples: usize,
    /// What stands in for what is taken out.
    pub imputer: ImputerChoice,
}

impl Default for PartitionShap {
    fn default() -> Self {
        Self { samples: 500, imputer: ImputerChoice::Auto }
    }
}

/// `partition-shap`.
pub const INFO: MethodInfo = MethodInfo {
    name: "partition-shap",
    summary: "Owen values over a hierarchy.",
    formula: "phi",
    cost: "samples",
    misleads: "...",
    citation: "Owen 1977",
    parameters: PartitionShap::PARAMETERS,
};

impl Options for PartitionShap {
    const PARAMETERS: &'static [ParameterInfo] = &[
        ParameterInfo {
            name: "samples",
            default: "500",
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
            _ => return Err(OptionError(format!("`partition-shap` has no option {key}"))),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![("samples", self.samples.to_string()), ("imputer", self.imputer.name().to_string())]
    }
}

impl PartitionShap {
    /// # Errors
    /// As [`crate::Method::attribute`].
    pub fn attribute(
        &self,
        _evaluator: &mut Evaluator<'_, '_>,
        _layout: &Layout,
        _key: RowKey,
    ) -> Result<Attribution> {
        Err(Error::Request("`partition-shap` comes with another branch".to_string()))
    }
}
