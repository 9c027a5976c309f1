//! What the reference pages say of DeepLIFT and DeepSHAP.

use exegesis_catalogue::MethodInfo;

/// `deeplift`.
pub const DEEPLIFT: MethodInfo = MethodInfo {
    name: "deeplift",
    summary: "Compares the input with a baseline, unit by unit: each unit's difference from its value at the baseline is \
              shared among the differences of its operands (rescale rule). Values sum to f(input) - f(baseline).",
    formula: "A = (x - x') * m_x with m_x = m_y * (y - y') / (x - x') per unit; linear maps: m_x = W^T m_y; products a b: \
              m_a = m_y (b + b')/2; softmax: m_x = l (m_y - sum(m_y l)/sum(l)), l = (y - y')/(ln y - ln y'); maxima: to the \
              winner on the side of the larger result",
    cost: "2 forwards + about 1 forward",
    misleads: "The baseline decides what counts as absence: cells that equal it get nothing. How products of activations and \
               normalisations share a difference is one choice among several that are complete; mixtures of experts and \
               loops of open length are refused.",
    citation: "Shrikumar, Greenside, Kundaje (2017), arXiv 1704.02685",
    parameters: &[],
};

/// `deep-shap`.
pub const DEEP_SHAP: MethodInfo = MethodInfo {
    name: "deep-shap",
    summary: "DeepLIFT averaged over several baselines, the rows of --baseline FILE: values sum to f(input) less the mean of \
              f(baseline). With one baseline it is DeepLIFT.",
    formula: "A = mean over baselines of DeepLIFT",
    cost: "baselines times (2 forwards + about 1 forward)",
    misleads: "As DeepLIFT; it approximates Shapley values only as far as the rescale rule does.",
    citation: "Lundberg, Lee (2017), arXiv 1705.07874",
    parameters: &[],
};
