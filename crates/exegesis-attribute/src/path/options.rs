//! Options of the methods that average gradients, by the names that they have on the command line.

use exegesis_catalogue::Result;
use exegesis_catalogue::{MethodInfo, ParameterInfo};
use exegesis_catalogue::{Options, choices, count, number};

/// Most points per row.
const MOST: usize = 100_000;

choices! {
    /// How the integral along the path is approximated.
    Quadrature {
        /// Gauss-Legendre: exact for polynomials of degree `2 steps - 1`.
        #[default]
        GaussLegendre = "gauss-legendre",
        /// Rectangles at the middle of each interval.
        Middle = "riemann-middle",
        /// Rectangles at the left end of each interval.
        Left = "riemann-left",
        /// Rectangles at the right end of each interval.
        Right = "riemann-right",
        /// Trapezoids.
        Trapezoid = "riemann-trapezoid",
    }
}

/// Options of integrated gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegratedGradients {
    /// Points along the path.
    pub steps: usize,
    /// Where they lie and what they weigh.
    pub rule: Quadrature,
    /// Steps are doubled until the gap is at most this part of the difference of scores.
    pub tolerance: Option<f64>,
}

impl Default for IntegratedGradients {
    fn default() -> Self {
        Self { steps: 50, rule: Quadrature::default(), tolerance: None }
    }
}

impl Options for IntegratedGradients {
    const PARAMETERS: &'static [ParameterInfo] = &[
        ParameterInfo {
            name: "steps",
            default: "50",
            values: "1 to 100000",
            doc: "Points along the path, for each baseline.",
        },
        ParameterInfo {
            name: "rule",
            default: "gauss-legendre",
            values: "gauss-legendre, riemann-middle, riemann-left, riemann-right, riemann-trapezoid",
            doc: "Where the points lie and what they weigh.",
        },
        ParameterInfo {
            name: "tolerance",
            default: "none",
            values: "a number above 0",
            doc: "Doubles the steps (up to 6 times) until |gap| is at most this part of |f(x) - f(baseline)|.",
        },
    ];

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "steps" => self.steps = count(key, value, MOST)?,
            "rule" => self.rule = Quadrature::parse(key, value)?,
            "tolerance" if value == "none" => self.tolerance = None,
            "tolerance" => self.tolerance = Some(number(key, value, |v| v > 0.0, "above 0, or none")?),
            _ => {}
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![
            ("steps", self.steps.to_string()),
            ("rule", self.rule.name().to_string()),
            ("tolerance", self.tolerance.map_or("none".to_string(), |t| t.to_string())),
        ]
    }
}

choices! {
    /// What is taken over the samples.
    Statistic {
        /// The mean of the gradients.
        #[default]
        Mean = "mean",
        /// The mean of their squares.
        Squared = "squared",
        /// Their variance (divided by the number of samples).
        Variance = "variance",
    }
}

/// Options of SmoothGrad.
#[derive(Clone, Debug, PartialEq)]
pub struct SmoothGrad {
    /// Noisy copies of each row.
    pub samples: usize,
    /// Standard deviation of the noise, as a part of the range of the row.
    pub noise: f64,
    /// Mean (SmoothGrad), squares (SmoothGrad-squared) or variance (VarGrad).
    pub statistic: Statistic,
}

impl Default for SmoothGrad {
    fn default() -> Self {
        Self { samples: 50, noise: 0.1, statistic: Statistic::default() }
    }
}

const NOISE: ParameterInfo = ParameterInfo {
    name: "noise",
    default: "0.1",
    values: "a number from 0",
    doc: "Standard deviation of the noise, as a part of the range (largest less smallest value) of the row.",
};

impl Options for SmoothGrad {
    const PARAMETERS: &'static [ParameterInfo] = &[
        ParameterInfo {
            name: "samples",
            default: "50",
            values: "1 to 100000",
            doc: "Noisy copies of each row.",
        },
        NOISE,
        ParameterInfo {
            name: "statistic",
            default: "mean",
            values: "mean, squared, variance",
            doc: "mean: SmoothGrad. squared: mean of the squared gradients (SmoothGrad-squared). variance: VarGrad. The \
                  last two have no sign.",
        },
    ];

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "samples" => self.samples = count(key, value, MOST)?,
            "noise" => self.noise = number(key, value, |v| v >= 0.0, "from 0")?,
            "statistic" => self.statistic = Statistic::parse(key, value)?,
            _ => {}
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![
            ("samples", self.samples.to_string()),
            ("noise", self.noise.to_string()),
            ("statistic", self.statistic.name().to_string()),
        ]
    }
}

/// Options of gradient SHAP.
#[derive(Clone, Debug, PartialEq)]
pub struct GradientShap {
    /// Random points per row.
    pub samples: usize,
    /// Standard deviation of the noise on the row, as a part of its range.
    pub noise: f64,
}

impl Default for GradientShap {
    fn default() -> Self {
        Self { samples: 50, noise: 0.0 }
    }
}

impl Options for GradientShap {
    const PARAMETERS: &'static [ParameterInfo] = &[
        ParameterInfo {
            name: "samples",
            default: "50",
            values: "1 to 100000",
            doc: "Random points per row: the baselines in turn from a random one on, a random place on the path in each of \
                  equal intervals.",
        },
        ParameterInfo { default: "0", ..NOISE },
    ];

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "samples" => self.samples = count(key, value, MOST)?,
            "noise" => self.noise = number(key, value, |v| v >= 0.0, "from 0")?,
            _ => {}
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![("samples", self.samples.to_string()), ("noise", self.noise.to_string())]
    }
}

/// `integrated-gradients`.
pub const INTEGRATED_GRADIENTS: MethodInfo = MethodInfo {
    name: "integrated-gradients",
    summary: "The gradient averaged over the straight path from a baseline to the input, times their difference. Values \
              sum to f(input) - f(baseline); how far they miss it is reported as the gap. With several baselines (rows \
              of --baseline FILE) the mean over them: expected gradients. Token ids are explained at their embeddings; \
              the default baseline is zero.",
    formula: "A = (x - x') * sum_k w_k df/dx (x' + a_k (x - x'))",
    cost: "steps (50) times (forward + about 1 forward)",
    misleads: "The baseline decides what counts as absence: cells that equal it get nothing. On deep ReLU networks 50 \
               steps leave a gap of about 1 %; give tolerance=.",
    citation: "Sundararajan, Taly, Yan (2017), Axiomatic Attribution for Deep Networks, arXiv 1703.01365; expected \
               gradients: Erion et al. (2021), arXiv 1906.10670",
    parameters: IntegratedGradients::PARAMETERS,
};

/// `smoothgrad`.
pub const SMOOTHGRAD: MethodInfo = MethodInfo {
    name: "smoothgrad",
    summary: "The gradient averaged over noisy copies of the input: what the model reacts to in a neighbourhood, rather \
              than at one point. Noise is Gaussian and depends on the seed, the row and the sample only.",
    formula: "A = mean_k df/dx (x + n_k), n_k ~ N(0, (noise * (max x - min x))^2)",
    cost: "samples (50) times (forward + about 1 forward)",
    misleads: "It smooths the map, not the model: more noise gives a cleaner picture of points that are less and less \
               like the input. squared and variance show where the gradient varies, not for or against.",
    citation: "Smilkov et al. (2017), arXiv 1706.03825; squares: Hooker et al. (2019), arXiv 1806.10758; variance: Adebayo \
               et al. (2018), arXiv 1810.03307",
    parameters: SmoothGrad::PARAMETERS,
};

/// `gradient-shap`.
pub const GRADIENT_SHAP: MethodInfo = MethodInfo {
    name: "gradient-shap",
    summary: "Gradients at random points between the (noisy) input and the given baselines in turn, times their \
              difference, averaged: an estimate of expected gradients by sampling. Values sum to f(input) less the mean \
              of f(baseline), up to sampling error, which is reported as the gap.",
    formula: "A = mean_k (x + n_k - x'_k) * df/dx (x'_k + a_k (x + n_k - x'_k)), a_k ~ U(0, 1), stratified",
    cost: "samples (50) times (forward + about 1 forward)",
    misleads: "Few samples leave noise in the map; with one baseline integrated gradients are exact at the same price.",
    citation: "Lundberg, Lee (2017), arXiv 1705.07874; Erion et al. (2021), arXiv 1906.10670",
    parameters: GradientShap::PARAMETERS,
};
