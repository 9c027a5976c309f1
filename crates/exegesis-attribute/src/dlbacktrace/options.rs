//! The options of DLBacktrace, by the names that they have on the command line.

use exegesis_catalogue::{Error, Result};
use exegesis_catalogue::{MethodInfo, ParameterInfo};
use exegesis_catalogue::{Options, choices, number, on_off, on_off_text};

/// What the reference page says.
pub const INFO: MethodInfo = MethodInfo {
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
};

choices! {
    /// How many channels flow.
    Mode {
        /// One: how much.
        #[default]
        Default = "default",
        /// Two: for the target, and for its alternatives.
        Contrastive = "contrastive",
    }
}

choices! {
    /// Whether rules follow the first version of the method where it differs.
    Compat {
        /// As specified.
        #[default]
        None = "none",
        /// As the first version computes.
        V1 = "v1",
    }
}

choices! {
    /// Product of two values that depend on the input.
    MulRule {
        /// Half to each.
        #[default]
        Half = "half",
        /// By how much each factor changes the other.
        Gate = "gate",
        /// All to the factor that is no sigmoid or softmax.
        Value = "value",
    }
}

choices! {
    /// Sum with a constant.
    ConstAdd {
        /// Shared by magnitude, except that position and type embeddings take nothing.
        #[default]
        Auto = "auto",
        /// Shared by magnitude everywhere.
        Share = "share",
        /// All to what depends on the input.
        Pass = "pass",
    }
}

choices! {
    /// A mask or bias that is added to attention scores.
    ScoreBias {
        /// It takes nothing.
        #[default]
        Pass = "pass",
        /// It takes its share by magnitude (finite biases only).
        Share = "share",
    }
}

choices! {
    /// Batch normalisation.
    Norm {
        /// Relevance passes through.
        #[default]
        Pass = "pass",
        /// As a linear layer with a diagonal weight and a bias.
        Affine = "affine",
    }
}

choices! {
    /// Product of two matrices that both depend on the input.
    Bilinear {
        /// Each term takes its share of the magnitudes, half of it to each factor.
        #[default]
        Share = "share",
        /// Shares of the signed sum, which grow without bound where terms cancel.
        Ratio = "ratio",
    }
}

choices! {
    /// Quotient of two values that depend on the input.
    DivRule {
        /// All to the numerator.
        #[default]
        Numerator = "numerator",
        /// Half to each.
        Half = "half",
    }
}

choices! {
    /// Gates of recurrent cells.
    GateRule {
        /// By how much gate and value change each other.
        #[default]
        Gate = "gate",
        /// Half to each.
        Half = "half",
    }
}

choices! {
    /// Size of the seed in default mode.
    SeedValue {
        /// The total.
        #[default]
        One = "one",
        /// The total times the probability of the target.
        Prob = "prob",
    }
}

/// Options of DLBacktrace.
#[derive(Clone, Debug, PartialEq)]
pub struct DlBacktrace {
    /// Channels.
    pub mode: Mode,
    /// Drops the side of a saturated unit that no longer moves its output.
    pub saturation: bool,
    /// Rules of the first version.
    pub compat: Compat,
    /// Products.
    pub mul: MulRule,
    /// Sums with constants.
    pub const_add: ConstAdd,
    /// Masks and biases of attention scores.
    pub score_bias: ScoreBias,
    /// Batch normalisation.
    pub norm: Norm,
    /// Products of matrices.
    pub bilinear: Bilinear,
    /// Quotients.
    pub div: DivRule,
    /// Gates of recurrent cells.
    pub gate: GateRule,
    /// Part of an expert's relevance that goes to its gate.
    pub router: f64,
    /// Size of the seed.
    pub seed_value: SeedValue,
    /// Total of the seed.
    pub total: f64,
    /// Seeds of the first version sum to this instead of to probabilities.
    pub scaler: Option<f64>,
}

impl Default for DlBacktrace {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            saturation: false,
            compat: Compat::default(),
            mul: MulRule::default(),
            const_add: ConstAdd::default(),
            score_bias: ScoreBias::default(),
            norm: Norm::default(),
            bilinear: Bilinear::default(),
            div: DivRule::default(),
            gate: GateRule::default(),
            router: 0.5,
            seed_value: SeedValue::default(),
            total: 1.0,
            scaler: None,
        }
    }
}

impl Options for DlBacktrace {
    const PARAMETERS: &'static [ParameterInfo] = &[
        ParameterInfo {
            name: "mode",
            default: "default",
            values: "default, contrastive",
            doc: "default: one channel, how much. contrastive: one channel for the target and one for its alternatives; \
                  the attribution is their difference.",
        },
        ParameterInfo {
            name: "saturation",
            default: "off",
            values: "off, on",
            doc: "on: a unit before tanh, sigmoid, softmax or swish that is deep in saturation shares among the side that \
                  still moves it (default mode only).",
        },
        ParameterInfo {
            name: "norm",
            default: "pass",
            values: "pass, affine",
            doc: "Batch normalisation: relevance passes through, or its shift takes a share like a bias.",
        },
        ParameterInfo {
            name: "mul",
            default: "half",
            values: "half, gate, value",
            doc: "Product of two values that depend on the input: half to each, the gate rule, or all to the factor that \
                  is no gate.",
        },
        ParameterInfo {
            name: "gate",
            default: "gate",
            values: "gate, half",
            doc: "Gates inside recurrent cells: by how much the factors change each other, or half to each.",
        },
        ParameterInfo {
            name: "const_add",
            default: "auto",
            values: "auto, share, pass",
            doc: "Sum with a constant: shared by magnitude except at position embeddings, shared everywhere, or all to \
                  what depends on the input.",
        },
        ParameterInfo {
            name: "score_bias",
            default: "pass",
            values: "pass, share",
            doc: "Mask or position bias added to attention scores: takes nothing, or its share (finite biases only).",
        },
        ParameterInfo {
            name: "div",
            default: "numerator",
            values: "numerator, half",
            doc: "Quotient of two values that depend on the input.",
        },
        ParameterInfo {
            name: "bilinear",
            default: "share",
            values: "share, ratio",
            doc: "Product of two activations: shares of the magnitudes, or of the signed sum (default mode only; explodes \
                  where terms cancel).",
        },
        ParameterInfo {
            name: "router",
            default: "0.5",
            values: "0 to 1",
            doc: "Mixture of experts: part of an expert's relevance that goes to its gate.",
        },
        ParameterInfo {
            name: "seed_value",
            default: "one",
            values: "one, prob",
            doc: "Size of the seed in default mode: the total, or the total times the target's probability.",
        },
        ParameterInfo { name: "total", default: "1", values: "a positive number", doc: "Total of the seed." },
        ParameterInfo {
            name: "scaler",
            default: "none",
            values: "a positive number",
            doc: "With compat=v1: the seed sums to this (and the negative channel too) instead of to probabilities.",
        },
        ParameterInfo {
            name: "compat",
            default: "none",
            values: "none, v1",
            doc: "v1: numbers of the first public version, where it runs (seeds times 100, saturation on, mean over the \
                  embedding, its convolution and max-pool rules).",
        },
    ];

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "mode" => self.mode = Mode::parse(key, value)?,
            "saturation" => self.saturation = on_off(key, value)?,
            "compat" => {
                self.compat = Compat::parse(key, value)?;
                if self.compat == Compat::V1 {
                    self.total = 100.0;
                    self.seed_value = SeedValue::Prob;
                }
            }
            "mul" => self.mul = MulRule::parse(key, value)?,
            "const_add" => self.const_add = ConstAdd::parse(key, value)?,
            "score_bias" => self.score_bias = ScoreBias::parse(key, value)?,
            "norm" => self.norm = Norm::parse(key, value)?,
            "bilinear" => self.bilinear = Bilinear::parse(key, value)?,
            "div" => self.div = DivRule::parse(key, value)?,
            "gate" => self.gate = GateRule::parse(key, value)?,
            "seed_value" => self.seed_value = SeedValue::parse(key, value)?,
            "router" => self.router = number(key, value, |v| (0.0..=1.0).contains(&v), "from 0 to 1")?,
            "scaler" => {
                self.scaler = Some(number(key, value, |v| v > 0.0 && v <= 1e6, "above 0, at most 1000000")?)
            }
            "total" => self.total = number(key, value, |v| v > 0.0 && v <= 1e6, "above 0, at most 1000000")?,
            _ => {}
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if self.mode == Mode::Contrastive && self.bilinear == Bilinear::Ratio {
            return Err(Error(
                "bilinear=ratio is defined for mode=default only; leave it out or use mode=default"
                    .to_string(),
            ));
        }
        if self.scaler.is_some() && self.compat != Compat::V1 {
            return Err(Error(
                "scaler= belongs to the seeds of the first version; add compat=v1, or use total=".to_string(),
            ));
        }
        if self.mode == Mode::Contrastive && self.saturation {
            return Err(Error(
                "saturation=on is defined for mode=default only; leave it out or use mode=default"
                    .to_string(),
            ));
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![
            ("mode", self.mode.name().to_string()),
            ("saturation", on_off_text(self.saturation)),
            ("norm", self.norm.name().to_string()),
            ("mul", self.mul.name().to_string()),
            ("gate", self.gate.name().to_string()),
            ("const_add", self.const_add.name().to_string()),
            ("score_bias", self.score_bias.name().to_string()),
            ("div", self.div.name().to_string()),
            ("bilinear", self.bilinear.name().to_string()),
            ("router", self.router.to_string()),
            ("seed_value", self.seed_value.name().to_string()),
            ("total", self.total.to_string()),
            ("scaler", self.scaler.map_or("none".to_string(), |s| s.to_string())),
            ("compat", self.compat.name().to_string()),
        ]
    }
}

impl DlBacktrace {
    /// Channels that flow.
    pub fn channels(&self) -> usize {
        match self.mode {
            Mode::Default => 1,
            Mode::Contrastive => 2,
        }
    }
}
