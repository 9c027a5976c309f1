//! What a method gave for one sample.

use crate::{Error, Result};

/// An attribution over the features of one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// One value per feature: the sum of signed attributions of its cells.
    pub values: Vec<f64>,
    /// True if the sign of a value says for or against the target; else larger means more important.
    pub is_signed: bool,
    /// True if the method declares values in `[0, 1]`, which are not normalised again.
    pub is_unit: bool,
    /// What the values should add up to, of methods that promise it.
    pub promised: Option<f64>,
}

impl Map {
    /// A signed map that promises nothing.
    pub fn signed(values: Vec<f64>) -> Self {
        Self { values, is_signed: true, is_unit: false, promised: None }
    }

    /// # Errors
    /// A map of another size than `features`, or with values that are not finite; `what` names method and sample.
    pub fn check(&self, features: usize, what: &str) -> Result<()> {
        if self.values.len() != features {
            return Err(Error::Map(format!(
                "{what}: the map has {} values for {features} features",
                self.values.len()
            )));
        }
        match self.values.iter().filter(|v| !v.is_finite()).count() {
            0 => Ok(()),
            bad => Err(Error::Map(format!("{what}: {bad} value(s) of the map are not finite"))),
        }
    }
}
