//! The score that is lost without a window.

use exegesis_catalogue::{Error as OptionError, MethodInfo, Options, ParameterInfo, Result as OptionResult};

use crate::method::ImputerChoice;
use crate::{Attribution, Error, Evaluator, Layout, Result};

/// Options of `occlusion`.
#[derive(Clone, Debug, PartialEq)]
pub struct Occlusion {
    /// What stands in for what is taken out.
    pub imputer: ImputerChoice,
}

impl Default for Occlusion {
    fn default() -> Self {
        Self { imputer: ImputerChoice::Auto }
    }
}

/// `occlusion`.
pub const INFO: MethodInfo = MethodInfo {
    name: "occlusion",
    summary: "The score that is lost without a window.",
    formula: "f(x) - f(x without w)",
    cost: "a forward per window",
    misleads: "...",
    citation: "Zeiler and Fergus 2014",
    parameters: Occlusion::PARAMETERS,
};

impl Options for Occlusion {
    const PARAMETERS: &'static [ParameterInfo] = &[ParameterInfo {
        name: "imputer",
        default: "auto",
        values: "auto, baseline, delete, mask, noise, neighbours",
        doc: "what stands in for what is taken out: of tokens deletion (or the mask token), else the baseline",
    }];

    fn set(&mut self, key: &str, value: &str) -> OptionResult<()> {
        match key {
            "imputer" => self.imputer = ImputerChoice::parse(key, value)?,
            _ => return Err(OptionError(format!("`occlusion` has no option {key}"))),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![("imputer", self.imputer.name().to_string())]
    }
}

impl Occlusion {
    /// # Errors
    /// As [`crate::Method::attribute`].
    pub fn attribute(&self, _evaluator: &mut Evaluator<'_, '_>, _layout: &Layout) -> Result<Attribution> {
        Err(Error::Request("`occlusion` comes with another branch".to_string()))
    }
}
