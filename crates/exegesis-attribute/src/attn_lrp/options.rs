//! Options of AttnLRP and CP-LRP, by the names that they have on the command line.

use exegesis_catalogue::Result;
use exegesis_catalogue::{MethodInfo, ParameterInfo};
use exegesis_catalogue::{Options, choices, number};

/// Options of AttnLRP.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttnLrp {
    /// Stabiliser of the epsilon rule.
    pub epsilon: f64,
}

const EPSILON: ParameterInfo = ParameterInfo {
    name: "epsilon",
    default: "0",
    values: "a number from 0",
    doc: "Stabiliser of the epsilon rule. Nothing is divided by the outputs of layers, so that 0 is safe.",
};

impl Options for AttnLrp {
    const PARAMETERS: &'static [ParameterInfo] = &[EPSILON];

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        if key == "epsilon" {
            self.epsilon = number(key, value, |v| v >= 0.0, "from 0")?;
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![("epsilon", self.epsilon.to_string())]
    }
}

choices! {
    /// What activations and products of activations do to relevance.
    Activation {
        /// They pass it; gates are constants.
        #[default]
        Identity = "identity",
        /// Plain gradient times input, as published (AH+LN).
        Gradient = "gradient",
    }
}

choices! {
    /// What is held constant, for comparison.
    Freeze {
        /// Attention weights and the deviation of norms.
        #[default]
        Both = "ah+ln",
        /// Attention weights.
        Attention = "ah",
        /// The deviation of norms.
        Norms = "ln",
        /// Attention weights, deviation and mean of norms.
        Mean = "ah+ln+mean",
        /// Nothing.
        None = "none",
    }
}

impl Freeze {
    /// True if attention weights are constants.
    pub fn attention(self) -> bool {
        matches!(self, Self::Both | Self::Attention | Self::Mean)
    }

    /// True if the deviation of norms is a constant.
    pub fn norms(self) -> bool {
        matches!(self, Self::Both | Self::Norms | Self::Mean)
    }
}

/// Options of CP-LRP.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CpLrp {
    /// Stabiliser of the epsilon rule.
    pub epsilon: f64,
    /// Activations.
    pub act: Activation,
    /// Constants.
    pub freeze: Freeze,
}

impl Options for CpLrp {
    const PARAMETERS: &'static [ParameterInfo] = &[
        EPSILON,
        ParameterInfo {
            name: "act",
            default: "identity",
            values: "identity, gradient",
            doc: "Activations: relevance passes and gates are constants, or gradient times input as published.",
        },
        ParameterInfo {
            name: "freeze",
            default: "ah+ln",
            values: "ah+ln, ah, ln, ah+ln+mean, none",
            doc: "What is held constant: attention weights (ah), the deviation of norms (ln), their mean too (mean).",
        },
    ];

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "epsilon" => self.epsilon = number(key, value, |v| v >= 0.0, "from 0")?,
            "act" => self.act = Activation::parse(key, value)?,
            "freeze" => self.freeze = Freeze::parse(key, value)?,
            _ => {}
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![
            ("epsilon", self.epsilon.to_string()),
            ("act", self.act.name().to_string()),
            ("freeze", self.freeze.name().to_string()),
        ]
    }
}

/// `attn-lrp`.
pub const ATTN_LRP: MethodInfo = MethodInfo {
    name: "attn-lrp",
    summary: "LRP for transformers: epsilon in linear maps, half to each factor of a product of activations, a first-order \
              expansion at the softmax, and identity at activations and the division of norms. Relevance flows through \
              queries, keys and values. A model without attention gets plain LRP-epsilon.",
    formula: "softmax: R_i = x_i (r_i - s_i sum_j r_j); O = A V: R_A = A * (r / 2O) V^T, R_V = V * A^T (r / 2O)",
    cost: "forward + about 1.4 forwards",
    misleads: "The softmax rule does not conserve, and biases keep their share: the ledger shows how much both leave, and it \
               may be more than the score. Deep ReLU networks get the noise of LRP-epsilon: use lrp there.",
    citation: "Achtibat et al. (2024), AttnLRP, arXiv 2402.05602",
    parameters: AttnLrp::PARAMETERS,
};

/// `cp-lrp`.
pub const CP_LRP: MethodInfo = MethodInfo {
    name: "cp-lrp",
    summary: "LRP for transformers that treats attention weights, gates and the deviations of norms as constants: relevance \
              flows through values only and is conserved up to biases. A model without attention and norms gets plain \
              LRP-epsilon.",
    formula: "O = A V: R_V = V * A^T (r / O), nothing to A; LayerNorm: the deviation is a constant",
    cost: "forward + about 1 forward",
    misleads: "What decides where attention looks gets nothing. With biases, the sum of the tokens may be far from the \
               score: see the ledger.",
    citation: "Ali et al. (2022), XAI for Transformers: Better Explanations through Conservative Propagation, arXiv 2202.07304",
    parameters: CpLrp::PARAMETERS,
};
