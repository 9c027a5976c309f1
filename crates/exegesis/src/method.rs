//! A method of either family.

use exegesis_attribute as attribute;
use exegesis_catalogue::{MethodInfo, pairs};
use exegesis_perturb as perturb;

use crate::{Error, Result};

/// An attribution method with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// Appended to the graph of the model.
    WhiteBox(attribute::Method),
    /// Asks the model what it says of changed inputs.
    BlackBox(perturb::Method),
}

impl From<attribute::Method> for Method {
    fn from(method: attribute::Method) -> Self {
        Self::WhiteBox(method)
    }
}

impl From<perturb::Method> for Method {
    fn from(method: perturb::Method) -> Self {
        Self::BlackBox(method)
    }
}

impl Method {
    /// DLBacktrace with its defaults.
    pub fn dlbacktrace() -> Self {
        attribute::Method::dlbacktrace().into()
    }

    /// The gradient of the score.
    pub fn gradient() -> Self {
        attribute::Method::Gradient.into()
    }

    /// The method of an explanation for which none is chosen.
    pub fn usual() -> Self {
        attribute::Method::usual().into()
    }

    /// Every method that is built, those that only ask the model before the controls.
    pub fn catalogue() -> Vec<&'static MethodInfo> {
        let (controls, own): (Vec<_>, Vec<_>) =
            attribute::Method::catalogue().iter().partition(|info| matches!(info.name, "random" | "edges"));
        own.into_iter().chain(perturb::Method::catalogue()).chain(controls).collect()
    }

    /// Reads `NAME[:key=value,...]`.
    ///
    /// # Errors
    /// An unknown name, parameter or value.
    pub fn parse(text: &str) -> Result<Self> {
        let of = |error: exegesis_catalogue::Error| Error::from(attribute::Error::from(error));
        let (name, _) = pairs(text).map_err(of)?;
        let all = Self::catalogue();
        if !all.iter().any(|m| m.name == name) {
            let names: Vec<&str> = all.iter().map(|m| m.name).collect();
            let what =
                format!("method `{name}` is not built in this version; built are {}", names.join(", "));
            return Err(of(exegesis_catalogue::Error(what)));
        }
        Ok(match perturb::Method::parse(text).map_err(of)? {
            Some(method) => method.into(),
            None => attribute::Method::parse(text)?.into(),
        })
    }

    /// The method, if it is appended to the graph.
    pub fn white_box(&self) -> Option<&attribute::Method> {
        match self {
            Self::WhiteBox(method) => Some(method),
            Self::BlackBox(_) => None,
        }
    }

    /// What a request asks of the graph: the method itself, or for one that only asks the model a name.
    pub fn of_graph(&self) -> attribute::Method {
        match self {
            Self::WhiteBox(method) => method.clone(),
            Self::BlackBox(method) => attribute::Method::Outside(method.name()),
        }
    }

    /// Name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::WhiteBox(method) => method.name(),
            Self::BlackBox(method) => method.name(),
        }
    }

    /// All parameters with their values.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::WhiteBox(method) => method.parameters(),
            Self::BlackBox(method) => method.parameters(),
        }
    }

    /// True if the sign of a value says for or against the target.
    pub fn is_signed(&self) -> bool {
        match self {
            Self::WhiteBox(method) => method.is_signed(),
            Self::BlackBox(method) => method.is_signed(),
        }
    }

    /// True if a value belongs to a place of the input, not to one of its channels, which all have the same.
    pub fn is_of_places(&self) -> bool {
        match self {
            Self::WhiteBox(method) => method.is_of_places(),
            Self::BlackBox(_) => true,
        }
    }

    /// True if the method compares with a baseline.
    pub fn has_baseline(&self) -> bool {
        match self {
            Self::WhiteBox(method) => method.has_baseline(),
            Self::BlackBox(method) => !matches!(method, perturb::Method::Slalom(_)),
        }
    }

    /// True if the method shares out a total, so that there is a ledger.
    pub fn is_relevance(&self) -> bool {
        self.white_box().is_some_and(attribute::Method::is_relevance)
    }

    /// Catalogue entry.
    pub fn info(&self) -> &'static MethodInfo {
        match self {
            Self::WhiteBox(method) => method.info(),
            Self::BlackBox(method) => method.info(),
        }
    }
}

/// Cost of the method called `name`, as it states it.
pub(crate) fn cost(name: &str) -> &'static str {
    Method::catalogue().iter().find(|info| info.name == name).map_or("", |info| info.cost)
}
