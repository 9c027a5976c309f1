//! What the reference pages say of the plain gradients.

use exegesis_catalogue::MethodInfo;

/// `gradient`.
pub const GRADIENT: MethodInfo = MethodInfo {
    name: "gradient",
    summary: "How much the score would change for a small change of each input cell. The sign says in which \
              direction. It answers a question about change, not about how much of the score a cell accounts for.",
    formula: "A = d f / d x, f = the target's score",
    cost: "forward + about 1 forward",
    misleads: "Where the network saturates the gradient is near zero although the input matters; on deep ReLU \
               networks it looks like noise.",
    citation: "Simonyan, Vedaldi, Zisserman (2013), Deep Inside Convolutional Networks, arXiv 1312.6034",
    parameters: &[],
};

/// `input-x-gradient`.
pub const INPUT_X_GRADIENT: MethodInfo = MethodInfo {
    name: "input-x-gradient",
    summary: "The gradient times the input: the first-order part of the score that a cell accounts for. On a \
              linear model it is exact. Cells whose value is zero get nothing.",
    formula: "A = x * d f / d x",
    cost: "forward + about 1 forward",
    misleads: "It depends on where zero lies: after mean subtraction black pixels count and average ones do not.",
    citation: "Shrikumar et al. (2016), Not Just a Black Box, arXiv 1605.01713",
    parameters: &[],
};

/// `guided-backprop`.
pub const GUIDED_BACKPROP: MethodInfo = MethodInfo {
    name: "guided-backprop",
    summary: "The gradient, except that a ReLU lets only positive signals back, where its input was positive too. \
              What is left are paths along which every unit helps the target. Operators other than ReLU are as in \
              the gradient.",
    formula: "at y = relu(x): g_x = g_y where x > 0 and g_y > 0, else 0",
    cost: "forward + about 1 forward",
    misleads: "It draws sharp edges of the picture whatever the class and even with random weights (Adebayo et al. \
               2018): a map that looks clean is no evidence. In networks without ReLU it is the gradient.",
    citation: "Springenberg et al. (2014), Striving for Simplicity, arXiv 1412.6806",
    parameters: &[],
};
