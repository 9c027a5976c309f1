//! A layer with weights, as its rule sees it.

use exegesis_graph::{Dim, Tensor, ValueId};

use super::epsilon;
use super::layer_rule::LayerRule;
use super::share::{Stabiliser, absorb_constant};
use super::{gamma, input_free, signs, z_box};
use crate::Result;
use crate::ledger::Class;
use crate::linear::LinearMap;
use crate::rule::Context;

/// A linear map with the relevance that arrived at it.
pub struct Layer<'a> {
    /// The map.
    pub map: &'a LinearMap,
    /// The bias that takes part; `None` if it is left out.
    pub bias: Option<ValueId>,
    /// Sum of all terms that take part.
    pub z: ValueId,
    /// The relevance.
    pub r: ValueId,
    /// True if `r` is 0 wherever `z <= 0`: the units are read by rectifiers only, behind which all rules pass relevance
    /// in proportion to the value.
    pub is_rectified: bool,
    /// Lowest and highest values of the operand, for the rule that needs them.
    pub bounds: Option<[ValueId; 2]>,
}

impl Layer<'_> {
    /// Books what bias and stabiliser keep of the share `n`: `bias n` and `eps n`.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn absorb(
        &self,
        cx: &mut Context<'_, '_>,
        n: ValueId,
        bias: Option<ValueId>,
        eps: f64,
    ) -> Result<()> {
        if !cx.ledger.is_enabled() {
            return Ok(());
        }
        if let Some(bias) = bias {
            let absorbed = self.map.weigh_outputs(cx, n, bias)?;
            cx.absorb(Class::Bias, absorbed)?;
        }
        let channels = cx.b.shape(n)?.get(1).and_then(Dim::fixed);
        match channels.filter(|_| self.map.is_convolution()) {
            // Through the sums per channel that the bias has asked for.
            Some(channels) => {
                let factor = Tensor::from_f64(cx.b.dtype(n), [channels, 1], vec![eps; channels])?;
                let factor = cx.b.constant(factor);
                let kept = self.map.weigh_outputs(cx, n, factor)?;
                cx.absorb(Class::Stabiliser, kept)
            }
            None => absorb_constant(cx, n, eps),
        }
    }

    /// Relevance of the operand by `rule`, for maps with weights.
    ///
    /// # Errors
    /// Bounds that are missing, or a graph that can't be treated.
    pub fn apply(&self, cx: &mut Context<'_, '_>, rule: LayerRule, is_relative: bool) -> Result<ValueId> {
        match rule {
            LayerRule::Epsilon(eps) if is_relative => epsilon::by_output(cx, self, Stabiliser::Relative(eps)),
            LayerRule::Epsilon(eps) => epsilon::by_output(cx, self, Stabiliser::Absolute(eps)),
            LayerRule::Zero => epsilon::by_output(cx, self, Stabiliser::Guard),
            LayerRule::Gamma(factor) => gamma::relevance(cx, self, factor),
            LayerRule::AlphaBeta { alpha, beta } => signs::alpha_beta(cx, self, alpha, beta),
            LayerRule::Flat => input_free::flat(cx, self),
            LayerRule::WSquare => input_free::w_square(cx, self),
            LayerRule::ZBox => z_box::relevance(cx, self),
        }
    }
}
