//! The black-box methods by name.

use exegesis_catalogue::{MethodInfo, Options, ParameterInfo, choices, pairs};

use crate::kernel_shap::KernelShap;
use crate::lime::Lime;
use crate::occlusion::Occlusion;
use crate::partition_shap::PartitionShap;
use crate::permutation_shap::PermutationShap;
use crate::random::RowKey;
use crate::rise::Rise;
use crate::shapley::Shapley;
use crate::slalom::Slalom;
use crate::{Attribution, Error, Evaluator, Layout, Result};

choices! {
    /// What stands in for what is taken out.
    ImputerChoice {
        /// Of tokens deletion where the model takes texts of any length, else `mask`; of everything else the baseline.
        #[default]
        Auto = "auto",
        /// The baseline.
        Baseline = "baseline",
        /// Nothing: tokens are taken out, the text gets shorter.
        Delete = "delete",
        /// The mask token (or, without one, the padding token).
        Mask = "mask",
        /// The mean and noise of the row itself.
        Noise = "noise",
        /// The mean of the nearest cells that are left.
        Neighbours = "neighbours",
        /// The mean of each player's own cells, per channel.
        Segment = "segment",
    }
}

impl ImputerChoice {
    /// The choices, as `exegesis methods NAME` says them.
    pub(crate) const VALUES: &'static str = "auto, baseline, delete, mask, noise, neighbours, segment";

    /// The option `imputer` of most methods.
    pub(crate) const PARAMETER: ParameterInfo = ParameterInfo {
        name: "imputer",
        default: "auto",
        values: Self::VALUES,
        doc: "what stands in for what is taken out: auto: of tokens deletion (or the mask token), else the baseline; \
              noise: mean and noise of the row; neighbours: the nearest cells that are left; segment: the mean of the \
              super-pixel or patch itself",
    };
}

/// A black-box method with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// The score without a window, at every place of it.
    Occlusion(Occlusion),
    /// A weighted linear surrogate.
    Lime(Lime),
    /// Shapley values by enumeration.
    Shapley(Shapley),
    /// Shapley values by weighted regression.
    KernelShap(KernelShap),
    /// Shapley values by random orders.
    PermutationShap(PermutationShap),
    /// Owen values over a hierarchy.
    PartitionShap(PartitionShap),
    /// Mean of random masks weighted by the score.
    Rise(Rise),
    /// The softmax-linked surrogate of transformers.
    Slalom(Slalom),
}

const CATALOGUE: &[MethodInfo] = &[
    crate::occlusion::INFO,
    crate::lime::INFO,
    crate::shapley::INFO,
    crate::kernel_shap::INFO,
    crate::permutation_shap::INFO,
    crate::partition_shap::INFO,
    crate::rise::INFO,
    crate::slalom::INFO,
];

/// Runs `$body` with the options of any method.
macro_rules! with_options {
    ($method:expr, $options:ident => $body:expr) => {
        match $method {
            Method::Occlusion($options) => $body,
            Method::Lime($options) => $body,
            Method::Shapley($options) => $body,
            Method::KernelShap($options) => $body,
            Method::PermutationShap($options) => $body,
            Method::PartitionShap($options) => $body,
            Method::Rise($options) => $body,
            Method::Slalom($options) => $body,
        }
    };
}

impl Method {
    /// Every method.
    pub fn catalogue() -> &'static [MethodInfo] {
        CATALOGUE
    }

    /// Reads `NAME[:key=value,...]`; `None` for a name that is none of [`Method::catalogue`].
    ///
    /// # Errors
    /// An unknown parameter or value.
    pub fn parse(text: &str) -> exegesis_catalogue::Result<Option<Self>> {
        let (name, pairs) = pairs(text)?;
        Ok(Some(match name {
            "occlusion" => Self::Occlusion(Options::read(name, &pairs)?),
            "lime" => Self::Lime(Options::read(name, &pairs)?),
            "shapley" => Self::Shapley(Options::read(name, &pairs)?),
            "kernel-shap" => Self::KernelShap(Options::read(name, &pairs)?),
            "permutation-shap" => Self::PermutationShap(Options::read(name, &pairs)?),
            "partition-shap" => Self::PartitionShap(Options::read(name, &pairs)?),
            "rise" => Self::Rise(Options::read(name, &pairs)?),
            "slalom" => Self::Slalom(Options::read(name, &pairs)?),
            _ => return Ok(None),
        }))
    }

    /// Name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Occlusion(_) => "occlusion",
            Self::Lime(_) => "lime",
            Self::Shapley(_) => "shapley",
            Self::KernelShap(_) => "kernel-shap",
            Self::PermutationShap(_) => "permutation-shap",
            Self::PartitionShap(_) => "partition-shap",
            Self::Rise(_) => "rise",
            Self::Slalom(_) => "slalom",
        }
    }

    /// Catalogue entry.
    pub fn info(&self) -> &'static MethodInfo {
        CATALOGUE.iter().find(|m| m.name == self.name()).unwrap_or(&CATALOGUE[0])
    }

    /// All parameters with their values.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        with_options!(self, options => options.values())
    }

    /// What stands in for what is taken out.
    pub fn imputer(&self) -> ImputerChoice {
        match self {
            Self::Occlusion(o) => o.imputer,
            Self::Lime(o) => o.imputer,
            Self::Shapley(o) => o.imputer,
            Self::KernelShap(o) => o.imputer,
            Self::PermutationShap(o) => o.imputer,
            Self::PartitionShap(o) => o.imputer,
            Self::Rise(o) => o.imputer,
            Self::Slalom(_) => ImputerChoice::Delete,
        }
    }

    /// True if the sign of a value says for or against the target.
    pub fn is_signed(&self) -> bool {
        !matches!(self, Self::Rise(rise) if !rise.center)
    }

    /// Attributions to the players of a row, which lie as `layout` says.
    ///
    /// # Errors
    /// A predictor that fails, a budget below what the method needs, a layout that it can't use; [`Error::Stopped`] where
    /// stopping left nothing to go by.
    pub fn attribute(
        &self,
        evaluator: &mut Evaluator<'_, '_>,
        layout: &Layout,
        key: RowKey,
    ) -> Result<Attribution> {
        match self {
            Self::Occlusion(o) => o.attribute(evaluator, layout),
            Self::Lime(o) => o.attribute(evaluator, layout, key),
            Self::Shapley(o) => o.attribute(evaluator),
            Self::KernelShap(o) => o.attribute(evaluator, key),
            Self::PermutationShap(o) => o.attribute(evaluator, key),
            Self::PartitionShap(o) => o.attribute(evaluator, layout, key),
            Self::Rise(o) => o.attribute(evaluator, layout, key),
            Self::Slalom(_) => Err(Error::Request(
                "method `slalom` explains token ids, which this input is none of".to_string(),
            )),
        }
    }
}
