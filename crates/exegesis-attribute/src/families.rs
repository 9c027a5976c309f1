//! The families of methods: which code computes what a method is called for.

use exegesis_graph::{Builder, Graph, ValueId};
use rustc_hash::FxHashSet;

use crate::attn_lrp::TransformerRules;
use crate::attributed::{Attributed, Situation};
use crate::cam::CamKind;
use crate::cam::options::Cam;
use crate::dlbacktrace::DlBacktraceRules;
use crate::dlbacktrace::options::ConstAdd;
use crate::error::{Error, Result};
use crate::explain::embedding_adds;
use crate::gradient::Gradient;
use crate::gradient::guided::{self, GuidedBackprop};
use crate::method::Method;
use crate::path::Points;
use crate::request::{Part, Request};
use crate::rule::RuleSet;
use crate::{attention, attn_lrp, cam, controls, deeplift, lrp};

/// How a method computes its attributions.
pub(crate) enum Family {
    /// One walk from the seed to the inputs.
    Walk(Box<dyn RuleSet>),
    /// The same, times the input.
    TimesInput(Box<dyn RuleSet>),
    /// One walk of signed relevance, which starts with the score.
    Score(Box<dyn RuleSet>),
    /// One walk of relevance per unit of the value that it is on.
    PerUnit(Box<dyn RuleSet>),
    /// Differences from a baseline.
    Differences,
    /// A walk to a map of features.
    Cam(CamKind, Cam),
    /// Attention weights.
    Attention(Method),
    /// Edges of a picture.
    Edges,
    /// Computed outside of the graph, which only predicts.
    Outside,
}

/// The family of the method of `request`, for `graph` explained from `output` back to `roots`.
///
/// # Errors
/// Options that do not fit the model.
pub(crate) fn of(graph: &Graph, request: &Request, roots: &[ValueId], output: ValueId) -> Result<Family> {
    let method = &request.method;
    Ok(match method {
        Method::Gradient
        | Method::IntegratedGradients(_)
        | Method::SmoothGrad(_)
        | Method::GradientShap(_) => Family::Walk(Box::new(Gradient)),
        Method::InputXGradient => Family::TimesInput(Box::new(Gradient)),
        Method::GuidedBackprop => Family::Walk(Box::new(GuidedBackprop)),
        Method::DeepLift | Method::DeepShap => Family::Differences,
        Method::Cam(kind, options) => Family::Cam(*kind, options.clone()),
        #[cfg(feature = "lrp")]
        Method::Lrp(options) => {
            Family::Score(lrp::rules(options, graph, roots, output, request.bounds.as_deref())?)
        }
        #[cfg(feature = "lrp")]
        Method::AttnLrp(options) => Family::PerUnit(Box::new(TransformerRules::from(options))),
        #[cfg(feature = "lrp")]
        Method::CpLrp(options) => Family::PerUnit(Box::new(TransformerRules::from(options))),
        #[cfg(feature = "dlbacktrace")]
        Method::DlBacktrace(options) => {
            let embedding_adds = match options.const_add {
                ConstAdd::Share => FxHashSet::default(),
                ConstAdd::Auto | ConstAdd::Pass => embedding_adds(graph, roots, output)?,
            };
            Family::Walk(Box::new(DlBacktraceRules::new(options.clone(), embedding_adds, graph)))
        }
        Method::Attention(_) | Method::AttentionRollout | Method::GradRollout => {
            Family::Attention(method.clone())
        }
        Method::Edges => Family::Edges,
        Method::Random | Method::Outside(_) => Family::Outside,
        #[cfg(not(feature = "lrp"))]
        Method::Lrp(_) | Method::AttnLrp(_) | Method::CpLrp(_) => return Err(left_out(method)),
        #[cfg(not(feature = "dlbacktrace"))]
        Method::DlBacktrace(_) => return Err(left_out(method)),
    })
}

/// The error of a family that this build leaves out.
#[cfg(not(all(feature = "lrp", feature = "dlbacktrace")))]
fn left_out(method: &Method) -> Error {
    Error::Request(format!("method `{}` is left out of this build; choose another", method.name()))
}

impl Family {
    fn rules(&self) -> Option<&dyn RuleSet> {
        match self {
            Self::Walk(rules) | Self::TimesInput(rules) | Self::Score(rules) | Self::PerUnit(rules) => {
                Some(rules.as_ref())
            }
            _ => None,
        }
    }

    /// True if relevance is shared out, so that there is a ledger.
    pub fn is_relevance(&self) -> bool {
        self.rules().is_some_and(RuleSet::is_relevance)
    }

    /// Signals that flow together.
    pub fn channels(&self) -> usize {
        self.rules().map_or(1, RuleSet::channels)
    }

    /// Appends what computes the attributions.
    ///
    /// # Errors
    /// A model or request that the method does not fit.
    pub fn attribute(&self, b: &mut Builder<'_>, situation: &mut Situation<'_>) -> Result<Attributed> {
        let roots = situation.roots;
        let request = situation.request;
        if request.part == Part::Whole && Points::of(&request.method).is_some() {
            return Err(Error::Request(format!(
                "method `{}` draws random numbers for every point and is no single graph: run it with `exegesis explain`, or \
                 compile integrated-gradients",
                request.method.name()
            )));
        }
        Ok(match self {
            Self::Walk(rules) => {
                let walked = situation.walk(b, rules.as_ref(), roots)?;
                let notes = match situation.request.method {
                    Method::GuidedBackprop => guided::note(&walked.rules).into_iter().collect(),
                    _ => vec![],
                };
                Attributed { walked, warnings: notes, ..Attributed::default() }
            }
            Self::TimesInput(rules) => {
                let mut walked = situation.walk(b, rules.as_ref(), roots)?;
                for signals in &mut walked.channels {
                    for root in roots {
                        if let Some(signal) = signals.get_mut(root) {
                            *signal = b.mul(*root, *signal)?;
                        }
                    }
                }
                walked.into()
            }
            Self::Score(rules) => {
                let (value, seed) = (situation.seed.value, situation.seed.signals[0]);
                let relevance = b.mul(seed, value)?;
                b.assume_shape(relevance, value);
                let walked = situation.walk_with(b, rules.as_ref(), vec![relevance], roots)?;
                let total = situation.batch.row_sums(b, relevance)?;
                Attributed { walked, total, ..Attributed::default() }
            }
            Self::PerUnit(rules) => attn_lrp::attribute(b, situation, rules.as_ref())?,
            Self::Differences => deeplift::attribute(b, situation)?,
            Self::Cam(kind, options) => cam::attribute(b, situation, *kind, options)?,
            Self::Attention(method) => attention::attribute(b, situation, method)?,
            Self::Edges => controls::edges(b, situation)?,
            Self::Outside => {
                return Err(Error::Request(format!(
                    "method `{}` is no single graph and can't be compiled; run it with `exegesis explain`",
                    request.method.name()
                )));
            }
        })
    }
}
