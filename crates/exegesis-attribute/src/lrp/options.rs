//! Options of layer-wise relevance propagation, by the names that they have on the command line.

use crate::error::Result;
use crate::method::{MethodInfo, ParameterInfo};
use crate::options::{Options, choices, number};

choices! {
    /// Which rule each kind of layer gets.
    Composite {
        /// `epsilon-plus` with convolutions, else `epsilon`.
        #[default]
        Auto = "auto",
        /// Epsilon everywhere.
        Epsilon = "epsilon",
        /// Z-plus in convolutions, epsilon in dense layers.
        EpsilonPlus = "epsilon-plus",
        /// The same with flat in the first layer.
        EpsilonPlusFlat = "epsilon-plus-flat",
        /// Gamma in convolutions, epsilon in dense layers, z-box in the first layer.
        EpsilonGammaBox = "epsilon-gamma-box",
        /// Alpha 2, beta 1 in convolutions, epsilon in dense layers.
        Alpha2Beta1 = "alpha2-beta1",
        /// The same with flat in the first layer.
        Alpha2Beta1Flat = "alpha2-beta1-flat",
        /// Z-plus everywhere.
        ZPlus = "z-plus",
    }
}

/// Options of layer-wise relevance propagation.
#[derive(Clone, Debug, PartialEq)]
pub struct Lrp {
    /// Rules.
    pub composite: Composite,
    /// Stabiliser of the epsilon rule.
    pub epsilon: f64,
    /// What positive weights gain in the gamma rule.
    pub gamma: f64,
}

impl Default for Lrp {
    fn default() -> Self {
        Self { composite: Composite::default(), epsilon: 1e-6, gamma: 0.25 }
    }
}

impl Options for Lrp {
    const PARAMETERS: &'static [ParameterInfo] = &[
        ParameterInfo {
            name: "composite",
            default: "auto",
            values: "auto, epsilon, epsilon-plus, epsilon-plus-flat, epsilon-gamma-box, alpha2-beta1, alpha2-beta1-flat, \
                     z-plus",
            doc: "Which rule each kind of layer gets; auto: epsilon-plus with convolutions, else epsilon.",
        },
        ParameterInfo {
            name: "epsilon",
            default: "1e-6",
            values: "a number above 0",
            doc: "Stabiliser of the epsilon rule.",
        },
        ParameterInfo {
            name: "gamma",
            default: "0.25",
            values: "a number from 0",
            doc: "What positive weights gain in the gamma rule.",
        },
    ];

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "composite" => self.composite = Composite::parse(key, value)?,
            "epsilon" => self.epsilon = number(key, value, |v| v > 0.0, "above 0")?,
            "gamma" => self.gamma = number(key, value, |v| v >= 0.0, "from 0")?,
            _ => {}
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![
            ("composite", self.composite.name().to_string()),
            ("epsilon", self.epsilon.to_string()),
            ("gamma", self.gamma.to_string()),
        ]
    }
}

/// `lrp`.
pub const LRP: MethodInfo = MethodInfo {
    name: "lrp",
    summary: "The score is traced back as signed relevance: each unit shares what it received among its terms in \
              proportion to their contribution. A composite says which rule each kind of layer gets. Biases and \
              stabilisers keep a share, which the ledger shows.",
    formula: "R_i = sum_j x_i w_ij / (z_j + eps sign z_j) R_j (epsilon); other rules weigh positive terms more",
    cost: "forward + about 2 forwards",
    misleads: "Epsilon alone is noisy on deep ReLU networks; the rules that favour positive terms look clean and partly \
               forget what speaks against the target.",
    citation: "Bach et al. (2015), PLOS ONE 10(7); composites: Montavon et al. (2019), Layer-Wise Relevance Propagation: An \
               Overview",
    parameters: Lrp::PARAMETERS,
};
