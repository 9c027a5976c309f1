//! How much magnitude forms each output, and how relevance goes back by it.

use exegesis_graph::op;
use exegesis_graph::{Op, Tensor, ValueId};

use super::{Coefficients, Kind, LinearMap, Term, convolution};
use crate::Result;
use crate::rule::Context;

impl LinearMap {
    /// `|W| / 2 v + floor` for `v >= 0` of the shape of `x`.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn half_magnitude(&self, cx: &mut Context<'_, '_>, v: ValueId, floor: f64) -> Result<ValueId> {
        if self.has_weights() {
            return self.magnitude(cx, v, None, floor, Coefficients::HalfAbsolute);
        }
        let half = cx.b.mul_scalar(v, 0.5)?;
        self.magnitude(cx, half, None, floor, Coefficients::Absolute)
    }

    /// `(|W| / 2)^T g`.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn half_adjoint(&self, cx: &mut Context<'_, '_>, g: ValueId) -> Result<ValueId> {
        if self.has_weights() {
            return self.adjoint(cx, g, Coefficients::HalfAbsolute);
        }
        let half = cx.b.mul_scalar(g, 0.5)?;
        self.adjoint(cx, half, Coefficients::Absolute)
    }

    /// `(|W| / 2)^T whole + W^T odd`, or with `-`.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn adjoint_of_route(
        &self,
        cx: &mut Context<'_, '_>,
        whole: ValueId,
        odd: ValueId,
        adds: bool,
    ) -> Result<ValueId> {
        if let Kind::Conv(w) = self.kind {
            let terms = [
                Term { g: whole, form: Coefficients::HalfAbsolute, adds: true },
                Term { g: odd, form: Coefficients::Signed, adds },
            ];
            return convolution::adjoint_of_conv(cx, &self.node, &terms, w, self.x);
        }
        let whole = self.half_adjoint(cx, whole)?;
        let odd = self.adjoint(cx, odd, Coefficients::Signed)?;
        Ok(if adds { cx.b.add(whole, odd)? } else { cx.b.sub(whole, odd)? })
    }

    /// `|W| v + |bias| + floor` for `v >= 0` of the shape of `x`: how much magnitude forms each output. Bias and floor go
    /// where the runtime adds them without a pass of their own.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn total_magnitude(&self, cx: &mut Context<'_, '_>, v: ValueId, floor: f64) -> Result<ValueId> {
        let bias = match self.bias {
            Some(bias) => Some(cx.b.abs(bias)?),
            None => None,
        };
        self.magnitude(cx, v, bias, floor, Coefficients::Absolute)
    }

    /// `|W| v + offset + floor` for `v >= 0` of the shape of `x` and an offset of the shape of the bias; `form` is how much of
    /// `|W|`.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn magnitude(
        &self,
        cx: &mut Context<'_, '_>,
        v: ValueId,
        offset: Option<ValueId>,
        floor: f64,
        form: Coefficients,
    ) -> Result<ValueId> {
        let bias = match offset {
            Some(offset) => Some(cx.b.add_scalar(offset, floor)?),
            None => match self.output_channels(cx)? {
                Some(n) => {
                    let floors = Tensor::from_f64(cx.b.dtype(self.x), vec![n], vec![floor; n])?;
                    Some(cx.b.constant(floors))
                }
                None => None,
            },
        };
        match (&self.kind, bias) {
            (Kind::Conv(w) | Kind::ConvTranspose(w), Some(bias)) => {
                let w = self.weight(cx, *w, form)?;
                let bias = cx.b.reshape_to(bias, &[-1])?;
                Ok(cx.b.op(self.node.op.clone(), &[v, w, bias])?)
            }
            (Kind::Gemm { weight, carrier_is_a }, Some(bias)) => {
                let Op::Gemm(gemm) = &self.node.op else { unreachable!("kind follows the operator") };
                let (form, alpha) = form.scaled(gemm.alpha);
                let w = self.weight(cx, *weight, form)?;
                let (a, b) = if *carrier_is_a { (v, w) } else { (w, v) };
                Ok(cx.b.op(op::Gemm { alpha, beta: 1.0, ..gemm.clone() }, &[a, b, bias])?)
            }
            (_, Some(bias)) => {
                let d = self.forward(cx, v, form)?;
                Ok(cx.b.add(d, bias)?)
            }
            (_, None) => {
                let d = self.forward(cx, v, form)?;
                Ok(cx.b.add_scalar(d, floor)?)
            }
        }
    }

    /// Length of the output axis that a bias vector would run along, where the map has one and its length is known.
    fn output_channels(&self, cx: &Context<'_, '_>) -> Result<Option<usize>> {
        let weight = |w: ValueId| cx.b.static_shape(w);
        Ok(match &self.kind {
            Kind::Right(w) => weight(*w).filter(|s| s.len() >= 2).and_then(|s| s.last().copied()),
            Kind::Linear { weight: w, transposed } => {
                weight(*w).filter(|s| s.len() == 2).map(|s| s[usize::from(!transposed)])
            }
            Kind::Conv(w) => weight(*w).and_then(|s| s.first().copied()),
            _ => None,
        })
    }

    /// Sums of `n * factor` over axes that hold no batch, for `n` of the shape of the output and a `factor` that
    /// broadcasts to it: as a product with a vector where that saves a pass over `n`.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn weigh_outputs(&self, cx: &mut Context<'_, '_>, n: ValueId, factor: ValueId) -> Result<ValueId> {
        let per_channel = cx.b.static_shape(factor).is_some_and(|s| match self.kind {
            Kind::Conv(_) | Kind::ConvTranspose(_) => true,
            Kind::Right(_) | Kind::Linear { .. } | Kind::Gemm { .. } => {
                s.len() == 1 && s[0] > 1 && cx.b.rank(n).is_ok_and(|rank| rank >= 2)
            }
            _ => false,
        });
        if !per_channel {
            return Ok(cx.b.mul(n, factor)?);
        }
        let column = cx.b.reshape_to(factor, &[-1, 1])?;
        let sums = match self.kind {
            Kind::Conv(_) | Kind::ConvTranspose(_) => {
                let spatial: Vec<usize> = (2..cx.b.rank(n)?).collect();
                cx.b.reduce_sum(n, &spatial, false)?
            }
            _ => n,
        };
        Ok(cx.b.matmul(sums, column)?)
    }
}
