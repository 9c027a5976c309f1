//! What stands in for features that are taken out, and which form of the score is looked at.

//!
//! What operators that look at more than a cell make of a sample: `blur` and `impute`.

mod blur;
mod impute;

use exegesis_catalogue::{ParameterInfo, choices};

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

choices! {
    /// The operator of a metric.
    OperatorChoice {
        /// The one of the run.
        #[default]
        Run = "run",
        /// See [`Operator::Zero`].
        Zero = "zero",
        /// See [`Operator::Mean`].
        Mean = "mean",
        /// See [`Operator::Blur`].
        Blur = "blur",
        /// See [`Operator::Noise`].
        Noise = "noise",
        /// See [`Operator::Uniform`].
        Uniform = "uniform",
        /// See [`Operator::Impute`].
        Impute = "impute",
        /// See [`Operator::Delete`].
        Delete = "delete",
        /// See [`Operator::Mask`].
        Mask = "mask",
        /// See [`Operator::Pad`].
        Pad = "pad",
        /// See [`Operator::Median`].
        Median = "median",
        /// See [`Operator::Background`].
        Background = "background",
        /// See [`Operator::Linear`].
        Linear = "linear",
    }
}

impl OperatorChoice {
    /// The option `operator` of most metrics.
    pub const PARAMETER: ParameterInfo = ParameterInfo {
        name: "operator",
        default: "run",
        values: "run, zero, mean, blur, noise, uniform, impute, delete, mask, pad, median, background, linear",
        doc: "what stands in for features that are taken out; run: the operator of the whole comparison",
    };

    /// The operator, given the one of the run.
    pub fn of(self, run: Operator) -> Operator {
        Operator::parse("operator", self.name()).unwrap_or(run)
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
