//! The methods by name, their parameters, and what their reference page says.

use crate::dlbacktrace::options::{DlBacktrace, Mode};
use crate::error::{Error, Result};

/// An attribution method with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// Gradient of the score.
    Gradient,
    /// Input times gradient.
    InputXGradient,
    /// Relevance tracing by magnitude, default mode.
    DlBacktrace(DlBacktrace),
}

/// A parameter of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterInfo {
    /// Key in `NAME:key=value`.
    pub name: &'static str,
    /// Value when it is not given.
    pub default: &'static str,
    /// Accepted values.
    pub values: &'static str,
    /// What it does.
    pub doc: &'static str,
}

/// What `exegesis methods NAME` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodInfo {
    /// Name on the command line.
    pub name: &'static str,
    /// The idea in a few sentences.
    pub summary: &'static str,
    /// The formula.
    pub formula: &'static str,
    /// Cost in forward passes.
    pub cost: &'static str,
    /// When it misleads.
    pub misleads: &'static str,
    /// Source.
    pub citation: &'static str,
    /// Parameters.
    pub parameters: &'static [ParameterInfo],
}

const CATALOGUE: &[MethodInfo] = &[
    MethodInfo {
        name: "gradient",
        summary: "How much the score would change for a small change of each input cell. The sign says in which \
                  direction. It answers a question about change, not about how much of the score a cell accounts for.",
        formula: "A = d f / d x, f = the target's score",
        cost: "forward + about 1 forward",
        misleads: "Where the network saturates the gradient is near zero although the input matters; on deep ReLU \
                   networks it looks like noise.",
        citation: "Simonyan, Vedaldi, Zisserman (2013), Deep Inside Convolutional Networks, arXiv 1312.6034",
        parameters: &[],
    },
    MethodInfo {
        name: "input-x-gradient",
        summary: "The gradient times the input: the first-order part of the score that a cell accounts for. On a \
                  linear model it is exact. Cells whose value is zero get nothing.",
        formula: "A = x * d f / d x",
        cost: "forward + about 1 forward",
        misleads: "It depends on where zero lies: after mean subtraction black pixels count and average ones do not.",
        citation: "Shrikumar et al. (2016), Not Just a Black Box, arXiv 1605.01713",
        parameters: &[],
    },
    MethodInfo {
        name: "dlbacktrace",
        summary: "Relevance 1 starts at the target and is traced back: each unit shares what it received among the \
                  terms that formed its value, in proportion to their magnitude. Biases keep their share, and the \
                  ledger says how much stayed where. In default mode values are never negative: they say how much a cell \
                  was involved, not for or against. In contrastive mode two channels are traced, one from the target and \
                  one from its alternatives; the attribution is their difference.",
        formula: "R = |x| * |W|^T ( r / (|W||x| + |b|) ) per linear layer",
        cost: "forward + about 2 forwards; contrastive: forward + about 5",
        misleads: "In default mode evidence against the target counts like evidence for it. A large share left at \
                   biases means the map speaks for a small part of the decision. In contrastive mode the channel that \
                   dominates a unit takes the terms that agree with its sign, whatever they mean downstream.",
        citation: "Sankarapu et al. (2024), DLBacktrace, arXiv 2411.12643 (first version)",
        parameters: DlBacktrace::PARAMETERS,
    },
];

impl Method {
    /// DLBacktrace with its defaults.
    pub fn dlbacktrace() -> Self {
        Self::DlBacktrace(DlBacktrace::default())
    }

    /// Every method that is built.
    pub fn catalogue() -> &'static [MethodInfo] {
        CATALOGUE
    }

    /// Reads `NAME[:key=value,...]`.
    ///
    /// # Errors
    /// An unknown name, parameter or value.
    pub fn parse(text: &str) -> Result<Self> {
        let (name, options) = text.split_once(':').unwrap_or((text, ""));
        let mut pairs = vec![];
        for option in options.split(',').filter(|o| !o.is_empty()) {
            let Some(pair) = option.split_once('=') else {
                return Err(Error::Request(format!(
                    "`{option}` in `{text}` is not key=value; write {name}:key=value,..."
                )));
            };
            pairs.push(pair);
        }
        let method = match name {
            "gradient" => Self::Gradient,
            "input-x-gradient" => Self::InputXGradient,
            "dlbacktrace" => {
                let mut options = DlBacktrace::default();
                for (key, value) in pairs.drain(..) {
                    options.set(key, value)?;
                }
                options.check()?;
                Self::DlBacktrace(options)
            }
            _ => {
                let names: Vec<&str> = CATALOGUE.iter().map(|m| m.name).collect();
                return Err(Error::Request(format!(
                    "method `{name}` is not built in this version; built are {}",
                    names.join(", ")
                )));
            }
        };
        match pairs.first() {
            None => Ok(method),
            Some((key, value)) => Err(Error::Request(format!(
                "method `{name}` has no option {key}={value} in this version; see `exegesis methods {name}`"
            ))),
        }
    }

    /// Name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Gradient => "gradient",
            Self::InputXGradient => "input-x-gradient",
            Self::DlBacktrace(_) => "dlbacktrace",
        }
    }

    /// All parameters with their values.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Gradient | Self::InputXGradient => vec![],
            Self::DlBacktrace(options) => options.values(),
        }
    }

    /// True if the sign of a value says for or against the target.
    pub fn is_signed(&self) -> bool {
        match self {
            Self::DlBacktrace(options) => options.mode == Mode::Contrastive,
            Self::Gradient | Self::InputXGradient => true,
        }
    }

    /// Signals that flow together through the model.
    pub fn channels(&self) -> usize {
        match self {
            Self::DlBacktrace(options) => options.channels(),
            Self::Gradient | Self::InputXGradient => 1,
        }
    }

    /// True if the method shares out a total, so that there is a ledger.
    pub fn is_relevance(&self) -> bool {
        matches!(self, Self::DlBacktrace(_))
    }

    /// Catalogue entry.
    pub fn info(&self) -> &'static MethodInfo {
        CATALOGUE.iter().find(|m| m.name == self.name()).unwrap_or(&CATALOGUE[0])
    }
}
