//! Options of methods that read attention weights, by the names that they have on the command line.

use exegesis_catalogue::Result;
use exegesis_catalogue::{MethodInfo, ParameterInfo};
use exegesis_catalogue::{Options, count};

/// A choice of one of several by number, or all.
fn one_of(key: &str, value: &str) -> Result<Option<usize>> {
    if value == "0" { Ok(Some(0)) } else { count(key, value, 100_000).map(Some) }
}

/// Options of raw attention.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attention {
    /// Layer, from 0; `None` is the last.
    pub layer: Option<usize>,
    /// Head, from 0; `None` is the mean over heads.
    pub head: Option<usize>,
}

impl Options for Attention {
    const PARAMETERS: &'static [ParameterInfo] = &[
        ParameterInfo {
            name: "layer",
            default: "last",
            values: "last, or a number from 0",
            doc: "Attention layer, of those that lead from the explained position to the input.",
        },
        ParameterInfo {
            name: "head",
            default: "mean",
            values: "mean, or a number from 0",
            doc: "Attention head.",
        },
    ];

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match (key, value) {
            ("layer", "last") => self.layer = None,
            ("layer", _) => self.layer = one_of(key, value)?,
            ("head", "mean") => self.head = None,
            ("head", _) => self.head = one_of(key, value)?,
            _ => {}
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![
            ("layer", self.layer.map_or("last".to_string(), |l| l.to_string())),
            ("head", self.head.map_or("mean".to_string(), |h| h.to_string())),
        ]
    }
}

/// `attention`.
pub const ATTENTION: MethodInfo = MethodInfo {
    name: "attention",
    summary: "The attention weights of one layer, from the explained position to every token, of one head or averaged. The \
              explained position is where the target is read: the class token, the last token, or the mean of all.",
    formula: "A_j = mean_h softmax(Q K^T)_{h, i, j}",
    cost: "forward",
    misleads: "Weights say where a head looks, not what it does with what it sees; they do not depend on the target.",
    citation: "Vaswani et al. (2017), arXiv 1706.03762; Jain, Wallace (2019), arXiv 1902.10186",
    parameters: Attention::PARAMETERS,
};

/// `attention-rollout`.
pub const ATTENTION_ROLLOUT: MethodInfo = MethodInfo {
    name: "attention-rollout",
    summary: "Attention weights of all layers multiplied together, with the residual path as an identity: how much of each \
              token arrives at the explained position if only attention mixed tokens.",
    formula: "R = prod_l rownorm(mean_h A_l + I), later layers on the left; the row of the explained position",
    cost: "forward",
    misleads: "It does not depend on the target, ignores values and feed-forward layers, and evens out in deep models. The \
               explained position has a large share of its own, by the residual path.",
    citation: "Abnar, Zuidema (2020), arXiv 2005.00928",
    parameters: &[],
};

/// `grad-rollout`.
pub const GRAD_ROLLOUT: MethodInfo = MethodInfo {
    name: "grad-rollout",
    summary: "Rollout of attention weights times their positive gradients: paths that help the target.",
    formula: "R = prod_l rownorm(mean_h max(A_l * df/dA_l, 0) + I); the row of the explained position, without the path that \
              only follows residuals",
    cost: "forward + about 1 forward",
    misleads: "As rollout, without values and feed-forward layers; what speaks against the target is cut off.",
    citation: "Chefer, Gur, Wolf (2021), arXiv 2103.15679",
    parameters: &[],
};
