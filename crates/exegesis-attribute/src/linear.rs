//! Operators that are linear in one carrier operand with constant coefficients: their forward map and its adjoint, with
//! the coefficients as they are or by absolute value. Gradient, LRP and DLBacktrace rules share them.

mod axes;
mod convolution;
mod diagonal;
mod einsum;
mod heads;
mod magnitude;
mod matrix;
pub mod phases;
pub mod pooling;
mod resize;

pub use axes::{divide_by_count, keep_axes, reduced_axes};
pub use convolution::{Geometry, Window, adjoint_of_windows, geometry};
pub use diagonal::{Diagonal, diagonal};
pub use einsum::{einsum_adjoint, is_reversible_einsum};
pub use heads::ClassRows;
pub use matrix::{gemm_adjoint, matmul_adjoint_left, matmul_adjoint_right};

use exegesis_graph::op::{self, CoordinateMode, ReduceKind, ResizeMode, Unary, Variadic};
use exegesis_graph::{Builder, Dim, Node, Op, ValueId};

use crate::Result;
use crate::rule::Context;

/// Coefficients to use: as trained, or a function of them. All but the first two are for maps with weights only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Coefficients {
    /// `W`.
    Signed,
    /// `|W|`.
    Absolute,
    /// `|W| / 2`.
    HalfAbsolute,
    /// `max(W, 0)`.
    Positive,
    /// `min(W, 0)`.
    Negative,
    /// `W + gamma max(W, 0)`.
    Raised(f64),
    /// `W + gamma min(W, 0)`.
    Lowered(f64),
    /// `W^2`.
    Squared,
    /// 1 for every connection.
    One,
}

impl Coefficients {
    /// `w` in this form.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn of(self, b: &mut Builder<'_>, w: ValueId) -> Result<ValueId> {
        Ok(match self {
            Self::Signed => w,
            Self::Absolute => b.abs(w)?,
            Self::HalfAbsolute => {
                let size = b.abs(w)?;
                b.mul_scalar(size, 0.5)?
            }
            Self::Positive => b.unary(Unary::Relu, w)?,
            Self::Negative => {
                let zero = b.scalar(0.0, w)?;
                b.op(Variadic::Min, &[w, zero])?
            }
            Self::Raised(gamma) | Self::Lowered(gamma) => {
                let sign = if matches!(self, Self::Raised(_)) { Self::Positive } else { Self::Negative };
                let part = sign.of(b, w)?;
                let part = b.mul_scalar(part, gamma)?;
                b.add(w, part)?
            }
            Self::Squared => b.mul(w, w)?,
            Self::One => {
                let zeros = b.zeros_like(w)?;
                b.add_scalar(zeros, 1.0)?
            }
        })
    }

    /// The form of `W` and the factor of it that together are this form of `alpha W`.
    fn scaled(self, alpha: f32) -> (Self, f32) {
        let turned = match self {
            Self::Positive => Self::Negative,
            Self::Negative => Self::Positive,
            Self::Raised(gamma) => Self::Lowered(gamma),
            Self::Lowered(gamma) => Self::Raised(gamma),
            other => other,
        };
        match self {
            Self::Absolute | Self::HalfAbsolute => (self, alpha.abs()),
            Self::Squared => (self, alpha * alpha),
            Self::One => (self, 1.0),
            _ if alpha < 0.0 => (turned, alpha),
            _ => (self, alpha),
        }
    }
}

/// A signal and the form of the coefficients that it comes back through, as part of a sum of such.
#[derive(Clone, Copy, Debug)]
pub struct Term {
    /// The signal on the output.
    pub g: ValueId,
    /// The coefficients.
    pub form: Coefficients,
    /// False to subtract it.
    pub adds: bool,
}

impl Term {
    /// The sum of what `back` makes of each term.
    ///
    /// # Errors
    /// As `back`.
    pub fn sum<'a, 'g>(
        cx: &mut Context<'a, 'g>,
        terms: &[Self],
        back: &mut dyn FnMut(&mut Context<'a, 'g>, &Self) -> Result<ValueId>,
    ) -> Result<ValueId> {
        let mut sum: Option<ValueId> = None;
        for term in terms {
            let part = back(cx, term)?;
            sum = Some(match (sum, term.adds) {
                (None, true) => part,
                (None, false) => cx.b.unary(exegesis_graph::op::Unary::Neg, part)?,
                (Some(before), true) => cx.b.add(before, part)?,
                (Some(before), false) => cx.b.sub(before, part)?,
            });
        }
        Ok(sum.ok_or_else(|| exegesis_graph::Error::malformed("a sum of nothing"))?)
    }
}

/// A node seen as `y = W x + bias` in its carrier operand `x`.
pub struct LinearMap {
    node: Node,
    /// Position of the carrier operand.
    pub operand: usize,
    /// The operand `x`.
    pub x: ValueId,
    /// Additive term of the output, in a shape that broadcasts to it.
    pub bias: Option<ValueId>,
    kind: Kind,
}

enum Kind {
    /// `x W` (leading axes broadcast).
    Right(ValueId),
    /// `W x`.
    Left(ValueId),
    /// `alpha x' W'` of Gemm with the carrier as A, or as B.
    Gemm {
        weight: ValueId,
        carrier_is_a: bool,
    },
    Linear {
        weight: ValueId,
        transposed: bool,
    },
    Conv(ValueId),
    ConvTranspose(ValueId),
    /// The other operands, in order.
    Einsum(Vec<ValueId>),
    AveragePool,
    GlobalAveragePool,
    Reduce {
        mean: bool,
    },
    CumSum,
    Resize,
}

impl LinearMap {
    /// The node as a linear map, or `None` if it is not one (several carriers, or another kind of operator). A `Resize`
    /// of a region is affine: cells outside take a given value.
    ///
    /// # Errors
    /// The node is ill-formed.
    pub fn of(cx: &mut Context<'_, '_>, node: &Node) -> Result<Option<Self>> {
        if let Op::Resize(resize) = &node.op
            && resize.coordinate_transformation_mode == CoordinateMode::TfCropAndResize
        {
            return Ok(None);
        }
        match cx.carrier_operands(node).as_slice() {
            [operand] => Self::in_operand(cx, node, *operand),
            _ => Ok(None),
        }
    }

    /// The node as a linear map of one operand, with the others, whether they vary or not, as coefficients.
    ///
    /// # Errors
    /// The node is ill-formed.
    pub fn in_operand(cx: &mut Context<'_, '_>, node: &Node, operand: usize) -> Result<Option<Self>> {
        let Some(x) = node.input(operand) else { return Ok(None) };
        let other = |i: usize| node.input(i).filter(|_| i != operand);
        let mut bias = None;
        let kind = match &node.op {
            Op::MatMul(_) => match operand {
                0 => other(1).map(Kind::Right),
                _ => other(0).map(Kind::Left),
            },
            Op::Gemm(gemm) if operand < 2 => {
                if let Some(c) = node.input(2) {
                    bias = Some(cx.b.mul_scalar(c, f64::from(gemm.beta))?);
                }
                other(1 - operand).map(|weight| Kind::Gemm { weight, carrier_is_a: operand == 0 })
            }
            Op::Linear(linear) if operand == 0 => {
                bias = node.input(2);
                other(1).map(|weight| Kind::Linear { weight, transposed: linear.transB })
            }
            Op::Conv(_) | Op::ConvTranspose(_) if operand == 0 => {
                if let Some(b) = node.input(2) {
                    let mut dims = vec![1i64; cx.b.rank(x)?];
                    dims[1] = -1;
                    bias = Some(cx.b.reshape_to(b, &dims)?);
                }
                let weight = other(1);
                match &node.op {
                    Op::Conv(_) => weight.map(Kind::Conv),
                    _ => weight.map(Kind::ConvTranspose),
                }
            }
            Op::Einsum(_) if is_reversible_einsum(node, operand) => {
                let others = (0..node.inputs.len()).filter(|i| *i != operand).map(|i| node.input(i));
                others.collect::<Option<Vec<_>>>().map(Kind::Einsum)
            }
            Op::AveragePool(_) => Some(Kind::AveragePool),
            Op::GlobalAveragePool(_) => Some(Kind::GlobalAveragePool),
            Op::Reduce(r) if operand == 0 && matches!(r.kind, ReduceKind::Sum | ReduceKind::Mean) => {
                Some(Kind::Reduce { mean: r.kind == ReduceKind::Mean })
            }
            Op::CumSum(_) if operand == 0 => Some(Kind::CumSum),
            Op::Resize(_) if operand == 0 => Some(Kind::Resize),
            _ => None,
        };
        Ok(kind.map(|kind| Self { node: node.clone(), operand, x, bias, kind }))
    }

    fn weight(&self, cx: &mut Context<'_, '_>, weight: ValueId, form: Coefficients) -> Result<ValueId> {
        form.of(cx.b, weight)
    }

    /// The output `y`.
    ///
    /// # Errors
    /// The node has none.
    pub fn output(&self) -> Result<ValueId> {
        Ok(self
            .node
            .output(0)
            .ok_or_else(|| exegesis_graph::Error::malformed("a linear map without output"))?)
    }

    /// True if the coefficients are the values of one operand.
    pub fn has_weights(&self) -> bool {
        match &self.kind {
            Kind::Right(_) | Kind::Left(_) | Kind::Gemm { .. } | Kind::Linear { .. } => true,
            Kind::Conv(_) | Kind::ConvTranspose(_) => true,
            Kind::Einsum(others) => others.len() == 1,
            _ => false,
        }
    }

    /// True for convolutions, transposed ones included.
    pub fn is_convolution(&self) -> bool {
        matches!(self.kind, Kind::Conv(_) | Kind::ConvTranspose(_))
    }

    /// True if the first axis of a matrix or larger operand counts rows that the map treats alike.
    pub fn treats_rows_alike(&self) -> bool {
        matches!(self.kind, Kind::Conv(_) | Kind::ConvTranspose(_) | Kind::Linear { .. })
            || matches!(self.kind, Kind::Gemm { carrier_is_a: true, .. })
                && matches!(&self.node.op, Op::Gemm(gemm) if !gemm.transA)
    }

    /// True if no coefficient is negative.
    pub fn is_non_negative(&self) -> bool {
        match (&self.kind, &self.node.op) {
            (Kind::Resize, Op::Resize(resize)) => resize.mode != ResizeMode::Cubic,
            (Kind::AveragePool | Kind::GlobalAveragePool | Kind::Reduce { .. } | Kind::CumSum, _) => true,
            _ => false,
        }
    }

    /// Terms per output, or what a large layer has where that is not known.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn fan_in(&self, cx: &Context<'_, '_>) -> Result<usize> {
        let shape = |w: ValueId| cx.b.static_shape(w).filter(|s| !s.is_empty());
        let terms = match &self.kind {
            Kind::Right(_) => cx.b.shape(self.x)?.last().and_then(Dim::fixed),
            Kind::Left(w) => shape(*w).and_then(|s| s.last().copied()),
            Kind::Gemm { weight, .. } => shape(*weight).map(|s| s.iter().product::<usize>()),
            Kind::Linear { weight, .. } => shape(*weight).and_then(|s| s.iter().max().copied()),
            Kind::Conv(w) | Kind::ConvTranspose(w) => shape(*w).map(|s| s[1..].iter().product()),
            _ => None,
        };
        Ok(terms.unwrap_or(crate::dlbacktrace::MANY_TERMS))
    }

    fn weights(
        &self,
        cx: &mut Context<'_, '_>,
        weights: &[ValueId],
        form: Coefficients,
    ) -> Result<Vec<ValueId>> {
        weights.iter().map(|w| self.weight(cx, *w, form)).collect()
    }

    /// `W v` without the bias, for `v` of the shape of `x`.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn forward(&self, cx: &mut Context<'_, '_>, v: ValueId, form: Coefficients) -> Result<ValueId> {
        let op = self.node.op.clone();
        Ok(match &self.kind {
            Kind::Right(w) => {
                let w = self.weight(cx, *w, form)?;
                cx.b.matmul(v, w)?
            }
            Kind::Left(w) => {
                let w = self.weight(cx, *w, form)?;
                cx.b.matmul(w, v)?
            }
            Kind::Gemm { weight, carrier_is_a } => {
                let Op::Gemm(gemm) = &self.node.op else { unreachable!("kind follows the operator") };
                let (form, alpha) = form.scaled(gemm.alpha);
                let w = self.weight(cx, *weight, form)?;
                let operands = if *carrier_is_a { [v, w] } else { [w, v] };
                cx.b.op(op::Gemm { alpha, ..gemm.clone() }, &operands)?
            }
            Kind::Linear { weight, transposed } => {
                let w = self.weight(cx, *weight, form)?;
                if *transposed { matrix::rows_times(cx, v, w, true)? } else { cx.b.matmul(v, w)? }
            }
            Kind::Conv(w) | Kind::ConvTranspose(w) => {
                let w = self.weight(cx, *w, form)?;
                cx.b.op(op, &[v, w])?
            }
            Kind::Einsum(weights) => {
                let mut operands = self.weights(cx, weights, form)?;
                operands.insert(self.operand, v);
                cx.b.op(op, &operands)?
            }
            Kind::AveragePool | Kind::GlobalAveragePool => cx.b.op(op, &[v])?,
            Kind::Reduce { .. } | Kind::CumSum => {
                let mut operands = vec![Some(v)];
                operands.extend(self.node.inputs.iter().skip(1));
                cx.b.op_with(op, operands, 1)?[0]
            }
            Kind::Resize => resize::apply(cx, &self.node, self.x, v, form, false)?,
        })
    }

    /// `W^T g`, of the shape of `x`, for `g` of the shape of the output.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn adjoint(&self, cx: &mut Context<'_, '_>, g: ValueId, form: Coefficients) -> Result<ValueId> {
        let x = self.x;
        Ok(match &self.kind {
            Kind::Right(w) => {
                let w = self.weight(cx, *w, form)?;
                matmul_adjoint_left(cx, g, w, x)?
            }
            Kind::Left(w) => {
                let w = self.weight(cx, *w, form)?;
                matmul_adjoint_right(cx, g, w, x)?
            }
            Kind::Gemm { weight, carrier_is_a } => {
                let Op::Gemm(gemm) = &self.node.op else { unreachable!("kind follows the operator") };
                let (form, alpha) = form.scaled(gemm.alpha);
                let w = self.weight(cx, *weight, form)?;
                gemm_adjoint(cx, g, w, alpha, (gemm.transA, gemm.transB), *carrier_is_a)?
            }
            Kind::Linear { weight, transposed } => {
                let w = self.weight(cx, *weight, form)?;
                let r = if *transposed { cx.b.matmul(g, w)? } else { matrix::rows_times(cx, g, w, true)? };
                cx.b.assume_shape(r, x);
                r
            }
            Kind::Conv(w) => {
                let term = Term { g, form, adds: true };
                convolution::adjoint_of_conv(cx, &self.node, &[term], *w, x)?
            }
            Kind::ConvTranspose(w) => {
                let w = self.weight(cx, *w, form)?;
                convolution::adjoint_of_conv_transpose(cx, &self.node, g, w, x)?
            }
            Kind::Einsum(weights) => {
                let others = self.weights(cx, weights, form)?;
                einsum_adjoint(cx, &self.node, g, &others, x, self.operand)?
            }
            Kind::AveragePool => pooling::adjoint_of_average(cx, &self.node, g, x)?,
            Kind::GlobalAveragePool => {
                let axes: Vec<usize> = (2..cx.b.rank(x)?).collect();
                let g = divide_by_count(cx, g, x, &axes)?;
                cx.b.expand_like(g, x)?
            }
            Kind::Reduce { mean } => {
                let axes = reduced_axes(cx, &self.node, x)?;
                let mut g = keep_axes(cx, &self.node, g, &axes)?;
                if *mean {
                    g = divide_by_count(cx, g, x, &axes)?;
                }
                cx.b.expand_like(g, x)?
            }
            Kind::CumSum => {
                let Op::CumSum(sum) = &self.node.op else { unreachable!("kind follows the operator") };
                let back = op::CumSum { exclusive: sum.exclusive, reverse: !sum.reverse };
                cx.b.op_with(back, vec![Some(g), self.node.input(1)], 1)?[0]
            }
            Kind::Resize => resize::apply(cx, &self.node, self.x, g, form, true)?,
        })
    }
}
