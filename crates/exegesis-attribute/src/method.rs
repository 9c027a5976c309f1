//! The methods by name, their parameters, and what their reference page says.

use crate::attention::options::{self as attention, Attention};
use crate::attn_lrp::options::{self as attn_lrp, AttnLrp, CpLrp};
use crate::cam::CamKind;
use crate::cam::options::{self as cam, Cam};
use crate::deeplift::options as deeplift;
use crate::dlbacktrace::options::{self as dlbacktrace, DlBacktrace, Mode};
use crate::error::{Error, Result};
use crate::lrp::options::{self as lrp, Lrp};
use crate::path::options::{self as path, GradientShap, IntegratedGradients, SmoothGrad, Statistic};
use crate::request::Part;
use crate::{controls, gradient};
use exegesis_catalogue::{MethodInfo, Options, pairs};

/// An attribution method with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// Gradient of the score.
    Gradient,
    /// Input times gradient.
    InputXGradient,
    /// Gradient with positive signals through ReLU only.
    GuidedBackprop,
    /// Gradients averaged along a path.
    IntegratedGradients(IntegratedGradients),
    /// Gradients averaged under noise.
    SmoothGrad(SmoothGrad),
    /// Gradients at random points between inputs and baselines.
    GradientShap(GradientShap),
    /// Differences from a baseline, unit by unit.
    DeepLift,
    /// The same averaged over baselines.
    DeepShap,
    /// Class activation maps.
    Cam(CamKind, Cam),
    /// Layer-wise relevance propagation.
    Lrp(Lrp),
    /// LRP for transformers, through softmax.
    AttnLrp(AttnLrp),
    /// LRP for transformers, attention weights held constant.
    CpLrp(CpLrp),
    /// Relevance tracing by magnitude.
    DlBacktrace(DlBacktrace),
    /// Raw attention weights.
    Attention(Attention),
    /// Attention weights multiplied over layers.
    AttentionRollout,
    /// The same weighted by gradients.
    GradRollout,
    /// Random numbers.
    Random,
    /// A method of another crate, which only needs the prediction and the score of the model; by its name.
    Outside(&'static str),
    /// Edges of the picture.
    Edges,
}

const CATALOGUE: &[MethodInfo] = &[
    gradient::info::GRADIENT,
    gradient::info::INPUT_X_GRADIENT,
    path::INTEGRATED_GRADIENTS,
    path::SMOOTHGRAD,
    gradient::info::GUIDED_BACKPROP,
    deeplift::DEEPLIFT,
    path::GRADIENT_SHAP,
    deeplift::DEEP_SHAP,
    cam::GRAD_CAM,
    cam::GRAD_CAM_PLUS_PLUS,
    cam::LAYER_CAM,
    #[cfg(feature = "lrp")]
    lrp::LRP,
    #[cfg(feature = "lrp")]
    attn_lrp::ATTN_LRP,
    #[cfg(feature = "lrp")]
    attn_lrp::CP_LRP,
    #[cfg(feature = "dlbacktrace")]
    dlbacktrace::INFO,
    attention::ATTENTION,
    attention::ATTENTION_ROLLOUT,
    attention::GRAD_ROLLOUT,
    controls::RANDOM,
    controls::EDGES,
];

impl Method {
    /// DLBacktrace with its defaults.
    pub fn dlbacktrace() -> Self {
        Self::DlBacktrace(DlBacktrace::default())
    }

    /// The method of an explanation for which none is chosen.
    pub fn usual() -> Self {
        match (cfg!(feature = "dlbacktrace"), cfg!(feature = "lrp")) {
            (true, _) => Self::dlbacktrace(),
            (false, true) => Self::Lrp(Lrp::default()),
            (false, false) => Self::InputXGradient,
        }
    }

    /// Every method that is built.
    pub fn catalogue() -> &'static [MethodInfo] {
        CATALOGUE
    }

    /// Reads `NAME[:key=value,...]`.
    ///
    /// # Errors
    /// An unknown name, parameter or value.
    pub fn parse(text: &str) -> Result<Self> {
        let (name, pairs) = pairs(text)?;
        if !CATALOGUE.iter().any(|m| m.name == name) {
            let names: Vec<&str> = CATALOGUE.iter().map(|m| m.name).collect();
            return Err(Error::Request(format!(
                "method `{name}` is not built in this version; built are {}",
                names.join(", ")
            )));
        }
        Ok(match name {
            "integrated-gradients" => Self::IntegratedGradients(Options::read(name, &pairs)?),
            "smoothgrad" => Self::SmoothGrad(Options::read(name, &pairs)?),
            "gradient-shap" => Self::GradientShap(Options::read(name, &pairs)?),
            "grad-cam" => Self::Cam(CamKind::GradCam, Options::read(name, &pairs)?),
            "grad-cam-plus-plus" => Self::Cam(CamKind::PlusPlus, Options::read(name, &pairs)?),
            "layer-cam" => Self::Cam(CamKind::Layer, Options::read(name, &pairs)?),
            "lrp" => Self::Lrp(Options::read(name, &pairs)?),
            "attn-lrp" => Self::AttnLrp(Options::read(name, &pairs)?),
            "cp-lrp" => Self::CpLrp(Options::read(name, &pairs)?),
            "dlbacktrace" => Self::DlBacktrace(Options::read(name, &pairs)?),
            "attention" => Self::Attention(Options::read(name, &pairs)?),
            _ => {
                if let Some((key, value)) = pairs.first() {
                    return Err(Error::Request(format!(
                        "method `{name}` has no option {key}={value}; it has none"
                    )));
                }
                match name {
                    "gradient" => Self::Gradient,
                    "input-x-gradient" => Self::InputXGradient,
                    "guided-backprop" => Self::GuidedBackprop,
                    "deeplift" => Self::DeepLift,
                    "deep-shap" => Self::DeepShap,
                    "attention-rollout" => Self::AttentionRollout,
                    "grad-rollout" => Self::GradRollout,
                    "random" => Self::Random,
                    _ => Self::Edges,
                }
            }
        })
    }

    /// Name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Gradient => "gradient",
            Self::InputXGradient => "input-x-gradient",
            Self::GuidedBackprop => "guided-backprop",
            Self::IntegratedGradients(_) => "integrated-gradients",
            Self::SmoothGrad(_) => "smoothgrad",
            Self::GradientShap(_) => "gradient-shap",
            Self::DeepLift => "deeplift",
            Self::DeepShap => "deep-shap",
            Self::Cam(CamKind::GradCam, _) => "grad-cam",
            Self::Cam(CamKind::PlusPlus, _) => "grad-cam-plus-plus",
            Self::Cam(CamKind::Layer, _) => "layer-cam",
            Self::Lrp(_) => "lrp",
            Self::AttnLrp(_) => "attn-lrp",
            Self::CpLrp(_) => "cp-lrp",
            Self::DlBacktrace(_) => "dlbacktrace",
            Self::Attention(_) => "attention",
            Self::AttentionRollout => "attention-rollout",
            Self::GradRollout => "grad-rollout",
            Self::Random => "random",
            Self::Edges => "edges",
            Self::Outside(name) => name,
        }
    }

    /// All parameters with their values.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::IntegratedGradients(options) => options.values(),
            Self::SmoothGrad(options) => options.values(),
            Self::GradientShap(options) => options.values(),
            Self::Cam(_, options) => options.values(),
            Self::Lrp(options) => options.values(),
            Self::AttnLrp(options) => options.values(),
            Self::CpLrp(options) => options.values(),
            Self::DlBacktrace(options) => options.values(),
            Self::Attention(options) => options.values(),
            Self::Gradient
            | Self::InputXGradient
            | Self::GuidedBackprop
            | Self::DeepLift
            | Self::DeepShap
            | Self::AttentionRollout
            | Self::GradRollout
            | Self::Random
            | Self::Outside(_)
            | Self::Edges => vec![],
        }
    }

    /// True if the sign of a value says for or against the target.
    pub fn is_signed(&self) -> bool {
        match self {
            Self::DlBacktrace(options) => options.mode == Mode::Contrastive,
            Self::SmoothGrad(options) => options.statistic == Statistic::Mean,
            Self::Cam(..) | Self::Attention(_) | Self::AttentionRollout | Self::GradRollout | Self::Edges => {
                false
            }
            _ => true,
        }
    }

    /// True if a value belongs to a place of the input, not to one of its channels, which all have the same.
    pub fn is_of_places(&self) -> bool {
        matches!(self, Self::Cam(..) | Self::Attention(_) | Self::AttentionRollout | Self::GradRollout)
    }

    /// Signals that flow together through the model.
    pub fn channels(&self) -> usize {
        match self {
            Self::DlBacktrace(options) => options.channels(),
            _ => 1,
        }
    }

    /// True if the method shares out a total, so that there is a ledger.
    pub fn is_relevance(&self) -> bool {
        matches!(self, Self::DlBacktrace(_) | Self::Lrp(_) | Self::AttnLrp(_) | Self::CpLrp(_))
    }

    /// True if batch normalisation and the layer before it count as one layer.
    pub fn sees_batch_norm_folded(&self) -> bool {
        matches!(self, Self::Lrp(_) | Self::AttnLrp(_) | Self::CpLrp(_))
    }

    /// True if what flows are amounts, never below 0, in each channel.
    pub fn flows_amounts(&self) -> bool {
        matches!(self, Self::DlBacktrace(_))
    }

    /// What a graph has to compute for [`explain`](fn@crate::explain) to be about the method: of methods that average over
    /// points one point, of random numbers the prediction.
    pub fn part(&self) -> Part {
        match self {
            Self::IntegratedGradients(_) | Self::SmoothGrad(_) | Self::GradientShap(_) | Self::DeepShap => {
                Part::Point
            }
            Self::Random | Self::Outside(_) => Part::Clean,
            _ => Part::Whole,
        }
    }

    /// True if the method compares with a baseline.
    pub fn has_baseline(&self) -> bool {
        matches!(self, Self::IntegratedGradients(_) | Self::GradientShap(_) | Self::DeepLift | Self::DeepShap)
    }

    /// Catalogue entry.
    pub fn info(&self) -> &'static MethodInfo {
        CATALOGUE.iter().find(|m| m.name == self.name()).unwrap_or(&CATALOGUE[0])
    }
}
