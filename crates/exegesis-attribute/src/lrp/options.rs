//! Options of layer-wise relevance propagation, by the names that they have on the command line.

use crate::lrp::layer_rule::Override;
use exegesis_catalogue::{Error, Result};
use exegesis_catalogue::{MethodInfo, ParameterInfo};
use exegesis_catalogue::{Options, choices, number, on_off, on_off_text};

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
    /// True if the stabiliser of the epsilon rule counts in means of `|z|` per sample.
    pub relative: bool,
    /// True if biases take no part in denominators.
    pub zero_bias: bool,
    /// Lowest value of the input, one number or one per channel; empty: from the preprocessing.
    pub low: Vec<f64>,
    /// Highest value of the input.
    pub high: Vec<f64>,
    /// Rules for layers by name; the first that fits counts.
    pub rules: Vec<Override>,
}

impl Default for Lrp {
    fn default() -> Self {
        Self {
            composite: Composite::default(),
            epsilon: 1e-6,
            gamma: 0.25,
            relative: false,
            zero_bias: false,
            low: vec![],
            high: vec![],
            rules: vec![],
        }
    }
}

impl Options for Lrp {
    const PARAMETERS: &'static [ParameterInfo] = &[
        ParameterInfo {
            name: "composite",
            default: "auto",
            values: "auto, epsilon, epsilon-plus, epsilon-plus-flat, epsilon-gamma-box, alpha2-beta1, alpha2-beta1-flat, \
                     z-plus",
            doc: "Which rule each kind of layer gets; auto: epsilon-plus with convolutions, else epsilon. The first layer is \
                  every one with weights before which there is no other.",
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
            doc: "What terms of the sign of their sum gain in the gamma rule.",
        },
        ParameterInfo {
            name: "relative",
            default: "off",
            values: "on, off",
            doc: "Whether epsilon is a share of the mean magnitude of a layer's output per sample.",
        },
        ParameterInfo {
            name: "zero_bias",
            default: "off",
            values: "on, off",
            doc: "Whether biases are left out of denominators, so that nothing stays with them.",
        },
        ParameterInfo {
            name: "low",
            default: "auto",
            values: "auto, a number, or one per channel joined by /",
            doc: "Lowest value of the input for the z-box rule; auto: black, as --preprocess maps it.",
        },
        ParameterInfo {
            name: "high",
            default: "auto",
            values: "auto, a number, or one per channel joined by /",
            doc: "Highest value of the input for the z-box rule; auto: white, as --preprocess maps it.",
        },
        ParameterInfo {
            name: "rule",
            default: "none",
            values: "none, or PATTERN@RULE joined by ;",
            doc: "Rules for layers by node name (* any characters, ? one), the first that fits; may be given several times. \
                  Rules: epsilon[:E], zero, gamma[:G], alpha-beta:A/B, z-plus, flat, w-square, z-box.",
        },
    ];

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "composite" => self.composite = Composite::parse(key, value)?,
            "epsilon" => self.epsilon = number(key, value, |v| v > 0.0, "above 0")?,
            "gamma" => self.gamma = number(key, value, |v| v >= 0.0, "from 0")?,
            "relative" => self.relative = on_off(key, value)?,
            "zero_bias" => self.zero_bias = on_off(key, value)?,
            "low" => self.low = per_channel(key, value)?,
            "high" => self.high = per_channel(key, value)?,
            "rule" if value == "none" => self.rules.clear(),
            "rule" => {
                for given in value.split(';').filter(|given| !given.is_empty()) {
                    self.rules.push(Override::parse(given)?);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let (low, high) = (&self.low, &self.high);
        if low.is_empty() || high.is_empty() {
            return Ok(());
        }
        let fits = low.len() == high.len() || low.len() == 1 || high.len() == 1;
        let count = low.len().max(high.len());
        let pairs = low.iter().cycle().zip(high.iter().cycle()).take(count);
        if !fits || pairs.into_iter().any(|(low, high)| low >= high) {
            return Err(Error("option low must be below high, in every channel".into()));
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        let bound = |numbers: &[f64]| match numbers {
            [] => "auto".to_string(),
            _ => numbers.iter().map(f64::to_string).collect::<Vec<_>>().join("/"),
        };
        let rules: Vec<String> = self.rules.iter().map(ToString::to_string).collect();
        vec![
            ("composite", self.composite.name().to_string()),
            ("epsilon", self.epsilon.to_string()),
            ("gamma", self.gamma.to_string()),
            ("relative", on_off_text(self.relative)),
            ("zero_bias", on_off_text(self.zero_bias)),
            ("low", bound(&self.low)),
            ("high", bound(&self.high)),
            ("rule", if rules.is_empty() { "none".to_string() } else { rules.join(";") }),
        ]
    }
}

/// `auto`, a number, or one per channel.
fn per_channel(key: &str, text: &str) -> Result<Vec<f64>> {
    match text {
        "auto" => Ok(vec![]),
        _ => text
            .split('/')
            .map(|part| number(key, part, |_| true, "or one per channel joined by /"))
            .collect(),
    }
}

/// `lrp`.
pub const LRP: MethodInfo = MethodInfo {
    name: "lrp",
    summary: "The score is traced back as signed relevance: each unit shares what it received among its terms in \
              proportion to their contribution. A composite says which rule each kind of layer gets; batch normalisation \
              counts as part of the layer that takes it in. Biases and stabilisers keep a share, which the ledger shows.",
    formula: "epsilon: R_i = sum_j x_i w_ij / (z_j + eps sign z_j) R_j; gamma: the same with terms of the sign of z_j times \
              (1 + gamma); alpha-beta: alpha (x_i w_ij)+ / z_j+ R_j - beta (x_i w_ij)- / z_j- R_j, z-plus its case 1, 0; flat: \
              R_j equally; w-square: by w_ij^2; z-box: by x_i w_ij - low w_ij+ - high w_ij-",
    cost: "forward + about 1 forward (epsilon), 2 (z-plus, gamma behind ReLU), 4 (alpha-beta)",
    misleads: "Epsilon is gradient times input in networks of ReLU, pools and sums: noisy where those are deep. The rules that \
               favour positive terms look clean, partly forget what speaks against the target, and leave nearly all to the \
               biases where these are large (the ledger says how much; zero_bias=on leaves them out). Products of two values \
               get half each: for transformers use attn-lrp.",
    citation: "Bach et al. (2015), PLOS ONE 10(7); rules and composites: Montavon et al. (2019), Layer-Wise Relevance \
               Propagation: An Overview; gamma for terms of both signs: Andeol et al. (2021), arXiv 2106.04923",
    parameters: Lrp::PARAMETERS,
};
