//! Operators that are linear in one carrier operand with constant coefficients: their forward map and its adjoint, with
//! the coefficients as they are or by absolute value. Gradient, LRP and DLBacktrace rules share them.

mod convolution;
mod einsum;
pub mod phases;
pub mod pooling;
mod resize;

pub use convolution::{Geometry, Window, adjoint_of_windows, geometry};
pub use einsum::{einsum_adjoint, is_reversible_einsum};

use exegesis_graph::op::{self, CoordinateMode, ReduceKind, ResizeMode};
use exegesis_graph::{Builder, Dim, Node, Op, Tensor, ValueId};

use crate::Result;
use crate::rule::{Context, OneHot};

/// Coefficients to use: as trained, or by absolute value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coefficients {
    /// `W`.
    Signed,
    /// `|W|`.
    Absolute,
    /// `|W| / 2`; for maps with weights only.
    HalfAbsolute,
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
        })
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

/// Fewest classes of a head whose rows are picked for a one-hot seed.
const MIN_CLASSES: usize = 1024;

/// What a one-hot seed sees of a head.
pub struct ClassRows {
    /// Weights of the class, `[batch, 1..., inputs]`.
    pub weight: ValueId,
    /// Its bias, `[batch, 1..., 1]`.
    pub bias: Option<ValueId>,
    /// The seed, `[batch, ..., 1]`.
    pub amount: ValueId,
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
    fn has_weights(&self) -> bool {
        match &self.kind {
            Kind::Right(_) | Kind::Left(_) | Kind::Gemm { .. } | Kind::Linear { .. } => true,
            Kind::Conv(_) | Kind::ConvTranspose(_) => true,
            Kind::Einsum(others) => others.len() == 1,
            _ => false,
        }
    }

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

    /// True for convolutions, transposed ones included.
    pub fn is_convolution(&self) -> bool {
        matches!(self.kind, Kind::Conv(_) | Kind::ConvTranspose(_))
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
                let alpha = if form == Coefficients::Signed { gemm.alpha } else { gemm.alpha.abs() };
                let w = self.weight(cx, *weight, form)?;
                let operands = if *carrier_is_a { [v, w] } else { [w, v] };
                cx.b.op(op::Gemm { alpha, ..gemm.clone() }, &operands)?
            }
            Kind::Linear { weight, transposed } => {
                let w = self.weight(cx, *weight, form)?;
                if *transposed { self.rows_times(cx, v, w, true)? } else { cx.b.matmul(v, w)? }
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
                let w = self.weight(cx, *weight, form)?;
                let (a, b) = if *carrier_is_a { (v, w) } else { (w, v) };
                Ok(cx.b.op(op::Gemm { alpha: gemm.alpha.abs(), beta: 1.0, ..gemm.clone() }, &[a, b, bias])?)
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

    /// The weights of the one class per row that a one-hot seed asks for, where that saves work: a head of thousands of
    /// classes then costs as much as one of one.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn class_rows(&self, cx: &mut Context<'_, '_>) -> Result<Option<ClassRows>> {
        let Some(OneHot { index, amount }) = cx.one_hot else { return Ok(None) };
        let (weight, classes_first, scale) = match (&self.kind, &self.node.op) {
            (Kind::Right(w), _) => (*w, false, 1.0),
            (Kind::Linear { weight, transposed }, _) => (*weight, *transposed, 1.0),
            (Kind::Gemm { weight, carrier_is_a: true }, Op::Gemm(gemm)) if !gemm.transA => {
                (*weight, gemm.transB, gemm.alpha)
            }
            _ => return Ok(None),
        };
        let (Some(shape), x_shape) = (cx.b.static_shape(weight), cx.b.shape(self.x)?.clone()) else {
            return Ok(None);
        };
        let &[rows, columns] = shape.as_slice() else { return Ok(None) };
        let (classes, inner) = if classes_first { (rows, columns) } else { (columns, rows) };
        let bias_fits = match self.bias {
            Some(bias) => cx.b.static_shape(bias).is_some_and(|s| s.iter().product::<usize>() == classes),
            None => true,
        };
        let per_row = x_shape.len() >= 2 && x_shape.first() == cx.b.shape(index)?.first();
        if classes < MIN_CLASSES || !bias_fits || !per_row {
            return Ok(None);
        }
        let axis = i64::from(!classes_first);
        let mut picked = cx.b.op(op::Gather { axis }, &[weight, index])?;
        if !classes_first {
            picked = cx.b.transpose(picked, &[1, 0])?;
        }
        picked = cx.b.mul_scalar(picked, f64::from(scale))?;
        let mut dims = vec![1i64; x_shape.len()];
        dims[0] = -1;
        let bias = match self.bias {
            Some(bias) => {
                let flat = cx.b.reshape_to(bias, &[-1])?;
                let picked = cx.b.op(op::Gather { axis: 0 }, &[flat, index])?;
                Some(cx.b.reshape_to(picked, &dims)?)
            }
            None => None,
        };
        dims[x_shape.len() - 1] = inner as i64;
        let weight = cx.b.reshape_to(picked, &dims)?;
        Ok(Some(ClassRows { weight, bias, amount }))
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
                let alpha = if form == Coefficients::Signed { gemm.alpha } else { gemm.alpha.abs() };
                let w = self.weight(cx, *weight, form)?;
                gemm_adjoint(cx, g, w, alpha, (gemm.transA, gemm.transB), *carrier_is_a)?
            }
            Kind::Linear { weight, transposed } => {
                let w = self.weight(cx, *weight, form)?;
                let r = if *transposed { cx.b.matmul(g, w)? } else { self.rows_times(cx, g, w, true)? };
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

    /// `rows W'` for a matrix `W`, rows being the last axis of `v`: through Gemm, so that no transposed copy of the
    /// weights is made.
    fn rows_times(
        &self,
        cx: &mut Context<'_, '_>,
        v: ValueId,
        w: ValueId,
        transposed: bool,
    ) -> Result<ValueId> {
        rows_times(cx, v, w, transposed)
    }
}

fn rows_times(cx: &mut Context<'_, '_>, v: ValueId, w: ValueId, transposed: bool) -> Result<ValueId> {
    let rank = cx.b.rank(v)?;
    let gemm = op::Gemm { transB: transposed, ..op::Gemm::default() };
    if rank == 2 {
        return Ok(cx.b.op(gemm, &[v, w])?);
    }
    let w_shape = cx.b.shape(w)?.clone();
    let (k, n) = if transposed { (&w_shape[1], &w_shape[0]) } else { (&w_shape[0], &w_shape[1]) };
    let (Some(k), Some(n)) = (k.fixed(), n.fixed()) else {
        let w = if transposed { cx.b.transpose_last(w)? } else { w };
        return Ok(cx.b.matmul(v, w)?);
    };
    let v_shape = cx.b.shape(v)?.clone();
    let flat = cx.b.reshape_to(v, &[-1, k as i64])?;
    let product = cx.b.op(gemm, &[flat, w])?;
    let unknown = v_shape[..rank - 1].iter().filter(|d| d.fixed().is_none()).count();
    let out = if unknown <= 1 {
        let mut dims: Vec<i64> = v_shape.iter().map(|d| d.fixed().map_or(-1, |n| n as i64)).collect();
        dims[rank - 1] = n as i64;
        cx.b.reshape_to(product, &dims)?
    } else {
        let lead = cx.b.op(op::Shape { start: 0, end: Some(-1) }, &[v])?;
        let n = cx.b.ints(&[n as i64]);
        let shape = cx.b.concat(&[lead, n], 0)?;
        cx.b.reshape(product, shape)?
    };
    let mut shape = v_shape;
    shape[rank - 1] = Dim::Fixed(n);
    cx.b.set_shape(out, shape);
    Ok(out)
}

/// Gradient of `a b` with respect to `a`: `g b^T`, summed over broadcast axes.
///
/// # Errors
/// The graph can't be treated.
pub fn matmul_adjoint_left(cx: &mut Context<'_, '_>, g: ValueId, b: ValueId, a: ValueId) -> Result<ValueId> {
    let (rank_a, rank_b, rank_g) = (cx.b.rank(a)?, cx.b.rank(b)?, cx.b.rank(g)?);
    if rank_b == 1 {
        // [.., k] . [k] -> [..]: every row of a gets its g times b.
        let g = cx.b.unsqueeze(g, &[rank_g])?;
        return Ok(cx.b.mul(g, b)?);
    }
    if rank_a == 1 {
        // [k] . [.., k, n] -> [.., n].
        let g = cx.b.unsqueeze(g, &[rank_g - 1])?;
        let bt = cx.b.transpose_last(b)?;
        let r = cx.b.matmul(g, bt)?;
        let r = cx.b.squeeze(r, &[rank_g - 1])?;
        return Ok(cx.b.sum_to(r, a)?);
    }
    if rank_b == 2 && (cx.b.graph().constant(b).is_some() || is_abs_of_constant(cx, b)) {
        let r = rows_times(cx, g, b, true)?;
        cx.b.assume_shape(r, a);
        return Ok(r);
    }
    let bt = cx.b.transpose_last(b)?;
    let r = cx.b.matmul(g, bt)?;
    Ok(cx.b.sum_to(r, a)?)
}

fn is_abs_of_constant(cx: &Context<'_, '_>, v: ValueId) -> bool {
    let graph = cx.b.graph();
    graph
        .producer_node(v)
        .is_some_and(|n| n.input(0).is_some_and(|i| graph.constant(i).is_some()) && n.inputs.len() == 1)
}

/// Gradient of `a b` with respect to `b`: `a^T g`, summed over broadcast axes.
///
/// # Errors
/// The graph can't be treated.
pub fn matmul_adjoint_right(cx: &mut Context<'_, '_>, g: ValueId, a: ValueId, b: ValueId) -> Result<ValueId> {
    let (rank_a, rank_b, rank_g) = (cx.b.rank(a)?, cx.b.rank(b)?, cx.b.rank(g)?);
    if rank_b == 1 {
        // [.., m, k] . [k] -> [.., m].
        let g = cx.b.unsqueeze(g, &[rank_g])?;
        let at = if rank_a == 1 { a } else { cx.b.transpose_last(a)? };
        let r = if rank_a == 1 { cx.b.mul(g, at)? } else { cx.b.matmul(at, g)? };
        let r = if rank_a == 1 { r } else { cx.b.squeeze(r, &[rank_g])? };
        return Ok(cx.b.sum_to(r, b)?);
    }
    if rank_a == 1 {
        // [k] . [.., k, n] -> [.., n]: outer product.
        let g = cx.b.unsqueeze(g, &[rank_g - 1])?;
        let a = cx.b.unsqueeze(a, &[1])?;
        let r = cx.b.mul(a, g)?;
        return Ok(cx.b.sum_to(r, b)?);
    }
    let at = cx.b.transpose_last(a)?;
    let r = cx.b.matmul(at, g)?;
    Ok(cx.b.sum_to(r, b)?)
}

/// Gradient of `alpha A' B'` with respect to A or B, given the other matrix `w`.
///
/// # Errors
/// The graph can't be treated.
pub fn gemm_adjoint(
    cx: &mut Context<'_, '_>,
    g: ValueId,
    w: ValueId,
    alpha: f32,
    (trans_a, trans_b): (bool, bool),
    carrier_is_a: bool,
) -> Result<ValueId> {
    let product = |cx: &mut Context<'_, '_>, p: ValueId, q: ValueId, ta: bool, tb: bool| {
        cx.b.op(op::Gemm { alpha, beta: 1.0, transA: ta, transB: tb }, &[p, q])
    };
    Ok(match (carrier_is_a, trans_a, trans_b) {
        (true, false, _) => product(cx, g, w, false, !trans_b)?,
        (true, true, _) => product(cx, w, g, trans_b, true)?,
        (false, _, false) => product(cx, w, g, !trans_a, false)?,
        (false, _, true) => product(cx, g, w, true, trans_a)?,
    })
}

/// Axes that a reduction node reduces, counted from the front.
///
/// # Errors
/// The axes are not constant.
pub fn reduced_axes(cx: &Context<'_, '_>, node: &Node, x: ValueId) -> Result<Vec<usize>> {
    let rank = cx.b.rank(x)?;
    let Op::Reduce(reduce) = &node.op else { unreachable!("called for reductions") };
    let axes = match node.input(1) {
        None => vec![],
        Some(axes) => cx.b.const_ints(Some(axes)).ok_or_else(|| {
            exegesis_graph::Error::unsupported("the axes of this reduction are not constant")
        })?,
    };
    if axes.is_empty() {
        return Ok(if reduce.noop_with_empty_axes { vec![] } else { (0..rank).collect() });
    }
    let mut axes = axes.iter().map(|a| cx.b.axis(*a, rank)).collect::<Result<Vec<_>, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    Ok(axes)
}

/// `g` of a reduction with its reduced axes present as size 1.
///
/// # Errors
/// The graph can't be treated.
pub fn keep_axes(cx: &mut Context<'_, '_>, node: &Node, g: ValueId, axes: &[usize]) -> Result<ValueId> {
    match &node.op {
        Op::Reduce(reduce) if !reduce.keepdims => Ok(cx.b.unsqueeze(g, axes)?),
        _ => Ok(g),
    }
}

/// `g` divided by the number of elements of `x` along `axes`.
///
/// # Errors
/// The graph can't be treated.
pub fn divide_by_count(cx: &mut Context<'_, '_>, g: ValueId, x: ValueId, axes: &[usize]) -> Result<ValueId> {
    let shape = cx.b.shape(x)?.clone();
    let fixed: Option<usize> = axes.iter().map(|a| shape[*a].fixed()).product();
    match fixed {
        Some(n) => {
            // A factor 1/n would be rounded.
            let n = cx.b.scalar(n.max(1) as f64, g)?;
            Ok(cx.b.div(g, n)?)
        }
        None => {
            let mut count = None;
            for axis in axes {
                let dim = cx.b.dim_of(x, *axis)?;
                count = Some(match count {
                    None => dim,
                    Some(before) => cx.b.mul(before, dim)?,
                });
            }
            let Some(count) = count else { return Ok(g) };
            let to = cx.b.dtype(g);
            let count = cx.b.op(op::Cast { to }, &[count])?;
            Ok(cx.b.div(g, count)?)
        }
    }
}
