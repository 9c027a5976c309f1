//! Random masks weighted by the score.

use exegesis_catalogue::{
    Error as OptionError, MethodInfo, Options, ParameterInfo, Result as OptionResult, count,
};

use crate::method::ImputerChoice;
use crate::random::RowKey;
use crate::{Attribution, Error, Evaluator, Layout, Result};

/// Options of `rise`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rise {
    /// Masks.
    pub samples: usize,
    /// What stands in for what is taken out.
    pub imputer: ImputerChoice,
}

impl Default for Rise {
    fn default() -> Self {
        Self { samples: 1000, imputer: ImputerChoice::Auto }
    }
}

/// `rise`.
pub const INFO: MethodInfo = MethodInfo {
    name: "rise",
    summary: "Random masks weighted by the score.",
    formula: "S",
    cost: "samples",
    misleads: "...",
    citation: "Petsiuk et al. 2018",
    parameters: Rise::PARAMETERS,
};

impl Options for Rise {
    const PARAMETERS: &'static [ParameterInfo] = &[
        ParameterInfo {
            name: "samples",
            default: "1000",
            values: "a whole number",
            doc: "masks per explained row",
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
            _ => return Err(OptionError(format!("`rise` has no option {key}"))),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![("samples", self.samples.to_string()), ("imputer", self.imputer.name().to_string())]
    }
}

impl Rise {
    /// # Errors
    /// As [`crate::Method::attribute`].
    pub fn attribute(
        &self,
        _evaluator: &mut Evaluator<'_, '_>,
        _layout: &Layout,
        _key: RowKey,
    ) -> Result<Attribution> {
        Err(Error::Request("`rise` comes with another branch".to_string()))
    }
}
