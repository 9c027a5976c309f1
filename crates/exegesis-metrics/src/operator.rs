//! What stands in for features that are taken out, and which form of the score is looked at.

//!
//! What operators that look at more than a cell make of a sample: `blur` and `impute`.

mod blur;
mod impute;

use exegesis_catalogue::{ParameterInfo, choices, unknown_value};

pub use blur::blur;
pub use impute::{Solver, impute};

choices! {
    /// What stands in for features that are taken out.
    Operator {
        /// 0 in the model's normalised space.
        #[default]
        Zero = "zero",
        /// The mean of each channel over the data.
        Mean = "mean",
        /// A Gaussian blur of the sample.
        Blur = "blur",
        /// Mean and noise of each channel; the score is averaged over 4 draws.
        Noise = "noise",
        /// Uniform noise over the range of each channel of the data; the score is averaged over 4 draws.
        Uniform = "uniform",
        /// Pixels solved from their neighbours (ROAD).
        Impute = "impute",
        /// Nothing: tokens are taken out, the text gets shorter.
        Delete = "delete",
        /// The mask token.
        Mask = "mask",
        /// The padding token, hidden by the attention mask.
        Pad = "pad",
        /// The median of each column over the data, of categories the most frequent.
        Median = "median",
        /// Rows of the data; the score is averaged over 16.
        Background = "background",
        /// Linear interpolation between steps that are left.
        Linear = "linear",
    }
}

/// The operator of a metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OperatorChoice {
    /// The one of the run.
    #[default]
    Run,
    /// This one, whatever the run has.
    Fixed(Operator),
}

impl OperatorChoice {
    /// The option `operator` of most metrics.
    pub const PARAMETER: ParameterInfo = ParameterInfo {
        name: "operator",
        default: "run",
        values: "run, zero, mean, blur, noise, uniform, impute, delete, mask, pad, median, background, linear",
        doc: "what stands in for features that are taken out; run: the operator of the whole comparison",
    };

    /// Reads `run`, or the name of an operator.
    ///
    /// # Errors
    /// Another text.
    pub fn parse(key: &str, text: &str) -> exegesis_catalogue::Result<Self> {
        if text == "run" {
            return Ok(Self::Run);
        }
        let names =
            || std::iter::once("run").chain(Operator::ALL.iter().map(|o| o.name())).collect::<Vec<_>>();
        Operator::parse(key, text).map(Self::Fixed).map_err(|_| unknown_value(key, text, &names()))
    }

    /// As [`OperatorChoice::parse`] reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Fixed(operator) => operator.name(),
        }
    }

    /// The operator, given the one of the run.
    pub fn of(self, run: Operator) -> Operator {
        match self {
            Self::Run => run,
            Self::Fixed(operator) => operator,
        }
    }
}

choices! {
    /// Which form of the score is looked at.
    ScoreForm {
        /// Probability of the target (of regression the output).
        #[default]
        Probability = "probability",
        /// The logit of the target (of regression the output).
        Logit = "logit",
    }
}

impl ScoreForm {
    /// The option `score` of most metrics, with the default that is written there.
    pub const PROBABILITY: ParameterInfo = ParameterInfo {
        name: "score",
        default: "probability",
        values: "probability, logit",
        doc: "the form of the score; of regression both are the output",
    };
    /// The same for metrics that look at the logit by default.
    pub const LOGIT: ParameterInfo = ParameterInfo { default: "logit", ..Self::PROBABILITY };
}
